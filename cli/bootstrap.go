package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/ui"
)

type bootstrapOptions struct {
	reveal bool
	file   string
}

func (a *App) bootstrapCommand() *cobra.Command {
	var o bootstrapOptions
	cmd := &cobra.Command{
		Use: "bootstrap", Short: "Make the storage that the state is kept in", Args: cobra.NoArgs,
		Long: `Make what the module iac.state names: the database and schema of postgres, the
bucket of s3, the file or folder of sqlite and filesystem. Where the module
names a ` + "`provider`" + `, that provider makes it, and may give a key to it that is
shown once: say where it goes. What is there already stays as it is.

Exit status: 0 it is there; 1 failed; 2 wrong usage.`,
		Example: "  wfctl infra bootstrap --env staging\n  wfctl infra bootstrap --env staging --credentials state.env",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runBootstrap(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.reveal, "show-sensitive", false, "print the credentials that a provider gives")
	cmd.Flags().StringVar(&o.file, "credentials", "", "write the credentials that a provider gives to `FILE`, for you alone to read")
	return cmd
}

func (a *App) runBootstrap(ctx context.Context, o bootstrapOptions) (err error) {
	progress := a.renderer()
	defer progress.Close()
	eo := a.engineOptions()
	eo.Events = progress
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	maker, err := p.StateProvider()
	if err != nil {
		return err
	}
	if maker.Kind != "" && !o.reveal && o.file == "" {
		return fault.New(fault.Usage, "provider %q may give a key to the storage that it shows once", maker.Address).
			WithHint("say where it goes: --credentials FILE, or --show-sensitive")
	}
	b, err := p.Bootstrap(ctx)
	if err != nil {
		return err
	}
	progress.Close()
	if err := a.keepCredentials(b, o); err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(b)
	}
	for _, c := range b.Created {
		a.say("made %s", c)
	}
	if len(b.Created) == 0 {
		a.say("%s is there already", b.Place)
	}
	if len(b.Outputs) == 0 {
		return nil
	}
	return ui.Outputs(a.Stdout, a.Stderr, outputValues(masked(b.Outputs, o.reveal)), ui.OutputOptions{
		Format: "value", ShowSensitive: o.reveal, GitHubActions: a.inActions(), Reveal: func(text string) error { return revealTo(a.Stdout, text) },
	})
}

// keepCredentials writes what a provider gives as NAME=VALUE lines.
func (a *App) keepCredentials(b *engine.Bootstrapped, o bootstrapOptions) error {
	if o.file == "" || len(b.Outputs) == 0 {
		return nil
	}
	var lines strings.Builder
	for _, out := range b.Outputs {
		text := string(out.Value)
		var s string
		if json.Unmarshal(out.Value, &s) == nil {
			text = s
		}
		fmt.Fprintf(&lines, "%s=%s\n", strings.ToUpper(out.Field), text)
	}
	if err := atomicfile.Write(a.inDir(o.file), []byte(lines.String()), 0o600); err != nil {
		return fault.Wrap(fault.Environment, err, "write the credentials")
	}
	return nil
}

// masked takes the sensitive values away unless they are to be shown.
func masked(outputs []engine.Output, reveal bool) []engine.Output {
	for i := range outputs {
		if outputs[i].Sensitive && !reveal {
			outputs[i].Value = nil
		}
	}
	return outputs
}
