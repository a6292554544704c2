package statetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// FlakyProxy stands between a driver and a server that speaks HTTP, and lets a
// part of the requests fail: dropped before and after they got there, answered
// with 500, 503 and 429, cut off in the middle, late. It returns the address
// to use. The host name reaches the server as the client has signed it.
func FlakyProxy(t testing.TB, target string, seed uint64) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{rnd: rand.New(rand.NewPCG(seed, 7))}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler)
		},
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

type flaky struct {
	proxy *httputil.ReverseProxy
	mu    sync.Mutex
	rnd   *rand.Rand
}

// one in this many requests fails.
const oneIn = 6

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	mishap := f.rnd.IntN(6 * oneIn)
	delay := time.Duration(f.rnd.IntN(4)) * time.Millisecond
	f.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	switch mishap {
	case 0: // never gets there
		panic(http.ErrAbortHandler)
	case 1: // gets there, and the answer is lost
		f.proxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case 2:
		http.Error(w, "internal error", http.StatusInternalServerError)
	case 3:
		w.Header().Set("Retry-After", "0")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case 4:
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	case 5: // the answer ends in the middle
		rec := httptest.NewRecorder()
		f.proxy.ServeHTTP(rec, r)
		w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()+10))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		panic(http.ErrAbortHandler)
	default:
		f.proxy.ServeHTTP(w, r)
	}
}

// RunFlaky works on a log through a storage that fails now and then, and
// checks through one that does not that all that was said to be durable is
// there, once.
func RunFlaky(t *testing.T, flaky, sound Opener) {
	keys := t.TempDir()
	durable := map[string]bool{}
	for round := range 4 {
		flakyRound(t, flaky, keys, round, durable)
	}
	d, err := sound("e")
	must(t, err)
	l, err := state.Open(t.Context(), d, state.Options{})
	must(t, err)
	defer func() { must(t, l.Close()) }()
	counts := map[resource.Address]int{}
	for h, err := range l.History(t.Context()) {
		must(t, err)
		if h.Kind == "result" {
			counts[h.Address]++
		}
	}
	for addr := range durable {
		if n := counts[resource.Address(addr)]; n != 1 {
			t.Errorf("%s was durable and is there %d times", addr, n)
		}
	}
	if len(durable) < 20 {
		t.Errorf("only %d of 80 results got through", len(durable))
	}
	if _, err := l.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// flakyRound is one command: it may fail as a whole, and leaves the lease
// then, which the next one, on a machine of its own, breaks.
func flakyRound(t *testing.T, o Opener, keys string, round int, durable map[string]bool) {
	ctx := t.Context()
	d, err := o("e")
	must(t, err)
	l, err := state.Open(ctx, d, state.Options{ID: fmt.Sprint(round), KeyDir: keys, LeaseTTL: 10 * time.Second})
	if err != nil {
		must(t, d.Close())
		return
	}
	defer func() { _ = l.Close() }()
	s, err := l.Lock(ctx, holder(fmt.Sprint("w", round)), state.LockOptions{})
	if errors.Is(err, state.ErrLocked) {
		if _, err = l.Unlock(ctx, holder("w")); err == nil {
			s, err = l.Lock(ctx, holder(fmt.Sprint("w", round)), state.LockOptions{})
		}
	}
	if err != nil {
		return
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 5 {
				addr := fmt.Sprintf("r%d-%d-%d", round, w, i)
				if s.Result(ctx, "", Record(addr)) == nil {
					mu.Lock()
					durable[addr] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	_ = s.Release(ctx) // may fail like anything here
}
