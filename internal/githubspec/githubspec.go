// Package githubspec holds servers that stand for GitHub's API to GitHub's own
// public description of it.
package githubspec

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Description is GitHub's.
type Description struct {
	doc    *openapi3.T
	router routers.Router
}

// load reads the file once: it has 12 MB.
var load = sync.OnceValues(func() (*Description, error) {
	file, err := find()
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	router, err := gorillamux.NewRouter(doc)
	return &Description{doc, router}, err
})

// Load returns the description; it skips the test where there is none, and
// fails it under CI=true.
func Load(t testing.TB) *Description {
	t.Helper()
	d, err := load()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("GitHub's description is not there (set WFCTL_SPECS): %v", err)
	}
	if err != nil {
		t.Fatalf("GitHub's description: %v", err)
	}
	return d
}

// find looks beside the repository, or where WFCTL_SPECS says.
func find() (string, error) {
	dir := os.Getenv("WFCTL_SPECS")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			return "", err
		}
		for root != filepath.Dir(root) {
			if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
				break
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "specs")
	}
	file := filepath.Join(dir, "github.json")
	_, err := os.Stat(file)
	return file, err
}

// Example returns one of the description's examples.
func (d *Description) Example(name string) any {
	e := d.doc.Components.Examples[name]
	if e == nil || e.Value == nil {
		return nil
	}
	return e.Value.Value
}

// Check compares the requests that reach a handler below /api/v3, and its
// answers, with the description; what that rejects fails the test. Answers
// with one of the statuses in free are not described.
func (d *Description) Check(t testing.TB, next http.Handler, free ...int) http.Handler {
	free = append(free, http.StatusForbidden) // the description leaves the limit out
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		asked := r.Clone(r.Context())
		asked.Body = io.NopCloser(bytes.NewReader(body))
		asked.URL = &url.URL{Scheme: "https", Host: "api.github.com", Path: strings.TrimPrefix(r.URL.Path, "/api/v3"), RawQuery: r.URL.RawQuery}
		asked.Host = "api.github.com"
		route, params, err := d.router.FindRoute(asked)
		if err != nil {
			t.Errorf("GitHub has no %s %s: %v", r.Method, asked.URL.Path, err)
			http.Error(w, "no route", http.StatusNotFound)
			return
		}
		in := &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route, Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
		}}
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			t.Errorf("GitHub would reject %s %s: %v", r.Method, asked.URL.Path, err)
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		answer := rec.Body.Bytes()
		out := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Body: io.NopCloser(bytes.NewReader(answer)), Options: in.Options,
		}
		if !slices.Contains(free, rec.Code) {
			if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
				t.Errorf("GitHub would not answer %s %s so: %v", r.Method, asked.URL.Path, err)
			}
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(answer)
	})
}
