package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) pipelineCommand() *cobra.Command {
	return group("pipeline", "Run the pipelines of the application file", a.pipelineRun(), a.pipelineList(), a.pipelineValidate())
}

type pipelineOptions struct {
	inputs     []string
	inputsFile string
	resume     string
	dryRun     bool
	cluster    clusterFlags
}

func (a *App) pipelineRun() *cobra.Command {
	var o pipelineOptions
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Run a pipeline",
		Long: `Run the steps of a pipeline, each as soon as what it needs is done. The run is
recorded: a run that failed or was interrupted goes on with --resume, without
running a finished step again.

With --engine temporal workers elsewhere run it; this command follows it, and
may be ended and taken up again (runs show --follow).

Exit status: 0 done; 1 failed; 2 refused or wrong usage; 130 interrupted.`,
		Example: "  wfctl pipeline run release --env local\n  wfctl pipeline run release --input version=1.2.0\n  wfctl pipeline run release --resume 20260424T100000Z-0011aabb",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runPipeline(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.inputs, "input", nil, "an input as `NAME=VALUE` (repeatable); JSON where the schema does not want text")
	f.StringVar(&o.inputsFile, "inputs", "", "a JSON `FILE` with the inputs")
	f.StringVar(&o.resume, "resume", "", "go on with the `RUN` that was interrupted or failed")
	f.BoolVar(&o.dryRun, "dry-run", false, "check everything and show the steps, and run none")
	o.cluster.registerEngine(cmd)
	return cmd
}

func (a *App) runPipeline(ctx context.Context, name string, o pipelineOptions) (err error) {
	local, err := o.cluster.local()
	if err != nil {
		return err
	}
	inputs, err := a.readInputs(o)
	if err != nil {
		return err
	}
	if !local && !o.dryRun {
		return a.startPipeline(ctx, name, o, inputs)
	}
	progress := a.renderer()
	defer progress.Close()
	eo := a.engineOptions()
	eo.Events = progress
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	run, err := p.Pipeline(ctx, name)
	if err != nil {
		return err
	}
	if o.dryRun {
		if err := run.SetInputs(inputs); err != nil {
			return err
		}
		return a.showSteps(run)
	}
	stop, end := a.interrupts.graceful()
	defer end()
	ro := engine.RunOptions{Resume: o.resume, Inputs: inputs, Stop: stop}
	if a.Interactive && !a.flags.json {
		ro.Prompt = func(ctx context.Context, question string) (bool, error) {
			return ui.Confirm(ctx, a.Stdin, a.Stderr, question)
		}
	}
	summary, err := run.Run(ctx, ro)
	progress.Close()
	if err == nil {
		a.say("Pipeline %s is done: %d steps, run %s.", name, summary.Done, p.Run)
	}
	return err
}

