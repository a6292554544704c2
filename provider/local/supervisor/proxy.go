package supervisor

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"
)

// proxy answers on one port for the instances of a service. An instance is
// taken out without failing a request: new ones go elsewhere, and its own are
// waited for.
type proxy struct {
	listener net.Listener
	server   *http.Server
	plain    *http.Transport
	h2c      *http.Transport
	served   chan struct{}

	mu       sync.Mutex
	backends []*backend
	turn     int
}

// backend is one instance as the proxy sees it.
type backend struct {
	address string
	busy    int
	idle    chan struct{} // set while somebody waits for busy to be 0
}

func newProxy(ln net.Listener, line func(string)) *proxy {
	p := &proxy{listener: ln, served: make(chan struct{}), plain: newTransport(false), h2c: newTransport(true)}
	reverse := &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     p,
		FlushInterval: -1,
		ErrorHandler:  answerFailure(line),
		ErrorLog:      log.New(lineWriter(line), "proxy: ", 0),
	}
	p.server = &http.Server{
		Handler: p.leased(reverse), Protocols: protocols(true, true),
		ReadHeaderTimeout: 30 * time.Second, ErrorLog: reverse.ErrorLog,
	}
	go func() {
		defer close(p.served)
		_ = p.server.Serve(ln)
	}()
	return p
}

func protocols(http1, h2c bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(http1)
	p.SetUnencryptedHTTP2(h2c)
	return p
}

// newTransport keeps idle connections for a short time only: a server that
// closes one while a request is on its way fails that request.
func newTransport(h2c bool) *http.Transport {
	return &http.Transport{
		Protocols: protocols(!h2c, h2c), MaxIdleConnsPerHost: 256, IdleConnTimeout: 2 * time.Second,
		DisableCompression: true,
	}
}

func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host
	r.Out.Host = r.In.Host
	r.SetXForwarded()
}

type lineWriter func(string)

func (w lineWriter) Write(b []byte) (int, error) {
	w(string(b[:len(b)-min(1, len(b))]))
	return len(b), nil
}

// lease is a request's hold on a backend. It travels in the request's context
// because the transport may change it for another.
type lease struct {
	backend *backend
	tried   []*backend
}

type leaseKey struct{}

var errNoBackend = errors.New("no instance is up")

// leased counts a request as its backend's own until its last byte, that of
// an upgraded connection included.
func (p *proxy) leased(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := &lease{backend: p.acquire(nil)}
		defer func() { p.release(l.backend) }()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), leaseKey{}, l)))
	})
}

// RoundTrip implements http.RoundTripper. A backend that does not accept the
// connection has seen nothing of the request, so another gets it; so it does
// when the backend dies over a request that only asks.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	l, _ := r.Context().Value(leaseKey{}).(*lease)
	transport := p.plain
	if r.ProtoMajor == 2 {
		transport = p.h2c
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = io.NopCloser(r.Body) // a failed try must not close it; the server does
	}
	for l != nil && l.backend != nil {
		r.URL.Host = l.backend.address
		resp, err := transport.RoundTrip(r)
		if err == nil || r.Context().Err() != nil || !neverSent(err) && !repeatable(r) {
			return resp, err
		}
		l.tried = append(l.tried, l.backend)
		p.release(l.backend)
		l.backend = p.acquire(l.tried)
	}
	return nil, errNoBackend
}

func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func repeatable(r *http.Request) bool {
	asks := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	return asks && (r.Body == nil || r.Body == http.NoBody)
}

func answerFailure(line func(string)) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		if r.Context().Err() != nil {
			return // the client has gone
		}
		status := http.StatusBadGateway
		if errors.Is(err, errNoBackend) {
			w.Header().Set("Retry-After", "1")
			status = http.StatusServiceUnavailable
		}
		line("proxy: " + r.Method + " " + r.URL.Path + ": " + err.Error())
		http.Error(w, "wfctl: "+err.Error(), status)
	}
}

// acquire picks the least busy backend, in turn among equals; nil when there
// is none that was not tried.
func (p *proxy) acquire(tried []*backend) *backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *backend
	p.turn++
	for i := range p.backends {
		b := p.backends[(p.turn+i)%len(p.backends)]
		if !slices.Contains(tried, b) && (best == nil || b.busy < best.busy) {
			best = b
		}
	}
	if best != nil {
		best.busy++
	}
	return best
}

func (p *proxy) release(b *backend) {
	if b == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.busy--; b.busy == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

func (p *proxy) add(address string) *backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &backend{address: address}
	p.backends = append(p.backends, b)
	return b
}

// remove takes a backend out; the channel is closed when its last request is
// answered.
func (p *proxy) remove(b *backend) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backends = slices.DeleteFunc(p.backends, func(x *backend) bool { return x == b })
	idle := make(chan struct{})
	if b.busy == 0 {
		close(idle)
		return idle
	}
	b.idle = idle
	return idle
}

// close stops listening at once, waits for requests until ctx ends, then cuts
// them off.
func (p *proxy) close(ctx context.Context) {
	if p.server.Shutdown(ctx) != nil {
		_ = p.server.Close()
	}
	<-p.served
	p.plain.CloseIdleConnections()
	p.h2c.CloseIdleConnections()
}
