package fakedo

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// doc is a JSON object, as the API shows it.
type doc = map[string]any

// rawText is a body that is no JSON.
type rawText string

// A reply is what a handler answers.
type reply struct {
	status int
	body   any
	header http.Header
	// unlistedFine is for an answer that is knowingly unlike the description.
	unlistedFine bool
}

func ok(body doc) reply       { return reply{status: http.StatusOK, body: body} }
func created(body doc) reply  { return reply{status: http.StatusCreated, body: body} }
func accepted(body doc) reply { return reply{status: http.StatusAccepted, body: body} }
func gone() reply             { return reply{status: http.StatusNoContent} }

// problem is DigitalOcean's error body; the request's id is added when it is sent.
func problem(status int, message string) reply {
	return reply{status: status, body: doc{"id": problemID(status), "message": message}}
}

func notFound() reply {
	return problem(http.StatusNotFound, "The resource you were accessing could not be found.")
}

func refused(message string) reply { return problem(http.StatusUnprocessableEntity, message) }

func problemID(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "bad_request"
	case http.StatusUnauthorized:
		return "Unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusConflict:
		return "conflict"
	case http.StatusPreconditionFailed:
		return "precondition_failed"
	case http.StatusUnprocessableEntity:
		return "unprocessable_entity"
	case http.StatusTooManyRequests:
		return "too_many_requests"
	}
	return "server_error"
}

// A call is one request that passed all checks.
type call struct {
	req    *http.Request
	body   doc
	query  url.Values
	base   string // scheme and host that the client used
	params map[string]string
	lag    int // reads for which what is made stays hidden
}

func (c *call) param(name string) string { return c.params[name] }

// Helpers to read decoded JSON without a cast at every use.

func str(d doc, key string) string { v, _ := d[key].(string); return v }

func num(d doc, key string) float64 {
	switch v := d[key].(type) {
	case float64:
		return v
	case int:
		return float64(v)
	}
	return 0
}

// idText is an identifier that JSON may have as a number.
func idText(id any) string {
	switch v := id.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.Itoa(int(v))
	}
	return ""
}

func flag(d doc, key string) bool { v, _ := d[key].(bool); return v }

func sub(d doc, key string) doc { v, _ := d[key].(doc); return v }

func list(d doc, key string) []any { v, _ := d[key].([]any); return v }

func docs(d doc, key string) (out []doc) {
	for _, e := range list(d, key) {
		if m, ok := e.(doc); ok {
			out = append(out, m)
		}
	}
	return out
}

func texts(d doc, key string) (out []string) {
	for _, e := range list(d, key) {
		if t, ok := e.(string); ok {
			out = append(out, t)
		}
	}
	return out
}

func anys[T any](in []T) []any {
	out := make([]any, 0, len(in))
	for _, e := range in {
		out = append(out, e)
	}
	return out
}

// pick copies the named fields that are present.
func pick(d doc, keys ...string) doc {
	out := doc{}
	for _, k := range keys {
		if v, ok := d[k]; ok {
			out[k] = v
		}
	}
	return out
}

// with adds fields to a copy.
func with(d doc, more doc) doc {
	out := make(doc, len(d)+len(more))
	for k, v := range d {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// defaults sets the fields that are absent.
func defaults(d doc, more doc) doc {
	for k, v := range more {
		if _, set := d[k]; !set {
			d[k] = v
		}
	}
	return d
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
