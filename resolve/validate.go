package resolve

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// A Catalog knows the schemas of what is installed.
type Catalog struct {
	// Provider returns the schema of a kind of provider: "local",
	// "digitalocean", "core", "project". An unknown kind is a
	// *kind.UnknownError.
	Provider func(name string) (*sdk.Schema, error)
	// Backend returns the JSON Schema of a state backend's options; nil where
	// backends are not checked.
	Backend func(name string) (json.RawMessage, error)
}

// Validate resolves a file and checks everything against the schemas, so that
// all that is wrong is found in one run. LoadErr is what [config.Load] said
// beside the file. The error is a [fault.List]; the set is nil only where
// there is no such environment.
func Validate(file *config.File, loadErr error, o Options, catalog Catalog) (*Set, error) {
	var all fault.List
	all = gather(all, loadErr)
	set, err := Resolve(file, o)
	all = gather(all, err)
	if set != nil {
		faults, warnings := Problems(set, NewChecker(), catalog)
		all = append(all, faults...)
		set.Warnings = append(set.Warnings, warnings...)
	}
	return set, distinct(all).Err()
}

// gather adds the faults of an error to a list.
func gather(list fault.List, err error) fault.List {
	var more fault.List
	var one *fault.Error
	switch {
	case err == nil:
	case errors.As(err, &more):
		list = append(list, more...)
	case errors.As(err, &one):
		list = append(list, one)
	default:
		list = append(list, fault.Wrap(fault.Config, err, "load the configuration"))
	}
	return list
}

// distinct drops what was said twice.
func distinct(list fault.List) fault.List {
	type id struct {
		pos     fault.Position
		message string
	}
	seen := make(map[id]bool, len(list))
	return slices.DeleteFunc(list, func(e *fault.Error) bool {
		key := id{e.Pos, e.Message}
		dup := seen[key]
		seen[key] = true
		return dup
	})
}

// Problems checks a set against the schemas of providers and backends.
func Problems(set *Set, c *Checker, catalog Catalog) (faults, warnings []*fault.Error) {
	p := problems{checker: c, catalog: catalog, set: set, schemas: map[string]*sdk.Schema{}}
	for _, m := range set.Providers {
		p.provider(m)
	}
	p.state(set.State)
	p.nodes()
	return p.faults, p.warnings
}

type problems struct {
	checker          *Checker
	catalog          Catalog
	set              *Set
	schemas          map[string]*sdk.Schema // nil for a kind that is not there
	faults, warnings []*fault.Error
}

// schema returns the schema of a kind of provider, and says once what is wrong
// with it.
func (p *problems) schema(name string, at *config.Node) *sdk.Schema {
	if s, ok := p.schemas[name]; ok {
		return s
	}
	s, err := p.catalog.Provider(name)
	if err != nil {
		s = nil
		p.faults = append(p.faults, unavailable(err, at))
	}
	p.schemas[name] = s
	return s
}

// unavailable points at the place that names what cannot be had.
func unavailable(err error, at *config.Node) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		located := at.Fault("%s", f.Message)
		located.Code, located.Hint, located.Err, located.Detail = f.Code, f.Hint, f.Err, f.Detail
		return located
	}
	var unknown *kind.UnknownError
	if errors.As(err, &unknown) {
		located := at.Fault("unknown %s %q", unknown.Noun, unknown.Name)
		if near := kind.Nearest(unknown.Name, unknown.Known); near != "" {
			return located.WithHint("did you mean %q?", near)
		}
		return located.WithHint("%s", listed("known are ", slices.Clone(unknown.Known)))
	}
	located := at.Fault("this cannot be used")
	located.Err = err
	return located
}

func (p *problems) provider(m ProviderModule) {
	if m.Kind == "" {
		return // reported by Resolve
	}
	s := p.schema(m.Kind, m.kind)
	if s == nil {
		return
	}
	what := "provider \"" + string(m.Address) + "\""
	p.faults = append(p.faults, p.checker.CheckInput(s.Config, m.Config, what)...)
	if in, ok := m.Config.(*input); ok {
		p.faults = append(p.faults, in.references(p.schemaOf)...)
	}
}

func (p *problems) state(m StateModule) {
	if !m.Declared || m.Backend == "" || p.catalog.Backend == nil {
		return
	}
	schema, err := p.catalog.Backend(m.Backend)
	if err != nil {
		p.faults = append(p.faults, unavailable(err, m.backend))
		return
	}
	p.faults = append(p.faults, p.checker.CheckInput(schema, m.Config, "state \""+string(m.Address)+"\"")...)
}

// schemaOf returns the schema of a node's type.
func (p *problems) schemaOf(a resource.Address) *sdk.ResourceSchema {
	d, ok := p.set.Node(a)
	if !ok || d.Provider().Kind == "" {
		return nil
	}
	if s := p.schemas[d.Provider().Kind]; s != nil {
		return s.Type(d.Type())
	}
	return nil
}

// nodes checks all nodes, in two halves at once: the validator is most of the
// time of a `validate`.
func (p *problems) nodes() {
	for _, d := range p.set.Nodes {
		if d.Provider().Kind != "" {
			p.schema(d.Provider().Kind, p.checker.at(d))
		}
	}
	const parts = 4
	found := make([]problems, parts)
	var wg sync.WaitGroup
	for i := range parts {
		part := &found[i]
		*part = problems{checker: p.checker, set: p.set, schemas: p.schemas}
		from, to := len(p.set.Nodes)*i/parts, len(p.set.Nodes)*(i+1)/parts
		wg.Go(func() {
			for _, d := range p.set.Nodes[from:to] {
				part.node(d)
			}
		})
	}
	wg.Wait()
	for _, part := range found {
		p.faults = append(p.faults, part.faults...)
		p.warnings = append(p.warnings, part.warnings...)
	}
}

func (p *problems) node(d resource.Desired) {
	s := p.schemas[d.Provider().Kind]
	if s == nil {
		return // its provider is reported
	}
	rs, f := p.checker.Type(s, d)
	if f != nil {
		p.faults = append(p.faults, f)
		return
	}
	p.faults = append(p.faults, p.checker.Check(rs.Config, d)...)
	if len(d.Config().Refs()) > 0 {
		p.faults = append(p.faults, p.checker.References(d, p.schemaOf)...)
	}
	faults, warnings := p.checker.Declarations(rs, d)
	p.faults = append(p.faults, faults...)
	p.warnings = append(p.warnings, warnings...)
}
