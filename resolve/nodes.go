package resolve

import (
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// The providers that need no module.
const (
	coreProvider    = "core"
	projectProvider = "project"
)

// bindAll makes the nodes.
func (r *resolver) bindAll() {
	r.nodes = make([]*node, 0, len(r.modules))
	for i := range r.file.Modules {
		m := r.modules[r.file.Modules[i].Name]
		if m.Module != &r.file.Modules[i] || !m.enabled {
			continue
		}
		switch m.Type {
		case "": // reported by config
		case providerType:
			r.addProvider(m)
		case stateType:
			r.addState(m)
		default:
			r.addModule(m)
		}
	}
	r.addEntries()
	r.addPipelines()
	r.addMoves()
	r.addSecrets()
}

// config is the module's configuration, empty where it has none.
func (m *module) config() *config.Node {
	if m.part.Config.IsNull() {
		return config.NewMap(m.NameNode)
	}
	return m.part.Config
}

func (r *resolver) addProvider(m *module) {
	c := m.config()
	k := r.word(m, c, "provider", "which platform it is: local, digitalocean, …")
	r.result.Providers = append(r.result.Providers, ProviderModule{
		Address: resource.Address(m.Name), Kind: k, Config: r.input(c.Without("provider"), m.NameNode, m.TypeNode), Pos: m.Pos(),
		kind: c.Get("provider"),
	})
}

func (r *resolver) addState(m *module) {
	c := m.config()
	backend := r.word(m, c, "backend", "where state is kept: sqlite, postgres, s3, …")
	if r.result.State.Declared {
		r.fail(m.NameNode.Fault("environment %q has two modules of type iac.state: %q and %q", r.env.Name(), r.result.State.Address, m.Name).
			WithHint("disable one of them there: environments: {%s: {enabled: false}}", r.env.Name()))
		return
	}
	r.result.State = StateModule{
		Declared: true, Address: resource.Address(m.Name), Backend: backend,
		Config: r.input(c.Without("backend"), m.NameNode, m.TypeNode), Pos: m.Pos(),
		backend: c.Get("backend"),
	}
}

// word reads a key of a config that must be a string known at once.
func (r *resolver) word(m *module, c *config.Node, key, meaning string) string {
	n := c.Get(key)
	if n.IsNull() {
		r.fail(m.NameNode.Fault("module %q says no %q", m.Name, key).WithHint("`config: {%s: …}` says %s", key, meaning))
		return ""
	}
	if n.Kind != config.String {
		r.fail(n.Fault("%q of module %q must be a string, not %s", key, m.Name, n.Kind))
		return ""
	}
	text, _ := toText(r.settleText(n, &scope{contexts: r.roots}))
	return text
}

// addModule makes the node of an infra.* or core.* module.
func (r *resolver) addModule(m *module) {
	c := m.config()
	var provider resource.Provider
	if r.knownFamily(m) {
		provider = r.provider(m, c)
	}
	n := &node{spec: resource.Spec{
		Address: resource.Address(m.Name), Name: m.name, Type: m.Type, Provider: provider, Pos: m.Pos(),
	}}
	n.input = r.inputFor(provider, c.Without("provider", "name"), m.NameNode, m.TypeNode)
	n.spec.Config = n.input
	r.needRegistry(m, n)
	n.spec.Lifecycle = r.lifecycle(m)
	n.spec.Outputs = r.outputs(m)
	n.spec.ImportID = r.importID(m)
	r.dependsOn(n, m.part.DependsOn)
	r.nodes = append(r.nodes, n)
}

// knownFamily reports a type that cannot be any provider's.
func (r *resolver) knownFamily(m *module) bool {
	family, _, ok := strings.Cut(m.Type, ".")
	if ok && family != "iac" {
		return true
	}
	e := m.TypeNode.Fault("unknown type %q", m.Type)
	own := []string{providerType, stateType, "core.data", "core.command"}
	if near := kind.Nearest(m.Type, own); near != "" {
		r.fail(e.WithHint("did you mean %q?", near))
	} else {
		r.fail(e.WithHint("a type is iac.provider, iac.state, core.data, core.command or one of a provider's, such as infra.database"))
	}
	return false
}

// provider finds what manages a module: the zero Provider after an error.
func (r *resolver) provider(m *module, c *config.Node) resource.Provider {
	n := c.Get("provider")
	if strings.HasPrefix(m.Type, "core.") {
		if !n.IsNull() && n.Text != coreProvider {
			r.fail(n.Fault("a module of type %s has no provider", m.Type).WithHint("remove `provider`: wfctl manages it itself"))
		}
		return resource.Provider{Address: coreProvider, Kind: coreProvider}
	}
	if n.IsNull() {
		return r.onlyProvider(m)
	}
	if n.Kind != config.String {
		r.fail(n.Fault("\"provider\" of module %q must be a string, not %s", m.Name, n.Kind))
		return resource.Provider{}
	}
	name, ok := r.settleText(n, &scope{contexts: r.roots}).(string)
	if !ok {
		return resource.Provider{}
	}
	p := r.modules[name]
	switch {
	case p == nil:
		r.noProvider(m, n, name)
		return resource.Provider{}
	case p.Type != providerType:
		r.fail(n.Fault("%q is a module of type %s, not a provider", name, p.Type).WithHint("`provider` names a module of type iac.provider"))
		return resource.Provider{}
	case !p.enabled:
		r.fail(n.Fault("the provider %q is disabled in environment %q", name, r.env.Name()).
			WithHint("it is declared at %s: enable it there, or disable module %q too", p.Pos(), m.Name))
		return resource.Provider{}
	}
	return resource.Provider{Address: resource.Address(name), Kind: r.kindOf(p)}
}

// kindOf is the platform of a provider module; its errors are addProvider's.
func (r *resolver) kindOf(p *module) string {
	n := p.part.Config.Get("provider")
	if n.IsNull() || n.Kind != config.String {
		return ""
	}
	if !isDynamic(n.Text) {
		return n.Text
	}
	before := r.faults
	text, _ := toText(r.settleText(n, &scope{contexts: r.roots}))
	r.faults = before
	return text
}

func (r *resolver) providerNames() []string {
	var names []string
	for name, m := range r.modules {
		if m.Type == providerType && m.enabled {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *resolver) noProvider(m *module, n *config.Node, name string) {
	e := n.Fault("module %q names a provider %q, which does not exist", m.Name, name)
	names := r.providerNames()
	switch near := kind.Nearest(name, names); {
	case near != "":
		e = e.WithHint("did you mean %q?", near)
	case len(names) == 0:
		e = e.WithHint("declare it: {name: %s, type: iac.provider, config: {provider: local}}", name)
	default:
		e = e.WithHint("the providers are %s: each is a module of type iac.provider", strings.Join(names, ", "))
	}
	r.fail(e)
}

// onlyProvider is the default where there is no choice.
func (r *resolver) onlyProvider(m *module) resource.Provider {
	names := r.providerNames()
	if len(names) == 1 {
		return resource.Provider{Address: resource.Address(names[0]), Kind: r.kindOf(r.modules[names[0]])}
	}
	e := m.NameNode.Fault("module %q says no provider", m.Name)
	if len(names) == 0 {
		e = e.WithHint("declare one, {name: cloud, type: iac.provider, config: {provider: local}}, and write `provider: cloud`")
	} else {
		e = e.WithHint("write `provider:` with one of %s", strings.Join(names, ", "))
	}
	r.fail(e)
	return resource.Provider{}
}

func (r *resolver) lifecycle(m *module) resource.Lifecycle {
	n := m.part.Lifecycle
	if n.IsNull() {
		return resource.Lifecycle{}
	}
	l := resource.Lifecycle{
		PreventDestroy:      isTrue(n.Get("prevent_destroy")),
		CreateBeforeDestroy: isTrue(n.Get("create_before_destroy")),
	}
	if list := n.Get("ignore_changes"); list != nil {
		for _, item := range list.Items {
			l.IgnoreChanges = append(l.IgnoreChanges, configPath(item.Text))
		}
	}
	return l
}

func isTrue(n *config.Node) bool { return n != nil && n.Kind == config.Bool && n.Text == "true" }

// configPath reads a path as people write it, env_vars.LOG_LEVEL or
// routes[0].path, or a JSON pointer.
func configPath(s string) sdk.Path {
	if strings.HasPrefix(s, "/") {
		return sdk.Path(s)
	}
	var p sdk.Path
	s = strings.TrimPrefix(s, "config.")
	for segment := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		p = p.Child(segment)
	}
	return p
}

func (r *resolver) importID(m *module) string {
	n := m.part.Import.Get("id")
	if n.IsNull() || n.Kind != config.String {
		return ""
	}
	text, _ := toText(r.settleText(n, &scope{contexts: r.roots}))
	return text
}

// outputs reads a module's declarations of its outputs.
func (r *resolver) outputs(m *module) map[string]resource.OutputDecl {
	if m.part.Outputs.IsNull() {
		return nil
	}
	decls := make(map[string]resource.OutputDecl, len(m.part.Outputs.Fields))
	for _, f := range m.part.Outputs.Fields {
		d := resource.OutputDecl{Pos: f.Pos()}
		if s := f.Value.Get("sensitive"); s != nil && s.Kind == config.Bool {
			yes := s.Text == "true"
			d.Sensitive = &yes
		}
		if sinks := f.Value.Get("sinks"); sinks != nil {
			r.outputSinks(m, f.Name, d.Sensitive, sinks.Items)
		}
		decls[f.Name] = d
	}
	return decls
}

// addEntries makes the nodes of images, migrations and gates.
func (r *resolver) addEntries() {
	for _, g := range r.groups()[:3] {
		for i := range g.entries {
			addr := resource.Address(g.prefix + g.entries[i].Name)
			if e := r.entries[addr]; e.enabled {
				r.addEntry(g.noun, addr, e)
			}
		}
	}
}

func (r *resolver) addEntry(noun string, addr resource.Address, e *entry) {
	n := &node{spec: resource.Spec{
		Address: addr, Name: e.Name, Type: noun, Pos: e.Pos(),
		Provider: resource.Provider{Address: projectProvider, Kind: projectProvider},
	}}
	body := e.body
	if body.IsNull() {
		body = config.NewMap(e.Key.Value)
	}
	r.dependsOn(n, body.Get("depends_on"))
	body = body.Without("depends_on")
	switch noun {
	case "gate":
		r.dependsOn(n, body.Get("after"))
		body = body.Without("after")
	case "migration":
		body = r.migrationBody(e, body)
	case "image":
		body = r.imageBody(e, body)
	}
	n.input = r.input(body, e.Key.NameNode(), nil)
	n.spec.Config = n.input
	r.nodes = append(r.nodes, n)
}

// migrationBody puts the connection of the database in place of its name.
func (r *resolver) migrationBody(e *entry, body *config.Node) *config.Node {
	db := body.Get("database")
	rest := body.Without("database")
	var url *config.Node
	switch {
	case db.IsNull() && body.Get("database_url") != nil:
		return rest
	case db.IsNull():
		r.fail(e.Key.Fault("migration %q says no \"database\"", e.Name).WithHint("`database:` names the module that it migrates"))
		url = config.NewString(e.Key.NameNode(), failedText)
	case db.Kind != config.String:
		r.fail(db.Fault("\"database\" of migration %q must be the name of a module, not %s", e.Name, db.Kind))
		url = config.NewString(db, failedText)
	default:
		name, ok := r.settleText(db, &scope{contexts: r.roots}).(string)
		if !ok || strings.Contains(name, "'") {
			url = config.NewString(db, failedText)
			break
		}
		url = config.NewString(db, "${{ modules['"+name+"'].outputs.connection_url }}")
	}
	return rest.WithFields(append(slices.Clone(rest.Fields), config.Field{Name: "database_url", Value: url}))
}

func (r *resolver) addPipelines() {
	for i := range r.file.Pipelines {
		e := r.entries[resource.Address(pipelinePrefix+r.file.Pipelines[i].Name)]
		if !e.enabled || e.body.IsNull() {
			continue
		}
		p, faults := config.DecodePipeline(e.Name, e.body)
		if len(e.Overlays) > 0 { // config has reported those of the parts
			r.faults = append(r.faults, faults...)
		}
		r.result.Pipelines = append(r.result.Pipelines, p)
	}
}

func (r *resolver) addMoves() {
	for _, m := range r.file.Moved {
		if still := r.modules[m.From]; still != nil {
			r.fail(m.FromNode.Fault("`moved` says that %q has another name now, and it is still declared", m.From).
				WithHint("it is at %s: rename it, or remove the entry of `moved`", still.Pos()))
			continue
		}
		if r.modules[m.To] == nil && r.entries[resource.Address(m.To)] == nil {
			r.failAt(m.ToNode, r.nothing(m.To, "`moved` leads to"))
			continue
		}
		r.result.Moved = append(r.result.Moved, Move{resource.Address(m.From), resource.Address(m.To), m.FromNode.Pos()})
	}
}
