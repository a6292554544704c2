package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "The runs, the newest first", Args: cobra.NoArgs,
		Long: `List the runs of this project: every command that changed something, and every
pipeline, of all environments (or of --env). A database that several projects
share shows all of them with --all-projects, and so it does where there is no
application file.

Exit status: 0 done; 1 failed; 2 wrong usage.`,
		Example: "  wfctl runs list\n  wfctl runs list --env staging --json\n  wfctl runs list --all-projects --limit 0",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return fault.New(fault.Usage, "--limit is %d", limit).WithHint("0 shows all")
			}
			q := event.Query{Environment: a.flags.env, Limit: limit}
			if !all {
				var err error
				if q.Project, err = engine.ProjectName(cmd.Context(), a.engineOptions()); err != nil {
					return err
				}
			}
			return a.withEvents(cmd.Context(), func(s *event.Store) error { return a.listRuns(cmd.Context(), s, q) })
		},
	}
	cmd.Flags().BoolVar(&all, "all-projects", false, "those of every project that records here")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most; 0 shows all")
	return cmd
}

func (a *App) listRuns(ctx context.Context, s *event.Store, q event.Query) error {
	list, err := s.Runs(ctx, q)
	if err != nil {
		return err
	}
	for i := range list {
		list[i] = settledRun(list[i])
	}
	if a.flags.json {
		return a.printJSON(append([]event.Run{}, list...)) // none is [], not null
	}
	rows := [][]string{{"RUN", "PROJECT", "COMMAND", "ENVIRONMENT", "STATUS", "STARTED", "TOOK"}}
	for _, r := range list {
		took := ""
		if !r.Ended.IsZero() {
			took = r.Ended.Sub(r.Started).Round(time.Millisecond).String()
		}
		rows = append(rows, []string{r.ID, r.Project, r.Command, r.Environment, string(r.Status), r.Started.Local().Format(time.DateTime), took})
	}
	if q.Project != "" {
		for i := range rows {
			rows[i] = slices.Delete(rows[i], 1, 2)
		}
	}
	return ui.Table(a.Stdout, rows)
}

func (a *App) runsShow() *cobra.Command {
	var follow, logs bool
	cmd := &cobra.Command{
		Use: "show [RUN]", Short: "One run with its steps", Args: cobra.MaximumNArgs(1),
		Long: `Show the steps of a run, with their times, attempts and errors. RUN is the name of
one, of any project, or the beginning of the name of one of this project; without
it, it is the newest of this project (and of --env). With --follow what happens is shown as it does, until the run is over.

Exit status: 0 done; 1 failed, or, with --follow, the run failed or was stopped
before it was done; 2 wrong usage; 130 interrupted.`,
		Example: "  wfctl runs show\n  wfctl runs show 20260424T100000Z-0011aabb --follow\n  wfctl runs show --logs",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEvents(cmd.Context(), func(s *event.Store) error {
				run, err := a.namedRun(cmd.Context(), s, args, newest)
				if err != nil {
					return err
				}
				if follow {
					return a.followRun(cmd.Context(), s, run.ID)
				}
				return a.showRun(cmd.Context(), s, run.ID, logs)
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show what happens until the run is over")
	cmd.Flags().BoolVar(&logs, "logs", false, "show the output of the steps too")
	return cmd
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
	if _, err := fmt.Fprintf(a.Stdout, "%s  %s  wfctl %s  %s  %s  %s\n\n", r.ID, r.Project, r.Command, r.Environment, r.Status, r.Started.Local().Format(time.DateTime)); err != nil {
		return err
	}
	if err := sayEnd(a.Stdout, t); err != nil {
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

// sayEnd says why a run ended, or what it was last warned of.
func sayEnd(w io.Writer, t *event.Timeline) error {
	why, what := t.Run.Error, "ended"
	if t.Run.Status == event.Running {
		why, what = t.Warning, "warning"
	}
	if why == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s: %s\n\n", what, why)
	return err
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
	note := cmp.Or(s.Error, s.Reason)
	if note == "" && (status == event.Waiting || s.Answer != "") {
		note = cmp.Or(s.Answer, s.Message)
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
RUN is the name of one, of any project, or the beginning of the name of one of
this project; without it, it is the one run of this project (and of --env) that
waits. Where several wait they are listed, and nothing is answered.

Exit status: 0 done; 1 failed; 2 nothing waits, or wrong usage.`,
		Example: "  wfctl runs approve 20260424T100000Z-0011aabb --step gate\n  wfctl runs approve --refuse --comment 'not on a Friday'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEvents(cmd.Context(), func(s *event.Store) error {
				run, err := a.namedRun(cmd.Context(), s, args, waiting)
				if err != nil {
					return err
				}
				given.Approved, given.Via, given.At = !refuse, "command", time.Now().UTC()
				if err := a.approve(cmd.Context(), s, run.ID, given); err != nil {
					return err
				}
				a.say("%s of the project %s: %s.", run.ID, run.Project, map[bool]string{true: "approved", false: "refused"}[given.Approved])
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
	var before age
	var all bool
	var c consent
	cmd := &cobra.Command{
		Use: "delete", Short: "Remove the records of runs that are over", Args: cobra.NoArgs,
		Long: `Remove the records of a project's runs that are over: those that began longer
ago than --before, or --all of them. What the runs made stays.

Exit status: 0 done; 1 failed; 2 refused or wrong usage.`,
		Example: "  wfctl runs delete --project shop --before 90d --approve\n  wfctl runs delete --project shop --all --approve",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case project == "":
				return fault.New(fault.Usage, "which project's runs?").WithHint("name it: --project NAME")
			case before != 0 && all:
				return fault.New(fault.Usage, "--before and --all ask for different runs").WithHint("leave one of them out")
			case before == 0 && !all:
				return fault.New(fault.Usage, "which of %s's runs?", project).WithHint("those that began longer ago than --before 90d, or --all that are over")
			}
			return a.withEvents(cmd.Context(), func(s *event.Store) error {
				return a.deleteRuns(cmd.Context(), s, project, time.Now().Add(-time.Duration(before)), c)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&project, "project", "", "the `PROJECT` whose runs they are")
	f.Var(&before, "before", "only those that began this long ago: `AGE` such as 90d or 12h")
	f.BoolVar(&all, "all", false, "all that are over, however young")
	f.BoolVar(&c.approve, "approve", false, "do it")
	f.BoolVar(&c.yes, "yes", false, "the same as --approve")
	return cmd
}

func (a *App) deleteRuns(ctx context.Context, s *event.Store, project string, before time.Time, c consent) error {
	if !c.given() {
		runs, err := s.Over(ctx, project, before)
		if err != nil {
			return err
		}
		return fault.New(fault.Refused, "the records of %d runs of %s would be removed for good", len(runs), project).
			WithHint("nothing was changed. Look at `wfctl runs list --all-projects` first, then run it with --approve")
	}
	n, err := s.Forget(ctx, project, before)
	if err == nil {
		a.say("%d runs of %s were removed.", n, project)
	}
	return err
}
