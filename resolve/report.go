package resolve

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	jskind "github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
)

// A report turns the validator's findings into errors that say what, where and
// what to do next.
type report struct {
	in     *input
	schema *jsonschema.Schema
	what   string
	open   []sdk.Path
	faults []*fault.Error
}

func pathOf(segments []string) sdk.Path {
	var p sdk.Path
	for _, s := range segments {
		p = p.Child(s)
	}
	return p
}

// add goes down to the findings that name a cause.
func (r *report) add(e *jsonschema.ValidationError) {
	p := pathOf(e.InstanceLocation)
	if r.dropped(e, p) {
		return
	}
	switch k := e.ErrorKind.(type) {
	case *jskind.AnyOf, *jskind.OneOf:
		r.branches(e, p)
		return
	case *jskind.AdditionalProperties:
		for _, name := range k.Properties {
			r.unknownKey(p, name)
		}
		return
	case *jskind.Required:
		for _, name := range k.Missing {
			r.missingKey(p, name)
		}
		return
	}
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			r.add(c)
		}
		return
	}
	r.leaf(e, p)
}

// dropped tells whether a finding rests on a value that is not known yet.
func (r *report) dropped(e *jsonschema.ValidationError, p sdk.Path) bool {
	if len(r.open) == 0 {
		return false
	}
	conditional := strings.Contains(e.SchemaURL, "/then") || strings.Contains(e.SchemaURL, "/else")
	for _, open := range r.open {
		if p.HasPrefix(open) {
			return true
		}
		if !open.HasPrefix(p) {
			continue
		}
		if conditional {
			return true
		}
		switch e.ErrorKind.(type) {
		case *jskind.AnyOf, *jskind.OneOf, *jskind.Not, *jskind.Enum, *jskind.Const, *jskind.Contains, *jskind.UniqueItems:
			return true
		}
	}
	return false
}

// branches shows the alternative that was most likely meant: the one whose
// type fits and of which least is wrong.
func (r *report) branches(e *jsonschema.ValidationError, p sdk.Path) {
	var best *report
	var wants []string
	for _, c := range e.Causes {
		if want, ok := wrongType(c, e.InstanceLocation); ok {
			wants = append(wants, want...)
			continue
		}
		branch := &report{in: r.in, schema: r.schema, what: r.what, open: r.open}
		branch.add(c)
		if len(branch.faults) > 0 && (best == nil || len(branch.faults) < len(best.faults)) {
			best = branch
		}
	}
	switch {
	case best != nil:
		r.faults = append(r.faults, best.faults...)
	case len(wants) > 0:
		r.wrongType(p, wants)
	default:
		r.fail(p, "%s fits more than one of the forms that it can have", r.label(p))
	}
}

// wrongType tells whether a branch fails for the type of the whole value.
func wrongType(e *jsonschema.ValidationError, at []string) ([]string, bool) {
	if t, ok := e.ErrorKind.(*jskind.Type); ok && slices.Equal(e.InstanceLocation, at) {
		return t.Want, true
	}
	for _, c := range e.Causes {
		if want, ok := wrongType(c, at); ok {
			return want, true
		}
	}
	return nil, false
}

func (r *report) fail(p sdk.Path, format string, args ...any) *fault.Error {
	f := Fault(r.in, p, format, args...)
	r.faults = append(r.faults, f)
	return f
}

// label names a value: "http_port" of module "web".
func (r *report) label(p sdk.Path) string {
	if p == "" {
		return "config of " + r.what
	}
	return fmt.Sprintf("%q of %s", p.Dotted(), r.what)
}

// within names what a key stands in.
func (r *report) within(p sdk.Path) string {
	if p == "" {
		return "the config of " + r.what
	}
	return fmt.Sprintf("%q of %s", p.Dotted(), r.what)
}

