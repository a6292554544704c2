package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/secret"
)

func (a *App) workerCommand() *cobra.Command {
	f := clusterFlags{}
	o := pipeline.WorkerOptions{}
	var trees treeFlags
	cmd := &cobra.Command{
		Use: "worker", Short: "Work on the runs of a team, from Temporal", Args: cobra.NoArgs,
		Long: `Take runs from a queue of Temporal and work on their steps and changes, until
SIGTERM: then nothing new is taken, and what runs may end (--drain). Then, or at
a second SIGTERM, what still runs is left to other workers. A worker
that dies is noticed within the heartbeat of what it was at, and another goes
on by the journal. Any number of workers share a queue.

It fetches the working tree of each run once and keeps it for as long as it is
used, and for --keep-trees after that. Workers of one machine may share a
--work-dir: none removes what another one uses.

It records in the database that WFCTL_EVENTS names, and has the credentials of
the platforms in its environment. --listen serves /healthz, /readyz and
/metrics (Prometheus).

Exit status: 0 drained; 1 failed; 2 wrong usage; 70 it ended itself, so that
nothing is done twice.`,
		Example: "  wfctl worker --engine temporal --address temporal.internal:7233 --namespace deploy --task-queue wfctl\n" +
			"  wfctl worker --engine temporal --steps 20 --listen :9090",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.work(cmd.Context(), f, o, trees) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.engine, "engine", engineTemporal, "where the runs come from: `temporal`")
	fs.IntVar(&o.Steps, "steps", 20, "how many steps run at once")
	fs.IntVar(&o.Runs, "runs", 50, "how many runs it decides about at once")
	fs.DurationVar(&o.Drain, "drain", 10*time.Minute, "how long what runs may take to end after SIGTERM")
	fs.StringVar(&o.Listen, "listen", "", "the `ADDRESS` of health and figures (default: none)")
	fs.StringVar(&trees.dir, "work-dir", "", "the `DIR` for working trees (default: in the user's cache)")
	fs.DurationVar(&trees.keep, "keep-trees", 24*time.Hour, "how long a working tree is kept that no run uses")
	f.register(cmd)
	return cmd
}

// treeFlags say what becomes of the working trees that a worker fetches.
type treeFlags struct {
	dir  string
	keep time.Duration
}

func (a *App) work(ctx context.Context, f clusterFlags, o pipeline.WorkerOptions, trees treeFlags) (err error) {
	if local, err := f.local(); err != nil || local {
		return errors.Join(err, fault.New(fault.Usage, "a worker works for an engine that is not this process").WithHint("--engine temporal"))
	}
	if o.Steps < 1 || o.Runs < 2 {
		return fault.New(fault.Usage, "a worker runs at least one step, and decides about at least two runs, at once").WithHint("--steps 1 or more, --runs 2 or more")
	}
	if o.Drain < 0 {
		return fault.New(fault.Usage, "what runs cannot end before SIGTERM").WithHint("--drain 10m; 0s gives what runs to others at once")
	}
	if trees.keep < 0 {
		return fault.New(fault.Usage, "--keep-trees is a time that passes: %s is none", trees.keep).WithHint("--keep-trees 24h; 0 removes a tree soon after its last run")
	}
	if trees.dir, err = a.workDir(trees.dir); err != nil {
		return err
	}
	c, err := a.cluster(ctx, &f)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := os.MkdirAll(trees.dir, 0o700); err != nil {
		return fault.Wrap(fault.Environment, err, "make the folder for working trees").WithHint("--work-dir names one that this worker may write")
	}
	host := engine.NewWorkerHost(a.Kinds, engine.WorkerHostOptions{
		Dir: trees.dir, Getenv: a.Getenv, Redactor: a.jobRedactor, KeepTrees: trees.keep,
		Warn: func(err error) { a.say("Warning: %s", err) },
	})
	defer func() { err = errors.Join(err, host.Close()) }()
	o.Ready = func(address string) {
		a.say("The worker takes work. End it with SIGTERM: it then finishes what runs.")
		if address != "" {
			a.say("Health and figures: http://%s/healthz, /readyz, /metrics", address)
		}
	}
	// The first signal drains; the second one leaves.
	stop, end := a.interrupts.graceful()
	defer end()
	o.Stop = stop
	return engine.Unreachable(c.Work(ctx, host, o))
}

// jobRedactor masks the secrets of one run, and those of this process.
func (a *App) jobRedactor() *secret.Redactor {
	r := secret.NewRedactor()
	learnEnvironment(os.Environ(), r)
	return r
}

func (a *App) workDir(named string) (string, error) {
	if named == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fault.Wrap(fault.Environment, err, "find a folder for working trees").WithHint("name one with --work-dir")
		}
		named = filepath.Join(cache, "wfctl", "worker")
	}
	dir, err := filepath.Abs(a.inDir(named))
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "find the folder %s", named)
	}
	return dir, nil
}
