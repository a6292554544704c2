package fakedo

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (s *Server) domainRoutes() map[string]func(*call) reply {
	onDomain := func(do func(*call, *object) reply) func(*call) reply { return s.on("domain", "domain_name", do) }
	const record = "/v2/domains/{domain_name}/records/{domain_record_id}"
	return map[string]func(*call) reply{
		"GET /v2/domains":                        func(c *call) reply { return page(c, "domains", s.listed("domain", nil), docOf) },
		"POST /v2/domains":                       s.createDomain,
		"GET /v2/domains/{domain_name}":          onDomain(func(_ *call, o *object) reply { return ok(doc{"domain": domainDoc(o)}) }),
		"DELETE /v2/domains/{domain_name}":       onDomain(s.deleteDomain),
		"GET /v2/domains/{domain_name}/records":  onDomain(s.listRecords),
		"POST /v2/domains/{domain_name}/records": onDomain(s.createRecord),
		"GET " + record:                          onDomain(s.getRecord),
		"PUT " + record:                          onDomain(s.updateRecord),
		"PATCH " + record:                        onDomain(s.updateRecord),
		"DELETE " + record:                       onDomain(s.deleteRecord),
	}
}

func domainDoc(o *object) doc {
	var zone strings.Builder
	fmt.Fprintf(&zone, "$ORIGIN %s.\n$TTL 1800\n", o.name)
	for _, r := range o.parts["records"] {
		fmt.Fprintf(&zone, "%s %v IN %s %s\n", str(r, "name"), r["ttl"], str(r, "type"), str(r, "data"))
	}
	return with(o.doc, doc{"zone_file": zone.String()})
}

func (s *Server) createDomain(c *call) reply {
	name := strings.ToLower(str(c.body, "name"))
	if !strings.Contains(name, ".") {
		return refused("Name is not a valid domain")
	}
	if rep, bad := s.taken("domain", name, "Name already exists"); bad {
		return rep
	}
	o := s.add(c, &object{kind: "domain", id: name, name: name, doc: doc{"name": name, "ttl": 1800}})
	// Every zone begins with the records that make it a zone.
	s.addRecord(o, doc{"type": "SOA", "name": "@", "data": "1800", "ttl": 1800})
	for i := 1; i <= 3; i++ {
		s.addRecord(o, doc{"type": "NS", "name": "@", "data": fmt.Sprintf("ns%d.digitalocean.com", i), "ttl": 1800})
	}
	if ip := str(c.body, "ip_address"); ip != "" {
		s.addRecord(o, doc{"type": "A", "name": "@", "data": ip, "ttl": 3600})
	}
	return created(doc{"domain": with(o.doc, doc{"zone_file": nil})})
}

func (s *Server) deleteDomain(_ *call, o *object) reply {
	s.drop(o)
	return gone()
}

func (s *Server) addRecord(o *object, in doc) doc {
	r := defaults(in, doc{"priority": nil, "port": nil, "weight": nil, "flags": nil, "tag": nil, "ttl": 1800})
	r["id"] = s.number()
	o.parts["records"] = append(o.parts["records"], r)
	return r
}

func (s *Server) listRecords(c *call, o *object) reply {
	all := slices.DeleteFunc(slices.Clone(o.parts["records"]), func(r doc) bool {
		kind, name := c.query.Get("type"), c.query.Get("name")
		return kind != "" && str(r, "type") != kind || name != "" && fullName(o, r) != name
	})
	return page(c, "domain_records", all, func(r doc) any { return r })
}

// fullName is what the list's filter compares with: "www.example.com".
func fullName(o *object, r doc) string {
	if n := str(r, "name"); n != "@" {
		return n + "." + o.name
	}
	return o.name
}

func (s *Server) createRecord(c *call, o *object) reply {
	in := doc{}
	for k, v := range c.body {
		in[k] = v
	}
	if in["ttl"] == nil || num(in, "ttl") == 0 {
		delete(in, "ttl")
	}
	if what := badRecord(in); what != "" {
		return refused(what)
	}
	return created(doc{"domain_record": s.addRecord(o, in)})
}

func badRecord(r doc) string {
	kind, data := str(r, "type"), str(r, "data")
	if !slices.Contains([]string{"A", "AAAA", "CAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT"}, kind) {
		return "type " + kind + " is no record type"
	}
	if data == "" {
		return "Data can't be blank"
	}
	named := slices.Contains([]string{"CNAME", "MX", "NS", "SRV", "CAA"}, kind)
	if named && data != "@" && !strings.HasSuffix(data, ".") {
		return "Data needs to end with a dot (.)"
	}
	if ttl, set := r["ttl"]; set && ttl != nil && num(r, "ttl") < 30 {
		return "ttl must be at least 30"
	}
	return ""
}

func (s *Server) recordNamed(c *call, o *object) doc {
	for _, r := range o.parts["records"] {
		if strconv.Itoa(int(num(r, "id"))) == c.param("domain_record_id") {
			return r
		}
	}
	return nil
}

func (s *Server) getRecord(c *call, o *object) reply {
	if r := s.recordNamed(c, o); r != nil {
		return ok(doc{"domain_record": r})
	}
	return notFound()
}

func (s *Server) updateRecord(c *call, o *object) reply {
	r := s.recordNamed(c, o)
	if r == nil {
		return notFound()
	}
	next := with(r, c.body)
	if num(next, "ttl") == 0 {
		next["ttl"] = r["ttl"]
	}
	if what := badRecord(next); what != "" {
		return refused(what)
	}
	for k, v := range next {
		r[k] = v
	}
	return ok(doc{"domain_record": r})
}

func (s *Server) deleteRecord(c *call, o *object) reply {
	r := s.recordNamed(c, o)
	if r == nil {
		return notFound()
	}
	if str(r, "type") == "SOA" {
		return problem(http.StatusUnprocessableEntity, "the SOA record cannot be deleted")
	}
	o.parts["records"] = slices.DeleteFunc(o.parts["records"], func(e doc) bool { return num(e, "id") == num(r, "id") })
	return gone()
}
