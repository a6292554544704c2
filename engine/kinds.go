// Package engine is the conductor: the only place that knows the order of
// the phases (load, resolve, recover, observe, plan, apply, deliver). It owns
// no algorithm of any of them, reads no flag and prints nothing.
package engine

import (
	"context"
	"encoding/json"

	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/state"
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
	// Backends opens state backends by name.
	Backends kind.Set[Backend]
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
}

// Backend opens a state backend.
type Backend struct {
	// Schema is the JSON Schema of its options.
	Schema json.RawMessage
	Open   func(ctx context.Context, req BackendRequest) (state.Driver, error)
}

// BackendRequest says whose state to open where.
type BackendRequest struct {
	// Config is the JSON object of the iac.state module without `backend`.
	Config                           json.RawMessage
	ProjectDir, Project, Environment string
}
