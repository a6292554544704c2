package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/migrate"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) migrationsCommand() *cobra.Command {
	var name string
	cmd := group("migrations", "Database migrations",
		a.migrationsUp(&name), a.migrationsDown(&name), a.migrationsStatus(&name), a.migrationsValidate(&name),
		a.migrationsRepair(&name), a.migrationsCreate(&name))
	cmd.PersistentFlags().StringVar(&name, "migration", "", "the entry `NAME` of migrations: (default: the only one)")
	return cmd
}

// migrating runs fn with a connection to an entry's database; what may change
// it is a run of its own.
func (a *App) migrating(ctx context.Context, name string, readOnly bool, fn func(*migrate.Migrator) error) error {
	return a.looking(ctx, func(p *engine.Project, w *engine.Work) error {
		work := func(to event.Sink) (err error) {
			node := "migrations." + name
			m, err := w.Migrator(ctx, name, readOnly, func(e migrate.Event) {
				a.say("%s", e.Message)
				to.Emit(event.NodeLog{Address: node, Line: e.Message})
			})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, m.Close()) }()
			return fn(m)
		}
		if readOnly {
			return work(event.Discard)
		}
		return p.Record("migrations", "migrations."+name, "migrate", work)
	})
}

func migrationCommand(use, short, more string, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args, RunE: run,
		Long:    short + ", for the database that the entry of `migrations:` names. " + more + "\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl migrations " + use + " --env local",
	}
}

func (a *App) migrationsUp(name *string) *cobra.Command {
	var o migrate.UpOptions
	cmd := migrationCommand("up", "Apply what is pending", "", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.migrating(cmd.Context(), *name, o.DryRun, func(m *migrate.Migrator) error {
			res, err := m.Up(cmd.Context(), o)
			return a.printMigrated(res, err)
		})
	})
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "show what would be applied")
	cmd.Flags().BoolVar(&o.AllowOutOfOrder, "allow-out-of-order", false, "apply versions below one that is applied already")
	cmd.Flags().Int64Var(&o.To, "to", 0, "stop at `VERSION` (0: all)")
	return cmd
}

func (a *App) migrationsDown(name *string) *cobra.Command {
	var o migrate.DownOptions
	var c consent
	cmd := migrationCommand("down", "Undo the newest migration", "It may lose data, so it asks.", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if !o.DryRun {
			if err := a.confirm(cmd.Context(), "Undo the newest migration? Data may be lost.", "migrations down", c); err != nil {
				return err
			}
		}
		return a.migrating(cmd.Context(), *name, o.DryRun, func(m *migrate.Migrator) error {
			res, err := m.Down(cmd.Context(), o)
			return a.printMigrated(res, err)
		})
	})
	c.register(cmd)
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "show what would be undone")
	cmd.Flags().IntVar(&o.Steps, "steps", 1, "how many to undo")
	return cmd
}

func (a *App) printMigrated(res *migrate.Result, err error) error {
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(res)
	}
	for _, s := range res.Migrations {
		if _, err := fmt.Fprintf(a.Stdout, "%d %s (%d statements)\n", s.Version, s.Name, s.Statements); err != nil {
			return err
		}
	}
	verb := "now"
	if res.DryRun {
		verb = "would then be"
	}
	_, err = fmt.Fprintf(a.Stdout, "The database %s at version %d (before: %d).\n", map[bool]string{true: verb, false: "is " + verb}[res.DryRun], res.To, res.From)
	return err
}

func (a *App) migrationsStatus(name *string) *cobra.Command {
	return migrationCommand("status", "What is applied and what is pending", "", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.migrating(cmd.Context(), *name, true, func(m *migrate.Migrator) error {
			st, err := m.Status(cmd.Context())
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(st)
			}
			rows := [][]string{{"VERSION", "NAME", "STATE", "AT", "ERROR"}}
			for _, s := range st.Migrations {
				rows = append(rows, []string{strconv.FormatInt(s.Version, 10), s.Name, string(s.State), s.At, s.Error})
			}
			return ui.Table(a.Stdout, rows)
		})
	})
}

func (a *App) migrationsValidate(name *string) *cobra.Command {
	return migrationCommand("validate", "Check the files, and what was applied of them", "", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.migrating(cmd.Context(), *name, true, func(m *migrate.Migrator) error {
			findings, err := m.Validate(cmd.Context())
			if err != nil {
				return err
			}
			return a.printLint(findings)
		})
	})
}

// printLint fails where one of them is certain to go wrong.
func (a *App) printLint(findings []migrate.Finding) error {
	if a.flags.json {
		if err := a.printJSON(map[string]any{"findings": findings}); err != nil {
			return err
		}
		return migrate.Judge(findings, false)
	}
	for _, f := range findings {
		a.say("%s: %s: %s\n  %s", f.Pos, f.Rule, f.Message, f.Hint)
	}
	if err := migrate.Judge(findings, false); err != nil {
		return err
	}
	a.say("The migrations are valid.")
	return nil
}

func (a *App) migrationsRepair(name *string) *cobra.Command {
	var how string
	var c consent
	cmd := migrationCommand("repair VERSION", "Settle a migration by hand",
		"--as says how: resume goes on with the statement that failed; applied and pending take it as done or as never begun; accepted takes a changed file as the one that was applied.",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			version, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fault.New(fault.Usage, "%q is no version", args[0]).WithHint("`wfctl migrations status` lists them")
			}
			if err := a.confirm(cmd.Context(), fmt.Sprintf("Take migration %d as %s?", version, how), "migrations repair", c); err != nil {
				return err
			}
			return a.migrating(cmd.Context(), *name, false, func(m *migrate.Migrator) error {
				return m.Repair(cmd.Context(), version, migrate.RepairAction(how))
			})
		})
	c.register(cmd)
	cmd.Flags().StringVar(&how, "as", "", "resume, applied, pending or accepted")
	_ = cmd.MarkFlagRequired("as")
	return cmd
}

func (a *App) migrationsCreate(name *string) *cobra.Command {
	return migrationCommand("create TITLE", "Write an empty migration", "", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		p, err := engine.Open(cmd.Context(), a.Kinds, a.engineOptions())
		if err != nil {
			return err
		}
		defer p.Close(cmd.Context()) //nolint:errcheck // nothing was opened
		path, err := p.CreateMigration(cmd.Context(), *name, args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.Stdout, path)
		return err
	})
}
