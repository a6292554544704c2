package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// How much of the history is kept.
const (
	keepRuns = 1000
	keepFor  = 180 * 24 * time.Hour
)

// EventSource says whose events to open.
type EventSource struct {
	ProjectDir string
	Getenv     func(string) (string, bool)
}

// OpenEvents opens the history of runs.
func OpenEvents(ctx context.Context, kinds Kinds, src EventSource) (*event.Store, error) {
	if kinds.Events == nil {
		return nil, fault.New(fault.Internal, "this build keeps no events")
	}
	driver, err := kinds.Events(ctx, src)
	if err != nil {
		return nil, fault.Wrap(fault.State, err, "open the history of runs")
	}
	return event.Open(driver, event.StoreOptions{}), nil
}

// Unreachable adds to the error of a history that does not answer what to do.
func Unreachable(err error) error {
	if !errors.Is(err, event.ErrUnreachable) {
		return err
	}
	return fault.Wrap(fault.State, err, "the history of runs").WithHint("is that its database, and is it up? WFCTL_EVENTS names it")
}

// Events opens the history of the project's runs; the caller closes it.
func (p *Project) Events(ctx context.Context) (*event.Store, error) {
	return OpenEvents(ctx, p.kinds, EventSource{ProjectDir: p.Dir, Getenv: p.options.Getenv})
}

// listen has the project's events go to the history and to traces as they go
// to the terminal: with what is secret masked.
func (p *Project) listen(ctx context.Context) {
	to := []event.Sink{p.options.Events}
	p.record(ctx)
	if p.recorder != nil {
		to = append(to, p.recorder)
	}
	if sink := p.trace(ctx); sink != nil {
		to = append(to, sink)
	}
	p.events = masked(event.Tee(to...), p.options.Secrets)
}

// record makes the project's runs leave their events in the history.
func (p *Project) record(ctx context.Context) {
	if p.kinds.Events == nil {
		return
	}
	shown := p.events
	p.recorder = event.NewRecorder(ctx, p.Events, func(err error) {
		shown.Emit(event.Notice{Level: "warning", Message: "the run is not recorded: " + err.Error()})
	})
}

// trace makes the project's runs traces, where the environment asks for it;
// nil where it does not.
func (p *Project) trace(ctx context.Context) event.Sink {
	if p.kinds.Trace == nil || p.recorder == nil {
		return nil
	}
	sink, done, err := p.kinds.Trace(ctx, p.options.Getenv)
	if err != nil {
		p.events.Emit(event.Notice{Level: "warning", Message: "runs are not traced: " + err.Error()})
		return nil
	}
	p.untrace = done
	return sink
}

// opening is the event that opens the project's run.
func (p *Project) opening(command string, at time.Time) event.RunStarted {
	env := p.Environment()
	holder, _ := json.Marshal(p.holder(command)) // of strings and numbers
	return event.RunStarted{Run: p.Run, Command: command, Project: env.Project(), Environment: env.Name(), At: at, Holder: holder}
}

// Record makes a run of a command that changes things outside a plan: node is
// what it works on, action what it does there.
func (p *Project) Record(command, node, action string, do func(event.Sink) error) error {
	began := p.options.Now()
	p.events.Emit(p.opening(command, began))
	p.events.Emit(event.NodeStarted{Address: node, Action: action, Name: node, At: began})
	err := do(p.events)
	now := p.options.Now()
	finished := event.NodeFinished{Address: node, Action: action, Outcome: event.Done, Took: now.Sub(began), At: now}
	over := event.RunFinished{Run: p.Run, Done: 1, Took: now.Sub(began), At: now}
	if err != nil {
		finished.Outcome, finished.Error, finished.Hint = event.Failed, err.Error(), hintOf(err)
		over.Done, over.Failed, over.Error = 0, 1, err.Error()
	}
	p.events.Emit(finished)
	p.events.Emit(over)
	return err
}

func hintOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

// userName is who runs this process.
func userName() string { return state.Self("", "", time.Time{}).Who }

// Abandoned tells whether the process of a run is known to be gone.
func Abandoned(r event.Run) bool {
	var h state.Holder
	return r.Status == event.Running && json.Unmarshal(r.Holder, &h) == nil && h.Gone()
}
