package resolve

import (
	"strings"

	"github.com/rhysd/actionlint"

	"github.com/gocodealone/wfctl/resource"
)

// A scope answers for contexts and references while an expression is
// evaluated.
type scope struct {
	contexts map[string]any
	// output answers for references; nil where there can be none.
	output func(reference) (any, *evalError)
	// secret is set when something sensitive was read.
	secret bool
}

func (l literal) eval(*scope) (any, *evalError) { return l.value, nil }

func (r root) eval(s *scope) (any, *evalError) {
	v, ok := s.contexts[r.name]
	if !ok {
		return nil, r.fail("the context %q cannot be used as a whole", r.name).withHint("name what you want of it: %s.NAME", r.name)
	}
	return v, nil
}

func (m modulePart) eval(*scope) (any, *evalError) {
	if m.outputs {
		return nil, m.fail("modules.%s.outputs is no value by itself", m.name).withHint("name an output: modules.%s.outputs.NAME", m.name)
	}
	return nil, m.fail("modules.%s is no value by itself", m.name).
		withHint("name an output: modules.%s.outputs.NAME, or modules.%s.name", m.name, m.name)
}

func (r reference) eval(s *scope) (any, *evalError) {
	if s.output == nil {
		return unknown{}, nil
	}
	return s.output(r)
}

// path shows a reference as it is written.
func path(ref resource.Ref) string {
	if name, ok := strings.CutPrefix(string(ref.Address), resource.ImagePrefix); ok {
		if ref.Output == "ref" {
			return "images." + name
		}
		return "images." + name + "." + ref.Output
	}
	if name, ok := strings.CutPrefix(string(ref.Address), resource.PushPrefix); ok {
		return "images." + name + "." + ref.Output
	}
	if name, ok := strings.CutPrefix(string(ref.Address), resource.SecretPrefix); ok {
		return "secrets." + name
	}
	return "modules." + string(ref.Address) + ".outputs." + ref.Output
}

func (p property) eval(s *scope) (any, *evalError) {
	of, err := p.of.eval(s)
	if err != nil {
		return nil, err
	}
	return p.get(s, of, p.name)
}

// get reads a property of a value.
func (p span) get(s *scope, of any, name string) (any, *evalError) {
	switch of := of.(type) {
	case unknown, missing:
		return of, nil
	case context:
		v, err := of.get(s, name)
		if err != nil {
			err.offset, err.width = p.offset, p.width
			return missing{err}, nil
		}
		return v, nil
	case *object:
		if v, ok := of.get(name); ok {
			return p.present(v, name)
		}
		return missing{p.fail("there is no property %q", name)}, nil
	case filtered:
		var list filtered
		for _, item := range of {
			if o, ok := item.(*object); ok {
				if v, ok := o.get(name); ok {
					list = append(list, v)
				}
			}
		}
		return list, nil
	}
	return missing{p.fail("%s has no property %q", describe(of), name)}, nil
}

// present makes a null that stands in a context missing.
func (p span) present(v any, name string) (any, *evalError) {
	if v == nil {
		return missing{p.fail("%q is null", name)}, nil
	}
	return v, nil
}

func (i index) eval(s *scope) (any, *evalError) {
	of, err := i.of.eval(s)
	if err != nil {
		return nil, err
	}
	key, err := i.key.eval(s)
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case unknown:
		return k, nil
	case missing:
		return nil, k.err
	case string:
		if asList(of) == nil {
			return i.get(s, of, k)
		}
	}
	switch of := of.(type) {
	case unknown, missing:
		return of, nil
	case []any, filtered:
		list, n := asList(of), toNumber(key)
		if n >= 0 && n < float64(len(list)) {
			return list[int(n)], nil
		}
		return missing{i.fail("the list has %d elements, and none at this index", len(list))}, nil
	}
	text, ok := toText(key)
	if !ok {
		return nil, i.fail("%s cannot be an index", describe(key))
	}
	return i.get(s, of, text)
}

func (st star) eval(s *scope) (any, *evalError) {
	of, err := st.of.eval(s)
	if err != nil {
		return nil, err
	}
	switch of := of.(type) {
	case unknown, missing:
		return of, nil
	case []any:
		return filtered(of), nil
	case filtered:
		var list filtered
		for _, item := range of {
			list = append(list, elements(item)...)
		}
		return list, nil
	case *object:
		return filtered(elements(of)), nil
	}
	return nil, st.fail("%s has no elements for `*`", describe(of))
}

// elements are what `*` goes through.
func elements(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case *object:
		list := make([]any, len(v.names))
		for i, name := range v.names {
			list[i] = v.values[name]
		}
		return list
	}
	return nil
}

func (n not) eval(s *scope) (any, *evalError) {
	v, err := n.of.eval(s)
	if _, ok := v.(unknown); ok || err != nil {
		return v, err
	}
	return falsy(v), nil
}

func (l logical) eval(s *scope) (any, *evalError) {
	left, err := l.left.eval(s)
	if _, ok := left.(unknown); ok || err != nil {
		return left, err
	}
	if falsy(left) == l.and {
		return left, nil
	}
	return l.right.eval(s)
}

func (c compare) eval(s *scope) (any, *evalError) {
	left, err := c.left.eval(s)
	if err != nil {
		return nil, err
	}
	right, err := c.right.eval(s)
	if err != nil {
		return nil, err
	}
	for _, v := range []any{left, right} {
		switch v := v.(type) {
		case unknown:
			return v, nil
		case missing:
			if !c.op.IsEqualityOp() {
				return nil, v.err
			}
		}
	}
	switch c.op {
	case actionlint.CompareOpNodeKindEq:
		return equal(left, right), nil
	case actionlint.CompareOpNodeKindNotEq:
		return !equal(left, right), nil
	case actionlint.CompareOpNodeKindLess:
		return less(left, right), nil
	case actionlint.CompareOpNodeKindLessEq:
		return less(left, right) || ordered(left, right), nil
	case actionlint.CompareOpNodeKindGreater:
		return less(right, left), nil
	}
	return less(right, left) || ordered(left, right), nil
}

// ordered is the equality of <= and >=, which lists and objects do not have.
func ordered(a, b any) bool { return !isCollection(a) && !isCollection(b) && equal(a, b) }
