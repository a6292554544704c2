package local

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
)

// Supervise is the supervisor's process: it returns when its last service
// was removed, or when ctx ends and everything has been stopped. Its log goes
// to stderr. Args are what [Options.SupervisorCommand] is followed by.
func Supervise(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("supervise", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "", "folder that is served")
	runtime := flags.String("runtime", "", "folder for sockets")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !filepath.IsAbs(*dir) || flags.NArg() > 0 {
		return sdk.Errorf(sdk.CodeInvalid, "this command is started by wfctl itself, with --dir and an absolute path")
	}
	err := supervisor.Run(ctx, supervisor.Options{
		Dir: *dir, RuntimeDir: *runtime,
		Servers: map[string]supervisor.Server{"registry": serveRegistry, "redis": serveRedis, "forward": serveForward},
		Logger:  slog.New(slog.NewTextHandler(stderr, nil)),
	})
	if errors.Is(err, supervisor.ErrHeld) {
		return nil
	}
	return err
}

// connect reaches the supervisor, starting it where there is none.
func (p *provider) connect(ctx context.Context) (*supervisor.Client, error) {
	p.starting.Lock()
	defer p.starting.Unlock()
	if len(p.opts.SupervisorCommand) == 0 {
		return nil, sdk.Errorf(sdk.CodeInternal, "this program's own path is not known, so no supervisor can be started")
	}
	return supervisor.Connect(ctx, supervisor.Config{
		Dir: p.work, RuntimeDir: p.opts.RuntimeDir, Command: p.opts.SupervisorCommand,
	})
}

// supervised runs do with a supervisor. One that was just about to end is
// waited for and started again.
func (p *provider) supervised(ctx context.Context, do func(*supervisor.Client) error) error {
	var err error
	for range 5 {
		var c *supervisor.Client
		if c, err = p.connect(ctx); err != nil {
			return err
		}
		err = do(c)
		c.Close()
		if !errors.Is(err, supervisor.ErrEnding) {
			return err
		}
	}
	return err
}

// up makes the supervisor keep a service up.
func (p *provider) up(ctx context.Context, j *job, spec supervisor.Spec) (supervisor.Status, error) {
	var st supervisor.Status
	spec.Secrets = append(spec.Secrets, j.config.SensitiveTexts()...)
	err := p.supervised(ctx, func(c *supervisor.Client) error {
		var err error
		st, err = c.Apply(ctx, spec, j.event)
		return err
	})
	return st, err
}

// jobPatience bounds a job that says nothing of its own.
const jobPatience = time.Hour

// runJob runs a process to its end under the supervisor, so that it does not
// outlive this command for long.
func (p *provider) runJob(ctx context.Context, j *job, spec supervisor.Spec) error {
	if spec.Ready.Timeout == 0 {
		spec.Ready.Timeout = jobPatience // the host's deadline comes sooner
	}
	spec.Secrets = append(spec.Secrets, j.config.SensitiveTexts()...)
	return p.supervised(ctx, func(c *supervisor.Client) error { return c.Job(ctx, spec, j.event) })
}

func (j *job) event(e supervisor.Event) {
	switch {
	case e.Warning != "":
		j.warn("", e.Warning)
	case e.Log != "":
		j.report.Log(e.Log)
	default:
		j.report.Progress(e.Message, -1)
	}
}

// down ends a service and everything named below it. Where no supervisor
// runs, what a killed one may have left is ended.
func (p *provider) down(ctx context.Context, name string) error {
	c, err := supervisor.Dial(ctx, p.work)
	if errors.Is(err, supervisor.ErrNotRunning) {
		return supervisor.Reap(ctx, p.work)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := c.List(ctx)
	if errors.Is(err, supervisor.ErrEnding) {
		return supervisor.Reap(ctx, p.work)
	}
	if err != nil {
		return err
	}
	names := []string{name}
	for _, s := range all {
		if strings.HasPrefix(s.Name, name+"/") {
			names = append(names, s.Name)
		}
	}
	for _, n := range names {
		err := c.Remove(ctx, n)
		if errors.Is(err, supervisor.ErrEnding) {
			return supervisor.Reap(ctx, p.work) // nothing is left, unless it was killed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// serviceStatus asks for a service; an explanation where there is none.
func (p *provider) serviceStatus(ctx context.Context, name string) (supervisor.Status, condition, error) {
	var st supervisor.Status
	var ok bool
	c, err := supervisor.Dial(ctx, p.work)
	if err == nil {
		defer c.Close()
		st, ok, err = c.Status(ctx, name)
	}
	switch {
	case errors.Is(err, supervisor.ErrNotRunning), errors.Is(err, supervisor.ErrEnding):
		return st, sick("its supervisor is not running: the machine was started again, or the supervisor was killed"), nil
	case err != nil:
		return st, condition{}, err
	case !ok:
		return st, sick("it is not running"), nil
	}
	return st, judge(st), nil
}

// judge turns what the supervisor says into a condition.
func judge(st supervisor.Status) condition {
	serving := st.Serving()
	if serving >= st.Wanted {
		return well
	}
	var reasons []string
	starting := true
	for _, i := range st.Instances {
		if i.State == supervisor.Serving {
			continue
		}
		starting = starting && i.State == supervisor.Starting && i.Restarts == 0
		text := fmt.Sprintf("%s is %s", i.Name, i.State)
		if i.LastExit != "" {
			text += " (" + i.LastExit + ")"
		}
		reasons = append(reasons, text)
	}
	c := sick("%d of %d instances serve: %s", serving, st.Wanted, strings.Join(reasons, ", "))
	switch {
	case serving > 0:
		c.status = sdk.Degraded
	case starting:
		c.status = sdk.Starting
	}
	return c
}
