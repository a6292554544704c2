package fakedo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A component is one part of an app's spec that is built or run.
type component struct {
	kind, name string
	spec       doc
}

var componentKinds = []struct{ key, kind string }{
	{"services", "service"}, {"static_sites", "static_site"}, {"workers", "worker"}, {"jobs", "job"}, {"functions", "functions"},
}

func components(spec doc) (out []component) {
	for _, k := range componentKinds {
		for _, c := range docs(spec, k.key) {
			out = append(out, component{k.kind, str(c, "name"), c})
		}
	}
	return out
}

// checkAppSpec finds what the service refuses although the description allows it.
func (s *Server) checkAppSpec(spec doc) string {
	bad := func(field, format string, args ...any) string {
		return fmt.Sprintf("error validating app spec field %q: ", field) + fmt.Sprintf(format, args...)
	}
	all := components(spec)
	if len(all) == 0 {
		return bad("spec", "at least one component is required")
	}
	var names []string
	for _, c := range all {
		if slices.Contains(names, c.name) {
			return bad("name", "component name %q is used twice", c.name)
		}
		names = append(names, c.name)
		if field, what := checkComponent(c); what != "" {
			return bad(c.kind+"s."+c.name+"."+field, "%s", what)
		}
		if name := s.unknownSecret(c.spec); name != "" {
			return bad(c.kind+"s."+c.name+".envs", "the encrypted value of %s cannot be read", name)
		}
	}
	if name := s.unknownSecret(spec); name != "" {
		return bad("envs", "the encrypted value of %s cannot be read", name)
	}
	if what := s.checkAppDatabases(spec); what != "" {
		return bad("databases", "%s", what)
	}
	for _, rule := range docs(sub(spec, "ingress"), "rules") {
		if target := sub(rule, "component"); target != nil && !slices.Contains(names, str(target, "name")) {
			return bad("ingress.rules", "component %q does not exist", str(target, "name"))
		}
	}
	return ""
}

var sourceKeys = []string{"image", "git", "github", "gitlab", "bitbucket"}

func checkComponent(c component) (field, what string) {
	sources := 0
	for _, key := range sourceKeys {
		if c.spec[key] != nil {
			sources++
		}
	}
	if sources != 1 {
		return "source", "exactly one source of image, git, github, gitlab, bitbucket is required"
	}
	if image := sub(c.spec, "image"); image != nil {
		if str(image, "repository") == "" || str(image, "registry_type") == "" {
			return "image", "repository and registry_type are required"
		}
		if str(image, "tag") != "" && str(image, "digest") != "" {
			return "image", "tag and digest exclude each other"
		}
		if str(image, "registry_type") == "DOCR" && str(image, "registry") != "" {
			return "image.registry", "registry must be left empty for DOCR images"
		}
	}
	if num(c.spec, "instance_count") > 1 && isSingle(str(c.spec, "instance_size_slug")) {
		return "instance_count", "an instance count greater than 1 is not allowed for " + defaultTo(str(c.spec, "instance_size_slug"), appSizes[0].slug)
	}
	if sub(c.spec, "autoscaling") != nil && !strings.HasPrefix(str(c.spec, "instance_size_slug"), "apps-d-") {
		return "autoscaling", "autoscaling needs a dedicated instance size"
	}
	return "", ""
}

func isSingle(slug string) bool {
	for _, z := range appSizes {
		if z.slug == slug {
			return z.single
		}
	}
	return slug == "" || strings.HasPrefix(slug, "basic-")
}

func (s *Server) checkAppDatabases(spec doc) string {
	for _, d := range docs(spec, "databases") {
		name := str(d, "cluster_name")
		if !flag(d, "production") || name == "" {
			continue
		}
		o := s.named("database", name)
		if o == nil {
			return fmt.Sprintf("database cluster %q does not exist", name)
		}
		if user := str(d, "db_user"); user != "" && partNamed(o, "users", user) == nil {
			return fmt.Sprintf("database cluster %q has no user %q", name, user)
		}
		if db := str(d, "db_name"); db != "" && partNamed(o, "dbs", db) == nil {
			return fmt.Sprintf("database cluster %q has no database %q", name, db)
		}
	}
	return ""
}

// unknownSecret names a variable whose value is encrypted, but not by this service.
func (s *Server) unknownSecret(d doc) string {
	for _, e := range docs(d, "envs") {
		v := str(e, "value")
		if _, known := s.ciphers[v]; str(e, "type") == "SECRET" && strings.HasPrefix(v, "EV[") && !known {
			return str(e, "key")
		}
	}
	return ""
}

// completeSpec sets what the service sets: defaults, encrypted secrets and
// the ingress that deprecated routes mean.
func (s *Server) completeSpec(spec doc) {
	defaults(spec, doc{"region": "nyc"})
	s.encrypt(spec)
	for _, c := range components(spec) {
		s.encrypt(c.spec)
		if image := sub(c.spec, "image"); image != nil && str(image, "digest") == "" {
			defaults(image, doc{"tag": "latest"})
		}
		switch c.kind {
		case "service", "worker", "job":
			defaults(c.spec, doc{"instance_size_slug": appSizes[0].slug})
			if sub(c.spec, "autoscaling") == nil {
				defaults(c.spec, doc{"instance_count": 1})
			}
		}
		if c.kind == "service" && list(c.spec, "internal_ports") == nil {
			defaults(c.spec, doc{"http_port": 8080})
		}
		if c.kind == "job" {
			defaults(c.spec, doc{"kind": "POST_DEPLOY"})
		}
	}
	s.completeIngress(spec)
}

func (s *Server) completeIngress(spec doc) {
	if len(docs(sub(spec, "ingress"), "rules")) > 0 {
		return
	}
	var rules []any
	for _, c := range components(spec) {
		if c.kind != "service" && c.kind != "static_site" || c.spec["internal_ports"] != nil && c.spec["http_port"] == nil {
			continue
		}
		routes := docs(c.spec, "routes")
		if len(routes) == 0 {
			routes = []doc{{"path": "/"}}
			if len(rules) > 0 {
				routes[0]["path"] = "/" + c.name
			}
		}
		for _, r := range routes {
			rules = append(rules, doc{"match": doc{"path": doc{"prefix": str(r, "path")}}, "component": doc{"name": c.name}})
		}
		delete(c.spec, "routes")
	}
	if len(rules) > 0 {
		spec["ingress"] = with(sub(spec, "ingress"), doc{"rules": rules})
	}
}

// encrypt hides the values of secrets: a client never sees them again.
func (s *Server) encrypt(d doc) {
	for _, e := range docs(d, "envs") {
		defaults(e, doc{"scope": "RUN_AND_BUILD_TIME"})
		if v := str(e, "value"); str(e, "type") == "SECRET" && v != "" && !strings.HasPrefix(v, "EV[") {
			cipher := fmt.Sprintf("EV[1:%s:%s]", s.hex(32), s.hex(48))
			s.ciphers[cipher] = v
			e["value"] = cipher
		}
	}
}

func deepCopy(d doc) (out doc) {
	data, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		panic("fakedo: copy: " + err.Error())
	}
	return out
}
