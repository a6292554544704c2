package tfstate

import (
	"fmt"
	"slices"
	"strings"
)

// Module is one of the configuration that may take something over.
type Module struct {
	Address string
	// Name is its resource name.
	Name string
	Type string
	// Platform is the kind of its provider.
	Platform string
}

// Match says which module takes a resource over.
type Match struct {
	Resource Resource
	// Module is an address; "" where none takes it.
	Module string
	// Why no module takes it.
	Why string
	// Empty: there is nothing to take over, as it is on no platform.
	Empty bool
}

// Assign finds a module for each resource: the one that by names for its
// address, else the one of a corresponding type on the same platform that has
// its name. It does not guess: what is not certain has no module and says why.
func Assign(resources []Resource, modules []Module, by map[string]string) []Match {
	list := make([]Match, len(resources))
	claims := map[string][]int{}
	for i, r := range resources {
		list[i] = assign(r, modules, by)
		if m := list[i].Module; m != "" {
			claims[m] = append(claims[m], i)
		}
	}
	for module, who := range claims {
		if len(who) < 2 {
			continue
		}
		for _, i := range who {
			list[i].Module = ""
			list[i].Why = fmt.Sprintf("%d resources could be module %s: say which with --map %s=%s", len(who), module, list[i].Resource.Address, module)
		}
	}
	return list
}

func assign(r Resource, modules []Module, by map[string]string) Match {
	m := Match{Resource: r}
	why, empty := r.empty()
	if module, ok := by[r.Address]; ok {
		m.Module, m.Why = module, r.Problem
	} else if empty {
		m.Why, m.Empty = why, true
		return m
	} else {
		m.Module, m.Why = r.find(modules)
	}
	if r.Problem != "" {
		m.Module, m.Why = "", r.Problem
	}
	return m
}

// find looks for the module of a name and a type.
func (r Resource) find(modules []Module) (module, why string) {
	var same, named []string // of a corresponding type; of these, of its name
	for _, m := range modules {
		if !r.fits(m) {
			continue
		}
		same = append(same, m.Address)
		if m.Address == r.name && r.index == "" && r.path == "" {
			return m.Address, "" // letter by letter
		}
		if r.called(m) {
			named = append(named, m.Address)
		}
	}
	is := r.portable()
	switch {
	case len(named) == 1:
		return named[0], ""
	case len(named) > 1:
		return "", "it could be " + strings.Join(named, " or ") + ": say which with --map"
	case len(is) == 0 && !strings.HasPrefix(r.Type, ownPrefix):
		return "", "no type here corresponds to " + r.Type + ": --map names the module that does"
	case len(same) > 0:
		return "", "no module has its name: --map " + r.Address + "=" + strings.Join(same, "|")
	case len(is) > 0:
		return "", "the configuration has no module of type " + strings.Join(is, " or ") + " on its platform"
	}
	return "", "the configuration has no module of its type"
}

func (r Resource) fits(m Module) bool {
	if strings.HasPrefix(r.Type, ownPrefix) {
		return ownType(m.Type) == r.Type
	}
	return slices.Contains(r.portable(), m.Type) && r.onPlatform(m.Platform)
}

// called tells whether a module has the resource's name, or stands for the
// name that the platform has.
func (r Resource) called(m Module) bool {
	if r.label != "" && r.label == m.Name {
		return true
	}
	return slices.Contains(r.names(), normal(m.Address))
}
