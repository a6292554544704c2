package engine

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/graph"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/state"
)

// finder looks on the platforms for what an environment has: by name, by tags,
// and with what the record says as a hint, where there is one. It is the scope
// that configurations are resolved in: what it has found answers for outputs,
// everything else is unknown.
type finder struct {
	project *Project
	// view is what state says; empty where it cannot be used.
	view        *state.View
	fingerprint func([]byte) string

	mu      sync.Mutex
	found   []plan.Found
	outputs map[resource.Address]sdk.Outputs
	// troubles are what kept a source of orphans from being asked.
	troubles []*trouble
	reach    map[resource.Provider]*reach
}

func newFinder(p *Project, view *state.View, fingerprint func([]byte) string) *finder {
	f := &finder{project: p, view: view, fingerprint: fingerprint, outputs: map[resource.Address]sdk.Outputs{}, reach: map[resource.Provider]*reach{}}
	p.pool.scope = func() resource.Scope { return f }
	return f
}

// Output implements resource.Scope.
func (f *finder) Output(ref resource.Ref) (resource.Known, error) {
	f.mu.Lock()
	out, ok := f.outputs[ref.Address][ref.Output]
	f.mu.Unlock()
	if ok {
		return resource.Known{Value: &out}, nil
	}
	if rec, there := f.view.Record(resource.Key{Address: ref.Address}); there {
		if known, err := plan.RecordedOutput(rec, ref.Output); err == nil && known.Value != nil {
			return known, nil
		}
	}
	return resource.Known{Unknown: true}, nil
}

// Fingerprint implements resource.Scope.
func (f *finder) Fingerprint(value []byte) string { return f.fingerprint(value) }

// bookkeeping tells of a node whose removal has no effect outside the record
// and this machine: it goes with the record.
func (f *finder) bookkeeping(p resource.Provider, typ string, addr resource.Address) bool {
	switch nodeKind(addr) {
	case resource.ImagePrefix, resource.PushPrefix, resource.MigrationPrefix, resource.GatePrefix:
		return true
	case resource.SecretPrefix:
		return typ != "secret" // what lasts as long as a job
	}
	schema, err := f.project.pool.Schema(p, typ)
	return err == nil && schema.Pure
}

// named looks for every node of the configuration, each once what it refers
// to was looked for.
func (f *finder) named(ctx context.Context) {
	g := f.order()
	g.Walk(ctx, f.project.options.Parallelism, nil, func(ctx context.Context, addr resource.Address, _ func()) error {
		d, ok := f.project.Set.Node(addr)
		if !ok || f.bookkeeping(d.Provider(), d.Type(), addr) {
			return nil
		}
		f.add(f.look(ctx, d))
		return nil
	})
}

// order is the graph of the nodes; without edges where they wait for each
// other, which only makes that less of a configuration is known.
func (f *finder) order() *graph.Graph[resource.Address] {
	var g, flat graph.Graph[resource.Address]
	configured := map[resource.Address][]resource.Ref{}
	for _, m := range f.project.Set.Providers {
		configured[m.Address] = m.Config.Refs()
	}
	for _, d := range f.project.Set.Nodes {
		g.Add(d.Address())
		flat.Add(d.Address())
		for _, dep := range d.DependsOn() {
			g.Edge(d.Address(), dep)
		}
		for _, ref := range configured[d.Provider().Address] {
			g.Edge(d.Address(), ref.Address)
		}
	}
	if _, err := g.Sort(); err != nil {
		return &flat
	}
	return &g
}

func (f *finder) add(found plan.Found) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found = append(f.found, found)
}

// look asks for one node by its name, and where that leads nowhere by what is
// recorded of it.
func (f *finder) look(ctx context.Context, d resource.Desired) plan.Found {
	found := plan.Found{Claims: []plan.Claim{plan.ByConfiguration}, Fate: plan.Missing, Record: resource.Record{
		Address: d.Address(), Name: d.Name(), Type: d.Type(), Provider: d.Provider(), DependsOn: d.DependsOn(), Lifecycle: d.Lifecycle(),
	}}
	provider, err := f.project.pool.Provider(ctx, d.Provider())
	if err == nil {
		_, err = f.project.pool.Schema(d.Provider(), d.Type())
	}
	if err != nil {
		return unread(found, err)
	}
	config := f.config(d, &found.Record)
	rec, recorded := f.view.Record(resource.Key{Address: d.Address()})
	if rec.Provider.Kind != d.Provider().Kind { // another platform's identifier; it is looked for there
		rec, recorded = resource.Record{}, false
	}
	found.Recorded = recorded && rec.Type == d.Type()
	req := &sdk.ReadRequest{Type: d.Type(), Name: d.Name(), Ownership: d.Ownership(), Config: config, Prior: f.hint(d, rec, recorded)}
	res, err := f.ask(ctx, provider, d.Provider(), req)
	if found.Recorded && (absent(err) || err == nil && res.ID != rec.ID && (res.Owner == nil || f.foreign(res))) {
		// The name leads nowhere, or to what may be anybody's.
		req.ID, req.Name, req.Prior = rec.ID, rec.Name, prior(rec)
		if own, ownErr := f.ask(ctx, provider, d.Provider(), req); err != nil || !absent(ownErr) {
			res, err = own, ownErr
		}
	}
	return f.judge(found, res, err, rec)
}

