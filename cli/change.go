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
	// build is what the command line says of images, images are the ones that
	// it is about; none is all.
	build  buildOptions
	images []string
	// saved is the file of `apply --plan`.
	saved string
	// planner makes the plan of a command that has its own.
	planner func(ctx context.Context, w *engine.Work) (*plan.Plan, error)
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
	o.build.apply(&eo)
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	o.plan.Targets = append(o.plan.Targets, imageTargets(p, o)...)
	if o.saved == "" && !o.plan.Destroy { // a mistake in the file is found before the state is touched
		if err := p.Validate(ctx); err != nil {
			return err
		}
	}
	if err := a.keepable(p); err != nil {
		return err
	}
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
		if err := a.sayEmpty(pl, o); err != nil {
			return err
		}
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
	if err := leftOver(pl, o); err != nil {
		return err
	}
	return a.finishChange(ctx, o, p, w, summary)
}

// keepable refuses to make on a platform what a runner of GitHub would be
// alone to know of: the next job would make all of it again.
func (a *App) keepable(p *engine.Project) error {
	if !a.inActions() || !p.OutlivesState() {
		return nil
	}
	return fault.New(fault.Refused, "the state of %s is kept on this runner, and is gone after the job; what it makes would stay", p.Environment().Name()).
		At(p.Set.State.Pos).WithHint("give the environment an iac.state module with a backend that lasts: postgres, s3, gcs or azure")
}

// sayEmpty tells that there is nothing to do, and what is left where
// everything should go.
func (a *App) sayEmpty(pl *plan.Plan, o changeOptions) error {
	env := pl.Environment.Name()
	switch {
	case len(pl.Kept()) > 0:
		return errors.Join(a.showPlan(pl), leftOver(pl, o))
	case o.plan.Destroy:
		a.say("Nothing to remove: state records nothing for %s.", env)
	default:
		a.say("No changes: %s is as the configuration says.", env)
	}
	return nil
}

// leftOver is the failure of a command that should leave nothing, and leaves
// what is protected.
func leftOver(pl *plan.Plan, o changeOptions) error {
	kept := pl.Kept()
	if !o.plan.Destroy || len(kept) == 0 {
		return nil
	}
	f := fault.New(fault.Partial, "%s keeps %d of what is there", o.command, len(kept))
	for _, k := range kept {
		f = f.WithDetail(string(k.Address()) + " " + k.Reason())
	}
	return f.WithHint("set lifecycle.prevent_destroy: false and apply that first, or forget it with `wfctl infra state rm`")
}

func (a *App) planFor(ctx context.Context, w *engine.Work, o changeOptions) (*plan.Plan, error) {
	switch {
	case o.planner != nil:
		return o.planner(ctx, w)
	case o.saved == "":
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
