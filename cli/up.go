package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) upCommand() *cobra.Command {
	o := changeOptions{command: "up"}
	var s selection
	cmd := &cobra.Command{
		Use:   "up",
		Short: "The whole job: plan, build, provision, migrate, deploy, verify",
		Long: `Take the application from its file to running and verified in one plan:
databases before their migrations, images and migrations before the services,
services before their gates. A second run changes nothing. Prints the outputs,
masked, and the URLs.

Exit status: 0 running and verified; 1 failed, in part or whole; 2 refused or
wrong usage; 130 interrupted.`,
		Example: "  wfctl up --env local\n  wfctl up --env staging --approve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.plan.Nodes, o.plan.Targets, o.plan.Excludes = engine.AllNodes, addresses(s.targets), addresses(s.excludes)
			o.finish = a.finishUp
			return a.change(cmd.Context(), o)
		},
	}
	s.register(cmd)
	o.consent.register(cmd)
	cmd.Flags().BoolVar(&o.plan.Refresh, "refresh", false, "read every resource from its platform first")
	return cmd
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
