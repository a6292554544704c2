package fakedo

import (
	"fmt"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// unlisted names the fields of a JSON value that none of the schemas lists.
// The description allows unknown fields where it says nothing, and so does
// kin-openapi; the real service drops or refuses them, so that a field that is
// spelt wrongly would pass every test and do nothing.
func unlisted(value any, where string, schemas ...*openapi3.SchemaRef) []string {
	flat := flatten(schemas, nil)
	switch v := value.(type) {
	case map[string]any:
		return unlistedFields(v, where, flat)
	case []any:
		items := itemsOf(flat)
		if len(items) == 0 {
			return nil
		}
		var out []string
		for i, e := range v {
			out = append(out, unlisted(e, fmt.Sprintf("%s[%d]", where, i), items...)...)
		}
		return out
	}
	return nil
}

func unlistedFields(v map[string]any, where string, flat []*openapi3.Schema) []string {
	if isOpen(flat) {
		return nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		next := where + "." + name
		field := fieldsOf(flat, name)
		if len(field) == 0 {
			out = append(out, next)
			continue
		}
		out = append(out, unlisted(v[name], next, field...)...)
	}
	return out
}

// flatten unfolds allOf, oneOf and anyOf into the plain schemas below them.
func flatten(refs []*openapi3.SchemaRef, into []*openapi3.Schema) []*openapi3.Schema {
	for _, ref := range refs {
		if ref == nil || ref.Value == nil || slices.Contains(into, ref.Value) {
			continue
		}
		into = append(into, ref.Value)
		into = flatten(ref.Value.AllOf, into)
		into = flatten(ref.Value.OneOf, into)
		into = flatten(ref.Value.AnyOf, into)
	}
	return into
}

// isOpen holds for an object of which the description lists no field, and for
// one that it says may have more.
func isOpen(flat []*openapi3.Schema) bool {
	fields := 0
	for _, s := range flat {
		fields += len(s.Properties)
		if s.AdditionalProperties.Schema != nil || (s.AdditionalProperties.Has != nil && *s.AdditionalProperties.Has) {
			return true
		}
	}
	return fields == 0
}

func fieldsOf(flat []*openapi3.Schema, name string) (out []*openapi3.SchemaRef) {
	for _, s := range flat {
		if ref, ok := s.Properties[name]; ok {
			out = append(out, ref)
		}
	}
	return out
}

func itemsOf(flat []*openapi3.Schema) (out []*openapi3.SchemaRef) {
	for _, s := range flat {
		if s.Items != nil {
			out = append(out, s.Items)
		}
	}
	return out
}
