package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
)

func (a *App) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Everything that can be known without asking a cloud, all errors at once",
		Long: `Check the application file for one environment, or, without --env, for each
that it declares: syntax, names, references, cycles, and every configuration
against the schema of its provider. All errors are reported in one run.

Exit status: 0 valid; 1 not; 2 wrong usage.`,
		Example: "  wfctl validate\n  wfctl validate --env staging --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runValidate(cmd.Context()) },
	}
}

func (a *App) runValidate(ctx context.Context) error {
	envs := []string{a.flags.env}
	if a.flags.env == "" {
		declared, err := engine.Environments(ctx, a.engineOptions())
		if err != nil {
			return err
		}
		if len(declared) > 0 {
			envs = declared
		}
	}
	var faults faultSet
	for _, env := range envs {
		if err := a.validateOne(ctx, env); err != nil {
			if !faults.add(err) {
				return err
			}
		}
	}
	if err := faults.list.Err(); err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(map[string]any{"valid": true, "environments": envs})
	}
	_, err := fmt.Fprintln(a.Stderr, "The configuration is valid.")
	return err
}

func (a *App) validateOne(ctx context.Context, env string) error {
	o := a.engineOptions()
	o.Env, o.Events = env, a.notices()
	return engine.Validate(ctx, a.Kinds, o)
}

// A faultSet collects faults of several environments, each once.
type faultSet struct {
	list fault.List
	seen map[string]bool
}

// add takes the faults of err; false where it is no fault.
func (s *faultSet) add(err error) bool {
	var list fault.List
	if !asList(err, &list) {
		var one *fault.Error
		if !asFault(err, &one) {
			return false
		}
		list = fault.List{one}
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	for _, f := range list {
		if !s.seen[f.Error()] {
			s.seen[f.Error()] = true
			s.list = append(s.list, f)
		}
	}
	return true
}

func (a *App) schemaCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "JSON Schema of the application file",
		Long: `Print the JSON Schema of the application file with the types of the built-in
and installed providers, for editors (yaml-language-server) and other tools.

Exit status: 0 done; 1 failed.`,
		Example: "  wfctl schema\n  wfctl schema -o .wfctl/schema.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runSchema(cmd.Context(), out) },
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`")
	return cmd
}

func (a *App) runSchema(ctx context.Context, out string) error {
	o := a.engineOptions()
	o.ProjectDir, o.Events = a.manifestDir(), a.notices()
	schema, err := engine.Schema(ctx, a.Kinds, o)
	if err != nil {
		return err
	}
	if out == "" {
		_, err = fmt.Fprintln(a.Stdout, string(schema))
		return err
	}
	out = a.inDir(out)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fault.Wrap(fault.Environment, err, "make the folder of %s", out)
	}
	if err := os.WriteFile(out, append(schema, '\n'), 0o644); err != nil {
		return fault.Wrap(fault.Environment, err, "write the schema")
	}
	_, err = fmt.Fprintf(a.Stderr, "wrote %s\n", out)
	return err
}