// startPipeline has workers elsewhere run a pipeline, and follows it.
func (a *App) startPipeline(ctx context.Context, name string, o pipelineOptions, inputs map[string]any) error {
	c, err := a.cluster(ctx, &o.cluster)
	if err != nil {
		return err
	}
	defer c.Close()
	return a.opened(ctx, func(p *engine.Project) (err error) {
		run, err := p.Pipeline(ctx, name)
		if err != nil {
			return err
		}
		remote, err := p.Remote(ctx, engine.RemoteOptions{Repository: o.cluster.tree, Vars: o.cluster.vars})
		if err != nil {
			return err
		}
		store, err := p.Events(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		if o.resume != "" {
			// It may be over without having said so.
			if _, err := pipeline.Settle(ctx, c, store, o.resume); err != nil {
				return err
			}
		}
		job, done, err := remote.PipelineJob(ctx, run, store, o.resume, inputs)
		if err != nil {
			return err
		}
		after := uint64(0)
		if tl, err := store.Timeline(ctx, job.Run); err == nil {
			after = tl.Seq // of a run that goes on, what is new
		}
		if err := a.attend(ctx, c); err != nil {
			return err
		}
		err = remote.Begin(ctx, c, store, &job, run.Spec(), after, func() error {
			return c.Start(ctx, job, run.Spec(), pipeline.StartOptions{Parallelism: a.flags.parallelism, Done: done, Heartbeat: o.cluster.heartbeat})
		})
		if err != nil {
			return err
		}
		if o.cluster.detach {
			return a.detached(job.Run)
		}
		v, err := a.following(ctx, c, store, job.Run, after, after)
		if err != nil {
			return err
		}
		if v.Pipeline, v.Flags = name, remote.Flags(); v.Err() == nil {
			a.say("Pipeline %s is done: %d steps, run %s.", name, v.Done, job.Run)
		}
		return v.Err()
	})
}

// detached tells of a run that nobody follows: its name is the result.
func (a *App) detached(run string) error {
	if a.flags.json {
		return a.printJSON(map[string]string{"run": run})
	}
	_, err := fmt.Fprintln(a.Stdout, run)
	return err
}

func (a *App) readInputs(o pipelineOptions) (map[string]any, error) {
	inputs := map[string]any{}
	if o.inputsFile != "" {
		raw, err := os.ReadFile(a.inDir(o.inputsFile))
		if err != nil {
			return nil, fault.Wrap(fault.Usage, err, "read the inputs")
		}
		if err := json.Unmarshal(raw, &inputs); err != nil {
			return nil, fault.Wrap(fault.Usage, err, "the inputs in %s are no JSON object", o.inputsFile)
		}
	}
	for _, pair := range o.inputs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fault.New(fault.Usage, "%q is no input", pair).WithHint("write --input NAME=VALUE")
		}
		inputs[name] = engine.InputText(text)
	}
	return inputs, nil
}

// showSteps prints the steps in an order in which they could run.
func (a *App) showSteps(run *engine.PipelineRun) error {
	if a.flags.json {
		return a.printJSON(run.Planned())
	}
	steps, err := run.Order()
	if err != nil {
		return err
	}
	rows := [][]string{{"STEP", "TYPE", "NEEDS", "WHEN"}}
	for _, s := range steps {
		rows = append(rows, []string{s.Name, s.Type, strings.Join(s.Needs, ", "), s.Group.String()})
	}
	return ui.Table(a.Stdout, rows)
}

func (a *App) pipelineList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The pipelines of the environment", Args: cobra.NoArgs,
		Long:    "List the pipelines that the application file declares for the environment.\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl pipeline list --env local",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.opened(cmd.Context(), func(p *engine.Project) error {
				type listed struct {
					Name        string `json:"name"`
					Description string `json:"description,omitempty"`
					Steps       int    `json:"steps"`
				}
				list := []listed{}
				rows := [][]string{{"PIPELINE", "STEPS", "DESCRIPTION"}}
				for _, d := range p.Pipelines() {
					list = append(list, listed{d.Name, d.Description, len(d.Steps)})
					rows = append(rows, []string{d.Name, fmt.Sprint(len(d.Steps)), d.Description})
				}
				if a.flags.json {
					return a.printJSON(list)
				}
				return ui.Table(a.Stdout, rows)
			})
		},
	}
}

func (a *App) pipelineValidate() *cobra.Command {
	return &cobra.Command{
		Use: "validate [NAME]", Short: "Check pipelines without running them", Args: cobra.MaximumNArgs(1),
		Long:    "Check one pipeline or all: step types, options, expressions, the order.\n\nExit status: 0 valid; 1 not valid; 2 wrong usage.",
		Example: "  wfctl pipeline validate\n  wfctl pipeline validate release --env local",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.opened(cmd.Context(), func(p *engine.Project) error {
				names := args
				for _, d := range p.Pipelines() {
					if len(args) == 0 {
						names = append(names, d.Name)
					}
				}
				var errs []error
				for _, name := range names {
					_, err := p.Pipeline(cmd.Context(), name)
					errs = append(errs, err)
				}
				if err := errors.Join(errs...); err != nil {
					return err
				}
				a.say("The pipelines are valid.")
				return nil
			})
		},
	}
}

// opened runs fn with a project whose state nobody needs.
func (a *App) opened(ctx context.Context, fn func(*engine.Project) error) (err error) {
	eo := a.engineOptions()
	eo.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	return fn(p)
}
