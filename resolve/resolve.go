package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
)

// The module types that are no resources.
const (
	providerType = "iac.provider"
	stateType    = "iac.state"
)

// Options say what to resolve for.
type Options struct {
	// Env is what --env says; "" where nothing was said.
	Env string
	// Getenv looks up environment variables; nil is os.LookupEnv.
	Getenv func(name string) (string, bool)
	// Secret looks up ${{ secrets.NAME }} in the file's stores, which are told
	// beside the name; nil is Getenv.
	Secret func(stores []Store, name string) (value string, found bool, err error)
	// Project overrides the file's name of the project.
	Project string
	// Registries are those of wfctl.yaml, read when an image names one; nil
	// takes those that the application file has in the old shape.
	Registries func() ([]config.Registry, error)
	// Push brings images to their registries in every environment; otherwise
	// it is not done where everything runs on this machine.
	Push bool
	// Tags and Platforms stand for those of all images.
	Tags, Platforms []string
}

// Set is what is desired in one environment.
type Set struct {
	Environment resource.Environment
	// Nodes are sorted by address.
	Nodes     []resource.Desired
	Providers []ProviderModule
	State     StateModule
	Moved     []Move
	Pipelines []config.Pipeline
	// Secrets are those that wfctl makes.
	Secrets  config.Secrets
	Warnings []*fault.Error
	// Digest is of the whole resolved configuration. Where a value may be
	// sensitive, the text of the file stands for it.
	Digest string

	resolver *resolver
}

// Store is one of `secrets.stores`.
type Store struct {
	Type string
	// Options are its other keys, a JSON object.
	Options json.RawMessage
	Pos     fault.Position
}

// ProviderModule is a module of type iac.provider.
type ProviderModule struct {
	Address resource.Address
	Kind    string
	Config  resource.Input
	Pos     fault.Position

	kind *config.Node
}

// StateModule is the module of type iac.state, if the environment has one.
type StateModule struct {
	Declared bool
	Address  resource.Address
	Backend  string
	Config   resource.Input
	Pos      fault.Position

	backend *config.Node
}

// Move says that the record of From is now that of To.
type Move struct {
	From, To resource.Address
	Pos      fault.Position
}

// Node returns a node by its address.
func (s *Set) Node(a resource.Address) (resource.Desired, bool) {
	i, ok := slices.BinarySearchFunc(s.Nodes, a, func(d resource.Desired, a resource.Address) int {
		return strings.Compare(string(d.Address()), string(a))
	})
	if !ok {
		return resource.Desired{}, false
	}
	return s.Nodes[i], true
}

// Resolve resolves a file for one environment. The error is a [fault.List] of
// everything that is wrong; what is right is returned beside it, for
// `validate` to look for more. The set is nil where there is no such
// environment.
func Resolve(file *config.File, o Options) (*Set, error) {
	r := newResolver(file, o)
	if err := r.pickEnvironment(); err != nil {
		return nil, fault.List{err}
	}
	r.makeRoots()
	r.settleStores()
	r.enableAll()
	r.bindAll()
	r.link()
	set := r.set()
	return set, r.faults.Err()
}

// A resolver resolves one file for one environment.
type resolver struct {
	file        *config.File
	options     Options
	env         resource.Environment
	envName     string // "" where the file declares none
	environment config.Environment
	roots       map[string]any
	vars        map[string]*variable
	faults      fault.List

	modules map[string]*module
	entries map[resource.Address]*entry
	// registries are declared; unreadable says that they could not be read.
	registries []config.Registry
	unreadable bool
	nodes      []*node
	stores     []Store
	result     Set
	guesses    int
}

// A module is one of the file's, overlaid.
type module struct {
	*config.Module
	part    config.Part
	enabled bool
	name    string // what the platform sees
}

// An entry is an image, migration, gate or pipeline, overlaid.
type entry struct {
	*config.Entry
	body    *config.Node
	enabled bool
	// places are the registries of an image, once placed.
	places []place
	placed bool
}

// A node is what becomes a Desired.
type node struct {
	spec  resource.Spec
	input *input
	// after are the addresses it waits for beside its references, with the
	// place that says so.
	after []edge
}

// An edge is a dependency and the reason for it.
type edge struct {
	to resource.Address
	at *config.Node
}

func newResolver(file *config.File, o Options) *resolver {
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.Secret == nil {
		o.Secret = func(_ []Store, name string) (string, bool, error) {
			v, ok := o.Getenv(name)
			return v, ok, nil
		}
	}
	r := &resolver{
		file: file, options: o,
		modules: make(map[string]*module, len(file.Modules)), entries: map[resource.Address]*entry{},
	}
	return r
}

func (r *resolver) fail(f *fault.Error) { r.faults = append(r.faults, f) }

// failAll reports what another file is wrong in.
func (r *resolver) failAll(err error) {
	var list fault.List
	var f *fault.Error
	switch {
	case errors.As(err, &list):
		r.faults = append(r.faults, list...)
	case errors.As(err, &f):
		r.fail(f)
	default:
		r.fail(fault.Wrap(fault.Config, err, "read the registries"))
	}
}

// undeclared is what the environment of a file without environments is called.
const undeclared = "default"

