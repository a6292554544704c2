package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/secret"
)

// Options say which project to open, for which environment.
type Options struct {
	// Config is the application file; "" looks for app.yaml, then infra.yaml
	// in Dir. Dir is the folder to work in, "" the current one.
	Config, Dir string
	// ProjectDir holds wfctl.yaml and .wfctl; "" is the application file's.
	ProjectDir string
	Env        string
	Getenv     func(string) (string, bool)
	Events     event.Sink
	// Push brings images to their registries in every environment, Tags and
	// Platforms stand for those that the file gives the images.
	Push            bool
	Tags, Platforms []string
	// Parallelism bounds how many changes run at once.
	Parallelism int
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Sleep waits before a provider is asked again; nil waits on the clock.
	Sleep func(context.Context, time.Duration) error
	// Secrets learns every sensitive value that comes by; what it knows is
	// masked in the events. Nil learns and masks nothing.
	Secrets *secret.Redactor
	// Root is the folder from which positions in files are shown; "" is the
	// current one.
	Root string
	// Commands takes what a CI service reads from the output of a job; it is
	// not masked. Nil is os.Stdout.
	Commands io.Writer
}

// Project is an application file resolved for one environment.
type Project struct {
	File *config.File
	Set  *resolve.Set
	// BaseDir is the folder of the application file, Dir that of wfctl.yaml
	// and .wfctl; both are absolute.
	BaseDir, Dir string
	// Variables are the names of what the file reads from the environment.
	Variables []string
	// Run identifies this execution.
	Run string

	kinds   Kinds
	options Options
	events  event.Sink
	// recorder stores the events; nil where nothing does.
	recorder *event.Recorder
	// untrace sends the rest of the traces; nil where there are none.
	untrace func(context.Context) error
	pool    *pool
	// successor: this process works for a run that others worked for before.
	successor bool
	// valid: Validate has found nothing.
	valid   bool
	secrets *knowledge
	// keyed is the fingerprint of the state that is open, recorded looks into it.
	keyed    func([]byte) string
	recorded func(resource.Key) (resource.Record, bool)
	// registries are those of the manifest. layouts: the command is about the
	// images on this machine, whatever a registry holds.
	registries *registries
	layouts    bool
}

// Open loads the application file and resolves it. Nothing of the platform
// is asked. The caller closes the project.
func Open(ctx context.Context, kinds Kinds, o Options) (*Project, error) {
	p, err := open(ctx, kinds, o)
	if err != nil {
		return nil, err
	}
	p.listen(ctx)
	for _, w := range p.Set.Warnings {
		p.warn(w)
	}
	return p, nil
}

// open is Open that returns what it could resolve beside what is wrong; the
// project is nil where that is nothing.
func open(ctx context.Context, kinds Kinds, o Options) (*Project, error) {
	o.setDefaults()
	path, err := findConfig(o)
	if err != nil {
		return nil, err
	}
	load := func() (*config.File, error) { return config.Load(ctx, path, nil) }
	if o.Root != "" {
		load = func() (*config.File, error) { return config.LoadFrom(ctx, path, o.Root) }
	}
	file, loadErr := load()
	if file == nil {
		return nil, loadErr
	}
	p := &Project{File: file, BaseDir: filepath.Dir(path), Run: newRun(o.Now()), kinds: kinds, options: o, events: masked(o.Events, o.Secrets)}
	p.secrets, p.registries = newKnowledge(o.Secrets, p.events), &registries{project: p}
	if p.Dir, err = projectDir(o, p.BaseDir); err != nil {
		return nil, err
	}
	set, resolveErr := resolve.Resolve(file, resolve.Options{Env: o.Env, Secret: p.secretFrom(ctx), Registries: p.registries.list, Push: o.Push, Tags: o.Tags, Platforms: o.Platforms, Getenv: func(name string) (string, bool) {
		if !slices.Contains(p.Variables, name) {
			p.Variables = append(p.Variables, name)
		}
		return o.Getenv(name)
	}})
	err = bothFaults(loadErr, resolveErr)
	if set == nil {
		return nil, err
	}
	p.Set, p.pool = set, newPool(p)
	for _, name := range p.pushVariables() {
		if !slices.Contains(p.Variables, name) {
			p.Variables = append(p.Variables, name)
		}
	}
	return p, err
}

