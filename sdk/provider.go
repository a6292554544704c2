package sdk

import (
	"context"
	"encoding/json"
	"time"
)

// Provider manages the resources of one platform. Methods may be called
// concurrently after Configure has returned. Errors that carry meaning for
// the host are made with [Errorf] or [Wrap]; any other error counts as
// [CodeInternal].
type Provider interface {
	// Schema says what the provider is: its name, its resource types, the
	// shape of its own configuration. It is called first, needs no
	// configuration and does no I/O.
	Schema(ctx context.Context) (*Schema, error)
	// Configure prepares the provider. It is called once before the methods
	// below, except Validate, which may come without it.
	Configure(ctx context.Context, req *ConfigureRequest) (*ConfigureResponse, error)
	// Validate reports everything wrong with a resource's configuration that
	// can be known without asking the platform, beyond what the JSON Schema
	// of the type says. Unknown values are left out of the judgement.
	Validate(ctx context.Context, req *ValidateRequest) (*ValidateResponse, error)
	// Diff says how the platform would get from what is recorded to what is
	// desired. It changes nothing.
	Diff(ctx context.Context, req *DiffRequest) (*DiffResponse, error)
	// Create makes the resource. The same idempotency key a second time
	// returns the resource that the first call made.
	Create(ctx context.Context, req *CreateRequest, report Reporter) (*CreateResponse, error)
	// Read returns the resource as the platform has it, found by identifier
	// or, where that is empty, by name, ownership tags and idempotency key.
	// A resource that is not there is an error of [CodeNotFound].
	Read(ctx context.Context, req *ReadRequest) (*ReadResponse, error)
	// Update changes the resource in place.
	Update(ctx context.Context, req *UpdateRequest, report Reporter) (*UpdateResponse, error)
	// Delete removes the resource. One that is already gone is a success.
	Delete(ctx context.Context, req *DeleteRequest, report Reporter) (*DeleteResponse, error)
}

// Reporter receives what happens during a long operation. Calls may come
// from several goroutines. A nil Reporter is never passed.
type Reporter interface {
	// Assigned tells the host the identifier that the platform gave the
	// resource, the moment it is known. The host has made it durable when
	// Assigned returns; an error means that it could not, and the operation
	// should stop as soon as it safely can.
	Assigned(id string) error
	// Progress tells a person what is going on. Fraction is between 0 and 1,
	// or negative where it is not known.
	Progress(message string, fraction float64)
	// Log passes on a line of output of whatever the provider runs.
	Log(line string)
	// Warn reports something that does not stop the operation.
	Warn(d Diagnostic)
}

// Ownership is whose a resource is. A provider writes it on everything it
// makes, as the tags [TagProject], [TagEnvironment] and [TagModule].
type Ownership struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Module      string `json:"module"`
}

// The ownership tags. Platforms that restrict tags map them, and document how.
const (
	TagProject     = "wfctl-project"
	TagEnvironment = "wfctl-environment"
	TagModule      = "wfctl-module"
)

// Tags returns the ownership as the tags that a resource carries.
func (o Ownership) Tags() map[string]string {
	return map[string]string{TagProject: o.Project, TagEnvironment: o.Environment, TagModule: o.Module}
}

// ConfigureRequest carries the configuration of an iac.provider module.
type ConfigureRequest struct {
	// Config is a JSON object that fits Schema.Config.
	Config Config
	// Project and Environment are those of the run.
	Project     string
	Environment string
	// WorkDir is an absolute path of a folder private to this project and
	// environment where a provider that works on this machine keeps things.
	WorkDir string
	// BaseDir is the absolute path of the folder of the application file:
	// what relative paths in a configuration are relative to.
	BaseDir string
}

// ConfigureResponse is empty but for diagnostics.
type ConfigureResponse struct{ Diagnostics []Diagnostic }

// ValidateRequest asks about one resource's configuration.
type ValidateRequest struct {
	Type   string
	Name   string
	Config Config
}

// ValidateResponse lists what is wrong. Paths are relative to the resource's
// configuration.
type ValidateResponse struct{ Diagnostics []Diagnostic }

// Prior is what the host recorded of a resource.
type Prior struct {
	ID   string
	Name string
	// Config is the configuration as recorded: sensitive values are replaced
	// by fingerprints and listed in Config.Opaque.
	Config  Config
	Outputs Outputs
}

