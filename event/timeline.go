package event

import (
	"encoding/json"
	"slices"
	"time"
)

// Status is where a run or a step stands.
type Status string

// The statuses. A run that is Running and whose process is gone was
// interrupted; only who can look at processes knows, and sets Interrupted.
const (
	Running     Status = "running"
	Pending     Status = "pending"
	Waiting     Status = "waiting" // for an approval
	Succeeded   Status = "done"
	Broken      Status = "failed"
	NotStarted  Status = "skipped"
	Interrupted Status = "interrupted"
)

// Run is one execution of a command.
type Run struct {
	ID          string          `json:"id"`
	Command     string          `json:"command"`
	Project     string          `json:"project"`
	Environment string          `json:"environment"`
	Status      Status          `json:"status"`
	Started     time.Time       `json:"started"`
	Ended       time.Time       `json:"ended,omitzero"`
	Done        int             `json:"done"`
	Failed      int             `json:"failed"`
	Skipped     int             `json:"skipped"`
	Error       string          `json:"error,omitempty"`
	Holder      json.RawMessage `json:"holder,omitempty"`
	Engine      string          `json:"engine,omitempty"`
}

// Open makes a run of what opened it.
func (e RunStarted) Open() Run {
	return Run{ID: e.Run, Command: e.Command, Project: e.Project, Environment: e.Environment, Status: Running, Started: e.At, Holder: e.Holder, Engine: e.Engine}
}

// Close returns the run as it ended.
func (r Run) Close(e RunFinished) Run {
	r.Ended, r.Done, r.Failed, r.Skipped, r.Error = e.At, e.Done, e.Failed, e.Skipped, e.Error
	r.Status = Succeeded
	if e.Failed > 0 || e.Error != "" {
		r.Status = Broken
	}
	if e.Interrupted {
		r.Status = Interrupted
	}
	return r
}

// Step is a bar of the timeline: a node of a graph or a step of a pipeline.
type Step struct {
	Address  string    `json:"address"`
	Parent   string    `json:"parent,omitempty"`
	Action   string    `json:"action"`
	Type     string    `json:"type,omitempty"`
	Name     string    `json:"name,omitempty"`
	Status   Status    `json:"status"`
	Attempts int       `json:"attempts"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	// Message is the last word of progress, or what an approval asks.
	Message  string  `json:"message,omitempty"`
	Fraction float64 `json:"fraction,omitempty"`
	// Answer is a person's, to what an approval asked.
	Answer   string          `json:"answer,omitempty"`
	Error    string          `json:"error,omitempty"`
	Hint     string          `json:"hint,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Warnings int             `json:"warnings,omitempty"`
	Lines    int             `json:"lines,omitempty"`
	Outputs  json.RawMessage `json:"outputs,omitempty"`
	Withheld []string        `json:"withheld,omitempty"`
	Needs    []string        `json:"needs,omitempty"`
	Group    string          `json:"group,omitempty"`
}

// Timeline is a run and its steps in the order in which they began.
type Timeline struct {
	Run Run `json:"run"`
	// Inputs are those of the pipeline.
	Inputs json.RawMessage `json:"inputs,omitempty"`
	Steps  []Step          `json:"steps"`
	// Warning is the last one that concerned the run and no step, since a step
	// began or ended.
	Warning string `json:"warning,omitempty"`
	// Opened is when the run began, or was last taken up again.
	Opened time.Time `json:"opened,omitzero"`
	// Seq is the number of the last event in it.
	Seq uint64 `json:"seq"`
}

// Step returns a step; nil where there is none.
func (t *Timeline) Step(parent, address string) *Step {
	i := slices.IndexFunc(t.Steps, func(s Step) bool { return s.Parent == parent && s.Address == address })
	if i < 0 {
		return nil
	}
	return &t.Steps[i]
}

// stepKey identifies a step within a run.
type stepKey struct{ parent, address string }

// A fold is a timeline that grows by one event at a time.
type fold struct {
	Timeline
	index map[stepKey]int
}

func newFold(run string) *fold {
	return &fold{Timeline: Timeline{Run: Run{ID: run}}, index: map[stepKey]int{}}
}

// snapshot is a copy that does not grow.
func (f *fold) snapshot() *Timeline {
	t := f.Timeline
	t.Steps = slices.Clone(f.Steps)
	return &t
}

// step finds a step, and begins one that nobody has begun: its opening may
// have been pruned, or it was skipped before it began.
func (f *fold) step(parent, address string) *Step {
	key := stepKey{parent, address}
	i, ok := f.index[key]
	if !ok {
		i = len(f.Steps)
		f.index[key] = i
		f.Steps = append(f.Steps, Step{Address: address, Parent: parent, Status: Running})
	}
	return &f.Steps[i]
}

// add takes the next event.
func (f *fold) add(seq uint64, e Event) {
	f.Seq = seq
	switch e := e.(type) {
	case RunStarted:
		f.open(e)
	case RunFinished:
		f.Run = f.Run.Close(e)
	case Notice:
		if e.Level == "warning" {
			f.Warning = e.Message
		}
	case NodeStarted:
		f.Warning = ""
		s := f.step(e.Parent, e.Address)
		if s.Attempts++; s.Attempts == 1 {
			s.Started, s.Action, s.Type, s.Name = e.At, e.Action, e.Type, e.Name
		}
		s.Status, s.Ended, s.Error, s.Hint, s.Reason = Running, time.Time{}, "", "", ""
	case StepsPlanned:
		f.Inputs = e.Inputs
		for _, p := range e.Steps {
			if _, ok := f.index[stepKey{"", p.Name}]; !ok {
				s := f.step("", p.Name)
				s.Type, s.Status, s.Needs, s.Group = p.Type, Pending, p.Needs, p.Group
			}
		}
	case NodeProgress:
		s := f.step(e.Parent, e.Address)
		s.Message, s.Fraction = e.Message, max(e.Fraction, 0)
	case NodeLog:
		f.step(e.Parent, e.Address).Lines++
	case NodeWarning:
		f.step(e.Parent, e.Address).Warnings++
	case NodeFinished:
		f.finish(e)
	case ApprovalRequested:
		s := f.step("", e.Address)
		s.Status, s.Message = Waiting, e.Message
	case ApprovalGiven:
		s := f.step("", e.Address)
		s.Status = Running
		s.Message = "approved by " + e.By
		if !e.Approved {
			s.Message = "refused by " + e.By
		}
		if e.Comment != "" {
			s.Message += ": " + e.Comment
		}
		s.Answer = s.Message
	}
}

func (f *fold) open(e RunStarted) {
	first := f.Run.Started
	f.Run, f.Opened = e.Open(), e.At
	if !e.Resumed || first.IsZero() {
		return
	}
	f.Run.Started = first
	for i := range f.Steps { // what was under way when its process went
		if s := &f.Steps[i]; s.Status == Running || s.Status == Waiting {
			s.Status = Interrupted
		}
	}
}

func (f *fold) finish(e NodeFinished) {
	f.Warning = ""
	s := f.step(e.Parent, e.Address)
	s.Status = Status(e.Outcome)
	s.Ended, s.Error, s.Hint, s.Reason = e.At, e.Error, e.Hint, e.Reason
	s.Outputs, s.Withheld = e.Outputs, e.Withheld
	if s.Action == "" {
		s.Action = e.Action
	}
}
