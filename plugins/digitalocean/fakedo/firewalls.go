package fakedo

import (
	"net/http"
	"reflect"
	"slices"
	"time"
)

const firewallApplies = 10 * time.Second

func (s *Server) firewallRoutes() map[string]func(*call) reply {
	on := func(do func(*call, *object) reply) func(*call) reply { return s.on("firewall", "firewall_id", do) }
	const one = "/v2/firewalls/{firewall_id}"
	return map[string]func(*call) reply{
		"GET /v2/firewalls":           func(c *call) reply { return page(c, "firewalls", s.listed("firewall", nil), docOf) },
		"POST /v2/firewalls":          s.createFirewall,
		"GET " + one:                  on(func(_ *call, o *object) reply { return ok(doc{"firewall": o.doc}) }),
		"PUT " + one:                  on(s.updateFirewall),
		"DELETE " + one:               on(s.deleteKey),
		"POST " + one + "/droplets":   on(s.firewallDroplets(true)),
		"DELETE " + one + "/droplets": on(s.firewallDroplets(false)),
		"POST " + one + "/tags":       on(s.firewallTags(true)),
		"DELETE " + one + "/tags":     on(s.firewallTags(false)),
		"POST " + one + "/rules":      on(s.firewallRules(true)),
		"DELETE " + one + "/rules":    on(s.firewallRules(false)),
	}
}

func (s *Server) createFirewall(c *call) reply {
	name := str(c.body, "name")
	if s.named("firewall", name) != nil {
		return problem(http.StatusConflict, "duplicate name")
	}
	if rep, bad := s.badFirewall(c.body); bad {
		return rep
	}
	id := s.uuid()
	o := &object{kind: "firewall", id: id, name: name, doc: doc{"id": id, "created_at": s.stamp()}}
	s.setFirewall(o, c.body)
	// Its tags are those of the droplets that it guards, not its own.
	s.add(c, o)
	return accepted(doc{"firewall": o.doc})
}

func (s *Server) setFirewall(o *object, in doc) {
	o.name = str(in, "name")
	for _, key := range []string{"inbound_rules", "outbound_rules", "droplet_ids", "tags"} {
		o.doc[key] = list(in, key)
		if o.doc[key] == nil || len(list(in, key)) == 0 {
			o.doc[key] = []any{}
		}
	}
	o.doc["name"] = o.name
	for _, r := range append(docs(o.doc, "inbound_rules"), docs(o.doc, "outbound_rules")...) {
		if p := str(r, "ports"); p == "all" || str(r, "protocol") == "icmp" {
			r["ports"] = "0"
		}
	}
	s.applyFirewall(o)
}

// applyFirewall spreads a change over the droplets, which takes a moment.
func (s *Server) applyFirewall(o *object) {
	pending := []any{}
	for _, id := range list(o.doc, "droplet_ids") {
		pending = append(pending, doc{"droplet_id": id, "removing": false, "status": "waiting"})
	}
	o.doc["status"], o.doc["pending_changes"] = "waiting", pending
	s.after(firewallApplies, func(time.Time) { o.doc["status"], o.doc["pending_changes"] = "succeeded", []any{} })
}

// badFirewall refuses what names things that are not there.
func (s *Server) badFirewall(in doc) (reply, bool) {
	targets := []doc{pick(in, "droplet_ids", "tags")}
	for _, r := range docs(in, "inbound_rules") {
		targets = append(targets, sub(r, "sources"))
	}
	for _, r := range docs(in, "outbound_rules") {
		targets = append(targets, sub(r, "destinations"))
	}
	for _, t := range targets {
		for _, id := range list(t, "droplet_ids") {
			if s.find("droplet", idText(id)) == nil {
				return refused("a Droplet that the firewall names does not exist"), true
			}
		}
		for _, tag := range texts(t, "tags") {
			if s.find("tag", tag) == nil {
				return refused("the tag " + tag + " does not exist"), true
			}
		}
		for _, id := range texts(t, "load_balancer_uids") {
			if s.find("load_balancer", id) == nil {
				return refused("the load balancer " + id + " does not exist"), true
			}
		}
		for _, id := range texts(t, "kubernetes_ids") {
			if s.find("kubernetes", id) == nil {
				return refused("the Kubernetes cluster " + id + " does not exist"), true
			}
		}
	}
	return reply{}, false
}

func (s *Server) updateFirewall(c *call, o *object) reply {
	if other := s.named("firewall", str(c.body, "name")); other != nil && other != o {
		return problem(http.StatusConflict, "duplicate name")
	}
	if rep, bad := s.badFirewall(c.body); bad {
		return rep
	}
	s.setFirewall(o, c.body)
	return ok(doc{"firewall": o.doc})
}

func (s *Server) firewallDroplets(add bool) func(*call, *object) reply {
	return func(c *call, o *object) reply {
		if rep, bad := s.badFirewall(pick(c.body, "droplet_ids")); bad {
			return rep
		}
		return s.changeList(o, "droplet_ids", list(c.body, "droplet_ids"), add)
	}
}

func (s *Server) firewallTags(add bool) func(*call, *object) reply {
	return func(c *call, o *object) reply {
		if rep, bad := s.badFirewall(pick(c.body, "tags")); bad {
			return rep
		}
		return s.changeList(o, "tags", list(c.body, "tags"), add)
	}
}

func (s *Server) firewallRules(add bool) func(*call, *object) reply {
	return func(c *call, o *object) reply {
		if rep, bad := s.badFirewall(c.body); bad {
			return rep
		}
		s.changeList(o, "inbound_rules", list(c.body, "inbound_rules"), add)
		return s.changeList(o, "outbound_rules", list(c.body, "outbound_rules"), add)
	}
}

// changeList adds to a list of an object, or takes from it.
func (s *Server) changeList(o *object, key string, change []any, add bool) reply {
	next := slices.DeleteFunc(list(o.doc, key), func(e any) bool {
		return slices.ContainsFunc(change, func(x any) bool { return same(e, x) })
	})
	if add {
		next = append(next, change...)
	}
	o.doc[key] = next
	if o.kind == "firewall" {
		s.applyFirewall(o)
	}
	return gone()
}

func same(a, b any) bool {
	if id := idText(a); id != "" {
		return id == idText(b)
	}
	return reflect.DeepEqual(a, b)
}

func (s *Server) listDropletFirewalls(c *call, d *object) reply {
	return page(c, "firewalls", s.listed("firewall", func(o *object) bool {
		byID := slices.ContainsFunc(list(o.doc, "droplet_ids"), func(e any) bool { return same(e, d.doc["id"]) })
		byTag := slices.ContainsFunc(texts(d.doc, "tags"), func(t string) bool { return slices.Contains(texts(o.doc, "tags"), t) })
		return byID || byTag
	}), docOf)
}
