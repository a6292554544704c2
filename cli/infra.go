package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) infraCommand() *cobra.Command {
	return group("infra", "Plan, apply, destroy and look at infrastructure",
		a.planCommand(), a.applyCommand(), a.destroyCommand(), a.teardownCommand(), a.statusCommand(), a.driftCommand(), a.importCommand(), a.bootstrapCommand(),
		a.outputsCommand(), a.secretsCommand(), a.logsCommand(), a.stateCommand())
}

type planOptions struct {
	selection
	out              string
	refresh, destroy bool
	exitCode         bool
	markdown         bool
	// all plans the whole graph and not its modules alone (down --dry-run).
	all bool
}

func (a *App) planCommand() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "What would change and why, field by field",
		Long: `Show what ` + "`infra apply`" + ` would change, destroys first. Nothing is changed.

Exit status: 0 done; 1 failed; 2 wrong usage; 3 changes pending (with --exit-code).`,
		Example: "  wfctl infra plan --env local\n  wfctl infra plan --env staging -o plan.json\n  wfctl infra plan --env staging --exit-code",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runPlan(cmd.Context(), o) },
	}
	o.register(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.out, "output", "o", "", "save the plan to `FILE` for apply --plan")
	f.BoolVar(&o.refresh, "refresh", false, "read every resource from its platform first")
	f.BoolVar(&o.destroy, "destroy", false, "plan to destroy everything")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 3 when there are changes")
	f.BoolVar(&o.markdown, "markdown", false, "print Markdown for a pull request")
	return cmd
}

func (o planOptions) engine() engine.PlanOptions {
	nodes := engine.ModuleNodes
	if o.all {
		nodes = engine.AllNodes
	}
	return engine.PlanOptions{
		Nodes: nodes, Refresh: o.refresh, Destroy: o.destroy,
		Targets: addresses(o.targets), Excludes: addresses(o.excludes),
	}
}

func (a *App) runPlan(ctx context.Context, o planOptions) (err error) {
	eo := a.engineOptions()
	eo.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	w, err := p.Look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	pl, err := w.Plan(ctx, o.engine())
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := w.SavePlan(a.inDir(o.out), pl, o.engine()); err != nil {
			return err
		}
	}
	switch {
	case a.flags.json:
		err = a.printJSON(pl)
	case o.markdown:
		err = ui.PlanMarkdown(a.Stdout, pl)
	default:
		style := a.style()
		style.Color = style.Color && isTerminal(a.Stdout)
		err = ui.Plan(a.Stdout, pl, style)
	}
	if err == nil && o.exitCode && !pl.Empty() {
		return changesPending
	}
	return err
}

func (a *App) applyCommand() *cobra.Command {
	var o changeOptions
	var s selection
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the infrastructure as the configuration says",
		Long: `Plan, show the plan, and carry it out. On a terminal it asks; elsewhere a plan
that only creates and updates goes ahead, and one that replaces or deletes
anything needs --approve.

Exit status: 0 done; 1 failed, in part or whole; 2 refused or wrong usage; 130 interrupted.`,
		Example: "  wfctl infra apply --env local\n  wfctl infra apply --env staging --plan plan.json --approve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.command = "infra apply"
			o.plan.Nodes, o.plan.Targets, o.plan.Excludes = engine.ModuleNodes, addresses(s.targets), addresses(s.excludes)
			return a.change(cmd.Context(), o)
		},
	}
	s.register(cmd)
	o.consent.register(cmd)
	cmd.Flags().StringVar(&o.saved, "plan", "", "carry out the plan saved in `FILE`")
	cmd.Flags().BoolVar(&o.plan.Refresh, "refresh", false, "read every resource from its platform first")
	return cmd
}

func (a *App) destroyCommand() *cobra.Command {
	o := changeOptions{command: "infra destroy", always: true}
	var dry bool
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Destroy what state records, in reverse order",
		Long: `Destroy the resources that state records, in reverse order of their
dependencies. The configuration is not needed. What prevent_destroy protects
is reported and kept; what carries somebody else's tags by now is forgotten
with a warning and not deleted.

Exit status: 0 done; 1 failed or something is left; 2 refused or wrong usage; 130 interrupted.`,
		Example: "  wfctl infra destroy --env staging --dry-run\n  wfctl infra destroy --env staging --approve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.plan.Nodes, o.plan.Destroy = engine.ModuleNodes, true
			if dry {
				return a.runPlan(cmd.Context(), planOptions{destroy: true})
			}
			return a.change(cmd.Context(), o)
		},
	}
	o.consent.register(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would be destroyed")
	return cmd
}
