package temporal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// activities are what a worker does.
type activities struct {
	host pipeline.Host
	// name is the worker's, cluster where it takes its work from.
	name    string
	cluster string
	heart   heart

	// astray is told of runs whose record is not here.
	astray *closed

	mu   sync.Mutex
	open map[string]*shared
}

// number decodes JSON without making large integers approximate.
func number(raw json.RawMessage) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

// again tells whether this is not the first time that an activity is tried:
// an earlier worker may have done a part of it.
func again(ctx context.Context) bool { return activity.GetInfo(ctx).Attempt > 1 }

// fatal are the errors that another try on another worker would not mend.
func fatal(err error) error {
	if !isFatal(err) {
		return err
	}
	f := pipeline.FailureOf(err)
	return temporal.NewApplicationErrorWithOptions(f.Message, string(f.Code), temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{f}})
}

// cannotBegin is the error of an activity whose job this worker cannot open.
// Where another try may, who follows the run is told, less and less often.
func (a *activities) cannotBegin(ctx, working context.Context, run string, err error) error {
	info := activity.GetInfo(ctx)
	switch n := info.Attempt; {
	case errors.Is(context.Cause(working), errToldToLeave):
		return temporal.NewCanceledError()
	case working.Err() != nil:
		return err // it is somebody else's now
	case errors.Is(err, errElsewhere): // where nobody would see a notice
		return err
	case isFatal(err), n&(n-1) != 0:
		return fatal(err)
	}
	store, storeErr := a.host.Store(ctx)
	if storeErr != nil {
		return err
	}
	f := pipeline.FailureOf(err)
	_, _ = store.Append(ctx, run, event.Notice{ // the error itself is not lost: the worker's log has it
		Level: "warning", Hint: f.Hint,
		Message: fmt.Sprintf("The worker %s cannot begin: %s. It is tried again, here or on another one (attempt %d).", a.name, f.Message, info.Attempt),
	})
	return err
}

func isFatal(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Config, fault.NotFound, fault.Usage, fault.Refused, fault.Integrity:
		return true
	}
	return false
}

// Begin opens a run, unless who started it or an earlier worker has.
func (a *activities) Begin(ctx context.Context, in beginInput) error {
	store, err := a.host.Store(ctx)
	if err != nil {
		return err
	}
	if in.Job.Recorded || again(ctx) {
		tl, err := store.Timeline(ctx, in.Job.Run)
		switch {
		case err == nil && tl.Run.Status == event.Running:
			return nil
		case errors.Is(err, event.ErrNoRun) && in.Job.Recorded:
			return a.elsewhere(in.Job.Run)
		case err != nil && !errors.Is(err, event.ErrNoRun):
			return err
		}
	}
	in.Job.Cluster = cmp.Or(in.Job.Cluster, a.cluster) // a schedule does not know
	events, err := in.Job.Opening(Engine, in.Spec, time.Now())
	if err != nil {
		return err
	}
	_, err = store.Append(ctx, in.Job.Run, events...)
	return err
}

// errElsewhere: the run's record is not where this worker records.
var errElsewhere = errors.New("the record of the run is in another database than the one of this worker")

// elsewhere is the error of a worker that would split a run's record. It is left
// to other workers.
func (a *activities) elsewhere(run string) error {
	if a.astray != nil {
		a.astray.met(run)
	}
	return fmt.Errorf("run %s: %w (WFCTL_EVENTS)", run, errElsewhere)
}

