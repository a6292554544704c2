package verify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// prober asks one question.
type prober interface {
	probe(ctx context.Context) Sample
}

func (g *gate) prober(t *target) (prober, error) {
	config, err := g.tls(t)
	if err != nil {
		return nil, err
	}
	switch {
	case t.TCP != "":
		return tcpProbe{t.TCP, config, t.TLS}, nil
	case t.DNS != "":
		return dnsProbe{t.DNS}, nil
	case t.SQL != "":
		return sqlProbe{t.SQL}, nil
	case t.GRPC != "":
		return &grpcProbe{target: t, config: config}, nil
	}
	return &httpProbe{target: t, config: config, transport: g.o.Transport}, nil
}

// tls makes the configuration of a target's TLS.
func (g *gate) tls(t *target) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.TLS == nil {
		return config, nil
	}
	config.ServerName = t.TLS.ServerName
	config.InsecureSkipVerify = t.TLS.Verify != nil && !*t.TLS.Verify //nolint:gosec // the user asked for it
	if t.TLS.CAFile == "" {
		return config, nil
	}
	file := t.TLS.CAFile
	if !filepath.IsAbs(file) {
		file = filepath.Join(g.o.Dir, file)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("its ca_file cannot be read: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("its ca_file %s holds no certificate", t.TLS.CAFile)
	}
	return config, nil
}

type httpProbe struct {
	*target
	config    *tls.Config
	transport http.RoundTripper
}

// probe makes one request on a connection of its own, so that the times are
// those of a new client.
func (p *httpProbe) probe(ctx context.Context) Sample {
	tr := &trace{}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, tr.hooks()), orDefault(p.Method, http.MethodGet), p.url.String(), strings.NewReader(p.Body))
	if err != nil {
		return Sample{Reason: err.Error(), Unasked: true}
	}
	p.setHeaders(req)
	transport := p.transport
	if transport == nil {
		own := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: p.config.Clone(), ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 256 << 10}
		defer own.CloseIdleConnections()
		transport = own
	}
	client := &http.Client{Transport: transport, CheckRedirect: p.redirect}
	res, err := client.Do(req)
	if err != nil {
		s := failedSample(err)
		tr.fill(&s)
		return s
	}
	defer func() { _ = res.Body.Close() }()
	s := p.judge(ctx, res)
	tr.fill(&s)
	return s
}

func (p *httpProbe) setHeaders(req *http.Request) {
	req.Header.Set("User-Agent", "wfctl-verify")
	if p.Body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for k, v := range p.Headers {
		if strings.EqualFold(k, "Host") {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
}

func (p *httpProbe) redirect(_ *http.Request, via []*http.Request) error {
	if len(via) > p.FollowRedirects {
		if p.FollowRedirects > 0 {
			return fmt.Errorf("it redirects more than %d times", p.FollowRedirects)
		}
		return http.ErrUseLastResponse
	}
	return nil
}

// judge reads an answer and compares it with what is expected. What costs
// least comes first.
func (p *httpProbe) judge(ctx context.Context, res *http.Response) Sample {
	s := Sample{Status: res.StatusCode, Protocol: res.Proto, Location: res.Header.Get("Location")}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		s.CertificateEnds = res.TLS.PeerCertificates[0].NotAfter
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(p.MaxBody)+1))
	cut := len(body) > p.MaxBody
	body = body[:min(len(body), p.MaxBody)]
	s.Body = string(body)
	switch {
	case !p.ExpectStatus.has(res.StatusCode):
		s.Reason = fmt.Sprintf("status %d, want %s", res.StatusCode, strings.Join(p.ExpectStatus, " or "))
		if s.Location != "" {
			s.Reason += "; it redirects to " + s.Location
		}
	case err != nil:
		s.Reason = "the body broke off: " + err.Error()
	default:
		s.Reason = p.mismatch(ctx, res, body, cut)
	}
	if s.Reason == "" {
		s.Reason = expiring(p.TLS, s.CertificateEnds, time.Now())
	}
	s.OK = s.Reason == ""
	return s
}

