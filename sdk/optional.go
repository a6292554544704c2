package sdk

import (
	"context"
	"slices"
	"time"
)

// The optional interfaces. A provider has those that it implements; what
// stands for one at the other end of a wire has the methods of all of them, so
// callers ask with [As].

// Lister finds all resources of a type that carry the ownership tags of a
// project and environment.
type Lister interface {
	List(ctx context.Context, req *ListRequest) (*ListResponse, error)
}

// ListRequest: an empty Environment lists all environments of the project.
type ListRequest struct{ Type, Project, Environment string }

// ListResponse holds what was found.
type ListResponse struct{ Resources []ListedResource }

// ListedResource is one resource found by its tags.
type ListedResource struct {
	Type, ID, Name string
	Owner          Ownership
	// Protected is true where the platform itself refuses to delete it.
	Protected bool
}

// Importer brings a resource that something else made under management.
type Importer interface {
	Import(ctx context.Context, req *ImportRequest) (*ImportResponse, error)
}

// ImportRequest names the resource as the platform does.
type ImportRequest struct {
	Type, ID  string
	Ownership Ownership
}

// ImportResponse holds the resource and the configuration that matches it.
type ImportResponse struct {
	ID, Name string
	Config   Config
	Outputs  Outputs
}

// HealthChecker asks the platform whether a resource works.
type HealthChecker interface {
	Health(ctx context.Context, req *HealthRequest) (*HealthResponse, error)
}

// HealthRequest names a recorded resource.
type HealthRequest struct{ Type, ID, Name string }

// HealthStatus is what a platform says of a resource.
type HealthStatus string

// The health statuses.
const (
	Healthy   HealthStatus = "healthy"
	Degraded  HealthStatus = "degraded"
	Unhealthy HealthStatus = "unhealthy"
	Starting  HealthStatus = "starting"
)

// HealthResponse is the status with its reason in the platform's words.
type HealthResponse struct {
	Status HealthStatus
	Reason string
}

// Sizer maps the portable sizes xs to xl to the platform's own.
type Sizer interface {
	Sizes(ctx context.Context, req *SizesRequest) (*SizesResponse, error)
}

// SizesRequest names a resource type.
type SizesRequest struct{ Type string }

// SizesResponse maps a portable size to what the platform calls it.
type SizesResponse struct{ Sizes map[string]string }

// RegistryProvider makes container registries and lends credentials for them.
type RegistryProvider interface {
	EnsureRegistry(ctx context.Context, req *EnsureRegistryRequest, report Reporter) (*EnsureRegistryResponse, error)
	RegistryCredential(ctx context.Context, req *RegistryCredentialRequest) (*RegistryCredentialResponse, error)
}

// EnsureRegistryRequest asks that a registry exist. Options is a JSON object
// that the provider's documentation describes.
type EnsureRegistryRequest struct {
	Host, Namespace string
	Options         Config
}

// EnsureRegistryResponse says where images go.
type EnsureRegistryResponse struct {
	// Repository is the prefix of image names: host/namespace.
	Repository string
	Created    bool
}

// RegistryCredentialRequest asks for a short-lived credential.
type RegistryCredentialRequest struct {
	Host, Namespace string
	Write           bool
	Lifetime        time.Duration
}

// RegistryCredentialResponse holds a credential; the password is sensitive.
type RegistryCredentialResponse struct {
	Username string
	Password Sensitive
	Expires  time.Time
}

// SecretWriter writes secrets to a store of the platform.
type SecretWriter interface {
	WriteSecret(ctx context.Context, req *WriteSecretRequest) (*WriteSecretResponse, error)
}

// WriteSecretRequest writes one value. Store names the kind of store;
// Options is its configuration.
type WriteSecretRequest struct {
	Store, Name string
	Options     Config
	Value       Sensitive
}

// WriteSecretResponse identifies what was written, where the store says.
type WriteSecretResponse struct{ Version string }

// StateBootstrapper makes the storage of a state backend.
type StateBootstrapper interface {
	BootstrapState(ctx context.Context, req *BootstrapStateRequest, report Reporter) (*BootstrapStateResponse, error)
}

