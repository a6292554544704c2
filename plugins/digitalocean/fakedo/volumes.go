package fakedo

import (
	"net/http"
	"slices"
	"strconv"
)

func (s *Server) volumeRoutes() map[string]func(*call) reply {
	onVolume := func(do func(*call, *object) reply) func(*call) reply { return s.on("volume", "volume_id", do) }
	return map[string]func(*call) reply{
		"GET /v2/volumes":                                 s.listVolumes,
		"POST /v2/volumes":                                s.createVolume,
		"DELETE /v2/volumes":                              s.deleteVolumeByName,
		"GET /v2/volumes/{volume_id}":                     onVolume(func(_ *call, o *object) reply { return ok(doc{"volume": o.doc}) }),
		"DELETE /v2/volumes/{volume_id}":                  onVolume(s.deleteVolume),
		"GET /v2/volumes/{volume_id}/actions":             onVolume(s.listDropletActions),
		"POST /v2/volumes/{volume_id}/actions":            onVolume(s.actOnVolume),
		"GET /v2/volumes/{volume_id}/actions/{action_id}": onVolume(func(c *call, _ *object) reply { return s.getAction(c) }),
		"GET /v2/volumes/{volume_id}/snapshots":           onVolume(s.listVolumeSnapshots),
		"POST /v2/volumes/{volume_id}/snapshots":          onVolume(s.snapshotVolume),
		"GET /v2/volumes/snapshots/{snapshot_id}":         s.on("volume_snapshot", "snapshot_id", func(_ *call, o *object) reply { return ok(doc{"snapshot": o.doc}) }),
		"DELETE /v2/volumes/snapshots/{snapshot_id}":      s.on("volume_snapshot", "snapshot_id", s.deleteKey),
	}
}

func (s *Server) listVolumes(c *call) reply {
	name, region := c.query.Get("name"), c.query.Get("region")
	return page(c, "volumes", s.listed("volume", func(o *object) bool {
		return (name == "" || o.name == name) && (region == "" || str(sub(o.doc, "region"), "slug") == region)
	}), docOf)
}

func (s *Server) volumeIn(name, region string) *object {
	for _, o := range s.shelf("volume").objects {
		if o.name == name && str(sub(o.doc, "region"), "slug") == region {
			return o
		}
	}
	return nil
}

func (s *Server) createVolume(c *call) reply {
	region, size := str(c.body, "region"), int(num(c.body, "size_gigabytes"))
	if rep, bad := invalidRegion(region); bad {
		return rep
	}
	if s.volumeIn(str(c.body, "name"), region) != nil {
		return problem(http.StatusConflict, "volume already exists")
	}
	if size < 1 || size > 16384 {
		return refused("size_gigabytes must be between 1 and 16384")
	}
	if rep, bad := s.full("volume"); bad {
		return rep
	}
	id := s.uuid()
	d := doc{
		"id": id, "name": str(c.body, "name"), "size_gigabytes": size, "description": str(c.body, "description"), "region": regionDoc(region), "created_at": s.stamp(),
		"droplet_ids": []any{}, "filesystem_type": str(c.body, "filesystem_type"), "filesystem_label": str(c.body, "filesystem_label"), "tags": list(c.body, "tags"),
	}
	if d["tags"] == nil {
		d["tags"] = []any{}
	}
	return created(doc{"volume": s.add(c, &object{kind: "volume", id: id, name: str(d, "name"), doc: d}).doc})
}

func (s *Server) deleteVolumeByName(c *call) reply {
	o := s.volumeIn(c.query.Get("name"), c.query.Get("region"))
	if o == nil {
		return notFound()
	}
	return s.deleteVolume(c, o)
}

func (s *Server) deleteVolume(_ *call, o *object) reply {
	if len(list(o.doc, "droplet_ids")) > 0 {
		return problem(http.StatusConflict, "Attached volume cannot be deleted")
	}
	s.drop(o)
	return gone()
}

func (s *Server) attach(v, droplet *object) {
	v.doc["droplet_ids"] = []any{droplet.doc["id"]}
	droplet.doc["volume_ids"] = append(list(droplet.doc, "volume_ids"), v.id)
}

func (s *Server) detach(v, droplet *object) {
	v.doc["droplet_ids"] = []any{}
	droplet.doc["volume_ids"] = slices.DeleteFunc(list(droplet.doc, "volume_ids"), func(e any) bool { return e == v.id })
}

func (s *Server) actOnVolume(c *call, v *object) reply {
	if v.secret["busy"] != "" {
		return refused("Volume already has a pending event.")
	}
	done, rep, bad := s.volumeChange(c.body, v)
	if bad {
		return rep
	}
	v.secret["busy"] = "yes"
	a := s.action(str(c.body, "type"), "volume", v, volumeAction, func() {
		delete(v.secret, "busy")
		done()
	})
	return accepted(doc{"action": a.doc})
}

func (s *Server) volumeChange(in doc, v *object) (func(), reply, bool) {
	if str(in, "type") == "resize" {
		size := int(num(in, "size_gigabytes"))
		if size < int(num(v.doc, "size_gigabytes")) {
			return nil, refused("a volume cannot be made smaller"), true
		}
		return func() { v.doc["size_gigabytes"] = size }, reply{}, false
	}
	d := s.find("droplet", strconv.Itoa(int(num(in, "droplet_id"))))
	if d == nil {
		return nil, problem(http.StatusNotFound, "The droplet could not be found."), true
	}
	attached := len(list(v.doc, "droplet_ids")) > 0
	if str(in, "type") == "detach" {
		if !attached {
			return nil, refused("Attachment not found"), true
		}
		return func() { s.detach(v, d) }, reply{}, false
	}
	if attached {
		return nil, refused("Volume is already attached to a Droplet"), true
	}
	if str(sub(v.doc, "region"), "slug") != str(sub(d.doc, "region"), "slug") {
		return nil, refused("The volume and the Droplet are not in the same region"), true
	}
	return func() { s.attach(v, d) }, reply{}, false
}

func (s *Server) snapshotVolume(c *call, v *object) reply {
	id := s.uuid()
	tags := list(c.body, "tags")
	if tags == nil {
		tags = []any{}
	}
	d := doc{
		"id": id, "name": str(c.body, "name"), "created_at": s.stamp(), "regions": []any{str(sub(v.doc, "region"), "slug")}, "resource_id": v.id, "resource_type": "volume",
		"min_disk_size": v.doc["size_gigabytes"], "size_gigabytes": 0, "tags": tags,
	}
	return created(doc{"snapshot": s.add(c, &object{kind: "volume_snapshot", id: id, name: str(d, "name"), doc: d}).doc})
}

func (s *Server) listVolumeSnapshots(c *call, v *object) reply {
	return page(c, "snapshots", s.listed("volume_snapshot", func(o *object) bool { return str(o.doc, "resource_id") == v.id }), docOf)
}
