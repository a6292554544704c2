package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/graph"
	"github.com/gocodealone/wfctl/step"
)

// Options are what a run uses of the world.
type Options struct {
	Run, Dir    string
	Parallelism int
	// Events takes what happens; Flush makes it durable. Nothing that depends
	// on a step starts before that it is done is durable.
	Events event.Sink
	Flush  func() error
	// Stop closes when nothing new shall start.
	Stop <-chan struct{}
	// Ask waits for a person's answer for a step.
	Ask func(ctx context.Context, step, question string) (event.ApprovalGiven, error)
	// Done are steps that an earlier process has done.
	Done map[string]Finished
	Now  func() time.Time
	// Flags are for [Verdict].
	Flags string
}

// Summary counts the steps by outcome.
type Summary struct{ Done, Failed, Skipped int }

// Run runs a pipeline. The error names the steps that failed.
func (p *Pipeline) Run(ctx context.Context, o Options) (Summary, error) {
	r := newRun(p, o)
	for name, f := range o.Done {
		r.finished[name] = f
		r.summary.Done++
	}
	main, cancel := ctx, context.CancelFunc(func() {})
	if p.Timeout > 0 {
		main, cancel = context.WithTimeoutCause(ctx, p.Timeout, fault.New(fault.Provider, "%s", PipelineTimeout(p.Name, p.Timeout)))
	}
	r.walk(main, Main, o.Stop)
	cancel()
	if r.failed() {
		r.walk(ctx, OnFailure, nil)
	}
	r.walk(ctx, Always, nil)
	return r.summary, r.err(ctx)
}

func newRun(p *Pipeline, o Options) *run {
	r := &run{
		Pipeline: p, o: o, finished: map[string]Finished{}, breakers: map[string]circuitbreaker.CircuitBreaker[step.Result]{},
	}
	if o.Now == nil {
		r.o.Now = time.Now
	}
	if o.Parallelism < 1 {
		r.o.Parallelism = 10
	}
	return r
}

// run is the state of one Run, or of one call of Execute.
type run struct {
	*Pipeline
	o Options
	// called is the call of Execute, nil for a Run; failing: a step has failed
	// before it; last is the error of its step; unrecorded: its end is not
	// durable.
	called           *Call
	failing          bool
	last, unrecorded error

	mu       sync.Mutex
	finished map[string]Finished
	errs     []error
	secrets  []string
	stopped  bool
	summary  Summary
	breakers map[string]circuitbreaker.CircuitBreaker[step.Result]
}

func (r *run) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.errs) > 0
}

// err is how the run ended.
func (r *run) err(ctx context.Context) error {
	return Verdict{Pipeline: r.Name, Run: r.o.Run, Flags: r.o.Flags, Summary: r.summary, Errs: r.errs, Stopped: r.stopped, Cause: context.Cause(ctx)}.Err()
}

// Verdict is how a run ended.
type Verdict struct {
	Pipeline, Run string
	Summary
	// Errs are those of the steps whose failure counts.
	Errs []error
	// Stopped: it was asked to stop before it was over.
	Stopped bool
	// Flags are those with which it goes on, beside --resume.
	Flags string
	// Cause is why it was left in the middle; nil where it was not.
	Cause error
}

// Err is the error of the run.
func (v Verdict) Err() error {
	switch {
	case v.Cause != nil:
		return errors.Join(append(v.Errs, fault.Wrap(fault.Interrupted, v.Cause, "pipeline %q was interrupted", v.Pipeline).
			WithHint("it goes on with `wfctl pipeline run %s --resume %s%s`", v.Pipeline, v.Run, v.Flags))...)
	case len(v.Errs) > 0:
		return errors.Join(append(v.Errs, fault.New(fault.Partial, "pipeline %q failed: %d done, %d failed, %d skipped", v.Pipeline, v.Done, v.Failed, v.Skipped).
			WithHint("when the cause is mended: `wfctl pipeline run %s --resume %s%s`", v.Pipeline, v.Run, v.Flags))...)
	case v.Stopped:
		return fault.New(fault.Interrupted, "pipeline %q was stopped before it was over", v.Pipeline).
			WithHint("it goes on with `wfctl pipeline run %s --resume %s%s`", v.Pipeline, v.Run, v.Flags)
	}
	return nil
}

