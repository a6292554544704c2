package resolve

import (
	"errors"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// The types of the nodes of secrets: one that is kept in stores, and one that
// a job gets anew each time.
const (
	secretType = "secret"
	jobType    = "job_secret"
)

// plainSinks hold values that are no secrets.
var plainSinks = []string{"github_variable"}

// outputSinks makes the nodes that keep stores in step with an output.
func (r *resolver) outputSinks(m *module, output string, sensitive *bool, sinks []*config.Node) {
	source := m.Name + "." + output
	sinks = slices.DeleteFunc(slices.Clone(sinks), func(n *config.Node) bool { return !r.fits(m, output, sensitive, n) })
	r.delivery(source, source, upperName(m.Name+"_"+output), sinks)
}

// fits checks that a sink is one for the output's kind of value.
func (r *resolver) fits(m *module, output string, sensitive *bool, n *config.Node) bool {
	typ := n.Get("type")
	if typ == nil || typ.Kind != config.String {
		return false // reported by config
	}
	plain := slices.Contains(plainSinks, typ.Text)
	switch {
	case plain && sensitive != nil && *sensitive:
		r.fail(typ.Fault("output %q of module %q is sensitive, and %s is for values that are not", output, m.Name, typ.Text).
			WithHint("use github_secret, or declare `sensitive: false` if it is no secret"))
		return false
	case !plain && (sensitive == nil || !*sensitive):
		r.fail(typ.Fault("output %q of module %q has a sink and is not `sensitive: true`", output, m.Name).
			WithHint("add `sensitive: true` to the output; github_variable is the sink for plain values"))
		return false
	}
	return true
}

// upperName is a name as environment variables have it.
func upperName(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' || c == '.' {
			return '_'
		}
		return c
	}, strings.ToUpper(s))
}

// delivery makes the nodes that bring source, a MODULE.OUTPUT, to sinks. label
// is their address; name is what a sink calls the value that says no name.
func (r *resolver) delivery(label, source, name string, sinks []*config.Node) {
	module, output, _ := strings.Cut(source, ".")
	var lasting, job []*config.Node
	for _, n := range sinks {
		if typ := n.Get("type"); typ != nil {
			target := config.NewMap(n, r.sinkFields(name, n)...)
			if typ.Text == "github_env" {
				job = append(job, target)
			} else {
				lasting = append(lasting, target)
			}
		}
	}
	for typ, targets := range map[string][]*config.Node{secretType: lasting, jobType: job} {
		if len(targets) == 0 {
			continue
		}
		addr := resource.SecretPrefix + label
		if typ == jobType {
			addr += ".job"
		}
		at := targets[0]
		r.secretNode(addr, label, typ, config.NewMap(at,
			config.Field{Name: "source", Value: config.NewString(at, source)},
			config.Field{Name: "value", Value: config.NewString(at, "${{ modules['"+module+"'].outputs['"+output+"'] }}")},
			config.Field{Name: "sinks", Value: config.NewList(at, targets...)}))
	}
}

// sinkFields are a sink as the fields of a node: sink, name, options.
func (r *resolver) sinkFields(name string, n *config.Node) []config.Field {
	typ := n.Get("type")
	given := n.Get("name")
	if given.IsNull() {
		given = config.NewString(typ, name)
	}
	return []config.Field{
		{Name: "sink", Value: config.NewString(typ, typ.Text)},
		{Name: "name", Value: given},
		{Name: "options", Value: n.Without("type", "name")},
	}
}

func (r *resolver) secretNode(addr, name, typ string, body *config.Node) {
	n := &node{spec: resource.Spec{
		Address: resource.Address(addr), Name: name, Type: typ, Pos: body.Pos(),
		Provider: resource.Provider{Address: projectProvider, Kind: projectProvider},
	}}
	n.input = r.input(body, body, nil)
	n.spec.Config = n.input
	r.nodes = append(r.nodes, n)
}

