package fakedo

import (
	"net/http"
	"slices"
	"strings"
)

func (s *Server) tagRoutes() map[string]func(*call) reply {
	return map[string]func(*call) reply{
		"GET /v2/tags": func(c *call) reply {
			return page(c, "tags", s.listed("tag", nil), func(o *object) any { return s.tagDoc(o) })
		},
		"POST /v2/tags": s.createTag,
		"GET /v2/tags/{tag_id}": s.on("tag", "tag_id", func(_ *call, o *object) reply {
			return ok(doc{"tag": s.tagDoc(o)})
		}),
		"DELETE /v2/tags/{tag_id}":           s.on("tag", "tag_id", s.deleteTag),
		"POST /v2/tags/{tag_id}/resources":   s.on("tag", "tag_id", s.assignTag(true)),
		"DELETE /v2/tags/{tag_id}/resources": s.on("tag", "tag_id", s.assignTag(false)),
	}
}

// ensureTag makes a tag that a resource is created with.
func (s *Server) ensureTag(name string) *object {
	if o := s.find("tag", strings.ToLower(name)); o != nil {
		return o
	}
	return s.add(nil, &object{kind: "tag", id: strings.ToLower(name), name: name, doc: doc{"name": name}})
}

func (s *Server) createTag(c *call) reply {
	name := str(c.body, "name")
	if name == "" {
		return refused("Tag name is required")
	}
	// Making a tag that is there answers it: tags are names and nothing more.
	return created(doc{"tag": s.tagDoc(s.ensureTag(name))})
}

// tagged is what may carry a tag that was put on it by this API.
var tagged = map[string]string{"droplet": "droplets", "volume": "volumes", "database": "databases", "volume_snapshot": "volume_snapshots", "image": "imgages"}

func (s *Server) tagDoc(o *object) doc {
	total, resources := 0, doc{}
	for kind, key := range tagged {
		n, last := 0, ""
		for _, r := range s.shelf(kind).objects {
			if slices.Contains(texts(r.doc, "tags"), o.name) {
				n, last = n+1, "https://api.digitalocean.com/v2/"+key+"/"+r.id
			}
		}
		count := doc{"count": n}
		if n > 0 {
			count["last_tagged_uri"] = last
			resources["last_tagged_uri"] = last
		}
		resources[key], total = count, total+n
	}
	resources["count"] = total
	return doc{"name": o.name, "resources": resources}
}

func (s *Server) deleteTag(_ *call, o *object) reply {
	for _, sh := range s.shelves {
		for _, r := range sh.objects {
			untag(r, o.name)
		}
	}
	s.drop(o)
	return gone()
}

func untag(o *object, tag string) {
	if tags := texts(o.doc, "tags"); slices.Contains(tags, tag) {
		o.doc["tags"] = anys(slices.DeleteFunc(tags, func(t string) bool { return t == tag }))
	}
}

func (s *Server) assignTag(on bool) func(*call, *object) reply {
	return func(c *call, tag *object) reply {
		var found []*object
		for _, r := range docs(c.body, "resources") {
			o := s.find(str(r, "resource_type"), str(r, "resource_id"))
			if o == nil {
				return problem(http.StatusNotFound, "The resource "+str(r, "resource_type")+" "+str(r, "resource_id")+" could not be found.")
			}
			found = append(found, o)
		}
		for _, o := range found {
			untag(o, tag.name)
			if on {
				o.doc["tags"] = append(list(o.doc, "tags"), tag.name)
			}
		}
		return gone()
	}
}
