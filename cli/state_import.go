package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/ui"
)

type takeoverOptions struct {
	consent consent
	from    string
	maps    []string
	dry     bool
	file    string
}

func (a *App) stateImport() *cobra.Command {
	var o takeoverOptions
	cmd := &cobra.Command{
		Use: "import --from tfstate FILE", Short: "Take over what Terraform managed", Args: cobra.ExactArgs(1),
		Long: `Bring what a state of Terraform or OpenTofu lists under management. Declare the
modules first: each resource goes to the module that --map names, else to the
one of the corresponding type on the same platform that has its name. What
cannot be told for certain is left alone, with the reason. The platform is
asked what a resource is like; of the file only names and ids are used, and no
secret. Nothing on a platform changes.

FILE is what ` + "`terraform state pull`" + ` prints; - is standard input. The command can
be run again: what is under management stays.

Exit status: 0 done; 1 some could not be imported; 2 refused or wrong usage.`,
		Example: "  terraform state pull | wfctl infra state import --from tfstate - --env staging --dry-run\n" +
			"  wfctl infra state import --from tfstate terraform.tfstate --map digitalocean_database_cluster.main=db --env staging",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return a.runStateImport(cmd.Context(), o)
		},
	}
	o.consent.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "the `FORMAT` of the file: tfstate")
	f.StringArrayVar(&o.maps, "map", nil, "give a resource to a module, `ADDRESS=MODULE` (repeatable)")
	f.BoolVar(&o.dry, "dry-run", false, "show what would be imported")
	_ = cmd.MarkFlagRequired("from")
	return cmd
}

func (a *App) runStateImport(ctx context.Context, o takeoverOptions) error {
	if o.from != "tfstate" {
		return fault.New(fault.Usage, "--from %q is not known", o.from).WithHint("it is tfstate")
	}
	by, err := takeoverMap(o.maps)
	if err != nil {
		return err
	}
	file, err := a.openInput(o.file)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // read only
	run := func(w *engine.Work) error {
		list, err := w.Takeovers(file, by)
		if err != nil {
			return err
		}
		return a.takeOver(ctx, w, list, o)
	}
	if o.dry {
		return a.looking(ctx, func(_ *engine.Project, w *engine.Work) error { return run(w) })
	}
	return a.holding(ctx, "infra state import", o.consent, run)
}

// takeoverMap reads ADDRESS=MODULE; an address may hold "=" in the key of an
// instance, a module's name none.
func takeoverMap(pairs []string) (map[string]string, error) {
	by := map[string]string{}
	for _, pair := range pairs {
		i := strings.LastIndexByte(pair, '=')
		if i < 1 || i == len(pair)-1 {
			return nil, fault.New(fault.Usage, "--map %q is not ADDRESS=MODULE", pair)
		}
		by[pair[:i]] = pair[i+1:]
	}
	return by, nil
}

// openInput opens a file, or the standard input for "-".
func (a *App) openInput(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.Stdin), nil
	}
	f, err := os.Open(a.inDir(name))
	if err != nil {
		return nil, fault.Wrap(fault.Usage, err, "read the Terraform state")
	}
	return f, nil
}

// takeOver shows what goes where, asks, and imports one after the other; one
// that fails does not keep the others.
func (a *App) takeOver(ctx context.Context, w *engine.Work, list []engine.Takeover, o takeoverOptions) error {
	counts := map[engine.Outcome]int{}
	for _, t := range list {
		counts[t.Outcome]++
	}
	if err := a.showTakeovers(list); err != nil {
		return err
	}
	if n := counts[engine.Left]; n > 0 {
		a.say("%d of %d have no module: --map ADDRESS=MODULE gives them one", n, len(list))
	}
	if n := counts[engine.ToTake]; n == 0 || o.dry {
		return a.finishTakeovers(list)
	} else if err := a.confirm(ctx, fmt.Sprintf("Import %d resources?", n), "infra state import", o.consent); err != nil {
		return err
	}
	failed := 0
	for i := range list {
		if list[i].Outcome != engine.ToTake || ctx.Err() != nil {
			continue
		}
		if list[i] = w.Take(ctx, list[i]); list[i].Outcome == engine.Failed {
			failed++
			a.say("%s: %s", list[i].Terraform, list[i].Why)
			continue
		}
		a.say("imported %s as %s", list[i].ID, list[i].Module)
	}
	if err := a.finishTakeovers(list); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	a.say("%d imported, %d failed; `wfctl infra plan` shows where they differ, and `terraform state rm` takes them out of Terraform", counts[engine.ToTake]-failed, failed)
	if failed > 0 {
		return fault.New(fault.Provider, "%d of Terraform's resources could not be imported", failed).WithHint("mend what is said above and run the command again")
	}
	return nil
}

// showTakeovers prints what goes where. As JSON it is printed once, at the
// end, with what came of it.
func (a *App) showTakeovers(list []engine.Takeover) error {
	if a.flags.json {
		return nil
	}
	rows := [][]string{{"TERRAFORM", "ID", "MODULE"}}
	for _, t := range list {
		to := t.Module
		switch {
		case to == "":
			to = "(" + t.Why + ")"
		case t.Outcome == engine.Managed:
			to += " (has it already)"
		}
		rows = append(rows, []string{t.Terraform, t.ID, to})
	}
	return ui.Table(a.Stdout, rows)
}

func (a *App) finishTakeovers(list []engine.Takeover) error {
	if !a.flags.json {
		return nil
	}
	return a.printJSON(list)
}
