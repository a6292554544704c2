package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "How the recorded resources are", Args: cobra.NoArgs,
		Long:    "Ask the platforms how each recorded resource is.\n\nExit status: 0 all work; 1 something does not, or failed; 2 wrong usage.",
		Example: "  wfctl infra status --env local\n  wfctl infra status --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error { return a.runStatus(cmd.Context(), w) })
		},
	}
}

func (a *App) runStatus(ctx context.Context, w *engine.Work) error {
	list, err := w.Status(ctx)
	if err != nil {
		return err
	}
	rows, well := [][]string{{"ADDRESS", "TYPE", "NAME", "STATUS", "REASON"}}, true
	for _, s := range list {
		rows = append(rows, []string{s.Address, s.Type, s.Name, string(s.Status), s.Reason})
		well = well && (s.Status == "healthy" || s.Status == "starting")
	}
	if a.flags.json {
		err = a.printJSON(list)
	} else {
		err = ui.Table(a.Stdout, rows)
	}
	if err == nil && !well {
		return exitStatus(1)
	}
	return err
}

func (a *App) driftCommand() *cobra.Command {
	var exitCode bool
	cmd := &cobra.Command{
		Use: "drift", Short: "Differences between the platforms and the record", Args: cobra.NoArgs,
		Long: `Read every resource from its platform and compare it with the record, field by
field. What the platform computes does not count, nor what nobody wrote where
its type has no default for it. Nothing is changed;
` + "`infra apply --refresh`" + ` mends it.

Exit status: 0 done; 1 failed, or something could not be asked for; 2 wrong
usage; 3 there is drift (with --exit-code).`,
		Example: "  wfctl infra drift --env staging\n  wfctl infra drift --exit-code --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error {
				return a.runDrift(cmd.Context(), w, exitCode)
			})
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when there is drift")
	return cmd
}

func (a *App) runDrift(ctx context.Context, w *engine.Work, exitCode bool) error {
	drifts, err := w.Drift(ctx)
	if err != nil {
		return err
	}
	if a.flags.json {
		err = a.printJSON(drifts)
	} else {
		err = a.printDrift(drifts)
	}
	unread := slices.ContainsFunc(drifts, func(d engine.Drift) bool { return d.Status == engine.Unreadable })
	switch {
	case err == nil && unread:
		return exitStatus(1)
	case err == nil && exitCode && len(drifts) > 0:
		return changesPending
	}
	return err
}

func (a *App) printDrift(drifts []engine.Drift) error {
	var b strings.Builder
	for _, d := range drifts {
		fmt.Fprintf(&b, "%s  %s  %s", d.Address, d.Type, d.Status)
		if d.Reason != "" {
			fmt.Fprintf(&b, "  (%s)", d.Reason)
		}
		b.WriteString("\n")
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "    %s: recorded %s, found %s\n", f.Path.Dotted(), orNone(f.Recorded), orNone(f.Found))
		}
	}
	if len(drifts) == 0 {
		b.WriteString("No drift: the platforms are as recorded.\n")
	}
	_, err := fmt.Fprint(a.Stdout, b.String())
	return err
}

// orNone is a value as JSON, or a word where there is none.
func orNone(v any) string {
	if text := fmt.Sprintf("%s", v); text != "" {
		return text
	}
	return "(none)"
}

func (a *App) importCommand() *cobra.Command {
	var c consent
	cmd := &cobra.Command{
		Use: "import ADDRESS ID", Short: "Bring an existing resource under management", Args: cobra.ExactArgs(2),
		Long: `Record an existing resource under the address of a module that the
configuration declares, and print the module as it would match. Nothing on the
platform changes but the ownership tags; the next plan shows where it differs
from the configuration. A module can also say ` + "`import: {id: ID}`" + ` itself.

What carries the tags of another project, environment or module is taken from
there only on yes or with --approve; what is recorded at another address, never.

Exit status: 0 done; 1 failed; 2 refused or wrong usage.`,
		Example: "  wfctl infra import db 9cc10173-e9ea-4176-9dbc-a4cee4c4ff30 --env staging",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.holding(cmd.Context(), "infra import", c, func(w *engine.Work) error {
				rec, err := w.Import(cmd.Context(), resource.Address(args[0]), args[1], func(whose string) error {
					return a.agreeTaking(cmd.Context(), args[1], whose, c)
				})
				if err != nil {
					return err
				}
				a.say("imported %s as %s; `wfctl infra plan` shows where it differs", rec.ID, rec.Address)
				if a.flags.json {
					return a.printJSON(rec)
				}
				return ui.ImportedModule(a.Stdout, rec)
			})
		},
	}
	c.register(cmd)
	return cmd
}

// agreeTaking asks before something is taken from somebody else.
func (a *App) agreeTaking(ctx context.Context, id, whose string, c consent) error {
	err := a.confirm(ctx, fmt.Sprintf("%s %s. Take it from there?", id, whose), "infra import", c)
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Code == fault.Refused {
		return fault.New(fault.Refused, "%s %s", id, whose).
			WithHint("nothing was changed; whoever manages it there would go on to change and destroy it. With --approve it is taken from there all the same")
	}
	return err
}
