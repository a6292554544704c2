package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// Answer is what a store says in a way of its own, in words that all share: a
// store's package makes one of its SDK's error.
type Answer struct {
	// Status is the HTTP status, 0 where no answer came.
	Status int
	// NoBucket: a 404 that is about the bucket as a whole.
	NoBucket bool
	// Cause is the store's own error; it holds no credentials.
	Cause error
}

// Explain makes the error of a [Bucket] of an answer. name says to a person
// which bucket it is.
func (a Answer) Explain(name string) error {
	switch {
	case a.Cause == nil || errors.Is(a.Cause, context.Canceled):
		return a.Cause
	case a.NoBucket:
		return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrNoStorage, a.Cause), "the state's %s does not exist", name).
			WithHint("make it with `wfctl infra bootstrap`; check its name and region in the module iac.state")
	case a.Status == http.StatusNotFound:
		return ErrNotFound
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		return fault.Wrap(fault.State, a.Cause, "access to the state's %s is denied", name).
			WithHint("check the credentials in the environment; reading, writing, listing and deleting objects must be allowed")
	case a.Status == http.StatusPreconditionFailed:
		return ErrExists
	case a.refused():
		return fault.Wrap(fault.State, a.Cause, "the state's %s refuses the request", name).
			WithHint("check the options of the module iac.state: the region, the endpoint, the name")
	}
	return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrUnavailable, a.Cause), "the state's %s does not answer", name).
		WithHint("what was recorded before is intact; check the network, the endpoint and the credentials, then run this again")
}

// refused tells an answer that will be the same the next time.
func (a Answer) refused() bool {
	switch a.Status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	}
	return a.Status >= 300 && a.Status < 500
}

// How a remote bucket is asked. A request that hangs is found out before the
// lease runs out.
const (
	requestTimeout = 20 * time.Second
	attempts       = 5
	firstPause     = 50 * time.Millisecond
)

// Remote bounds each request of a bucket in time, and asks again where that
// can do no harm: what is only read, and what is deleted. A creation is never
// sent twice here, for of that the log must know.
func Remote(b Bucket) Bucket { return remote{b} }

type remote struct{ Bucket }

// Create implements Bucket.
func (r remote) Create(ctx context.Context, key string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return r.Bucket.Create(ctx, key, data)
}

// Get implements Bucket.
func (r remote) Get(ctx context.Context, key string) (data []byte, err error) {
	err = again(ctx, func(ctx context.Context) error {
		data, err = r.Bucket.Get(ctx, key)
		return err
	})
	return data, err
}

// Delete implements Bucket.
func (r remote) Delete(ctx context.Context, key string) error {
	return again(ctx, func(ctx context.Context) error { return r.Bucket.Delete(ctx, key) })
}

// List implements Bucket. The names are collected first: a listing that breaks
// off begins anew.
func (r remote) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var names []string
		err := again(ctx, func(ctx context.Context) error {
			names = names[:0]
			for name, err := range r.Bucket.List(ctx, prefix) {
				if err != nil {
					return err
				}
				names = append(names, name)
			}
			return nil
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// again asks until there is an answer, a few times, each later than the last.
func again(ctx context.Context, ask func(context.Context) error) error {
	for n, pause := 1, firstPause; ; n, pause = n+1, pause*2 {
		err := bounded(ctx, ask)
		if !errors.Is(err, state.ErrUnavailable) || n == attempts {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return err
		}
	}
}

func bounded(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return ask(ctx)
}
