package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/step"
)

// StepHost is what the engine does for the steps of a pipeline. Each call
// works on a project of its own, so that steps run side by side; those that
// change things wait for each other.
type StepHost struct {
	project *Project
	change  sync.Mutex
	atEnd   []func()
}

// AtEnd has something done when the run is over.
func (h *StepHost) AtEnd(do func()) { h.atEnd = append(h.atEnd, do) }

func (h *StepHost) end() {
	for _, do := range h.atEnd {
		do()
	}
}

// Dir is the folder of the application file.
func (h *StepHost) Dir() string { return h.project.BaseDir }

// WorkDir is where things of this machine are kept.
func (h *StepHost) WorkDir() string { return h.project.workDir() }

// fork is the project with providers and events of its own.
func (h *StepHost) fork(to event.Sink) *Project {
	p := *h.project
	p.events, p.recorder = to, nil
	p.pool, p.registries = newPool(&p), &registries{project: &p}
	return &p
}

// lockPatience is how long a step waits for another command's lease.
const lockPatience = 10 * time.Minute

// ApplyModules brings the modules to what the configuration says.
func (h *StepHost) ApplyModules(ctx context.Context, s step.Scope, to event.Sink) (map[string]int, error) {
	return h.apply(ctx, "infra apply", PlanOptions{Nodes: ModuleNodes}, s, "", to)
}

// BuildImages builds the images and brings them to their registries; push false
// only builds, nil does as the environment does.
func (h *StepHost) BuildImages(ctx context.Context, s step.Scope, push *bool, to event.Sink) (map[string]int, error) {
	o := PlanOptions{Nodes: PushNodes}
	switch {
	case push != nil && !*push:
		o.Nodes = ImageNodes
	case push != nil && !slices.ContainsFunc(h.project.Set.Nodes, func(d resource.Desired) bool { return nodeKind(d.Address()) == resource.PushPrefix }):
		return nil, fault.New(fault.Config, "no image goes to a registry in environment %q", h.project.Environment().Name()).
			WithHint("give the images `registries:`; where everything runs on this machine only `wfctl build --push` pushes")
	}
	for _, name := range s.Targets {
		if push := resource.Address(resource.PushPrefix + name); o.Nodes == PushNodes && h.desired(push) {
			o.Targets = append(o.Targets, push)
		}
	}
	return h.apply(ctx, "build", o, s, resource.ImagePrefix, to)
}

func (h *StepHost) desired(addr resource.Address) bool {
	_, ok := h.project.Set.Node(addr)
	return ok
}

// Migrate brings the databases to the newest migration.
func (h *StepHost) Migrate(ctx context.Context, s step.Scope, to event.Sink) (map[string]int, error) {
	return h.apply(ctx, "migrate", PlanOptions{Nodes: MigrationNodes}, s, resource.MigrationPrefix, to)
}

func (h *StepHost) apply(ctx context.Context, command string, o PlanOptions, s step.Scope, prefix string, to event.Sink) (counts map[string]int, err error) {
	h.change.Lock()
	defer h.change.Unlock()
	p := h.fork(to)
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	w, err := p.Begin(ctx, command, lockPatience)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	o.Targets, o.Excludes = append(o.Targets, prefixed(prefix, s.Targets)...), prefixed(prefix, s.Excludes)
	pl, err := w.Plan(ctx, o)
	if err != nil || pl.Empty() {
		return nil, err
	}
	if pl.Destructive() && !s.Approve {
		return nil, fault.New(fault.Refused, "%s would delete or replace resources", command).
			WithHint("nothing was changed. Look at `wfctl infra plan`; then set approve: true on the step, behind a step of type approval")
	}
	summary, err := w.Apply(ctx, pl, nil)
	return pl.Counts(), failures(summary, err)
}

func prefixed(prefix string, names []string) []resource.Address {
	list := make([]resource.Address, len(names))
	for i, n := range names {
		list[i] = resource.Address(prefix + n)
	}
	return list
}

// Read reads the outputs of what is there.
func (h *StepHost) Read(ctx context.Context, module string, images, reveal bool) (list []step.Output, err error) {
	p := h.fork(event.Discard)
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	w, err := p.Look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	var outputs []Output
	if images {
		outputs, err = w.Images(ctx, true)
	} else {
		outputs, err = w.Outputs(ctx, OutputOptions{Module: module, Reveal: reveal})
	}
	for _, o := range outputs {
		out := step.Output{Module: o.Module, Field: o.Field, Sensitive: o.Sensitive}
		if images {
			out.Module = out.Module[len(resource.ImagePrefix):]
		}
		if len(o.Value) > 0 {
			if err := json.Unmarshal(o.Value, &out.Value); err != nil {
				return nil, err
			}
		}
		list = append(list, out)
	}
	return list, err
}

// look is a lazy look at the state, for references in a step's options.
func (h *StepHost) look() *looker { return &looker{host: h} }

// looker opens the state at the first reference.
type looker struct {
	host    *StepHost
	project *Project
	work    *Work
	scope   *freshScope
}

func (l *looker) open() error {
	if l.work != nil {
		return nil
	}
	ctx := context.Background() // a reference has none; reading is short
	l.project = l.host.fork(event.Discard)
	w, err := l.project.Look(ctx)
	if err != nil {
		return err
	}
	l.work, l.scope = w, &freshScope{ctx: ctx, work: w, read: map[resource.Address]sdk.Outputs{}}
	return nil
}

func (l *looker) output(ref resource.Ref) (sdk.Output, bool, error) {
	if err := l.open(); err != nil {
		return sdk.Output{}, false, err
	}
	known, err := l.scope.Output(ref)
	if err != nil || known.Value == nil {
		return sdk.Output{}, false, err
	}
	return *known.Value, true, nil
}

func (l *looker) close() {
	ctx := context.Background()
	if l.work != nil {
		_ = l.work.End(ctx) // it only looked
	}
	if l.project != nil {
		_ = l.project.Close(ctx)
	}
}