func (r *report) unknownKey(p sdk.Path, name string) {
	n, _, _ := r.in.find(p)
	var f *fault.Error
	if field, ok := n.Field(name); ok {
		f = field.Fault("unknown key %q in %s", name, r.within(p))
	} else {
		f = Fault(r.in, p, "unknown key %q in %s", name, r.within(p))
	}
	known := r.keysAt(p)
	switch near := kind.Nearest(name, known); {
	case near != "":
		f = f.WithHint("did you mean %q?", near)
	case len(known) > 0:
		f = f.WithHint("the keys are %s", strings.Join(known, ", "))
	}
	r.faults = append(r.faults, f)
}

func (r *report) missingKey(p sdk.Path, name string) {
	f := r.fail(p, "%s has no %q", r.within(p), name)
	for _, s := range r.at(p.Child(name)) {
		if s.Enum != nil {
			f.Hint = fmt.Sprintf("%s is one of %s", name, words(s.Enum.Values))
			return
		}
		if s.Description != "" {
			f.Hint = name + ": " + s.Description
		}
	}
	if f.Hint == "" {
		f.Hint = fmt.Sprintf("add `%s:`", name)
	}
}

func (r *report) wrongType(p sdk.Path, want []string) {
	names := make([]string, len(want))
	for i, w := range want {
		names[i] = article(w)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	n, _, _ := r.in.find(p)
	l := r.in.leaves[n]
	got := n.Kind.String()
	if l != nil {
		got = describe(l.value)
	}
	f := r.fail(p, "%s must be %s, not %s", r.label(p), strings.Join(names, " or "), got)
	number := slices.Contains(want, "integer") || slices.Contains(want, "number") || slices.Contains(want, "boolean")
	text := slices.Contains(want, "string")
	switch {
	case number && l != nil && l.value != nil:
		f.Hint = "a variable is text: make a value of it with ${{ fromJSON(env.NAME) }}"
	case number && n.Kind == config.String && !strings.ContainsAny(n.Text, " \n"):
		f.Hint = "write it without quotes"
	case text && (n.Kind == config.Number || n.Kind == config.Bool):
		f.Hint = fmt.Sprintf("put it in quotes: %q", n.Text)
	case slices.Contains(want, "array") && n.Kind == config.String:
		f.Hint = "write a list: [" + n.Text + "]"
	}
}

func article(jsonType string) string {
	switch jsonType {
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "string":
		return "a string"
	}
	return jsonType
}

// leaf reports a finding about one value. A value that may be a secret is not
// shown.
func (r *report) leaf(e *jsonschema.ValidationError, p sdk.Path) {
	n, _, _ := r.in.find(p)
	secret := r.in.leaves[n] != nil && r.in.leaves[n].secret
	switch k := e.ErrorKind.(type) {
	case *jskind.Type:
		r.wrongType(p, k.Want)
	case *jskind.Enum:
		r.notOneOf(p, k.Got, k.Want, secret)
	case *jskind.Const:
		r.notOneOf(p, k.Got, []any{k.Want}, secret)
	case *jskind.Format:
		r.fail(p, "%s is not a valid %s", r.label(p), k.Want)
	case *jskind.Pattern:
		r.fail(p, "%s does not match %s", r.label(p), k.Want)
	case *jskind.Minimum:
		r.fail(p, "%s must be at least %s", r.label(p), number(k.Want))
	case *jskind.Maximum:
		r.fail(p, "%s must be at most %s", r.label(p), number(k.Want))
	case *jskind.ExclusiveMinimum:
		r.fail(p, "%s must be more than %s", r.label(p), number(k.Want))
	case *jskind.ExclusiveMaximum:
		r.fail(p, "%s must be less than %s", r.label(p), number(k.Want))
	case *jskind.MultipleOf:
		r.fail(p, "%s must be a multiple of %s", r.label(p), number(k.Want))
	default:
		r.size(e, p)
	}
}

// size reports lengths and what is left.
func (r *report) size(e *jsonschema.ValidationError, p sdk.Path) {
	switch k := e.ErrorKind.(type) {
	case *jskind.MinLength:
		if k.Got == 0 {
			r.fail(p, "%s must not be empty", r.label(p))
			return
		}
		r.fail(p, "%s must have at least %d characters", r.label(p), k.Want)
	case *jskind.MaxLength:
		r.fail(p, "%s must have at most %d characters", r.label(p), k.Want)
	case *jskind.MinItems:
		r.fail(p, "%s must have at least %d elements, not %d", r.label(p), k.Want, k.Got)
	case *jskind.MaxItems:
		r.fail(p, "%s must have at most %d elements, not %d", r.label(p), k.Want, k.Got)
	case *jskind.MinProperties:
		r.fail(p, "%s must have at least %d keys, not %d", r.label(p), k.Want, k.Got)
	case *jskind.MaxProperties:
		r.fail(p, "%s must have at most %d keys, not %d", r.label(p), k.Want, k.Got)
	case *jskind.UniqueItems:
		r.fail(p, "elements %d and %d of %s are the same", k.Duplicates[0], k.Duplicates[1], r.label(p))
	case *jskind.PropertyNames:
		r.fail(p, "%q cannot be a key of %s", k.Property, r.within(p))
	case *jskind.DependentRequired:
		r.fail(p, "%s has %q and must then have %s too", r.within(p), k.Prop, strings.Join(k.Missing, ", "))
	case *jskind.FalseSchema:
		r.fail(p, "%s is not allowed here", r.label(p))
	case *jskind.Not:
		r.fail(p, "%s is not allowed in this form", r.label(p))
	default:
		r.fail(p, "%s is not what its schema allows (%s)", r.label(p), strings.Join(k.KeywordPath(), "/"))
	}
}

func (r *report) notOneOf(p sdk.Path, got any, want []any, secret bool) {
	known := make([]string, len(want))
	for i, w := range want {
		known[i] = word(w)
	}
	text, isText := got.(string)
	var f *fault.Error
	switch {
	case secret:
		f = r.fail(p, "%s has a value that is not allowed", r.label(p))
	default:
		f = r.fail(p, "%s cannot be %s", r.label(p), quoted(got))
	}
	if near := kind.Nearest(text, known); isText && near != "" && !secret {
		f.Hint = fmt.Sprintf("did you mean %q?", near)
		return
	}
	if len(known) == 1 {
		f.Hint = "it must be " + known[0]
		return
	}
	f.Hint = "it is one of " + strings.Join(known, ", ")
}

func words(values []any) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = word(v)
	}
	return strings.Join(list, ", ")
}

