package yamledit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// nodeOf parses what an edit writes, to know what the tree must become.
func nodeOf(text string) (*yaml.Node, error) {
	root, err := parse([]byte(text))
	if err != nil || root == nil {
		return nil, fmt.Errorf("cannot write %q as YAML", text)
	}
	return root.Content[0], nil
}

// SetScalar gives the scalar at path another value.
func (d *Document) SetScalar(path Path, value string) error {
	p, ok := find(d.top(), path)
	if !ok || p.node.Kind != yaml.ScalarNode {
		return fmt.Errorf("there is no scalar at %s", path)
	}
	if p.node.Value == value && p.node.Tag == "!!str" {
		return nil
	}
	from, err := d.offset(p.node)
	if err != nil {
		return err
	}
	to, ok := d.end(p.node)
	if !ok || to == from {
		return &RefusedError{Path: path, Line: p.node.Line}
	}
	text := Scalar(value)
	want, err := d.wanting(path, text)
	if err != nil {
		return err
	}
	return d.splice(path, []edit{{from, to, text}}, want)
}

// wanting is the tree with text's node at path.
func (d *Document) wanting(path Path, text string) (*yaml.Node, error) {
	node, err := nodeOf(text)
	if err != nil {
		return nil, err
	}
	want := clone(d.top())
	p, _ := find(want, path)
	if p.parent == nil {
		return node, nil
	}
	p.parent.Content[p.index] = node
	return want, nil
}

// AddField adds a member at the end of the mapping at path, which must not
// have it yet.
func (d *Document) AddField(path Path, f Field) error {
	if d.top() == nil && len(path) == 0 {
		return d.begin(f)
	}
	p, ok := find(d.top(), path)
	if !ok || p.node.Kind != yaml.MappingNode || d.Has(append(slices.Clone(path), f.Key)) {
		return fmt.Errorf("there is no mapping at %s that lacks %q", path, f.Key)
	}
	value, err := nodeOf(flow(f.Value))
	if err != nil {
		return err
	}
	want := clone(d.top())
	at, _ := find(want, path)
	at.node.Content = append(at.node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.Key}, value)
	e, err := d.insertField(p.node, f)
	if err != nil {
		return &RefusedError{Path: path, Line: p.node.Line}
	}
	return d.splice(path, []edit{e}, want)
}

// begin writes the first member of a file that holds nothing but comments.
func (d *Document) begin(f Field) error {
	want, err := nodeOf(Scalar(f.Key) + ": " + flow(f.Value))
	if err != nil {
		return err
	}
	return d.splice(nil, []edit{{len(d.src), len(d.src), d.fresh() + f.line() + d.eol}}, want)
}

// fresh ends the last line where it has no break.
func (d *Document) fresh() string {
	if n := len(d.src); n > 0 && n > d.lines[0] && d.src[n-1] != '\n' {
		return d.eol
	}
	return ""
}

func (d *Document) insertField(m *yaml.Node, f Field) (edit, error) {
	if m.Style&yaml.FlowStyle != 0 {
		return d.insertFlow(m, Scalar(f.Key)+": "+flow(f.Value))
	}
	first := m.Content[0]
	last := d.lastLine(m.Content[len(m.Content)-1], m.Content[len(m.Content)-2].Line-1, first.Column-1)
	return d.insertLines(last, strings.Repeat(" ", first.Column-1)+f.line()), nil
}

// insertLines puts lines behind line i.
func (d *Document) insertLines(i int, lines ...string) edit {
	text := strings.Join(lines, d.eol) + d.eol
	at := d.lineEnd(i)
	if at == len(d.src) {
		text = d.fresh() + text
	}
	return edit{at, at, text}
}

// insertFlow puts text at the end of a flow collection.
func (d *Document) insertFlow(n *yaml.Node, text string) (edit, error) {
	end, ok := d.end(n)
	if !ok {
		return edit{}, &RefusedError{Line: n.Line}
	}
	at := end - 1
	if len(n.Content) > 0 {
		last, ok := d.end(n.Content[len(n.Content)-1])
		if !ok {
			return edit{}, &RefusedError{Line: n.Line}
		}
		at, text = last, ", "+text
	}
	return edit{at, at, text}, nil
}

