package source_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/lock/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T) *http.Client {
	t.Helper()
	c := source.NewClient(0, 0)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestRetries(t *testing.T) {
	for status, attempts := range map[int]int64{503: 3, 429: 3, 502: 3, 500: 1, 404: 1, 200: 1} {
		var n atomic.Int64
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			n.Add(1)
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(status)
		})
		res, err := source.Config{Client: client(t)}.Get(t.Context(), s.URL, nil)
		if err == nil {
			_ = res.Body.Close()
		}
		if n.Load() != attempts || (err == nil) != (status == 200) {
			t.Errorf("%d: %d attempts, %v", status, n.Load(), err)
		}
		if errors.Is(err, source.ErrNotFound) != (status == 404) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestRetrySucceeds(t *testing.T) {
	var n atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	res, err := source.Config{Client: client(t)}.Get(t.Context(), s.URL, nil)
	if err != nil || n.Load() != 3 {
		t.Fatalf("%d attempts, %v", n.Load(), err)
	}
	_ = res.Body.Close()
}

func TestCancelledIsNotRetried(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := (source.Config{Client: client(t)}).Get(ctx, s.URL, nil); !errors.Is(err, context.Canceled) || n.Load() != 1 {
		t.Errorf("%d attempts, %v", n.Load(), err)
	}
}

// A redirect takes the token to no other host, and never from https to http.
func TestRedirects(t *testing.T) {
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("another host got the token")
		}
	})
	from := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Error("the token is missing")
		}
		http.Redirect(w, r, target.URL, http.StatusFound)
	})
	res, err := source.Config{Client: client(t), Token: "secret"}.Get(t.Context(), from.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()

	secure := httptest.NewTLSServer(http.RedirectHandler(target.URL, http.StatusFound))
	t.Cleanup(secure.Close)
	c := secure.Client()
	c.CheckRedirect = client(t).CheckRedirect
	if _, err := (source.Config{Client: c}).Get(t.Context(), secure.URL, nil); err == nil || !strings.Contains(err.Error(), "from https to") {
		t.Errorf("got %v", err)
	}
	c.CloseIdleConnections()
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:80": true, "127.0.0.1:80": true, "[::1]:80": true, "::1": true,
		"example.com": false, "127.0.0.1.example.com": false, "10.0.0.1:80": false, "": false, "localhost.example.com:80": false,
	} {
		if got := source.Loopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestReadAll(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) })
	for limit, ok := range map[int64]bool{100: true, 99: false} {
		res, err := source.Config{Client: client(t)}.Get(t.Context(), s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.ReadAll(res.Body, limit); (err == nil) != ok {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}