func word(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

func quoted(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 60 {
			v = v[:60] + "…"
		}
		return strconv.Quote(v)
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v)
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// keysAt lists the keys that the schema knows at a path.
func (r *report) keysAt(p sdk.Path) []string {
	var names []string
	for _, s := range r.at(p) {
		for name := range s.Properties {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// at collects the schemas that hold at a path.
func (r *report) at(p sdk.Path) []*jsonschema.Schema {
	level := spread(r.schema, nil)
	for _, segment := range p.Segments() {
		var next []*jsonschema.Schema
		for _, s := range level {
			if child, ok := s.Properties[segment]; ok {
				next = spread(child, next)
			} else if child, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
				next = spread(child, next)
			}
			if _, err := strconv.Atoi(segment); err == nil {
				next = spread(s.Items2020, next)
				if child, ok := s.Items.(*jsonschema.Schema); ok {
					next = spread(child, next)
				}
			}
		}
		level = next
	}
	return level
}

// spread adds a schema with all those that hold at the same place.
func spread(s *jsonschema.Schema, to []*jsonschema.Schema) []*jsonschema.Schema {
	if s == nil || slices.Contains(to, s) {
		return to
	}
	to = append(to, s)
	to = spread(s.Ref, to)
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf, {s.Then, s.Else}} {
		for _, sub := range list {
			to = spread(sub, to)
		}
	}
	return to
}
