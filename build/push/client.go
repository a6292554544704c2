package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gocodealone/wfctl/fault"
)

// Access is what a registry is shown. Source tells for people whose it is;
// Drop forgets a credential that was refused: the next one is another.
type Access interface {
	Authenticator(write bool) authn.Authenticator
	Source(ctx context.Context) (user, source string)
	Drop()
}

// client talks to one repository of a registry.
type client struct {
	pusher *Pusher
	target Target
	repo   name.Repository
	http   *http.Client
}

// attempts bounds how often one request is made, connects how often a registry
// is looked for: a host that is not there is more often a mistake.
const (
	attempts = 7
	connects = 4
)

// connect shows the credential and finds out how the registry wants it.
func (p *Pusher) connect(ctx context.Context, t Target) (*client, error) {
	repo, err := name.NewRepository(t.Repository)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "registry %q: %q cannot be an image's name", t.Registry, t.Repository)
	}
	c := &client{pusher: p, target: t, repo: repo}
	base := p.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	scopes := []string{repo.Scope(transport.PushScope)}
	for _, s := range t.Siblings {
		if sibling, err := name.NewRepository(s); err == nil && sibling.RegistryStr() == repo.RegistryStr() {
			scopes = append(scopes, sibling.Scope(transport.PullScope))
		}
	}
	for again := range c.patiently(ctx, connects) {
		rt, err := transport.NewWithContext(ctx, repo.Registry, t.Access.Authenticator(true), base, scopes)
		if err == nil {
			c.http = &http.Client{Transport: rt}
			return c, nil
		}
		if err = c.explain(ctx, "reach it", err); !again(err) {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

// refused is an answer that says no for good.
type refused struct {
	status  int
	message string
}

func (r *refused) Error() string { return strings.TrimSpace(strconv.Itoa(r.status) + " " + r.message) }

// busy is a failure that another attempt may mend; after is the registry's wish.
type busy struct {
	err   error
	after time.Duration
}

func (b *busy) Error() string { return b.err.Error() }
func (b *busy) Unwrap() error { return b.err }

// patiently yields attempts. The function that it yields waits where another
// attempt makes sense, and tells whether it does.
func (c *client) patiently(ctx context.Context, most int) iter.Seq[func(error) bool] {
	return func(yield func(func(error) bool) bool) {
		for n := range most {
			again := func(err error) bool {
				var b *busy
				if n == most-1 || !errors.As(err, &b) {
					return false
				}
				return c.pusher.sleep(ctx, max(backoff(n), b.after)) == nil
			}
			if !yield(again) {
				return
			}
		}
	}
}

// backoff is a quarter of a second, doubled each time, with jitter.
func backoff(n int) time.Duration {
	d := 250 * time.Millisecond << n
	return d/2 + rand.N(d)
}

func (p *Pusher) sleep(ctx context.Context, d time.Duration) error {
	if p.Sleep != nil {
		return p.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxBody bounds what is read of a registry's own words.
const maxBody = 4 << 20

// answer is what a registry said.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    *http.Request
}

// once makes one request. Answers of the statuses in ok, and 404, are returned.
func (c *client) once(ctx context.Context, method, url string, header http.Header, body io.Reader, size int64, ok ...int) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "make a request of the registry")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if body != nil {
		req.ContentLength = size
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, failure(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // it is read
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, failure(ctx, err)
	}
	a := &answer{status: res.StatusCode, header: res.Header, body: raw, url: res.Request}
	for _, s := range append(ok, http.StatusNotFound) {
		if s == a.status {
			return a, nil
		}
	}
	return a, verdict(a)
}

// failure is an error below HTTP: worth another attempt, but where nobody
// waits for it.
func failure(ctx context.Context, err error) error {
	var f *fault.Error
	var t *transport.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &f):
		return err
	case errors.As(err, &t):
		return said(t)
	}
	return &busy{err: err}
}

// said is an answer that go-containerregistry read.
func said(t *transport.Error) error {
	a := &answer{status: t.StatusCode, header: http.Header{}}
	var words []string
	for _, d := range t.Errors {
		words = append(words, strings.TrimSpace(string(d.Code)+" "+d.Message))
	}
	a.body = []byte(strings.Join(words, "; "))
	return verdict(a)
}

