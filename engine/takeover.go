package engine

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state/tfstate"
)

// Outcome is what became of a resource that Terraform manages.
type Outcome string

// The outcomes.
const (
	TakenOver Outcome = "imported"
	ToTake    Outcome = "to import" // nothing was done yet
	Managed   Outcome = "managed"   // it was under management before
	NoThing   Outcome = "nothing"   // it is on no platform
	Left      Outcome = "left"      // no module takes it
	Failed    Outcome = "failed"
)

// Takeover says of one of Terraform's resources which module takes it, and how
// that went.
type Takeover struct {
	Terraform string  `json:"terraform"`
	Module    string  `json:"module,omitempty"`
	ID        string  `json:"id,omitempty"`
	Outcome   Outcome `json:"outcome"`
	Why       string  `json:"why,omitempty"`
}

// Takeovers reads a state file of Terraform's and finds the module for each
// of its resources; by names modules by Terraform's addresses. Nothing is
// changed.
func (w *Work) Takeovers(r io.Reader, by map[string]string) ([]Takeover, error) {
	resources, err := tfstate.Read(r)
	if err != nil {
		return nil, err
	}
	modules, err := w.takers(resources, by)
	if err != nil {
		return nil, err
	}
	list := []Takeover{}
	for _, m := range tfstate.Assign(resources, modules, by) {
		t := Takeover{Terraform: m.Resource.Address, Module: m.Module, ID: m.Resource.ID, Outcome: ToTake, Why: m.Why}
		rec, taken := w.log.View().Record(resource.Key{Address: resource.Address(m.Module)})
		switch {
		case m.Empty:
			t.Outcome, t.ID = NoThing, ""
		case m.Module == "":
			t.Outcome = Left
		case taken && rec.ID == t.ID:
			t.Outcome = Managed
		case taken:
			t.Outcome, t.Module = Left, ""
			t.Why = fmt.Sprintf("module %s has %s under management already", m.Module, rec.ID)
		}
		list = append(list, t)
	}
	return list, nil
}

// takers lists the modules, and checks what a person has mapped.
func (w *Work) takers(resources []tfstate.Resource, by map[string]string) ([]tfstate.Module, error) {
	var modules []tfstate.Module
	for _, d := range w.project.Set.Nodes {
		if nodeKind(d.Address()) == "" {
			modules = append(modules, tfstate.Module{Address: string(d.Address()), Name: d.Name(), Type: d.Type(), Platform: d.Provider().Kind})
		}
	}
	for address, module := range by {
		if !slices.ContainsFunc(resources, func(r tfstate.Resource) bool { return r.Address == address }) {
			return nil, fault.New(fault.NotFound, "the Terraform state manages no %q", address).WithHint("`terraform state list` shows what it manages")
		}
		if !slices.ContainsFunc(modules, func(m tfstate.Module) bool { return m.Address == module }) {
			return nil, fault.New(fault.NotFound, "the configuration has no module %q for %q", module, w.project.Environment().Name()).
				WithHint("declare it first: name, type and provider are enough")
		}
	}
	return modules, nil
}

// Take brings what a takeover names under management, and returns what came
// of it. The record holds what the platform says and nothing of Terraform's.
func (w *Work) Take(ctx context.Context, t Takeover) Takeover {
	// Consent to the whole list is none to take one from somebody else.
	rec, err := w.Import(ctx, resource.Address(t.Module), t.ID, func(whose string) error {
		return fault.New(fault.Refused, "%s %s", t.ID, whose).
			WithHint("`wfctl infra import %s %s --env %s` asks about it alone", t.Module, t.ID, w.project.Environment().Name())
	})
	if err != nil {
		t.Outcome, t.Why = Failed, err.Error()
		return t
	}
	t.Outcome, t.ID = TakenOver, rec.ID
	return t
}
