package yamledit

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// plain tells whether a value may stand without quotes, also inside {} and [].
func plain(value string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_"
	return value != "" && strings.IndexByte(first, value[0]) >= 0 && strings.Trim(value, first+"@+:=~-") == ""
}

// Scalar writes a string as a YAML scalar that reads back as that string:
// plain where that is safe, else in double quotes.
func Scalar(value string) string {
	if plain(value) && !strings.HasSuffix(value, ":") {
		var n yaml.Node
		if yaml.Unmarshal([]byte(value), &n) == nil && len(n.Content) == 1 &&
			n.Content[0].Kind == yaml.ScalarNode && n.Content[0].Tag == "!!str" && n.Content[0].Value == value {
			return value
		}
	}
	return strconv.Quote(value) // Go's escapes are a part of YAML's
}

// Int is a whole number to write.
type Int int

// Field is one member of a mapping to write. Value is a string, an [Int], a
// []Field, or a *yaml.Node taken from another file.
type Field struct {
	Key   string
	Value any
	// Comment is written behind the value, without its "#".
	Comment string
}

func flow(value any) string {
	var fields []Field
	switch v := value.(type) {
	case string:
		return Scalar(v)
	case Int:
		return strconv.Itoa(int(v))
	case *yaml.Node:
		return flowNode(v)
	case []Field:
		fields = v
	}
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = Scalar(f.Key) + ": " + flow(f.Value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// flowNode writes a node with all that hangs on it, without its comments. It
// must hold no alias.
func flowNode(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, flowNode(n.Content[i])+": "+flowNode(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, c := range n.Content {
			parts = append(parts, flowNode(c))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if n.ShortTag() == "!!str" {
		return Scalar(n.Value)
	}
	if n.Value == "" {
		return "null"
	}
	return n.Value
}

// FieldsOf are the members of a mapping node.
func FieldsOf(n *yaml.Node) []Field {
	var fields []Field
	for i := 0; i+1 < len(n.Content); i += 2 {
		fields = append(fields, Field{Key: n.Content[i].Value, Value: n.Content[i+1]})
	}
	return fields
}

// line is a field on a line of its own, without indentation.
func (f Field) line() string {
	s := Scalar(f.Key) + ": " + flow(f.Value)
	if f.Comment != "" {
		s += " # " + strings.ReplaceAll(f.Comment, "\n", " ")
	}
	return s
}