// ChangeErr is the error of a run that is a change and no pipeline.
func (v Verdict) ChangeErr(command string) error {
	switch {
	case v.Cause != nil:
		return errors.Join(append(v.Errs, fault.Wrap(fault.Interrupted, v.Cause, "%s was interrupted", command).WithHint("the journal knows what was under way; the same command goes on from there"))...)
	case v.Stopped:
		return fault.New(fault.Interrupted, "interrupted: %d done, %d not started", v.Done, v.Skipped).WithHint("what was done is recorded; the same command goes on from there")
	}
	return errors.Join(v.Errs...)
}

// walk runs a group.
func (r *run) walk(ctx context.Context, group Group, stop <-chan struct{}) {
	left := r.Spec().Graph(group).Walk(ctx, r.o.Parallelism, stop, func(ctx context.Context, name string, _ func()) error {
		s := r.Steps[r.index(name)]
		if _, done := r.o.Done[name]; done {
			return nil
		}
		return r.step(ctx, s)
	})
	for _, s := range r.Steps {
		var skip *graph.SkipError[string]
		if err, ok := left[s.Name]; ok && s.Group == group && errors.As(err, &skip) {
			r.stopped = r.stopped || skip.Stopped
			r.skip(s, skip.Error())
		}
	}
}

func (r *run) skip(s Step, reason string) {
	r.mu.Lock()
	r.finished[s.Name] = Finished{Outcome: event.Skipped}
	r.summary.Skipped++
	r.mu.Unlock()
	r.o.Events.Emit(event.NodeFinished{Address: s.Name, Action: action, Outcome: event.Skipped, Reason: reason, At: r.o.Now()})
}

// action is what is done with a step, for who shows it.
const action = "run"

const conditionReason = "its condition does not hold"

// start opens a step, or another attempt at it.
func (r *run) start(s Step, at time.Time) {
	r.o.Events.Emit(event.NodeStarted{Address: s.Name, Action: action, Type: s.Type, Name: s.Name, At: at})
}

func (r *run) view() View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return View{Run: r.o.Run, Failed: r.failing || len(r.errs) > 0, Finished: func(name string) (Finished, bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		f, ok := r.finished[name]
		return f, ok
	}}
}

// step runs one step: its condition, its attempts, what it leaves. The error
// is one that stops what waits for it.
func (r *run) step(ctx context.Context, s Step) error {
	holds, err := s.Binding.Holds(r.view())
	if err == nil && !holds {
		r.skip(s, conditionReason)
		return nil
	}
	began := r.o.Now()
	if err != nil { // it never started; let the timeline have its bar all the same
		r.start(s, began)
		return r.finish(s, began, step.Result{}, err)
	}
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Timeout, fault.New(fault.Provider, "%s", StepTimeout(s.Name, s.Timeout)))
		defer cancel()
	}
	res, err := r.attempts(ctx, s)
	return r.finish(s, began, res, withCause(ctx, err))
}

// attempt is one attempt at a step.
func (r *run) attempt(ctx context.Context, s Step) (res step.Result, err error) {
	if r.called == nil || !r.called.Asked {
		r.start(s, r.o.Now())
	}
	defer func() {
		if p := recover(); p != nil {
			err = step.Permanent(fault.New(fault.Internal, "step %q panicked: %v", s.Name, p).WithDetail(string(debug.Stack())))
		}
	}()
	options, secrets, err := s.Binding.Options(r.view())
	if err != nil {
		return res, step.Permanent(err)
	}
	known := r.learn(secrets)
	ready, err := s.Kind.Prepare(options)
	if err != nil {
		return res, step.Permanent(err)
	}
	return ready.Run(ctx, r.context(s, known))
}

// learn adds secrets to those that nothing may show, and returns all.
func (r *run) learn(secrets []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		if !slices.Contains(r.secrets, s) {
			r.secrets = append(slices.Clip(r.secrets), s)
		}
	}
	// Longer ones first: one may be a part of another.
	r.secrets = slices.Clone(r.secrets)
	slices.SortStableFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
	return r.secrets
}

func (r *run) context(s Step, secrets []string) *step.Context {
	return &step.Context{
		RunID: r.o.Run, Pipeline: r.Name, Name: s.Name, Dir: r.o.Dir, Secrets: secrets,
		Events: event.Within(s.Name, r.o.Events), Self: r.o.Events,
		Ask: func(ctx context.Context, question string) (event.ApprovalGiven, error) {
			return r.o.Ask(ctx, s.Name, question)
		},
		Publish: func(topic string, data json.RawMessage) {
			r.o.Events.Emit(event.Published{Address: s.Name, Topic: topic, Data: data, At: r.o.Now()})
		},
	}
}

