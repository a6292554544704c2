package temporal

import (
	"context"
	"errors"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// past is what earlier workers recorded of a step since it began last.
type past struct {
	store     *event.Store
	run, step string

	over  *event.NodeFinished
	asked bool
	given *event.ApprovalGiven
}

// read reads it.
func (p *past) read(ctx context.Context) error {
	p.over, p.asked, p.given = nil, false, nil
	for rec, err := range p.store.Read(ctx, p.run, 0) {
		if err != nil {
			return err
		}
		switch e := rec.Event.(type) {
		case event.RunStarted:
			p.over, p.asked, p.given = nil, false, nil
		case event.NodeStarted:
			if e.Parent == "" && e.Address == p.step {
				p.over, p.asked, p.given = nil, false, nil
			}
		case event.NodeFinished:
			if e.Parent == "" && e.Address == p.step {
				p.over = &e
			}
		case event.ApprovalRequested:
			p.asked = p.asked || e.Address == p.step
		case event.ApprovalGiven:
			if e.Address == p.step && p.asked && p.given == nil { // the first one counts
				p.given = &e
			}
		}
	}
	return nil
}

// ended is the step's end, where a worker recorded it that was lost before it
// could tell.
func (p *past) ended() (stepOutput, bool) {
	if p.over == nil {
		return stepOutput{}, false
	}
	out := stepOutput{finished: finished{Outcome: p.over.Outcome, Outputs: p.over.Outputs, Withheld: p.over.Withheld}}
	if len(out.Outputs) > crossLimit {
		out.finished = out.thin()
	}
	if p.over.Outcome == event.Failed {
		out.Failure = &pipeline.Failure{Code: fault.Provider, Message: "step \"" + p.step + "\": " + p.over.Error, Hint: p.over.Hint}
		out.GoOn = p.over.Reason != ""
	}
	return out, true
}

// ask is how a step asks a person: it records the question once, and leaves
// the waiting to the workflow.
func (p *past) ask(flush func() error) func(context.Context, string, string) (event.ApprovalGiven, error) {
	return func(ctx context.Context, name, question string) (event.ApprovalGiven, error) {
		if err := flush(); err != nil {
			return event.ApprovalGiven{}, err
		}
		if err := p.read(ctx); err != nil && !errors.Is(err, event.ErrNoRun) {
			return event.ApprovalGiven{}, err
		}
		switch {
		case p.given != nil:
			return *p.given, nil
		case p.asked:
			return event.ApprovalGiven{}, pipeline.ErrWaiting
		}
		_, err := p.store.Append(ctx, p.run, event.ApprovalRequested{Address: name, Message: question, At: time.Now().UTC()})
		if err != nil {
			return event.ApprovalGiven{}, err
		}
		return event.ApprovalGiven{}, pipeline.ErrWaiting
	}
}

// settle closes the parts of the step that an earlier worker began and no
// later one took up again: the journal said how they ended. A change has its
// parts at the top.
func (p *past) settle(ctx context.Context, failed bool) error {
	tl, err := p.store.Timeline(ctx, p.run)
	if err != nil {
		return err
	}
	outcome := event.Done
	if failed {
		outcome = event.Failed
	}
	var events []event.Event
	for _, s := range tl.Steps {
		if s.Parent == p.step && s.Status == event.Running {
			now := time.Now().UTC()
			events = append(events, event.NodeFinished{
				Address: s.Address, Parent: s.Parent, Action: s.Action, Outcome: outcome, Took: now.Sub(s.Started), At: now,
				Reason: "the worker that began it was lost; the journal says how it ended",
			})
		}
	}
	_, err = p.store.Append(ctx, p.run, events...)
	return err
}