// addSecrets makes the nodes of generated secrets.
func (r *resolver) addSecrets() {
	r.result.Secrets = r.file.Secrets
	for _, g := range r.file.Secrets.Generate {
		sinks := r.sinksOf(g)
		switch {
		case g.Type == "infra_output":
			r.fromOutput(g, sinks)
		case len(sinks) == 0:
			r.fail(g.Node.Fault("the generated secret %q is written nowhere", g.Key).
				WithHint("give it `sinks:`, or the file a store in `secrets.stores` that can be written: file, vault_kv or keyring"))
		default:
			r.generated(g, sinks)
		}
	}
}

// sinksOf are the sinks of a generated secret: its own, else the first store
// that can be written.
func (r *resolver) sinksOf(g config.GeneratedSecret) []*config.Node {
	if !g.Sinks.IsNull() {
		return g.Sinks.Items
	}
	for _, s := range r.file.Secrets.Stores {
		if slices.Contains([]string{"file", "vault_kv", "keyring"}, s.Get("type").Text) {
			return []*config.Node{s}
		}
	}
	return nil
}

func (r *resolver) fromOutput(g config.GeneratedSecret, sinks []*config.Node) {
	if g.Source == "" || g.SourceNode.Kind != config.String {
		return // reported by config
	}
	name, output, ok := strings.Cut(g.Source, ".")
	if !ok || output == "" {
		r.fail(g.SourceNode.Fault("%q names no output", g.Source).WithHint("write source: MODULE.OUTPUT"))
		return
	}
	if _, err := r.findModule(name); err != nil {
		r.failAt(g.SourceNode, err)
		return
	}
	if len(sinks) == 0 {
		r.fail(g.Node.Fault("the secret %q is written nowhere", g.Key).WithHint("give it `sinks:`"))
	}
	r.delivery(g.Key, g.Source, g.Key, sinks)
}

func (r *resolver) generated(g config.GeneratedSecret, sinks []*config.Node) {
	targets := make([]*config.Node, 0, len(sinks))
	for _, n := range sinks {
		if typ := n.Get("type"); typ != nil && (typ.Text == "github_env" || slices.Contains(plainSinks, typ.Text)) {
			r.fail(typ.Fault("the generated secret %q cannot be kept by %s", g.Key, typ.Text).WithHint("use github_secret, file, vault_kv or keyring"))
		} else if typ != nil {
			targets = append(targets, config.NewMap(n, r.sinkFields(g.Key, n)...))
		}
	}
	fields := []config.Field{
		{Name: "kind", Value: config.NewString(g.Node, g.Type)},
		{Name: "sinks", Value: config.NewList(g.Node, targets...)},
	}
	if length := g.Node.Get("length"); length != nil {
		fields = append(fields, config.Field{Name: "length", Value: length})
	}
	r.secretNode(resource.SecretPrefix+g.Key, g.Key, secretType, config.NewMap(g.Node, fields...))
}

// settleStores settles the options of the stores, once: with the variables of
// the environment, but no secret.
func (r *resolver) settleStores() {
	if r.stores != nil {
		return
	}
	r.stores = make([]Store, 0, len(r.file.Secrets.Stores))
	for _, n := range r.file.Secrets.Stores {
		options := appendPretty(nil, r.settleNode(n.Without("type", "name"), &scope{contexts: r.roots}), "")
		r.stores = append(r.stores, Store{Type: n.Get("type").Text, Options: options, Pos: n.Pos()})
	}
}

// hintOf is what an error says to do next.
func hintOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

// generatedSecret finds what ${{ secrets.NAME }} refers to where wfctl makes
// that secret itself.
func (r *resolver) generatedSecret(name string) (resource.Ref, bool) {
	for _, g := range r.file.Secrets.Generate {
		if g.Key != name {
			continue
		}
		if g.Type != "infra_output" {
			return resource.Ref{Address: resource.Address(resource.SecretPrefix + name), Output: "value"}, true
		}
		module, output, _ := strings.Cut(g.Source, ".")
		return resource.Ref{Address: resource.Address(module), Output: output}, r.modules[module] != nil
	}
	return resource.Ref{}, false
}
