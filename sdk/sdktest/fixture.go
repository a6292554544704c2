package sdktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/sdk"
)

// fixtures are the suite's own and those made from schemas.
func (s Suite) fixtures(schema *sdk.Schema) ([]Resource, error) {
	list := slices.Clone(s.Resources)
	for _, r := range list {
		if schema.Type(r.Type) == nil {
			return nil, fmt.Errorf("the fixture %q is of no type of the provider", r.Type)
		}
	}
	if s.Only {
		return list, nil
	}
	for _, t := range schema.Types {
		if slices.ContainsFunc(list, func(r Resource) bool { return r.Type == t.Name }) {
			continue
		}
		node, err := parse(t.Config)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		raw, err := json.Marshal(node.example(true))
		if err != nil {
			return nil, err
		}
		list = append(list, Resource{Type: t.Name, Config: raw})
	}
	return list, nil
}

// node is the part of a JSON Schema that examples are made from.
type node struct {
	Type       any               `json:"type"`
	Properties map[string]*node  `json:"properties"`
	Required   []string          `json:"required"`
	Items      *node             `json:"items"`
	Examples   []json.RawMessage `json:"examples"`
	Default    json.RawMessage   `json:"default"`
	Enum       []json.RawMessage `json:"enum"`
	Const      json.RawMessage   `json:"const"`
	Pattern    string            `json:"pattern"`
	Format     string            `json:"format"`
	MaxLength  *int              `json:"maxLength"`
	Minimum    json.Number       `json:"minimum"`
	Additional json.RawMessage   `json:"additionalProperties"`
}

func parse(schema json.RawMessage) (*node, error) {
	n := &node{}
	if len(schema) == 0 {
		return n, nil
	}
	if err := json.Unmarshal(schema, n); err != nil {
		return nil, fmt.Errorf("read the JSON Schema: %w", err)
	}
	return n, nil
}

// closed tells whether an object takes no other properties.
func (n *node) closed() bool { return strings.TrimSpace(string(n.Additional)) == "false" }

// example is a value that should fit: the schema's own example, default or
// enumeration where it has one. Optional properties are there where full is
// true and the schema says what they can be.
func (n *node) example(full bool) any {
	switch {
	case len(n.Examples) > 0:
		return n.Examples[0]
	case len(n.Const) > 0:
		return n.Const
	case len(n.Default) > 0:
		return n.Default
	case len(n.Enum) > 0:
		return n.Enum[0]
	}
	switch n.kind() {
	case "object":
		return n.object(full)
	case "array":
		return []any{}
	case "integer", "number":
		if n.Minimum != "" {
			return n.Minimum
		}
		return 1
	case "boolean":
		return false
	}
	return "example"
}

func (n *node) kind() string {
	switch t := n.Type.(type) {
	case string:
		return t
	case []any:
		if len(t) > 0 {
			return fmt.Sprint(t[0])
		}
	}
	if n.Properties != nil {
		return "object"
	}
	return "string"
}

func (n *node) object(full bool) map[string]any {
	out := map[string]any{}
	for name, p := range n.Properties {
		said := len(p.Examples)+len(p.Default)+len(p.Enum) > 0
		if slices.Contains(n.Required, name) || full && said {
			out[name] = p.example(full)
		}
	}
	return out
}

// recorded is a configuration as the host records it: secrets by fingerprint.
func recorded(c sdk.Config) sdk.Config {
	out := sdk.Config{JSON: c.JSON, Unknown: c.Unknown}
	for _, p := range c.Sensitive {
		if raw, ok := replace(out.JSON, p.Segments(), json.RawMessage(`{"$fingerprint":"h1:conformance"}`)); ok {
			out.JSON = raw
			out.Opaque = append(out.Opaque, p)
			out.Sensitive = append(out.Sensitive, p)
		}
	}
	return out
}

// replace sets the value at a place that is there.
func replace(raw json.RawMessage, at []string, value json.RawMessage) (json.RawMessage, bool) {
	if len(at) == 0 {
		return value, true
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) == nil {
		sub, ok := object[at[0]]
		if !ok {
			return raw, false
		}
		if object[at[0]], ok = replace(sub, at[1:], value); !ok {
			return raw, false
		}
		out, err := json.Marshal(object)
		return out, err == nil
	}
	var list []json.RawMessage
	var i int
	if json.Unmarshal(raw, &list) != nil || json.Unmarshal([]byte(at[0]), &i) != nil || i < 0 || i >= len(list) {
		return raw, false
	}
	var ok bool
	if list[i], ok = replace(list[i], at[1:], value); !ok {
		return raw, false
	}
	out, err := json.Marshal(list)
	return out, err == nil
}

// members of an object; nil for anything else.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var object map[string]json.RawMessage
	if len(raw) > 0 && json.Unmarshal(raw, &object) != nil {
		return nil
	}
	return object
}

// with returns an object with one member set, or removed by nil.
func with(raw json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	object := maps.Clone(members(raw))
	if object == nil {
		object = map[string]json.RawMessage{}
	}
	object[name] = value
	if value == nil {
		delete(object, name)
	}
	out, err := json.Marshal(object)
	if err != nil {
		return raw
	}
	return out
}
