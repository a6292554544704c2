package stall_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/internal/stall"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 300 * time.Millisecond

func client(t *testing.T, handler http.HandlerFunc) (*http.Client, string) {
	t.Helper()
	s := httptest.NewServer(handler)
	c := &http.Client{Transport: &stall.Transport{Base: http.DefaultTransport.(*http.Transport).Clone(), After: limit}}
	t.Cleanup(func() {
		c.CloseIdleConnections()
		s.Close()
	})
	return c, s.URL
}

func stalled(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no byte has moved for 300ms") {
		t.Errorf("got %v", err)
	}
}

// An answer that stops coming is given up.
func TestDownload(t *testing.T) {
	c, url := client(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	stalled(t, err)
	if string(raw) != "x" || res.Body.Close() != nil {
		t.Errorf("%q", raw)
	}
}

// An upload that nobody takes is given up: more than the connection holds.
func TestUpload(t *testing.T) {
	release := make(chan struct{})
	c, url := client(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 1000))
		<-release
	})
	defer close(release)
	_, err := c.Post(url, "text/plain", io.LimitReader(zeros{}, 1<<30)) //nolint:bodyclose // there is none
	stalled(t, err)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What moves is left alone, however long it takes, and so is what is only
// thought about.
func TestSlow(t *testing.T) {
	tick := time.NewTicker(limit / 3)
	defer tick.Stop()
	c, url := client(t, func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for range 4 {
			<-tick.C
		}
		for i := range raw {
			<-tick.C
			_, _ = w.Write(raw[i : i+1])
			w.(http.Flusher).Flush()
		}
	})
	for name, in := range map[string]io.Reader{"known length": bytes.NewReader([]byte("slowly")), "unknown": io.MultiReader(strings.NewReader("slow"), strings.NewReader("ly"))} {
		res, err := c.Post(url, "text/plain", in)
		if err != nil {
			t.Fatal(name, err)
		}
		raw, err := io.ReadAll(res.Body)
		if err != nil || string(raw) != "slowly" || res.Body.Close() != nil {
			t.Errorf("%s: %q %v", name, raw, err)
		}
	}
}

// The caller's own end stays the caller's.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, url := client(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(req); !errors.Is(err, context.Canceled) { //nolint:bodyclose // there is none
		t.Errorf("got %v", err)
	}
}
