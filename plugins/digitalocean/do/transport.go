package do

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

const (
	attempts = 6
	// longest is how long a rate limit is waited for here; the host is told of a
	// longer one.
	longest = time.Minute
)

// retrying sends a request again where that is safe: any request that was
// turned away by a rate limit, and one whose method may be repeated after an
// error of the server or a lost connection. A POST is not repeated: whether it
// had its effect is for its sender to find out.
type retrying struct {
	next  http.RoundTripper
	clock Clock
	token sdk.Sensitive
	// host is the API's, which alone is shown the token.
	host string
}

// RoundTrip implements http.RoundTripper.
func (t *retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	pause := backoff{500 * time.Millisecond, 8 * time.Second}
	for attempt := 1; ; attempt++ {
		again, err := t.fresh(req)
		if err != nil {
			return nil, err
		}
		res, err := t.next.RoundTrip(again)
		wait, retry := t.judge(req, res, err, pause.wait)
		if !retry || attempt == attempts || req.Context().Err() != nil {
			return res, err
		}
		if res != nil {
			_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
			_ = res.Body.Close()
		}
		if err := t.clock.Sleep(req.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// fresh copies a request with its body from the start.
func (t *retrying) fresh(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.URL.Host == t.host { // where a redirect leads is told nothing
		again.Header.Set("Authorization", "Bearer "+t.token.Reveal())
	}
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	again.Body = body
	return again, err
}

// judge tells whether to send a request again, and when.
func (t *retrying) judge(req *http.Request, res *http.Response, err error, pause func() time.Duration) (time.Duration, bool) {
	repeatable := req.Method != http.MethodPost && req.Method != http.MethodPatch
	switch {
	case err != nil:
		return pause(), repeatable && context.Cause(req.Context()) == nil
	case res.StatusCode == http.StatusTooManyRequests:
		wait := retryAfter(res, t.clock.Now())
		if wait == 0 {
			wait = pause()
		}
		return wait, wait <= longest
	case res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented:
		return pause(), repeatable
	}
	return 0, false
}
