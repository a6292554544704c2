package fakedo

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	dropletBoots  = 40 * time.Second
	dropletAction = 20 * time.Second
	volumeAction  = 8 * time.Second
)

// images that a droplet may begin with.
var images = []struct {
	id                       int
	slug, distribution, name string
}{
	{160001, "ubuntu-24-04-x64", "Ubuntu", "24.04 (LTS) x64"}, {160002, "ubuntu-22-04-x64", "Ubuntu", "22.04 (LTS) x64"},
	{160003, "debian-12-x64", "Debian", "12 x64"}, {160004, "debian-13-x64", "Debian", "13 x64"}, {160005, "fedora-42-x64", "Fedora", "42 x64"},
	{160006, "rockylinux-9-x64", "Rocky Linux", "9 x64"}, {160007, "docker-20-04", "Ubuntu", "Docker on Ubuntu"},
}

func (s *Server) dropletRoutes() map[string]func(*call) reply {
	onDroplet := func(do func(*call, *object) reply) func(*call) reply { return s.on("droplet", "droplet_id", do) }
	return map[string]func(*call) reply{
		"GET /v2/droplets":                                  s.listDroplets,
		"POST /v2/droplets":                                 s.createDroplets,
		"DELETE /v2/droplets":                               s.deleteDropletsByTag,
		"GET /v2/droplets/{droplet_id}":                     onDroplet(func(_ *call, o *object) reply { return ok(doc{"droplet": o.doc}) }),
		"DELETE /v2/droplets/{droplet_id}":                  onDroplet(s.deleteDroplet),
		"GET /v2/droplets/{droplet_id}/actions":             onDroplet(s.listDropletActions),
		"POST /v2/droplets/{droplet_id}/actions":            onDroplet(s.actOnDroplet),
		"GET /v2/droplets/{droplet_id}/actions/{action_id}": onDroplet(func(c *call, _ *object) reply { return s.getAction(c) }),
		"GET /v2/droplets/{droplet_id}/firewalls":           onDroplet(s.listDropletFirewalls),
		"GET /v2/images":                                    s.listImages,
		"GET /v2/images/{image_id}":                         s.getImage,
		"GET /v2/account/keys":                              func(c *call) reply { return page(c, "ssh_keys", s.listed("ssh_key", nil), docOf) },
		"POST /v2/account/keys":                             s.createKey,
		"GET /v2/account/keys/{ssh_key_identifier}":         s.onKey(func(_ *call, o *object) reply { return ok(doc{"ssh_key": o.doc}) }),
		"PUT /v2/account/keys/{ssh_key_identifier}":         s.onKey(s.renameKey),
		"DELETE /v2/account/keys/{ssh_key_identifier}":      s.onKey(s.deleteKey),
	}
}

func imageDoc(key any) doc {
	for _, im := range images {
		id, isID := key.(float64)
		if key == im.slug || isID && int(id) == im.id {
			return doc{
				"id": im.id, "slug": im.slug, "name": im.name, "distribution": im.distribution, "public": true, "type": "base", "status": "available",
				"regions": []any{"nyc3", "fra1", "ams3"}, "min_disk_size": 10, "size_gigabytes": 2.4, "created_at": "2025-10-01T00:00:00Z", "description": im.name, "tags": []any{}, "error_message": "",
			}
		}
	}
	return nil
}

func (s *Server) listImages(c *call) reply {
	return page(c, "images", slices.Clone(images), func(im struct {
		id                       int
		slug, distribution, name string
	}) any {
		return imageDoc(im.slug)
	})
}

func (s *Server) getImage(c *call) reply {
	key := any(c.param("image_id"))
	if n, err := strconv.ParseFloat(c.param("image_id"), 64); err == nil {
		key = n
	}
	if d := imageDoc(key); d != nil {
		return ok(doc{"image": d})
	}
	return notFound()
}

func (s *Server) listDroplets(c *call) reply {
	tag, name := hasTag(c.query.Get("tag_name")), c.query.Get("name")
	return page(c, "droplets", s.listed("droplet", func(o *object) bool {
		return (tag == nil || tag(o)) && (name == "" || o.name == name)
	}), docOf)
}

