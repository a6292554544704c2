package yamledit

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v4"
)

// end is the offset behind a node's last byte, where that can be told from
// the text alone; ok is false for block styles and folded plain scalars.
func (d *Document) end(n *yaml.Node) (int, bool) {
	at, err := d.offset(n)
	if err != nil || at >= len(d.src) || n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return 0, false
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		if n.Style&yaml.FlowStyle == 0 {
			return 0, false
		}
		return closing(d.src, at)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, false
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return quoteEnd(d.src, at)
	}
	if !bytes.HasPrefix(d.src[at:], []byte(n.Value)) {
		return 0, false
	}
	return at + len(n.Value), true
}

// quoteEnd is the offset behind the quoted scalar that begins at i.
func quoteEnd(src []byte, i int) (int, bool) {
	if i >= len(src) || (src[i] != '"' && src[i] != '\'') {
		return 0, false
	}
	q := src[i]
	for i++; i < len(src); i++ {
		switch {
		case q == '"' && src[i] == '\\':
			i++
		case src[i] != q:
		case q == '\'' && i+1 < len(src) && src[i+1] == q:
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

// closing is the offset behind the bracket that closes the one at i.
func closing(src []byte, i int) (int, bool) {
	if i >= len(src) || (src[i] != '{' && src[i] != '[') {
		return 0, false
	}
	depth := 0
	for i < len(src) {
		switch {
		case quoteStarts(src, i):
			end, ok := quoteEnd(src, i)
			if !ok {
				return 0, false
			}
			i = end
			continue
		case commentStarts(src, i):
			for i < len(src) && src[i] != '\n' && src[i] != '\r' {
				i++
			}
			continue
		case src[i] == '{' || src[i] == '[':
			depth++
		case src[i] == '}' || src[i] == ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
		i++
	}
	return 0, false
}

// quoteStarts tells whether a quoted scalar begins at i: a quote inside a
// plain scalar does not begin one.
func quoteStarts(src []byte, i int) bool {
	return (src[i] == '"' || src[i] == '\'') && (i == 0 || strings.IndexByte(" \t\r\n[{,:", src[i-1]) >= 0)
}

func commentStarts(src []byte, i int) bool {
	return src[i] == '#' && (i == 0 || strings.IndexByte(" \t\r\n", src[i-1]) >= 0)
}

// comments lists the comments in a piece of source, from "#" to the line's end.
func comments(src []byte) []string {
	var list []string
	for i := 0; i < len(src); {
		if quoteStarts(src, i) {
			if end, ok := quoteEnd(src, i); ok {
				i = end
				continue
			}
		}
		if !commentStarts(src, i) {
			i++
			continue
		}
		from := i
		for i < len(src) && src[i] != '\n' && src[i] != '\r' {
			i++
		}
		list = append(list, string(bytes.TrimRight(src[from:i], " \t")))
	}
	return list
}

func hasBlockScalar(n *yaml.Node) bool {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return true
	}
	for _, c := range n.Content {
		if hasBlockScalar(c) {
			return true
		}
	}
	return false
}

// indentOf counts leading spaces; blank is true for a line without content.
func indentOf(line []byte) (indent int, blank bool) {
	rest := bytes.TrimLeft(line, " ")
	return len(line) - len(rest), len(bytes.TrimSpace(rest)) == 0
}

// lastLine is the last line (from 0) of what begins on line first and stands
// in a block with the given indentation: all that is indented more, without
// the blank lines at its end.
func (d *Document) lastLine(n *yaml.Node, first, indent int) int {
	last := max(first, d.deepest(n, first))
	for i := last + 1; i < len(d.lines); i++ {
		in, blank := indentOf(d.line(i))
		if blank {
			continue
		}
		if in <= indent && !d.indentless(n, i, indent) {
			break
		}
		last = i
	}
	return last
}

// indentless tells whether line i is an item of n, a sequence written at the
// same column as its key.
func (d *Document) indentless(n *yaml.Node, i, indent int) bool {
	line := d.line(i)
	return n.Kind == yaml.SequenceNode && n.Style&yaml.FlowStyle == 0 && n.Column == indent+1 &&
		len(line) > indent && line[indent] == '-' && (len(line) == indent+1 || line[indent+1] == ' ')
}

// deepest is the last line that a part of n is known to reach.
func (d *Document) deepest(n *yaml.Node, line int) int {
	line = max(line, n.Line-1)
	if end, ok := d.end(n); ok && end > 0 {
		line = max(line, d.lineOf(end-1))
	}
	for _, c := range n.Content {
		line = d.deepest(c, line)
	}
	return line
}