func (p *httpProbe) mismatch(ctx context.Context, res *http.Response, body []byte, cut bool) string {
	for k, want := range p.ExpectHeader {
		if got := res.Header.Get(k); got != want {
			return fmt.Sprintf("header %s is %q, want %q", k, got, want)
		}
	}
	if p.ExpectBodyContains != "" && !bytes.Contains(body, []byte(p.ExpectBodyContains)) {
		return fmt.Sprintf("the body does not contain %q%s", p.ExpectBodyContains, within(cut, p.MaxBody))
	}
	if p.query == nil {
		return ""
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Sprintf("the body is not JSON%s, and expect_jq needs it", within(cut, p.MaxBody))
	}
	iter := p.query.RunWithContext(ctx, value)
	seen := false
	for {
		v, ok := iter.Next()
		if !ok {
			break
		}
		if err, bad := v.(error); bad {
			return fmt.Sprintf("expect_jq %s: %v", p.ExpectJQ, err)
		}
		if v == nil || v == false {
			return fmt.Sprintf("expect_jq %s is %v", p.ExpectJQ, v)
		}
		seen = true
	}
	if !seen {
		return fmt.Sprintf("expect_jq %s gives nothing", p.ExpectJQ)
	}
	return ""
}

func within(cut bool, size int) string {
	if !cut {
		return ""
	}
	return fmt.Sprintf(" in its first %d KiB", max(size>>10, 1))
}

// expiring tells whether a certificate ends too soon.
func expiring(t *TLS, ends, now time.Time) string {
	if t == nil || t.MinDays == 0 || ends.IsZero() || !ends.Before(now.AddDate(0, 0, t.MinDays)) {
		return ""
	}
	return fmt.Sprintf("the certificate ends on %s, in less than %d days", ends.UTC().Format(time.DateOnly), t.MinDays)
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// failedSample explains an error in words, and tells whether the question was
// put at all: a name that does not resolve or a network that this machine
// does not reach says nothing about the service.
func failedSample(err error) Sample {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // without the URL, which is shown elsewhere
	}
	s := Sample{Reason: err.Error()}
	var dns *net.DNSError
	var hostname x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &dns):
		s.Reason, s.Unasked = "the name "+dns.Name+" does not resolve: "+dns.Err, true
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		s.Reason, s.Unasked = "this machine has no route to it", true
	case errors.Is(err, syscall.ECONNREFUSED):
		s.Reason = "the connection is refused: nothing listens there"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.Reason = "the connection was closed without an answer"
	case errors.As(err, &hostname):
		s.Reason = "the certificate is for another name: " + hostname.Error()
	case errors.As(err, &authority):
		s.Reason = "the certificate is signed by an authority that is not known here"
	case errors.As(err, &invalid):
		s.Reason = "the certificate is not valid: " + invalid.Error()
	}
	return s
}

// trace takes the times of a request. The hooks come from several
// goroutines.
type trace struct {
	mu                         sync.Mutex
	dns, connect, tls, written time.Time
	timing                     Timing
	remote                     string
	ends                       time.Time
}

func (t *trace) hooks() *httptrace.ClientTrace {
	locked := func(f func(now time.Time)) {
		now := time.Now()
		t.mu.Lock()
		defer t.mu.Unlock()
		f(now)
	}
	return &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { locked(func(now time.Time) { t.dns = now }) },
		DNSDone:           func(httptrace.DNSDoneInfo) { locked(func(now time.Time) { t.timing.DNS = now.Sub(t.dns) }) },
		ConnectStart:      func(string, string) { locked(func(now time.Time) { t.connect = now }) },
		ConnectDone:       func(string, string, error) { locked(func(now time.Time) { t.timing.Connect = now.Sub(t.connect) }) },
		TLSHandshakeStart: func() { locked(func(now time.Time) { t.tls = now }) },
		TLSHandshakeDone: func(state tls.ConnectionState, _ error) {
			locked(func(now time.Time) {
				t.timing.TLS = now.Sub(t.tls)
				if len(state.PeerCertificates) > 0 {
					t.ends = state.PeerCertificates[0].NotAfter
				}
			})
		},
		GotConn:              func(i httptrace.GotConnInfo) { locked(func(time.Time) { t.remote = i.Conn.RemoteAddr().String() }) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { locked(func(now time.Time) { t.written = now }) },
		GotFirstResponseByte: func() { locked(func(now time.Time) { t.timing.FirstByte = now.Sub(t.written) }) },
	}
}

func (t *trace) fill(s *Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Timing, s.Remote = t.timing, t.remote
	if s.CertificateEnds.IsZero() {
		s.CertificateEnds = t.ends
	}
}
