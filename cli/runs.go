package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) runsCommand() *cobra.Command {
	return group("runs", "What was run, and what runs now", a.runsList(), a.runsShow(), a.runsApprove(), a.runsStop(), a.runsDelete())
}

// withEvents opens the history of the project in the folder.
func (a *App) withEvents(ctx context.Context, fn func(*event.Store) error) (err error) {
	dir, err := engine.ProjectDir(a.engineOptions())
	if err != nil {
		return err
	}
	store, err := engine.OpenEvents(ctx, a.Kinds, engine.EventSource{ProjectDir: dir, Getenv: a.Getenv})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return engine.Unreachable(fn(store))
}

// settledRun shows a run whose process is gone as interrupted.
func settledRun(r event.Run) event.Run {
	if engine.Abandoned(r) {
		r.Status = event.Interrupted
	}
	return r
}

func (a *App) runsList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "The runs, the newest first", Args: cobra.NoArgs,
		Long: `List the runs of this project: every command that changed something, and every
pipeline, of all environments (or of --env).

Exit status: 0 done; 1 failed; 2 wrong usage.`,
		Example: "  wfctl runs list\n  wfctl runs list --env staging --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withEvents(cmd.Context(), func(s *event.Store) error { return a.listRuns(cmd.Context(), s, limit) })
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most; 0 shows all")
	return cmd
}

func (a *App) listRuns(ctx context.Context, s *event.Store, limit int) error {
	all, err := s.Runs(ctx, 0)
	if err != nil {
		return err
	}
	list := []event.Run{}
	rows := [][]string{{"RUN", "COMMAND", "ENVIRONMENT", "STATUS", "STARTED", "TOOK"}}
	for _, r := range all {
		if a.flags.env != "" && r.Environment != a.flags.env || limit > 0 && len(list) == limit {
			continue
		}
		r = settledRun(r)
		list = append(list, r)
		took := ""
		if !r.Ended.IsZero() {
			took = r.Ended.Sub(r.Started).Round(time.Millisecond).String()
		}
		rows = append(rows, []string{r.ID, r.Command, r.Environment, string(r.Status), r.Started.Local().Format(time.DateTime), took})
	}
	if a.flags.json {
		return a.printJSON(list)
	}
	return ui.Table(a.Stdout, rows)
}