// finish records how a step ended and makes it durable.
func (r *run) finish(s Step, began time.Time, res step.Result, err error) error {
	goOn := false
	if err == nil {
		res, err = r.outputs(s, res)
		res = r.tainted(res)
	}
	if err != nil {
		goOn, _ = s.Binding.ContinueOnError(r.view()) // a mistake in it is no reason to go on
	}
	e := event.NodeFinished{Address: s.Name, Action: action, Outcome: event.Done, At: r.o.Now()}
	e.Took = e.At.Sub(began)
	if err != nil {
		e.Outcome, e.Error, e.Hint = event.Failed, step.Mask(err.Error(), r.learn(nil)), hint(err)
		if goOn {
			e.Reason = "its failure does not count: continue_on_error"
		}
	} else {
		e.Outputs, e.Withheld = stored(res)
	}
	r.learn(secretTexts(res))
	r.o.Events.Emit(e)
	if flushErr := r.o.Flush(); flushErr != nil {
		r.unrecorded = fault.Wrap(fault.State, flushErr, "record the end of step %q", s.Name)
		err, goOn = errors.Join(err, r.unrecorded), false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished[s.Name] = Finished{Outcome: e.Outcome, Result: res}
	if err != nil {
		r.last = r.named(s, err)
	}
	switch {
	case err == nil:
		r.summary.Done++
		return nil
	case goOn:
		r.summary.Failed++
		return nil
	}
	r.summary.Failed++
	r.errs = append(r.errs, r.last)
	return err
}

// named says which step an error is of, without secrets.
func (r *run) named(s Step, err error) error {
	f := fault.New(fault.CodeOf(err), "step %q: %s", s.Name, step.Mask(err.Error(), r.secrets))
	if f.Code == fault.Internal {
		f.Code = fault.Provider
	}
	var inner *fault.Error
	if errors.As(err, &inner) {
		f = f.WithHint("%s", step.Mask(inner.Hint, r.secrets))
		for _, line := range inner.Detail {
			f = f.WithDetail(step.Mask(line, r.secrets))
		}
	}
	return f
}

func hint(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

// outputs adds those that the configuration makes of what the step left.
func (r *run) outputs(s Step, res step.Result) (step.Result, error) {
	r.mu.Lock()
	r.finished[s.Name] = Finished{Outcome: event.Done, Result: res}
	r.mu.Unlock()
	more, err := s.Binding.Outputs(r.view())
	if err != nil || len(more.Outputs) == 0 {
		return res, err
	}
	all := map[string]any{}
	for name, v := range res.Outputs {
		all[name] = v
	}
	for name, v := range more.Outputs {
		all[name] = v
	}
	return step.Result{Outputs: all, Sensitive: append(slices.Clone(res.Sensitive), more.Sensitive...)}, nil
}

// tainted marks outputs that hold a secret: one that a step was given, and gave
// on.
func (r *run) tainted(res step.Result) step.Result {
	secrets := r.learn(nil)
	if len(secrets) == 0 {
		return res
	}
	for name, v := range res.Outputs {
		if slices.Contains(res.Sensitive, name) {
			continue
		}
		texts := secretTexts(step.Result{Outputs: map[string]any{name: v}, Sensitive: []string{name}})
		if slices.ContainsFunc(texts, func(text string) bool { return step.Mask(text, secrets) != text }) {
			res.Sensitive = append(slices.Clip(res.Sensitive), name)
		}
	}
	slices.Sort(res.Sensitive)
	return res
}

// storeLimit is how large an output may be that is stored.
const storeLimit = 256 << 10

// stored are the outputs that may be: without what is sensitive or too large.
func stored(res step.Result) (json.RawMessage, []string) {
	open := map[string]json.RawMessage{}
	var withheld []string
	for name, v := range res.Outputs {
		raw, err := json.Marshal(v)
		if err != nil || slices.Contains(res.Sensitive, name) || len(raw) > storeLimit {
			withheld = append(withheld, name)
			continue
		}
		open[name] = raw
	}
	slices.Sort(withheld)
	if len(open) == 0 {
		return nil, withheld
	}
	raw, err := json.Marshal(open)
	if err != nil {
		return nil, withheld
	}
	return raw, withheld
}

// secretTexts are the texts in sensitive outputs.
func secretTexts(res step.Result) []string {
	var all []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			all = append(all, v)
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	for _, name := range res.Sensitive {
		walk(res.Outputs[name])
	}
	return all
}