// BootstrapStateRequest holds the configuration of the iac.state module.
type BootstrapStateRequest struct {
	Backend string
	Config  Config
}

// BootstrapStateResponse says what was made.
type BootstrapStateResponse struct {
	Created []string
	Outputs Outputs
}

// LogReader reads the logs of a running resource, line by line.
type LogReader interface {
	Logs(ctx context.Context, req *LogsRequest, line func(LogLine) error) error
}

// LogsRequest names a resource. Follow goes on until ctx ends; Tail is the
// number of lines from the end to begin with, 0 for all.
type LogsRequest struct {
	Type, ID, Name string
	Follow         bool
	Tail           int
	Since          time.Time
}

// LogLine is one line of a resource's log.
type LogLine struct {
	Time   time.Time
	Source string
	Text   string
}

// Diagnoser explains a failure in the platform's words.
type Diagnoser interface {
	Diagnose(ctx context.Context, req *DiagnoseRequest) (*DiagnoseResponse, error)
}

// DiagnoseRequest names the resource whose operation failed.
type DiagnoseRequest struct{ Type, ID, Name, Operation string }

// DiagnoseResponse is what the platform knows about it.
type DiagnoseResponse struct{ Diagnostics []Diagnostic }

// Closer is implemented by a provider that holds something open. The host
// calls Close when the command ends.
type Closer interface {
	Close(ctx context.Context) error
}

// Capability names an optional interface.
type Capability string

// The capabilities.
const (
	CapList           Capability = "list"
	CapImport         Capability = "import"
	CapHealth         Capability = "health"
	CapSizes          Capability = "sizes"
	CapRegistry       Capability = "registry"
	CapSecretWriter   Capability = "secret_writer"
	CapStateBootstrap Capability = "state_bootstrap"
	CapLogs           Capability = "logs"
	CapDiagnose       Capability = "diagnose"
)

// Capable is implemented by what stands for a provider somewhere else.
type Capable interface {
	// Capabilities lists what the provider itself implements, as far as it is
	// known: at the latest once Schema has answered.
	Capabilities() []Capability
}

// As returns p as one of the optional interfaces, and whether the provider has
// it.
func As[T any](p Provider) (T, bool) {
	t, ok := p.(T)
	remote, isRemote := p.(Capable)
	if want := capabilityOf[T](); ok && isRemote && want != "" {
		ok = slices.Contains(remote.Capabilities(), want)
	}
	return t, ok
}

func capabilityOf[T any]() Capability {
	switch any((*T)(nil)).(type) {
	case *Lister:
		return CapList
	case *Importer:
		return CapImport
	case *HealthChecker:
		return CapHealth
	case *Sizer:
		return CapSizes
	case *RegistryProvider:
		return CapRegistry
	case *SecretWriter:
		return CapSecretWriter
	case *StateBootstrapper:
		return CapStateBootstrap
	case *LogReader:
		return CapLogs
	case *Diagnoser:
		return CapDiagnose
	}
	return ""
}

// Capabilities lists the optional interfaces that p implements.
func Capabilities(p Provider) []Capability {
	if remote, ok := p.(Capable); ok {
		return remote.Capabilities()
	}
	var caps []Capability
	add := func(ok bool, c Capability) {
		if ok {
			caps = append(caps, c)
		}
	}
	_, ok := p.(Lister)
	add(ok, CapList)
	_, ok = p.(Importer)
	add(ok, CapImport)
	_, ok = p.(HealthChecker)
	add(ok, CapHealth)
	_, ok = p.(Sizer)
	add(ok, CapSizes)
	_, ok = p.(RegistryProvider)
	add(ok, CapRegistry)
	_, ok = p.(SecretWriter)
	add(ok, CapSecretWriter)
	_, ok = p.(StateBootstrapper)
	add(ok, CapStateBootstrap)
	_, ok = p.(LogReader)
	add(ok, CapLogs)
	_, ok = p.(Diagnoser)
	add(ok, CapDiagnose)
	return caps
}
