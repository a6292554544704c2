package engine

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/tree"
)

// jobSource is how a worker finds what a run is of. It crosses sealed.
type jobSource struct {
	// Tree is the working tree in a registry, by its content.
	Tree string `json:"tree"`
	// Config and ProjectDir are within it.
	Config     string `json:"config"`
	ProjectDir string `json:"project_dir"`
	// Pipeline and its Inputs, or Change.
	Pipeline string            `json:"pipeline,omitempty"`
	Inputs   json.RawMessage   `json:"inputs,omitempty"`
	Change   *changeSource     `json:"change,omitempty"`
	Vars     map[string]string `json:"vars,omitempty"`
	// Parallelism bounds how many changes run at once.
	Parallelism int `json:"parallelism,omitempty"`
}

// changeSource is a change without a pipeline.
type changeSource struct {
	Command  string             `json:"command"`
	Nodes    Nodes              `json:"nodes"`
	Refresh  bool               `json:"refresh,omitempty"`
	Destroy  bool               `json:"destroy,omitempty"`
	Targets  []resource.Address `json:"targets,omitempty"`
	Excludes []resource.Address `json:"excludes,omitempty"`
}

// RemoteOptions say how a run crosses to other machines.
type RemoteOptions struct {
	// Repository is where the working tree goes; "" is the first registry of
	// the manifest.
	Repository string
	// Vars names variables whose values go along.
	Vars []string
	// Dry leaves the tree where it is.
	Dry bool
}

// Remote makes the runs of a project for other machines.
type Remote struct {
	project *Project
	source  jobSource
}

// Remote brings the working tree to where workers find it.
func (p *Project) Remote(ctx context.Context, o RemoteOptions) (*Remote, error) {
	if url, ok := p.options.Getenv("WFCTL_EVENTS"); !ok || url == "" {
		return nil, fault.New(fault.Environment, "workers on other machines record in a shared database, and WFCTL_EVENTS names none").
			WithHint("set WFCTL_EVENTS=postgres://…, here and for the workers")
	}
	b, err := p.backend()
	if err != nil {
		return nil, err
	}
	if b.Here {
		return nil, fault.New(fault.Refused, "the state of %s is kept on this machine, where workers on others cannot see it", p.Environment().Name()).
			At(p.Set.State.Pos).WithHint("give the environment an iac.state module with a shared backend: postgres, s3, gcs or azure")
	}
	root, err := treeRoot(p.BaseDir, p.Dir)
	if err != nil {
		return nil, err
	}
	r := &Remote{project: p, source: jobSource{Vars: map[string]string{}, Parallelism: p.options.Parallelism}}
	for _, name := range o.Vars {
		value, ok := p.options.Getenv(name)
		if !ok {
			return nil, fault.New(fault.Usage, "the variable %s is not set", name)
		}
		r.source.Vars[name] = value
	}
	path, err := findConfig(p.options)
	if err != nil {
		return nil, err
	}
	if r.source.Config, err = filepath.Rel(root, path); err != nil {
		return nil, err
	}
	if r.source.ProjectDir, err = filepath.Rel(root, p.Dir); err != nil {
		return nil, err
	}
	r.source.Tree, err = p.pushTree(ctx, root, o)
	return r, err
}

// treeRoot is the folder that holds all of a project: that of git where there
// is one, else what the application file and wfctl.yaml have in common.
func treeRoot(dirs ...string) (string, error) {
	root := dirs[0]
	for _, dir := range dirs[1:] {
		for !within(root, dir) {
			root = filepath.Dir(root)
		}
	}
	for at := root; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, ".git")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	if root == filepath.Dir(root) {
		return "", fault.New(fault.Usage, "the application file and the project folder have no folder in common")
	}
	return root, nil
}

