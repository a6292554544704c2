package config

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/fault"
)

// Kind is what a [Node] is.
type Kind uint8

// The kinds of a node, those of JSON.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
)

// String names the kind as an error does.
func (k Kind) String() string {
	return [...]string{"null", "true or false", "a number", "a string", "a list", "a mapping"}[k]
}

// Node is one value of a file. Aliases and merge keys are already followed,
// so one node may stand at several places of the tree; nobody changes a node
// once it is loaded.
type Node struct {
	Kind Kind
	// Text is a string's content, and the JSON of a number or boolean.
	Text string
	// Fields are a map's members in the order of the file.
	Fields []Field
	// Items are a list's elements.
	Items []*Node

	src       *source
	line, col int32
	// size counts the values below, those behind aliases each time.
	size int32
}

// Field is a member of a map.
type Field struct {
	Name      string
	Value     *Node
	line, col int32
}

// NewMap makes a map that stands where at does: for values that wfctl puts
// together itself from parts of a file.
func NewMap(at *Node, fields ...Field) *Node {
	return &Node{Kind: Map, Fields: fields, src: at.src, line: at.line, col: at.col}
}

// NewList makes a list that stands where at does.
func NewList(at *Node, items ...*Node) *Node {
	return &Node{Kind: List, Items: items, src: at.src, line: at.line, col: at.col}
}

// NewString makes a string that stands where at does.
func NewString(at *Node, text string) *Node {
	return &Node{Kind: String, Text: text, src: at.src, line: at.line, col: at.col}
}

// With returns the field with another value, at the same place.
func (f Field) With(v *Node) Field { f.Value = v; return f }

// Pos is where the value stands.
func (n *Node) Pos() fault.Position { return n.src.pos(n.line, n.col) }

// Pos is where the field's name stands.
func (f Field) Pos() fault.Position {
	if f.line == 0 {
		return f.Value.Pos()
	}
	return f.Value.src.pos(f.line, f.col)
}

// IsNull tells whether there is no value: absent or null.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Null }

// Get returns a member of a map, nil where there is none.
func (n *Node) Get(name string) *Node {
	if f, ok := n.Field(name); ok {
		return f.Value
	}
	return nil
}

// Field returns a member of a map with the place of its name.
func (n *Node) Field(name string) (Field, bool) {
	if n == nil {
		return Field{}, false
	}
	for _, f := range n.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Without returns the map without some of its members.
func (n *Node) Without(names ...string) *Node {
	if n == nil || n.Kind != Map {
		return n
	}
	c := *n
	c.Fields = make([]Field, 0, len(n.Fields))
next:
	for _, f := range n.Fields {
		for _, name := range names {
			if f.Name == name {
				continue next
			}
		}
		c.Fields = append(c.Fields, f)
	}
	return &c
}

// WithFields returns the map with other members.
func (n *Node) WithFields(fields []Field) *Node {
	c := *n
	c.Kind, c.Fields = Map, fields
	return &c
}

// Fault makes an error that points at the value.
func (n *Node) Fault(format string, args ...any) *fault.Error {
	if n == nil {
		return fault.New(fault.Config, format, args...)
	}
	e := fault.New(fault.Config, format, args...).At(n.Pos())
	n.src.show(e, n)
	return e
}

// FaultIn makes an error that points at a part of a string: width bytes of
// Text from offset.
func (n *Node) FaultIn(offset, width int, format string, args ...any) *fault.Error {
	e := n.Fault(format, args...)
	if offset < 0 || width <= 0 || offset+width > len(n.Text) {
		return e
	}
	n.src.showPart(e, n, offset, width)
	return e
}

// NameNode is the field's name as a string of its own.
func (f Field) NameNode() *Node {
	if f.line == 0 {
		return NewString(f.Value, f.Name)
	}
	return &Node{Kind: String, Text: f.Name, src: f.Value.src, line: f.line, col: f.col}
}

// Fault makes an error that points at the field's name.
func (f Field) Fault(format string, args ...any) *fault.Error {
	return f.NameNode().Fault(format, args...)
}

// AppendJSON appends the value as JSON, members in the order of the file.
func (n *Node) AppendJSON(b []byte) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	switch n.Kind {
	case Bool, Number:
		return append(b, n.Text...)
	case String:
		return AppendString(b, n.Text)
	case List:
		b = append(b, '[')
		for i, item := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.AppendJSON(b)
		}
		return append(b, ']')
	case Map:
		b = append(b, '{')
		for i, f := range n.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(AppendString(b, f.Name), ':')
			b = f.Value.AppendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// MarshalJSON implements json.Marshaler.
func (n *Node) MarshalJSON() ([]byte, error) { return n.AppendJSON(nil), nil }

// AppendString appends s as a JSON string, as encoding/json does without
// escaping HTML.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(s) // a string always encodes
			return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// quote shows a value in an error, cut where it is long.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}

// oneOf lists words for a hint.
func oneOf(words []string) string { return strings.Join(words, ", ") }
