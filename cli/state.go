package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) stateCommand() *cobra.Command {
	return group("state", "The record of an environment",
		a.stateList(), a.stateShow(), a.stateHistory(), a.stateExport(), a.stateImport(), a.stateRemove(), a.stateUnlock(), a.stateMove(), a.stateCheck(), a.stateRekey(), a.stateReset())
}

// looking runs fn with an environment's state open and no lease.
func (a *App) looking(ctx context.Context, fn func(*engine.Project, *engine.Work) error) (err error) {
	eo := a.engineOptions()
	eo.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	w, err := p.Look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	return fn(p, w)
}

func (a *App) stateList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The recorded resources", Args: cobra.NoArgs,
		Long:    "List the resources that state records.\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl infra state list --env local",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error {
				if a.flags.json {
					return a.printJSON(w.Records())
				}
				rows := [][]string{{"ADDRESS", "TYPE", "NAME", "ID", "UPDATED"}}
				for _, r := range w.Records() {
					rows = append(rows, []string{addressOf(r), r.Type, r.Name, r.ID, r.Updated.Format(time.RFC3339)})
				}
				return ui.Table(a.Stdout, rows)
			})
		},
	}
}

func addressOf(r resource.Record) string {
	if r.Deposed != "" {
		return string(r.Address) + " (deposed " + r.Deposed + ")"
	}
	return string(r.Address)
}

func (a *App) stateShow() *cobra.Command {
	var at uint64
	cmd := &cobra.Command{
		Use: "show ADDRESS", Short: "One recorded resource", Args: cobra.ExactArgs(1),
		Long:    "Print the record of one resource as JSON. Sensitive values stand there as fingerprints.\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl infra state show db --env local",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error {
				show := w.Record
				if at > 0 {
					show = func(addr resource.Address) (resource.Record, error) { return w.RecordAt(cmd.Context(), addr, at) }
				}
				rec, err := show(resource.Address(args[0]))
				if err != nil {
					return err
				}
				return a.printJSON(rec)
			})
		},
	}
	cmd.Flags().Uint64Var(&at, "at", 0, "as it was after the entry `SEQ` of the history")
	return cmd
}

func (a *App) stateCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Verify the log", Args: cobra.NoArgs,
		Long:    "Read the whole log and verify each entry. What the next command settles by\nitself is noted. Nothing is changed.\n\nExit status: 0 sound; 1 damaged, or failed; 2 wrong usage.",
		Example: "  wfctl infra state check --env local",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error {
				report, err := w.CheckState(cmd.Context())
				if err != nil {
					return err
				}
				return a.printJSON(report)
			})
		},
	}
}

func (a *App) stateHistory() *cobra.Command {
	var only string
	cmd := &cobra.Command{
		Use: "history", Short: "Who changed what, when, in which run", Args: cobra.NoArgs,
		Long:    "List the entries of the state's log, oldest first.\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl infra state history --env local --resource db",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error {
				return a.printHistory(cmd.Context(), w, resource.Address(only))
			})
		},
	}
	cmd.Flags().StringVar(&only, "resource", "", "only what concerns `ADDRESS`")
	return cmd
}

func (a *App) printHistory(ctx context.Context, w *engine.Work, only resource.Address) error {
	rows := [][]string{{"SEQ", "TIME", "WHO", "RUN", "ENTRY", "ADDRESS", "DETAIL"}}
	for entry, err := range w.History(ctx) {
		if err != nil {
			return err
		}
		if only != "" && entry.Address != only && !(entry.Kind == "moved" && entry.Detail == "to "+string(only)) {
			continue
		}
		if a.flags.json {
			if err := a.printJSONLine(entry); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{fmt.Sprint(entry.Seq), entry.Time.Format(time.RFC3339), entry.Who, entry.Run, entry.Kind, string(entry.Address), entry.Detail})
	}
	if a.flags.json {
		return nil
	}
	return ui.Table(a.Stdout, rows)
}

func (a *App) stateExport() *cobra.Command {
	format := "json"
	cmd := &cobra.Command{
		Use: "export", Short: "The whole record, for other tools", Args: cobra.NoArgs,
		Long:    "Print the whole record: json, or tfstate as Terraform reads it.\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl infra state export --env local > state.json\n  wfctl infra state export --env local --format tfstate",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error {
				raw, err := w.Export(format)
				if err != nil {
					return err
				}
				_, err = a.Stdout.Write(append(raw, '\n'))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "json or tfstate")
	return cmd
}

func (a *App) stateRemove() *cobra.Command {
	var c consent
	cmd := &cobra.Command{
		Use: "rm ADDRESS...", Short: "Forget resources without destroying them", Args: cobra.MinimumNArgs(1),
		Long:    "Forget resources: they stay on their platform, and wfctl no longer knows them.\n\nExit status: 0 done; 1 failed; 2 refused or wrong usage.",
		Example: "  wfctl infra state rm db --env staging --approve",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runStateRemove(cmd.Context(), addresses(args), c)
		},
	}
	c.register(cmd)
	return cmd
}

func (a *App) runStateRemove(ctx context.Context, addrs []resource.Address, c consent) error {
	return a.holding(ctx, "infra state rm", c, func(w *engine.Work) error {
		for _, addr := range addrs {
			if _, err := w.Record(addr); err != nil {
				return err
			}
		}
		question := fmt.Sprintf("Forget %v? They stay on their platform, and wfctl will not know them.", addrs)
		if err := a.confirm(ctx, question, "infra state rm", c); err != nil {
			return err
		}
		for _, addr := range addrs {
			if err := w.Forget(ctx, addr); err != nil {
				return err
			}
			a.say("forgot %s", addr)
		}
		return nil
	})
}

// holding runs fn with an environment's state open and its lease taken.
func (a *App) holding(ctx context.Context, command string, c consent, fn func(*engine.Work) error) (err error) {
	eo := a.engineOptions()
	eo.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	w, err := p.Begin(ctx, command, c.lockTimeout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	return fn(w)
}

// confirm asks for a literal yes, or takes the flag for it.
func (a *App) confirm(ctx context.Context, question, command string, c consent) error {
	if c.given() {
		return nil
	}
	if !a.Interactive {
		return fault.New(fault.Refused, "%s needs consent, and nobody is here to ask", command).
			WithHint("nothing was changed; Run with --dry-run first where there is one, then with --approve")
	}
	ok, err := ui.Confirm(ctx, a.Stdin, a.Stderr, question)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Refused, "%s was not approved", command).WithHint("nothing was changed")
	}
	return nil
}

func (a *App) stateUnlock() *cobra.Command {
	var c consent
	cmd := &cobra.Command{
		Use: "unlock", Short: "Break the lease of a command that is gone", Args: cobra.NoArgs,
		Long: `Show who holds the lease of the environment's state and, on yes, break it. The
holder, should it be alive after all, can no longer write.

Exit status: 0 done, or nobody holds it; 1 failed; 2 refused or wrong usage.`,
		Example: "  wfctl infra state unlock --env staging",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.looking(ctx, func(_ *engine.Project, w *engine.Work) error {
				holder := w.Holder()
				if holder == "" {
					a.say("Nobody holds the lease.")
					return nil
				}
				a.say("The lease is held by %s.", holder)
				if err := a.confirm(ctx, "Break the lease?", "infra state unlock", c); err != nil {
					return err
				}
				return w.Unlock(ctx)
			})
		},
	}
	c.register(cmd)
	return cmd
}
