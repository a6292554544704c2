package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/tree"
)

// WorkerHost is this machine as a place where steps of other people's runs
// happen. It implements pipeline.Host.
type WorkerHost struct {
	kinds Kinds
	o     WorkerHostOptions
	trees *tree.Cache
	over  chan struct{}
	swept sync.WaitGroup

	mu    sync.Mutex
	store *event.Store
}

// WorkerHostOptions say how a machine works for others.
type WorkerHostOptions struct {
	// Dir is where working trees and what providers of this machine make are
	// kept.
	Dir    string
	Getenv func(string) (string, bool)
	// Redactor makes what masks the secrets of one run, knowing those of this
	// process.
	Redactor func() *secret.Redactor
	// KeepTrees is how long a working tree is kept that nobody uses.
	KeepTrees time.Duration
	// Warn is told what keeps a tree from being removed. The worker goes on.
	Warn func(error)
}

// NewWorkerHost makes a host; close it when the worker has ended. Until then it
// removes working trees that nobody uses, now and from time to time.
func NewWorkerHost(kinds Kinds, o WorkerHostOptions) *WorkerHost {
	h := &WorkerHost{kinds: kinds, o: o, over: make(chan struct{})}
	h.trees = &tree.Cache{Dir: filepath.Join(o.Dir, "trees"), Keys: authn.DefaultKeychain}
	h.swept.Go(h.sweep)
	return h
}

