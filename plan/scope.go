package plan

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// planScope answers for outputs with what the plan knows of them.
type planScope struct {
	b *builder
	// renewed is set when an unknown output belongs to a node that is made
	// anew: its value is another for certain.
	renewed bool
}

// Fingerprint implements resource.Scope.
func (s *planScope) Fingerprint(value []byte) string { return s.b.in.Fingerprint(value) }

// Output implements resource.Scope.
func (s *planScope) Output(ref resource.Ref) (resource.Known, error) {
	p, ok := s.b.planned[ref.Address]
	if !ok {
		if rec, there := s.b.context[ref.Address]; there {
			return RecordedOutput(rec, ref.Output)
		}
		return resource.Known{}, fault.New(fault.Config, "%q is not made yet, so its output %q is not known", ref.Address, ref.Output).
			WithHint("apply it first, or do everything in one plan with `wfctl up`")
	}
	if p.change == nil || p.change.Action() == ActionNoOp || p.outputs == nil {
		if p.record != nil {
			return RecordedOutput(*p.record, ref.Output)
		}
		return s.unmade(p, ref)
	}
	if out, sure := p.outputs[ref.Output]; sure {
		if d, declared := p.decls[ref.Output]; declared && d.Sensitive != nil && *d.Sensitive {
			out = out.WithSensitive(true)
		}
		return resource.Known{Value: &out}, nil
	}
	if p.staysSecret(ref.Output) {
		return RecordedOutput(*p.record, ref.Output)
	}
	if p.complete {
		return resource.Known{}, noOutput(ref, slices.Sorted(maps.Keys(p.outputs)))
	}
	if err := declared(p.schema, ref); err != nil {
		return resource.Known{}, err
	}
	if p.change.Action() != ActionUpdate {
		s.renewed = true
	}
	return resource.Known{Unknown: true}, nil
}

// staysSecret tells whether an update leaves an output as it is that is known
// by its fingerprint alone.
func (p *planned) staysSecret(output string) bool {
	if p.change.Action() != ActionUpdate || p.record == nil || p.schema == nil {
		return false
	}
	s := p.schema.Output(output)
	return s != nil && s.Stable && p.record.Outputs[output].Fingerprint != ""
}

// unmade answers for a node that is neither recorded nor part of the plan.
func (s *planScope) unmade(p *planned, ref resource.Ref) (resource.Known, error) {
	if p.schema == nil && s.b.keep != nil {
		return resource.Known{}, fault.New(fault.Usage, "output %q of %q is needed, and --target or --exclude leaves it out before it is made", ref.Output, ref.Address)
	}
	return resource.Known{Unknown: true}, nil
}

// declared checks that a type has an output.
func declared(schema *sdk.ResourceSchema, ref resource.Ref) error {
	if schema == nil || schema.DynamicOutputs || schema.Output(ref.Output) != nil {
		return nil
	}
	names := make([]string, len(schema.Outputs))
	for i, o := range schema.Outputs {
		names[i] = o.Name
	}
	err := fault.New(fault.Config, "%q (%s) has no output %q", ref.Address, schema.Name, ref.Output)
	if near := kind.Nearest(ref.Output, names); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	return err.WithHint("it has %v", names)
}

// noOutput says that a node has no such output, and what it has.
func noOutput(ref resource.Ref, names []string) error {
	err := fault.New(fault.Config, "%q has no output %q", ref.Address, ref.Output)
	if near := kind.Nearest(ref.Output, names); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	if len(names) == 0 {
		return err.WithHint("it has none")
	}
	return err.WithHint("it has %s", strings.Join(names, ", "))
}

// RecordedOutput answers for an output from a record: its value, or the
// fingerprint that stands for it.
func RecordedOutput(rec resource.Record, field string) (resource.Known, error) {
	out, ok := rec.Outputs[field]
	switch {
	case !ok:
		return resource.Known{}, noOutput(resource.Ref{Address: rec.Address, Output: field}, slices.Sorted(maps.Keys(rec.Outputs)))
	case out.Value != nil:
		v := sdk.RawOutput(out.Value, out.Sensitive)
		return resource.Known{Value: &v}, nil
	}
	return resource.Known{Fingerprint: out.Fingerprint}, nil
}

// overlay takes the recorded value at a path into a resolved configuration.
// A value that is recorded only as a fingerprint stays as it is desired for
// the provider, and as recorded for the comparison.
func overlay(r resource.Resolved, recorded json.RawMessage, p sdk.Path) (resource.Resolved, error) {
	var old, canonical, config any
	for raw, into := range map[*json.RawMessage]*any{&recorded: &old, &r.Canonical: &canonical} {
		if err := json.Unmarshal(*raw, into); err != nil {
			return r, err
		}
	}
	if err := json.Unmarshal(r.Config.Bytes(), &config); err != nil {
		return r, err
	}
	value, there := lookup(old, p.Segments())
	canonical = put(canonical, p.Segments(), value, there)
	raw, err := resource.Canonical(canonical)
	if err != nil {
		return r, err
	}
	r.Canonical, r.Digest = raw, resource.Digest(raw)
	if plain, err := json.Marshal(value); err == nil && !holdsFingerprint(plain) {
		config = put(config, p.Segments(), value, there)
		if r.Config.JSON, err = resource.Canonical(config); err != nil {
			return r, err
		}
	}
	return r, nil
}

func lookup(v any, path []string) (any, bool) {
	for _, seg := range path {
		switch node := v.(type) {
		case map[string]any:
			sub, ok := node[seg]
			if !ok {
				return nil, false
			}
			v = sub
		case []any:
			i, err := strconv.Atoi(seg)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// put sets, or with there false removes, the value at a path whose parents
// exist.
func put(v any, path []string, value any, there bool) any {
	if len(path) == 0 {
		return value
	}
	switch node := v.(type) {
	case map[string]any:
		if len(path) == 1 && !there {
			delete(node, path[0])
		} else if sub, ok := node[path[0]]; ok || len(path) == 1 {
			node[path[0]] = put(sub, path[1:], value, there)
		}
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(node) {
			node[i] = put(node[i], path[1:], value, there)
		}
	}
	return v
}
