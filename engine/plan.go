package engine

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
)

// Plan compares what is desired with what is recorded and, where resources
// can change on their own or a refresh is asked for, with what is there.
func (w *Work) Plan(ctx context.Context, o PlanOptions) (*plan.Plan, error) {
	w.project.layouts = o.Nodes == ImageNodes
	if !o.Destroy {
		if err := w.project.Validate(ctx); err != nil {
			return nil, err
		}
	}
	view := w.log.View()
	records := w.selectRecords(view.Records, o)
	observed, err := w.observeFor(ctx, records, o)
	if err != nil {
		return nil, err
	}
	input := plan.Input{
		Environment: w.project.Environment(), Records: records, Context: view.Records, Observed: observed,
		Catalog: w.project.pool, Fingerprint: w.log.Fingerprint, Moved: w.moves(),
		Targets: o.Targets, Excludes: o.Excludes, Destroy: o.Destroy,
		Lineage: view.Lineage, ConfigDigest: w.project.Set.Digest,
	}
	if !o.Destroy {
		if input.Desired, err = w.selectDesired(o); err != nil {
			return nil, err
		}
		if input.Existing, err = w.existing(ctx, input.Desired); err != nil {
			return nil, err
		}
	}
	pl, err := plan.Build(ctx, input)
	if err != nil {
		return nil, err
	}
	w.plan = pl
	return pl, nil
}

// observeFor reads what a plan must not trust the record for. To destroy, the
// record is enough.
func (w *Work) observeFor(ctx context.Context, records []resource.Record, o PlanOptions) (map[resource.Key]plan.Observation, error) {
	if o.Destroy && !o.Refresh {
		return nil, nil
	}
	return w.project.observe(ctx, records, o.Refresh)
}

// selectDesired keeps the nodes that the command works on.
func (w *Work) selectDesired(o PlanOptions) ([]resource.Desired, error) {
	var nodes []resource.Desired
	for _, d := range w.project.Set.Nodes {
		if selected(o.Nodes, d.Address()) {
			nodes = append(nodes, d)
		}
	}
	if o.Nodes != ModuleNodes {
		return nodes, nil
	}
	return nodes, w.needBuilt(nodes)
}

// needBuilt says which image a module refers to that was never built.
func (w *Work) needBuilt(nodes []resource.Desired) error {
	var faults fault.List
	view := w.log.View()
	for _, d := range nodes {
		for _, ref := range d.Config().Refs() {
			prefix := nodeKind(ref.Address)
			if prefix != resource.ImagePrefix && prefix != resource.PushPrefix {
				continue
			}
			if _, ok := view.Record(resource.Key{Address: ref.Address}); !ok {
				name, env := string(ref.Address[len(prefix):]), w.project.Environment().Name()
				done, flag := "built", ""
				if prefix == resource.PushPrefix {
					done, flag = "pushed", " --push"
				}
				faults = append(faults, fault.New(fault.NotFound, "%q runs the image %q, which was not %s yet for %q", d.Address(), name, done, env).
					At(d.Pos()).WithHint("do it with `wfctl build%s --env %s --image %s`, or do everything with `wfctl up`", flag, env, name))
			}
		}
	}
	return faults.Err()
}

// selectRecords keeps the records that the command works on. Destroying the
// modules also forgets the migrations and gates that stand on them.
func (w *Work) selectRecords(records []resource.Record, o PlanOptions) []resource.Record {
	var kept []resource.Record
	for _, rec := range records {
		kind := nodeKind(rec.Address)
		withModules := o.Nodes == ModuleNodes && o.Destroy && (kind == resource.MigrationPrefix || kind == resource.GatePrefix)
		if slices.Contains(o.Again, rec.Address) {
			rec.Status = resource.Failed
		}
		if kind == resource.PushPrefix && !o.Destroy && !w.project.pushes(rec.Address) {
			continue // what was pushed by hand stays pushed
		}
		if selected(o.Nodes, rec.Address) || withModules {
			kept = append(kept, rec)
		}
	}
	return kept
}

