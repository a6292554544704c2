package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/ui"
)

type outputsOptions struct {
	module, output, format, jq string
	show                       bool
}

func (a *App) outputsCommand() *cobra.Command {
	var o outputsOptions
	cmd := &cobra.Command{
		Use:   "outputs",
		Short: "Outputs, masked unless declared otherwise",
		Long: `Print the outputs of the environment's resources. What is sensitive, or not
declared otherwise, is masked; no environment variable reveals it, only
--show-sensitive does, with a warning on standard error.

The formats: value is a line NAME.FIELD: VALUE each, or the value alone with
--output; env is KEY='value' each, for a POSIX shell, without what is masked;
json keeps the types. --jq filters what json prints, and prints a string
without its quotes.

Exit status: 0 done; 1 failed, an unknown module or field; 2 wrong usage.`,
		Example: "  wfctl infra outputs --env local\n  wfctl infra outputs --module web --output url\n  wfctl infra outputs --format env\n  wfctl infra outputs --jq .web.url",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runOutputs(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.module, "module", "", "only the module of this address or resource `NAME`")
	f.StringVar(&o.output, "output", "", "only this `FIELD`")
	f.StringVar(&o.format, "format", "", "value, env or json (default value; json with --json)")
	f.StringVar(&o.jq, "jq", "", "filter the JSON of the outputs with a jq `EXPRESSION`")
	f.BoolVar(&o.show, "show-sensitive", false, "print sensitive values")
	return cmd
}

func (a *App) runOutputs(ctx context.Context, o outputsOptions) (err error) {
	if o.format == "" {
		o.format = "value"
		if a.flags.json {
			o.format = "json"
		}
	}
	if o.format != "value" && o.format != "env" && o.format != "json" {
		return fault.New(fault.Usage, "there is no output format %q", o.format).WithHint("formats: value, env, json")
	}
	if o.jq != "" && o.format == "env" {
		return fault.New(fault.Usage, "--jq filters JSON, and --format env is none")
	}
	eo := a.engineOptions()
	eo.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	w, err := p.Look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	outputs, err := w.Outputs(ctx, engine.OutputOptions{Module: o.module, Field: o.output, Reveal: o.show})
	if err != nil {
		return err
	}
	actions, _ := a.Getenv("GITHUB_ACTIONS")
	return ui.Outputs(a.Stdout, a.Stderr, outputValues(outputs), ui.OutputOptions{
		Format: o.format, ShowSensitive: o.show, Bare: o.output != "" && o.format == "value", GitHubActions: actions == "true",
		JQ: o.jq, Reveal: func(text string) error { return revealTo(a.Stdout, text) },
	})
}