func (s *Server) createDroplets(c *call) reply {
	names := texts(c.body, "names")
	if single := str(c.body, "name"); single != "" {
		names = []string{single}
	}
	region := defaultTo(str(c.body, "region"), "nyc3")
	size, known := machineNamed(str(c.body, "size"))
	image := imageDoc(c.body["image"])
	if rep, bad := invalidRegion(region); bad {
		return rep
	}
	if !known {
		return refused("You specified an invalid size for Droplet creation.")
	}
	if image == nil {
		return refused("You specified an invalid image for Droplet creation.")
	}
	if rep, bad := s.full("droplet"); bad {
		return rep
	}
	if rep, bad := s.badDropletParts(c.body, region); bad {
		return rep
	}
	vpc, rep, bad := s.network(str(c.body, "vpc_uuid"), region)
	if bad {
		return rep
	}
	var shown, links []any
	for _, name := range names {
		o := s.addDroplet(c, name, region, vpc, size, image, texts(c.body, "tags"))
		for _, feature := range []string{"monitoring", "backups", "ipv6"} {
			if flag(c.body, feature) {
				o.doc["features"] = append(list(o.doc, "features"), feature)
			}
		}
		for _, v := range texts(c.body, "volumes") {
			s.attach(s.find("volume", v), o)
		}
		a := s.boot(o)
		shown = append(shown, o.doc)
		links = append(links, doc{"id": num(a.doc, "id"), "rel": "create", "href": c.base + "/v2/actions/" + a.id})
	}
	if str(c.body, "name") != "" {
		return accepted(doc{"droplet": shown[0], "links": doc{"actions": links}})
	}
	return accepted(doc{"droplets": shown, "links": doc{"actions": links}})
}

// badDropletParts refuses keys and volumes that are not there.
func (s *Server) badDropletParts(in doc, region string) (reply, bool) {
	for _, key := range list(in, "ssh_keys") {
		if s.keyOf(idText(key)) == nil {
			return refused(idText(key) + " are invalid key identifiers for Droplet creation."), true
		}
	}
	for _, id := range texts(in, "volumes") {
		v := s.find("volume", id)
		if v == nil {
			return refused("Volume " + id + " does not exist"), true
		}
		if str(sub(v.doc, "region"), "slug") != region || len(list(v.doc, "droplet_ids")) > 0 {
			return refused("Volume " + id + " cannot be attached: it is in another region or in use"), true
		}
	}
	return reply{}, false
}

func (s *Server) addDroplet(c *call, name, region, vpc string, size machine, image doc, tags []string) *object {
	id := s.number()
	return s.add(c, &object{kind: "droplet", id: strconv.Itoa(id), name: name, vpc: vpc, doc: doc{
		"id": id, "name": name, "memory": size.memory, "vcpus": size.cpus, "disk": size.disk, "locked": true, "status": "new", "created_at": s.stamp(),
		"features": []any{"private_networking", "droplet_agent"}, "backup_ids": []any{}, "next_backup_window": doc{}, "snapshot_ids": []any{}, "volume_ids": []any{},
		"image": image, "size": size.doc(), "size_slug": size.slug, "networks": doc{"v4": []any{}, "v6": []any{}},
		"region": regionDoc(region), "tags": anys(tags), "vpc_uuid": vpc,
	}})
}

// boot gives a droplet its addresses and, when the time has come, its life.
func (s *Server) boot(o *object) *object {
	n := int(num(o.doc, "id"))
	a := s.action("create", "droplet", o, dropletBoots, nil)
	s.after(dropletBoots, func(time.Time) {
		o.doc["status"], o.doc["locked"] = "active", false
		o.doc["networks"] = doc{"v6": []any{}, "v4": []any{
			doc{"ip_address": fmt.Sprintf("10.110.%d.%d", n/250%250, n%250+1), "netmask": "255.255.240.0", "gateway": "10.110.0.1", "type": "private"},
			doc{"ip_address": fmt.Sprintf("203.0.%d.%d", n/250%250, n%250+1), "netmask": "255.255.240.0", "gateway": "203.0.113.1", "type": "public"},
		}}
	})
	return a
}

// action records what is being done to a resource.
func (s *Server) action(kind, of string, o *object, d time.Duration, done func()) *object {
	id := s.number()
	region := defaultTo(str(sub(o.doc, "region"), "slug"), "nyc3")
	a := s.add(nil, &object{kind: "action", id: strconv.Itoa(id), name: kind, doc: doc{
		"id": id, "status": "in-progress", "type": kind, "started_at": s.stamp(), "completed_at": nil, "resource_id": nil, "resource_type": of,
		"region": regionDoc(region), "region_slug": region,
	}})
	a.secret["of"] = o.id
	if of == "droplet" {
		a.doc["resource_id"] = o.doc["id"]
	}
	s.after(d, func(now time.Time) {
		if done != nil {
			done()
		}
		a.doc["status"], a.doc["completed_at"] = "completed", stamp(now)
	})
	return a
}

func (s *Server) deleteDroplet(_ *call, o *object) reply {
	s.removeDroplet(o)
	return gone()
}

// removeDroplet also takes it out of whatever names it.
func (s *Server) removeDroplet(o *object) {
	for _, kind := range []string{"volume", "firewall", "load_balancer"} {
		for _, other := range s.shelf(kind).objects {
			other.doc["droplet_ids"] = slices.DeleteFunc(list(other.doc, "droplet_ids"), func(e any) bool { return idText(e) == o.id })
		}
	}
	s.drop(o)
}

