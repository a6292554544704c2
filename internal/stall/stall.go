// Package stall has a transport that gives up on bodies which have stopped
// moving. An upload or a download as a whole may take as long as it needs.
package stall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Transport ends a request when no byte of its body has been taken, or none of
// the answer's has come, for After. How long the other side may think between
// the two is for Base to bound.
type Transport struct {
	Base  http.RoundTripper
	After time.Duration
}

// errStalled is the cause of a request that was ended.
var errStalled = errors.New("the other side has stopped")

// RoundTrip implements http.RoundTripper.
func (s *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	begin := func() *watch {
		return &watch{ctx: ctx, after: s.After, timer: time.AfterFunc(s.After, func() { cancel(errStalled) })}
	}
	sent := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		up := begin()
		defer up.timer.Stop() // an answer may come before all is sent
		sent.Body = &body{watch: up, body: req.Body}
		if again := req.GetBody; again != nil {
			sent.GetBody = func() (io.ReadCloser, error) {
				b, err := again()
				return &body{watch: up, body: b}, err
			}
		}
	}
	res, err := s.Base.RoundTrip(sent)
	if err != nil {
		err = explain(ctx, s.After, err)
		cancel(nil)
		return nil, err
	}
	res.Body = &body{watch: begin(), body: res.Body, end: func() { cancel(nil) }}
	return res, nil
}

// CloseIdleConnections lets http.Client close what the base holds open.
func (s *Transport) CloseIdleConnections() {
	if c, ok := s.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type watch struct {
	ctx   context.Context
	timer *time.Timer
	after time.Duration
}

// explain replaces the context's error: that would look like the user's own
// doing.
func explain(ctx context.Context, after time.Duration, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return fmt.Errorf("%w: no byte has moved for %s", errStalled, after)
	}
	return err
}

type body struct {
	*watch
	body io.ReadCloser
	end  func()
}

// Read puts the end off by each byte that moves.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	switch {
	case err != nil:
		b.timer.Stop()
	case n > 0:
		b.timer.Reset(b.after)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = explain(b.ctx, b.after, err)
	}
	return n, err
}

// Close implements io.Closer. An answer's ends its request.
func (b *body) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	if b.end != nil {
		b.end()
	}
	return err
}
