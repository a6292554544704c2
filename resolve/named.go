package resolve

import (
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/resource"
)

// referring are the keys of the portable types that name other resources: a
// module's name there, as in `vpc_ref: net`, is a reference too. What a
// database trusts is none: that is made after it.
var referring = []string{"vpc_ref", "targets", "target", "sources", "volumes", "certificate"}

// free are the keys whose own keys are the user's or the platform's words.
var free = []string{"env_vars", "env_vars_secret", "provider_specific"}

// named finds what the modules name so, and makes each wait for it: but where
// that is waiting for the module itself already, because then only the
// provider can tell what is meant.
func (r *resolver) named() {
	byAddress := make(map[resource.Address]*node, len(r.nodes))
	byName := map[string]resource.Address{}
	for _, n := range r.nodes {
		if byAddress[n.spec.Address] = n; portable(n) {
			byName[n.spec.Name] = n.spec.Address
		}
	}
	for _, n := range r.nodes {
		if portable(n) {
			byName[string(n.spec.Address)] = n.spec.Address // a module's own name comes first
		}
	}
	for _, n := range r.nodes {
		if !portable(n) {
			continue
		}
		n.input.names(n.input.tree, false, func(at *config.Node, name string) {
			if kind, rest, ok := strings.Cut(name, ":"); ok && kind != "tag" {
				name = rest // droplet:web
			}
			to, ok := byName[name]
			if !ok || to == n.spec.Address || slices.Contains(n.spec.DependsOn, to) || waits(byAddress, to, n.spec.Address) {
				return
			}
			n.after = append(n.after, edge{to, at})
			n.spec.DependsOn = append(n.spec.DependsOn, to)
			slices.Sort(n.spec.DependsOn)
		})
	}
}

func portable(n *node) bool { return strings.HasPrefix(n.spec.Type, "infra.") }

// names yields the texts below the keys that name resources.
func (in *input) names(n *config.Node, below bool, yield func(at *config.Node, name string)) {
	switch n.Kind {
	case config.Map:
		for _, f := range n.Fields {
			if !slices.Contains(free, f.Name) {
				in.names(f.Value, slices.Contains(referring, f.Name), yield)
			}
		}
	case config.List:
		for _, item := range n.Items {
			in.names(item, below, yield)
		}
	case config.String:
		if !below {
			return
		}
		l := in.leaves[n]
		if l == nil {
			yield(n, n.Text)
		} else if s, ok := l.value.(string); ok && !l.secret {
			yield(n, s)
		}
	}
}

// waits tells whether one node waits for another, directly or not.
func waits(nodes map[resource.Address]*node, one, other resource.Address) bool {
	seen := map[resource.Address]bool{}
	for stack := []resource.Address{one}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if at == other {
			return true
		}
		n := nodes[at]
		if n == nil || seen[at] {
			continue
		}
		seen[at] = true
		stack = append(stack, n.spec.DependsOn...)
	}
	return false
}
