package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/fault"
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
	var f *fault.Error
	if errors.As(err, &f) {
		c := *f
		c.Message, c.Err = strings.TrimPrefix(err.Error(), f.Pos.String()+": "), nil
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
	b.WriteString(s.paint(bold, strings.TrimSpace(message)) + "\n")
	if !f.Pos.IsZero() {
		fmt.Fprintf(&b, "  %s %s\n", s.paint(cyan, "at"), f.Pos)
	}
	b.WriteString(caret(f, s))
	for _, line := range f.Detail {
		fmt.Fprintf(&b, "  | %s\n", printable(line))
	}
	if hint := hintOf(f); hint != "" {
		fmt.Fprintf(&b, "  %s %s\n", s.paint(yellow, "hint:"), hint)
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

// caret shows the source line and underlines the place.
func caret(f *fault.Error, s Style) string {
	if f.Source == "" || f.Pos.Line == 0 {
		return ""
	}
	number := fmt.Sprintf("%5d | ", f.Pos.Line)
	line := strings.TrimRight(f.Source, "\r\n")
	out := s.paint(dim, number) + printable(line) + "\n"
	if f.Pos.Column < 1 || f.Pos.Column > utf8.RuneCountInString(line)+1 {
		return out
	}
	width := max(1, f.Width)
	return out + strings.Repeat(" ", len(number)+f.Pos.Column-1) + s.paint(red, strings.Repeat("^", width)) + "\n"
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
	docs := []errorDoc{}
	for _, f := range collect(err) {
		d := errorDoc{Code: f.Code, Message: f.Message, Hint: hintOf(f), Detail: f.Detail}
		if f.Err != nil {
			d.Message += ": " + f.Err.Error()
		}
		if !f.Pos.IsZero() {
			d.Position = &f.Pos
		}
		docs = append(docs, d)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": docs})
}
