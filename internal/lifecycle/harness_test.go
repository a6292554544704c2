package lifecycle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lifecycle"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

var env = resource.NewEnvironment("test", "unit")

// input is a configuration of literals and whole-value references.
type input struct {
	literals map[string]string
	refs     map[string]resource.Ref
}

func (in input) Refs() []resource.Ref {
	return slices.Collect(maps.Values(in.refs))
}

func (in input) Locate(sdk.Path) fault.Position { return fault.Position{File: "app.yaml", Line: 1} }

func (in input) Resolve(s resource.Scope) (resource.Resolved, error) {
	config, canonical := map[string]any{}, map[string]any{}
	var r resource.Resolved
	for k, v := range in.literals {
		config[k], canonical[k] = v, v
	}
	for k, ref := range in.refs {
		known, err := s.Output(ref)
		if err != nil {
			return r, err
		}
		p := sdk.Path("").Child(k)
		switch {
		case known.Unknown:
			config[k], canonical[k] = nil, map[string]any{resource.UnknownMark: true}
			r.Config.Unknown = append(r.Config.Unknown, p)
		case known.Value == nil:
			config[k], canonical[k] = nil, map[string]any{resource.FingerprintMark: known.Fingerprint}
			r.Config.Opaque = append(r.Config.Opaque, p)
		case known.Value.Sensitive():
			config[k], canonical[k] = known.Value.Reveal(), map[string]any{resource.FingerprintMark: s.Fingerprint(known.Value.Reveal())}
			r.Config.Sensitive = append(r.Config.Sensitive, p)
		default:
			config[k], canonical[k] = known.Value.Reveal(), known.Value.Reveal()
		}
	}
	var err error
	if r.Config.JSON, err = resource.Canonical(config); err != nil {
		return r, err
	}
	r.Canonical, err = resource.Canonical(canonical)
	r.Digest = resource.Digest(r.Canonical)
	return r, err
}

// node makes a desired thing; refs are "field": "module.output".
func node(addr string, literals map[string]string, refs map[string]resource.Ref, change ...func(*resource.Spec)) resource.Desired {
	spec := resource.Spec{Address: resource.Address(addr), Name: addr, Type: "thing", Provider: resource.Provider{Address: "cloud", Kind: "cloud"}, Config: input{literals, refs}}
	for _, r := range refs {
		spec.DependsOn = append(spec.DependsOn, r.Address)
	}
	for _, c := range change {
		c(&spec)
	}
	slices.Sort(spec.DependsOn)
	spec.DependsOn = slices.Compact(spec.DependsOn)
	return resource.NewDesired(env, spec)
}

var errCrash = errors.New("the process is dead")

// journal is state in memory that dies at a chosen write.
type journal struct {
	mu      sync.Mutex
	records map[resource.Key]resource.Record
	pending map[string]apply.Pending
	writes  int
	// crashAt is the write at which the process dies; 0 is never. Kept tells
	// whether that write is durable.
	crashAt int
	kept    bool
	dead    bool
}

func newJournal() *journal {
	return &journal{records: map[resource.Key]resource.Record{}, pending: map[string]apply.Pending{}}
}

// write makes a change durable unless the process is, or now gets, dead.
func (j *journal) write(change func()) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		return errCrash
	}
	j.writes++
	if j.writes == j.crashAt {
		j.dead = true
		if j.kept {
			change()
		}
		return errCrash
	}
	change()
	return nil
}

func (j *journal) isDead() bool { j.mu.Lock(); defer j.mu.Unlock(); return j.dead }

// revive is the next process.
func (j *journal) revive() { j.mu.Lock(); defer j.mu.Unlock(); j.dead, j.crashAt = false, 0 }

func (j *journal) Intent(_ context.Context, in resource.Intent) error {
	return j.write(func() { j.pending[in.Key] = apply.Pending{Intent: in, Over: true} })
}

func (j *journal) Assigned(_ context.Context, key, id string) error {
	return j.write(func() { p := j.pending[key]; p.AssignedID = id; j.pending[key] = p })
}

func (j *journal) Result(_ context.Context, key string, rec resource.Record) error {
	return j.write(func() { delete(j.pending, key); j.records[rec.Key()] = rec })
}

func (j *journal) ResultSoon(ctx context.Context, key string, rec resource.Record) error {
	return j.Result(ctx, key, rec)
}

