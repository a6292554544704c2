// Package plan decides what to change: from what is desired and what is
// recorded to a list of changes and the graph they are done in. It does no
// I/O of its own; what it must ask a provider goes through the Catalog it is
// given. The same inputs give the same plan, byte for byte.
package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/graph"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Catalog answers for providers.
type Catalog interface {
	Schema(p resource.Provider, typ string) (*sdk.ResourceSchema, error)
	Diff(ctx context.Context, p resource.Provider, req *sdk.DiffRequest) (*sdk.DiffResponse, error)
}

// Observation is what a platform said of a recorded resource.
type Observation struct {
	// Gone: it is not there. Otherwise Read is set.
	Gone bool
	Read *sdk.ReadResponse
}

// Existing is a resource that is there and not recorded.
type Existing struct {
	ID string
	// Ours: it carries the tags of this project and environment.
	Ours    bool
	Owner   *sdk.Ownership
	Healthy bool
}

// Move renames an address; the resource stays.
type Move struct{ From, To resource.Address }

// Input is all that a plan depends on.
type Input struct {
	Environment resource.Environment
	// Desired are the nodes that the command works on.
	Desired []resource.Desired
	// Records are the records that the command works on; Context are all, for
	// outputs of nodes that are not part of this plan.
	Records, Context []resource.Record
	// Existing are resources of the names of nodes that are not recorded.
	Existing map[resource.Address]Existing
	// Observed is what a refresh found, by record.
	Observed map[resource.Key]Observation
	Catalog  Catalog
	// Fingerprint is the keyed hash of sensitive values.
	Fingerprint func([]byte) string
	Moved       []Move
	// Targets narrow the plan to these and what they depend on; Excludes
	// leave out these and what depends on them.
	Targets, Excludes []resource.Address
	// Destroy plans to remove all Records.
	Destroy      bool
	Lineage      string
	ConfigDigest string
}

// Plan is the sealed result.
type Plan struct {
	Environment resource.Environment
	// Changes hold every node, no-ops too, destroys first, by address.
	Changes []Change
	// Moved are the renames that the plan carries out before anything else.
	Moved []Move
	// Warnings are for the user.
	Warnings []sdk.Diagnostic
	// Hash seals all of it. StateDigest and ConfigDigest say what it was
	// made from.
	Hash, StateDigest, ConfigDigest string

	steps graph.Graph[Step]
	byKey map[resource.Key]Change
}

// Step is a node of the graph that is carried out: a change, or one half of
// a replacement.
type Step struct {
	Key resource.Key
	// Delete is true for deletes, and the deleting half of a replacement.
	Delete bool
}

// String names the step in errors.
func (s Step) String() string {
	if s.Delete {
		return fmt.Sprintf("%s (delete)", s.Key.Address)
	}
	return string(s.Key.Address)
}

// Steps is the graph to walk.
func (p *Plan) Steps() *graph.Graph[Step] { return &p.steps }

// Change returns the change of a key, nil where there is none.
func (p *Plan) Change(k resource.Key) Change { return p.byKey[k] }

// Empty tells whether there is nothing to do.
func (p *Plan) Empty() bool {
	return len(p.Moved) == 0 && !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action() != ActionNoOp })
}

// Counts is the number of changes by action.
func (p *Plan) Counts() map[string]int {
	counts := map[string]int{}
	for _, c := range p.Changes {
		counts[string(c.Action())]++
	}
	return counts
}

// Destructive tells whether anything is deleted, replaced, or taken from
// somebody else. That an image is not built or pushed any more is nothing: it
// stays in its registries.
func (p *Plan) Destructive() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		a, adopts := c.(*Adopt)
		if addr := string(c.Address()); strings.HasPrefix(addr, resource.ImagePrefix) || strings.HasPrefix(addr, resource.PushPrefix) {
			return false
		}
		return c.Action() == ActionDelete || c.Action() == ActionReplace || adopts && a.Taken
	})
}

// Kept lists what should go and is protected.
func (p *Plan) Kept() []*NoOp {
	var kept []*NoOp
	for _, c := range p.Changes {
		if n, ok := c.(*NoOp); ok && n.Kept {
			kept = append(kept, n)
		}
	}
	return kept
}

// order sorts the changes for showing: by action, then address.
func (p *Plan) order() {
	rank := func(c Change) int { return slices.Index(actions, c.Action()) }
	slices.SortStableFunc(p.Changes, func(a, b Change) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		switch {
		case a.Address() < b.Address():
			return -1
		case a.Address() > b.Address():
			return 1
		}
		return 0
	})
}

