package http_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/step"
	httpstep "github.com/gocodealone/wfctl/step/http"
)

func run(t *testing.T, o map[string]any, secrets ...string) (step.Result, error) {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := httpstep.Kind(nil).Prepare(raw)
	if err != nil {
		return step.Result{}, err
	}
	return s.Run(t.Context(), &step.Context{Secrets: secrets, Self: event.Discard})
}

func TestRequest(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Error("another host was asked", r.Header) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Set-Cookie", "session=1")
			_, _ = w.Write([]byte(`{"method": "` + r.Method + `", "type": "` + r.Header.Get("Content-Type") + `", "got": ` + string(body) + `}`))
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/busy":
			http.Error(w, "try hunter2 later", http.StatusServiceUnavailable)
		case "/gone":
			http.Error(w, "gone", http.StatusGone)
		case "/large":
			_, _ = w.Write(make([]byte, 1<<20))
		}
	}))
	defer server.Close()
	res, err := run(t, map[string]any{"url": server.URL + "/echo", "method": "POST", "body": map[string]any{"a": 1}})
	got, _ := json.Marshal(res.Outputs["json"])
	if err != nil || string(got) != `{"got":{"a":1},"method":"POST","type":"application/json"}` {
		t.Error(string(got), err)
	}
	if headers := res.Outputs["headers"].(map[string]any); headers["set-cookie"] != nil {
		t.Error("a cookie is among the outputs")
	}
	if res, err = run(t, map[string]any{"url": server.URL + "/echo", "method": "POST", "body": "1", "sensitive": true}); err != nil || len(res.Sensitive) != 2 {
		t.Error(res, err)
	}
	if res, err = run(t, map[string]any{"url": server.URL + "/away", "expect_status": []any{"3xx"}}); err != nil || res.Outputs["status"] != 302 {
		t.Error(res, err)
	}
	_, err = run(t, map[string]any{"url": server.URL + "/busy"}, "hunter2")
	if !step.Retryable(err) || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	if _, err = run(t, map[string]any{"url": server.URL + "/gone"}); err == nil || step.Retryable(err) {
		t.Error(err)
	}
	if _, err = run(t, map[string]any{"url": server.URL + "/large", "max_body": 1000}); err == nil || !strings.Contains(err.Error(), "more than 1000 bytes") {
		t.Error(err)
	}
	if _, err = run(t, map[string]any{"url": "file:///etc/passwd"}); err == nil {
		t.Error("a file is asked for")
	}
	server.Close()
	if _, err = run(t, map[string]any{"url": server.URL + "/echo?key=hunter2"}, "hunter2"); !step.Retryable(err) || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
