package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

// Call is one attempt at a step, for an engine that keeps the order of the
// steps elsewhere.
type Call struct {
	Step string
	// Attempt counts from 1; Last says that no other follows a failure.
	Attempt int
	Last    bool
	// Pause is how long the engine waits before the next attempt.
	Pause time.Duration
	// Limits end the attempt.
	Limits []Limit
	// Failed: a step has failed whose failure counts.
	Failed bool
	// Finished are the steps that it may refer to.
	Finished map[string]Finished
	// Asked: the step has begun, has asked a person and goes on.
	Asked bool
	// Fault ends the step without another attempt.
	Fault *Failure
}

// Limit bounds an attempt.
type Limit struct {
	After time.Duration `json:"after"`
	Cause string        `json:"cause"`
}

// Failure is an error that crosses between machines; it holds no secret.
type Failure struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
	Detail  []string   `json:"detail,omitempty"`
}

// Err is the failure as an error.
func (f *Failure) Err() error {
	return fault.New(f.Code, "%s", f.Message).WithHint("%s", f.Hint).WithDetail(f.Detail...)
}

// FailureOf takes an error apart.
func FailureOf(err error) *Failure {
	f := &Failure{Code: fault.CodeOf(err), Message: err.Error()}
	var inner *fault.Error
	if errors.As(err, &inner) {
		f.Hint, f.Detail = inner.Hint, inner.Detail
	}
	return f
}

// End is how an attempt ended.
type End struct {
	// Outcome is "" while the step is not over.
	Outcome event.Outcome
	step.Result
	// Large names outputs that are too large to be handed to another machine.
	Large []string
	// Failure is what went wrong: of the step where it is over, else of this
	// attempt, and another may help.
	Failure *Failure
	// GoOn: its failure stops nothing.
	GoOn bool
	// Waiting: it waits for a person's answer.
	Waiting bool
}

// ErrWaiting is what Ask returns where the answer comes to another call.
var ErrWaiting = errors.New("the step waits for an answer")

// ErrLeft is the cause of a context whose process leaves a step that goes on
// elsewhere: its end is not recorded.
var ErrLeft = errors.New("this process leaves the step to another one")

// Execute makes one attempt at a step. What happened is durable when it
// returns. An error says that the attempt did not count, and that it shall be
// made again.
func (p *Pipeline) Execute(ctx context.Context, o Options, c Call) (End, error) {
	i := p.index(c.Step)
	if i < 0 {
		return End{}, fault.New(fault.Config, "pipeline %q has no step %q here", p.Name, c.Step)
	}
	r := newRun(p, o)
	r.called, r.failing = &c, c.Failed
	for name, f := range c.Finished {
		r.finished[name] = f
		r.learn(secretTexts(f.Result))
	}
	end, err := r.execute(ctx, p.Steps[i], c)
	if err == nil {
		err = r.o.Flush()
	}
	return end, err
}

func (r *run) execute(ctx context.Context, s Step, c Call) (End, error) {
	began := r.o.Now()
	if c.Fault != nil {
		return r.ended(s, began, step.Result{}, c.Fault.Err())
	}
	if c.Attempt <= 1 && !c.Asked {
		if holds, err := s.Binding.Holds(r.view()); err != nil {
			r.start(s, began)
			return r.ended(s, began, step.Result{}, err)
		} else if !holds {
			r.skip(s, conditionReason)
			return End{Outcome: event.Skipped}, nil
		}
	}
	for _, l := range c.Limits {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, max(l.After, 0), fault.New(fault.Provider, "%s", l.Cause))
		defer cancel()
	}
	res, err := r.attempt(ctx, s)
	switch cause := context.Cause(ctx); {
	case errors.Is(err, ErrWaiting):
		return End{Waiting: true}, nil
	case err != nil && errors.Is(cause, ErrLeft):
		return End{}, cause
	case err != nil && ctx.Err() == nil && !c.Last && step.Retryable(err):
		r.again(s, c.Attempt, err, c.Pause)
		return End{Failure: r.failure(err)}, nil
	}
	return r.ended(s, began, res, withCause(ctx, err))
}

// ended records how the step ended.
func (r *run) ended(s Step, began time.Time, res step.Result, err error) (End, error) {
	err = r.finish(s, began, res, err)
	f := r.finished[s.Name]
	end := End{Outcome: f.Outcome, Result: f.Result}
	if f.Outcome == event.Failed {
		end.Failure, end.GoOn, end.Result = r.failure(r.last), err == nil, step.Result{}
	}
	if r.unrecorded != nil {
		return End{}, r.unrecorded
	}
	end.Result, end.Large = crossing(end.Result)
	return end, nil
}

// failure takes an error apart, without the secrets that this run knows.
func (r *run) failure(err error) *Failure {
	f := FailureOf(err)
	secrets := r.learn(nil)
	f.Message, f.Hint = step.Mask(f.Message, secrets), step.Mask(f.Hint, secrets)
	for i, line := range f.Detail {
		f.Detail[i] = step.Mask(line, secrets)
	}
	return f
}

// crossing leaves out what is too large to be handed to another machine.
func crossing(res step.Result) (step.Result, []string) {
	var large []string
	kept := step.Result{Sensitive: res.Sensitive}
	for name, v := range res.Outputs {
		if raw, err := json.Marshal(v); err != nil || len(raw) > storeLimit {
			large = append(large, name)
			continue
		}
		if kept.Outputs == nil {
			kept.Outputs = map[string]any{}
		}
		kept.Outputs[name] = v
	}
	return kept, large
}

// Skip records that a step was not started.
func (p *Pipeline) Skip(o Options, name, reason string) {
	o.Events.Emit(event.NodeFinished{Address: name, Action: action, Outcome: event.Skipped, Reason: reason, At: o.Now()})
}

// again tells that an attempt failed and when the next one is.
func (r *run) again(s Step, attempt int, err error, pause time.Duration) {
	message := fmt.Sprintf("attempt %d failed: %v; again in %s", attempt, err, pause.Round(time.Millisecond))
	r.o.Events.Emit(event.NodeProgress{Address: s.Name, Message: step.Mask(message, r.learn(nil)), Fraction: -1})
}

// withCause says why a context ended that ended a step.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && ctx.Err() != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

// PipelineTimeout and StepTimeout say which limit a step ran into.
func PipelineTimeout(name string, d time.Duration) string {
	return fmt.Sprintf("pipeline %q took longer than its timeout of %s", name, d)
}

// StepTimeout is [PipelineTimeout] for a step.
func StepTimeout(name string, d time.Duration) string {
	return fmt.Sprintf("step %q took longer than its timeout of %s", name, d)
}
