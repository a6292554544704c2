package resolve

import (
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
)

// pushType is the type of the nodes that bring images to registries.
const pushType = "push"

// serviceType runs images.
const serviceType = "infra.container_service"

// localProvider runs images from this machine's own files.
const localProvider = "local"

// pushes tells whether images go to their registries here: they do where
// something else than this machine may run them, and where it is asked for.
func (r *resolver) pushes() bool {
	if r.options.Push {
		return true
	}
	names := r.providerNames()
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return r.kindOf(r.modules[name]) != localProvider })
}

// imageBody takes out of an image what says where it goes: that makes a node
// of its own, so that another tag or registry builds nothing.
func (r *resolver) imageBody(e *entry, body *config.Node) *config.Node {
	places, tags := r.registriesOf(e), body.Get("tags")
	body, said := body.Without("registries", "tags").Without(aboutImage...), aboutOf(body)
	if len(said) > 0 {
		said = append(said, config.Field{Name: "build", Value: body})
	}
	if len(places) > 0 && r.pushes() {
		r.addPush(e, places, tags, said)
	}
	if len(r.options.Platforms) > 0 {
		body = body.Without("platforms")
		body = body.WithFields(append(slices.Clone(body.Fields), config.Field{Name: "platforms", Value: r.words(e, r.options.Platforms)}))
	}
	return body
}

// aboutImage are the keys of an image that say what goes to the registries
// beside it.
var aboutImage = []string{"sbom", "provenance", "sign"}

func aboutOf(body *config.Node) (fields []config.Field) {
	for _, name := range aboutImage {
		if f, ok := body.Field(name); ok && !f.Value.IsNull() {
			fields = append(fields, config.Field{Name: name, Value: f.Value})
		}
	}
	return fields
}

// words makes a list of strings that stands where an entry does.
func (r *resolver) words(e *entry, texts []string) *config.Node {
	at := e.Key.NameNode()
	items := make([]*config.Node, len(texts))
	for i, t := range texts {
		items[i] = config.NewString(at, t)
	}
	return config.NewList(at, items...)
}

// place is one registry of an image, with where the image names it.
type place struct {
	config.Registry
	at *config.Node
}

// registriesOf are the registries that an image names; mistakes are reported
// once.
func (r *resolver) registriesOf(e *entry) []place {
	if e.placed {
		return e.places
	}
	e.placed = true
	list := e.body.Get("registries")
	if list.IsNull() {
		return nil
	}
	if list.Kind != config.List {
		r.fail(list.Fault("\"registries\" of image %q must be a list, not %s", e.Name, list.Kind).WithHint("write [%s]", "ghcr"))
		return nil
	}
	known, ok := r.declaredRegistries()
	if !ok {
		return nil
	}
	for _, item := range list.Items {
		if item.Kind != config.String {
			r.fail(item.Fault("a registry of image %q must be a name, not %s", e.Name, item.Kind))
			continue
		}
		name, isText := r.settleText(item, &scope{contexts: r.roots}).(string)
		if !isText || slices.ContainsFunc(e.places, func(p place) bool { return p.Name == name }) {
			continue
		}
		i := slices.IndexFunc(known, func(d config.Registry) bool { return d.Name == name })
		if i < 0 {
			r.noRegistry(item, e.Name, name, known)
			continue
		}
		e.places = append(e.places, place{known[i], item})
	}
	return e.places
}

// declaredRegistries are those of wfctl.yaml, which is read when an image names
// one.
func (r *resolver) declaredRegistries() ([]config.Registry, bool) {
	if r.options.Registries == nil {
		return r.file.Registries, true
	}
	if r.registries == nil {
		list, err := r.options.Registries()
		if err != nil {
			if !r.unreadable {
				r.unreadable = true
				r.failAll(err)
			}
			return nil, false
		}
		r.registries = append([]config.Registry{}, list...)
	}
	return r.registries, true
}

func (r *resolver) noRegistry(at *config.Node, image, name string, known []config.Registry) {
	err := at.Fault("image %q names a registry %q, which does not exist", image, name)
	names := make([]string, len(known))
	for i, d := range known {
		names[i] = d.Name
	}
	switch near := kind.Nearest(name, names); {
	case near != "":
		err = err.WithHint("did you mean %q?", near)
	case len(names) == 0:
		err = err.WithHint("declare it in wfctl.yaml: registries: [{name: %s, type: github, namespace: …}]", name)
	default:
		err = err.WithHint("%s", listed("wfctl.yaml has ", names))
	}
	r.fail(err)
}