// sweep removes trees and records of runs until the host is closed: often enough
// that no tree stays for much longer than it is to be kept. A command prunes what
// it recorded into; of runs on a cluster that are the workers.
func (h *WorkerHost) sweep() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h.swept.Go(func() {
		<-h.over
		cancel()
	})
	tick := time.NewTicker(min(max(h.o.KeepTrees/4, time.Minute), time.Hour))
	defer tick.Stop()
	for {
		if _, err := h.trees.Sweep(ctx, h.o.KeepTrees); err != nil && ctx.Err() == nil {
			h.o.Warn(err)
		}
		if err := h.prune(ctx); err != nil && ctx.Err() == nil {
			h.o.Warn(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// prune removes the records of runs that are too old or too many. A record that
// does not answer is not its to tell of.
func (h *WorkerHost) prune(ctx context.Context) error {
	store, err := h.Store(ctx)
	if err != nil {
		return nil //nolint:nilerr // who works with it says so
	}
	_, err = store.Prune(ctx, time.Now().Add(-keepFor), keepRuns)
	if err == nil || errors.Is(err, event.ErrUnreachable) {
		return nil
	}
	return fault.Wrap(fault.State, err, "remove the records of old runs")
}

// Close ends what the host holds open.
func (h *WorkerHost) Close() error {
	close(h.over)
	h.swept.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.store == nil {
		return nil
	}
	return h.store.Close()
}

// Store implements pipeline.Host.
func (h *WorkerHost) Store(ctx context.Context) (*event.Store, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.store != nil {
		return h.store, nil
	}
	if url, ok := h.o.Getenv("WFCTL_EVENTS"); !ok || url == "" {
		return nil, fault.New(fault.Environment, "a worker records in a shared database, and WFCTL_EVENTS names none").WithHint("set WFCTL_EVENTS=postgres://…")
	}
	store, err := OpenEvents(ctx, h.kinds, EventSource{ProjectDir: h.o.Dir, Getenv: h.o.Getenv})
	if err != nil {
		return nil, err
	}
	h.store = store
	return store, nil
}

// Open implements pipeline.Host.
func (h *WorkerHost) Open(ctx context.Context, job pipeline.Job) (*pipeline.Opened, error) {
	secrets := h.o.Redactor()
	opened, err := h.open(ctx, job, secrets)
	if err != nil { // it is recorded, and crosses
		f := pipeline.FailureOf(err)
		f.Message, f.Hint = secrets.Text(f.Message), secrets.Text(f.Hint)
		for i, line := range f.Detail {
			f.Detail[i] = secrets.Text(line)
		}
		return nil, f.Err()
	}
	return opened, nil
}

func (h *WorkerHost) open(ctx context.Context, job pipeline.Job, secrets *secret.Redactor) (*pipeline.Opened, error) {
	var src jobSource
	if err := json.Unmarshal(job.Source, &src); err != nil {
		return nil, fault.Wrap(fault.Config, err, "read what the run is of")
	}
	store, err := h.Store(ctx)
	if err != nil {
		return nil, err
	}
	used, err := h.trees.Open(ctx, src.Tree)
	if err != nil {
		return nil, err
	}
	opened, err := h.openIn(ctx, used.Dir, job, src, store, secrets)
	if err != nil {
		return nil, errors.Join(err, used.Close())
	}
	end := opened.Close
	opened.Close = func(ctx context.Context) error { return errors.Join(end(ctx), used.Close()) }
	return opened, nil
}

// openIn opens a job in its working tree.
func (h *WorkerHost) openIn(ctx context.Context, dir string, job pipeline.Job, src jobSource, store *event.Store, secrets *secret.Redactor) (*pipeline.Opened, error) {
	if err := h.share(filepath.Join(dir, src.ProjectDir), job.Project); err != nil {
		return nil, err
	}
	recorder := event.NewRecorder(ctx, func(context.Context) (*event.Store, error) { return store, nil }, func(error) {})
	recorder.Insist(h.over)
	recorder.Adopt(job.Run)
	p, err := open(ctx, h.kinds, Options{
		Config: filepath.Join(dir, src.Config), Root: dir, Dir: dir, ProjectDir: filepath.Join(dir, src.ProjectDir), Env: job.Environment,
		Getenv: h.variables(src.Vars), Events: recorder, Parallelism: src.Parallelism, Secrets: secrets,
	})
	if err != nil {
		return nil, err
	}
	p.Run, p.successor = job.Run, true
	o := pipeline.Options{Run: job.Run, Dir: p.BaseDir, Parallelism: src.Parallelism, Events: p.events, Flush: recorder.Flush, Now: p.options.Now}
	opened := &pipeline.Opened{Options: o, Close: p.Close}
	if src.Change != nil {
		opened.Change = func(ctx context.Context, c pipeline.ChangeCall) (pipeline.ChangeEnd, error) {
			begun, err := c.Again, error(nil)
			if begun {
				begun, err = hasBegun(ctx, store, job.Run)
			}
			if err != nil {
				return pipeline.ChangeEnd{}, err
			}
			end, err := p.changeFor(ctx, *src.Change, c, begun)
			return end, errors.Join(err, recorder.Flush())
		}
		return opened, nil
	}
	run, err := p.Pipeline(ctx, src.Pipeline)
	if err == nil {
		err = run.setCrossed(src.Inputs)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	opened.Pipeline = run.Pipeline
	opened.Close = func(ctx context.Context) error {
		run.host.end()
		return p.Close(ctx)
	}
	return opened, nil
}

// setCrossed takes inputs that were checked where the run was started.
func (r *PipelineRun) setCrossed(raw json.RawMessage) error {
	inputs := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &inputs); err != nil {
			return fault.Wrap(fault.Config, err, "read the inputs")
		}
	}
	return r.SetInputs(inputs)
}

// variables are those of this process, and before them those that crossed.
func (h *WorkerHost) variables(crossed map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := crossed[name]; ok {
			return v, true
		}
		return h.o.Getenv(name)
	}
}

// share gives a project one `.wfctl` on this machine, whichever tree of it is
// at work: what local providers made is found again.
func (h *WorkerHost) share(projectDir, project string) error {
	kept := filepath.Join(h.o.Dir, "projects", project)
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return fault.Wrap(fault.Environment, err, "make the project's folder")
	}
	link := filepath.Join(projectDir, ".wfctl")
	err := os.Symlink(kept, link)
	if errors.Is(err, fs.ErrExist) {
		err = relink(kept, link)
	}
	if err != nil {
		return fault.Wrap(fault.Environment, err, "link the project's folder")
	}
	return nil
}

