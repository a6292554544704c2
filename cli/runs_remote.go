package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// followRun shows a run until it is over. One that is on Temporal is looked up
// there too, where the environment says where that is: an operator may have
// ended it.
func (a *App) followRun(ctx context.Context, s *event.Store, id string) error {
	tl, err := s.Timeline(ctx, id)
	if err != nil {
		return err
	}
	if tl.Run = settledRun(tl.Run); tl.Run.Status != event.Running {
		show := a.renderer()
		defer show.Close()
		for rec, err := range s.Read(ctx, id, 0) {
			if err != nil {
				return err
			}
			show.Emit(rec.Event)
		}
		return followed(tl.Run.Status == event.Succeeded)
	}
	if _, named := a.Getenv("TEMPORAL_ADDRESS"); named && tl.Run.Engine != "" {
		c, err := a.cluster(ctx, &clusterFlags{})
		if status := exitStatus(0); errors.As(err, &status) {
			return err // wfctl-temporal has done it
		}
		if err == nil {
			defer c.Close()
			if on := pipeline.ClusterOf(tl.Run); on != "" && on == c.ID() {
				v, err := a.following(ctx, c, s, id, 0, tl.Seq)
				if err != nil {
					return err
				}
				return followed(v.Err() == nil)
			}
		}
	}
	show := a.renderer()
	defer show.Close()
	over, err := a.showUntilOver(ctx, s, id, 0, tl.Seq, show)
	switch {
	case err != nil:
		return err
	case over == nil:
		return fault.Wrap(fault.Interrupted, ctx.Err(), "no longer following the run %s", id).WithHint("it goes on, where it is not in this process: `wfctl runs show %s --follow`", id)
	}
	return followed(verdictOf(*over, id).Err() == nil)
}

// followed is the status of who followed a run.
func followed(done bool) error {
	if done {
		return nil
	}
	return exitStatus(1)
}

func (a *App) runsStop() *cobra.Command {
	var f clusterFlags
	var now, terminate bool
	cmd := &cobra.Command{
		Use: "stop RUN", Short: "Stop a run that is on Temporal", Args: cobra.ExactArgs(1),
		Long: `Have a run start nothing new: what runs ends and is recorded, and the run can go
on later (pipeline run --resume). With --now what runs is told to leave, and a
step that waits for an approval ends. With --terminate the run ends here and now,
without its workers: for a run that no worker takes. A run of this machine is
stopped with ctrl-C.

Exit status: 0 told; 1 failed, or there is no such run; 2 refused (it is over, or
not on Temporal) or wrong usage.`,
		Example: "  wfctl runs stop 20260424T100000Z-0011aabb\n  wfctl runs stop 20260424T100000Z-0011aabb --now",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if now && terminate {
				return fault.New(fault.Usage, "--now has the run's workers leave, and --terminate ends it without them").WithHint("give one of them")
			}
			c, err := a.cluster(ctx, &f)
			if err != nil {
				return err
			}
			defer c.Close()
			return a.withEvents(ctx, func(s *event.Store) error {
				r, err := a.namedRun(ctx, s, args, newest)
				if err != nil {
					return err
				}
				id := r.ID
				tell := func() error { return c.Stop(ctx, id, now) }
				said := map[bool]string{false: "%s starts nothing new.", true: "%s leaves what is under way."}[now]
				if terminate {
					said = "%s is terminated: what its workers are at ends when they notice."
					tell = func() error { return c.Terminate(ctx, id, "wfctl runs stop --terminate") }
				}
				if err := a.stopRun(ctx, c, s, id, terminate, tell); err != nil {
					return err
				}
				a.say(said, id)
				if who, err := c.Attendance(ctx); err == nil && who.Workers == 0 && !terminate {
					a.notices().Emit(event.Notice{Level: "warning", Message: "No worker takes work from the queue " + who.Queue + ": the run hears of it when one does.",
						Hint: "--terminate ends it without one; --task-queue names another queue"})
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "leave what is under way")
	cmd.Flags().BoolVar(&terminate, "terminate", false, "end it without its workers")
	f.register(cmd)
	return cmd
}

// stopRun tells a run that is under way to stop; dead says that it is over then.
func (a *App) stopRun(ctx context.Context, c pipeline.Cluster, s *event.Store, id string, dead bool, tell func() error) error {
	tl, err := s.Timeline(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case tl.Run.Engine == "":
		return fault.New(fault.Refused, "the run %s is not on Temporal", id).WithHint("ctrl-C stops it where it runs")
	case tl.Run.Status != event.Running:
		return fault.New(fault.Refused, "the run %s is over: %s", id, tl.Run.Status)
	}
	err = tell()
	gone := fault.CodeOf(err) == fault.NotFound
	if err != nil && !gone {
		return err
	}
	if !gone && !dead {
		return nil
	}
	settled, settleErr := pipeline.Settle(ctx, c, s, id)
	switch {
	case settleErr != nil:
		return settleErr
	case gone && settled:
		return fault.New(fault.Refused, "the run %s was over on Temporal without having said so; its record is closed now", id)
	case gone:
		return fault.New(fault.Refused, "the run %s is not under way on this Temporal", id).WithHint("is it on another one, or in another namespace? --address and --namespace name them")
	}
	return nil
}
