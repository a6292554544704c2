package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// node plans one desired node; what it depends on is planned already.
func (b *builder) node(d resource.Desired) {
	p := &planned{decls: d.Outputs()}
	rec, recorded := b.records[resource.Key{Address: d.Address()}]
	if recorded {
		p.record = &rec
	}
	b.planned[d.Address()] = p
	if !b.kept(d.Address()) {
		return
	}
	schema, err := b.in.Catalog.Schema(d.Provider(), d.Type())
	if err != nil {
		b.fail(err, d)
		return
	}
	p.schema = schema
	n := &nodePlan{b: b, d: d, p: p, rec: p.record, schema: schema}
	if err := n.plan(); err != nil {
		b.fail(err, d)
		return
	}
	if n.change != nil {
		p.change = n.change
		b.add(n.change)
	}
}

// nodePlan is the planning of one node.
type nodePlan struct {
	b        *builder
	d        resource.Desired
	p        *planned
	rec      *resource.Record
	schema   *sdk.ResourceSchema
	walker   *sdk.Walker
	scope    *planScope
	resolved resource.Resolved
	base     base
	change   Change
}

func (n *nodePlan) plan() error {
	var err error
	if n.walker, err = n.b.walker(n.d, n.schema); err != nil {
		return err
	}
	n.scope = &planScope{b: n.b}
	if n.resolved, err = n.d.Config().Resolve(n.scope); err != nil {
		return err
	}
	if n.resolved, err = resource.MarkSensitive(n.walker, n.resolved, n.b.in.Fingerprint); err != nil {
		return err
	}
	n.base = base{key: resource.Key{Address: n.d.Address()}, name: n.d.Name(), typ: n.d.Type(), provider: n.d.Provider()}
	if n.rec == nil {
		return n.fresh()
	}
	obs, observed := n.b.in.Observed[n.rec.Key()]
	switch {
	case observed && obs.Gone:
		n.base.reason = "it is gone from its platform"
		return n.create()
	case n.rec.Status == resource.Tainted:
		n.base.reason = "its creation failed half-way"
		return n.replace(nil)
	case n.rec.Type != n.d.Type():
		n.base.reason = fmt.Sprintf("its type was %s", n.rec.Type)
		return n.replace(nil)
	case n.rec.Provider.Kind != n.d.Provider().Kind:
		n.base.reason = fmt.Sprintf("its provider was %s", n.rec.Provider.Kind)
		return n.replace(nil)
	}
	return n.compare(obs)
}

// fresh plans a node that is not recorded.
func (n *nodePlan) fresh() error {
	e, there := n.b.in.Existing[n.d.Address()]
	if id := n.d.ImportID(); id != "" {
		a := &Adopt{ID: id, Taken: there && !e.Ours && e.Owner != nil && e.Owner.Project != ""}
		if a.Taken {
			n.base.reason = "it " + Whose(e.Owner) + ", and is taken from there"
		}
		return n.adopt(a)
	}
	switch {
	case !there:
		return n.create()
	case !e.Ours:
		return n.taken(e)
	}
	n.base.reason = "it is there and carries this project's tags"
	return n.adopt(&Adopt{ID: e.ID, Found: true, Mend: !e.Healthy})
}

func (n *nodePlan) adopt(c *Adopt) error {
	c.base, c.target = n.base, n.target(nil)
	n.change, n.p.outputs = c, sdk.Outputs{}
	return nil
}

// taken is the refusal to make what is there, and is not known to be ours.
func (n *nodePlan) taken(e Existing) error {
	f := fault.New(fault.Config, "%s %q is there already (%s) and %s", n.d.Type(), n.d.Name(), e.ID, Whose(e.Owner)).At(n.d.Pos())
	if e.Owner != nil && e.Owner.Project != "" {
		return f.WithHint("give this one another name: `name:` in its config, where an environment can have its own")
	}
	return f.WithHint("take it over with `wfctl infra import %s %s --env %s`, or give this one another name", n.d.Address(), e.ID, n.b.in.Environment.Name())
}

// Whose says in words what the tags of a resource say.
func Whose(owner *sdk.Ownership) string {
	if owner == nil || owner.Project == "" {
		return "carries no tags of this project"
	}
	return fmt.Sprintf("belongs to module %q of project %q, environment %q", owner.Module, owner.Project, owner.Environment)
}

func (n *nodePlan) target(promised sdk.Outputs) target {
	return target{Desired: n.d, Resolved: n.resolved, Promised: promised}
}

func (n *nodePlan) create() error {
	res, err := n.ask(nil, nil)
	if err != nil {
		return err
	}
	n.base.notes = res.Notes
	n.change = &Create{base: n.base, target: n.target(res.Outputs), Prior: n.rec}
	n.promise(res.Outputs)
	return nil
}

// promise makes known what is sure of the outputs to come.
func (n *nodePlan) promise(outputs sdk.Outputs) {
	n.p.outputs = sdk.Outputs{}
	for name, out := range outputs {
		n.p.outputs[name] = out
	}
	// What a pure node reports follows from its configuration alone.
	n.p.complete = n.schema.Pure && len(n.resolved.Config.Unknown)+len(n.resolved.Config.Opaque) == 0
}

