package fakedo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// violate remembers what broke the description.
func (s *Server) violate(r *http.Request, what string) {
	s.violations = append(s.violations, fmt.Sprintf("%s %s: %s", r.Method, r.URL.RequestURI(), what))
}

// Violations lists every request and every answer that broke the description,
// and every request for which the fake has no code.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// ForgetViolations is for a test that broke the description on purpose.
func (s *Server) ForgetViolations() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = nil
}

func (s *Server) input(r *http.Request, o *operation, body []byte, params map[string]string) *openapi3filter.RequestValidationInput {
	r = r.Clone(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params,
		Route: &routers.Route{Spec: s.opts.Spec.doc, Path: o.path, PathItem: o.item, Method: r.Method, Operation: o.op},
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			// A default that is filled in would be a change of what was asked.
			SkipSettingDefaults:        true,
			ExcludeReadOnlyValidations: s.opts.TakeReadOnly,
		},
	}
}

// checkRequest refuses what the description does not allow.
func (s *Server) checkRequest(r *http.Request, o *operation, body []byte, params map[string]string) (doc, reply, bool) {
	refuse := func(status int, what string) (doc, reply, bool) {
		s.violate(r, "request: "+what)
		return nil, problem(status, what), true
	}
	if strings.HasPrefix(o.path, "/v2/apps") && !strings.Contains(r.Header.Get("Accept"), "application/json") {
		return refuse(http.StatusUnprocessableEntity, "unsupported Accept header: App Platform answers application/json")
	}
	if what := badPath(o, params); what != "" {
		return refuse(http.StatusBadRequest, what)
	}
	if what := unlistedQuery(r, o); what != "" {
		return refuse(http.StatusUnprocessableEntity, what)
	}
	rest, what := s.beyond(o, body)
	if what != "" {
		return refuse(http.StatusUnprocessableEntity, what)
	}
	in := s.input(r, o, rest, params)
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil && r.Context().Err() == nil {
		return refuse(http.StatusUnprocessableEntity, brief(err))
	}
	decoded, err := decode(body)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	if decoded == nil {
		return doc{}, reply{}, false
	}
	if o.op.RequestBody == nil {
		return refuse(http.StatusUnprocessableEntity, "the description has no body here")
	}
	media := o.op.RequestBody.Value.Content.Get("application/json")
	if media == nil {
		return refuse(http.StatusUnprocessableEntity, "the description has no JSON body here")
	}
	described, err := decode(rest)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	if extra := unlisted(described, "body", media.Schema); len(extra) > 0 {
		return refuse(http.StatusUnprocessableEntity, "fields that the description does not list: "+strings.Join(extra, ", "))
	}
	return decoded, reply{}, false
}

func decode(body []byte) (doc, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	var d doc
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("the body is no JSON object: %w", err)
	}
	return d, nil
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// badPath looks at formats, which kin-openapi does not check.
func badPath(o *operation, params map[string]string) string {
	for _, list := range []openapi3.Parameters{o.item.Parameters, o.op.Parameters} {
		for _, p := range list {
			if p.Value.In != "path" || p.Value.Schema == nil {
				continue
			}
			if v := params[p.Value.Name]; p.Value.Schema.Value.Format == "uuid" && !uuidForm.MatchString(v) {
				return fmt.Sprintf("the path's %s is %q and not a UUID", p.Value.Name, v)
			}
		}
	}
	return ""
}

// unlistedQuery lets pass what the official client sends and the real service
// takes although the description is silent: paging with every list, the choice
// of a component's last lines of log, and what a registry's credentials allow.
func unlistedQuery(r *http.Request, o *operation) string {
	known := []string{"page", "per_page", "tail_lines", "component_name", "read_write", "expiry_seconds"}
	for _, list := range []openapi3.Parameters{o.item.Parameters, o.op.Parameters} {
		for _, p := range list {
			known = append(known, p.Value.Name)
		}
	}
	for name := range r.URL.Query() {
		if !slices.Contains(known, name) {
			return "the description lists no query parameter " + name
		}
	}
	return ""
}

// checkReply holds the fake itself to the description.
func (s *Server) checkReply(r *http.Request, o *operation, rep reply) {
	if rep.status == http.StatusNotImplemented {
		return
	}
	raw, _ := rep.body.(json.RawMessage)
	if d, err := decode(raw); err == nil && d != nil && strings.HasPrefix(o.path, "/v2/apps") {
		raw = withoutBeyond(d, raw)
	}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	if t := rep.header.Get("Content-Type"); t != "" {
		header.Set("Content-Type", t)
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: s.input(r, o, nil, nil), Status: rep.status, Header: header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	in.SetBodyBytes(raw)
	if err := openapi3filter.ValidateResponse(context.WithoutCancel(r.Context()), in); err != nil {
		s.violate(r, fmt.Sprintf("answer %d: %s", rep.status, brief(err)))
		return
	}
	if !rep.unlistedFine {
		s.checkReplyFields(r, o, rep.status, raw)
	}
}

func (s *Server) checkReplyFields(r *http.Request, o *operation, status int, raw json.RawMessage) {
	response := o.op.Responses.Status(status)
	if response == nil {
		response = o.op.Responses.Default()
	}
	if response == nil || response.Value.Content == nil || len(raw) == 0 {
		return
	}
	media := response.Value.Content.Get("application/json")
	decoded, err := decode(raw)
	if media == nil || err != nil {
		return
	}
	if extra := unlisted(decoded, "answer", media.Schema); len(extra) > 0 {
		s.violate(r, fmt.Sprintf("answer %d: fields that the description does not list: %s", status, strings.Join(extra, ", ")))
	}
}

// brief is an error of kin-openapi without the schemas and values that it prints.
func brief(err error) string {
	where := ""
	var re *openapi3filter.RequestError
	if errors.As(err, &re) && re.Parameter != nil {
		where = "parameter " + re.Parameter.Name + ": "
	}
	var deepest *openapi3.SchemaError
	for e := err; ; {
		var se *openapi3.SchemaError
		if !errors.As(e, &se) {
			break
		}
		deepest = se
		if se.Origin == nil {
			break
		}
		e = se.Origin
	}
	if deepest == nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return first
	}
	return where + "/" + strings.Join(deepest.JSONPointer(), "/") + ": " + deepest.Reason
}
