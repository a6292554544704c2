package fakedo

import (
	"fmt"
	"slices"
	"time"
)

const balancerStarts = time.Minute

func (s *Server) balancerRoutes() map[string]func(*call) reply {
	on := func(do func(*call, *object) reply) func(*call) reply { return s.on("load_balancer", "lb_id", do) }
	const one = "/v2/load_balancers/{lb_id}"
	return map[string]func(*call) reply{
		"GET /v2/load_balancers":              func(c *call) reply { return page(c, "load_balancers", s.listed("load_balancer", nil), docOf) },
		"POST /v2/load_balancers":             s.createBalancer,
		"GET " + one:                          on(func(_ *call, o *object) reply { return ok(doc{"load_balancer": o.doc}) }),
		"PUT " + one:                          on(s.updateBalancer),
		"DELETE " + one:                       on(s.deleteKey),
		"POST " + one + "/droplets":           on(s.balancerDroplets(true)),
		"DELETE " + one + "/droplets":         on(s.balancerDroplets(false)),
		"POST " + one + "/forwarding_rules":   on(s.balancerRules(true)),
		"DELETE " + one + "/forwarding_rules": on(s.balancerRules(false)),
	}
}

func (s *Server) createBalancer(c *call) reply {
	name, region := str(c.body, "name"), str(c.body, "region")
	if rep, bad := invalidRegion(region); bad {
		return rep
	}
	if rep, bad := s.taken("load_balancer", name, "name has already been taken"); bad {
		return rep
	}
	if rep, bad := s.badBalancer(c.body); bad {
		return rep
	}
	if rep, bad := s.full("load_balancer"); bad {
		return rep
	}
	vpc, rep, bad := s.network(str(c.body, "vpc_uuid"), region)
	if bad {
		return rep
	}
	project, rep, bad := s.projectFor(str(c.body, "project_id"))
	if bad {
		return rep
	}
	id, n := s.uuid(), s.number()
	o := &object{kind: "load_balancer", id: id, name: name, vpc: vpc, project: project, doc: doc{
		"id": id, "created_at": s.stamp(), "status": "new", "ip": "", "region": regionDoc(region), "vpc_uuid": vpc, "project_id": project,
	}}
	setBalancer(o, c.body)
	s.add(c, o)
	s.after(balancerStarts, func(time.Time) {
		o.doc["status"], o.doc["ip"] = "active", fmt.Sprintf("198.51.%d.%d", n/250%250, n%250+1)
	})
	return accepted(doc{"load_balancer": o.doc})
}

// setBalancer replaces all that a client may set, with the service's defaults.
func setBalancer(o *object, in doc) {
	fixed := pick(o.doc, "id", "created_at", "status", "ip", "ipv6", "region", "vpc_uuid", "project_id")
	d := with(in, fixed)
	defaults(d, doc{
		"algorithm": "round_robin", "size_unit": 1, "size": "lb-small", "droplet_ids": []any{}, "tag": "", "redirect_http_to_https": false, "enable_proxy_protocol": false,
		"enable_backend_keepalive": false, "disable_lets_encrypt_dns_records": false, "http_idle_timeout_seconds": 60, "type": "REGIONAL", "network": "EXTERNAL",
		"network_stack": "IPV4", "tls_cipher_policy": "DEFAULT", "sticky_sessions": doc{"type": "none"},
		"health_check": doc{"protocol": "tcp", "port": 80, "path": "", "check_interval_seconds": 10, "response_timeout_seconds": 5, "unhealthy_threshold": 3, "healthy_threshold": 5},
	})
	for _, r := range docs(d, "forwarding_rules") {
		defaults(r, doc{"certificate_id": "", "tls_passthrough": false})
	}
	o.name, o.doc = str(d, "name"), d
}

func (s *Server) badBalancer(in doc) (reply, bool) {
	for _, r := range docs(in, "forwarding_rules") {
		cert := str(r, "certificate_id")
		if cert == "" {
			if p := str(r, "entry_protocol"); (p == "https" || p == "http2") && !flag(r, "tls_passthrough") {
				return refused("forwarding rule for " + p + " needs a certificate or tls_passthrough"), true
			}
			continue
		}
		if o := s.find("certificate", cert); o == nil || str(o.doc, "state") != "verified" {
			return refused("certificate " + cert + " does not exist or is not verified"), true
		}
	}
	for _, id := range list(in, "droplet_ids") {
		if s.find("droplet", idText(id)) == nil {
			return refused("a Droplet that the load balancer names does not exist"), true
		}
	}
	return reply{}, false
}

func (s *Server) updateBalancer(c *call, o *object) reply {
	if other := s.named("load_balancer", str(c.body, "name")); other != nil && other != o {
		return refused("name has already been taken")
	}
	if rep, bad := s.badBalancer(c.body); bad {
		return rep
	}
	if region := str(c.body, "region"); region != str(sub(o.doc, "region"), "slug") {
		return refused("the region of a load balancer cannot be changed")
	}
	setBalancer(o, c.body)
	return ok(doc{"load_balancer": o.doc})
}

func (s *Server) balancerDroplets(add bool) func(*call, *object) reply {
	return func(c *call, o *object) reply {
		if str(o.doc, "tag") != "" {
			return refused("the load balancer chooses its Droplets by tag")
		}
		if rep, bad := s.badBalancer(c.body); bad {
			return rep
		}
		return s.changeList(o, "droplet_ids", list(c.body, "droplet_ids"), add)
	}
}

func (s *Server) balancerRules(add bool) func(*call, *object) reply {
	return func(c *call, o *object) reply {
		if rep, bad := s.badBalancer(c.body); bad {
			return rep
		}
		change := list(c.body, "forwarding_rules")
		for _, r := range docs(c.body, "forwarding_rules") {
			defaults(r, doc{"certificate_id": "", "tls_passthrough": false})
		}
		left := slices.DeleteFunc(slices.Clone(list(o.doc, "forwarding_rules")), func(e any) bool {
			return slices.ContainsFunc(change, func(x any) bool { return same(e, x) })
		})
		if !add && len(left) == 0 {
			return refused("a load balancer needs at least one forwarding rule")
		}
		return s.changeList(o, "forwarding_rules", change, add)
	}
}
