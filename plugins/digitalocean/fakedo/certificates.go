package fakedo

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"time"
)

const certificateIssues = time.Minute

func (s *Server) certificateRoutes() map[string]func(*call) reply {
	return map[string]func(*call) reply{
		"GET /v2/certificates":                     s.listCertificates,
		"POST /v2/certificates":                    s.createCertificate,
		"GET /v2/certificates/{certificate_id}":    s.on("certificate", "certificate_id", func(_ *call, o *object) reply { return ok(doc{"certificate": o.doc}) }),
		"DELETE /v2/certificates/{certificate_id}": s.on("certificate", "certificate_id", s.deleteCertificate),
	}
}

func (s *Server) listCertificates(c *call) reply {
	name := c.query.Get("name")
	return page(c, "certificates", s.listed("certificate", func(o *object) bool { return name == "" || o.name == name }), docOf)
}

func (s *Server) createCertificate(c *call) reply {
	name := str(c.body, "name")
	if rep, bad := s.taken("certificate", name, "Certificate name has already been taken"); bad {
		return rep
	}
	id, kind := s.uuid(), defaultTo(str(c.body, "type"), "custom")
	d := doc{"id": id, "name": name, "type": kind, "created_at": s.stamp(), "not_after": stamp(s.now.AddDate(0, 3, 0))}
	switch kind {
	case "lets_encrypt":
		if rep, bad := s.unmanaged(texts(c.body, "dns_names")); bad {
			return rep
		}
		d["dns_names"], d["state"], d["sha1_fingerprint"] = list(c.body, "dns_names"), "pending", ""
		s.after(certificateIssues, func(time.Time) { d["state"], d["sha1_fingerprint"] = "verified", s.hex(40) })
	default:
		block, _ := pem.Decode([]byte(str(c.body, "leaf_certificate")))
		if key, _ := pem.Decode([]byte(str(c.body, "private_key"))); block == nil || key == nil {
			return refused("The certificate and the private key must be PEM-encoded")
		}
		sum := sha1.Sum(block.Bytes)
		d["dns_names"], d["state"], d["sha1_fingerprint"] = []any{}, "verified", hex.EncodeToString(sum[:])
	}
	return created(doc{"certificate": s.add(c, &object{kind: "certificate", id: id, name: name, doc: d}).doc})
}

// unmanaged refuses a name whose zone is not in the account: Let's Encrypt
// is answered through its DNS.
func (s *Server) unmanaged(names []string) (reply, bool) {
	for _, name := range names {
		zone := func(o *object) bool { return name == o.name || strings.HasSuffix(name, "."+o.name) }
		if !slices.ContainsFunc(s.shelf("domain").objects, zone) {
			return refused("The domain " + name + " is not managed by DigitalOcean's DNS"), true
		}
	}
	if len(names) == 0 {
		return refused("dns_names is required"), true
	}
	return reply{}, false
}

func (s *Server) deleteCertificate(_ *call, o *object) reply {
	for _, lb := range s.shelf("load_balancer").objects {
		for _, rule := range docs(lb.doc, "forwarding_rules") {
			if str(rule, "certificate_id") == o.id {
				return problem(http.StatusForbidden, "Make sure the certificate is not in use before deleting it")
			}
		}
	}
	s.drop(o)
	return gone()
}
