// Package yamledit changes single places of a YAML file and leaves every other
// byte as it is: comments, blank lines, order, quotes and folding. No YAML
// library keeps those through decode and encode, so an edit is a splice of
// bytes at the position of a node; the result is parsed again, and unless it
// differs from the old tree in that place and nowhere else, the edit fails and
// nothing is changed.
//
// It knows the shapes that people write manifests in. What it cannot splice it
// refuses, with the place to edit by hand.
package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Path leads to a node: keys of mappings (string) and indexes of sequences (int).
type Path []any

// String shows the path as people write it: "plugins[2].version".
func (p Path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch s := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", s)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, s)
		}
	}
	return b.String()
}

// Document is a YAML file that can be edited.
type Document struct {
	src   []byte
	root  *yaml.Node // the document node; nil where the file holds nothing
	lines []int      // offset of each line's first byte
	eol   string
}

var bom = []byte("\xef\xbb\xbf")

// Parse reads a file of at most one document.
func Parse(src []byte) (*Document, error) {
	src = slices.Clone(src)
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	d := &Document{src: src, root: root, eol: "\n"}
	if bytes.Contains(src, []byte("\r\n")) {
		d.eol = "\r\n"
	}
	d.index()
	return d, nil
}

func parse(src []byte) (*yaml.Node, error) {
	if bytes.IndexByte(src, 0) >= 0 || !utf8.Valid(src) {
		return nil, errors.New("it is not UTF-8 text")
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one document")
	}
	return &root, nil
}

// Bytes is the file as it stands now.
func (d *Document) Bytes() []byte { return slices.Clone(d.src) }

// index notes where lines begin, as the parser counts them.
func (d *Document) index() {
	start := 0
	if bytes.HasPrefix(d.src, bom) {
		start = len(bom)
	}
	d.lines = []int{start}
	for i := start; i < len(d.src); {
		n := breakAt(d.src, i)
		if n == 0 {
			i++
			continue
		}
		i += n
		d.lines = append(d.lines, i)
	}
}

// breakAt is the length of the line break at i, 0 for none.
func breakAt(src []byte, i int) int {
	switch {
	case src[i] == '\n':
		return 1
	case src[i] == '\r':
		if i+1 < len(src) && src[i+1] == '\n' {
			return 2
		}
		return 1
	}
	for _, s := range []string{"\u0085", "\u2028", "\u2029"} {
		if bytes.HasPrefix(src[i:], []byte(s)) {
			return len(s)
		}
	}
	return 0
}

// offset is where a node begins; columns count runes.
func (d *Document) offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(d.lines) {
		return 0, errors.New("a node is outside of the file")
	}
	at := d.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(d.src) {
			return 0, errors.New("a node is outside of its line")
		}
		_, size := utf8.DecodeRune(d.src[at:])
		at += size
	}
	return at, nil
}

// line is the text of line i (from 0) without its break.
func (d *Document) line(i int) []byte {
	end := len(d.src)
	if i+1 < len(d.lines) {
		end = d.lines[i+1]
	}
	return bytes.TrimRight(d.src[d.lines[i]:end], "\r\n")
}

// lineEnd is the offset behind line i and its break.
func (d *Document) lineEnd(i int) int {
	if i+1 < len(d.lines) {
		return d.lines[i+1]
	}
	return len(d.src)
}

// lineOf is the line (from 0) that holds an offset.
func (d *Document) lineOf(offset int) int {
	i, found := slices.BinarySearch(d.lines, offset)
	if !found {
		i--
	}
	return max(i, 0)
}

// top is the node that the document holds, nil for none.
func (d *Document) top() *yaml.Node {
	if d.root == nil || len(d.root.Content) == 0 {
		return nil
	}
	return d.root.Content[0]
}

// place is a node with its surroundings.
type place struct {
	node, parent *yaml.Node
	key          *yaml.Node // in a mapping
	index        int        // of the node in parent.Content
}

func find(top *yaml.Node, path Path) (place, bool) {
	p := place{node: top}
	for _, step := range path {
		if p.node == nil {
			return p, false
		}
		var ok bool
		if p, ok = child(p.node, step); !ok {
			return p, false
		}
	}
	return p, p.node != nil
}

func child(n *yaml.Node, step any) (place, bool) {
	switch s := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && s >= 0 && s < len(n.Content) {
			return place{node: n.Content[s], parent: n, index: s}, true
		}
	case string:
		if n.Kind != yaml.MappingNode {
			break
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == s && n.Content[i].Kind == yaml.ScalarNode {
				return place{node: n.Content[i+1], parent: n, key: n.Content[i], index: i + 1}, true
			}
		}
	}
	return place{}, false
}

// Has tells whether there is a node at path.
func (d *Document) Has(path Path) bool {
	_, ok := find(d.top(), path)
	return ok
}

// Len is the number of items of the sequence at path, 0 for anything else.
func (d *Document) Len(path Path) int {
	if p, ok := find(d.top(), path); ok && p.node.Kind == yaml.SequenceNode {
		return len(p.node.Content)
	}
	return 0
}

// Text is the scalar at path.
func (d *Document) Text(path Path) (string, bool) {
	p, ok := find(d.top(), path)
	if !ok || p.node.Kind != yaml.ScalarNode || p.node.Tag == "!!null" {
		return "", false
	}
	return p.node.Value, true
}

// same compares two trees in all that has a meaning.
func same(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind == yaml.AliasNode {
		return a.Alias.Anchor == b.Alias.Anchor
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// clone copies a tree; aliases keep their targets.
func clone(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = clone(n.Content[i])
	}
	return &c
}

// splice replaces src[from:to] and accepts the result only where it parses to
// want.
func (d *Document) splice(path Path, edits []edit, want *yaml.Node) error {
	slices.SortFunc(edits, func(a, b edit) int { return b.from - a.from })
	src := slices.Clone(d.src)
	for _, e := range edits {
		src = slices.Concat(src[:e.from], []byte(e.text), src[e.to:])
	}
	next, err := Parse(src)
	if err != nil || !same(next.top(), want) {
		return &RefusedError{Path: path, Line: d.near(path)}
	}
	*d = *next
	return nil
}

type edit struct {
	from, to int
	text     string
}

func (d *Document) near(path Path) int {
	for n := len(path); n > 0; n-- {
		if p, ok := find(d.top(), path[:n]); ok {
			return p.node.Line
		}
	}
	return 1
}

// RefusedError says that an edit could not be made without touching more than
// was asked for.
type RefusedError struct {
	Path Path
	Line int
}

// Error names the place.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("line %d: %s is written in a way that cannot be edited without touching more", e.Line, e.Path)
}