// bothFaults puts the faults of two phases into one list.
func bothFaults(a, b error) error {
	var all, more fault.List
	if errors.As(a, &all) && errors.As(b, &more) {
		return append(all, more...).Err()
	}
	return errors.Join(a, b)
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Events == nil {
		o.Events = event.Discard
	}
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.Parallelism < 1 {
		o.Parallelism = 10
	}
	if o.Commands == nil {
		o.Commands = os.Stdout
	}
}

// Close ends what the project holds open.
func (p *Project) Close(ctx context.Context) error {
	err := p.pool.close(ctx)
	if p.recorder != nil {
		if p.untrace != nil {
			if traceErr := p.untrace(ctx); traceErr != nil {
				p.options.Events.Emit(event.Notice{Level: "warning", Message: "the run was not traced: " + traceErr.Error()})
			}
		}
		err = errors.Join(err, p.recorder.Prune(p.options.Now().Add(-keepFor), keepRuns), p.recorder.Close())
	}
	return err
}

// Environment is what the project was resolved for.
func (p *Project) Environment() resource.Environment { return p.Set.Environment }

// workDir is where things of this machine are kept.
func (p *Project) workDir() string { return filepath.Join(p.Dir, ".wfctl") }

func (p *Project) host() Host {
	return Host{BaseDir: p.BaseDir, ProjectDir: p.Dir, Secrets: p.secrets.redactor, Sinks: p.sinks(), Registries: p.Registries, Held: p.heldElsewhere}
}

// warn tells of something that does not stop the command.
func (p *Project) warn(w *fault.Error) {
	p.events.Emit(event.Notice{Level: "warning", Message: w.Error(), Hint: w.Hint})
}

// Environments lists what the application file declares, without resolving; a
// file with mistakes in it declares them all the same.
func Environments(ctx context.Context, o Options) ([]string, error) {
	path, err := findConfig(o)
	if err != nil {
		return nil, err
	}
	file, err := config.Load(ctx, path, nil)
	if file == nil {
		return nil, err
	}
	var names []string
	for _, e := range file.Environments {
		names = append(names, e.Name)
	}
	return names, nil
}

// findConfig returns the absolute path of the application file.
func findConfig(o Options) (string, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "find the folder %q", o.Dir)
	}
	if o.Config != "" {
		path := o.Config
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if _, err := os.Stat(path); err != nil {
			return "", fault.Wrap(fault.NotFound, err, "open the application file").WithHint("--config names a file that exists")
		}
		return path, nil
	}
	for _, name := range []string{"app.yaml", "infra.yaml"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.NotFound, "there is no app.yaml and no infra.yaml in %s", dir).
		WithHint("name the file with --config, or start a project with `wfctl init`")
}

// ProjectDir finds the folder of wfctl.yaml and .wfctl, whatever is in the
// application file; without one it is the current folder.
func ProjectDir(o Options) (string, error) {
	base, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "find the folder %q", o.Dir)
	}
	path, err := findConfig(o)
	switch {
	case err == nil:
		base = filepath.Dir(path)
	case o.Config != "":
		return "", err
	}
	return projectDir(o, base)
}

// ProjectName is what the application file calls the project; "" where there
// is no such file and none was named.
func ProjectName(ctx context.Context, o Options) (string, error) {
	path, err := findConfig(o)
	if err != nil {
		if o.Config == "" && fault.CodeOf(err) == fault.NotFound {
			return "", nil
		}
		return "", err
	}
	file, err := config.Load(ctx, path, nil)
	if file != nil && file.Project != "" {
		return file.Project, nil // whatever else is wrong with it
	}
	return "", err
}

func projectDir(o Options, base string) (string, error) {
	if o.ProjectDir == "" {
		return base, nil
	}
	dir := o.ProjectDir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(o.Dir, dir)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "find the project folder %q", o.ProjectDir)
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fault.Wrap(fault.NotFound, err, "open the project folder").WithHint("--project-dir names a folder that exists")
	}
	return abs, nil
}

// newRun makes an identifier that sorts by time.
func newRun(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}
