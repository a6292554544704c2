// Package http is the step that makes one HTTP request.
package http

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false, "required": ["url"],
  "properties": {
    "url": {"type": "string"},
    "method": {"type": "string", "default": "GET"},
    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "body": {"description": "Text as it is; anything else as JSON."},
    "expect_status": {"type": "array", "items": {"type": ["integer", "string"]}, "default": ["2xx"]},
    "max_body": {"type": "integer", "minimum": 1, "default": 1048576, "description": "How many bytes of the answer are read; more is a failure."},
    "sensitive": {"type": "boolean", "default": false, "description": "The answer's body is secret: it is neither shown nor stored."}
  }
}`

type options struct {
	URL          string            `json:"url"`
	Method       string            `json:"method"`
	Headers      map[string]string `json:"headers"`
	Body         json.RawMessage   `json:"body"`
	ExpectStatus []any             `json:"expect_status"`
	MaxBody      int64             `json:"max_body"`
	Sensitive    bool              `json:"sensitive"`
}

// Kind is the step kind. A nil transport is the usual one.
func Kind(transport http.RoundTripper) step.Kind {
	return step.Define("make an HTTP request", schema, func(o options) (step.Step, error) {
		if o.Method == "" {
			o.Method = http.MethodGet
		}
		if o.MaxBody == 0 {
			o.MaxBody = 1 << 20
		}
		u, err := url.Parse(o.URL)
		if o.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return nil, fault.New(fault.Config, "the url is not an HTTP address").WithHint("write it as https://host/path")
		}
		return &request{o, &http.Client{Transport: transport, CheckRedirect: sameHost}}, nil
	})
}

// sameHost follows a few redirects, and none to another host: the headers may
// hold a secret.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 5 || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

type request struct {
	options
	client *http.Client
}

// Run implements step.Step.
func (r *request) Run(ctx context.Context, c *step.Context) (step.Result, error) {
	body, contentType := r.body()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(body))
	if err != nil {
		return step.Result{}, fault.New(fault.Config, "the request cannot be made: %s", c.Mask(err.Error()))
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("User-Agent", "wfctl")
	for k, v := range r.Headers {
		req.Header.Set(k, v)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return step.Result{}, masked{err, c}
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(io.LimitReader(res.Body, r.MaxBody+1))
	if err != nil {
		return step.Result{}, masked{fmt.Errorf("read the answer: %w", err), c}
	}
	if int64(len(raw)) > r.MaxBody {
		return step.Result{}, fault.New(fault.Config, "the answer has more than %d bytes", r.MaxBody).WithHint("raise max_body")
	}
	c.Log(fmt.Sprintf("%s %s: %s, %d bytes", r.Method, req.URL.Redacted(), res.Status, len(raw)))
	if !r.expected(res.StatusCode) {
		return step.Result{}, r.refused(res, raw, c)
	}
	return r.result(res, raw), nil
}

// masked is an error of the transport without the secrets of the request.
type masked struct {
	error
	c *step.Context
}

func (m masked) Error() string { return m.c.Mask(m.error.Error()) }
func (m masked) Unwrap() error { return m.error }

func (r *request) body() ([]byte, string) {
	var text string
	switch {
	case len(r.Body) == 0 || string(r.Body) == "null":
		return nil, ""
	case json.Unmarshal(r.Body, &text) == nil:
		return []byte(text), ""
	}
	return r.Body, "application/json"
}

func (r *request) expected(status int) bool {
	text := strconv.Itoa(status)
	if len(r.ExpectStatus) == 0 {
		return text[0] == '2'
	}
	return slices.ContainsFunc(r.ExpectStatus, func(want any) bool {
		s := strings.ToLower(fmt.Sprint(want))
		return s == text || s == text[:1]+"xx"
	})
}

// refused is the error of an answer that was not expected; one that says to
// come again is retryable.
func (r *request) refused(res *http.Response, raw []byte, c *step.Context) error {
	piece := ""
	if !r.Sensitive {
		piece = c.Mask(string(raw[:min(len(raw), 300)]))
	}
	err := fault.New(fault.Provider, "%s %s answers %s", r.Method, c.Mask(res.Request.URL.Redacted()), res.Status)
	if piece != "" {
		err = err.WithDetail(piece)
	}
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusRequestTimeout {
		return err
	}
	return step.Permanent(err)
}

func (r *request) result(res *http.Response, raw []byte) step.Result {
	out := step.Result{Outputs: map[string]any{"status": res.StatusCode, "body": string(raw)}}
	headers := map[string]any{}
	for k := range res.Header {
		if !strings.EqualFold(k, "Set-Cookie") {
			headers[strings.ToLower(k)] = res.Header.Get(k)
		}
	}
	out.Outputs["headers"] = headers
	var v any
	if json.Unmarshal(raw, &v) == nil {
		out.Outputs["json"] = v
	}
	if r.Sensitive {
		out.Sensitive = []string{"body", "json"}
	}
	return out
}