// relink has a link lead somewhere, at every moment: other jobs may be at work in
// the same tree. What it takes for that lies outside of the tree.
func relink(kept, link string) error {
	if to, err := os.Readlink(link); err == nil && to == kept {
		return nil
	}
	tmp := kept + "." + rand.Text()
	if err := os.Symlink(kept, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, link); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// hasBegun tells whether an earlier worker has recorded that it began with a
// change of the run, and did not only try to.
func hasBegun(ctx context.Context, store *event.Store, run string) (bool, error) {
	tl, err := store.Timeline(ctx, run)
	if errors.Is(err, event.ErrNoRun) {
		return false, nil
	}
	return tl != nil && slices.ContainsFunc(tl.Steps, func(s event.Step) bool { return s.Attempts > 0 }), err
}

// changeFor carries out a change for a run that began elsewhere; begun says that
// an earlier worker recorded a part of it.
func (p *Project) changeFor(ctx context.Context, src changeSource, c pipeline.ChangeCall, begun bool) (end pipeline.ChangeEnd, err error) {
	all := p.events
	p.events = inRun(all) // the run is opened and closed by its workflow
	defer func() { p.events = all }()
	w, err := p.Begin(ctx, src.Command, lockPatience)
	if err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	pl, err := w.Plan(ctx, PlanOptions{Nodes: src.Nodes, Refresh: src.Refresh, Destroy: src.Destroy, Targets: src.Targets, Excludes: src.Excludes})
	if err == nil {
		err = w.agreed(pl, c, begun)
	}
	if err != nil || pl.Empty() {
		return end, err
	}
	summary, err := w.Apply(ctx, pl, c.Stop)
	if summary == nil || err != nil && ctx.Err() != nil {
		return end, err
	}
	end.Summary = pipeline.Summary{Done: summary.Done, Failed: summary.Failed, Skipped: summary.Skipped}
	for _, n := range summary.Nodes {
		if n.Outcome == event.Failed {
			end.Failures = append(end.Failures, *pipeline.FailureOf(n.Err))
		}
	}
	end.Interrupted = fault.CodeOf(err) == fault.Interrupted
	if err != nil && !end.Interrupted {
		end.Failures = append(end.Failures, *pipeline.FailureOf(err))
	}
	return end, nil
}

// inRun leaves out what opens and closes a run.
func inRun(to event.Sink) event.Sink {
	return event.SinkFunc(func(e event.Event) {
		switch e.(type) {
		case event.RunStarted, event.RunFinished:
		default:
			to.Emit(e)
		}
	})
}

// agreed refuses a plan that is another than was agreed to. What an earlier
// worker left undone of that one is a part of it.
func (w *Work) agreed(pl *plan.Plan, c pipeline.ChangeCall, begun bool) error {
	if pl.Hash == c.Plan {
		return nil
	}
	moved := fault.New(fault.Refused, "state or configuration moved since the plan was agreed to").WithHint("nothing was changed; run the command again and look at the new plan")
	if !c.Again || !begun && !w.hasPartOf(w.project.Run) {
		return moved
	}
	for _, change := range pl.Changes {
		was, ok := c.Agreed[string(change.Address())]
		switch action := change.Action(); {
		case action == plan.ActionNoOp:
		case !ok:
			return moved.WithDetail(string(change.Address()) + " was not part of the plan")
		case (action == plan.ActionDelete || action == plan.ActionReplace) && was != string(action) && was != string(plan.ActionReplace) && !w.madeHere(change.Address()):
			return moved.WithDetail(fmt.Sprintf("%s would be a %s and was to be a %s", change.Address(), action, was))
		}
	}
	return nil
}

// hasPartOf tells whether the journal holds something that a run did, or was
// about to.
func (w *Work) hasPartOf(run string) bool {
	v := w.log.View()
	return len(v.Pending) > 0 || slices.ContainsFunc(v.Records, func(r resource.Record) bool { return r.Run == run })
}

// madeHere tells whether this very run made what is recorded.
func (w *Work) madeHere(addr resource.Address) bool {
	rec, ok := w.log.View().Record(resource.Key{Address: addr})
	return ok && rec.Run == w.project.Run
}

// lockOptions are how this project takes the lease of its state. One that runs
// for a run on a cluster takes it over from that run's earlier workers: they
// are given the run's work one after the other, and end theirs before the next
// one is given it.
func (p *Project) lockOptions(o state.LockOptions) state.LockOptions {
	if p.successor {
		o.Over = func(h state.Holder) bool { return h.Run != "" && h.Run == p.Run }
	}
	return o
}
