package config

import (
	"encoding/json"
	"strings"
)

// addType adds the schema of a type, and a second one for its overlays, to the
// definitions.
func addType(definitions object, name string, raw json.RawMessage) error {
	if len(raw) == 0 {
		raw = json.RawMessage(`{"type":"object"}`)
	}
	for _, over := range []bool{false, true} {
		var schema any
		if err := json.Unmarshal(raw, &schema); err != nil {
			return err
		}
		key := name
		if over {
			key += " overlay"
		}
		a := adapter{root: "#/definitions/" + pointer(key), overlay: over}
		s, ok := a.schema(schema).(object)
		if !ok {
			s = object{"type": "object"}
		}
		properties, _ := s["properties"].(object)
		if properties == nil {
			properties = object{}
			s["properties"] = properties
		}
		properties["provider"] = prose("the module of type iac.provider that manages it")
		properties["name"] = prose("what the platform calls it; the module's name by default")
		if over {
			s["type"] = []any{"object", "null"}
		}
		definitions[key] = s
	}
	return nil
}

// pointer escapes a definition's name in a reference, which is a URL too.
func pointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", " ", "%20").Replace(name)
}

// An adapter turns a provider's schema (draft 2020-12) into draft-07 inside
// another document, lets an expression stand for any value, and, for an
// overlay, asks for nothing.
type adapter struct {
	root    string
	overlay bool
}

// dropped are keywords that draft-07 does not have, or that say nothing to an
// editor.
var dropped = map[string]bool{
	"$schema": true, "$id": true, "$anchor": true, "$vocabulary": true, "$comment": true, "$dynamicAnchor": true, "$dynamicRef": true,
	"unevaluatedProperties": true, "unevaluatedItems": true, "minContains": true, "maxContains": true,
}

// partial are keywords that cannot be asked of an overlay, which has only a
// part of the configuration.
var partial = map[string]bool{
	"required": true, "minProperties": true, "if": true, "then": true, "else": true, "oneOf": true, "anyOf": true, "not": true,
	"dependentRequired": true, "dependentSchemas": true, "dependencies": true,
}

func (a adapter) schema(v any) any {
	s, ok := v.(object)
	if !ok {
		return v
	}
	out := object{}
	for key, value := range s {
		if dropped[key] || strings.HasPrefix(key, "x-") || (a.overlay && partial[key]) {
			continue
		}
		a.keyword(out, key, value)
	}
	if items, ok := s["prefixItems"]; ok {
		if rest, ok := out["items"]; ok {
			out["additionalItems"] = rest
		}
		out["items"] = a.list(items, true)
	}
	if ref, ok := out["$ref"]; ok && len(out) > 1 { // draft-07 reads nothing beside $ref
		delete(out, "$ref")
		all, _ := out["allOf"].([]any)
		out["allOf"] = append(all, object{"$ref": ref})
	}
	return out
}

func (a adapter) keyword(out object, key string, value any) {
	switch key {
	case "properties", "patternProperties":
		out[key] = a.values(value, true)
	case "$defs", "definitions":
		out[key] = a.values(value, false)
	case "dependentRequired":
		out["dependencies"] = value
	case "dependentSchemas":
		out["dependencies"] = a.values(value, false)
	case "items", "additionalProperties", "additionalItems":
		out[key] = a.value(value)
	case "contains", "propertyNames", "not", "if", "then", "else":
		out[key] = a.schema(value)
	case "allOf", "anyOf", "oneOf":
		out[key] = a.list(value, false)
	case "prefixItems":
	case "$ref":
		if target, ok := value.(string); ok && strings.HasPrefix(target, "#") {
			value = a.root + strings.TrimPrefix(target, "#")
		}
		out[key] = value
	default:
		out[key] = value
	}
}

func (a adapter) values(v any, dynamic bool) any {
	m, ok := v.(object)
	if !ok {
		return v
	}
	out := object{}
	for name, s := range m {
		if dynamic {
			out[name] = a.value(s)
		} else {
			out[name] = a.schema(s)
		}
	}
	return out
}

func (a adapter) list(v any, dynamic bool) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(list))
	for i, s := range list {
		if dynamic {
			out[i] = a.value(s)
		} else {
			out[i] = a.schema(s)
		}
	}
	return out
}

// value is a schema at a place where an expression may stand.
func (a adapter) value(v any) any {
	s, ok := a.schema(v).(object)
	if !ok {
		return v
	}
	if !a.overlay && plainText(s) {
		return s
	}
	if len(s) == 0 {
		return s
	}
	choices := []any{s, ref("expression")}
	if a.overlay {
		choices = append(choices, object{"type": "null"})
	}
	out := object{"anyOf": choices}
	for _, key := range []string{"description", "default", "title"} { // what an editor shows
		if doc, ok := s[key]; ok {
			out[key] = doc
			delete(s, key)
		}
	}
	return out
}

// plainText tells whether any string fits.
func plainText(s object) bool {
	if s["type"] != "string" {
		return false
	}
	for _, key := range []string{"enum", "const", "pattern", "format", "minLength", "maxLength", "allOf", "anyOf", "oneOf", "not"} {
		if _, ok := s[key]; ok {
			return false
		}
	}
	return true
}
