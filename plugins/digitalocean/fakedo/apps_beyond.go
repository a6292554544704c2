package fakedo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// What the description leaves out of an app's spec although the service has it,
// as DigitalOcean's reference of app specs says and the official client sends:
// alerts (the description has their schema and names it nowhere but in
// functions), the network (which it calls read-only), and a token alone for
// Logtail (of which it requires a field that it does not list). All of it is
// checked here, and the rest against the description.

// beyond takes that out of a request to App Platform, and says what is wrong
// with it.
func (s *Server) beyond(o *operation, body []byte) (rest []byte, wrong string) {
	if !strings.HasPrefix(o.path, "/v2/apps") || !slices.Contains([]string{"POST", "PUT"}, strings.Fields(o.pattern)[0]) {
		return body, ""
	}
	var d doc
	if json.Unmarshal(body, &d) != nil || sub(d, "spec") == nil {
		return body, ""
	}
	if wrong := s.checkBeyond(sub(d, "spec")); wrong != "" {
		return body, wrong
	}
	return withoutBeyond(d, body), ""
}

func (s *Server) checkBeyond(spec doc) string {
	holders := []doc{spec}
	for _, c := range components(spec) {
		holders = append(holders, c.spec)
	}
	for _, h := range holders {
		for i, a := range list(h, "alerts") {
			if wrong := s.checkAgainst("app_alert_spec", a, fmt.Sprintf("alerts[%d]", i)); wrong != "" {
				return wrong
			}
		}
		for _, l := range docs(h, "log_destinations") {
			if t := sub(l, "logtail"); t != nil && (len(t) != 1 || str(t, "token") == "") {
				return "logtail has a token and nothing else"
			}
		}
	}
	if vpc, set := spec["vpc"]; set {
		v, _ := vpc.(doc)
		if len(v) != 1 || !uuidForm.MatchString(str(v, "id")) {
			return "vpc has an id, which is a UUID, and nothing else"
		}
	}
	return ""
}

// checkAgainst holds a value against a schema of the description.
func (s *Server) checkAgainst(schema string, value any, where string) string {
	ref := s.opts.Spec.doc.Components.Schemas[schema]
	if ref == nil {
		return "the description has no schema " + schema
	}
	if err := ref.Value.VisitJSON(value); err != nil {
		return where + ": " + brief(err)
	}
	if extra := unlisted(value, where, ref); len(extra) > 0 {
		return "fields that the description does not list: " + strings.Join(extra, ", ")
	}
	return ""
}

// withoutBeyond is JSON whose specs lack what the description does.
func withoutBeyond(d any, raw []byte) []byte {
	stripSpecs(d)
	out, err := json.Marshal(d)
	if err != nil {
		return raw
	}
	return out
}

func stripSpecs(v any) {
	switch v := v.(type) {
	case doc:
		for key, e := range v {
			if spec, ok := e.(doc); ok && key == "spec" {
				stripSpec(spec)
			} else {
				stripSpecs(e)
			}
		}
	case []any:
		for _, e := range v {
			stripSpecs(e)
		}
	}
}

func stripSpec(spec doc) {
	delete(spec, "alerts")
	delete(spec, "vpc")
	for _, c := range components(spec) {
		if c.kind != "functions" {
			delete(c.spec, "alerts")
		}
		for _, l := range docs(c.spec, "log_destinations") {
			delete(l, "logtail")
		}
	}
}
