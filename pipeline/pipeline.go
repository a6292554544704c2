// Package pipeline runs steps in the order of what they need: at the same
// time where nothing keeps them apart, again where that may help, and never
// twice where they are done. It knows no configuration and no kind of step.
package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

// Group says when a step runs.
type Group int

// The groups run one after the other.
const (
	Main Group = iota
	// OnFailure steps run when a step of Main failed.
	OnFailure
	// Always steps run at the end, whatever happened.
	Always
)

// Step is one step of a pipeline.
type Step struct {
	Name, Type string
	Group      Group
	// Needs are the steps of its group that must be over before; those of
	// other groups are over anyway.
	Needs []string
	// Timeout bounds all attempts together; 0 is none.
	Timeout time.Duration
	Retry   *Retry
	Breaker *Breaker
	Kind    step.Kind
	Binding Binding
	Pos     fault.Position
}

// Retry says how often to try what may succeed at another attempt.
type Retry struct {
	// Attempts counts all, the first one too.
	Attempts int
	Delay    time.Duration
	MaxDelay time.Duration
	Factor   float64
	// Jitter is the part of a delay that is random, 0 to 1.
	Jitter float64
}

// Breaker keeps a step from asking again what has failed too often in a row.
type Breaker struct {
	// Name: steps with the same one share it.
	Name      string
	Failures  int
	Successes int
	Delay     time.Duration
}

// Binding is what the configuration says of a step, evaluated when its turn
// has come.
type Binding interface {
	// Holds evaluates its condition.
	Holds(View) (bool, error)
	// Options evaluates its options and returns the secrets in them.
	Options(View) (options json.RawMessage, secrets []string, err error)
	// Outputs adds to what the step itself left, which is in the view.
	Outputs(View) (step.Result, error)
	// ContinueOnError tells whether its failure stops nothing.
	ContinueOnError(View) (bool, error)
}

// View is what a step can see of the run.
type View struct {
	Run string
	// Failed: a step has failed whose failure counts.
	Failed bool
	// Finished returns what a step left; false where it is not over.
	Finished func(name string) (Finished, bool)
}

// Finished is a step that is over.
type Finished struct {
	Outcome event.Outcome
	step.Result
	// Withheld names outputs that an earlier process had and did not store.
	Withheld []string
	// Large names outputs that were too large to come here.
	Large []string
}

// Pipeline is an ordered piece of work.
type Pipeline struct {
	Name    string
	Timeout time.Duration
	Steps   []Step
}

// Check finds what keeps a pipeline from being run: cycles.
func (p *Pipeline) Check() error {
	var faults fault.List
	for _, group := range []Group{Main, OnFailure, Always} {
		if _, err := p.Spec().Graph(group).Sort(); err != nil {
			pos := fault.Position{}
			for _, s := range p.Steps {
				if s.Group == group && pos.IsZero() {
					pos = s.Pos
				}
			}
			faults = append(faults, fault.New(fault.Config, "the steps of pipeline %q wait for each other: %v", p.Name, err).At(pos).
				WithHint("remove one of the needs"))
		}
	}
	return faults.Err()
}

// Order lists the steps as they would run one by one.
func (p *Pipeline) Order() ([]Step, error) {
	var list []Step
	for _, group := range []Group{Main, OnFailure, Always} {
		names, err := p.Spec().Graph(group).Sort()
		if err != nil {
			return nil, fault.New(fault.Config, "the steps of pipeline %q wait for each other: %v", p.Name, err)
		}
		for _, name := range names {
			list = append(list, p.Steps[p.index(name)])
		}
	}
	return list, nil
}

func (p *Pipeline) index(name string) int {
	return slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == name })
}

// Planned describes the steps to who watches the run.
func (p *Pipeline) Planned() []event.PlannedStep { return p.Spec().Planned() }

// String is the group's key in the configuration.
func (g Group) String() string {
	switch g {
	case Main:
		return "steps"
	case OnFailure:
		return "on_failure"
	case Always:
		return "always"
	}
	return fmt.Sprint(int(g))
}

// Finish reads from a timeline which steps are done, for a run that goes on.
// What a step withheld is lost unless the step is pure, and then it runs
// again.
func (p *Pipeline) Finish(t *event.Timeline) (map[string]Finished, error) {
	done := map[string]Finished{}
	for _, s := range p.Steps {
		was := t.Step("", s.Name)
		if was == nil || was.Status != event.Succeeded || s.Group != Main {
			continue
		}
		if len(was.Withheld) > 0 && s.Kind.Pure {
			continue
		}
		f := Finished{Outcome: event.Done, Withheld: was.Withheld}
		if len(was.Outputs) > 0 {
			if err := json.Unmarshal(was.Outputs, &f.Result.Outputs); err != nil {
				return nil, fault.Wrap(fault.State, err, "read what step %q left", s.Name)
			}
		}
		done[s.Name] = f
	}
	return done, nil
}
