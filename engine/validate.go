package engine

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Validate opens a project and reports all that is wrong with it: what does
// not resolve, and, of what does, what does not fit its provider.
func Validate(ctx context.Context, kinds Kinds, o Options) error {
	p, err := open(ctx, kinds, o)
	if p == nil {
		return err
	}
	defer p.Close(ctx) //nolint:errcheck // nothing was configured
	var faults, more fault.List
	if err != nil && !errors.As(err, &faults) {
		return err
	}
	for _, w := range p.Set.Warnings {
		p.warn(w)
	}
	if err := p.Validate(ctx); errors.As(err, &more) {
		faults = append(faults, more...)
	} else if err != nil {
		return err
	}
	return faults.Err()
}

// Validate checks every node against the schema of its provider and asks the
// provider for what a schema cannot say. All faults are in one list. A project
// is checked once: its file is read once.
func (p *Project) Validate(ctx context.Context) error {
	if p.valid {
		return nil
	}
	v := &validation{project: p, ctx: ctx, checker: resolve.NewChecker(), bad: map[resource.Address]bool{}}
	v.warm()
	v.ground()
	for _, d := range p.Set.Nodes {
		if d.Provider().Kind != "" && !v.bad[d.Provider().Address] { // resolving has told of one that has none
			v.faults = append(v.faults, v.node(d)...)
		}
	}
	p.valid = len(v.faults) == 0
	return v.faults.Err()
}

// validation is the state of one Validate.
type validation struct {
	project *Project
	ctx     context.Context
	checker *resolve.Checker
	// bad are the providers that are not there: their nodes are left alone.
	bad    map[resource.Address]bool
	faults fault.List
}

// ground checks what the nodes stand on: the providers and the state.
func (v *validation) ground() {
	ground := *v.project.Set
	ground.Nodes = nil
	faults, warnings := resolve.Problems(&ground, v.checker, resolve.Catalog{Provider: v.providerSchema, Backend: v.backendSchema})
	v.faults = append(v.faults, faults...)
	for _, w := range warnings {
		v.project.warn(w)
	}
	if len(faults) == 0 {
		if _, err := v.project.backendRequest(); err != nil {
			v.faults = append(v.faults, faultOf(err, v.project.Set.State.Pos))
		}
	}
	for _, m := range ground.Providers {
		in, err := v.project.pool.ready(v.ctx, resource.Provider{Address: m.Address, Kind: m.Kind})
		if v.bad[m.Address] = err != nil; err == nil {
			v.project.learn(in, "", m.Address, m.Config)
		}
	}
}

// warm starts the providers of the file at once, so that their start-up times
// do not add up. What fails is said where it is asked for.
func (v *validation) warm() {
	var wg sync.WaitGroup
	for _, m := range v.project.Set.Providers {
		wg.Go(func() { _, _ = v.project.pool.ready(v.ctx, resource.Provider{Address: m.Address, Kind: m.Kind}) })
	}
	wg.Wait()
}

// providerSchema is the schema of a kind of provider that the file declares.
func (v *validation) providerSchema(kind string) (*sdk.Schema, error) {
	for _, m := range v.project.Set.Providers {
		if m.Kind == kind {
			in, err := v.project.pool.ready(v.ctx, resource.Provider{Address: m.Address, Kind: kind})
			if err != nil {
				return nil, err
			}
			return in.schema, nil
		}
	}
	return nil, fault.New(fault.Internal, "no module is a provider of kind %q", kind)
}

func (v *validation) backendSchema(name string) (json.RawMessage, error) {
	b, err := v.project.kinds.Backends.Get(name)
	if err != nil {
		return nil, err
	}
	return v.withEncryption(b.Schema)
}

func (v *validation) node(d resource.Desired) []*fault.Error {
	in, err := v.project.pool.ready(v.ctx, d.Provider())
	if err != nil {
		return []*fault.Error{faultOf(err, d.Pos())}
	}
	schema, f := v.checker.Type(in.schema, d)
	if f != nil {
		return []*fault.Error{f}
	}
	v.project.learn(in, d.Type(), d.Address(), d.Config())
	faults, warnings := v.checker.Declarations(schema, d)
	for _, w := range warnings {
		v.project.warn(w)
	}
	faults = append(faults, v.once(schema, d)...)
	faults = append(faults, v.checker.References(d, v.schemaOf)...)
	faults = append(faults, v.checker.Check(schema.Config, d)...)
	faults = append(faults, v.sinkOptions(d)...)
	if len(faults) > 0 {
		return faults
	}
	resolved, err := d.Config().Resolve(unknownScope{})
	if err != nil {
		return []*fault.Error{faultOf(err, d.Pos())}
	}
	res, err := in.provider.Validate(v.ctx, &sdk.ValidateRequest{Type: d.Type(), Name: d.Name(), Config: resolved.Config})
	if err != nil {
		return []*fault.Error{faultOf(err, d.Pos())}
	}
	return v.project.diagnostics(res.Diagnostics, d)
}

// schemaOf finds the schema of a node's type; nil where there is none.
func (v *validation) schemaOf(addr resource.Address) *sdk.ResourceSchema {
	d, ok := v.project.Set.Node(addr)
	if !ok {
		return nil
	}
	in, err := v.project.pool.ready(v.ctx, d.Provider())
	if err != nil {
		return nil
	}
	return in.schema.Type(d.Type())
}

// diagnostics turns a provider's findings into faults; what is no error
// becomes a warning.
func (p *Project) diagnostics(found []sdk.Diagnostic, d resource.Desired) []*fault.Error {
	var faults []*fault.Error
	for _, diag := range found {
		f := resolve.Fault(d.Config(), diag.Path, "%s: %s", d.Address(), diag.Message)
		if diag.Hint != "" {
			f = f.WithHint("%s", diag.Hint)
		}
		if diag.Severity == sdk.SeverityError || diag.Severity == "" {
			faults = append(faults, f)
		} else if diag.Severity == sdk.SeverityWarning {
			p.warn(f)
		}
	}
	return faults
}

// faultOf makes a fault of any error, at a position where it has none.
func faultOf(err error, pos fault.Position) *fault.Error {
	var f *fault.Error
	if !asFault(err, &f) {
		f = fault.Wrap(fault.Config, err, "the configuration is not valid")
	}
	if f.Pos.IsZero() {
		f = f.At(pos)
	}
	return f
}

// Schema is the JSON Schema of the application file with the types of all
// providers that are there: those that ship in the binary and those of the
// plugins that o.ProjectDir pins and that are installed.
func Schema(ctx context.Context, kinds Kinds, o Options) (schema json.RawMessage, err error) {
	o.setDefaults()
	types := map[string]json.RawMessage{}
	add := func(s *sdk.Schema) {
		for _, t := range s.Types {
			types[t.Name] = t.Config
		}
	}
	plugins := newPlugins(kinds, o.ProjectDir, o)
	defer func() { err = errors.Join(err, plugins.close(ctx)) }()
	if err := plugins.schemas(ctx, func(_ string, s *sdk.Schema) { add(s) }); err != nil {
		return nil, err
	}
	for _, name := range kinds.Providers.Names() {
		factory, err := kinds.Providers.Get(name)
		if err != nil {
			return nil, err
		}
		s, err := factory(Host{}).Schema(ctx)
		if err != nil {
			return nil, fault.Wrap(fault.Provider, err, "read the schema of provider %q", name)
		}
		add(s)
	}
	return config.Schema(types)
}