// DiffRequest asks how to get from Prior (nil: nothing recorded) to Config.
type DiffRequest struct {
	Type      string
	Name      string
	Ownership Ownership
	Prior     *Prior
	// Config is what is desired. Values not known yet are null and listed in
	// Config.Unknown; sensitive values that are known only by fingerprint
	// are listed in Config.Opaque.
	Config Config
	// Changed holds the paths whose values differ from Prior.Config, as the
	// host found them.
	Changed []Path
}

// DiffResponse is the provider's judgement.
type DiffResponse struct {
	// Changes are the fields that matter. Nil with Changed non-empty means
	// that the host's generic rule applies: immutable fields of the schema
	// replace, others update. To ignore a change, return the others in a
	// non-nil slice.
	Changes []FieldChange
	// Outputs are outputs that are sure already; the host treats all others
	// of a created or replaced resource as unknown, and of an updated one
	// those not marked stable in the schema.
	Outputs Outputs
	// Notes are shown in the plan: a portable key that cannot be honoured,
	// the real size behind "s".
	Notes []Diagnostic
}

// Action says what a field's change demands.
type Action string

// The actions a field change can demand.
const (
	ActionUpdate  Action = "update"
	ActionReplace Action = "replace"
	ActionIgnore  Action = "ignore"
)

// NamePath is where a change of the resource's name shows among changes; no
// key of a configuration is called that. A platform that can rename in place
// answers it with [ActionUpdate].
const NamePath = Path("/ name")

// FieldChange is one difference. An empty Action in an answer leaves the
// judgement of that path to the host's generic rule. Before and After are JSON; they are nil
// where unknown or absent, and never hold a sensitive value.
type FieldChange struct {
	Path      Path
	Action    Action
	Before    json.RawMessage
	After     json.RawMessage
	Sensitive bool
	Unknown   bool
	Reason    string
}

// CreateRequest asks for a resource.
type CreateRequest struct {
	Type      string
	Name      string
	Ownership Ownership
	Config    Config
	// IdempotencyKey is the same for every attempt at the same intent.
	IdempotencyKey string
	// Deadline is when the host gives up; ctx carries it too.
	Deadline time.Time
	// Except are identifiers of resources that are known to be others: where
	// the new one is made before the old one goes, both have the same name and
	// tags, and a provider that looks before it makes must not take the old
	// one for the new.
	Except []string
}

// CreateResponse is the resource that was made.
type CreateResponse struct {
	ID      string
	Outputs Outputs
}

// ReadRequest asks for a resource by ID, else by name and ownership.
type ReadRequest struct {
	Type           string
	ID             string
	Name           string
	Ownership      Ownership
	IdempotencyKey string
	// Except are identifiers of resources that are known to be others: the
	// old one of a replacement has the same name and tags as the new one.
	Except []string
	// Prior is what is recorded, if anything. It helps to tell which
	// optional parts to read; an answer never just repeats it.
	Prior *Prior
	// Config is the desired configuration where the caller has it resolved
	// (kinds that read by running a command need it); it may be zero.
	Config Config
}

// ReadResponse is the resource as the platform has it.
type ReadResponse struct {
	ID      string
	Name    string
	Outputs Outputs
	// Config is the part of the configuration that can be read back: drift
	// is a difference from the recorded one at a path that Config has.
	Config Config
	// Owner is who the platform's tags say it belongs to; nil where it
	// carries none.
	Owner *Ownership
	// Healthy is false when the resource exists and does not work; Reason
	// says why. The host plans an update that mends it.
	Healthy bool
	Reason  string
}

// UpdateRequest asks for a change in place.
type UpdateRequest struct {
	Type           string
	ID             string
	Name           string
	Ownership      Ownership
	Prior          *Prior
	Config         Config
	Changes        []FieldChange
	IdempotencyKey string
	Deadline       time.Time
}

// UpdateResponse is the resource after the change. ID may differ from the
// request's only when the platform renamed it.
type UpdateResponse struct {
	ID      string
	Outputs Outputs
}

// DeleteRequest asks to remove a resource.
type DeleteRequest struct {
	Type      string
	ID        string
	Name      string
	Ownership Ownership
	Prior     *Prior
	// Config is the desired configuration where the caller still has it
	// resolved (kinds that delete by running a command may need it); it may
	// be zero: a resource can be deleted with the record alone.
	Config         Config
	IdempotencyKey string
	Deadline       time.Time
}

// DeleteResponse is empty.
type DeleteResponse struct{}