// verdict sorts an answer into those that another attempt may mend, and others.
func verdict(a *answer) error {
	err := &refused{a.status, words(a.body)}
	switch a.status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &busy{err, retryAfter(a.header.Get("Retry-After"))}
	}
	return err
}

// maxWait bounds what a registry may ask to wait.
const maxWait = time.Minute

func retryAfter(s string) time.Duration {
	if seconds, err := strconv.Atoi(s); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, maxWait)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, min(time.Until(at), maxWait))
	}
	return 0
}

// words makes a line of a registry's errors.
func words(body []byte) string {
	text := strings.TrimSpace(string(body))
	var doc transport.Error
	if jsonErrors(body, &doc) {
		var all []string
		for _, d := range doc.Errors {
			all = append(all, strings.TrimSpace(string(d.Code)+" "+d.Message))
		}
		text = strings.Join(all, "; ")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}

// do makes a request until it has an answer of the statuses in ok, or 404.
func (c *client) do(ctx context.Context, doing, method, url string, header http.Header, body []byte, ok ...int) (*answer, error) {
	dropped := false
	for again := range c.patiently(ctx, attempts) {
		var r io.Reader
		if body != nil {
			r = bytes.NewReader(body)
		}
		a, err := c.once(ctx, method, url, header, r, int64(len(body)), ok...)
		if err == nil {
			return a, nil
		}
		var no *refused
		if errors.As(err, &no) && no.status == http.StatusUnauthorized && !dropped {
			dropped = true // a lent credential may have ended before its time
			c.target.Access.Drop()
			continue
		}
		if !again(err) {
			return a, c.explain(ctx, doing, err)
		}
	}
	return nil, ctx.Err()
}

// explain says which registry failed, as whom, and what may mend it. What may
// be mended by another attempt stays so.
func (c *client) explain(ctx context.Context, doing string, err error) error {
	var t *transport.Error
	if errors.As(err, &t) {
		err = said(t)
	}
	var no *refused
	var b *busy
	var f *fault.Error
	switch {
	case ctx.Err() != nil:
		return fault.Wrap(fault.Interrupted, ctx.Err(), "registry %q: %s", c.target.Registry, doing)
	case errors.As(err, &f):
		return err
	case errors.As(err, &b):
		return fault.Wrap(fault.Provider, err, "registry %q does not answer as it should (%s)", c.target.Registry, doing).
			WithHint("run this again: what %s has already is not sent again", c.repo.RegistryStr())
	case errors.As(err, &no) && (no.status == http.StatusUnauthorized || no.status == http.StatusForbidden):
		return c.denied(ctx, no)
	}
	var net interface{ Timeout() bool }
	if errors.As(err, &net) || !errors.As(err, &no) {
		return fault.Wrap(fault.Provider, &busy{err: err}, "registry %q cannot be reached (%s)", c.target.Registry, c.repo.RegistryStr()).
			WithHint("is the host right, and the network there?")
	}
	return fault.Wrap(fault.Environment, err, "registry %q refuses to %s", c.target.Registry, doing)
}

// denied names the registry, the user and where the password came from.
func (c *client) denied(ctx context.Context, no *refused) error {
	user, source := c.target.Access.Source(ctx)
	who := "a push without credentials"
	hint := fmt.Sprintf("give the registry `auth` in wfctl.yaml, or run `wfctl registry login %s`", c.target.Registry)
	switch {
	case source != "" && user != "":
		who, hint = fmt.Sprintf("user %q, whose password is from %s", user, source), ""
	case source != "":
		who, hint = "the credential from "+source, ""
	}
	if hint == "" && no.status == http.StatusUnauthorized {
		hint = "is it right, and has it not expired? Look at " + source
	} else if hint == "" {
		hint = fmt.Sprintf("the credential is known, and may not push to %s: give it that right, at ghcr.io the scope write:packages", c.target.Repository)
	}
	return fault.New(fault.Environment, "registry %q (%s) refuses %s: %s", c.target.Registry, c.repo.RegistryStr(), who, no.Error()).WithHint("%s", hint)
}

// url of the registry's API below the repository.
func (c *client) url(format string, args ...any) string {
	return fmt.Sprintf("%s://%s/v2/%s/", c.repo.Scheme(), c.repo.RegistryStr(), c.repo.RepositoryStr()) + fmt.Sprintf(format, args...)
}
