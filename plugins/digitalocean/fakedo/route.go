package fakedo

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// An operation is a method and a path of the description.
type operation struct {
	pattern string // "GET /v2/vpcs/{vpc_id}"
	path    string
	parts   []string
	item    *openapi3.PathItem
	op      *openapi3.Operation
}

// operations lays out the description by method and number of path segments.
// The standard library's mux refuses the description, which has both
// /v2/volumes/snapshots/{id} and /v2/volumes/{id}/snapshots.
func operations(d *openapi3.T) map[string]map[int][]*operation {
	all := map[string]map[int][]*operation{}
	for path, item := range d.Paths.Map() {
		for method, op := range item.Operations() {
			o := &operation{pattern: method + " " + path, path: path, parts: strings.Split(path, "/"), item: item, op: op}
			if all[method] == nil {
				all[method] = map[int][]*operation{}
			}
			all[method][len(o.parts)] = append(all[method][len(o.parts)], o)
		}
	}
	return all
}

func isParam(part string) bool { return strings.HasPrefix(part, "{") }

// match finds the operation that a request is for, and its parameters. Of
// several, the one whose fixed segments come first wins.
func (s *Spec) match(r *http.Request) (*operation, map[string]string) {
	parts := strings.Split(r.URL.EscapedPath(), "/")
	var best *operation
	for _, o := range s.operations[r.Method][len(parts)] {
		if o.matches(parts) && (best == nil || o.before(best)) {
			best = o
		}
	}
	if best == nil {
		return nil, nil
	}
	params := map[string]string{}
	for i, p := range best.parts {
		if !isParam(p) {
			continue
		}
		value, err := url.PathUnescape(parts[i])
		if err != nil {
			return nil, nil
		}
		params[strings.Trim(p, "{}")] = value
	}
	return best, params
}

func (o *operation) matches(parts []string) bool {
	for i, p := range o.parts {
		if p != parts[i] && (!isParam(p) || parts[i] == "") {
			return false
		}
	}
	return true
}

func (o *operation) before(other *operation) bool {
	for i, p := range o.parts {
		if isParam(p) != isParam(other.parts[i]) {
			return !isParam(p)
		}
	}
	return false
}
