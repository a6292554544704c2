// Package resource holds the nouns that the phases of wfctl hand to each
// other: addresses, what is desired, what is recorded, what is intended. It
// does no I/O and decides nothing.
package resource

import (
	"encoding/json"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
)

// Address names a node of the configuration: a module by its name in the
// file, or an image, migration or gate as "image.NAME", "migration.NAME",
// "gate.NAME", or a secret as "secret.…". It is stable and keys the state.
type Address string

// The prefixes of addresses that are not modules.
const (
	ImagePrefix = "image."
	// PushPrefix: bringing an image to its registries.
	PushPrefix      = "push."
	MigrationPrefix = "migration."
	GatePrefix      = "gate."
	// SecretPrefix: secrets that wfctl makes, or brings to a store.
	SecretPrefix = "secret."
)

// Environment is where resources are resolved for. It is made by [NewEnvironment].
type Environment struct{ project, name string }

// NewEnvironment makes an environment. Name is "" only for a file that
// declares no environments; it is then called "default" in keys and tags.
func NewEnvironment(project, name string) Environment {
	if name == "" {
		name = "default"
	}
	return Environment{project, name}
}

// Project is the ownership tag of every resource.
func (e Environment) Project() string { return e.project }

// Name is the environment's name.
func (e Environment) Name() string { return e.name }

// IsZero tells whether e was never made.
func (e Environment) IsZero() bool { return e == Environment{} }

// Provider says what manages a resource: the address of the iac.provider
// module ("cloud"), or the kind itself for built-in providers that need no
// module ("core", "project"), and the kind ("digitalocean", "local", "core").
type Provider struct {
	Address Address `json:"a"`
	Kind    string  `json:"k"`
}

// Lifecycle holds the rules that a module sets for its own life.
type Lifecycle struct {
	PreventDestroy      bool       `json:"prevent_destroy,omitempty"`
	CreateBeforeDestroy bool       `json:"create_before_destroy,omitempty"`
	IgnoreChanges       []sdk.Path `json:"ignore_changes,omitempty"`
}

// Ref is a reference to an output of another node.
type Ref struct {
	Address Address
	Output  string
}

// Input is a configuration that may still refer to outputs of others.
// Package resolve implements it; everything else of the environment is
// already settled in it.
type Input interface {
	// Refs lists what it refers to, each once, in a fixed order.
	Refs() []Ref
	// Resolve settles the references. An output that scope does not know
	// yet leaves the value unknown; one that scope cannot have (no such
	// field) is an error with the position of the expression.
	Resolve(scope Scope) (Resolved, error)
	// Locate returns where the value at path stands in the user's file: the
	// nearest place that exists.
	Locate(path sdk.Path) fault.Position
}

// Scope answers for outputs while an Input is resolved.
type Scope interface {
	// Output returns what is known of an output.
	Output(ref Ref) (Known, error)
	// Fingerprint is the keyed hash (HMAC-SHA-256, "h1:" and base64) that
	// stands for a sensitive value wherever that must not be.
	Fingerprint(value []byte) string
}

// Known is what is known of an output at some moment. Exactly one of these
// holds: Unknown; Value is set; only Fingerprint is set (a sensitive value
// that is recorded but not at hand).
type Known struct {
	Unknown     bool
	Value       *sdk.Output
	Fingerprint string
}

// Resolved is a configuration with all that is known filled in.
type Resolved struct {
	// Config is for the provider: real values, with paths of those that are
	// sensitive, unknown, or present only as a fingerprint.
	Config sdk.Config
	// Canonical is for the record: the same object with sorted keys, where
	// every sensitive value stands as {"$fingerprint": "h1:…"} and every
	// unknown one as {"$unknown": true}. It is the same whether a sensitive
	// value was at hand or only its fingerprint.
	Canonical json.RawMessage
	// Digest is the SHA-256 of Canonical, in hex.
	Digest string
}

// OutputDecl is what a module says of one of its outputs.
type OutputDecl struct {
	// Sensitive is nil where the module does not say.
	Sensitive *bool
	Pos       fault.Position
}

// Spec is what package resolve knows of a node.
type Spec struct {
	Address   Address
	Name      string
	Type      string
	Provider  Provider
	Config    Input
	DependsOn []Address
	Lifecycle Lifecycle
	Outputs   map[string]OutputDecl
	// ImportID is the identifier of an existing resource to adopt.
	ImportID string
	Pos      fault.Position
}

// Desired is a node resolved for one environment. Only package resolve makes
// one (a test of the whole tree holds it to that), so code that forgot the
// environment has nothing to pass on.
type Desired struct {
	env  Environment
	spec *Spec
}

// NewDesired seals a spec. It panics without an environment.
func NewDesired(env Environment, spec Spec) Desired {
	if env.IsZero() {
		panic("resource: a Desired without an environment")
	}
	return Desired{env, &spec}
}

