// Package step is what a step of a pipeline is: a kind with a schema for its
// options, prepared once and run when its turn comes. It knows no kind (they
// are its sub-packages) and no order (that is package pipeline's).
package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
)

// Kind makes steps of one type.
type Kind struct {
	// Description is one line for a person.
	Description string
	// Schema is the JSON Schema of the options.
	Schema json.RawMessage
	// Pure: running it again changes nothing. What it gave and could not be
	// stored is read again when a run goes on.
	Pure bool
	// Changes: it changes what the environment consists of, which one run does
	// at a time.
	Changes bool
	// Prepare checks options and compiles what is in them. It does no I/O but
	// reading files of the project.
	Prepare func(options json.RawMessage) (Step, error)
}

// Step is one unit of work.
type Step interface {
	Run(ctx context.Context, c *Context) (Result, error)
}

// Func is a function as a Step.
type Func func(ctx context.Context, c *Context) (Result, error)

// Run implements Step.
func (f Func) Run(ctx context.Context, c *Context) (Result, error) { return f(ctx, c) }

// Context is what a step may know of where it runs.
type Context struct {
	// RunID identifies the run, Pipeline and Name the step.
	RunID, Pipeline, Name string
	// Dir is the folder of the application file.
	Dir string
	// Secrets are texts that nothing may show.
	Secrets []string
	// Events takes the events of what the step is made of: they become parts
	// of the step. Self takes those of the step itself.
	Events, Self event.Sink
	// Ask waits for a person's answer to a question.
	Ask func(ctx context.Context, question string) (event.ApprovalGiven, error)
	// Publish stores an event of the user's own in the run.
	Publish func(topic string, data json.RawMessage)
}

// Log emits a line of output, without secrets.
func (c *Context) Log(line string) {
	c.Self.Emit(event.NodeLog{Address: c.Name, Line: c.Mask(line)})
}

// Progress tells what the step is at.
func (c *Context) Progress(message string) {
	c.Self.Emit(event.NodeProgress{Address: c.Name, Message: c.Mask(message), Fraction: -1})
}

// Masked stands for what is not shown.
const Masked = "***MASKED***"

// Mask takes the secrets out of a text.
func (c *Context) Mask(text string) string { return Mask(text, c.Secrets) }

// Mask takes secrets out of a text: whole ones, and each line of those that
// have several.
func Mask(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) > 2 {
			text = strings.ReplaceAll(text, s, Masked)
		}
		if !strings.Contains(s, "\n") {
			continue
		}
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) > 2 {
				text = strings.ReplaceAll(text, line, Masked)
			}
		}
	}
	return text
}

// Result is what a step leaves for those behind it.
type Result struct {
	Outputs map[string]any
	// Sensitive names outputs that are never shown or stored.
	Sensitive []string
}

// Define makes a kind of an options struct and a function that prepares a
// step of it.
func Define[O any](description, schema string, prepare func(O) (Step, error)) Kind {
	return Kind{Description: description, Schema: json.RawMessage(schema), Prepare: func(raw json.RawMessage) (Step, error) {
		var o O
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, fault.Wrap(fault.Config, err, "read the step's options")
		}
		return prepare(o)
	}}
}

// AsPure marks a kind as one that changes nothing.
func (k Kind) AsPure() Kind {
	k.Pure = true
	return k
}

// AsChanging marks a kind as one that changes the environment.
func (k Kind) AsChanging() Kind {
	k.Changes = true
	return k
}

// Duration is a time.Duration that is written as "30s" or "5m".
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return errors.New("a duration is written as \"30s\" or \"5m\"")
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration: write \"30s\" or \"5m\"", text)
	}
	*d = Duration(v)
	return nil
}

// permanent is an error that another attempt would not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error as one that another attempt would not mend.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// Retryable tells whether another attempt may succeed: not after a mistake in
// the configuration, a refusal, or the end of the run.
func Retryable(err error) bool {
	var p permanent
	if err == nil || errors.As(err, &p) || errors.Is(err, context.Canceled) {
		return false
	}
	switch fault.CodeOf(err) {
	case fault.Usage, fault.Refused, fault.Config, fault.NotFound, fault.Integrity, fault.Interrupted:
		return false
	case fault.Internal:
		var f *fault.Error
		return !errors.As(err, &f) // an error of nobody's code
	}
	return true
}
