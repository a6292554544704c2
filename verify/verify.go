package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// Options are what a gate uses of the world. The zero value is right for
// wfctl itself.
type Options struct {
	// Secrets are values that are masked wherever they would be shown.
	Secrets []string
	// Redactor knows more of them; nil knows none.
	Redactor *secret.Redactor
	// Progress is told of each attempt; it may be called concurrently.
	Progress func(Attempt)
	// Transport makes HTTP requests; nil is a real one with the target's TLS.
	Transport http.RoundTripper
	// Dir is where a relative ca_file starts from.
	Dir string
	// Now and Sleep are the clock. Sleep returns ctx's error when that ends
	// first.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Attempt is one question with its answer.
type Attempt struct {
	Target string
	// Number counts from 1; Successes are those in a row, of Needed.
	Number, Successes, Needed int
	Sample                    Sample
}

// String is one line for a person.
func (a Attempt) String() string {
	if a.Sample.OK {
		return fmt.Sprintf("%s: %s (%d of %d)", a.Target, a.Sample.Summary(), a.Successes, a.Needed)
	}
	return fmt.Sprintf("%s: attempt %d: %s", a.Target, a.Number, a.Sample.Summary())
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Progress == nil {
		o.Progress = func(Attempt) {}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run asks all targets at the same time until each has passed, has failed for
// good, or the time is up. The error is about the gate itself (a
// configuration, an interruption); whether it passed is in the report.
func Run(ctx context.Context, c Config, o Options) (*Report, error) {
	o.setDefaults()
	targets, err := c.compile()
	if err != nil {
		return nil, err
	}
	timeout := time.Duration(c.Timeout)
	if timeout == 0 {
		timeout = defaultTimeout
	}
	began := o.Now()
	g := &gate{o: o, began: began, deadline: began.Add(timeout), mask: newMasker(o.Redactor, o.Secrets)}
	report := &Report{Timeout: timeout, Targets: make([]TargetReport, len(targets))}
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { report.Targets[i] = g.target(ctx, t) })
	}
	all.Wait()
	report.Took = o.Now().Sub(began)
	if err := ctx.Err(); err != nil {
		return report, fault.Wrap(fault.Interrupted, err, "the gate was stopped")
	}
	return report, nil
}

type gate struct {
	o               Options
	began, deadline time.Time
	mask            *masker
}

// lastSamples is how many answers a report keeps of a target.
const lastSamples = 3

// target asks one target until it is decided.
func (g *gate) target(ctx context.Context, t *target) TargetReport {
	r := TargetReport{Name: g.mask.apply(t.name), Outcome: Failed}
	p, err := g.prober(t)
	if err != nil {
		r.Outcome, r.Reason = Inconclusive, g.mask.apply(err.Error())
		return r
	}
	inRow, failures := 0, 0
	pause := pacer{interval: time.Duration(t.Interval)}
	for {
		s := g.ask(ctx, t, p)
		r.add(s)
		if s.OK {
			inRow++
			pause.succeeded()
		} else {
			inRow, failures = 0, failures+1
		}
		g.o.Progress(Attempt{Target: r.Name, Number: r.Attempts, Successes: inRow, Needed: t.Consecutive, Sample: s})
		switch {
		case inRow >= t.Consecutive:
			r.Outcome, r.Reason = Passed, ""
			return r
		case t.MaxRetries > 0 && failures > t.MaxRetries:
			r.close(fmt.Sprintf("it failed %d times", failures))
			return r
		}
		wait, ok := g.wait(t, pause.next())
		if !ok || g.o.Sleep(ctx, wait) != nil {
			r.close(fmt.Sprintf("it did not pass within %s", g.deadline.Sub(g.began)))
			return r
		}
	}
}

// wait shortens a pause that would leave no time for a last attempt; ok is
// false when there is none.
func (g *gate) wait(t *target, pause time.Duration) (d time.Duration, ok bool) {
	left := g.deadline.Sub(g.o.Now())
	if pause < left {
		return pause, true
	}
	return left - min(time.Duration(t.AttemptTimeout), left/2), left > firstPause
}

// ask makes one attempt, within what is left of the time.
func (g *gate) ask(ctx context.Context, t *target, p prober) Sample {
	limit := min(time.Duration(t.AttemptTimeout), max(g.deadline.Sub(g.o.Now()), time.Millisecond))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	s := p.probe(ctx)
	s.At = g.o.Now()
	s.Timing.Total = time.Since(began)
	if s.OK && t.MaxLatency > 0 && s.Timing.Total > time.Duration(t.MaxLatency) {
		s.OK = false
		s.Reason = fmt.Sprintf("it took %s, more than %s", round(s.Timing.Total), time.Duration(t.MaxLatency))
	}
	if !s.OK && ctx.Err() == context.DeadlineExceeded {
		s.Reason = fmt.Sprintf("no whole answer within %s (%s)", round(limit), s.Timing.furthest())
		s.Unasked = false
	}
	s.Reason, s.Body, s.Location = g.mask.apply(s.Reason), g.mask.body(s.Body), g.mask.apply(s.Location)
	return s
}

// pacer gives the pauses: those that the user asked for, or ones that grow,
// with jitter, so that a service that is quick to start is not waited for.
type pacer struct {
	interval time.Duration
	last     time.Duration
}

func (p *pacer) succeeded() { p.last = 0 }

func (p *pacer) next() time.Duration {
	if p.interval > 0 {
		return p.interval
	}
	p.last = min(max(p.last*2, firstPause), longestPause)
	return p.last*9/10 + rand.N(p.last/5)
}
