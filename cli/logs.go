package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

type logsOptions struct {
	address string
	follow  bool
	tail    int
	since   time.Duration
}

func (a *App) logsCommand() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs ADDRESS",
		Short: "Logs of a running service",
		Long: `Print the log lines of a service, from its provider.

Exit status: 0 done; 1 failed; 2 wrong usage; 130 interrupted.`,
		Example: "  wfctl logs web --env local\n  wfctl logs web --follow --tail 20",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.address = args[0]
			return a.runLogs(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on printing as lines come")
	f.IntVar(&o.tail, "tail", 0, "only the last `N` lines (0: all)")
	f.DurationVar(&o.since, "since", 0, "only lines younger than this")
	return cmd
}

func (a *App) runLogs(ctx context.Context, o logsOptions) (err error) {
	eo := a.engineOptions()
	eo.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	w, err := p.Look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	req := sdk.LogsRequest{Follow: o.follow, Tail: o.tail}
	if o.since > 0 {
		req.Since = time.Now().Add(-o.since)
	}
	err = w.Logs(ctx, resource.Address(o.address), req, a.printLogLine)
	if o.follow && errors.Is(err, context.Canceled) {
		return nil // following ends by being interrupted
	}
	return err
}

func (a *App) printLogLine(l sdk.LogLine) error {
	if a.flags.json {
		return a.printJSONLine(l)
	}
	source := ""
	if l.Source != "" {
		source = l.Source + " "
	}
	_, err := fmt.Fprintf(a.Stdout, "%s%s\n", source, l.Text)
	return err
}
