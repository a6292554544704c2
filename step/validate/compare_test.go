package validate_test

import (
	"encoding/json"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// schemas use every keyword that is supported.
var schemas = []string{
	order,
	`{"type": ["integer", "null"], "minimum": -2, "exclusiveMaximum": 3}`,
	`{"type": "number", "multipleOf": 0.5, "maximum": 2, "exclusiveMinimum": -1}`,
	`{"enum": [1, "a", null, {"a": 1}, [1, 2], true]}`,
	`{"const": {"a": [1, 2]}}`,
	`{"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2, "uniqueItems": true}`,
	`{"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}`,
	`{"contains": {"type": "string"}, "minContains": 1, "maxContains": 1}`,
	`{"type": "object", "properties": {"a": {"type": "integer"}}, "patternProperties": {"^b": {"type": "string"}}, "additionalProperties": {"type": "boolean"}}`,
	`{"type": "object", "propertyNames": {"maxLength": 1}, "minProperties": 1, "maxProperties": 2, "dependentRequired": {"a": ["b"]}}`,
	`{"anyOf": [{"type": "string", "minLength": 2}, {"type": "integer"}]}`,
	`{"oneOf": [{"type": "integer"}, {"minimum": 1, "type": "number"}]}`,
	`{"allOf": [{"required": ["a"]}, {"not": {"required": ["b"]}}]}`,
	`{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"minProperties": 1}}`,
	`{"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"a": {"$ref": "#/$defs/tree"}}, "additionalProperties": {"type": "integer"}}}}`,
	`{"type": "string", "pattern": "^a+$", "maxLength": 3}`,
	`{"format": "uuid"}`, `{"format": "email"}`, `{"format": "date-time"}`, `{"format": "date"}`, `{"format": "uri"}`, `{"format": "ipv4"}`, `{"format": "ipv6"}`,
	`{"properties": {"a": false}}`, `true`,
}

var texts = []string{
	"", "a", "aa", "b", "é", "6f0c1f9e-4d8a-4c39-9a57-0c7f0f1f2a3b", "6F0C1F9E-4D8A-4C39-9A57-0C7F0F1F2A3B", "6f0c1f9e4d8a4c399a570c7f0f1f2a3b",
	"ann@example.com", "ann.b+c@example.com", ".ann@example.com", "ann..b@example.com", "ann@", "ann", "2026-04-24T10:00:00Z", "2026-04-24T10:00:00.5+02:00",
	"2026-04-24 10:00:00Z", "2026-02-30T10:00:00Z", "2026-04-24", "2026-13-01", "https://example.com/callback?a=b#c", "http://x", "example.com", "urn:a:b", "http://a b",
	"127.0.0.1", "256.0.0.1", "::1", "1::2::3",
}

func value(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 6
		if depth == 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom(texts).Draw(t, "text")
		case 1:
			return float64(rapid.IntRange(-6, 6).Draw(t, "halves")) / 2
		case 2:
			return rapid.Bool().Draw(t, "bool")
		case 3:
			return nil
		case 4:
			list := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				list = append(list, value(depth-1).Draw(t, "item"))
			}
			return list
		}
		m := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			m[rapid.SampledFrom([]string{"a", "b", "bb", "c", "order_id", "customer_email", "amount", "currency"}).Draw(t, "name")] = value(depth-1).Draw(t, "member")
		}
		return m
	})
}

// What it finds valid is what another validator does.
func TestAgreesWithAnother(t *testing.T) {
	for _, raw := range schemas {
		ours := compile(t, raw)
		theirs := another(t, raw)
		rapid.Check(t, func(t *rapid.T) {
			v := value(2).Draw(t, "value")
			err, want := ours.Check(v), theirs.Validate(v)
			if (err == nil) != (want == nil) {
				shown, _ := json.Marshal(v)
				t.Fatalf("%s\nof %s: %v; the other says %v", raw, shown, err, want)
			}
		})
	}
}

func another(t *testing.T, raw string) *jsonschema.Schema {
	t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(raw), &doc); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("s.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
