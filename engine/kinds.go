// Package engine is the conductor: the only place that knows the order of
// the phases (load, resolve, recover, observe, plan, apply, deliver). It owns
// no algorithm of any of them, reads no flag and prints nothing.
package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gocodealone/wfctl/deliver"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/step"
)

// Kinds is what ships in the binary: a table per kind. Package builtin fills
// it; tests pass their own.
type Kinds struct {
	// Version is wfctl's own.
	Version string
	// Providers makes the built-in providers by kind.
	Providers kind.Set[ProviderFactory]
	// Supervise is the process that provider local leaves behind.
	Supervise func(ctx context.Context, args []string) error
	// Component is the process that runs the user's own code.
	Component func(ctx context.Context) error
	// Steps makes the table of step kinds for a run of a pipeline.
	Steps func(*StepHost) kind.Set[step.Kind]
	// Trace sends runs elsewhere, as far as the environment asks for it; the
	// sink is nil where it does not.
	Trace func(ctx context.Context, getenv func(string) (string, bool)) (event.Sink, func(context.Context) error, error)
	// Cluster connects to where runs go on without this process; nil in a
	// build that cannot.
	Cluster func(ctx context.Context, o pipeline.ClusterOptions) (pipeline.Cluster, error)
	// Events opens the history of runs; nil keeps none.
	Events func(ctx context.Context, src EventSource) (event.Driver, error)
	// Backends opens state backends by name.
	Backends kind.Set[Backend]
	// Sealing makes what encrypts in the record.
	Sealing Sealing
	// Sinks are the stores that secrets are brought to, by type.
	Sinks kind.Set[secret.Kind]
	// Registries are the types of container registries.
	Registries kind.Set[registry.Kind]
	// Store opens a store that secrets are read from, by type.
	Store func(typ string, options json.RawMessage, h secret.Host) (SecretStore, error)
}

// SecretStore gives secrets by name.
type SecretStore interface {
	Secret(ctx context.Context, name string) (v secret.Value, found bool, err error)
}

// ProviderFactory makes a provider that is not configured yet.
type ProviderFactory func(Host) sdk.Provider

// Host is what a built-in provider may know of the project.
type Host struct {
	// BaseDir is the folder of the application file, ProjectDir that of
	// wfctl.yaml and .wfctl; both are absolute.
	BaseDir, ProjectDir string
	// Command re-executes this binary for a process that outlives it.
	Command []string
	// Secrets knows what must not be shown.
	Secrets *secret.Redactor
	// Sinks are where secrets are brought to.
	Sinks *deliver.Sinks
	// Registries are where images are brought to.
	Registries func() (*registry.Set, error)
	// Held tells whether an image's registries have it, so that it need not be
	// on this machine.
	Held func(image, digest string) bool
}

// Backend opens a state backend.
type Backend struct {
	// Schema is the JSON Schema of its options.
	Schema json.RawMessage
	Open   func(ctx context.Context, req BackendRequest) (state.Driver, error)
	// Here: what it keeps is on this machine alone.
	Here bool
	// Bootstrap makes the storage and says what it made, nothing where all was
	// there; nil where wfctl does not make it.
	Bootstrap func(ctx context.Context, req BackendRequest) (created []string, err error)
	// SetAside puts storage that cannot be read at all out of the way and
	// returns where it is; nil where there is no such thing.
	SetAside func(req BackendRequest, now time.Time) (string, error)
}

// BackendRequest says whose state to open where.
type BackendRequest struct {
	// Config is the JSON object of the iac.state module without `backend` and
	// `encryption`; Encryption is the latter, nil for none.
	Config, Encryption json.RawMessage
	// Provider is the module that makes the storage; "" for none.
	Provider                         string
	ProjectDir, Project, Environment string
}

// Sealing makes what encrypts in the record.
type Sealing struct {
	// Schema is the JSON Schema of `encryption` of a module iac.state.
	Schema json.RawMessage
	// Open makes a sealer of it. It needs no key before one is used.
	Open func(ctx context.Context, options json.RawMessage, getenv func(string) (string, bool)) (state.Sealer, error)
}