func (s *Server) deleteDropletsByTag(c *call) reply {
	for _, o := range slices.Clone(s.shelf("droplet").objects) {
		if slices.Contains(texts(o.doc, "tags"), c.query.Get("tag_name")) {
			s.removeDroplet(o)
		}
	}
	return gone()
}

func (s *Server) listDropletActions(c *call, o *object) reply {
	return page(c, "actions", s.listed("action", func(a *object) bool { return a.secret["of"] == o.id }), docOf)
}

func (s *Server) actOnDroplet(c *call, o *object) reply {
	if flag(o.doc, "locked") {
		return refused("Droplet already has a pending event.")
	}
	done, rep, bad := s.dropletChange(c.body, o)
	if bad {
		return rep
	}
	o.doc["locked"] = true
	a := s.action(str(c.body, "type"), "droplet", o, dropletAction, func() {
		o.doc["locked"] = false
		done()
	})
	return created(doc{"action": a.doc})
}

// dropletChange is what an action will have done when it is complete.
func (s *Server) dropletChange(in doc, o *object) (func(), reply, bool) {
	set := func(key string, v any) func() { return func() { o.doc[key] = v } }
	switch kind := str(in, "type"); kind {
	case "power_on", "reboot", "power_cycle":
		return set("status", "active"), reply{}, false
	case "power_off", "shutdown":
		return set("status", "off"), reply{}, false
	case "rename":
		name := str(in, "name")
		return func() { o.name, o.doc["name"] = name, name }, reply{}, false
	case "resize":
		return s.dropletResize(in, o)
	case "enable_backups", "disable_backups":
		return func() {
			features := slices.DeleteFunc(list(o.doc, "features"), func(f any) bool { return f == "backups" })
			if kind == "enable_backups" {
				features = append(features, "backups")
			}
			o.doc["features"] = features
		}, reply{}, false
	case "rebuild":
		image := imageDoc(in["image"])
		if image == nil {
			return nil, refused("You specified an invalid image."), true
		}
		return set("image", image), reply{}, false
	case "enable_ipv6":
		return func() { o.doc["features"] = append(list(o.doc, "features"), "ipv6") }, reply{}, false
	case "password_reset", "snapshot", "change_backup_policy":
		return func() {}, reply{}, false
	}
	return nil, refused("the fake has no droplet action " + strings.TrimSpace(str(in, "type"))), true
}

func (s *Server) dropletResize(in doc, o *object) (func(), reply, bool) {
	size, known := machineNamed(str(in, "size"))
	if !known {
		return nil, refused("You specified an invalid size."), true
	}
	if str(o.doc, "status") != "off" {
		return nil, refused("The Droplet must be powered off to be resized."), true
	}
	if size.disk < int(num(o.doc, "disk")) {
		return nil, refused("This size is not available because it has a smaller disk."), true
	}
	return func() {
		o.doc["size"], o.doc["size_slug"], o.doc["memory"], o.doc["vcpus"] = size.doc(), size.slug, size.memory, size.cpus
		if flag(in, "disk") {
			o.doc["disk"] = size.disk
		}
	}, reply{}, false
}

func (s *Server) keyOf(id string) *object {
	for _, o := range s.shelf("ssh_key").objects {
		if o.id == id || str(o.doc, "fingerprint") == id {
			return o
		}
	}
	return nil
}

func (s *Server) onKey(do func(*call, *object) reply) func(*call) reply {
	return func(c *call) reply {
		if o := s.keyOf(c.param("ssh_key_identifier")); o != nil {
			return do(c, o)
		}
		return notFound()
	}
}

func (s *Server) createKey(c *call) reply {
	key := str(c.body, "public_key")
	if !strings.HasPrefix(key, "ssh-") && !strings.HasPrefix(key, "ecdsa-") {
		return refused("Key invalid, key should be of the format `type key [comment]`")
	}
	for _, o := range s.shelf("ssh_key").objects {
		if str(o.doc, "public_key") == key {
			return problem(http.StatusUnprocessableEntity, "SSH Key is already in use on your account")
		}
	}
	id, h := s.number(), s.hex(32)
	var pairs []string
	for i := 0; i < 32; i += 2 {
		pairs = append(pairs, h[i:i+2])
	}
	d := doc{"id": id, "name": str(c.body, "name"), "public_key": key, "fingerprint": strings.Join(pairs, ":")}
	return created(doc{"ssh_key": s.add(c, &object{kind: "ssh_key", id: strconv.Itoa(id), name: str(d, "name"), doc: d}).doc})
}

func (s *Server) renameKey(c *call, o *object) reply {
	o.name, o.doc["name"] = str(c.body, "name"), str(c.body, "name")
	return ok(doc{"ssh_key": o.doc})
}

func (s *Server) deleteKey(_ *call, o *object) reply {
	s.drop(o)
	return gone()
}
