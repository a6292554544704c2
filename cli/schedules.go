package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) schedulesCommand() *cobra.Command {
	return group("schedules", "Pipelines that run again and again, on Temporal", a.schedulesApply(), a.schedulesList())
}

func (a *App) schedulesApply() *cobra.Command {
	var f clusterFlags
	var dry bool
	cmd := &cobra.Command{
		Use: "apply", Short: "Bring the schedules to what the file says", Args: cobra.NoArgs,
		Long: `Make, change and remove schedules of Temporal until they are those of the
application file, for all its environments. Each runs the pipeline as it is in
the working tree now: apply them again after a change. One that was paused stays
so.

Exit status: 0 done; 1 failed; 2 wrong usage.`,
		Example: "  wfctl schedules apply\n  wfctl schedules apply --dry-run",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.applySchedules(cmd.Context(), f, dry) },
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would be done, and do nothing")
	f.registerEngine(cmd)
	for _, name := range []string{"engine", "detach"} {
		_ = cmd.Flags().MarkHidden(name) // they say nothing here
	}
	return cmd
}

// scheduleChange is what is done with one schedule.
type scheduleChange struct {
	Name   string `json:"name"`
	Cron   string `json:"cron,omitempty"`
	Action string `json:"action"`
}

func (a *App) applySchedules(ctx context.Context, f clusterFlags, dry bool) error {
	c, err := a.cluster(ctx, &f)
	if err != nil {
		return err
	}
	defer c.Close()
	project, want, err := a.declaredSchedules(ctx, f, dry)
	if err != nil {
		return err
	}
	there, err := c.Schedules(ctx, project)
	if err != nil {
		return err
	}
	has := map[string]pipeline.ScheduleState{}
	for _, s := range there {
		has[s.Name] = s
	}
	if !dry && len(want) > 0 {
		if err := a.attend(ctx, c); err != nil {
			return err
		}
	}
	changes := []scheduleChange{}
	for _, s := range want {
		was, ok := has[s.Name]
		delete(has, s.Name)
		action := "create"
		switch {
		case ok && was.Digest == s.Digest:
			continue
		case ok:
			action = "update"
		}
		changes = append(changes, scheduleChange{s.Name, s.Cron, action})
		if dry {
			continue
		}
		if err := c.SetSchedule(ctx, s); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(has) {
		changes = append(changes, scheduleChange{Name: name, Action: "remove"})
		if dry {
			continue
		}
		if err := c.DropSchedule(ctx, project, name); err != nil {
			return err
		}
	}
	return a.showScheduleChanges(changes)
}

func (a *App) showScheduleChanges(changes []scheduleChange) error {
	if a.flags.json {
		return a.printJSON(changes)
	}
	if len(changes) == 0 {
		a.say("The schedules are as the file says.")
		return nil
	}
	rows := [][]string{{"SCHEDULE", "CRON", "ACTION"}}
	for _, c := range changes {
		rows = append(rows, []string{c.Name, c.Cron, c.Action})
	}
	return ui.Table(a.Stdout, rows)
}

// declaredSchedules makes the schedules of the application file.
func (a *App) declaredSchedules(ctx context.Context, f clusterFlags, dry bool) (project string, list []pipeline.Schedule, err error) {
	flag := a.flags.env
	defer func() { a.flags.env = flag }()
	file, err := engine.LoadFile(ctx, a.engineOptions())
	if err != nil {
		return "", nil, err
	}
	queue := a.queue(&f)
	for _, s := range file.Schedules {
		a.flags.env = s.Env
		err := a.opened(ctx, func(p *engine.Project) error {
			run, err := p.Pipeline(ctx, s.Pipeline)
			if err != nil {
				return err
			}
			remote, err := p.Remote(ctx, engine.RemoteOptions{Repository: f.tree, Vars: f.vars, Dry: dry})
			if err != nil {
				return err
			}
			job, err := remote.ScheduledJob(run)
			if err != nil {
				return err
			}
			name := s.Name
			if name == "" {
				name = s.Pipeline + "-" + p.Environment().Name()
			}
			made := pipeline.Schedule{
				Project: job.Project, Name: name, Cron: s.Cron, Job: job, Spec: run.Spec(),
				Options: pipeline.StartOptions{Parallelism: a.flags.parallelism, Heartbeat: f.heartbeat},
			}
			made.Digest, err = scheduleDigest(made, queue)
			list = append(list, made)
			return err
		})
		if err != nil {
			return "", nil, err
		}
	}
	return file.Project, list, nil
}

// scheduleDigest tells one schedule from another.
func scheduleDigest(s pipeline.Schedule, queue string) (string, error) {
	raw, err := json.Marshal(struct {
		pipeline.Schedule
		Queue string
	}{s, queue})
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), err
}

func (a *App) schedulesList() *cobra.Command {
	var f clusterFlags
	cmd := &cobra.Command{
		Use: "list", Short: "The schedules that Temporal has of this project", Args: cobra.NoArgs,
		Long:    "List the project's schedules as Temporal has them, with the next time of each.\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl schedules list\n  wfctl schedules list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.cluster(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer c.Close()
			file, err := engine.LoadFile(cmd.Context(), a.engineOptions())
			if err != nil {
				return err
			}
			list, err := c.Schedules(cmd.Context(), file.Project)
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(listedSchedules(list))
			}
			rows := [][]string{{"SCHEDULE", "CRON", "NEXT", ""}}
			for _, s := range listedSchedules(list) {
				note := ""
				if s.Paused {
					note = "paused"
				}
				rows = append(rows, []string{s.Name, s.Cron, s.Next.Local().Format(time.DateTime), note})
			}
			return ui.Table(a.Stdout, rows)
		},
	}
	f.register(cmd)
	return cmd
}

type listedSchedule struct {
	Name   string    `json:"name"`
	Cron   string    `json:"cron"`
	Next   time.Time `json:"next,omitzero"`
	Paused bool      `json:"paused,omitempty"`
}

func listedSchedules(all []pipeline.ScheduleState) []listedSchedule {
	list := []listedSchedule{}
	for _, s := range all {
		list = append(list, listedSchedule{s.Name, s.Cron, s.Next, s.Paused})
	}
	return list
}
