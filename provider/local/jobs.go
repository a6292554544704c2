package local

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/provider/local/ociunpack"
	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// The kinds of jobs: before the new version is started, after it serves, and
// where either did not come to be.
const (
	preDeploy    = "pre_deploy"
	postDeploy   = "post_deploy"
	failedDeploy = "failed_deploy"
)

// jobRunner runs one job of a service to its end.
type jobRunner func(ctx context.Context, j *job, what infra.Job) error

// runJobs runs the jobs of a kind one after the other. The first that fails
// ends it; its error has the last lines that it wrote.
func runJobs(ctx context.Context, j *job, c serviceConfig, kind string, run jobRunner) error {
	for _, what := range c.Jobs {
		if what.Kind != kind && (what.Kind != "" || kind != preDeploy) {
			continue
		}
		j.progress("running the job %s", what.Name)
		if err := bounded(ctx, time.Duration(what.Time), func(ctx context.Context) error { return run(ctx, j, what) }); err != nil {
			return err
		}
	}
	return nil
}

func bounded(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return do(ctx)
}

// processJobs runs jobs as processes of this machine, from the service's image
// where a job names none.
func (p *provider) processJobs(c serviceConfig, img *ociunpack.Image, root string) jobRunner {
	return func(ctx context.Context, j *job, what infra.Job) error {
		jImg, jRoot, err := p.imageOf(ctx, j, what.Component, img, root)
		if err != nil {
			return err
		}
		spec, err := componentSpec(j.thing.ID+"/"+what.Name, inherit(what.Component, c.Component), jImg, jRoot)
		if err != nil {
			return err
		}
		return p.runJob(ctx, j, spec)
	}
}

// dockerJobs runs jobs as containers. They have this machine's network: what
// they work on, such as the database, answers on its loopback interface.
func (p *provider) dockerJobs(c serviceConfig, tag string) jobRunner {
	return func(ctx context.Context, j *job, what infra.Job) error {
		image := tag
		if what.Image != "" {
			var err error
			if image, err = p.loadImage(ctx, j, what.Image); err != nil {
				return err
			}
		}
		client, err := p.opts.LookPath("docker")
		if err != nil {
			return err
		}
		env, err := envFile(serviceConfig{ContainerService: infra.ContainerService{Component: inherit(what.Component, c.Component)}}, 0)
		if err != nil {
			return err
		}
		argv := []string{client, "run", "--rm", "--network", "host", "--env-file", "/dev/stdin"}
		for _, label := range labels(j.thing) {
			argv = append(argv, "--label", label)
		}
		spec := supervisor.Spec{
			Name: j.thing.ID + "/" + what.Name, Command: slices.Concat(argv, []string{image}, strings.Fields(what.RunCommand)),
			Stdin: env, Env: clientEnvironment(), OrphanSignal: "SIGTERM",
		}
		return p.runJob(ctx, j, spec)
	}
}
