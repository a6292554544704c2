package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code classifies an error so that it keeps its identity over the wire.
type Code string

// The codes. The host retries RateLimited and Unavailable, and nothing else.
const (
	CodeNotFound      Code = "not_found"
	CodeAlreadyExists Code = "already_exists"
	CodeConflict      Code = "conflict"
	CodeRateLimited   Code = "rate_limited"
	CodeUnauthorised  Code = "unauthorised"
	CodeInvalid       Code = "invalid"
	CodeUnavailable   Code = "unavailable"
	CodeUnsupported   Code = "unsupported"
	CodeCancelled     Code = "cancelled"
	CodeDeadline      Code = "deadline"
	CodeInternal      Code = "internal"
)

// Error is an error with a code.
type Error struct {
	Code    Code
	Message string
	// Hint says what to do next.
	Hint string
	// RetryAfter is how long the platform asks to wait; zero for no wish.
	RetryAfter time.Duration
	// Path is the place in the resource's configuration, where one is to blame.
	Path Path
	// Blockers names what is in the way of a delete.
	Blockers []string
	Err      error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error with a code.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: nil}
}

// Wrap gives err a code and says what was being done. It returns nil for nil.
func Wrap(code Code, err error, doing string) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Message: doing, Err: err}
}

// WithHint returns e with a hint.
func (e *Error) WithHint(hint string) *Error { c := *e; c.Hint = hint; return &c }

// CodeOf returns the code of err: its own, that of a context error, or
// [CodeInternal]. It is empty for nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled):
		return CodeCancelled
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadline
	}
	return CodeInternal
}

// IsNotFound tells whether err has [CodeNotFound].
func IsNotFound(err error) bool { return CodeOf(err) == CodeNotFound }

// Severity ranks a diagnostic.
type Severity string

// The severities. A note is information in a plan.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNote    Severity = "note"
)

// Diagnostic is something to tell the user about a configuration.
type Diagnostic struct {
	Severity Severity
	Path     Path
	Message  string
	Hint     string
}
