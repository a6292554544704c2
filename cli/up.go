package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) upCommand() *cobra.Command {
	o := changeOptions{command: "up"}
	var s selection
	var f clusterFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "The whole job: plan, build, provision, migrate, deploy, verify",
		Long: `Take the application from its file to running and verified in one plan:
databases before their migrations, images and migrations before the services,
services before their gates. A second run changes nothing. Prints the outputs,
masked, and the URLs.

With --engine temporal the plan is made and agreed to here and carried out by
workers elsewhere; this command follows it, and may be ended and taken up again
(runs show --follow).

Exit status: 0 running and verified; 1 failed, in part or whole; 2 refused or
wrong usage; 130 interrupted.`,
		Example: "  wfctl up --env local\n  wfctl up --env staging --approve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.plan.Nodes, o.plan.Targets, o.plan.Excludes = engine.AllNodes, addresses(s.targets), addresses(s.excludes)
			o.finish = a.finishUp
			local, err := f.local()
			if err != nil {
				return err
			}
			if !local {
				return a.startChange(cmd.Context(), o, f)
			}
			return a.change(cmd.Context(), o)
		},
	}
	s.register(cmd)
	o.consent.register(cmd)
	f.registerEngine(cmd)
	cmd.Flags().BoolVar(&o.plan.Refresh, "refresh", false, "read every resource from its platform first")
	return cmd
}

// startChange plans and asks here, has workers elsewhere carry it out, and
// follows that.
func (a *App) startChange(ctx context.Context, o changeOptions, f clusterFlags) error {
	c, err := a.cluster(ctx, &f)
	if err != nil {
		return err
	}
	defer c.Close()
	return a.opened(ctx, func(p *engine.Project) (err error) {
		if err := p.Validate(ctx); err != nil {
			return err
		}
		w, err := p.Look(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.End(ctx)) }()
		pl, err := w.Plan(ctx, o.plan)
		if err != nil {
			return err
		}
		if pl.Empty() {
			return errors.Join(a.sayEmpty(pl, o), a.finishChange(ctx, o, p, w, apply.Nothing()))
		}
		if err := errors.Join(a.showPlan(pl), a.agree(ctx, pl, o)); err != nil {
			return err
		}
		remote, err := p.Remote(ctx, engine.RemoteOptions{Repository: f.tree, Vars: f.vars})
		if err != nil {
			return err
		}
		store, err := p.Events(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		job, call, err := remote.ChangeJob(o.command, o.plan, pl)
		if err != nil {
			return err
		}
		if err := a.attend(ctx, c); err != nil {
			return err
		}
		err = remote.Begin(ctx, c, store, &job, nil, 0, func() error {
			return c.StartChange(ctx, job, call, pipeline.StartOptions{Heartbeat: f.heartbeat})
		})
		if err != nil {
			return err
		}
		if f.detach {
			return a.detached(job.Run)
		}
		v, err := a.following(ctx, c, store, job.Run, 0, 0)
		if err == nil {
			err = v.ChangeErr(o.command)
		}
		if err != nil {
			return err
		}
		return a.finishRemote(ctx, o, p)
	})
}

// finishRemote looks at what is there now.
func (a *App) finishRemote(ctx context.Context, o changeOptions, p *engine.Project) (err error) {
	w, err := p.Look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	return a.finishChange(ctx, o, p, w, apply.Nothing())
}

// finishUp prints the outputs, masked, and the URLs that are no secret.
func (a *App) finishUp(ctx context.Context, _ *engine.Project, w *engine.Work, _ *apply.Summary) error {
	outputs, err := w.Outputs(ctx, engine.OutputOptions{})
	if err != nil {
		return err
	}
	if a.flags.json {
		return ui.Outputs(a.Stdout, a.Stderr, outputValues(outputs), ui.OutputOptions{Format: "json"})
	}
	if err := ui.Outputs(a.Stdout, a.Stderr, outputValues(outputs), ui.OutputOptions{Format: "value"}); err != nil {
		return err
	}
	for _, o := range outputs {
		url := strings.Trim(string(o.Value), `"`)
		if o.Field == "url" && !o.Sensitive && strings.HasPrefix(url, "http") {
			_, _ = fmt.Fprintf(a.Stderr, "\n%s is at %s\n", o.Module, url)
		}
	}
	return nil
}

func (a *App) downCommand() *cobra.Command {
	o := changeOptions{command: "down", always: true}
	var dry bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop and remove what up made",
		Long: `Stop and remove everything that up made, in reverse order, from what state
records. Logs and history stay. What prevent_destroy protects is reported and
kept.

Exit status: 0 gone; 1 failed or something is left; 2 refused or wrong usage;
130 interrupted.`,
		Example: "  wfctl down --env local\n  wfctl down --env staging --dry-run\n  wfctl down --env staging --approve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.plan.Nodes, o.plan.Destroy = engine.AllNodes, true
			if dry {
				return a.runPlan(cmd.Context(), planOptions{destroy: true, all: true})
			}
			return a.change(cmd.Context(), o)
		},
	}
	o.consent.register(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would be removed")
	return cmd
}
