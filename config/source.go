package config

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/fault"
)

// maxShown is the longest line that an error quotes: a file written by a
// program may be one line of a megabyte.
const maxShown = 4000

// source is the text of a file, kept for the lines that errors show.
type source struct {
	name string
	data []byte

	once  sync.Once
	lines []int // offset of each line
}

func (s *source) pos(line, col int32) fault.Position {
	if s == nil {
		return fault.Position{}
	}
	return fault.Position{File: s.name, Line: int(line), Column: int(col)}
}

// start returns the offset of a line, counted from 1.
func (s *source) start(line int) int {
	s.once.Do(func() {
		s.lines = append(s.lines, 0)
		for i, c := range s.data {
			if c == '\n' {
				s.lines = append(s.lines, i+1)
			}
		}
	})
	if line < 1 || line > len(s.lines) {
		return len(s.data)
	}
	return s.lines[line-1]
}

// text returns a line without its end.
func (s *source) text(line int) string {
	rest := s.data[s.start(line):]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	text := strings.TrimSuffix(string(rest), "\r")
	if line == 1 {
		text = strings.TrimPrefix(text, "\ufeff")
	}
	return text
}

// show adds the source line and the width of the caret for a value.
func (s *source) show(e *fault.Error, n *Node) {
	if s == nil {
		return
	}
	line := s.text(int(n.line))
	rest := afterRunes(line, int(n.col)-1)
	e.Source, e.Width = line, max(1, width(rest, n))
	trim(e)
}

// trim drops a source line that is too long to show.
func trim(e *fault.Error) {
	if len(e.Source) > maxShown {
		e.Source, e.Width = "", 0
	}
}

// width is how many runes of a line, from where n stands, belong to n.
func width(rest string, n *Node) int {
	if rest == "" {
		return 1
	}
	if q := rest[0]; q == '"' || q == '\'' {
		if end := strings.IndexByte(rest[1:], q); end >= 0 {
			return utf8.RuneCountInString(rest[:end+2])
		}
		return utf8.RuneCountInString(rest)
	}
	if n.Kind == String && strings.HasPrefix(rest, n.Text) {
		return utf8.RuneCountInString(n.Text)
	}
	if rest[0] == '{' || rest[0] == '[' {
		return 1
	}
	if end := strings.IndexAny(rest, " ,]}:"); end >= 0 {
		rest = rest[:end]
	}
	return utf8.RuneCountInString(rest)
}

// showPart moves an error to a part of a string. The part is found again in
// the source by counting how often its text comes before it, which holds for
// plain, quoted and block style alike.
func (s *source) showPart(e *fault.Error, n *Node, offset, width int) {
	if s == nil {
		return
	}
	part := n.Text[offset : offset+width]
	if i := strings.IndexByte(part, '\n'); i >= 0 {
		part = strings.TrimRight(part[:i], " \r")
	}
	if part == "" {
		return
	}
	nth := strings.Count(n.Text[:offset], part)
	from := s.start(int(n.line))
	from += len(s.text(int(n.line))) - len(afterRunes(s.text(int(n.line)), int(n.col)-1))
	at := from
	for ; ; nth-- {
		i := bytes.Index(s.data[min(at, len(s.data)):], []byte(part))
		if i < 0 {
			return
		}
		at += i
		if nth == 0 {
			break
		}
		at += len(part)
	}
	line := int(n.line) + bytes.Count(s.data[from:at], []byte("\n"))
	text := s.text(line)
	e.Pos.Line = line
	e.Pos.Column = utf8.RuneCount(s.data[s.start(line):at]) + 1
	e.Source, e.Width = text, utf8.RuneCountInString(part)
	trim(e)
}

func afterRunes(s string, n int) string {
	for ; n > 0 && s != ""; n-- {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	return s
}
