package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/ui"
)

type teardownOptions struct {
	dry, orphans bool
	hash         string
	inUse        time.Duration
	consent      consent
}

func (a *App) teardownCommand() *cobra.Command {
	var o teardownOptions
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Destroy what the cloud holds, without trusting state",
		Long: `Ask the providers for every resource of the environment's configuration, by its
name; show what is there; destroy it in reverse order of what stands on what;
and wipe the environment's state when nothing is left. The state may be absent,
damaged or of another version: it is a hint, and no more. An error does not
stop the rest; what is still in use is tried again and its blocker named. What
prevent_destroy or the platform itself protects is listed and kept. Where
something could not be asked for there may be more: the state stays then.

--include-orphans adds what is the environment's by its ownership tags, by the
state or by its journal, and is in no configuration.

The preview ends with a hash of the set: with --plan-hash only that set goes.

Exit status: 0 gone; 1 something is left or failed; 2 refused or wrong usage;
130 interrupted.`,
		Example: "  wfctl infra teardown --env staging --dry-run\n  wfctl infra teardown --env staging --include-orphans --dry-run\n" +
			"  wfctl infra teardown --env staging --approve\n  wfctl infra teardown --env staging --approve --plan-hash 3fe1c0a9d2b4",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runTeardown(cmd.Context(), o) },
	}
	o.consent.register(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.dry, "dry-run", false, "show what would be destroyed, and change nothing")
	f.BoolVar(&o.orphans, "include-orphans", false, "also what is the environment's and in no configuration")
	f.StringVar(&o.hash, "plan-hash", "", "refuse when the set is not the one with this `HASH`")
	f.DurationVar(&o.inUse, "in-use-timeout", 5*time.Minute, "how long what others use is tried again while nothing else goes on")
	return cmd
}

func (a *App) runTeardown(ctx context.Context, o teardownOptions) (err error) {
	progress := a.renderer()
	defer progress.Close()
	eo := a.engineOptions()
	eo.Events = progress
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	look := o.dry || !o.consent.given() && !a.Interactive
	t, err := p.Teardown(ctx, engine.TeardownOptions{
		Command: "infra teardown", Orphans: o.orphans, Look: look, LockWait: o.consent.lockTimeout, InUse: o.inUse,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.End(ctx)) }()
	if err := a.previewTeardown(t, o); err != nil {
		return err
	}
	torn := t.Torn()
	switch err := t.Matches(o.hash); {
	case err != nil:
		return err
	case o.dry:
		return a.toldTeardown(torn, dryResult(torn))
	case t.Plan().Empty() && t.Plan().State.Objects == 0 && t.Plan().State.Trouble == "":
		if torn.Incomplete == 0 {
			a.say("There is nothing to tear down.")
		}
		return a.toldTeardown(torn, torn.Err(p.Environment().Name()))
	}
	if err := a.agreeTeardown(ctx, t.Plan(), o.consent); err != nil {
		return err
	}
	stop, end := a.interrupts.graceful()
	defer end()
	torn, err = t.CarryOut(ctx, stop)
	progress.Close()
	return a.toldTeardown(torn, err)
}

// dryResult is the failure of a preview that is not complete.
func dryResult(t *engine.Torn) error {
	if t.Errors == 0 {
		return nil
	}
	return fault.New(fault.Partial, "the preview is not complete: %d could not be asked", t.Errors)
}

// previewTeardown shows the plan: it is the result of a dry run, and what
// comes before the result otherwise.
func (a *App) previewTeardown(t *engine.Teardown, o teardownOptions) error {
	if a.flags.json {
		return a.printJSONLine(struct {
			Kind string         `json:"kind"`
			Plan *plan.Teardown `json:"plan"`
		}{"teardown.planned", t.Plan()})
	}
	out, style := a.Stderr, a.style()
	if o.dry {
		out, style.Color = a.Stdout, style.Color && isTerminal(a.Stdout)
	}
	if err := ui.Teardown(out, t.Plan(), style); err != nil {
		return err
	}
	for _, trouble := range t.Troubles() {
		a.say("warning: it may not be all: %v", trouble)
	}
	_, err := io.WriteString(out, "\n")
	return err
}

func (a *App) agreeTeardown(ctx context.Context, t *plan.Teardown, c consent) error {
	env := t.Environment.Name()
	if c.given() {
		return nil
	}
	if !a.Interactive {
		return fault.New(fault.Refused, "infra teardown would destroy what %q has, and nobody is here to ask", env).
			WithHint("nothing was changed. Run with --dry-run first, then with --approve")
	}
	ok, err := ui.Confirm(ctx, a.Stdin, a.Stderr, fmt.Sprintf("Destroy all this of %s?", env))
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Refused, "infra teardown was not approved").WithHint("nothing was changed")
	}
	return nil
}

// toldTeardown prints the last line, after the errors.
func (a *App) toldTeardown(t *engine.Torn, err error) error {
	all := err
	if err != nil && fault.CodeOf(err) != fault.Interrupted {
		all = errors.Join(append(t.Failures, err)...)
	}
	if a.flags.json {
		line := struct {
			Kind string `json:"kind"`
			*engine.Torn
		}{"teardown.finished", t}
		return errors.Join(all, a.printJSONLine(line))
	}
	line := ui.Torn{Discovered: t.Discovered, Modules: t.Modules, Destroyed: t.Destroyed, Skipped: t.Skipped, Errors: t.Errors, Wiped: t.Wiped}
	if t.Incomplete > 0 {
		line := fmt.Sprintf("The look was not complete: %d could not be asked for, so there may be more. The state is kept.", t.Incomplete)
		if _, writeErr := fmt.Fprintln(a.Stdout, line); writeErr != nil {
			return errors.Join(all, writeErr)
		}
	}
	_, writeErr := fmt.Fprintln(a.Stdout, line)
	return errors.Join(all, writeErr)
}