// Append adds a mapping at the end of the sequence under key of the top-level
// mapping; where the key is absent or has no value, it is made.
func (d *Document) Append(key string, fields ...Field) error {
	path := Path{key}
	item, err := nodeOf(flow(fields))
	if err != nil {
		return err
	}
	if d.top() != nil && d.top().Kind != yaml.MappingNode {
		return &RefusedError{Path: path, Line: d.top().Line}
	}
	want := clone(d.top())
	if want == nil {
		want = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	at, ok := find(want, path)
	switch {
	case !ok:
		seq := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{item}}
		want.Content = append(want.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, seq)
	case at.node.Kind == yaml.SequenceNode:
		at.node.Content = append(at.node.Content, item)
	case at.node.Tag == "!!null" && at.node.Kind == yaml.ScalarNode:
		at.parent.Content[at.index] = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{item}}
	default:
		return &RefusedError{Path: path, Line: at.node.Line}
	}
	edits, err := d.appendEdits(path, key, fields)
	if err != nil {
		return &RefusedError{Path: path, Line: d.near(path)}
	}
	return d.splice(path, edits, want)
}

func (d *Document) appendEdits(path Path, key string, fields []Field) ([]edit, error) {
	p, ok := find(d.top(), path)
	switch {
	case !ok:
		return []edit{d.newSequence(key, fields)}, nil
	case p.node.Kind == yaml.SequenceNode && len(p.node.Content) > 0 && p.node.Style&yaml.FlowStyle != 0:
		e, err := d.insertFlow(p.node, flow(fields))
		return []edit{e}, err
	case p.node.Kind == yaml.SequenceNode && len(p.node.Content) > 0:
		n := len(p.node.Content) - 1
		dash := p.node.Column - 1
		last := d.lastLine(p.node.Content[n], p.node.Content[n].Line-1, dash)
		return []edit{d.insertLines(last, block(fields, dash)...)}, nil
	}
	return d.fill(p, fields)
}

// fill replaces an empty value, [] or nothing, by a sequence on new lines.
func (d *Document) fill(p place, fields []Field) ([]edit, error) {
	edits := []edit{d.insertLines(p.key.Line-1, block(fields, p.key.Column+1)...)}
	from, err := d.offset(p.node)
	if err != nil {
		return nil, err
	}
	if p.node.Kind == yaml.SequenceNode || p.node.Value != "" {
		to, ok := d.end(p.node)
		if !ok || d.lineOf(to-1) != p.key.Line-1 {
			return nil, &RefusedError{Line: p.node.Line}
		}
		for from > 0 && d.src[from-1] == ' ' {
			from--
		}
		edits = append(edits, edit{from, to, ""})
	}
	return edits, nil
}

// newSequence writes key and its first item at the end of the file's content.
func (d *Document) newSequence(key string, fields []Field) edit {
	lines := append([]string{Scalar(key) + ":"}, block(fields, 2)...)
	top := d.top()
	if top == nil || len(top.Content) == 0 {
		return edit{len(d.src), len(d.src), d.fresh() + strings.Join(lines, d.eol) + d.eol}
	}
	last := d.lastLine(top.Content[len(top.Content)-1], top.Content[len(top.Content)-2].Line-1, 0)
	return d.insertLines(last, lines...)
}

// block writes a mapping as an item of a block sequence whose dash stands at
// the given indentation.
func block(fields []Field, dash int) []string {
	lines := make([]string, len(fields))
	for i, f := range fields {
		mark := "  "
		if i == 0 {
			mark = "- "
		}
		lines[i] = strings.Repeat(" ", dash) + mark + f.line()
	}
	return lines
}

// trimComment returns the text of a comment without its mark.
func trimComment(c string) string { return string(bytes.TrimSpace(bytes.TrimLeft([]byte(c), "#"))) }
