package pipeline

import (
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/graph"
)

// Spec is a pipeline's shape without what its steps do: all that an engine
// needs to know whose steps run elsewhere. It is stored with a run, so a field
// once named never changes its meaning.
type Spec struct {
	Name    string        `json:"name"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Steps   []StepSpec    `json:"steps"`
}

// StepSpec is the shape of a step.
type StepSpec struct {
	Name    string        `json:"name"`
	Type    string        `json:"type"`
	Group   Group         `json:"group,omitempty"`
	Needs   []string      `json:"needs,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Retry   *Retry        `json:"retry,omitempty"`
	Breaker *Breaker      `json:"breaker,omitempty"`
	// Changes: it changes the environment, which one run does at a time.
	Changes bool `json:"changes,omitempty"`
}

// Spec returns the pipeline's shape.
func (p *Pipeline) Spec() *Spec {
	spec := &Spec{Name: p.Name, Timeout: p.Timeout, Steps: make([]StepSpec, len(p.Steps))}
	for i, s := range p.Steps {
		spec.Steps[i] = StepSpec{
			Name: s.Name, Type: s.Type, Group: s.Group, Needs: s.Needs, Timeout: s.Timeout, Retry: s.Retry, Breaker: s.Breaker, Changes: s.Kind.Changes,
		}
	}
	return spec
}

// Graph is the order of a group's steps.
func (s *Spec) Graph(group Group) *graph.Graph[string] {
	g := &graph.Graph[string]{}
	for _, step := range s.Steps {
		if step.Group == group {
			g.Add(step.Name)
		}
	}
	for _, step := range s.Steps {
		for _, need := range step.Needs {
			if step.Group == group && g.Has(need) {
				g.Edge(step.Name, need)
			}
		}
	}
	return g
}

// Step finds a step; nil where there is none.
func (s *Spec) Step(name string) *StepSpec {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return &s.Steps[i]
		}
	}
	return nil
}

// Attempts is how often a step is tried at most.
func (s *StepSpec) Attempts() int {
	if s.Retry == nil {
		return 1
	}
	return max(1, s.Retry.Attempts)
}

// Key names the breaker of a step that has one.
func (s *StepSpec) Key() string {
	if s.Breaker.Name != "" {
		return s.Breaker.Name
	}
	return s.Name
}

// Pause is how long to wait after an attempt, which counts from 1. random is
// from 0 to 1.
func (t *Retry) Pause(attempt int, random float64) time.Duration {
	d := float64(t.Delay)
	if t.MaxDelay > t.Delay && t.Factor > 1 {
		for range attempt - 1 {
			if d *= t.Factor; d >= float64(t.MaxDelay) {
				d = float64(t.MaxDelay)
				break
			}
		}
	}
	return time.Duration(d + d*(1-2*random)*t.Jitter)
}

// Planned describes the steps to who watches the run.
func (s *Spec) Planned() []event.PlannedStep {
	list := make([]event.PlannedStep, len(s.Steps))
	for i, step := range s.Steps {
		list[i] = event.PlannedStep{Name: step.Name, Type: step.Type, Needs: step.Needs, Group: step.Group.String()}
	}
	return list
}