func within(root, dir string) bool {
	rel, err := filepath.Rel(root, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// pushTree packs the tree and brings it to a repository.
func (p *Project) pushTree(ctx context.Context, root string, o RemoteOptions) (string, error) {
	repository := o.Repository
	keys := authn.Keychain(authn.DefaultKeychain)
	set, err := p.Registries()
	if err != nil {
		return "", err
	}
	if specs := set.Specs(); len(specs) > 0 {
		keys = authn.NewMultiKeychain(set.Keychain(), authn.DefaultKeychain)
		if repository == "" {
			entry, err := set.Get(specs[0].Name)
			if err != nil {
				return "", err
			}
			prefix, err := entry.Repository(ctx)
			if err != nil {
				return "", err
			}
			repository = prefix + "/" + p.Environment().Project() + "-wfctl-tree"
		}
	}
	if repository == "" {
		return "", fault.New(fault.Usage, "workers on other machines get the working tree from a registry, and the project has none").
			WithHint("name one in wfctl.yaml under `registries`, or with --tree HOST/NAMESPACE/NAME")
	}
	packed, err := tree.Pack(ctx, root)
	if err != nil {
		return "", err
	}
	if o.Dry {
		return packed.Reference(repository)
	}
	return packed.Push(ctx, repository, keys)
}

func (r *Remote) job(command string) (pipeline.Job, error) {
	env := r.project.Environment()
	raw, err := json.Marshal(r.source)
	return pipeline.Job{
		Run: r.project.Run, Command: command, Project: env.Project(), Environment: env.Name(), Source: raw, Who: userName(),
	}, err
}

// PipelineJob makes the job of a pipeline. With resume it goes on with an
// earlier run, whose finished steps it returns.
func (r *Remote) PipelineJob(ctx context.Context, run *PipelineRun, store *event.Store, resume string, inputs map[string]any) (pipeline.Job, map[string]pipeline.Finished, error) {
	var done map[string]pipeline.Finished
	if resume == "" {
		if err := run.SetInputs(inputs); err != nil {
			return pipeline.Job{}, nil, err
		}
	} else {
		var err error
		if _, done, err = run.earlier(ctx, store, &RunOptions{Resume: resume, Inputs: inputs}); err != nil {
			return pipeline.Job{}, nil, err
		}
		r.project.Run = resume
	}
	r.source.Pipeline, r.source.Inputs = run.Name, run.inputs
	job, err := r.job("pipeline run " + run.Name)
	job.Inputs, job.Resumed = publicInputs(run.inputs, run.private), resume != ""
	return job, done, err
}

// ChangeJob makes the job of a change whose plan was agreed to.
func (r *Remote) ChangeJob(command string, o PlanOptions, pl *plan.Plan) (pipeline.Job, pipeline.ChangeCall, error) {
	r.source.Change = &changeSource{Command: command, Nodes: o.Nodes, Refresh: o.Refresh, Destroy: o.Destroy, Targets: o.Targets, Excludes: o.Excludes}
	call := pipeline.ChangeCall{Plan: pl.Hash, Agreed: map[string]string{}}
	for _, c := range pl.Changes {
		if c.Action() != plan.ActionNoOp {
			call.Agreed[string(c.Address())] = string(c.Action())
		}
	}
	job, err := r.job(command)
	return job, call, err
}

// Begin records a run that is about to be started, so that it is seen before a
// worker takes it, and starts it. A job that goes on with an earlier run was
// seen until seen. The record of what could not be started is closed again.
func (r *Remote) Begin(ctx context.Context, c pipeline.Cluster, store *event.Store, job *pipeline.Job, spec *pipeline.Spec, seen uint64, start func() error) error {
	began := r.project.options.Now()
	job.Cluster = c.ID()
	events, err := job.Opening("temporal", spec, began)
	if err != nil {
		return err
	}
	at, err := store.Append(ctx, job.Run, events...)
	if err != nil {
		return Unreachable(fault.Wrap(fault.State, err, "record the run"))
	}
	if job.Resumed {
		if err := first(ctx, store, job.Run, seen, at); err != nil {
			return err
		}
	}
	job.Recorded = true
	err = start()
	for n := 0; n < 10 && job.Resumed && fault.CodeOf(err) == fault.Locked; n++ { // it has just said its last word
		if sleepErr := r.project.options.Sleep(ctx, 200*time.Millisecond); sleepErr != nil {
			break
		}
		err = start()
	}
	if err == nil || fault.CodeOf(err) == fault.Locked { // another one is under way
		return err
	}
	// What got no answer may have been heard.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if s, standingErr := c.Standing(asking, job.Run); standingErr != nil || s.UnderWay {
		return err // else workers close the record
	}
	now := r.project.options.Now()
	why := r.project.options.Secrets.Text("it could not be started: " + err.Error())
	_, closeErr := store.Append(asking, job.Run, event.RunFinished{Run: job.Run, At: now.UTC(), Took: now.Sub(began), Interrupted: job.Resumed, Error: why})
	return errors.Join(err, closeErr)
}

// Flags are those with which a run is taken up again, beside --resume.
func (r *Remote) Flags() string { return r.project.envFlag() + " --engine temporal" }

// ScheduledJob makes the job of a pipeline that a schedule runs: each time as
// a run of its own, with the defaults of its inputs.
func (r *Remote) ScheduledJob(run *PipelineRun) (pipeline.Job, error) {
	if err := run.SetInputs(nil); err != nil {
		return pipeline.Job{}, err
	}
	r.source.Pipeline, r.source.Inputs = run.Name, run.inputs
	job, err := r.job("pipeline run " + run.Name)
	job.Run, job.Who, job.Inputs = "", "schedule", publicInputs(run.inputs, run.private)
	return job, err
}

// LoadFile reads the application file, for what needs no environment.
func LoadFile(ctx context.Context, o Options) (*config.File, error) {
	path, err := findConfig(o)
	if err != nil {
		return nil, err
	}
	return config.Load(ctx, path, nil)
}
