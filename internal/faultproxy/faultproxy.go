// Package faultproxy stands between a client and a real server on loopback and
// lets a part of what passes go wrong: late, dropped on the way there and on
// the way back, cut off in the middle, answered with 500, 503 and 429. It is
// for tests and for the torture program.
package faultproxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Options say how bad it is.
type Options struct {
	// Seed makes the choices repeatable, as far as the order of requests is.
	Seed uint64
	// OneIn is how many requests pass for each that goes wrong; 0 spares all.
	OneIn int
	// Delay is added to every request; Jitter up to as much again, at random.
	Delay, Jitter time.Duration
}

// Proxy is one that runs.
type Proxy struct {
	// Addr is host:port, to be put in the place of the server's.
	Addr string

	options Options
	mu      sync.Mutex
	rnd     *rand.Rand
	faults  map[string]int
	passed  int
	cut     bool
	queue   []string
	closed  chan struct{}
	close   func() error
}

func newProxy(o Options) *Proxy {
	return &Proxy{options: o, rnd: rand.New(rand.NewPCG(o.Seed, 7)), faults: map[string]int{}, closed: make(chan struct{})}
}

// Close ends the proxy and all that passes through it.
func (p *Proxy) Close() error {
	close(p.closed)
	return p.close()
}

// String says what went wrong so far.
func (p *Proxy) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%d passed, %v", p.passed, p.faults)
}

// Cut parts client and server: nothing passes until [Proxy.Heal].
func (p *Proxy) Cut() { p.set(true) }

// Heal joins them again.
func (p *Proxy) Heal() { p.set(false) }

// Fail lets the next n requests go wrong in one way.
func (p *Proxy) Fail(mishap string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, slices.Repeat([]string{mishap}, n)...)
}

func (p *Proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

// choose picks a mishap of a list, "" for none, and waits for the delay. It
// is false when the proxy was closed meanwhile.
func (p *Proxy) choose(mishaps ...string) (string, bool) {
	p.mu.Lock()
	wait := p.options.Delay
	if p.options.Jitter > 0 {
		wait += time.Duration(p.rnd.Int64N(int64(p.options.Jitter)))
	}
	choice := ""
	switch {
	case p.cut:
		choice = "lost"
	case len(p.queue) > 0 && slices.Contains(mishaps, p.queue[0]):
		choice, p.queue = p.queue[0], p.queue[1:]
	case p.options.OneIn > 0 && p.rnd.IntN(p.options.OneIn) == 0:
		choice = mishaps[p.rnd.IntN(len(mishaps))]
	}
	if choice == "" {
		p.passed++
	} else {
		p.faults[choice]++
	}
	p.mu.Unlock()
	if wait == 0 {
		return choice, true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return choice, true
	case <-p.closed:
		return "", false
	}
}

// HTTP stands before a server that speaks HTTP at a URL. The host name reaches
// it as the client has signed it.
func HTTP(target string, o Options) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := newProxy(o)
	through := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Transport:    &http.Transport{MaxIdleConnsPerHost: 64},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, through) }))
	p.Addr = server.Listener.Addr().String()
	p.close = func() error { server.CloseClientConnections(); server.Close(); return nil }
	return p, nil
}

// maxWait is how soon a client may try again after 429.
const maxWait = "0"

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, through http.Handler) {
	mishap, ok := p.choose("lost", "answer lost", "500", "429", "503", "cut off")
	switch {
	case !ok || mishap == "lost": // never gets there
		panic(http.ErrAbortHandler)
	case mishap == "answer lost":
		through.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case mishap == "500":
		http.Error(w, "internal error", http.StatusInternalServerError)
	case mishap == "429":
		w.Header().Set("Retry-After", maxWait)
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case mishap == "503":
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	case mishap == "cut off": // the answer ends in the middle
		rec := httptest.NewRecorder()
		through.ServeHTTP(rec, r)
		w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()+10))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		panic(http.ErrAbortHandler)
	default:
		through.ServeHTTP(w, r)
	}
}

// TCP stands before a server of any protocol at host:port.
func TCP(target string, o Options) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := newProxy(o)
	p.Addr = listener.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.carry(client, target) })
		}
	})
	p.close = func() error {
		err := listener.Close()
		wg.Wait()
		return err
	}
	return p, nil
}

// carry carries one connection, until either side ends or it goes wrong.
func (p *Proxy) carry(client net.Conn, target string) {
	defer client.Close() //nolint:errcheck // a test's proxy
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // a test's proxy
	done := make(chan struct{}, 2)
	go func() { p.pump(server, client, "lost"); done <- struct{}{} }()
	go func() { p.pump(client, server, "answer lost", "cut off"); done <- struct{}{} }()
	select {
	case <-done:
	case <-p.closed:
	}
}

// pump copies what comes, a read at a time; a mishap ends it.
func (p *Proxy) pump(to io.Writer, from io.Reader, mishaps ...string) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			mishap, ok := p.choose(mishaps...)
			if mishap == "cut off" {
				_, _ = to.Write(buf[:n/2])
			}
			if !ok || mishap != "" {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, io.ErrShortBuffer) {
			return
		}
	}
}
