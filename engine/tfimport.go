package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// TerraformResource is what a Terraform state says of a resource that it
// manages.
type TerraformResource struct {
	// Address is Terraform's own, with module path and index.
	Address string `json:"address"`
	Type    string `json:"type"`
	// ID is what the platform calls it, Name its attribute `name`; "" for none.
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// TerraformMatch is a resource of Terraform's and the module that is to have
// it; Module is "" where none is known.
type TerraformMatch struct {
	TerraformResource
	Module resource.Address `json:"module,omitempty"`
	// Reason is why there is no module.
	Reason string `json:"reason,omitempty"`
	// Taken: the module has it already.
	Taken bool `json:"taken,omitempty"`
}

// ReadTerraform reads a Terraform state of version 4, as the file and
// `terraform state pull` have it. Nothing but names and identifiers is kept
// of it: it holds secrets as they are.
func ReadTerraform(raw []byte) ([]TerraformResource, error) {
	var doc struct {
		Version       int             `json:"version"`
		EncryptedData json.RawMessage `json:"encrypted_data"`
		Resources     []struct {
			Module    string `json:"module"`
			Mode      string `json:"mode"`
			Type      string `json:"type"`
			Name      string `json:"name"`
			Instances []struct {
				IndexKey   json.RawMessage            `json:"index_key"`
				Deposed    string                     `json:"deposed"`
				Attributes map[string]json.RawMessage `json:"attributes"`
			} `json:"instances"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fault.Wrap(fault.Usage, err, "this is no Terraform state").WithHint("`terraform state pull` prints it, whatever its backend")
	}
	switch {
	case len(doc.EncryptedData) > 0:
		return nil, fault.New(fault.Usage, "this Terraform state is encrypted").WithHint("`tofu state pull` prints it in the clear: pipe it in, and write - for FILE")
	case doc.Version != 4:
		return nil, fault.New(fault.Usage, "this is no Terraform state of version 4: its version is %d", doc.Version).
			WithHint("`terraform state pull` of Terraform 0.12 or later writes version 4")
	}
	all := []TerraformResource{}
	for _, r := range doc.Resources {
		if r.Mode != "managed" {
			continue
		}
		address := r.Type + "." + r.Name
		if r.Module != "" {
			address = r.Module + "." + address
		}
		for _, i := range r.Instances {
			if i.Deposed != "" {
				continue // it is about to be destroyed
			}
			one := TerraformResource{Address: address, Type: r.Type, ID: text(i.Attributes["id"]), Name: text(i.Attributes["name"])}
			if len(i.IndexKey) > 0 && string(i.IndexKey) != "null" {
				one.Address += "[" + string(i.IndexKey) + "]"
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// text is a JSON string or number as text; "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	var n json.Number
	if json.Unmarshal(raw, &s) != nil && json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return s
}

// MatchTerraform finds the module for each resource: the one that given names,
// else the only one whose resource has its name. What is given must be there.
func (w *Work) MatchTerraform(resources []TerraformResource, given map[string]resource.Address) ([]TerraformMatch, error) {
	for _, address := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(resources, func(r TerraformResource) bool { return r.Address == address }) {
			return nil, fault.New(fault.NotFound, "the Terraform state manages no %q", address).WithHint("it manages %s", addressesOf(resources))
		}
		if d, ok := w.project.Set.Node(given[address]); !ok || nodeKind(d.Address()) != "" {
			return nil, fault.New(fault.NotFound, "the configuration has no module %q for %q", given[address], w.project.Environment().Name()).
				WithHint("declare it first: name, type and provider are enough")
		}
	}
	byName := map[string][]resource.Address{}
	for _, d := range w.project.Set.Nodes {
		if nodeKind(d.Address()) == "" && !slices.Contains(slices.Collect(maps.Values(given)), d.Address()) {
			byName[d.Name()] = append(byName[d.Name()], d.Address())
		}
	}
	named := map[string]int{}
	for _, r := range resources {
		named[r.Name]++
	}
	matches := make([]TerraformMatch, 0, len(resources))
	for _, r := range resources {
		m := TerraformMatch{TerraformResource: r, Module: given[r.Address]}
		modules := byName[r.Name]
		switch {
		case r.ID == "":
			m.Module, m.Reason = "", "it has no id"
		case m.Module != "":
		case r.Name == "":
			m.Reason = "it has no name to find a module by"
		case len(modules) == 0:
			m.Reason = fmt.Sprintf("no module's resource is called %q", r.Name)
		case len(modules) > 1 || named[r.Name] > 1:
			m.Reason = fmt.Sprintf("more than one is called %q", r.Name)
		default:
			m.Module = modules[0]
		}
		if rec, ok := w.log.View().Record(resource.Key{Address: m.Module}); ok {
			m.Taken = rec.ID == m.ID
		}
		matches = append(matches, m)
	}
	return matches, nil
}

func addressesOf(resources []TerraformResource) string {
	var all []string
	for _, r := range resources {
		all = append(all, r.Address)
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}
