package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/graph"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Build makes a plan.
func Build(ctx context.Context, in Input) (*Plan, error) {
	b := &builder{
		ctx: ctx, in: in, plan: &Plan{Environment: in.Environment, byKey: map[resource.Key]Change{}},
		records: map[resource.Key]resource.Record{}, context: map[resource.Address]resource.Record{},
		desired: make(map[resource.Address]resource.Desired, len(in.Desired)), planned: map[resource.Address]*planned{},
		walkers: map[string]*sdk.Walker{},
	}
	for _, d := range in.Desired {
		b.desired[d.Address()] = d
	}
	if err := b.index(); err != nil {
		return nil, err
	}
	if err := b.narrow(); err != nil {
		return nil, err
	}
	ordered, err := b.order()
	if err != nil {
		return nil, err
	}
	for _, d := range ordered {
		b.node(d)
	}
	b.removals()
	if err := b.faults.Err(); err != nil {
		return nil, err
	}
	b.plan.order()
	if err := b.connect(); err != nil {
		return nil, err
	}
	b.plan.seal(in)
	return b.plan, nil
}

// builder is the state of one Build.
type builder struct {
	ctx     context.Context
	in      Input
	plan    *Plan
	records map[resource.Key]resource.Record
	context map[resource.Address]resource.Record
	desired map[resource.Address]resource.Desired
	// keep are the addresses that the plan may touch; nil means all.
	keep    map[resource.Address]bool
	planned map[resource.Address]*planned
	walkers map[string]*sdk.Walker
	faults  fault.List
}

// planned is what later nodes may know of an earlier one.
type planned struct {
	change Change
	schema *sdk.ResourceSchema
	// outputs are those promised or, for an update, stable; nil for a no-op,
	// whose record answers.
	outputs sdk.Outputs
	// complete says that outputs are all there will be.
	complete bool
	decls    map[string]resource.OutputDecl
	record   *resource.Record
}

func (b *builder) fail(err error, d resource.Desired) {
	var list fault.List
	if errors.As(err, &list) {
		b.faults = append(b.faults, list...)
		return
	}
	var f *fault.Error
	if errors.As(err, &f) {
		if f.Pos.IsZero() {
			f = f.At(d.Pos())
		}
		b.faults = append(b.faults, f)
		return
	}
	b.faults = append(b.faults, fault.Wrap(fault.Provider, err, "plan %q", d.Address()).At(d.Pos()))
}

// index reads the records, with moved ones under their new addresses.
func (b *builder) index() error {
	for _, r := range b.in.Records {
		b.records[r.Key()] = r
	}
	for _, r := range b.in.Context {
		if r.Deposed == "" {
			b.context[r.Address] = r
		}
	}
	if b.in.Destroy {
		return nil
	}
	for _, m := range b.in.Moved {
		rec, ok := b.records[resource.Key{Address: m.From}]
		if !ok {
			continue // moved already, or never made
		}
		if _, still := b.desired[m.From]; still {
			return fault.New(fault.Config, "%q is moved to %q and declared as well", m.From, m.To).WithHint("remove the module or the entry of `moved:`")
		}
		if _, taken := b.records[resource.Key{Address: m.To}]; taken {
			return fault.New(fault.Config, "%q cannot move to %q: state has a resource there", m.From, m.To).WithHint("remove the entry of `moved:`, or forget one of the two with `wfctl infra state rm ADDRESS --env %s`", b.in.Environment.Name())
		}
		delete(b.records, rec.Key())
		rec.Address = m.To
		b.records[rec.Key()] = rec
		b.context[m.To] = rec
		b.plan.Moved = append(b.plan.Moved, m)
	}
	return nil
}

// dependencies of an address: as desired, else as recorded.
func (b *builder) dependencies(addr resource.Address) []resource.Address {
	if d, ok := b.desired[addr]; ok {
		return d.DependsOn()
	}
	return b.records[resource.Key{Address: addr}].DependsOn
}

// narrow computes what --target and --exclude leave.
func (b *builder) narrow() error {
	if len(b.in.Targets) == 0 && len(b.in.Excludes) == 0 {
		return nil
	}
	all := b.addresses()
	users := map[resource.Address][]resource.Address{}
	for _, addr := range all {
		for _, dep := range b.dependencies(addr) {
			users[dep] = append(users[dep], addr)
		}
	}
	for _, addr := range slices.Concat(b.in.Targets, b.in.Excludes) {
		if !slices.Contains(all, addr) {
			return unknownAddress(addr, all)
		}
	}
	follow := b.dependencies
	if b.in.Destroy {
		follow = func(a resource.Address) []resource.Address { return users[a] }
	}
	b.keep = closure(b.in.Targets, follow)
	if len(b.in.Targets) == 0 {
		for _, addr := range all {
			b.keep[addr] = true
		}
	}
	away := func(a resource.Address) []resource.Address { return users[a] }
	if b.in.Destroy {
		away = b.dependencies
	}
	for addr := range closure(b.in.Excludes, away) {
		delete(b.keep, addr)
	}
	return nil
}