// ask calls the provider's Diff.
func (n *nodePlan) ask(prior *sdk.Prior, changed []sdk.Path) (*sdk.DiffResponse, error) {
	res, err := n.b.in.Catalog.Diff(n.b.ctx, n.d.Provider(), &sdk.DiffRequest{
		Type: n.d.Type(), Name: n.d.Name(), Ownership: n.d.Ownership(), Prior: prior, Config: n.resolved.Config, Changed: changed,
	})
	if err != nil {
		return nil, n.located(err)
	}
	if res == nil {
		res = &sdk.DiffResponse{}
	}
	return res, nil
}

// located gives a provider's error the place that it is about.
func (n *nodePlan) located(err error) error {
	var e *sdk.Error
	if !errors.As(err, &e) {
		e = &sdk.Error{}
	}
	f := fault.Wrap(fault.Provider, err, "plan %q", n.d.Address()).At(n.d.Config().Locate(e.Path))
	if e.Hint != "" {
		f = f.WithHint("%s", e.Hint)
	}
	return f
}

// compare plans a node that is recorded and there.
func (n *nodePlan) compare(obs Observation) error {
	if err := n.ignore(); err != nil {
		return err
	}
	var fields []sdk.FieldChange
	if n.rec.Digest != n.resolved.Digest {
		fields = diffJSON(normal(n.rec.Config), n.resolved.Canonical)
	}
	if n.rec.Name != n.d.Name() {
		fields = append(fields, sdk.FieldChange{Path: sdk.NamePath, Action: sdk.ActionReplace, Before: quoted(n.rec.Name), After: quoted(n.d.Name()),
			Reason: fmt.Sprintf("`name: %s` in its config keeps it", n.rec.Name)})
	}
	drifted := n.drift(obs)
	mend := obs.Read != nil && !obs.Read.Healthy
	if len(fields) == 0 && len(drifted) == 0 && !mend && !n.schema.Volatile && n.rec.Status != resource.Failed {
		return n.settle()
	}
	changed := make([]sdk.Path, 0, len(fields)+len(drifted))
	for _, f := range slices.Concat(fields, drifted) {
		changed = append(changed, f.Path)
	}
	res, err := n.ask(Prior(*n.rec), changed)
	if err != nil {
		return err
	}
	n.base.notes = res.Notes
	return n.judge(res, fields, drifted, obs, mend)
}

// ignore takes the recorded values at the paths of ignore_changes.
func (n *nodePlan) ignore() error {
	for _, p := range n.d.Lifecycle().IgnoreChanges {
		merged, err := overlay(n.resolved, n.rec.Config, p)
		if err != nil {
			return err
		}
		n.resolved = merged
	}
	return nil
}

// drift lists where the platform differs from the record, but for what the
// module wants ignored.
func (n *nodePlan) drift(obs Observation) []sdk.FieldChange {
	return slices.DeleteFunc(driftFields(*n.rec, obs, n.walker), func(f sdk.FieldChange) bool { return n.ignored(f.Path) })
}

func (n *nodePlan) ignored(p sdk.Path) bool {
	return slices.ContainsFunc(n.d.Lifecycle().IgnoreChanges, func(q sdk.Path) bool { return p.HasPrefix(q) })
}

// judge turns the provider's answer, or the schema's rule, into a change.
func (n *nodePlan) judge(res *sdk.DiffResponse, fields, drifted []sdk.FieldChange, obs Observation, mend bool) error {
	all := n.actions(res, slices.Concat(fields, drifted))
	act := slices.DeleteFunc(slices.Clone(all), func(f sdk.FieldChange) bool { return f.Action == sdk.ActionIgnore })
	if slices.ContainsFunc(act, func(f sdk.FieldChange) bool { return f.Action == sdk.ActionReplace }) {
		n.base.fields = act
		return n.replace(res.Outputs)
	}
	update := &Update{target: n.target(res.Outputs), Prior: *n.rec, Observed: obs.Read}
	switch {
	case len(act) > 0:
		n.base.fields = act
	case mend:
		n.base.reason = "it does not work: " + obs.Read.Reason
	case n.rec.Status == resource.Failed:
		n.base.reason = "its last update failed"
	case len(fields) > 0:
		n.base.fields, update.RecordOnly = recordOnly(fields), true
	default:
		return n.settle()
	}
	update.base = n.base
	n.change = update
	n.promiseUpdate(res.Outputs, update.RecordOnly)
	return nil
}

// recordOnly are differences that the provider does not act on: a new name of
// what has none on its platform replaces nothing.
func recordOnly(fields []sdk.FieldChange) []sdk.FieldChange {
	for i := range fields {
		fields[i].Action, fields[i].Reason = sdk.ActionUpdate, ""
	}
	return fields
}

