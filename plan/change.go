package plan

import (
	"encoding/json"

	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Action names what a change does.
type Action string

// The actions, in the order in which a plan shows them.
const (
	ActionDelete  Action = "delete"
	ActionReplace Action = "replace"
	ActionForget  Action = "forget"
	ActionCreate  Action = "create"
	ActionAdopt   Action = "adopt"
	ActionUpdate  Action = "update"
	ActionNoOp    Action = "no-op"
)

// Actions lists them in that order.
var actions = []Action{ActionDelete, ActionReplace, ActionForget, ActionCreate, ActionAdopt, ActionUpdate, ActionNoOp}

// A Change is one node of a plan. The set of types is closed: Create, Update,
// Replace, Delete, Adopt, Forget, NoOp.
type Change interface {
	// Key is the record that the change is about.
	Key() resource.Key
	Address() resource.Address
	// Name is the resource name, Type its type.
	Name() string
	Type() string
	Provider() resource.Provider
	Action() Action
	// Reason says in a few words why; "" where the fields say it.
	Reason() string
	// Fields are the differences, by path. Sensitive values are absent.
	Fields() []sdk.FieldChange
	// Notes come from the provider.
	Notes() []sdk.Diagnostic
	sealed()
}

// base is what all changes have.
type base struct {
	key      resource.Key
	name     string
	typ      string
	provider resource.Provider
	reason   string
	fields   []sdk.FieldChange
	notes    []sdk.Diagnostic
}

func (b base) Key() resource.Key           { return b.key }
func (b base) Address() resource.Address   { return b.key.Address }
func (b base) Name() string                { return b.name }
func (b base) Type() string                { return b.typ }
func (b base) Provider() resource.Provider { return b.provider }
func (b base) Reason() string              { return b.reason }
func (b base) Fields() []sdk.FieldChange   { return b.fields }
func (b base) Notes() []sdk.Diagnostic     { return b.notes }
func (base) sealed()                       {}

// target is what a change makes of a node.
type target struct {
	// Desired is the node, Resolved its configuration as far as it was known
	// to the planner.
	Desired  resource.Desired
	Resolved resource.Resolved
	// Promised are outputs that the provider is sure of already.
	Promised sdk.Outputs
}

// Create makes a resource that is not recorded.
type Create struct {
	base
	target
	// Prior is the record of one that is gone from its platform, else nil.
	Prior *resource.Record
}

// Update changes a resource in place.
type Update struct {
	base
	target
	Prior resource.Record
	// RecordOnly means that the platform has nothing to do.
	RecordOnly bool
	// Observed is what a refresh saw of the resource; nil without one.
	Observed *sdk.ReadResponse
}

// Replace deletes a resource and makes it anew, or, with CreateFirst, the
// other way round.
type Replace struct {
	base
	target
	Prior       resource.Record
	CreateFirst bool
}

// Delete removes a resource.
type Delete struct {
	base
	Prior resource.Record
}

// Adopt brings an existing resource under management.
type Adopt struct {
	base
	target
	ID string
	// Found: the planner has found it by its name; else the file names it.
	Found bool
	// Mend: it does not work.
	Mend bool
	// Taken: its tags say that it is somebody else's.
	Taken bool
}

// Forget drops a record and leaves the resource alone.
type Forget struct {
	base
	Prior resource.Record
}

// NoOp changes nothing. Kept is true for a resource that should go and is
// protected.
type NoOp struct {
	base
	// Desired is set where Known is true: a node of the configuration.
	Desired resource.Desired
	Known   bool
	Prior   resource.Record
	Kept    bool
}

// Action implements Change, as it does for all types below.
func (*Create) Action() Action  { return ActionCreate }
func (*Update) Action() Action  { return ActionUpdate }
func (*Replace) Action() Action { return ActionReplace }
func (*Delete) Action() Action  { return ActionDelete }
func (*Adopt) Action() Action   { return ActionAdopt }
func (*Forget) Action() Action  { return ActionForget }
func (*NoOp) Action() Action    { return ActionNoOp }

// Fields of a creation are its whole configuration.
func (c *Create) Fields() []sdk.FieldChange {
	return created(c.Resolved)
}

// created lists the leaves of a new configuration.
func created(r resource.Resolved) []sdk.FieldChange {
	return diffJSON(json.RawMessage("{}"), r.Canonical)
}

// NewUpdate is the change that follows an adoption: from what was found to
// what is desired, as far as that can be told. What the platform has beside
// what is desired stays.
func NewUpdate(c *Adopt, found resource.Record, settled resource.Resolved, walker *sdk.Walker) *Update {
	u := &Update{base: c.base, target: c.target, Prior: found}
	for _, f := range diffJSON(normal(found.Config), settled.Canonical) {
		unasked := f.After == nil && !f.Sensitive && !f.Unknown
		unseen := f.Before == nil && walker.WriteOnly(f.Path) && walker.Immutable(f.Path)
		if unseen || unasked && (walker.Computed(f.Path) || len(f.Path.Segments()) == 1) {
			continue
		}
		if walker.Immutable(f.Path) {
			f.Action = sdk.ActionReplace
		}
		u.fields = append(u.fields, f)
	}
	u.RecordOnly = len(u.fields) == 0 && !c.Mend
	return u
}