func (a *App) runsShow() *cobra.Command {
	var follow, logs bool
	cmd := &cobra.Command{
		Use: "show [RUN]", Short: "One run with its steps", Args: cobra.MaximumNArgs(1),
		Long: `Show the steps of a run (by default the newest), with their times, attempts and
errors. With --follow what happens is shown as it does, until the run is over.

Exit status: 0 done; 1 failed, or, with --follow, the run has failed; 2 wrong usage.`,
		Example: "  wfctl runs show\n  wfctl runs show 20260424T100000Z-0011aabb --follow\n  wfctl runs show --logs",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEvents(cmd.Context(), func(s *event.Store) error {
				id, err := runID(cmd.Context(), s, args)
				if err != nil {
					return err
				}
				if follow {
					return a.followRun(cmd.Context(), s, id)
				}
				return a.showRun(cmd.Context(), s, id, logs)
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show what happens until the run is over")
	cmd.Flags().BoolVar(&logs, "logs", false, "show the output of the steps too")
	return cmd
}

// runID is the run that was named, by the beginning of its name too, or the
// newest.
func runID(ctx context.Context, s *event.Store, args []string) (string, error) {
	runs, err := s.Runs(ctx, 0)
	if err != nil {
		return "", err
	}
	if len(args) == 0 {
		if len(runs) == 0 {
			return "", fault.New(fault.NotFound, "there is no run yet").WithHint("`wfctl up` and `wfctl pipeline run` make one")
		}
		return runs[0].ID, nil
	}
	var found []string
	for _, r := range runs {
		if r.ID == args[0] {
			return r.ID, nil
		}
		if strings.HasPrefix(r.ID, args[0]) {
			found = append(found, r.ID)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fault.New(fault.NotFound, "there is no run %q", args[0]).WithHint("`wfctl runs list` shows what there is")
	}
	return "", fault.New(fault.Usage, "%d runs begin with %q", len(found), args[0]).WithHint("they are %s", strings.Join(found, ", "))
}

func (a *App) showRun(ctx context.Context, s *event.Store, id string, logs bool) error {
	t, err := s.Timeline(ctx, id)
	if err != nil {
		return err
	}
	t.Run = settledRun(t.Run)
	if a.flags.json {
		return a.printJSON(t)
	}
	r := t.Run
	if _, err := fmt.Fprintf(a.Stdout, "%s  wfctl %s  %s  %s  %s\n\n", r.ID, r.Command, r.Environment, r.Status, r.Started.Local().Format(time.DateTime)); err != nil {
		return err
	}
	rows := [][]string{{"STEP", "ACTION", "STATUS", "STARTED", "TOOK", "ATTEMPTS", ""}}
	for _, st := range t.Steps {
		rows = append(rows, stepRow(t.Run, st))
	}
	if err := ui.Table(a.Stdout, rows); err != nil || !logs {
		return err
	}
	for rec, err := range s.Read(ctx, id, 0) {
		if err != nil {
			return err
		}
		if e, ok := rec.Event.(event.NodeLog); ok {
			if _, err := fmt.Fprintf(a.Stdout, "%s | %s\n", stepName(e.Parent, e.Address), e.Line); err != nil {
				return err
			}
		}
	}
	return nil
}

func stepName(parent, address string) string {
	if parent != "" {
		return parent + " / " + address
	}
	return address
}

func stepRow(r event.Run, s event.Step) []string {
	status := s.Status
	if r.Status == event.Interrupted && (status == event.Running || status == event.Waiting) {
		status = event.Interrupted
	}
	started, took := "", ""
	if !s.Started.IsZero() {
		started = "+" + s.Started.Sub(r.Started).Round(time.Millisecond).String()
		if !s.Ended.IsZero() {
			took = s.Ended.Sub(s.Started).Round(time.Millisecond).String()
		}
	}
	note := s.Error
	if note == "" {
		note = s.Reason
	}
	if note == "" && status == event.Waiting {
		note = s.Message
	}
	return []string{stepName(s.Parent, s.Address), s.Action, string(status), started, took, fmt.Sprint(s.Attempts), note}
}

func (a *App) runsApprove() *cobra.Command {
	var given event.ApprovalGiven
	var refuse bool
	cmd := &cobra.Command{
		Use: "approve [RUN]", Short: "Answer a step that waits for an approval", Args: cobra.MaximumNArgs(1),
		Long: `Approve, or with --refuse refuse, what a step of type approval waits for. The
run may be another process, on this machine or, with a shared store, elsewhere.

Exit status: 0 done; 1 failed; 2 nothing waits, or wrong usage.`,
		Example: "  wfctl runs approve 20260424T100000Z-0011aabb --step gate\n  wfctl runs approve --refuse --comment 'not on a Friday'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEvents(cmd.Context(), func(s *event.Store) error {
				id, err := runID(cmd.Context(), s, args)
				if err != nil {
					return err
				}
				given.Approved, given.Via, given.At = !refuse, "command", time.Now().UTC()
				if err := a.approve(cmd.Context(), s, id, given); err != nil {
					return err
				}
				a.say("%s: %s.", id, map[bool]string{true: "approved", false: "refused"}[given.Approved])
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&given.Address, "step", "", "the `NAME` of the step (default: the only one that waits)")
	f.StringVar(&given.Comment, "comment", "", "a `TEXT` to keep with the answer")
	f.BoolVar(&refuse, "refuse", false, "refuse instead")
	return cmd
}

func (a *App) runsDelete() *cobra.Command {
	var project string
	var before time.Duration
	var c consent
	cmd := &cobra.Command{
		Use: "delete", Short: "Remove the records of runs that are over", Args: cobra.NoArgs,
		Long: `Remove the records of a project's runs that are over and began longer ago than
--before. What the runs made stays.

Exit status: 0 done; 1 failed; 2 refused or wrong usage.`,
		Example: "  wfctl runs delete --project shop --before 2160h --approve",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if project == "" {
				return fault.New(fault.Usage, "which project's runs?").WithHint("name it: --project NAME")
			}
			if !c.given() {
				return fault.New(fault.Refused, "the records of %s's runs would be removed for good", project).WithHint("nothing was changed. Look at `wfctl runs list` first, then run it with --approve")
			}
			return a.withEvents(cmd.Context(), func(s *event.Store) error {
				n, err := s.Forget(cmd.Context(), project, time.Now().Add(-before))
				if err == nil {
					a.say("%d runs of %s were removed.", n, project)
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&project, "project", "", "the `PROJECT` whose runs they are")
	f.DurationVar(&before, "before", 0, "only those that began this long ago")
	f.BoolVar(&c.approve, "approve", false, "do it")
	f.BoolVar(&c.yes, "yes", false, "the same as --approve")
	return cmd
}
