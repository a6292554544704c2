package resolve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/config"
)

// judge checks a value in YAML against a schema; open values may stand in it.
func judge(t testing.TB, schema, value string) *conform {
	t.Helper()
	set, err := Resolve(mustLoad(t, header+"modules:\n  - {name: a, type: core.data}\n  - name: m\n    type: core.data\n    config: {v: "+value+"}\n"), Options{Env: "local"})
	if err != nil {
		t.Fatal(render(err))
	}
	s, err := compileSchema(json.RawMessage(`{"properties": {"v": ` + schema + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	in := nodeOf(t, set, "m").Config().(*input)
	c := &conform{in: in, what: "module \"m\""}
	c.check(s, spot{node: in.tree})
	return c
}

const open = `"${{ modules.a.outputs.x }}"`

// A value that is not known yet fits, and nothing is concluded from it.
func TestOpenValues(t *testing.T) {
	for _, c := range []struct {
		schema, value string
		ok            bool
	}{
		{`{"type": "integer"}`, open, true},
		{`{"type": "object", "required": ["a"]}`, "{a: " + open + "}", true},
		{`{"type": "object", "required": ["b"]}`, "{a: " + open + "}", false},
		{`{"enum": [1, 2]}`, open, true},
		{`{"enum": [{"a": 1}]}`, "{a: " + open + "}", true},
		{`{"not": {"type": "string"}}`, open, true},
		{`{"anyOf": [{"type": "object", "required": ["b"]}, {"properties": {"a": {"const": 1}}}]}`, "{a: " + open + "}", true},
		{`{"anyOf": [{"required": ["b"]}, {"required": ["c"]}]}`, "{a: " + open + "}", false},
		{`{"oneOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 2}}}]}`, "{a: " + open + "}", true},
		{`{"oneOf": [true, {"properties": {"a": {"const": 2}}}]}`, "{a: " + open + "}", true},
		{`{"oneOf": [true, true]}`, "{a: " + open + "}", false},
		{`{"if": {"properties": {"a": {"const": 1}}}, "then": false, "else": false}`, "{a: " + open + "}", true},
		{`{"if": {"required": ["a"]}, "then": {"required": ["b"]}}`, "{a: " + open + "}", false},
		{`{"uniqueItems": true}`, "[1, " + open + ", 1]", false},
		{`{"uniqueItems": true}`, "[1, " + open + "]", true},
		{`{"contains": {"const": 1}}`, "[2, " + open + "]", true},
		{`{"contains": {"const": 1}}`, "[2, 3]", false},
		{`{"maxItems": 1}`, "[" + open + ", " + open + "]", false},
		{`{"items": {"pattern": "^a$"}}`, "[a, \"x${{ modules.a.outputs.x }}\"]", true},
	} {
		if got := judge(t, c.schema, c.value); (len(got.faults) == 0) != c.ok {
			t.Errorf("%s with %s: %v", c.schema, c.value, got.faults)
		}
	}
}

// What our checker says of whole documents is what the reference says.
func TestAgreesWithTheReference(t *testing.T) {
	fixed := map[string][]string{
		`{"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "maxItems": 2}}}`: {"[]", "[[], [[]]]", "[[], [], []]", "[1]"},
		`{"properties": {"a~b/c": {"$ref": "#/definitions/x%20y"}}, "definitions": {"x y": {"type": "integer"}}}`: {"{a~b/c: 1}", "{a~b/c: x}"},
		`{"items": [{"type": "integer"}], "additionalItems": {"type": "string"}}`:                                 {"[1, a]", "[a]", "[1, 2]"},
		`{"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}`:                                                {"{a: 1}", "{a: 1, b: 1}", "{c: 1}", "{c: 1, d: 1}"},
		`{"type": ["integer", "null"], "multipleOf": 0.1}`:                                                        {"1", "1.5", "null", "~", "3.0"},
		`{"type": "number", "multipleOf": 0.1, "exclusiveMaximum": 3, "exclusiveMinimum": 1}`:                     {"1.5", "1.55", "3", "1", "2"},
		`{"minLength": 2, "maxLength": 3}`:                                                                        {"é", "éé", "abcd", "5"},
		`{"format": "hostname"}`:                                                                                  {"a.b", "-a", "a_b"},
		`{"format": "uuid"}`:                                                                                      {"123e4567-e89b-12d3-a456-426614174000", "x"},
		`{"format": "date-time"}`:                                                                                 {"'2026-04-24T10:00:00Z'", "'2026'"},
		`{"format": "ipv4"}`:                                                                                      {"10.0.0.1", "10.0.0.256", "'::1'"},
	}
	for schema, values := range fixed {
		draft := jsonschema.Draft2020
		if strings.Contains(schema, "additionalItems") || strings.Contains(schema, "dependencies") {
			draft = jsonschema.Draft7
		}
		for _, v := range values {
			agree(t, draft, schema, v)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		agree(t, jsonschema.Draft2020, drawSchema(rt, 3), drawValue(rt, 3))
	})
}

func agree(t *testing.T, draft *jsonschema.Draft, schema, value string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.AssertFormat()
	if err := c.AddResource("mem:s", doc); err != nil {
		t.Fatal(err)
	}
	reference, err := c.Compile("mem:s")
	if err != nil {
		t.Fatal(err)
	}
	f := mustLoad(t, "project: p\nvars: {v: "+value+"}\n")
	node := f.Vars.Get("v")
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(node.AppendJSON(nil))))
	if err != nil {
		t.Fatal(err)
	}
	want := reference.Validate(instance) == nil
	s, err := compileSchema(json.RawMessage(schema))
	if err != nil {
		t.Fatal(err)
	}
	own := conform{in: &input{tree: node, owner: node}, what: "it"}
	own.check(s, spot{node: node})
	if got := len(own.faults) == 0; got != want {
		t.Fatalf("%s with %s: the reference says %t, we say %t: %v", schema, value, want, got, own.faults)
	}
}

