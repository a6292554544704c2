package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/sdk"
)

// Error writes an error: for each fault the place, the source line with a
// caret, the cause and what to do next.
func Error(w io.Writer, err error, s Style) {
	faults := collect(err)
	for i, f := range faults {
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		_, _ = io.WriteString(w, oneError(f, s))
	}
	if len(faults) > 1 {
		_, _ = fmt.Fprintf(w, "\n%d errors\n", len(faults))
	}
}

// collect flattens an error into faults; what is none becomes one without a
// place.
func collect(err error) []*fault.Error {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
	case nil:
		return nil
	case *fault.Error:
		return []*fault.Error{e}
	case fault.List:
		return e
	case interface{ Unwrap() []error }:
		var all []*fault.Error
		for _, sub := range e.Unwrap() {
			all = append(all, collect(sub)...)
		}
		return all
	}
	var list fault.List
	if errors.As(err, &list) {
		return list
	}
	var f *fault.Error
	if errors.As(err, &f) {
		c := *f
		c.Message, c.Err = strings.Replace(err.Error(), f.Pos.String()+": ", "", 1), nil
		return []*fault.Error{&c}
	}
	return []*fault.Error{{Code: fault.Internal, Message: err.Error()}}
}

func oneError(f *fault.Error, s Style) string {
	var b strings.Builder
	b.WriteString(s.paint(red, "Error: "))
	message := f.Message
	if f.Err != nil {
		message += ": " + f.Err.Error()
	}
	b.WriteString(s.paint(bold, block(s.mask(strings.TrimSpace(message)), "  ")) + "\n")
	if !f.Pos.IsZero() {
		fmt.Fprintf(&b, "  %s %s\n", s.paint(cyan, "at"), f.Pos)
	}
	b.WriteString(caret(f, s))
	if detail := detailOf(f); len(detail) > 0 {
		for line := range strings.SplitSeq(s.mask(strings.Join(detail, "\n")), "\n") {
			fmt.Fprintf(&b, "  | %s\n", printable(line))
		}
	}
	if hint := hintOf(f); hint != "" {
		fmt.Fprintf(&b, "  %s %s\n", s.paint(yellow, "hint:"), block(s.mask(hint), "        "))
	}
	return b.String()
}

// hintOf is the fault's hint, else that of a provider's error inside it.
func hintOf(f *fault.Error) string {
	if f.Hint != "" {
		return f.Hint
	}
	for err := f.Err; err != nil; err = errors.Unwrap(err) {
		switch e := err.(type) { //nolint:errorlint // the chain is walked by hand
		case *fault.Error:
			if e.Hint != "" {
				return e.Hint
			}
		case *sdk.Error:
			if e.Hint != "" {
				return e.Hint
			}
		}
	}
	return ""
}

// detailOf is the fault's detail, then that of the faults inside it.
func detailOf(f *fault.Error) []string {
	lines := slices.Clone(f.Detail)
	for err := f.Err; err != nil; err = errors.Unwrap(err) {
		if e, ok := err.(*fault.Error); ok { //nolint:errorlint // the chain is walked by hand
			lines = append(lines, e.Detail...)
		}
	}
	return lines
}

// caretLimit is how much of a long line is shown.
const caretLimit = 160

// caret shows the source line and underlines the place. Of a long line it
// shows the part around the place.
func caret(f *fault.Error, s Style) string {
	source := f.Source
	if source == "" && s.Source != nil && f.Pos.Line > 0 {
		source = s.Source(f.Pos.File, f.Pos.Line)
	}
	if source == "" || f.Pos.Line == 0 {
		return ""
	}
	source = hidden(source)
	number := fmt.Sprintf("%5d | ", f.Pos.Line)
	line, column := []rune(strings.TrimRight(source, "\r\n")), f.Pos.Column
	inside := column >= 1 && column <= len(line)+1
	if len(line) > caretLimit {
		line, column = window(line, column)
	}
	out := s.paint(dim, number) + printable(string(line)) + "\n"
	if !inside {
		return out
	}
	width := max(1, min(f.Width, len(line)-column+1))
	return out + strings.Repeat(" ", len(number)+column-1) + s.paint(red, strings.Repeat("^", width)) + "\n"
}

// secretValue is a value that stands in a line under a key which says that it
// is secret; secretFree are the keys that say where one is.
var (
	secretValue = lazyregexp.New(`(?i)([\w-]*(?:password|passwd|passphrase|secret|token|private_key|api_key|credential)[\w-]*["']?\s*:\s*)("[^"]*"|'[^']*'|[^\s,}\]#{\[|>&*!]+)`)
	secretFree  = lazyregexp.New(`(?i)^[\w-]*(_env|_source|_ref|_file|_path|_name|secrets?_key)["']?\s*:`)
)

// hidden replaces secrets in a line of a file by as many asterisks, so that
// what is underlined stays where it is.
func hidden(line string) string {
	return secretValue().ReplaceAllStringFunc(line, func(found string) string {
		m := secretValue().FindStringSubmatch(found)
		if secretFree().MatchString(m[1]) || strings.Contains(m[2], "${") {
			return found
		}
		return m[1] + strings.Repeat("*", len([]rune(m[2])))
	})
}

// window cuts a line to the limit around a column, which it moves along.
func window(line []rune, column int) ([]rune, int) {
	from := max(0, min(column-caretLimit/2, len(line)-caretLimit))
	cut := append([]rune{}, line[from:from+caretLimit]...)
	if from > 0 {
		cut[0] = '…'
	}
	if from+caretLimit < len(line) {
		cut[caretLimit-1] = '…'
	}
	return cut, column - from
}

// errorDoc is one fault as JSON.
type errorDoc struct {
	Code     fault.Code      `json:"code"`
	Message  string          `json:"message"`
	Hint     string          `json:"hint,omitempty"`
	Position *fault.Position `json:"position,omitempty"`
	Detail   []string        `json:"detail,omitempty"`
}

// ErrorJSON writes an error as one JSON object: {"errors": [...]}.
func ErrorJSON(w io.Writer, err error) {
	s := Style{Mask: maskOf(w)}
	docs := []errorDoc{}
	for _, f := range collect(err) {
		d := errorDoc{Code: f.Code, Message: f.Message, Hint: hintOf(f), Detail: detailOf(f)}
		if f.Err != nil {
			d.Message += ": " + f.Err.Error()
		}
		d.Message, d.Hint = s.mask(d.Message), s.mask(d.Hint)
		if len(d.Detail) > 0 {
			d.Detail = strings.Split(s.mask(strings.Join(d.Detail, "\n")), "\n")
		}
		if !f.Pos.IsZero() {
			d.Position = &f.Pos
		}
		docs = append(docs, d)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": docs})
}
