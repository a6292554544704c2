package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/ui"
)

type takeoverOptions struct {
	consent consent
	from    string
	given   []string
	dryRun  bool
}

func (a *App) stateImport() *cobra.Command {
	var o takeoverOptions
	cmd := &cobra.Command{
		Use: "import --from tfstate FILE", Short: "Take over what Terraform managed", Args: cobra.ExactArgs(1),
		Long: `Bring every resource of a Terraform state under management, by its id. The
modules must be declared; a resource goes to the module that --map names, else
to the only one whose resource has its name. What it is like is read from its
platform: of the Terraform state only names and ids are used, and no secret.
Nothing on a platform changes. FILE is - for standard input.

Exit status: 0 done; 1 some could not be imported; 2 refused or wrong usage.`,
		Example: "  terraform state pull | wfctl infra state import --from tfstate - --env staging --dry-run\n" +
			"  wfctl infra state import --from tfstate terraform.tfstate --map digitalocean_database_cluster.main=db --env staging",
		RunE: func(cmd *cobra.Command, args []string) error {
			given, err := o.mapping()
			if err != nil {
				return err
			}
			found, err := a.readTerraform(args[0])
			if err != nil {
				return err
			}
			run := func(w *engine.Work) error { return a.takeOver(cmd.Context(), w, found, given, o) }
			if o.dryRun {
				return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error { return run(w) })
			}
			return a.holding(cmd.Context(), "infra state import", o.consent, run)
		},
	}
	o.consent.register(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "the `FORMAT` of the file: tfstate")
	cmd.Flags().StringArrayVar(&o.given, "map", nil, "give a resource to a module, `ADDRESS=MODULE` (repeatable)")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be imported")
	_ = cmd.MarkFlagRequired("from")
	return cmd
}

// mapping reads --from and --map.
func (o *takeoverOptions) mapping() (map[string]resource.Address, error) {
	if o.from != "tfstate" {
		return nil, fault.New(fault.Usage, "--from %q is not known", o.from).WithHint("it is tfstate")
	}
	given := map[string]resource.Address{}
	for _, pair := range o.given {
		i := strings.LastIndexByte(pair, '=') // an index of Terraform's may hold one
		if i < 1 || i == len(pair)-1 {
			return nil, fault.New(fault.Usage, "--map %q is not ADDRESS=MODULE", pair)
		}
		given[pair[:i]] = resource.Address(pair[i+1:])
	}
	return given, nil
}

func (a *App) readTerraform(path string) ([]engine.TerraformResource, error) {
	var raw []byte
	var err error
	if path == "-" {
		raw, err = io.ReadAll(a.Stdin)
	} else {
		raw, err = os.ReadFile(a.inDir(path))
	}
	if err != nil {
		return nil, fault.Wrap(fault.Usage, err, "read the Terraform state")
	}
	return engine.ReadTerraform(raw)
}

// takeOver shows what goes where, asks, and imports one after the other; one
// that fails does not keep the others.
func (a *App) takeOver(ctx context.Context, w *engine.Work, found []engine.TerraformResource, given map[string]resource.Address, o takeoverOptions) error {
	matches, err := w.MatchTerraform(found, given)
	if err != nil {
		return err
	}
	if err := a.showMatches(matches); err != nil {
		return err
	}
	var ready []engine.TerraformMatch
	without := 0
	for _, m := range matches {
		switch {
		case m.Module == "":
			without++
		case !m.Taken:
			ready = append(ready, m)
		}
	}
	if without > 0 {
		a.say("%d of %d have no module: --map ADDRESS=MODULE gives them one", without, len(matches))
	}
	if o.dryRun || len(ready) == 0 {
		return nil
	}
	if err := a.confirm(ctx, fmt.Sprintf("Import %d resources?", len(ready)), "infra state import", o.consent); err != nil {
		return err
	}
	var failed []error
	for _, m := range ready {
		rec, err := w.Import(ctx, m.Module, m.ID)
		if err != nil {
			failed = append(failed, fault.Wrap(fault.CodeOf(err), err, "%s", m.Address))
			continue
		}
		a.say("imported %s as %s", rec.ID, rec.Address)
	}
	a.say("%d imported, %d failed; `wfctl infra plan` shows where they differ", len(ready)-len(failed), len(failed))
	return errors.Join(failed...)
}

func (a *App) showMatches(matches []engine.TerraformMatch) error {
	if a.flags.json {
		return a.printJSON(matches)
	}
	rows := [][]string{{"TERRAFORM", "ID", "MODULE"}}
	for _, m := range matches {
		to := string(m.Module)
		switch {
		case to == "":
			to = "(" + m.Reason + ")"
		case m.Taken:
			to += " (has it already)"
		}
		rows = append(rows, []string{m.Address, m.ID, to})
	}
	return ui.Table(a.Stdout, rows)
}