func (w *Work) moves() []plan.Move {
	moves := make([]plan.Move, len(w.project.Set.Moved))
	for i, m := range w.project.Set.Moved {
		moves[i] = plan.Move{From: m.From, To: m.To}
	}
	return moves
}

// SavePlan writes a plan for `apply --plan`.
func (w *Work) SavePlan(path string, pl *plan.Plan, o PlanOptions) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write the plan")
	}
	out := w.project.secrets.redactor.Writer(f)
	err = pl.Save(out, plan.SavedOptions{
		Refresh: o.Refresh, Destroy: o.Destroy, Targets: o.Targets, Excludes: o.Excludes,
		Environment: w.project.Environment().Name(), Nodes: int(o.Nodes),
	})
	err = errors.Join(err, out.Flush(), f.Close())
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write the plan to %s", path)
	}
	return nil
}

// PlanSaved makes a saved plan again from what is there now and refuses when
// that gives another plan: one executor, one way to it.
func (w *Work) PlanSaved(ctx context.Context, path string) (*plan.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "open the saved plan")
	}
	defer f.Close() //nolint:errcheck // only read
	saved, err := plan.LoadSaved(f)
	if err != nil {
		return nil, err
	}
	if env := w.project.Environment().Name(); saved.Options.Environment != env {
		return nil, fault.New(fault.Refused, "the plan is for environment %q, not %q", saved.Options.Environment, env)
	}
	now, err := w.Plan(ctx, PlanOptions{
		Nodes: Nodes(saved.Options.Nodes), Refresh: saved.Options.Refresh, Destroy: saved.Options.Destroy,
		Targets: saved.Options.Targets, Excludes: saved.Options.Excludes,
	})
	if err != nil {
		return nil, err
	}
	return now, saved.Check(now)
}

// Apply carries out a plan. Closing stop lets what runs finish and starts
// nothing new.
func (w *Work) Apply(ctx context.Context, pl *plan.Plan, stop <-chan struct{}) (*apply.Summary, error) {
	if err := w.rememberProviders(ctx, pl); err != nil {
		return nil, err
	}
	started := w.project.options.Now()
	w.project.events.Emit(w.project.opening(w.command, started))
	w.project.events.Emit(event.PlanReady{Hash: pl.Hash, Counts: pl.Counts()})
	summary, err := apply.Run(ctx, apply.Options{
		Run: w.project.Run, Plan: pl, Records: w.log.View().Records, Journal: w.session, Providers: w.project.pool,
		Events: w.project.events, Parallelism: w.project.options.Parallelism, Fingerprint: w.log.Fingerprint,
		Now: w.project.options.Now, Sleep: w.project.options.Sleep, Stop: stop, Config: w.project.inputOf, Seal: w.keeping(ctx).Seal, Open: w.opening(ctx),
	})
	err = w.undelivered(summary, err)
	finished := event.RunFinished{Run: w.project.Run, At: w.project.options.Now()}
	finished.Took = finished.At.Sub(started)
	if summary != nil {
		finished.Done, finished.Failed, finished.Skipped = summary.Done, summary.Failed, summary.Skipped
	}
	if err != nil {
		finished.Error = err.Error()
	}
	w.project.events.Emit(finished)
	return summary, err
}

// rememberProviders records the providers of a plan, so that what it makes
// can be destroyed when the configuration is gone.
func (w *Work) rememberProviders(ctx context.Context, pl *plan.Plan) error {
	known := map[resource.Address]resource.ProviderRecord{}
	for _, rec := range w.log.View().Providers {
		known[rec.Address] = rec
	}
	done := map[resource.Address]bool{}
	for _, c := range pl.Changes {
		id := c.Provider()
		if done[id.Address] || string(id.Address) == id.Kind && len(w.project.Set.Providers) == 0 {
			continue
		}
		done[id.Address] = true
		rec, err := w.project.pool.record(id)
		if err != nil {
			return err
		}
		if old, ok := known[id.Address]; ok && old.Kind == rec.Kind && old.Version == rec.Version && string(old.Config) == string(rec.Config) {
			continue
		}
		if err := w.session.Provider(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}