// addPush makes the node that brings an image to its registries.
func (r *resolver) addPush(e *entry, places []place, tags *config.Node, said []config.Field) {
	at := e.Key.NameNode()
	text := func(name, value string) config.Field {
		return config.Field{Name: name, Value: config.NewString(at, value)}
	}
	list := make([]*config.Node, len(places))
	for i, p := range places {
		fields := []config.Field{{Name: "name", Value: config.NewString(p.at, p.Name)}}
		for _, f := range []config.Field{text("type", p.Type), text("host", p.Host), text("namespace", p.Namespace), text("provider", p.Provider)} {
			if f.Value.Text != "" {
				fields = append(fields, f)
			}
		}
		list[i] = config.NewMap(p.at, fields...)
	}
	if len(r.options.Tags) > 0 {
		tags = r.words(e, r.options.Tags)
	}
	if tags.IsNull() {
		// What an environment runs keeps a tag: registries clean up what has none.
		tags = r.words(e, []string{tagOf(r.env.Name())})
	}
	n := &node{spec: resource.Spec{
		Address: resource.Address(resource.PushPrefix + e.Name), Name: e.Name, Type: pushType, Pos: e.Pos(),
		Provider: resource.Provider{Address: projectProvider, Kind: projectProvider},
	}}
	fields := []config.Field{
		{Name: "digest", Value: config.NewString(at, "${{ images['"+e.Name+"'].digest }}")},
		{Name: "registries", Value: config.NewList(at, list...)},
		{Name: "tags", Value: tags},
	}
	if len(said) > 0 {
		fields = append(fields, config.Field{Name: "attach", Value: config.NewMap(at, said...)})
	}
	n.input = r.input(config.NewMap(at, fields...), at, nil)
	n.spec.Config = n.input
	n.after = r.beforePush(places)
	r.nodes = append(r.nodes, n)
}

// tagOf makes a tag of an environment's name.
func tagOf(name string) string {
	tag := []byte(name)
	for i, c := range tag {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			tag[i] = '_'
		}
	}
	return string(tag[:min(len(tag), 128)])
}

// beforePush are the modules that make a registry: a push waits for them.
func (r *resolver) beforePush(places []place) (edges []edge) {
	for _, p := range places {
		if p.Provider == "" {
			continue
		}
		if m := r.modules[p.Provider]; m == nil || !m.enabled || m.Type != providerType {
			r.fail(p.at.Fault("registry %q borrows its credentials from the provider %q, which does not exist in environment %q", p.Name, p.Provider, r.env.Name()).
				WithHint("the registry is declared at %s; `provider` names a module of type iac.provider", p.Pos))
			continue
		}
		for name, m := range r.modules {
			of := m.part.Config.Get("provider")
			if m.Type == "infra.registry" && m.enabled && (of.IsNull() || of.Text == p.Provider) {
				edges = append(edges, edge{resource.Address(name), p.at})
			}
		}
	}
	return edges
}

// imageFor finds what an image is called where a provider runs it: the name of
// the registry that it comes from, "" for this machine's own files.
func (r *resolver) imageFor(p resource.Provider) func(name string) (registry string, err *evalError) {
	return func(name string) (string, *evalError) {
		if err := r.imageExists(name); err != nil || p.Kind == localProvider || p.Kind == "" {
			return "", err
		}
		places := r.registriesOf(r.entries[resource.Address(resource.ImagePrefix+name)])
		if len(places) == 0 || !r.pushes() {
			return "", nil
		}
		best := slices.IndexFunc(places, func(at place) bool { return at.Provider != "" && at.Provider == string(p.Address) })
		if best < 0 {
			best = slices.IndexFunc(places, func(at place) bool { return !at.Optional })
		}
		return places[max(best, 0)].Name, nil
	}
}

// pushed tells whether an image goes to registries here.
func (r *resolver) pushed(name string) bool {
	e := r.entries[resource.Address(resource.ImagePrefix+name)]
	return e != nil && r.pushes() && len(r.registriesOf(e)) > 0
}

// needRegistry reports a service on a cloud that would run an image from this
// machine's own files.
func (r *resolver) needRegistry(m *module, n *node) {
	if m.Type != serviceType || n.spec.Provider.Kind == localProvider || n.spec.Provider.Kind == "" {
		return
	}
	for _, ref := range n.input.refs {
		image, ok := strings.CutPrefix(string(ref.Address), resource.ImagePrefix)
		if ok && ref.Output == "ref" {
			r.fail(n.edgeNode(ref.Address).Fault("%q runs the image %q on %s, and the image is in no registry", m.Name, image, n.spec.Provider.Kind).
				WithHint("write where it can be pulled from, images: {%s: {registries: [NAME]}}, and declare the registry in wfctl.yaml", image))
		}
	}
}

// noProvider manages what belongs to the project.
var noProvider resource.Provider