// drawSchema makes a schema of the keywords there are.
func drawSchema(t *rapid.T, depth int) string {
	var keywords []string
	add := func(format string, args ...any) { keywords = append(keywords, fmt.Sprintf(format, args...)) }
	n := rapid.IntRange(0, 3).Draw(t, "keywords")
	seen := map[int]bool{}
	for range n {
		k := rapid.IntRange(0, 24).Draw(t, "keyword")
		if seen[k] || (depth == 0 && k > 12) {
			continue
		}
		seen[k] = true
		sub := func() string { return drawSchema(t, depth-1) }
		count := rapid.IntRange(0, 3).Draw(t, "count")
		switch k {
		case 0, 1:
			if seen[0] && seen[1] {
				continue
			}
			add(`"type": %q`, rapid.SampledFrom([]string{"string", "number", "integer", "boolean", "null", "array", "object"}).Draw(t, "type"))
		case 2:
			add(`"type": ["string", "object", "array"]`)
		case 3:
			add(`"enum": [1, "x", null, {"a": 7}, [7], "word"]`)
		case 4:
			add(`"const": %s`, rapid.SampledFrom([]string{"1", `"x"`, "7", "null", `{"a": 1, "b": "x"}`}).Draw(t, "const"))
		case 5:
			add(`"minimum": %d`, count)
		case 6:
			add(`"maximum": %d.5`, count)
		case 7:
			add(`"minLength": %d`, count)
		case 8:
			add(`"pattern": "[w-y]"`)
		case 9:
			add(`"required": ["b"]`)
		case 10:
			add(`"minItems": %d`, count)
		case 11:
			add(`"maxProperties": %d`, count)
		case 12:
			add(`"uniqueItems": true`)
		case 13:
			add(`"properties": {"a": %s, "c": %s}`, sub(), sub())
		case 14:
			add(`"additionalProperties": %s`, rapid.SampledFrom([]string{"false", "true", `{"type": "string"}`}).Draw(t, "additional"))
		case 15:
			add(`"patternProperties": {"^[bc]": %s}`, sub())
		case 16:
			add(`"propertyNames": {"enum": ["a", "c"]}`)
		case 17:
			add(`"items": %s`, sub())
		case 18:
			add(`"prefixItems": [%s]`, sub())
		case 19:
			add(`"contains": %s`, sub())
		case 20:
			add(`"allOf": [%s, %s]`, sub(), sub())
		case 21:
			add(`"anyOf": [%s, %s]`, sub(), sub())
		case 22:
			add(`"oneOf": [%s, %s]`, sub(), sub())
		case 23:
			add(`"not": %s`, sub())
		case 24:
			add(`"if": %s, "then": %s, "else": %s`, sub(), sub(), sub())
		}
	}
	unique := map[string]bool{}
	kept := keywords[:0]
	for _, k := range keywords {
		name, _, _ := strings.Cut(k, ":")
		if !unique[name] {
			kept = append(kept, k)
		}
		unique[name] = true
	}
	return "{" + strings.Join(kept, ", ") + "}"
}

// A schema that cannot be checked whole is refused, with the place.
func TestSchemasThatAreRefused(t *testing.T) {
	for schema, want := range map[string]string{
		`{`:           "unexpected EOF",
		`5`:           "a schema is an object or a boolean",
		`{"type": 5}`: "no list of words",
		`{"properties": {"a": {"pattern": "("}}}`: "at #/properties/a/pattern",
		`{"$ref": "#/$defs/a"}`:                   "there is nothing at this place",
		`{"$ref": "https://example.com/x"}`:       "leads out of the schema",
		`{"unevaluatedProperties": false}`:        "is not supported",
		`{"minLength": "x"}`:                      "is no number",
		`{"minLength": 1.5}`:                      "no whole number",
		`{"allOf": {}}`:                           "no list of schemas",
		`{"properties": []}`:                      "no object of schemas",
		`{"maximum": 1e99999}`:                    "is no number",
	} {
		if _, err := compileSchema(json.RawMessage(schema)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", schema, err, want)
		}
	}
	d := nodeOf(t, mustResolve(t, header+"modules: [{name: m, type: core.data}]\n", "local", nil), "m")
	if faults := NewChecker().Check(json.RawMessage(`{"$ref": "x"}`), d); len(faults) != 1 || !strings.Contains(faults[0].Hint, "mistake of the provider") {
		t.Errorf("%v", faults)
	}
}

// A schema that refers to itself without end comes to an end.
func TestEndlessSchema(t *testing.T) {
	n := config.NewString(mustLoad(t, "project: p\nvars: {v: 1}\n").Vars, "x")
	s, err := compileSchema(json.RawMessage(`{"$ref": "#", "anyOf": [{"$ref": "#"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c := conform{in: &input{tree: n, owner: n}, what: "it"}
	c.check(s, spot{node: n})
}
