package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/ui"
)

// changeOptions are a command that plans and applies.
type changeOptions struct {
	command string
	plan    engine.PlanOptions
	consent consent
	// saved is the file of `apply --plan`.
	saved string
	// always asks for consent even for a plan that only creates.
	always bool
	// finish runs after a successful apply, with the lease still held.
	finish func(ctx context.Context, p *engine.Project, w *engine.Work, s *apply.Summary) error
}

// change is the one way from a configuration to changes: open, lease,
// recover, plan, show, ask, apply.
func (a *App) change(ctx context.Context, o changeOptions) (err error) {
	progress := a.renderer()
	defer progress.Close()
	eo := a.engineOptions()
	eo.Events = progress
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	w, err := p.Begin(ctx, o.command, o.consent.lockTimeout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	pl, err := a.planFor(ctx, w, o)
	if err != nil {
		return err
	}
	if pl.Empty() {
		progress.Emit(event.PlanReady{Hash: pl.Hash, Counts: pl.Counts()})
		a.say("No changes: %s is as the configuration says.", p.Environment().Name())
		return a.finishChange(ctx, o, p, w, apply.Nothing())
	}
	if err := a.showPlan(pl); err != nil {
		return err
	}
	if err := a.agree(ctx, pl, o); err != nil {
		return err
	}
	stop, end := a.interrupts.graceful()
	defer end()
	summary, err := w.Apply(ctx, pl, stop)
	progress.Close()
	if err != nil {
		return a.reportFailure(summary, err)
	}
	return a.finishChange(ctx, o, p, w, summary)
}

func (a *App) planFor(ctx context.Context, w *engine.Work, o changeOptions) (*plan.Plan, error) {
	if o.saved == "" {
		return w.Plan(ctx, o.plan)
	}
	return w.PlanSaved(ctx, a.inDir(o.saved))
}

func (a *App) finishChange(ctx context.Context, o changeOptions, p *engine.Project, w *engine.Work, s *apply.Summary) error {
	if o.finish == nil {
		return nil
	}
	return o.finish(ctx, p, w, s)
}

// showPlan prints what is about to happen, on standard error: the result of
// the command is what comes after it.
func (a *App) showPlan(pl *plan.Plan) error {
	if a.flags.json {
		return nil
	}
	return ui.Plan(a.Stderr, pl, a.style())
}

// agree asks for consent where the change needs it. Elsewhere than on a
// terminal a plan that only creates and updates goes ahead.
func (a *App) agree(ctx context.Context, pl *plan.Plan, o changeOptions) error {
	if o.consent.given() {
		return nil
	}
	destructive := o.always || pl.Destructive()
	if !a.Interactive {
		if !destructive {
			return nil
		}
		return fault.New(fault.Refused, "%s would delete or replace resources, and nobody is here to ask", o.command).
			WithHint("nothing was changed. Run with --dry-run first (or `wfctl infra plan`), then with --approve")
	}
	ok, err := ui.Confirm(ctx, a.Stdin, a.Stderr, "Do this?")
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Refused, "%s was not approved", o.command).WithHint("nothing was changed")
	}
	return nil
}

// reportFailure tells of every change that failed, and then of the run.
func (a *App) reportFailure(s *apply.Summary, err error) error {
	if s == nil || fault.CodeOf(err) == fault.Interrupted {
		return err
	}
	var causes []error
	for _, n := range s.Nodes {
		if n.Outcome == event.Failed {
			causes = append(causes, n.Err)
		}
	}
	return errors.Join(append(causes, err)...)
}

// say tells a person something, on standard error.
func (a *App) say(format string, args ...any) {
	if !a.flags.json {
		_, _ = fmt.Fprintf(a.Stderr, format+"\n", args...)
	}
}