func (j *journal) Forget(_ context.Context, key string, k resource.Key) error {
	return j.write(func() { delete(j.pending, key); delete(j.records, k) })
}

func (j *journal) Abandon(_ context.Context, key string) error {
	return j.write(func() { delete(j.pending, key) })
}

func (j *journal) Move(_ context.Context, from, to resource.Key) error {
	return j.write(func() {
		if rec, ok := j.records[from]; ok {
			delete(j.records, from)
			rec.Address, rec.Deposed = to.Address, to.Deposed
			j.records[to] = rec
		}
	})
}

func (j *journal) list() []resource.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	recs := slices.Collect(maps.Values(j.records))
	slices.SortFunc(recs, func(a, b resource.Record) int {
		if a.Address+resource.Address(a.Deposed) < b.Address+resource.Address(b.Deposed) {
			return -1
		}
		return 1
	})
	return recs
}

// world is a cloud with a journal and the clock of its runs.
type world struct {
	t       testing.TB
	cloud   *lifecycle.Cloud
	journal *journal
	runs    int
	// sealed says that state keeps sensitive outputs.
	sealed bool
}

// seal stands for encryption: what it makes can be told from what went in.
func (w *world) seal() func([]byte) ([]byte, error) {
	if !w.sealed {
		return nil
	}
	return flip
}

func flip(v []byte) ([]byte, error) {
	out := slices.Clone(v)
	for i := range out {
		out[i] ^= 0xff
	}
	return out, nil
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, cloud: lifecycle.NewCloud(), journal: newJournal()}
	w.cloud.Fault = func(string, string, bool) error {
		if w.journal.isDead() {
			return errCrash
		}
		return nil
	}
	return w
}

func fingerprint(v []byte) string { return "h1:" + resource.Digest(v) }

func (w *world) Provider(context.Context, resource.Provider) (sdk.Provider, error) {
	return w.cloud, nil
}

func (w *world) Schema(_ resource.Provider, typ string) (*sdk.ResourceSchema, error) {
	s, err := w.cloud.Schema(context.Background())
	return s.Type(typ), err
}

func (w *world) Diff(ctx context.Context, _ resource.Provider, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return w.cloud.Diff(ctx, req)
}

// plan plans from what the journal has.
func (w *world) plan(desired []resource.Desired, change ...func(*plan.Input)) (*plan.Plan, error) {
	in := plan.Input{Environment: env, Desired: desired, Records: w.journal.list(), Context: w.journal.list(), Catalog: w, Fingerprint: fingerprint, Lineage: "l", ConfigDigest: "c"}
	for _, c := range change {
		c(&in)
	}
	return plan.Build(context.Background(), in)
}

// apply is one process: recover, plan, apply.
func (w *world) apply(desired []resource.Desired, change ...func(*plan.Input)) (*apply.Summary, error) {
	w.runs++
	pending := slices.Collect(maps.Values(w.journal.pending))
	err := apply.Recover(context.Background(), apply.RecoverOptions{
		Pending: pending, Records: w.journal.list(), Journal: w.journal, Providers: w, Project: "test", Environment: "unit", Keep: apply.Keeping{Fingerprint: fingerprint, Seal: w.seal()}, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	p, err := w.plan(desired, change...)
	if err != nil {
		return nil, err
	}
	return w.carryOut(p)
}

func (w *world) carryOut(p *plan.Plan) (*apply.Summary, error) {
	return apply.Run(context.Background(), apply.Options{
		Run: fmt.Sprintf("run-%d", w.runs), Plan: p, Records: w.journal.list(), Journal: w.journal, Providers: w, Parallelism: 4,
		Fingerprint: fingerprint, Seal: w.seal(), Open: flip, Sleep: func(context.Context, time.Duration) error { return nil },
	})
}

func (w *world) must(desired []resource.Desired, change ...func(*plan.Input)) *apply.Summary {
	w.t.Helper()
	s, err := w.apply(desired, change...)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// actions lists a plan as "action address", no-ops left out.
func actions(p *plan.Plan) []string {
	list := []string{}
	for _, c := range p.Changes {
		if c.Action() != plan.ActionNoOp {
			list = append(list, string(c.Action())+" "+string(c.Address()))
		}
	}
	return list
}

func raw(v any) json.RawMessage { b, _ := json.Marshal(v); return b }
