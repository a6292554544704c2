package secret

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// A Target names a place in a sink.
type Target struct {
	// Name is what the sink calls the secret.
	Name string
	// Options are the sink's other keys, a JSON object that its schema has
	// been checked against; expressions in it are settled.
	Options json.RawMessage
}

// A Request asks a sink to hold a value.
type Request struct {
	Target
	Value Value
	// Source is where the value comes from ("db.connection_url"), for
	// descriptions and errors.
	Source string
}

// A Receipt is what a store says of what it holds, without the value.
// Version and UpdatedAt are zero where the store does not tell.
type Receipt struct {
	Version   string    `json:"version,omitempty"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Status is what a sink holds at a target.
type Status struct {
	Exists bool `json:"exists"`
	Receipt
}

// A Sink is a store that secrets are written to. Methods may be called
// concurrently. Errors are *fault.Error and never hold the value.
type Sink interface {
	// Write makes the store hold the value, whatever it held before.
	Write(ctx context.Context, req Request) (Receipt, error)
	// Status asks what the store holds, without the value. A target that is
	// not there is no error.
	Status(ctx context.Context, target Target) (Status, error)
	// Retire removes what was written to a target that has moved elsewhere.
	// One that is gone already is a success.
	Retire(ctx context.Context, target Target) error
}

// A Kind is one type of sink, as package builtin lists them.
type Kind struct {
	// Schema is the JSON Schema of Target.Options.
	Schema json.RawMessage
	// Plain: it takes values that are not sensitive (`github_variable`).
	Plain bool
	// Open makes the sink. It connects to nothing yet.
	Open func(Host) (Sink, error)
}

// Host is what a sink may know of the process it runs in.
type Host struct {
	// BaseDir is the folder of the application file; relative paths are of it.
	BaseDir string
	Getenv  func(string) (string, bool)
	// Stdout takes what a CI service reads from the output (`::add-mask::`).
	// It is not redacted, unlike everything else that is written.
	Stdout io.Writer
	// Redactor learns what the sink itself comes to know: tokens, passwords.
	Redactor *Redactor
}

// A Reader is a sink that gives values back.
type Reader interface {
	Read(ctx context.Context, target Target) (v Value, found bool, err error)
}
