package cli

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/ui"
)

type takeoverOptions struct {
	consent
	from string
	maps []string
	dry  bool
	file string
}

func (a *App) stateImport() *cobra.Command {
	var o takeoverOptions
	cmd := &cobra.Command{
		Use: "import --from tfstate FILE", Short: "Take over what Terraform managed", Args: cobra.ExactArgs(1),
		Long: `Bring what a state file of Terraform or OpenTofu lists under management: each
resource becomes that of the module with its name, its corresponding type and
its platform. The platform is asked what the resource is; of the file nothing
but identifiers is used, so no secret comes from there. Nothing on a platform
changes; the next plan shows where it differs from the configuration.

What cannot be told for certain is listed with the reason and left alone;
--map names the module. FILE is what ` + "`terraform state pull`" + ` prints; - is the
standard input. It can be run again: what is under management stays.

Afterwards take the resources out of Terraform's state, so that two tools do
not manage them.

Exit status: 0 all is under management now; 1 failed, or something is left;
2 wrong usage.`,
		Example: "  wfctl infra state import --from tfstate terraform.tfstate --env staging --dry-run\n  terraform state pull | wfctl infra state import --from tfstate - --env staging --map aws_db_instance.main=db",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return a.runStateImport(cmd.Context(), o)
		},
	}
	o.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "what wrote the file: `tfstate`")
	f.StringArrayVar(&o.maps, "map", nil, "the module that takes a resource over, `ADDRESS=MODULE` (repeatable)")
	f.BoolVar(&o.dry, "dry-run", false, "show what would be taken over")
	_ = cmd.MarkFlagRequired("from")
	return cmd
}

func (a *App) runStateImport(ctx context.Context, o takeoverOptions) error {
	if o.from != "tfstate" {
		return fault.New(fault.Usage, "there is no import from %q", o.from).WithHint("formats: tfstate")
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
	if o.dry {
		return a.looking(ctx, func(_ *engine.Project, w *engine.Work) error { return a.takeOver(ctx, w, file, by, o) })
	}
	return a.holding(ctx, "infra state import", o.consent, func(w *engine.Work) error { return a.takeOver(ctx, w, file, by, o) })
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
		return nil, fault.Wrap(fault.Usage, err, "read the state file")
	}
	return f, nil
}

func (a *App) takeOver(ctx context.Context, w *engine.Work, file io.Reader, by map[string]string, o takeoverOptions) error {
	list, err := w.Takeovers(file, by)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].Outcome == engine.ToTake && !o.dry && ctx.Err() == nil {
			list[i] = w.Take(ctx, list[i])
		}
	}
	if err := a.printTakeovers(list); err != nil || ctx.Err() != nil {
		return err
	}
	left := 0
	for _, t := range list {
		if t.Outcome == engine.Left || t.Outcome == engine.Failed {
			left++
		}
	}
	if left > 0 {
		return fault.New(fault.State, "%d of %d resources of Terraform were not taken over", left, len(list)).
			WithHint("the reasons are in the list; --map ADDRESS=MODULE names a module, and the command can be run again")
	}
	if !o.dry {
		a.say("Now `wfctl infra plan` shows what differs from the configuration, and `terraform state rm` takes these out of Terraform.")
	}
	return nil
}

func (a *App) printTakeovers(list []engine.Takeover) error {
	if a.flags.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"TERRAFORM", "MODULE", "ID", "OUTCOME", "WHY"}}
	for _, t := range list {
		rows = append(rows, []string{t.Terraform, t.Module, t.ID, string(t.Outcome), t.Why})
	}
	return ui.Table(a.Stdout, rows)
}
