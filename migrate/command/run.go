package command

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/migrate"
)

func (c *command) up(ctx context.Context) error {
	return c.migrating(ctx, c.dryRun, func(m *migrate.Migrator) error {
		res, err := m.Up(ctx, migrate.UpOptions{To: c.to, AllowOutOfOrder: c.outOfOrder, DryRun: c.dryRun})
		return c.done(res, err)
	})
}

func (c *command) down(ctx context.Context) error {
	o := migrate.DownOptions{Steps: c.steps, DryRun: c.dryRun}
	if c.toIsSet {
		o.To = &c.to
	}
	return c.migrating(ctx, c.dryRun, func(m *migrate.Migrator) error {
		res, err := m.Down(ctx, o)
		return c.done(res, err)
	})
}

func (c *command) done(res *migrate.Result, err error) error {
	if err != nil {
		return err
	}
	if res.Migrations == nil {
		res.Migrations = []migrate.Step{}
	}
	return c.print(res, func(w io.Writer) {
		for _, s := range res.Migrations {
			_, _ = fmt.Fprintf(w, "%d %s (%d statements)\n", s.Version, s.Name, s.Statements)
		}
		verb := "is now"
		if res.DryRun {
			verb = "would then be"
		}
		_, _ = fmt.Fprintf(w, "The database %s at version %d (before: %d).\n", verb, res.To, res.From)
	})
}

func (c *command) status(ctx context.Context) error {
	return c.migrating(ctx, true, func(m *migrate.Migrator) error {
		s, err := m.Status(ctx)
		if err != nil {
			return err
		}
		err = c.print(s, func(w io.Writer) {
			for _, st := range s.Migrations {
				_, _ = fmt.Fprintln(w, st.String())
			}
			_, _ = fmt.Fprintf(w, "%s is at version %d of %d.\n", s.Database, s.Current, s.Latest)
		})
		if err == nil && c.exitCode && !s.Clean() {
			return errPending
		}
		return err
	})
}

// validate checks the files alone where there is no database.
func (c *command) validate(ctx context.Context) error {
	if c.Getenv("DATABASE_URL") == "" && c.Getenv("DATABASE_URL_FILE") == "" {
		source, err := c.source()
		if err != nil {
			return err
		}
		return c.findings(migrate.Lint(source, migrate.Dialect(c.dialect)))
	}
	return c.migrating(ctx, true, func(m *migrate.Migrator) error {
		found, err := m.Validate(ctx)
		if err != nil {
			return err
		}
		return c.findings(found)
	})
}

func (c *command) findings(found []migrate.Finding) error {
	if found == nil {
		found = []migrate.Finding{}
	}
	err := c.print(map[string]any{"findings": found}, func(w io.Writer) {
		for _, f := range found {
			_, _ = fmt.Fprintf(w, "%s: %s: %s\n  %s\n", f.Pos, f.Rule, f.Message, f.Hint)
		}
	})
	if err != nil {
		return err
	}
	return migrate.Judge(found, c.strict)
}

func (c *command) repair(ctx context.Context) error {
	if len(c.positional) != 1 || c.as == "" {
		return fault.New(fault.Usage, "repair takes one version and --as").WithHint("workflow-migrate repair 20260101120000 --as resume --approve")
	}
	version, err := strconv.ParseInt(c.positional[0], 10, 64)
	if err != nil {
		return fault.New(fault.Usage, "%q is no version", c.positional[0]).WithHint("`workflow-migrate status` lists them")
	}
	return c.migrating(ctx, false, func(m *migrate.Migrator) error {
		if err := m.Repair(ctx, version, migrate.RepairAction(c.as)); err != nil {
			return err
		}
		return c.print(map[string]any{"version": version, "repaired": c.as}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Migration %d is settled: %s.\n", version, c.as)
		})
	})
}
