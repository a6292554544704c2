package yamledit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Comments lists the comments inside the lines of the entry at path, and
// directly above it, without their marks.
func (d *Document) Comments(path Path) []string {
	p, ok := find(d.top(), path)
	if !ok || hasBlockScalar(p.node) {
		return nil
	}
	start := p.node
	if p.key != nil {
		start = p.key
	}
	from, err := d.offset(start)
	if err != nil {
		return nil
	}
	to, ok := d.end(p.node)
	if !ok {
		to = d.lineEnd(d.lastLine(p.node, start.Line-1, start.Column-1))
	} else if p.parent == nil || p.parent.Style&yaml.FlowStyle == 0 {
		to = d.lineEnd(d.lineOf(to - 1))
	}
	var list []string
	for _, c := range comments(d.src[from:to]) {
		list = append(list, trimComment(c))
	}
	return list
}

// Delete removes the entry at path: a member of a mapping or an item of a
// sequence. With keep, the comments on its lines stay, on lines of their own;
// without, they go, and so do those directly above an item that is not the
// first.
func (d *Document) Delete(path Path, keep bool) error {
	p, ok := find(d.top(), path)
	if !ok || p.parent == nil {
		return fmt.Errorf("there is nothing at %s", path)
	}
	want := clone(d.top())
	at, _ := find(want, path)
	from := at.index
	if at.key != nil {
		from--
	}
	at.parent.Content = slices.Delete(at.parent.Content, from, at.index+1)
	edits, err := d.deleteEdits(path, p, keep)
	if err != nil {
		return &RefusedError{Path: path, Line: p.node.Line}
	}
	return d.splice(path, edits, want)
}

func (d *Document) deleteEdits(path Path, p place, keep bool) ([]edit, error) {
	if p.parent.Style&yaml.FlowStyle != 0 {
		e, err := d.deleteFlow(p)
		if err == nil && keep {
			e.text = d.keptInFlow(p, e)
		}
		return []edit{e}, err
	}
	first, indent, inline, err := d.entryStart(p)
	if err != nil {
		return nil, err
	}
	last := d.lastLine(p.node, max(first, p.node.Line-1), indent)
	if inline {
		return d.deleteInline(p, first, last, keep)
	}
	e := edit{from: d.lines[first], to: d.lineEnd(last)}
	switch {
	case keep && !hasBlockScalar(p.node):
		for _, c := range comments(d.src[e.from:e.to]) {
			e.text += strings.Repeat(" ", indent) + c + d.eol
		}
	case !keep && !d.isFirst(p):
		e.from = d.lines[d.above(first, indent)]
	}
	return d.orEmpty(path, p, e)
}

// entryStart is the line and indentation of an entry; inline is true where
// something else stands before it on that line, as in "- name: x".
func (d *Document) entryStart(p place) (line, indent int, inline bool, err error) {
	if p.key != nil {
		indent = p.key.Column - 1
		in, _ := indentOf(d.line(p.key.Line - 1))
		return p.key.Line - 1, indent, in != indent, nil
	}
	indent = p.parent.Column - 1
	for line = p.node.Line - 1; line >= 0; line-- {
		in, blank := indentOf(d.line(line))
		if !blank && in == indent && d.line(line)[in] == '-' {
			return line, indent, false, nil
		}
		if !blank && in < indent {
			break
		}
	}
	return 0, 0, false, &RefusedError{Line: p.node.Line}
}

func (d *Document) isFirst(p place) bool {
	return p.index == 0 || p.key != nil && p.index == 1
}

// above is the first of the comment lines that stand directly above line i.
func (d *Document) above(i, indent int) int {
	for i > 0 {
		in, blank := indentOf(d.line(i - 1))
		if blank || in != indent || d.line(i - 1)[in] != '#' {
			break
		}
		i--
	}
	return i
}

// deleteInline removes the first member of a mapping that begins behind a
// dash: the next member moves up to it.
func (d *Document) deleteInline(p place, first, last int, keep bool) ([]edit, error) {
	if p.key == nil || p.index+1 >= len(p.parent.Content) {
		return nil, &RefusedError{Line: p.node.Line}
	}
	from, err := d.offset(p.key)
	if err != nil {
		return nil, err
	}
	to, err := d.offset(p.parent.Content[p.index+1])
	if err != nil {
		return nil, err
	}
	edits := []edit{{from, to, ""}}
	removed := d.src[from:to]
	if !keep {
		removed = d.src[d.lineEnd(last):max(to, d.lineEnd(last))]
	}
	indent, _ := indentOf(d.line(first))
	var text string
	for _, c := range comments(append([]byte("\n"), removed...)) {
		text += strings.Repeat(" ", indent) + c + d.eol
	}
	if text != "" {
		edits = append(edits, edit{d.lines[first], d.lines[first], text})
	}
	return edits, nil
}

// orEmpty leaves [] or {} where the last entry of a collection goes.
func (d *Document) orEmpty(path Path, p place, e edit) ([]edit, error) {
	size := 1
	empty := " []"
	if p.key != nil {
		size, empty = 2, " {}"
	}
	if len(p.parent.Content) > size {
		return []edit{e}, nil
	}
	owner, ok := find(d.top(), path[:len(path)-1])
	if !ok || owner.key == nil {
		return nil, &RefusedError{Line: p.node.Line}
	}
	end, ok := d.end(owner.key)
	if !ok {
		return nil, &RefusedError{Line: p.node.Line}
	}
	colon := bytes.IndexByte(d.src[end:], ':')
	if colon < 0 {
		return nil, &RefusedError{Line: p.node.Line}
	}
	at := end + colon + 1
	return []edit{e, {at, at, empty}}, nil
}

// deleteFlow removes an entry between brackets with its comma.
func (d *Document) deleteFlow(p place) (edit, error) {
	begin := p.index
	if p.key != nil {
		begin--
	}
	start, err := d.offset(p.parent.Content[begin])
	if err != nil {
		return edit{}, err
	}
	if p.index+1 < len(p.parent.Content) {
		next, err := d.offset(p.parent.Content[p.index+1])
		return edit{from: start, to: next}, err
	}
	end, ok := d.end(p.node)
	if begin > 0 && ok {
		start, ok = d.end(p.parent.Content[begin-1])
	}
	if !ok {
		return edit{}, &RefusedError{Line: p.node.Line}
	}
	return edit{from: start, to: end}, nil
}

// keptInFlow writes the comments of a removed entry on lines of their own.
func (d *Document) keptInFlow(p place, e edit) string {
	list := comments(d.src[e.from:e.to])
	if len(list) == 0 {
		return ""
	}
	indent := strings.Repeat(" ", max(0, p.parent.Column-1))
	if p.key != nil {
		indent = strings.Repeat(" ", p.key.Column-1)
	}
	text := strings.Join(list, d.eol+indent) + d.eol + indent
	if p.index+1 >= len(p.parent.Content) {
		text = " " + text
	}
	return text
}
