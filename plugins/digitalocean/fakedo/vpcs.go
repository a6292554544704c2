package fakedo

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

func (s *Server) vpcRoutes() map[string]func(*call) reply {
	return map[string]func(*call) reply{
		"GET /v2/vpcs":                  func(c *call) reply { return page(c, "vpcs", s.listed("vpc", nil), docOf) },
		"POST /v2/vpcs":                 s.createVPC,
		"GET /v2/vpcs/{vpc_id}":         s.onVPC(func(_ *call, o *object) reply { return ok(doc{"vpc": o.doc}) }),
		"PUT /v2/vpcs/{vpc_id}":         s.onVPC(s.updateVPC),
		"PATCH /v2/vpcs/{vpc_id}":       s.onVPC(s.updateVPC),
		"DELETE /v2/vpcs/{vpc_id}":      s.onVPC(s.deleteVPC),
		"GET /v2/vpcs/{vpc_id}/members": s.onVPC(s.listVPCMembers),
	}
}

func (s *Server) onVPC(do func(*call, *object) reply) func(*call) reply {
	return s.on("vpc", "vpc_id", do)
}

// on finds the object that a path names.
func (s *Server) on(kind, param string, do func(*call, *object) reply) func(*call) reply {
	return func(c *call) reply {
		o := s.read(kind, c.param(param))
		if o == nil {
			return notFound()
		}
		return do(c, o)
	}
}

func (s *Server) createVPC(c *call) reply {
	if rep, bad := invalidRegion(str(c.body, "region")); bad {
		return rep
	}
	if rep, bad := s.taken("vpc", str(c.body, "name"), "name has already been taken"); bad {
		return rep
	}
	if rep, bad := s.full("vpc"); bad {
		return rep
	}
	ipRange := str(c.body, "ip_range")
	if ipRange == "" {
		ipRange = s.freeRange()
	} else if rep, bad := s.badRange(ipRange); bad {
		return rep
	}
	return created(doc{"vpc": s.addVPC(c, str(c.body, "name"), str(c.body, "region"), ipRange, str(c.body, "description")).doc})
}

func (s *Server) addVPC(c *call, name, region, ipRange, description string) *object {
	id := s.uuid()
	first := !slices.ContainsFunc(s.shelf("vpc").objects, func(o *object) bool { return str(o.doc, "region") == region })
	return s.add(c, &object{kind: "vpc", id: id, name: name, ours: c == nil, doc: doc{
		"id": id, "urn": "do:vpc:" + id, "name": name, "description": description, "region": region, "ip_range": ipRange,
		"default": c == nil && first, "created_at": s.stamp(),
	}})
}

// freeRange is the next private network that no VPC of the account has.
func (s *Server) freeRange() string {
	for i := 100; ; i++ {
		r := fmt.Sprintf("10.%d.%d.0/20", i/16, i%16*16)
		if _, bad := s.badRange(r); !bad {
			return r
		}
	}
}

func (s *Server) badRange(text string) (reply, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Masked() != p || !p.Addr().IsPrivate() || p.Bits() < 16 || p.Bits() > 28 {
		return refused("ip_range must be a private network of /16 to /28 in CIDR notation"), true
	}
	for _, o := range s.shelf("vpc").objects {
		if other, err := netip.ParsePrefix(str(o.doc, "ip_range")); err == nil && other.Overlaps(p) {
			return refused("This range/size overlaps with another VPC network in your account: " + o.name), true
		}
	}
	return reply{}, false
}

func (s *Server) updateVPC(c *call, o *object) reply {
	if name := str(c.body, "name"); name != "" && name != o.name {
		if rep, bad := s.taken("vpc", name, "name has already been taken"); bad {
			return rep
		}
		o.name, o.doc["name"] = name, name
	}
	if d, set := c.body["description"]; set {
		o.doc["description"] = d
	}
	if flag(c.body, "default") {
		for _, other := range s.shelf("vpc").objects {
			if str(other.doc, "region") == str(o.doc, "region") {
				other.doc["default"] = other == o
			}
		}
	}
	return ok(doc{"vpc": o.doc})
}

func (s *Server) deleteVPC(_ *call, o *object) reply {
	if flag(o.doc, "default") {
		return problem(http.StatusForbidden, "Can not delete default VPCs")
	}
	inApps := slices.ContainsFunc(s.shelf("app").objects, func(a *object) bool { return a.vpc == o.id })
	if inApps || len(s.members(o.id)) > 0 {
		return problem(http.StatusForbidden, "Can not delete VPC with members")
	}
	s.drop(o)
	return gone()
}

// members of a VPC are what has an address in it, and what had one until a
// moment ago.
func (s *Server) members(vpc string) (out []doc) {
	for _, kind := range []string{"database", "droplet", "kubernetes", "load_balancer"} {
		for _, o := range s.shelf(kind).objects {
			if o.vpc == vpc {
				out = append(out, doc{"urn": o.urn(), "name": o.name, "created_at": str(o.doc, "created_at")})
			}
		}
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(l leaving) bool { return !l.until.After(s.now) })
	for _, l := range s.leaving {
		if l.vpc == vpc && l.urn != "" && !strings.HasPrefix(l.urn, "do:app:") {
			out = append(out, doc{"urn": l.urn, "name": l.name, "created_at": l.since})
		}
	}
	return out
}

func (s *Server) listVPCMembers(c *call, o *object) reply {
	all := s.members(o.id)
	if kind := c.query.Get("resource_type"); kind != "" {
		all = slices.DeleteFunc(all, func(d doc) bool { return !strings.HasPrefix(str(d, "urn"), "do:"+kind+":") })
	}
	return page(c, "members", all, func(d doc) any { return d })
}

// network is the VPC that a new resource goes into: the one that it names,
// which must be in its region, else the region's default, made when needed.
func (s *Server) network(id, region string) (string, reply, bool) {
	if id != "" {
		o := s.find("vpc", id)
		if o == nil {
			return "", refused("The VPC " + id + " does not exist"), true
		}
		if str(o.doc, "region") != region {
			return "", refused("The VPC " + id + " is in the region " + str(o.doc, "region") + ", not " + region), true
		}
		return id, reply{}, false
	}
	for _, o := range s.shelf("vpc").objects {
		if str(o.doc, "region") == region && flag(o.doc, "default") {
			return o.id, reply{}, false
		}
	}
	o := s.addVPC(nil, "default-"+region, region, s.freeRange(), "")
	o.doc["default"] = true
	return o.id, reply{}, false
}