func unknownAddress(addr resource.Address, all []resource.Address) error {
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = string(a)
	}
	return fault.New(fault.Usage, "there is no %q here", addr).WithHint("addresses: %s", strings.Join(names, ", "))
}

func closure(from []resource.Address, next func(resource.Address) []resource.Address) map[resource.Address]bool {
	seen := map[resource.Address]bool{}
	stack := slices.Clone(from)
	for len(stack) > 0 {
		addr := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !seen[addr] {
			seen[addr] = true
			stack = append(stack, next(addr)...)
		}
	}
	return seen
}

// addresses lists all that is desired or recorded, sorted.
func (b *builder) addresses() []resource.Address {
	seen := map[resource.Address]bool{}
	for addr := range b.desired {
		seen[addr] = true
	}
	for key := range b.records {
		seen[key.Address] = true
	}
	list := make([]resource.Address, 0, len(seen))
	for addr := range seen {
		list = append(list, addr)
	}
	slices.Sort(list)
	return list
}

func (b *builder) kept(addr resource.Address) bool { return b.keep == nil || b.keep[addr] }

// order sorts the desired nodes after what they depend on.
func (b *builder) order() ([]resource.Desired, error) {
	var g graph.Graph[resource.Address]
	for _, d := range b.in.Desired {
		g.Add(d.Address())
		for _, dep := range d.DependsOn() {
			if _, ok := b.desired[dep]; ok {
				g.Edge(d.Address(), dep)
			}
		}
	}
	sorted, err := g.Sort()
	var cycle *graph.CycleError[resource.Address]
	if errors.As(err, &cycle) {
		first := b.desired[cycle.Nodes[0]]
		return nil, fault.New(fault.Config, "%v", cycle).At(first.Pos()).WithHint("each waits for the next: take one of the references or depends_on away")
	}
	ordered := make([]resource.Desired, len(sorted))
	for i, addr := range sorted {
		ordered[i] = b.desired[addr]
	}
	return ordered, err
}

// removals plans what is recorded and no longer desired.
func (b *builder) removals() {
	var gone []resource.Record
	for key, rec := range b.records {
		_, wanted := b.desired[key.Address]
		if (!wanted || key.Deposed != "") && b.kept(key.Address) {
			gone = append(gone, rec)
		}
	}
	slices.SortFunc(gone, func(x, y resource.Record) int {
		return strings.Compare(string(x.Address)+"\x00"+x.Deposed, string(y.Address)+"\x00"+y.Deposed)
	})
	why := b.protected(gone)
	for _, rec := range gone {
		rb := base{key: rec.Key(), name: rec.Name, typ: rec.Type, provider: rec.Provider}
		if reason, ok := why[rec.Address]; ok && rec.Deposed == "" {
			rb.reason = reason
			b.add(&NoOp{base: rb, Prior: rec, Kept: true})
			continue
		}
		switch {
		case rec.Deposed != "":
			rb.reason = "the old one of an unfinished replacement"
		case b.in.Destroy:
		default:
			rb.reason = "no longer in the configuration"
		}
		b.add(&Delete{base: rb, Prior: rec})
	}
}

// protected says which of the records that should go must stay, and why:
// those under prevent_destroy and what they stand on.
func (b *builder) protected(gone []resource.Record) map[resource.Address]string {
	why := map[resource.Address]string{}
	for _, rec := range gone {
		if rec.Lifecycle.PreventDestroy && rec.Deposed == "" {
			why[rec.Address] = "kept: prevent_destroy protects it"
		}
	}
	for _, rec := range gone {
		if !rec.Lifecycle.PreventDestroy {
			continue
		}
		for addr := range closure(rec.DependsOn, func(a resource.Address) []resource.Address {
			return b.records[resource.Key{Address: a}].DependsOn
		}) {
			if _, ok := why[addr]; !ok {
				why[addr] = fmt.Sprintf("kept: %q, which is protected, stands on it", rec.Address)
			}
		}
	}
	return why
}

func (b *builder) add(c Change) {
	b.plan.Changes = append(b.plan.Changes, c)
	b.plan.byKey[c.Key()] = c
}