// pickEnvironment decides by --env and by what the file declares.
func (r *resolver) pickEnvironment() *fault.Error {
	project := r.file.Project
	if r.options.Project != "" {
		project = r.options.Project
	}
	declared := make([]string, len(r.file.Environments))
	for i, e := range r.file.Environments {
		declared[i] = e.Name
	}
	name := r.options.Env
	switch {
	case name == "" && len(declared) > 1:
		return fault.New(fault.Usage, "no environment was chosen, and the file declares %d", len(declared)).
			WithHint("say which: --env %s", strings.Join(declared, ", --env "))
	case name == "" && len(declared) == 1:
		name = declared[0]
	case name == undeclared && len(declared) == 0:
		name = "" // what is printed as the environment's name may be typed
	case name != "" && !slices.Contains(declared, name):
		return noEnvironment(name, declared)
	}
	r.envName, r.env = name, resource.NewEnvironment(project, name)
	r.environment, _ = r.file.Environment(name)
	return nil
}

func noEnvironment(name string, declared []string) *fault.Error {
	e := fault.New(fault.Usage, "there is no environment %q", name)
	if len(declared) == 0 {
		return e.WithHint("the file declares no environments: leave --env out, or declare `environments: {%s: {}}`", name)
	}
	if near := kind.Nearest(name, declared); near != "" {
		return e.WithHint("did you mean %q? declared are %s", near, strings.Join(declared, ", "))
	}
	return e.WithHint("declared are %s", strings.Join(declared, ", "))
}

// enableAll overlays everything and finds what exists here.
func (r *resolver) enableAll() {
	modules := make([]module, len(r.file.Modules))
	for i := range r.file.Modules {
		m := &modules[i]
		m.Module = &r.file.Modules[i]
		m.part = overlaid(m.Module, r.envName)
		m.enabled = r.isEnabled(m.part.Enabled)
		r.modules[m.Name] = m
		if m.enabled {
			m.name = r.resourceName(m)
		}
	}
	for _, group := range r.groups() {
		for i := range group.entries {
			e := &entry{Entry: &group.entries[i]}
			var enabled *config.Node
			e.body, enabled = overlaidEntry(e.Entry, r.envName)
			e.enabled = r.isEnabled(enabled)
			r.entries[resource.Address(group.prefix+e.Name)] = e
		}
	}
}

type group struct {
	noun, prefix string
	entries      []config.Entry
}

func (r *resolver) groups() []group {
	return []group{
		{"image", resource.ImagePrefix, r.file.Images},
		{"migration", resource.MigrationPrefix, r.file.Migrations},
		{"gate", resource.GatePrefix, r.file.Gates},
		{"pipeline", pipelinePrefix, r.file.Pipelines},
	}
}

// pipelinePrefix keys pipelines, which are no nodes.
const pipelinePrefix = "pipeline."

// isEnabled evaluates `enabled`; absent means true.
func (r *resolver) isEnabled(n *config.Node) bool {
	if n.IsNull() {
		return true
	}
	if n.Kind == config.Bool {
		return n.Text == "true"
	}
	before := len(r.faults)
	v := r.settleText(n, &scope{contexts: r.roots})
	if on, ok := v.(bool); ok {
		return on
	}
	if len(r.faults) == before {
		r.fail(n.Fault("`enabled` must be true or false, not %s", describe(v)).
			WithHint("compare with something: ${{ environment == 'local' }}"))
	}
	return true
}

// resourceName is what the platform calls a module's resource.
func (r *resolver) resourceName(m *module) string {
	n := m.part.Config.Get("name")
	if n.IsNull() || m.Type == providerType || m.Type == stateType {
		return m.Name
	}
	if n.Kind != config.String {
		r.fail(n.Fault("\"name\" of module %q must be a string, not %s", m.Name, n.Kind).
			WithHint("put it in quotes: name: %q", n.Text))
		return m.Name
	}
	v := r.settleText(n, &scope{contexts: r.roots})
	if text, ok := toText(v); ok && text != "" {
		return text
	}
	if v != nil {
		r.fail(n.Fault("\"name\" of module %q is empty", m.Name))
	}
	return m.Name
}

// set seals the result.
func (r *resolver) set() *Set {
	s := &r.result
	s.Environment = r.env
	s.Warnings = slices.Clone(r.file.Warnings)
	slices.SortFunc(r.nodes, func(a, b *node) int { return strings.Compare(string(a.spec.Address), string(b.spec.Address)) })
	s.Nodes = make([]resource.Desired, len(r.nodes))
	for i, n := range r.nodes {
		s.Nodes[i] = resource.NewDesired(r.env, n.spec)
	}
	s.Digest, s.resolver = r.digest(), r
	return s
}

// digest is of everything that decides what a plan would be.
func (r *resolver) digest() string {
	h := sha256.New()
	w := writer{single: true, source: true}
	add := func(in *input, words ...string) {
		w.real = w.real[:0]
		for _, s := range words {
			w.text(s)
		}
		w.in = in
		w.node(in.tree)
		h.Write(w.real)
	}
	add(&input{}, r.env.Project(), r.env.Name())
	for _, n := range r.nodes {
		words := []string{string(n.spec.Address), n.spec.Name, n.spec.Type, string(n.spec.Provider.Address), n.spec.Provider.Kind, n.spec.ImportID}
		for _, d := range n.spec.DependsOn {
			words = append(words, string(d))
		}
		add(n.input, words...)
	}
	for _, p := range r.result.Providers {
		add(p.Config.(*input), string(p.Address), p.Kind)
	}
	if s := r.result.State; s.Declared {
		add(s.Config.(*input), string(s.Address), s.Backend)
	}
	for _, m := range r.result.Moved {
		add(&input{}, string(m.From), string(m.To))
	}
	return hex.EncodeToString(h.Sum(nil))
}