// actions decides for each field: the provider's word, else the schema's.
func (n *nodePlan) actions(res *sdk.DiffResponse, found []sdk.FieldChange) []sdk.FieldChange {
	if res.Changes != nil {
		return n.complete(res.Changes, found)
	}
	for i := range found {
		found[i].Action = n.rule(found[i])
	}
	return found
}

// rule is what a difference demands where the provider does not say: the
// schema's word.
func (n *nodePlan) rule(f sdk.FieldChange) sdk.Action {
	if f.Path == sdk.NamePath || n.walker.Immutable(f.Path) && (!f.Unknown || n.scope.renewed) {
		return sdk.ActionReplace
	}
	return sdk.ActionUpdate
}

// complete adds to a provider's changes what the host knows of the values.
func (n *nodePlan) complete(changes, found []sdk.FieldChange) []sdk.FieldChange {
	done := slices.Clone(changes)
	for i := range done {
		c := &done[i]
		at := slices.IndexFunc(found, func(f sdk.FieldChange) bool { return f.Path == c.Path })
		if at >= 0 {
			f := found[at]
			c.Before, c.After, c.Sensitive, c.Unknown = f.Before, f.After, f.Sensitive, f.Unknown
			if c.Reason == "" {
				c.Reason = f.Reason
			}
		}
		if c.Action == "" {
			c.Action = n.rule(*c)
		}
		if c.Sensitive || n.walker.Sensitive(c.Path) {
			c.Sensitive, c.Before, c.After = true, nil, nil
		}
	}
	return done
}

// promiseUpdate makes known the outputs of an updated node that stay.
func (n *nodePlan) promiseUpdate(outputs sdk.Outputs, recordOnly bool) {
	if recordOnly {
		return // the record answers for all
	}
	n.promise(outputs)
	for name, out := range n.rec.Outputs {
		if _, sure := n.p.outputs[name]; sure {
			continue
		}
		if s := n.schema.Output(name); s != nil && s.Stable && out.Value != nil {
			n.p.outputs[name] = sdk.RawOutput(out.Value, out.Sensitive)
		}
	}
}

func (n *nodePlan) replace(promised sdk.Outputs) error {
	if n.d.Lifecycle().PreventDestroy {
		f := fault.New(fault.Refused, "%q must be replaced, and prevent_destroy protects it", n.d.Address()).At(n.d.Pos())
		for _, c := range n.base.fields {
			if c.Action == sdk.ActionReplace {
				f = f.WithDetail("changing " + c.Path.Dotted() + " replaces it")
			}
		}
		return f.WithHint("take the change back, or set lifecycle.prevent_destroy: false and apply that first")
	}
	if promised == nil {
		res, err := n.ask(nil, nil)
		if err != nil {
			return err
		}
		promised, n.base.notes = res.Outputs, res.Notes
	}
	n.change = &Replace{base: n.base, target: n.target(promised), Prior: *n.rec, CreateFirst: n.d.Lifecycle().CreateBeforeDestroy}
	n.promise(promised)
	return nil
}

// settle plans a node whose inputs are as recorded: nothing, unless what it
// depends on changes and it is done again then, or the record itself is old.
func (n *nodePlan) settle() error {
	if n.schema.Triggered {
		for _, dep := range n.d.DependsOn() {
			if p := n.b.planned[dep]; p != nil && p.change != nil && p.change.Action() != ActionNoOp {
				n.base.reason = fmt.Sprintf("%q changes", dep)
				n.change = &Update{base: n.base, target: n.target(nil), Prior: *n.rec}
				n.promise(nil)
				return nil
			}
		}
	}
	if n.recordMoved() {
		n.base.reason = "only the record changes"
		n.change = &Update{base: n.base, target: n.target(nil), Prior: *n.rec, RecordOnly: true}
		return nil
	}
	n.change = &NoOp{base: n.base, Desired: n.d, Known: true, Prior: *n.rec}
	return nil
}

// recordMoved tells whether what state keeps beside the configuration is old.
func (n *nodePlan) recordMoved() bool {
	l, r := n.d.Lifecycle(), n.rec.Lifecycle
	return l.PreventDestroy != r.PreventDestroy || l.CreateBeforeDestroy != r.CreateBeforeDestroy ||
		!slices.Equal(l.IgnoreChanges, r.IgnoreChanges) || !slices.Equal(n.d.DependsOn(), n.rec.DependsOn) ||
		n.rec.Provider != n.d.Provider() || n.rec.Digest != n.resolved.Digest
}

// walker caches the schema walker of a type.
func (b *builder) walker(d resource.Desired, schema *sdk.ResourceSchema) (*sdk.Walker, error) {
	key := d.Provider().Kind + " " + d.Type()
	if w, ok := b.walkers[key]; ok {
		return w, nil
	}
	w, err := sdk.SchemaWalker(schema.Config)
	if err != nil {
		return nil, fault.Wrap(fault.Provider, err, "provider %q, type %s", d.Provider().Address, d.Type())
	}
	b.walkers[key] = w
	return w, nil
}

func quoted(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return raw
}
