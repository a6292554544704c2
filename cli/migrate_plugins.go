package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
)

// migrateCommand brings files of an older shape into the present one.
func migrateCommand(d pluginDeps) *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Bring files of an older shape into the present one"}
	cmd.AddCommand(migratePlugins(d))
	return cmd
}

func migratePlugins(d pluginDeps) *cobra.Command {
	var o lock.MigrateOptions
	var auto bool
	cmd := &cobra.Command{
		Use:   "plugins",
		Short: "Move inline plugin pins from the application file to wfctl.yaml",
		Long: `Move the versions, sources and tokens of requires.plugins, and registries, from
the application file to wfctl.yaml, and lock the plugins. What wfctl.yaml has
already stays as it is there. Then, after a yes or with --auto, the inline fields
are removed from the application file; comments stay. Without a yes they stay,
and wfctl.yaml wins. A second run changes nothing.

Exit status: 0 done, or nothing to do; 1 failed; 2 wrong usage.`,
		Example: "  wfctl migrate plugins\n  wfctl migrate plugins --auto -c app.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			o.Remove = d.mayRemove(ctx, auto)
			return d.runMigrate(ctx, o)
		},
	}
	cmd.Flags().BoolVar(&auto, "auto", false, "remove the inline fields without asking")
	cmd.Flags().BoolVar(&o.AcceptSignerChange, "accept-signer-change", false, acceptSignerUsage)
	return cmd
}

// mayRemove decides about the inline fields: yes with --auto, a person's word
// on a terminal, else no.
func (d pluginDeps) mayRemove(ctx context.Context, auto bool) func(*lock.Migration) (bool, error) {
	if auto {
		return func(*lock.Migration) (bool, error) { return true, nil }
	}
	if d.confirm == nil {
		return nil
	}
	return func(m *lock.Migration) (bool, error) {
		return d.confirm(ctx, fmt.Sprintf("Remove the inline fields from %s?", m.Application))
	}
}

func (d pluginDeps) runMigrate(ctx context.Context, o lock.MigrateOptions) error {
	files := d.applications()
	if len(files) == 0 {
		return fault.New(fault.NotFound, "there is no application file here").WithHint("name it with --config")
	}
	o.Application = files[0]
	p, err := d.project()
	if err != nil {
		return err
	}
	m, err := p.Migrate(ctx, o)
	if err != nil {
		return err
	}
	return d.print(m, func() error { return d.say("%s", describeMigration(m)) })
}

func describeMigration(m *lock.Migration) string {
	if m.Nothing() {
		return "Nothing to migrate: " + m.Application + " pins no plugins."
	}
	var lines []string
	for _, c := range m.Moved {
		lines = append(lines, describeChange(c))
	}
	for _, name := range m.Kept {
		lines = append(lines, name+" is in wfctl.yaml already")
	}
	for _, name := range m.Registries {
		lines = append(lines, "registry "+name+" moved")
	}
	if m.Removed {
		lines = append(lines, "The inline fields are gone from "+m.Application+".")
	} else {
		lines = append(lines, "The inline fields stay in "+m.Application+", and wfctl.yaml wins; with --auto they are removed.")
	}
	return strings.Join(lines, "\n")
}
