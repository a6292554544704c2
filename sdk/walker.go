package sdk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Walker answers what a JSON Schema says of places in a configuration:
// the custom keywords of [ResourceSchema.Config]. It follows properties,
// additionalProperties, items, prefixItems and $ref within the document; it
// does not validate. It is safe for concurrent use.
type Walker struct {
	root *schemaNode
	defs map[string]*schemaNode
	// secret tells whether anything at all is sensitive: the common case of
	// nothing costs nothing.
	secret bool
}

// schemaNode is the part of a schema that a Walker reads.
type schemaNode struct {
	Ref        string                 `json:"$ref"`
	Properties map[string]*schemaNode `json:"properties"`
	Items      *schemaNode            `json:"items"`
	Prefix     []*schemaNode          `json:"prefixItems"`
	Additional json.RawMessage        `json:"additionalProperties"`
	Defs       map[string]*schemaNode `json:"$defs"`
	Immutable  bool                   `json:"x-immutable"`
	Sensitive  bool                   `json:"x-sensitive"`
	Computed   bool                   `json:"x-computed"`
	WriteOnly  bool                   `json:"x-write-only"`
	Default    json.RawMessage        `json:"default"`

	additional *schemaNode
}

// UnmarshalJSON accepts the boolean schemas true and false as empty ones.
func (n *schemaNode) UnmarshalJSON(raw []byte) error {
	if s := strings.TrimSpace(string(raw)); s == "true" || s == "false" {
		return nil
	}
	type plain schemaNode
	if err := json.Unmarshal(raw, (*plain)(n)); err != nil {
		return err
	}
	if len(n.Additional) > 0 && n.Additional[0] == '{' {
		n.additional = &schemaNode{}
		return json.Unmarshal(n.Additional, n.additional)
	}
	return nil
}

// SchemaWalker reads a schema. An empty one says nothing of any place.
func SchemaWalker(schema json.RawMessage) (*Walker, error) {
	w := &Walker{root: &schemaNode{}}
	if len(schema) == 0 {
		return w, nil
	}
	if err := json.Unmarshal(schema, w.root); err != nil {
		return nil, fmt.Errorf("read the JSON Schema: %w", err)
	}
	w.defs = w.root.Defs
	w.secret = strings.Contains(string(schema), `"x-sensitive"`)
	return w, nil
}

// Immutable tells whether a change at p, or at what holds it, replaces.
func (w *Walker) Immutable(p Path) bool {
	return w.along(p, func(n *schemaNode) bool { return n.Immutable })
}

// Sensitive tells whether the value at p, or what holds it, is sensitive.
func (w *Walker) Sensitive(p Path) bool {
	return w.secret && w.along(p, func(n *schemaNode) bool { return n.Sensitive })
}

// Computed tells whether the platform may fill in the value at p.
func (w *Walker) Computed(p Path) bool {
	return w.along(p, func(n *schemaNode) bool { return n.Computed })
}

// WriteOnly tells whether the value at p cannot be read back.
func (w *Walker) WriteOnly(p Path) bool {
	return w.along(p, func(n *schemaNode) bool { return n.WriteOnly })
}

// Default is what a member of the configuration counts as where it is not
// written; nil where the schema does not say.
func (w *Walker) Default(member string) json.RawMessage {
	n := w.child(w.deref(w.root), member)
	if n == nil {
		return nil
	}
	if n.Default != nil {
		return n.Default
	}
	return w.deref(n).Default
}

// along tells whether any node from the root to p has a property.
func (w *Walker) along(p Path, has func(*schemaNode) bool) bool {
	n := w.deref(w.root)
	for _, seg := range p.Segments() {
		if n = w.child(n, seg); n == nil {
			return false
		}
		if has(n) {
			return true
		}
		n = w.deref(n)
		if has(n) {
			return true
		}
	}
	return false
}

// child returns the schema of a member, without following its $ref.
func (w *Walker) child(n *schemaNode, seg string) *schemaNode {
	if sub, ok := n.Properties[seg]; ok {
		return sub
	}
	if i, err := strconv.Atoi(seg); err == nil && i >= 0 {
		if i < len(n.Prefix) {
			return n.Prefix[i]
		}
		if n.Items != nil {
			return n.Items
		}
	}
	return n.additional
}

// deref follows $ref, at most as often as there can be definitions.
func (w *Walker) deref(n *schemaNode) *schemaNode {
	for range 32 {
		name, ok := strings.CutPrefix(n.Ref, "#/$defs/")
		if !ok || w.defs[name] == nil {
			return n
		}
		n = w.defs[name]
	}
	return n
}

// SensitivePaths lists the places of a configuration that the schema calls
// sensitive and that are there, outermost only, sorted.
func (w *Walker) SensitivePaths(config []byte) []Path {
	if !w.secret {
		return nil
	}
	var v any
	if json.Unmarshal(config, &v) != nil {
		return nil
	}
	var paths []Path
	w.collect(w.deref(w.root), v, "", &paths)
	slices.Sort(paths)
	return paths
}

func (w *Walker) collect(n *schemaNode, v any, at Path, out *[]Path) {
	visit := func(seg string, at Path, v any) {
		c := w.child(n, seg)
		if c == nil || v == nil {
			return
		}
		if d := w.deref(c); c.Sensitive || d.Sensitive {
			*out = append(*out, at)
		} else {
			w.collect(d, v, at, out)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			visit(k, at.Child(k), sub)
		}
	case []any:
		for i, sub := range v {
			visit(strconv.Itoa(i), at.Index(i), sub)
		}
	}
}