// record is the record of a run, which has been opened.
func (a *activities) record(ctx context.Context, run string) (*event.Store, error) {
	store, err := a.host.Store(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := store.Timeline(ctx, run); errors.Is(err, event.ErrNoRun) {
		return nil, a.elsewhere(run)
	} else if err != nil {
		return nil, err
	}
	return store, nil
}

// Note records what needs no step to run.
func (a *activities) Note(ctx context.Context, in noteInput) error {
	store, err := a.record(ctx, in.Job.Run)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	var events []event.Event
	for _, s := range in.Skipped {
		events = append(events, event.NodeFinished{Address: s.Step, Action: "run", Outcome: event.Skipped, Reason: s.Reason, At: now})
	}
	if in.Broken != "" {
		events = append(events, event.NodeFinished{Address: in.Broken, Action: "run", Outcome: event.Failed, Error: in.Failure.Message, Hint: in.Failure.Hint, At: now})
	}
	if in.Notice != "" {
		events = append(events, event.Notice{Level: "info", Message: in.Notice})
	}
	if again(ctx) {
		tl, err := store.Timeline(ctx, in.Job.Run)
		if err != nil && !errors.Is(err, event.ErrNoRun) {
			return err
		}
		events = slices.DeleteFunc(events, func(e event.Event) bool {
			over, ok := e.(event.NodeFinished)
			return ok && tl != nil && isOver(tl, over)
		})
	}
	_, err = store.Append(ctx, in.Job.Run, events...)
	return err
}

func isOver(tl *event.Timeline, e event.NodeFinished) bool {
	s := tl.Step("", e.Address)
	return s != nil && s.Status == event.Status(e.Outcome)
}

// End closes a run.
func (a *activities) End(ctx context.Context, in endInput) error {
	a.forget(in.Job.Run)
	store, err := a.record(ctx, in.Job.Run)
	if err != nil {
		return err
	}
	if again(ctx) {
		if tl, err := store.Timeline(ctx, in.Job.Run); err == nil && tl.Run.Status != event.Running {
			return nil
		}
	}
	o := in.Output
	over := event.RunFinished{Run: in.Job.Run, Done: o.Done, Failed: o.Failed, Skipped: o.Skipped, Took: in.Took, At: time.Now().UTC()}
	err = o.verdict(in.Pipeline, in.Job.Run).Err()
	switch {
	case o.Left, fault.CodeOf(err) == fault.Interrupted && o.Failed == 0:
		over.Interrupted = true // and what ended for that is no failure of the run's
	case err != nil && in.Pipeline != "":
		over.Error = "pipeline " + in.Pipeline + " failed"
	case err != nil:
		over.Error = o.Failures[len(o.Failures)-1].Message
	}
	_, err = store.Append(ctx, in.Job.Run, over)
	return err
}

// Step makes one attempt at a step.
func (a *activities) Step(ctx context.Context, in stepInput) (stepOutput, error) {
	working, stop := a.heart.beat(ctx)
	defer stop()
	job, err := a.take(working, in.Job)
	if err != nil {
		return stepOutput{}, a.cannotBegin(ctx, working, in.Job.Run, err)
	}
	defer a.give(job)
	store, err := a.host.Store(working)
	if err != nil {
		return stepOutput{}, err
	}
	p := past{store: store, run: in.Job.Run, step: in.Step}
	if again(ctx) {
		if err := p.read(working); err != nil {
			return stepOutput{}, err
		}
		if out, ok := p.ended(); ok {
			return out, nil
		}
		in.Asked = in.Asked || p.asked
	}
	if err := fetch(working, store, in); err != nil {
		return stepOutput{}, fatal(err)
	}
	call, err := in.call()
	if err != nil {
		return stepOutput{}, fatal(err)
	}
	o := job.opened.Options
	o.Ask = p.ask(o.Flush)
	end, err := job.opened.Pipeline.Execute(working, o, call)
	if err == nil && again(ctx) && end.Outcome != "" {
		err = p.settle(working, end.Failure != nil)
	}
	if err != nil {
		return stepOutput{}, err
	}
	return outputOf(end)
}

func (in stepInput) call() (pipeline.Call, error) {
	c := pipeline.Call{
		Step: in.Step, Attempt: in.Attempt, Last: in.Last, Pause: in.Pause, Limits: in.Limits, Failed: in.Failed,
		Finished: map[string]pipeline.Finished{}, Asked: in.Asked, Fault: in.Fault,
	}
	for name, f := range in.Finished {
		opened, err := f.open()
		if err != nil {
			return c, err
		}
		c.Finished[name] = opened
	}
	return c, nil
}

func outputOf(end pipeline.End) (stepOutput, error) {
	f, err := shut(pipeline.Finished{Outcome: end.Outcome, Result: end.Result, Large: end.Large})
	if len(f.Outputs) > crossLimit {
		f = f.thin()
	}
	return stepOutput{finished: f, Failure: end.Failure, GoOn: end.GoOn, Waiting: end.Waiting}, err
}

// Change carries out a change.
func (a *activities) Change(ctx context.Context, in applyInput) (applyOutput, error) {
	working, stop := a.heart.beat(ctx)
	defer stop()
	job, err := a.take(working, in.Job)
	if err != nil {
		return applyOutput{}, a.cannotBegin(ctx, working, in.Job.Run, err)
	}
	defer a.give(job)
	// To cancel is to let what runs finish; only who leaves cuts it off.
	halt, cut := halting(working)
	defer cut()
	in.Call.Again, in.Call.Stop = again(ctx), working.Done() // what was begun of it, its record and the journal know
	end, err := job.opened.Change(halt, in.Call)
	if errors.Is(context.Cause(halt), pipeline.ErrLeft) {
		return applyOutput{}, pipeline.ErrLeft
	}
	if again(ctx) && (err == nil || isFatal(err)) {
		store, storeErr := a.host.Store(halt)
		if storeErr == nil {
			storeErr = (&past{store: store, run: in.Job.Run}).settle(halt, err != nil || len(end.Failures) > 0)
		}
		if storeErr != nil {
			return applyOutput{}, storeErr
		}
	}
	if err != nil {
		return applyOutput{}, fatal(err)
	}
	return applyOutput{end.Done, end.Failed, end.Skipped, end.Failures, end.Interrupted}, nil
}

// halting is a context that ends only when this process leaves its work.
func halting(ctx context.Context) (context.Context, func()) {
	halt, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); errors.Is(cause, pipeline.ErrLeft) {
			cancel(cause)
		}
	})
	return halt, func() { stop(); cancel(nil) }
}