// Environment is what the node was resolved for.
func (d Desired) Environment() Environment { return d.env }

// Address keys the node.
func (d Desired) Address() Address { return d.spec.Address }

// Name is what the platform sees.
func (d Desired) Name() string { return d.spec.Name }

// Type is the resource type: "infra.database", "image", "migration", "gate".
func (d Desired) Type() string { return d.spec.Type }

// Provider manages the node.
func (d Desired) Provider() Provider { return d.spec.Provider }

// Config is the configuration with its references.
func (d Desired) Config() Input { return d.spec.Config }

// DependsOn lists all that must be done before: what references imply and
// what is said outright, sorted, each once.
func (d Desired) DependsOn() []Address { return d.spec.DependsOn }

// Lifecycle holds the node's own rules.
func (d Desired) Lifecycle() Lifecycle { return d.spec.Lifecycle }

// Outputs are the declarations of the module's `outputs:`.
func (d Desired) Outputs() map[string]OutputDecl { return d.spec.Outputs }

// ImportID names an existing resource to adopt; "" for none.
func (d Desired) ImportID() string { return d.spec.ImportID }

// Pos is where the node is declared.
func (d Desired) Pos() fault.Position { return d.spec.Pos }

// Ownership is what the provider writes on the resource.
func (d Desired) Ownership() sdk.Ownership {
	return sdk.Ownership{Project: d.env.project, Environment: d.env.name, Module: string(d.spec.Address)}
}

// Status says what is known of a recorded resource.
type Status string

// The statuses of a record.
const (
	// Ready: the last operation succeeded.
	Ready Status = ""
	// Tainted: creation failed after the platform had assigned an
	// identifier; the next plan replaces it.
	Tainted Status = "tainted"
	// Failed: an update failed; the resource exists, its configuration is
	// not certain; the next plan updates it again.
	Failed Status = "failed"
)

// Key identifies a record: the address, and, for the old one of a
// create-before-destroy replacement, a mark.
type Key struct {
	Address Address
	Deposed string
}

// Record is what state knows of a resource. It holds no sensitive value in
// plain.
type Record struct {
	Address  Address  `json:"addr"`
	Deposed  string   `json:"deposed,omitempty"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Provider Provider `json:"prov"`
	ID       string   `json:"id"`
	Status   Status   `json:"status,omitempty"`
	// Config is Resolved.Canonical, Digest its digest.
	Config        json.RawMessage           `json:"cfg,omitempty"`
	Digest        string                    `json:"dig"`
	Outputs       map[string]RecordedOutput `json:"out,omitempty"`
	DependsOn     []Address                 `json:"deps,omitempty"`
	Lifecycle     Lifecycle                 `json:"life,omitzero"`
	SchemaVersion int                       `json:"sv,omitempty"`
	Created       time.Time                 `json:"created"`
	Updated       time.Time                 `json:"updated"`
	Run           string                    `json:"run,omitempty"`
}

// Key returns the record's key.
func (r Record) Key() Key { return Key{r.Address, r.Deposed} }

// RecordedOutput is an output in a record: the value of one that is not
// sensitive, else a fingerprint and, where the state has a key, the value
// sealed with it.
type RecordedOutput struct {
	Value       json.RawMessage `json:"v,omitempty"`
	Sensitive   bool            `json:"s,omitempty"`
	Fingerprint string          `json:"f,omitempty"`
	Sealed      []byte          `json:"e,omitempty"`
}

// Operation is what an intent is about to do.
type Operation string

// The operations.
const (
	OpCreate Operation = "create"
	OpUpdate Operation = "update"
	OpDelete Operation = "delete"
)

// Intent is what is about to be done; it is durable before the provider is
// called.
type Intent struct {
	// Key is the idempotency key, unique to the intent.
	Key       string          `json:"key"`
	Operation Operation       `json:"op"`
	Address   Address         `json:"addr"`
	Deposed   string          `json:"deposed,omitempty"`
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	Provider  Provider        `json:"prov"`
	ID        string          `json:"id,omitempty"`
	Config    json.RawMessage `json:"cfg,omitempty"`
	Digest    string          `json:"dig,omitempty"`
	DependsOn []Address       `json:"deps,omitempty"`
	Lifecycle Lifecycle       `json:"life,omitzero"`
	// Deadline is when the call is over for certain.
	Deadline time.Time `json:"deadline"`
	Run      string    `json:"run,omitempty"`
}

// ProviderRecord is what state knows of a provider, so that a resource can be
// destroyed when the configuration is gone. Config is canonical: sensitive
// values are fingerprints, and come from the environment when it is used.
type ProviderRecord struct {
	Provider
	Version string          `json:"version,omitempty"`
	Config  json.RawMessage `json:"cfg,omitempty"`
}
