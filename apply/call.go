package apply

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// attempts and the first pause of the backoff; what a platform asks to wait
// counts where it is longer.
const (
	attempts   = 6
	firstPause = 500 * time.Millisecond
	longest    = 30 * time.Second
)

// call runs a provider's method until its deadline, again after a rate limit
// or an unavailable platform, and after nothing else.
func (w *work) call(ctx context.Context, deadline time.Time, method func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Sub(w.Now()))
	defer cancel()
	return Retry(ctx, Retrying{Attempts: attempts, Sleep: w.Sleep, Tell: func(err error, pause time.Duration) {
		w.Events.Emit(event.NodeProgress{Address: string(w.change.Address()), Message: fmt.Sprintf("%s; trying again in %s", err, pause), Fraction: -1})
	}}, func() error { return guarded(ctx, method) })
}

// Retrying says how often a call is made at most.
type Retrying struct {
	Attempts int
	// Sleep waits; nil waits on the clock. Tell hears of each failure that
	// another attempt follows; nil hears nothing.
	Sleep func(context.Context, time.Duration) error
	Tell  func(err error, pause time.Duration)
}

// Retry makes a call again after a rate limit or an unavailable platform, with
// backoff and jitter, and after nothing else.
func Retry(ctx context.Context, r Retrying, call func() error) error {
	if r.Sleep == nil {
		r.Sleep = sleep
	}
	for attempt := 1; ; attempt++ {
		err := call()
		code := sdk.CodeOf(err)
		if err == nil || attempt >= r.Attempts || (code != sdk.CodeRateLimited && code != sdk.CodeUnavailable) {
			return err
		}
		pause := backoff(attempt, err)
		if r.Tell != nil {
			r.Tell(err, pause.Round(100*time.Millisecond))
		}
		if r.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

// guarded turns a panic of a provider into an error.
func guarded(ctx context.Context, method func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = sdk.Errorf(sdk.CodeInternal, "the provider panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return method(ctx)
}

// backoff doubles, with full jitter on its upper half.
func backoff(attempt int, err error) time.Duration {
	d := min(firstPause<<(attempt-1), longest)
	d = d/2 + rand.N(d/2)
	var e *sdk.Error
	if errors.As(err, &e) && e.RetryAfter > d {
		d = e.RetryAfter
	}
	return d
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newKey makes an idempotency key of 128 random bits.
func newKey() string {
	var b [16]byte
	_, _ = crand.Read(b[:]) // never fails, by its documentation
	return hex.EncodeToString(b[:])
}

// explain makes a fault of a provider's error, with what the provider's
// platform says about it.
func (w *work) explain(ctx context.Context, p sdk.Provider, id, operation string, cause error) error {
	f := fault.Wrap(fault.Provider, cause, "%s %s %q", operation, w.change.Type(), w.change.Address())
	var e *sdk.Error
	if d, ok := w.desired(w.change.Address()); ok {
		f = f.At(positionOf(d, cause))
	}
	if errors.As(cause, &e) {
		if e.Hint != "" {
			f = f.WithHint("%s", e.Hint)
		}
		if len(e.Blockers) > 0 {
			f = f.WithDetail("in the way: " + strings.Join(e.Blockers, ", "))
		}
		if e.Code == sdk.CodeAlreadyExists && e.Hint == "" {
			f = f.WithHint("%s", w.nameTaken(ctx, p))
		}
	}
	if p == nil {
		return f
	}
	d, ok := sdk.As[sdk.Diagnoser](p)
	if !ok || ctx.Err() != nil {
		return f
	}
	res, err := d.Diagnose(ctx, &sdk.DiagnoseRequest{Type: w.change.Type(), ID: id, Name: w.change.Name(), Operation: operation})
	if err != nil || res == nil {
		return f
	}
	for _, diag := range res.Diagnostics {
		for line := range strings.SplitSeq(diag.Message, "\n") {
			// What the error says already is not said twice.
			if !strings.Contains(cause.Error(), strings.TrimSpace(line)) {
				f = f.WithDetail(line)
			}
		}
	}
	return f
}

// positionOf is where the file says what an error is about: the field that the
// provider names, else the module.
func positionOf(d resource.Desired, err error) fault.Position {
	var e *sdk.Error
	if errors.As(err, &e) && e.Path != "" {
		if pos := d.Config().Locate(e.Path); !pos.IsZero() {
			return pos
		}
	}
	return d.Pos()
}

// nameTaken says what to do about a name that is taken: what is somebody
// else's is not to be imported.
func (w *work) nameTaken(ctx context.Context, p sdk.Provider) string {
	id := "ID"
	if p != nil {
		res, err := p.Read(ctx, &sdk.ReadRequest{Type: w.change.Type(), Name: w.change.Name()})
		if err == nil && foreign(res.Owner, w.ownership(w.change.Address())) {
			return "it " + plan.Whose(res.Owner) + ": name yours otherwise, with `name:` in its config"
		}
		if err == nil && res.ID != "" {
			id = res.ID
		}
	}
	return fmt.Sprintf("bring it under management with `wfctl infra import %s %s --env %s`, or name yours otherwise", w.change.Address(), id, w.Plan.Environment.Name())
}

// reporter receives what a provider tells of an operation.
type reporter struct {
	work   *work
	ctx    context.Context
	intent string

	mu sync.Mutex
	id string
}

// Assigned implements sdk.Reporter: the identifier is durable on return.
func (r *reporter) Assigned(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = id
	if r.intent == "" {
		return nil
	}
	return r.work.Journal.Assigned(r.ctx, r.intent, id)
}

func (r *reporter) assigned() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// Progress implements sdk.Reporter.
func (r *reporter) Progress(message string, fraction float64) {
	r.work.Events.Emit(event.NodeProgress{Address: string(r.work.change.Address()), Message: message, Fraction: fraction})
}

// Log implements sdk.Reporter.
func (r *reporter) Log(line string) {
	r.work.Events.Emit(event.NodeLog{Address: string(r.work.change.Address()), Line: line})
}

// Warn implements sdk.Reporter.
func (r *reporter) Warn(d sdk.Diagnostic) {
	r.work.Events.Emit(event.NodeWarning{Address: string(r.work.change.Address()), Message: d.Message, Hint: d.Hint})
}