// seal computes the hash over what would be done. Nothing random and no map
// order enters.
func (p *Plan) seal(in Input) {
	h := sha256.New()
	write := func(parts ...string) {
		for _, s := range parts {
			_, _ = fmt.Fprintf(h, "%d:%s,", len(s), s)
		}
	}
	p.ConfigDigest, p.StateDigest = in.ConfigDigest, stateDigest(in)
	write("plan/1", in.Environment.Project(), in.Environment.Name(), in.ConfigDigest, p.StateDigest)
	for _, m := range p.Moved {
		write("move", string(m.From), string(m.To))
	}
	for _, c := range p.Changes {
		write(string(c.Action()), string(c.Key().Address), c.Key().Deposed, c.Type(), c.Name(), c.Provider().Kind, c.Reason(), digestOf(c))
		if c.Action() == ActionCreate {
			continue // its fields are its digest
		}
		for _, f := range c.Fields() {
			write(string(f.Path), string(f.Action), string(f.Before), string(f.After))
		}
	}
	p.Hash = hex.EncodeToString(h.Sum(nil))
}

func digestOf(c Change) string {
	switch c := c.(type) {
	case *Create:
		return c.Resolved.Digest
	case *Update:
		return c.Resolved.Digest
	case *Replace:
		return c.Resolved.Digest
	case *Adopt:
		return fmt.Sprint(c.ID, c.Resolved.Digest, c.Taken)
	case *Delete:
		return c.Prior.ID
	}
	return ""
}

// stateDigest stands for the records that a plan was made from.
func stateDigest(in Input) string {
	h := sha256.New()
	if len(in.Records) > 0 { // an empty state gets its lineage with its first lease
		_, _ = fmt.Fprintln(h, in.Lineage)
	}
	for _, r := range in.Records {
		_, _ = fmt.Fprintln(h, r.Address, r.Deposed, r.ID, r.Digest, r.Status, r.Updated.UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// MarshalJSON shows the plan without the no-ops, but for what is kept.
func (p *Plan) MarshalJSON() ([]byte, error) {
	doc := planDoc{
		Hash: p.Hash, Environment: p.Environment.Name(), Project: p.Environment.Project(), Counts: p.Counts(),
		Changes: []changeDoc{}, Moved: []moveDoc{}, Kept: []string{},
	}
	for _, m := range p.Moved {
		doc.Moved = append(doc.Moved, moveDoc(m))
	}
	for _, c := range p.Changes {
		if n, ok := c.(*NoOp); ok {
			if n.Kept {
				doc.Kept = append(doc.Kept, string(c.Address()))
			}
			continue
		}
		doc.Changes = append(doc.Changes, documentChange(c))
	}
	return json.Marshal(doc)
}

type planDoc struct {
	Hash        string         `json:"hash"`
	Project     string         `json:"project"`
	Environment string         `json:"environment"`
	Counts      map[string]int `json:"counts"`
	Moved       []moveDoc      `json:"moved"`
	Changes     []changeDoc    `json:"changes"`
	Kept        []string       `json:"kept"`
}

type moveDoc struct {
	From resource.Address `json:"from"`
	To   resource.Address `json:"to"`
}

type changeDoc struct {
	Address  resource.Address `json:"address"`
	Deposed  string           `json:"deposed,omitempty"`
	Action   Action           `json:"action"`
	Type     string           `json:"type"`
	Name     string           `json:"name"`
	Provider string           `json:"provider"`
	Reason   string           `json:"reason,omitempty"`
	Fields   []fieldDoc       `json:"fields,omitempty"`
	Notes    []string         `json:"notes,omitempty"`
}

type fieldDoc struct {
	Path      string          `json:"path"`
	Action    sdk.Action      `json:"action"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
	Sensitive bool            `json:"sensitive,omitempty"`
	Unknown   bool            `json:"unknown,omitempty"`
	Reason    string          `json:"reason,omitempty"`
}

func documentChange(c Change) changeDoc {
	doc := changeDoc{
		Address: c.Address(), Deposed: c.Key().Deposed, Action: c.Action(), Type: c.Type(), Name: c.Name(),
		Provider: string(c.Provider().Address), Reason: c.Reason(),
	}
	for _, f := range c.Fields() {
		doc.Fields = append(doc.Fields, fieldDoc{string(f.Path), f.Action, f.Before, f.After, f.Sensitive, f.Unknown, f.Reason})
	}
	for _, n := range c.Notes() {
		doc.Notes = append(doc.Notes, n.Message)
	}
	return doc
}
