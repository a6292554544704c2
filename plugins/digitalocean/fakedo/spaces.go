package fakedo

import (
	"net/http"
	"slices"
	"strings"
)

func (s *Server) spacesRoutes() map[string]func(*call) reply {
	on := func(do func(*call, *object) reply) func(*call) reply { return s.on("spaces_key", "access_key", do) }
	return map[string]func(*call) reply{
		"GET /v2/spaces/keys":  s.listSpacesKeys,
		"POST /v2/spaces/keys": s.createSpacesKey,
		// The description answers a list here; the official client reads "key".
		"GET /v2/spaces/keys/{access_key}":    on(func(_ *call, o *object) reply { return ok(doc{"keys": []any{o.doc}}) }),
		"PUT /v2/spaces/keys/{access_key}":    on(s.updateSpacesKey),
		"PATCH /v2/spaces/keys/{access_key}":  on(s.updateSpacesKey),
		"DELETE /v2/spaces/keys/{access_key}": on(s.deleteKey),
	}
}

func (s *Server) listSpacesKeys(c *call) reply {
	name, bucket, permission := c.query.Get("name"), c.query.Get("bucket"), c.query.Get("permission")
	all := s.listed("spaces_key", func(o *object) bool {
		fits := func(g doc) bool {
			return (bucket == "" || str(g, "bucket") == bucket) && (permission == "" || str(g, "permission") == permission)
		}
		return (name == "" || o.name == name) && (bucket == "" && permission == "" || slices.ContainsFunc(docs(o.doc, "grants"), fits))
	})
	if c.query.Get("sort_direction") != "asc" {
		slices.Reverse(all)
	}
	return page(c, "keys", all, docOf)
}

func badGrants(in doc) (reply, bool) {
	for _, g := range docs(in, "grants") {
		switch str(g, "permission") {
		case "read", "readwrite":
			if str(g, "bucket") == "" {
				return problem(http.StatusBadRequest, "a grant to read or write needs a bucket"), true
			}
		case "fullaccess":
			if str(g, "bucket") != "" {
				return problem(http.StatusBadRequest, "fullaccess is for all buckets"), true
			}
		default:
			return problem(http.StatusBadRequest, "permission is none of read, readwrite, fullaccess"), true
		}
	}
	return reply{}, false
}

func (s *Server) createSpacesKey(c *call) reply {
	if str(c.body, "name") == "" {
		return problem(http.StatusBadRequest, "name is required")
	}
	if rep, bad := badGrants(c.body); bad {
		return rep
	}
	if rep, bad := s.full("spaces_key"); bad {
		return rep
	}
	id := "DO00" + strings.ToUpper(s.hex(16))
	d := doc{"name": str(c.body, "name"), "access_key": id, "created_at": s.stamp(), "grants": list(c.body, "grants")}
	if d["grants"] == nil || len(list(d, "grants")) == 0 {
		d["grants"] = []any{}
	}
	o := s.add(c, &object{kind: "spaces_key", id: id, name: str(d, "name"), doc: d})
	// Kept only for who looks into the fake; no answer has it again.
	o.secret["secret_key"] = s.hex(43)
	return created(doc{"key": with(d, doc{"secret_key": o.secret["secret_key"]})})
}

// SpacesSecret is the secret of an access key, for an S3 server beside the fake.
func (s *Server) SpacesSecret(accessKey string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.find("spaces_key", accessKey); o != nil {
		return o.secret["secret_key"]
	}
	return ""
}

func (s *Server) updateSpacesKey(c *call, o *object) reply {
	if rep, bad := badGrants(c.body); bad {
		return rep
	}
	if name := str(c.body, "name"); name != "" {
		o.name, o.doc["name"] = name, name
	}
	if g, set := c.body["grants"]; set {
		o.doc["grants"] = g
	}
	return ok(doc{"key": o.doc})
}
