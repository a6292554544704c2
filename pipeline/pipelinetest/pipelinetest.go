// Package pipelinetest is the suite that every engine of pipelines passes: the
// same pipelines, the same outcomes, the same timelines.
package pipelinetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/step"
)

// World is what a run of the suite has besides its pipeline.
type World struct {
	Run   string
	Store *event.Store
	Done  map[string]pipeline.Finished
	// Stop closes when nothing new shall start.
	Stop chan struct{}
	// given is the answer to every question; nil for none.
	given *event.ApprovalGiven
	// Answered has the engine look for an answer; the engine sets it before
	// the run begins, where it needs to be told.
	Answered func(step string)
}

// Runner runs a pipeline on the engine under test.
type Runner func(t *testing.T, p *pipeline.Pipeline, w *World) (pipeline.Summary, error)

// Ran is how a run ended.
type Ran struct {
	pipeline.Summary
	Err      error
	Timeline *event.Timeline
	*World
}

// suite is one engine under test.
type suite struct {
	run Runner
	// id keeps the runs of one suite from those of another.
	id string
	n  int
}

func (s *suite) do(t *testing.T, p *pipeline.Pipeline, change func(*World)) *Ran {
	t.Helper()
	s.n++
	if p.Name == "" {
		p.Name = "p"
	}
	w := &World{Run: fmt.Sprintf("suite-%s-%d", s.id, s.n), Store: event.Open(memory.New(), event.StoreOptions{}), Stop: make(chan struct{})}
	if change != nil {
		change(w)
	}
	r := &Ran{World: w}
	r.Summary, r.Err = s.run(t, p, w)
	var err error
	if r.Timeline, err = w.Store.Timeline(context.Background(), w.Run); err != nil {
		t.Fatal(err)
	}
	return r
}

// Options are those of a run in this process, or of a worker's steps.
func (w *World) Options() pipeline.Options {
	return pipeline.Options{
		Run: w.Run, Flush: func() error { return nil }, Stop: w.Stop, Done: w.Done, Parallelism: 4, Ask: w.ask,
		Events: event.SinkFunc(func(e event.Event) {
			if _, err := w.Store.Append(context.Background(), w.Run, e); err != nil {
				panic(err) // into memory
			}
		}),
	}
}

// ask waits for an answer in the store, as a run in process does.
func (w *World) ask(ctx context.Context, name, question string) (event.ApprovalGiven, error) {
	at, err := w.Store.Append(ctx, w.Run, event.ApprovalRequested{Address: name, Message: question})
	if err != nil {
		return event.ApprovalGiven{}, err
	}
	for rec, err := range w.Store.Follow(ctx, w.Run, at, true) {
		if err != nil {
			return event.ApprovalGiven{}, err
		}
		if given, ok := rec.Event.(event.ApprovalGiven); ok && given.Address == name {
			return given, nil
		}
	}
	return event.ApprovalGiven{}, context.Cause(ctx)
}

// answer answers the questions of a run that wait for it, and tells how many
// those were.
func (w *World) answer(ctx context.Context) int {
	n := 0
	tl, err := w.Store.Timeline(ctx, w.Run)
	if err != nil || w.given == nil {
		return 0
	}
	for _, s := range tl.Steps {
		if s.Status != event.Waiting {
			continue
		}
		given := *w.given
		given.Address = s.Address
		if _, err := w.Store.Append(ctx, w.Run, given); err == nil && w.Answered != nil {
			w.Answered(s.Address)
		}
		n++
	}
	return n
}

// AnswerNow answers what waits now, for an engine whose clock jumps.
func (w *World) AnswerNow() { w.answer(context.Background()) }

// Answering answers each question as it comes, until the test ends.
func (w *World) Answering(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for rec, err := range w.Store.Follow(ctx, w.Run, 0, true) {
			if _, ok := rec.Event.(event.ApprovalRequested); ok && err == nil {
				w.answer(ctx)
			}
		}
	}()
}

// Show writes a timeline down without what differs from run to run.
func Show(t *event.Timeline) string {
	var lines []string
	for _, s := range t.Steps {
		line := fmt.Sprintf("%s %s/%s %s x%d", s.Address, s.Group, s.Type, s.Status, s.Attempts)
		for _, part := range []struct{ name, value string }{
			{"needs", strings.Join(s.Needs, ",")}, {"error", s.Error}, {"hint", s.Hint}, {"reason", s.Reason},
			{"outputs", string(s.Outputs)}, {"withheld", strings.Join(s.Withheld, ",")},
		} {
			if part.value != "" {
				line += " " + part.name + "=" + part.value
			}
		}
		if s.Lines > 0 {
			line += fmt.Sprintf(" lines=%d", s.Lines)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Plain is a binding without expressions.
type Plain struct {
	If      func(pipeline.View) (bool, error)
	GoOn    bool
	Secrets []string
	Out     func(pipeline.View) step.Result
	With    func(pipeline.View) (json.RawMessage, error)
}

// Holds implements pipeline.Binding.
func (p Plain) Holds(v pipeline.View) (bool, error) {
	if p.If == nil {
		return true, nil
	}
	return p.If(v)
}

// Options implements pipeline.Binding.
func (p Plain) Options(v pipeline.View) (json.RawMessage, []string, error) {
	if p.With == nil {
		return json.RawMessage("{}"), p.Secrets, nil
	}
	raw, err := p.With(v)
	return raw, p.Secrets, err
}

// Outputs implements pipeline.Binding.
func (p Plain) Outputs(v pipeline.View) (step.Result, error) {
	if p.Out == nil {
		return step.Result{}, nil
	}
	return p.Out(v), nil
}

// ContinueOnError implements pipeline.Binding.
func (p Plain) ContinueOnError(pipeline.View) (bool, error) { return p.GoOn, nil }

// Do is what a step of the suite does.
type Do func(ctx context.Context, c *step.Context) (step.Result, error)

// Fine is a step that does nothing.
func Fine(context.Context, *step.Context) (step.Result, error) { return step.Result{}, nil }

// Fails is a step that fails.
func Fails(err error) Do {
	return func(context.Context, *step.Context) (step.Result, error) { return step.Result{}, err }
}

// Step makes a step.
func Step(name string, do Do, needs ...string) pipeline.Step {
	return pipeline.Step{
		Name: name, Type: "test", Needs: needs, Binding: Plain{},
		Kind: step.Kind{Prepare: func(json.RawMessage) (step.Step, error) { return step.Func(do), nil }},
	}
}

var errBroken = errors.New("broken")
