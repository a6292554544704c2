package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Stall is a transport that gives up on a body that has stopped coming. A
// download as a whole may take as long as it needs.
type Stall struct {
	Base  http.RoundTripper
	After time.Duration
}

// errStalled is the cause of a request that Stall has ended.
var errStalled = errors.New("nothing came any more")

// RoundTrip implements http.RoundTripper.
func (s *Stall) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	res, err := s.Base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	timer := time.AfterFunc(s.After, func() { cancel(errStalled) })
	res.Body = &stallingBody{body: res.Body, ctx: ctx, cancel: cancel, timer: timer, after: s.After}
	return res, nil
}

// CloseIdleConnections lets http.Client close what the base holds open.
func (s *Stall) CloseIdleConnections() {
	if c, ok := s.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type stallingBody struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
}

// Read puts the end off by each byte that comes.
func (b *stallingBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 {
		b.timer.Reset(b.after)
	}
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		// Not the context's error: that would look like the user's own doing.
		err = fmt.Errorf("%w for %s", errStalled, b.after)
	}
	return n, err
}

// Close ends the request.
func (b *stallingBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}
