package resolve

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// A Checker checks configurations against the JSON Schemas of their types. It
// may be used by several goroutines.
type Checker struct {
	mu       sync.Mutex
	compiled map[string]compiled
}

type compiled struct {
	shape *shape
	err   error
}

// NewChecker makes a checker.
func NewChecker() *Checker { return &Checker{compiled: map[string]compiled{}} }

// compile compiles a schema once.
func (c *Checker) compile(schema json.RawMessage) (*shape, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.compiled[string(schema)]; ok {
		return known.shape, known.err
	}
	s, err := compileSchema(schema)
	c.compiled[string(schema)] = compiled{s, err}
	return s, err
}

// Check checks the configuration of a node. References count as fitting
// wherever they stand.
func (c *Checker) Check(schema json.RawMessage, d resource.Desired) []*fault.Error {
	return c.CheckInput(schema, d.Config(), subject(d))
}

// subject names a node in an error.
func subject(d resource.Desired) string {
	switch d.Type() {
	case "image", "migration", "gate":
		return fmt.Sprintf("%s %q", d.Type(), d.Name())
	}
	return fmt.Sprintf("module %q", d.Address())
}

// CheckInput checks a configuration that is not a node's: of a provider or of
// the state. What names it in errors.
func (c *Checker) CheckInput(schema json.RawMessage, i resource.Input, what string) []*fault.Error {
	in, ok := i.(*input)
	if !ok || len(schema) == 0 {
		return nil
	}
	s, err := c.compile(schema)
	if err != nil {
		return []*fault.Error{fault.Wrap(fault.Provider, err, "the schema for %s cannot be used", what).
			At(in.owner.Pos()).WithHint("this is a mistake of the provider: report it to its author")}
	}
	v := conform{in: in, what: what}
	v.check(s, spot{node: in.tree})
	return v.faults
}

// Type finds the schema of a node's type in that of its provider.
func (c *Checker) Type(s *sdk.Schema, d resource.Desired) (*sdk.ResourceSchema, *fault.Error) {
	if rs := s.Type(d.Type()); rs != nil {
		return rs, nil
	}
	e := fault.New(fault.Config, "").At(d.Pos())
	if in, ok := d.Config().(*input); ok && in.typ != nil {
		e = in.typ.Fault("")
	}
	known := make([]string, len(s.Types))
	for i := range s.Types {
		known[i] = s.Types[i].Name
	}
	if instead, ok := s.Unsupported[d.Type()]; ok {
		e.Message = fmt.Sprintf("provider %q (%s) does not have %s", d.Provider().Address, d.Provider().Kind, d.Type())
		return nil, e.WithHint("%s", instead)
	}
	e.Message = fmt.Sprintf("provider %q (%s) has no type %q", d.Provider().Address, d.Provider().Kind, d.Type())
	if near := kind.Nearest(d.Type(), known); near != "" {
		return nil, e.WithHint("did you mean %q?", near)
	}
	return nil, e.WithHint("%s", listed("it has ", known))
}

// References checks that the outputs a node refers to exist; schemaOf returns
// the schema of a node's type, nil where it is not known.
func (c *Checker) References(d resource.Desired, schemaOf func(resource.Address) *sdk.ResourceSchema) []*fault.Error {
	in, ok := d.Config().(*input)
	if !ok {
		return nil
	}
	return in.references(schemaOf)
}

func (in *input) references(schemaOf func(resource.Address) *sdk.ResourceSchema) []*fault.Error {
	var faults []*fault.Error
	for _, l := range in.leaves {
		for _, r := range l.refs {
			rs := schemaOf(r.ref.Address)
			if rs == nil || rs.DynamicOutputs || rs.Output(r.ref.Output) != nil {
				continue
			}
			known := make([]string, len(rs.Outputs))
			for i := range rs.Outputs {
				known[i] = rs.Outputs[i].Name
			}
			f := l.node.FaultIn(r.offset, r.width, "%q (%s) has no output %q", r.ref.Address, rs.Name, r.ref.Output)
			switch near := kind.Nearest(r.ref.Output, known); {
			case near != "":
				f = f.WithHint("did you mean %q?", near)
			case len(known) > 0:
				f = f.WithHint("%s", listed("its outputs are ", known))
			}
			faults = append(faults, f)
		}
	}
	return faults
}

// Declarations checks a module's name and its `outputs:` against the schema of
// its type. Warnings do not stop anything.
func (c *Checker) Declarations(rs *sdk.ResourceSchema, d resource.Desired) (faults, warnings []*fault.Error) {
	if rs.NameMax > 0 && len(d.Name()) > rs.NameMax {
		faults = append(faults, c.at(d).Fault("the name %q is longer than the %d characters that %s allows", d.Name(), rs.NameMax, d.Type()).
			WithHint("set `config: {name: …}`"))
	}
	if rs.DynamicOutputs {
		return faults, nil
	}
	for name, decl := range d.Outputs() {
		out := rs.Output(name)
		if out == nil {
			known := make([]string, len(rs.Outputs))
			for i := range rs.Outputs {
				known[i] = rs.Outputs[i].Name
			}
			e := fault.New(fault.Config, "%s (%s) has no output %q", subject(d), d.Type(), name).At(decl.Pos)
			if near := kind.Nearest(name, known); near != "" {
				faults = append(faults, e.WithHint("did you mean %q?", near))
			} else {
				faults = append(faults, e.WithHint("%s", listed("its outputs are ", known)))
			}
			continue
		}
		if out.Sensitive && decl.Sensitive != nil && !*decl.Sensitive {
			warnings = append(warnings, fault.New(fault.Config, "output %q of %s is declared `sensitive: false`, and its provider holds it sensitive", name, subject(d)).
				At(decl.Pos).WithHint("it will be shown in plain"))
		}
	}
	return faults, warnings
}

// at is where a node's name stands.
func (c *Checker) at(d resource.Desired) *config.Node {
	if in, ok := d.Config().(*input); ok {
		if n := in.owner; n != nil {
			return n
		}
	}
	return nil
}

// Fault makes an error that shows the place of a value in the user's file: for
// what a provider's Validate finds.
func Fault(i resource.Input, p sdk.Path, format string, args ...any) *fault.Error {
	in, ok := i.(*input)
	if !ok {
		return fault.New(fault.Config, format, args...)
	}
	n, f, exact := in.find(p)
	switch {
	case p == "":
		return in.owner.Fault(format, args...)
	case exact && n.Kind != config.Map && n.Kind != config.List:
		return n.Fault(format, args...)
	case f.Value != nil:
		return f.Fault(format, args...)
	}
	return in.owner.Fault(format, args...)
}