// shared is a job that is open for all of its steps on this worker.
type shared struct {
	run    string
	ready  chan struct{}
	opened *pipeline.Opened
	err    error
	users  int
	used   time.Time
}

// openLimit is how many jobs a worker keeps open that nothing is done for.
const openLimit = 64

// take opens a job, or joins who has it open.
func (a *activities) take(ctx context.Context, job pipeline.Job) (*shared, error) {
	a.mu.Lock()
	s := a.open[job.Run]
	if s == nil {
		if a.open == nil {
			a.open = map[string]*shared{}
		}
		s = &shared{run: job.Run, ready: make(chan struct{})}
		a.open[job.Run] = s
		go func() {
			// The job is not the first caller's alone.
			opening := context.WithoutCancel(ctx)
			if _, s.err = a.record(opening, job.Run); s.err == nil {
				s.opened, s.err = a.host.Open(opening, job)
			}
			close(s.ready)
		}()
	}
	s.users++
	a.mu.Unlock()
	select {
	case <-s.ready:
	case <-ctx.Done():
		a.give(s)
		return nil, context.Cause(ctx)
	}
	if s.err != nil {
		a.forget(job.Run)
		a.give(s)
		return nil, s.err
	}
	return s, nil
}

// give tells that one step less uses the job.
func (a *activities) give(s *shared) {
	a.mu.Lock()
	s.users--
	s.used = time.Now()
	var old []*shared
	if a.open[s.run] != s && s.users == 0 {
		old = append(old, s)
	}
	if len(a.open) > openLimit {
		if idle := a.idlest(); idle != nil {
			delete(a.open, idle.run)
			old = append(old, idle)
		}
	}
	a.mu.Unlock()
	for _, s := range old {
		s.close()
	}
}

// idlest is the job that nothing was done for for the longest time.
func (a *activities) idlest() *shared {
	var found *shared
	for _, s := range a.open {
		if s.users == 0 && (found == nil || s.used.Before(found.used)) {
			found = s
		}
	}
	return found
}

// idleFor is how long a job stays open that nothing is done for: its run may be
// over, or elsewhere, and it holds its working tree.
const idleFor = time.Minute

// tidy closes the jobs that have been idle for long, again and again until ctx
// ends.
func (a *activities) tidy(ctx context.Context) {
	tick := time.NewTicker(idleFor / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			a.closeIdle(now.Add(-idleFor))
		}
	}
}

// closeIdle closes the jobs that were last used before.
func (a *activities) closeIdle(before time.Time) {
	a.mu.Lock()
	var old []*shared
	for run, s := range a.open {
		if s.users == 0 && s.used.Before(before) {
			delete(a.open, run)
			old = append(old, s)
		}
	}
	a.mu.Unlock()
	for _, s := range old {
		s.close()
	}
}

// forget closes a job, once nobody uses it.
func (a *activities) forget(run string) {
	a.mu.Lock()
	s := a.open[run]
	delete(a.open, run)
	idle := s != nil && s.users == 0
	a.mu.Unlock()
	if idle {
		s.close()
	}
}

// close ends all jobs.
func (a *activities) close() {
	a.mu.Lock()
	all := a.open
	a.open = nil
	a.mu.Unlock()
	for _, s := range all {
		s.close()
	}
}

func (s *shared) close() {
	<-s.ready
	if s.opened != nil && s.opened.Close != nil {
		_ = s.opened.Close(context.Background()) // what it had to record is recorded
	}
}
