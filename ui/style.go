// Package ui shows things to people: errors with their place in a file, plans,
// the progress of a run, outputs, tables; and asks for a yes. It writes to the
// writers it is given and decides nothing.
package ui

import (
	"io"
	"strings"
	"unicode"
)

// Style says how to write.
type Style struct {
	// Color allows ANSI colours.
	Color bool
	// Width is the terminal's, in columns; 0 is not known.
	Width int
	// Source returns a line of a file, for an error that has a place and
	// brings no line; nil, or "", shows none.
	Source func(file string, line int) string
	// Mask takes secrets out of a text before it is broken into lines, where
	// the writer would no longer know one of several lines; nil masks nothing.
	Mask func(string) string
}

// maskOf is the Mask of a writer that has one.
func maskOf(w io.Writer) func(string) string {
	if m, ok := w.(interface{ Text(string) string }); ok {
		return m.Text
	}
	return nil
}

func (s Style) mask(text string) string {
	if s.Mask == nil {
		return text
	}
	return s.Mask(text)
}

// The colours, as SGR parameters.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	bold   = "1"
	dim    = "2"
)

func (s Style) paint(color, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printable replaces control characters, which could move the cursor, hide
// text or turn its direction, by visible ones.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '�'
		}
		return r
	}, s)
}

// block makes text of several lines printable and indents all but its first.
func block(s, indent string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n"+indent)
}
