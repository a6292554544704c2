package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/internal/stall"
)

// NewClient makes the client that downloads use: it waits a minute for an
// answer and for each piece of a body, and no longer; it follows redirects, but never from
// https to http; it tries a GET again after each of the pauses.
func NewClient(pauses ...time.Duration) *http.Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   8,
	}
	return &http.Client{Transport: &Retry{Base: &stall.Transport{Base: transport, After: time.Minute}, Pauses: pauses}, CheckRedirect: checkRedirect}
}

// DefaultPauses are the waits between attempts.
func DefaultPauses() []time.Duration {
	return []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("a redirect from https to %s", req.URL.Redacted())
	}
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization") // also for another port or a sub-domain
	}
	return nil
}

// Retry is a transport that repeats a GET or HEAD that got no answer or one
// that asks to come again.
type Retry struct {
	Base   http.RoundTripper
	Pauses []time.Duration
}

// RoundTrip implements http.RoundTripper.
func (r *Retry) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.Base.RoundTrip(req)
	for _, pause := range r.Pauses {
		if req.Method != http.MethodGet && req.Method != http.MethodHead || !again(res, err) {
			break
		}
		if res != nil {
			pause = max(pause, retryAfter(res))
			_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
			_ = res.Body.Close()
		}
		timer := time.NewTimer(pause)
		select {
		case <-req.Context().Done():
			timer.Stop()
			return nil, req.Context().Err()
		case <-timer.C:
		}
		res, err = r.Base.RoundTrip(req)
	}
	return res, err
}

// CloseIdleConnections lets http.Client close what the base holds open.
func (r *Retry) CloseIdleConnections() {
	if c, ok := r.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func again(res *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter is what the server asks for, 10 seconds at most.
func retryAfter(res *http.Response) time.Duration {
	n, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, 10*time.Second)
}

// Get asks for a URL with the token, if there is one, and returns the body of
// a 200; anything else is an *Error.
func (c Config) Get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &Error{Doing: "fetch " + address, Err: err}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	req.Header.Set("User-Agent", "wfctl")
	doing := "fetch " + req.URL.Redacted()
	res, err := c.Client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // it repeats the address
		}
		return nil, &Error{Doing: doing, Err: err, Hint: "is the address right, and can this machine reach it? what is in the store already needs no network: --offline"}
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, &Error{Doing: doing, Status: res.StatusCode, Err: fmt.Errorf("the server answered %s", res.Status), Hint: c.hint(res)}
}

func (c Config) hint(res *http.Response) string {
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		if res.Header.Get("X-RateLimit-Remaining") == "0" {
			return c.limitHint(res)
		}
		if c.Token != "" {
			return fmt.Sprintf("the token in %s may lack the right to read this", c.TokenEnv)
		}
		if c.TokenEnv != "" {
			return fmt.Sprintf("if this is private, set %s, which the plugin's `auth` names", c.TokenEnv)
		}
		return "if this is private, give the plugin `auth: {env: NAME}` in wfctl.yaml, NAME being the variable that holds a token"
	case http.StatusTooManyRequests:
		return c.limitHint(res)
	}
	return "try again later"
}

func (c Config) limitHint(res *http.Response) string {
	hint := "the server limits how often it may be asked"
	if at, err := strconv.ParseInt(res.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		hint += ", until " + time.Unix(at, 0).UTC().Format(time.RFC3339)
	}
	if c.Token == "" {
		hint += "; with a token (`auth: {env: NAME}`) the limit is higher"
	}
	return hint
}

// ReadAll reads a body of at most limit bytes and closes it.
func ReadAll(body io.ReadCloser, limit int64) ([]byte, error) {
	defer func() { _ = body.Close() }()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return data, err
}

// Loopback tells whether a host is this machine, where plain http is no risk.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
