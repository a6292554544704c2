// Package fault is how wfctl's errors look: a code that decides the exit
// status, a message that says what, a position that says where and a hint
// that says what to do next. It formats nothing for a terminal: that is ui's.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Code classifies a fault.
type Code string

// The codes. Exit statuses are in ExitCode.
const (
	// Usage: the command line is wrong.
	Usage Code = "usage"
	// Refused: the command is right, and doing it needs a consent that is missing.
	Refused Code = "refused"
	// Config: a file of the user's is wrong.
	Config Code = "config"
	// NotFound: something named does not exist.
	NotFound Code = "not_found"
	// Locked: somebody else holds what is needed.
	Locked Code = "locked"
	// State: the record cannot be read or written.
	State Code = "state"
	// Provider: a platform or plugin failed.
	Provider Code = "provider"
	// Partial: some of the work was done and some failed.
	Partial Code = "partial"
	// Environment: this machine lacks something.
	Environment Code = "environment"
	// Integrity: something is not what it was verified to be.
	Integrity Code = "integrity"
	// Interrupted: the user stopped it.
	Interrupted Code = "interrupted"
	// Internal: a bug of wfctl's own.
	Internal Code = "internal"
)

// Position is a place in a file. Line and Column count from 1; Column counts
// runes. The zero Position is no place.
type Position struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// IsZero tells whether p is no place.
func (p Position) IsZero() bool { return p == Position{} }

// String is file:line:column, without the parts that are not known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error is one fault.
type Error struct {
	Code    Code
	Message string
	Hint    string
	Pos     Position
	// Source is the line of the file at Pos, for a caret below it.
	Source string
	// Width is how many runes the caret underlines; at least 1.
	Width int
	// Detail holds further lines: a log's end, a cycle.
	Detail []string
	Err    error
}

// New makes a fault.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault of err, which must not be nil, that says what was being
// done. It returns *Error for the sake of WithHint and At, so a caller checks
// err first: a nil *Error would not be a nil error.
func Wrap(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// Error is a single line: position, message, cause. The hint is for ui.
func (e *Error) Error() string {
	var b strings.Builder
	if !e.Pos.IsZero() {
		b.WriteString(e.Pos.String() + ": ")
	}
	b.WriteString(e.Message)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// WithHint returns e with a hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// At returns e with a position.
func (e *Error) At(p Position) *Error {
	c := *e
	c.Pos = p
	return &c
}

// WithDetail returns e with further lines.
func (e *Error) WithDetail(lines ...string) *Error {
	c := *e
	c.Detail = append(slices.Clone(e.Detail), lines...)
	return &c
}

// List is several faults that were found in one go.
type List []*Error

// Error joins the lines.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the faults.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// Err returns the list as an error: nil where it is empty, sorted by position.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	sorted := slices.Clone(l)
	slices.SortStableFunc(sorted, func(a, b *Error) int {
		if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
			return c
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Column - b.Pos.Column
	})
	return sorted
}

// CodeOf returns the code of the first fault in err's tree, [Internal] where
// there is none, and "" for nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return Internal
}

// ExitCode maps an error to the exit status of the process: 0 done, 1 failed,
// 2 refused or wrong usage, 130 interrupted.
func ExitCode(err error) int {
	switch CodeOf(err) {
	case "":
		return 0
	case Usage, Refused:
		return 2
	case Interrupted:
		return 130
	}
	return 1
}
