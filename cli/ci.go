package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) ciCommand() *cobra.Command {
	return group("ci", "The same phases in CI, and the workflow that runs them", a.ciRun(), a.ciGenerate())
}

// phases are what `ci run` does, in this order: parts of the one graph.
var phases = []struct {
	name  string
	nodes engine.Nodes
}{
	{"build", engine.PushNodes}, {"migrate", engine.MigrationNodes}, {"deploy", engine.ModuleNodes}, {"verify", engine.GateNodes},
}

type ciOptions struct {
	phases  []string
	consent consent
	comment bool
}

func (a *App) ciRun() *cobra.Command {
	var o ciOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run phases of the deployment, as CI does",
		Long: `Run phases in their fixed order: plan (shows, changes nothing), build, migrate,
deploy, verify. They are parts of the graph that up runs as a whole, and each
knows by the state what earlier ones did. In GitHub Actions each phase is a
group of the log, errors are annotations at the line of the file, and the plan
is in the step summary.

Exit status: 0 done; 1 failed; 2 refused or wrong usage; 130 interrupted.`,
		Example: "  wfctl ci run --phase build,migrate,deploy,verify --env staging --approve\n  wfctl ci run --phase plan --comment --env staging",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runPhases(cmd.Context(), o) },
	}
	o.consent.register(cmd)
	cmd.Flags().StringSliceVar(&o.phases, "phase", []string{"build", "migrate", "deploy", "verify"}, "the `PHASES` to run, by commas")
	cmd.Flags().BoolVar(&o.comment, "comment", false, "with phase plan: write the plan into the pull request, in place of the one before")
	return cmd
}

func (a *App) runPhases(ctx context.Context, o ciOptions) error {
	known := []string{"plan"}
	for _, p := range phases {
		known = append(known, p.name)
	}
	for _, name := range o.phases {
		if !slices.Contains(known, name) {
			err := fault.New(fault.Usage, "there is no phase %q", name)
			if near := nearest(name, known); near != "" {
				return err.WithHint("did you mean %q?", near)
			}
			return err.WithHint("the phases are %s", strings.Join(known, ", "))
		}
	}
	if slices.Contains(o.phases, "plan") {
		if err := a.phase("plan", func() error { return a.ciPlan(ctx, o.comment) }); err != nil {
			return err
		}
	}
	for _, p := range phases {
		if !slices.Contains(o.phases, p.name) {
			continue
		}
		co := changeOptions{command: "ci " + p.name, plan: engine.PlanOptions{Nodes: p.nodes}, consent: o.consent}
		if err := a.phase(p.name, func() error { return a.change(ctx, co) }); err != nil {
			return err
		}
	}
	return nil
}

// inActions tells whether GitHub Actions reads what is printed.
func (a *App) inActions() bool {
	v, _ := a.Getenv("GITHUB_ACTIONS")
	return v == "true"
}

// phase groups the output of a phase, and annotates its errors.
func (a *App) phase(name string, do func() error) error {
	if !a.inActions() {
		return do()
	}
	_, _ = fmt.Fprintf(a.Stderr, "::group::%s\n", name)
	err := do()
	_, _ = fmt.Fprintln(a.Stderr, "::endgroup::")
	if err != nil {
		a.annotate(err)
	}
	return err
}

// annotate prints each fault as GitHub shows it beside its line.
func (a *App) annotate(err error) {
	var list fault.List
	if !asList(err, &list) {
		var f *fault.Error
		if !asFault(err, &f) {
			return
		}
		list = fault.List{f}
	}
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range list {
		place := ""
		if !f.Pos.IsZero() {
			place = fmt.Sprintf(" file=%s,line=%d,col=%d", property.Replace(f.Pos.File), max(f.Pos.Line, 1), max(f.Pos.Column, 1))
		}
		text := f.Message
		if f.Hint != "" {
			text += "\n" + f.Hint
		}
		_, _ = fmt.Fprintf(a.Stderr, "::error%s::%s\n", place, escape.Replace(text))
	}
}

// ciPlan shows the plan of everything, in the summary and the pull request
// too.
func (a *App) ciPlan(ctx context.Context, comment bool) error {
	return a.looking(ctx, func(p *engine.Project, w *engine.Work) error {
		pl, err := w.Plan(ctx, engine.PlanOptions{Nodes: engine.AllNodes})
		if err != nil {
			return err
		}
		if err := ui.Plan(a.Stdout, pl, ui.Style{}); err != nil {
			return err
		}
		if path, ok := a.Getenv("GITHUB_STEP_SUMMARY"); ok && path != "" {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				return fault.Wrap(fault.Environment, err, "write the step summary")
			}
			defer f.Close() //nolint:errcheck // the write is what counts
			if err := ui.PlanMarkdown(f, pl); err != nil {
				return err
			}
		}
		if comment {
			return a.commentPlan(ctx, p, pl)
		}
		return nil
	})
}

func (a *App) commentPlan(ctx context.Context, p *engine.Project, pl *plan.Plan) error {
	var b strings.Builder
	if err := ui.PlanMarkdown(&b, pl); err != nil {
		return err
	}
	pr, err := a.pullRequest()
	if err != nil {
		return err
	}
	return pr.put(ctx, fmt.Sprintf("<!-- wfctl plan %s %s -->", p.Environment().Project(), p.Environment().Name()), b.String())
}
