package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
)

func (a *App) stateReset() *cobra.Command {
	var c consent
	cmd := &cobra.Command{
		Use: "reset", Short: "Accept that the record is lost", Args: cobra.NoArgs,
		Long: `Begin again with an empty record, where the one that was here is lost and no
copy can be put back. Until then every command stops: without the record, wfctl
would make again what is there. The resources stay on their platforms; bring
them back one by one with ` + "`wfctl infra import`" + `.

Nothing is deleted: a record that is there and sound stays as it is.

Exit status: 0 done; 1 failed; 2 refused or wrong usage.`,
		Example: "  wfctl infra state reset --env staging --approve",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runStateReset(cmd.Context(), c) },
	}
	cmd.Flags().BoolVar(&c.approve, "approve", false, "do it without asking")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "the same as --approve")
	return cmd
}

func (a *App) runStateReset(ctx context.Context, c consent) (err error) {
	o := a.engineOptions()
	o.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	env := p.Environment().Name()
	question := "Give the record of " + env + " up for lost? wfctl will not know what it made there."
	if err := a.confirm(ctx, question, "infra state reset", c); err != nil {
		return err
	}
	if err := p.ResetState(); err != nil {
		return err
	}
	a.say("The record of %s is given up; the next command begins a new one.", env)
	return nil
}
