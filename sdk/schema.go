package sdk

import "encoding/json"

// Schema describes a provider.
type Schema struct {
	// Name is the provider's name: what iac.provider's `provider:` says.
	Name    string
	Version string
	// Config is the JSON Schema (draft 2020-12, an object) of the provider's
	// own configuration. Custom keywords: see [ResourceSchema].
	Config json.RawMessage
	// Environment lists the variables that the provider reads; a plugin's
	// process gets these and no others.
	Environment []string
	// Types are the resource types, sorted by name.
	Types []ResourceSchema
	// Unsupported maps a portable type that the platform does not have to
	// what to use instead.
	Unsupported  map[string]string
	Capabilities []Capability
	// SecretStores are the kinds of sink that SecretWriter serves.
	SecretStores []string
}

// Type returns the schema of a resource type, nil where there is none.
func (s *Schema) Type(name string) *ResourceSchema {
	for i := range s.Types {
		if s.Types[i].Name == name {
			return &s.Types[i]
		}
	}
	return nil
}

// ResourceSchema describes one resource type.
type ResourceSchema struct {
	Name        string
	Description string
	// Config is the JSON Schema (draft 2020-12, an object) of the resource's
	// configuration without the keys that the host itself reads (provider,
	// name, and what stands outside `config`). Custom keywords on a property:
	//   x-immutable: true   a change replaces the resource
	//   x-sensitive: true   the value is never shown or stored
	//   x-computed: true    the platform may fill it in where it is absent
	//   x-write-only: true  it cannot be read back
	// The default of a member is what drift compares with where the file does
	// not write it.
	Config  json.RawMessage
	Outputs []OutputSchema
	// DynamicOutputs says that a resource may report outputs that Outputs
	// does not list (core.data, core.command).
	DynamicOutputs bool
	// Volatile says that the resource can vanish or change without anybody
	// asking (a process on this machine): every plan reads it, and asks Diff
	// even where the inputs are as recorded.
	Volatile bool
	// Pure says that the operations have no effect outside the record
	// (core.data): the host needs no durable intent before them.
	Pure bool
	// Triggered says that the resource is done again whenever something it
	// depends on changed (a gate).
	Triggered bool
	// IDFormat is a regular expression that every identifier matches: a
	// name recorded in place of a UUID is caught. Empty means any.
	IDFormat string
	// NameFormat is a regular expression that the resource name must match;
	// NameMax its greatest length. Empty and 0 mean any.
	NameFormat string
	NameMax    int
	// DependsOn lists types whose resources must outlive these even where
	// no reference says so (a droplet in a VPC): the order of a teardown.
	DependsOn []string
	// CreateTimeout and so on bound the operations, in seconds; 0 leaves it
	// to the host.
	CreateTimeout, UpdateTimeout, DeleteTimeout int
	// SchemaVersion grows when recorded configurations need an upgrade.
	SchemaVersion int
}

// OutputSchema describes one output.
type OutputSchema struct {
	Name        string
	Description string
	// Type is a JSON type: string, number, integer, boolean, array, object.
	Type string
	// Sensitive outputs are masked and not stored in plain.
	Sensitive bool
	// Stable outputs keep their value when the resource is updated.
	Stable bool
	// Once says that the platform shows the value at creation and never
	// again.
	Once bool
}

// Output returns the schema of an output, nil where it is not declared.
func (r *ResourceSchema) Output(name string) *OutputSchema {
	for i := range r.Outputs {
		if r.Outputs[i].Name == name {
			return &r.Outputs[i]
		}
	}
	return nil
}
