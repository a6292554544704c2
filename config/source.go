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

// showPart moves an error to a part of a string: it is found again in the
// source, which holds for plain, quoted and block style alike.
func (s *source) showPart(e *fault.Error, n *Node, offset, width int) {
	if s == nil {
		return
	}
	part := n.Text[offset : offset+width]
	if i := strings.IndexByte(part, '\n'); i >= 0 {
		part = strings.TrimRight(part[:i], " \r")
	}
	first := s.text(int(n.line))
	from := s.start(int(n.line)) + len(first) - len(afterRunes(first, int(n.col)-1))
	at, ok := s.behindMarker(n.Text, offset, len(part), from)
	if !ok {
		at, ok = s.nth(part, strings.Count(n.Text[:offset], part), from)
	}
	if part == "" || !ok {
		return
	}
	line := int(n.line) + bytes.Count(s.data[from:at], []byte("\n"))
	e.Pos.Line = line
	e.Pos.Column = utf8.RuneCount(s.data[s.start(line):at]) + 1
	e.Source, e.Width = s.text(line), utf8.RuneCountInString(part)
	trim(e)
}

// behindMarker finds a part by the "${" before it, which hardly anybody writes
// with escapes; where there are escapes between the two, the marker has to do.
func (s *source) behindMarker(text string, offset, width, from int) (int, bool) {
	const marker = "${"
	i := strings.LastIndex(text[:min(len(text), offset+len(marker))], marker)
	if i < 0 {
		return 0, false
	}
	at, ok := s.nth(marker, strings.Count(text[:i], marker), from)
	if ok && bytes.HasPrefix(s.data[at:], []byte(text[i:offset+width])) {
		at += offset - i
	}
	return at, ok
}

// nth finds the n-th occurrence, counted from 0, of a text behind an offset.
func (s *source) nth(text string, n, from int) (int, bool) {
	at := min(from, len(s.data))
	for ; ; n-- {
		i := bytes.Index(s.data[at:], []byte(text))
		if i < 0 || text == "" {
			return 0, false
		}
		at += i
		if n == 0 {
			return at, true
		}
		at += len(text)
	}
}

func afterRunes(s string, n int) string {
	for ; n > 0 && s != ""; n-- {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	return s
}