// hint is what a provider gets as recorded: a kind that no platform can be
// asked for, such as a secret in its stores, is found through it.
func (f *finder) hint(d resource.Desired, rec resource.Record, recorded bool) *sdk.Prior {
	switch {
	case recorded:
		return prior(rec)
	case nodeKind(d.Address()) == resource.SecretPrefix:
		var own resource.Record
		f.config(d, &own)
		return &sdk.Prior{ID: d.Name(), Name: d.Name(), Config: sdk.Config{JSON: own.Config}}
	}
	return nil
}

// judge says what becomes of what was read. rec is what state says of the
// node; zero for nothing.
func (f *finder) judge(found plan.Found, res *sdk.ReadResponse, err error, rec resource.Record) plan.Found {
	switch {
	case absent(err):
		if found.Recorded {
			found.Record = rec
		}
		return found
	case err != nil:
		return unread(found, err)
	}
	found.Recorded = found.Recorded && rec.ID == res.ID
	found.Untagged = res.Owner == nil
	found.Record.ID = res.ID
	if f.foreign(res) {
		found.Fate, found.Reason = plan.Foreign, belongs(res)
		return found
	}
	found.Fate = plan.Doomed
	if found.Recorded {
		found = asRecorded(found, rec)
	} else {
		found.Record.Outputs = apply.Keeping{Fingerprint: f.fingerprint}.Outputs(res.Outputs)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outputs[found.Record.Address] = res.Outputs
	return found
}

// asRecorded takes the record, and what the configuration adds to it: what
// either says of order and protection holds.
func asRecorded(found plan.Found, rec resource.Record) plan.Found {
	depends := slices.Concat(rec.DependsOn, found.Record.DependsOn)
	slices.Sort(depends)
	rec.Lifecycle.PreventDestroy = rec.Lifecycle.PreventDestroy || found.Record.Lifecycle.PreventDestroy
	rec.DependsOn = slices.Compact(depends)
	found.Record, found.Recorded = rec, true
	found.Claims = append(found.Claims, plan.ByState)
	return found
}

func unread(found plan.Found, err error) plan.Found {
	found.Fate, found.Err, found.Reason = plan.Unread, err, err.Error()
	return found
}

func absent(err error) bool { return sdk.IsNotFound(err) || sdk.CodeOf(err) == sdk.CodeUnsupported }

// config resolves as much of a node's configuration as is known, and puts it
// in a record as it would stand there, without what is not known.
func (f *finder) config(d resource.Desired, rec *resource.Record) sdk.Config {
	resolved, err := d.Config().Resolve(f)
	if err != nil {
		return sdk.Config{}
	}
	if schema, err := f.project.pool.Schema(d.Provider(), d.Type()); err == nil {
		if walker, err := sdk.SchemaWalker(schema.Config); err == nil {
			if marked, err := resource.MarkSensitive(walker, resolved, f.fingerprint); err == nil {
				resolved = marked
			}
		}
	}
	rec.Config = withoutUnknown(resolved.Canonical)
	rec.Digest = resource.Digest(rec.Config)
	return resolved.Config
}

// withoutUnknown leaves out the members that are not known; in a list, where
// the place counts, null stands for one.
func withoutUnknown(canonical json.RawMessage) json.RawMessage {
	var doc any
	if json.Unmarshal(canonical, &doc) != nil {
		return canonical
	}
	raw, err := resource.Canonical(known(doc))
	if err != nil {
		return canonical
	}
	return raw
}

func known(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, mark := v[resource.UnknownMark]; mark && len(v) == 1 {
			return nil
		}
		for k, sub := range v {
			if v[k] = known(sub); v[k] == nil {
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			v[i] = known(v[i])
		}
	}
	return v
}
