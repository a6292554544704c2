package migrate

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Statement is one SQL statement of a file.
type Statement struct {
	SQL string
	// Line and Column are where it begins, counted from 1.
	Line, Column int
}

// place is a position in a text while it is read.
type place struct{ offset, line, column int }

// splitter cuts SQL into statements. It knows quotes, dollar quotes, nested
// comments and the bodies of triggers and functions, and nothing else of the
// grammar.
type splitter struct {
	text string
	at   place
	// start is where the statement began that is being read; begun tells
	// whether there is one.
	start place
	begun bool
	words words
	out   []Statement
}

// split cuts text, which begins at the given place of its file.
func split(text string, line int) ([]Statement, error) {
	s := &splitter{text: text, at: place{0, line, 1}}
	for s.at.offset < len(s.text) {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	s.end()
	return s.out, nil
}

func (s *splitter) rest() string { return s.text[s.at.offset:] }

// take moves on by n bytes.
func (s *splitter) take(n int) {
	for _, r := range s.text[s.at.offset : s.at.offset+n] {
		if r == '\n' {
			s.at.line, s.at.column = s.at.line+1, 1
			continue
		}
		s.at.column++
	}
	s.at.offset += n
}

// begin marks the start of a statement at its first character that counts.
func (s *splitter) begin() {
	if !s.begun {
		s.begun, s.start, s.words = true, s.at, words{}
	}
}

func (s *splitter) end() {
	if s.begun {
		sql := strings.TrimSpace(s.text[s.start.offset:s.at.offset])
		s.out = append(s.out, Statement{SQL: sql, Line: s.start.line, Column: s.start.column})
	}
	s.begun = false
}

// step reads one token.
func (s *splitter) step() error {
	rest := s.rest()
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		s.take(lineLength(rest))
	case strings.HasPrefix(rest, "/*"):
		return s.skipTo(commentLength(rest), "comment")
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		s.take(1)
	case c == ';' && s.words.depth == 0:
		s.end()
		s.take(1)
	case c == '\'' || c == '"' || c == '`':
		s.begin()
		return s.skipTo(quotedLength(rest, c == '\'' && s.words.escapes(s.at.offset)), "quote")
	case c == '$' && dollarTag(rest) != "":
		s.begin()
		tag := dollarTag(rest)
		return s.skipTo(closeLength(rest, tag), "quote "+tag)
	case isWord(c):
		s.begin()
		n := wordLength(rest)
		s.take(n)
		s.words.add(strings.ToUpper(rest[:n]), s.at.offset)
	default:
		s.begin()
		_, n := utf8.DecodeRuneInString(rest)
		s.take(n)
	}
	return nil
}

// skipTo moves behind something that must be closed; n is 0 where it is not.
func (s *splitter) skipTo(n int, what string) error {
	if n == 0 {
		return &syntaxError{line: s.at.line, column: s.at.column, message: fmt.Sprintf("a %s that begins here is not closed", what)}
	}
	s.take(n)
	return nil
}

// syntaxError is a mistake that the splitter found.
type syntaxError struct {
	line, column int
	message      string
}

// Error implements error.
func (e *syntaxError) Error() string { return e.message }

// words follows the keywords of a statement as far as is needed to know that
// a semicolon does not end it.
type words struct {
	count int
	// head holds while the words may still lead to the kind of what is
	// created: CREATE OR REPLACE CONSTRAINT TRIGGER.
	head       bool
	body       string // what kind of body it may have: TRIGGER, FUNCTION
	last       string
	lastOffset int
	depth      int
}

// add notes a word that ended at an offset.
func (w *words) add(word string, offset int) {
	w.count++
	switch {
	case w.count == 1:
		w.head = word == "CREATE"
	case w.head:
		switch word {
		case "OR", "REPLACE", "TEMP", "TEMPORARY", "CONSTRAINT":
		case "TRIGGER", "FUNCTION", "PROCEDURE":
			w.body, w.head = word, false
		default:
			w.head = false
		}
	case w.depth == 0 && w.body == "TRIGGER" && word == "BEGIN":
		w.depth = 1
	case w.depth == 0 && w.body != "" && word == "ATOMIC" && w.last == "BEGIN":
		w.depth = 1
	case w.depth > 0 && word == "CASE":
		w.depth++
	case w.depth > 0 && word == "END":
		w.depth--
	}
	w.last, w.lastOffset = word, offset
}

// escapes tells whether a quote at offset is one of Postgres' E'…' strings.
func (w *words) escapes(offset int) bool { return w.last == "E" && w.lastOffset == offset }

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf
}

func wordLength(s string) int {
	n := 0
	for n < len(s) && (isWord(s[n]) || n > 0 && s[n] == '$') {
		n++
	}
	return n
}

func lineLength(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

func commentLength(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

func quotedLength(s string, backslash bool) int {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return 0
}

// dollarTag returns the "$tag$" that a text begins with, "" where it is a
// parameter or a bare dollar.
func dollarTag(s string) string {
	n := 1
	for n < len(s) && isWord(s[n]) {
		n++
	}
	if n >= len(s) || s[n] != '$' || n > 1 && s[1] >= '0' && s[1] <= '9' {
		return ""
	}
	return s[:n+1]
}

func closeLength(s, tag string) int {
	i := strings.Index(s[len(tag):], tag)
	if i < 0 {
		return 0
	}
	return i + 2*len(tag)
}

// normalise is a statement without what does not change its meaning: comments
// gone, white space one blank, quotes as they are.
func normalise(sql string) string {
	var b strings.Builder
	space := false
	for i := 0; i < len(sql); {
		rest := sql[i:]
		n, keep := tokenLength(rest, b.String())
		i += n
		if !keep {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteString(rest[:n])
	}
	return strings.TrimRight(b.String(), "; ")
}

// tokenLength measures the next token; keep is false for what means nothing.
// A quote that is not closed runs to the end.
func tokenLength(rest, before string) (n int, keep bool) {
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		n = lineLength(rest)
	case strings.HasPrefix(rest, "/*"):
		n = commentLength(rest)
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		n = 1
	case c == '\'' || c == '"' || c == '`':
		n, keep = quotedLength(rest, c == '\'' && endsInE(before)), true
	case c == '$' && dollarTag(rest) != "":
		n, keep = closeLength(rest, dollarTag(rest)), true
	case isWord(c):
		return wordLength(rest), true
	default:
		_, n = utf8.DecodeRuneInString(rest)
		keep = true
	}
	if n == 0 {
		n = len(rest)
	}
	return n, keep
}

func endsInE(s string) bool {
	n := len(s)
	return n > 0 && (s[n-1] == 'E' || s[n-1] == 'e') && (n == 1 || !isWord(s[n-2]))
}
