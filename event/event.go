// Package event defines what happens in a run, as sealed types, and the
// one-method interface that receives it. It stores and renders nothing: stores
// are its sub-packages, rendering is ui's and web's. Events carry no sensitive
// value: who emits one has masked it.
package event

import (
	"encoding/json"
	"time"
)

// Event is one thing that happened. The set of types is closed: the types of
// this package.
type Event interface {
	// Kind is the event's name on the wire: "node.started".
	Kind() string
	sealed()
}

// Sink receives events. Emit returns quickly and may be called concurrently;
// a sink that cannot keep up drops nothing durable.
type Sink interface{ Emit(Event) }

// SinkFunc is a function as a Sink.
type SinkFunc func(Event)

// Emit implements Sink.
func (f SinkFunc) Emit(e Event) { f(e) }

// Discard drops events.
var Discard Sink = SinkFunc(func(Event) {})

// Tee emits to all of them in order.
func Tee(sinks ...Sink) Sink {
	return SinkFunc(func(e Event) {
		for _, s := range sinks {
			s.Emit(e)
		}
	})
}

// RunStarted opens a run, or opens it again.
type RunStarted struct {
	Run         string    `json:"run"`
	Command     string    `json:"command"`
	Project     string    `json:"project"`
	Environment string    `json:"environment"`
	At          time.Time `json:"at"`
	// Resumed: the run was interrupted and goes on.
	Resumed bool `json:"resumed,omitempty"`
	// Holder says which process runs it, so that a run whose process is gone
	// can be told from one that is under way.
	Holder json.RawMessage `json:"holder,omitempty"`
	// Engine is where it runs when that is not the process that started it:
	// "temporal".
	Engine string `json:"engine,omitempty"`
}

// PlanReady says how much a plan holds, by action.
type PlanReady struct {
	Hash   string         `json:"hash"`
	Counts map[string]int `json:"counts"`
}

// NodeStarted opens the work on one node of the graph, or on one step of a
// pipeline. A second one for the same node is another attempt.
type NodeStarted struct {
	Address string `json:"address"`
	// Parent is the step that the node is a part of; "" for none.
	Parent string    `json:"parent,omitempty"`
	Action string    `json:"action"`
	Type   string    `json:"type"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
}

// NodeProgress tells how far it is; Fraction is negative where not known.
type NodeProgress struct {
	Address  string  `json:"address"`
	Parent   string  `json:"parent,omitempty"`
	Message  string  `json:"message"`
	Fraction float64 `json:"fraction"`
}

// NodeLog is a line of output of what the node runs.
type NodeLog struct {
	Address string `json:"address"`
	Parent  string `json:"parent,omitempty"`
	Line    string `json:"line"`
}

// NodeWarning does not stop the node.
type NodeWarning struct {
	Address string `json:"address"`
	Parent  string `json:"parent,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Outcome is how the work on a node ended.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// NodeFinished closes the work on a node.
type NodeFinished struct {
	Address string        `json:"address"`
	Parent  string        `json:"parent,omitempty"`
	Action  string        `json:"action"`
	Outcome Outcome       `json:"outcome"`
	Error   string        `json:"error,omitempty"`
	Hint    string        `json:"hint,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	Took    time.Duration `json:"took_ns"`
	At      time.Time     `json:"at"`
	// Outputs are what a step reports, a JSON object without sensitive values;
	// Withheld names those that were left out for being sensitive.
	Outputs  json.RawMessage `json:"outputs,omitempty"`
	Withheld []string        `json:"withheld,omitempty"`
}

// StepsPlanned says which steps a pipeline has, before any of them starts.
type StepsPlanned struct {
	Pipeline string `json:"pipeline"`
	// Inputs is a JSON object without those that are private.
	Inputs json.RawMessage `json:"inputs,omitempty"`
	Steps  []PlannedStep   `json:"steps"`
}

// PlannedStep is a step that has not started.
type PlannedStep struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Needs []string `json:"needs,omitempty"`
	// Group is steps, on_failure or always.
	Group string `json:"group"`
}

// ApprovalRequested: a step waits for a person.
type ApprovalRequested struct {
	Address string    `json:"address"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// ApprovalGiven is a person's answer.
type ApprovalGiven struct {
	Address  string    `json:"address"`
	Approved bool      `json:"approved"`
	By       string    `json:"by"`
	Via      string    `json:"via"` // terminal, command, page
	Comment  string    `json:"comment,omitempty"`
	At       time.Time `json:"at"`
}

// Published is an event of the user's own, by a step of type publish.
type Published struct {
	Address string          `json:"address"`
	Topic   string          `json:"topic"`
	Data    json.RawMessage `json:"data,omitempty"`
	At      time.Time       `json:"at"`
}

// Notice is something to tell that belongs to no node.
type Notice struct {
	Level   string `json:"level"` // info, warning
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// RunFinished closes a run.
type RunFinished struct {
	Run     string        `json:"run"`
	Done    int           `json:"done"`
	Failed  int           `json:"failed"`
	Skipped int           `json:"skipped"`
	Error   string        `json:"error,omitempty"`
	Took    time.Duration `json:"took_ns"`
	At      time.Time     `json:"at"`
	// Interrupted: it was stopped before it was over, and can go on.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Kind implements Event, as it does for all types below.
func (RunStarted) Kind() string   { return "run.started" }
func (PlanReady) Kind() string    { return "plan.ready" }
func (NodeStarted) Kind() string  { return "node.started" }
func (NodeProgress) Kind() string { return "node.progress" }
func (NodeLog) Kind() string      { return "node.log" }
func (NodeWarning) Kind() string  { return "node.warning" }
func (NodeFinished) Kind() string { return "node.finished" }
func (Notice) Kind() string       { return "notice" }
func (RunFinished) Kind() string  { return "run.finished" }

// Kind implements Event.
func (StepsPlanned) Kind() string { return "steps.planned" }

// Kind implements Event.
func (ApprovalRequested) Kind() string { return "approval.requested" }

// Kind implements Event.
func (ApprovalGiven) Kind() string { return "approval.given" }

// Kind implements Event.
func (Published) Kind() string { return "published" }

func (RunStarted) sealed()   {}
func (PlanReady) sealed()    {}
func (NodeStarted) sealed()  {}
func (NodeProgress) sealed() {}
func (NodeLog) sealed()      {}
func (NodeWarning) sealed()  {}
func (NodeFinished) sealed() {}
func (Notice) sealed()       {}
func (RunFinished) sealed()  {}

func (StepsPlanned) sealed()      {}
func (ApprovalRequested) sealed() {}
func (ApprovalGiven) sealed()     {}
func (Published) sealed()         {}
