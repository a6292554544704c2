// Package tfstate writes the record as Terraform reads it, and reads what
// Terraform has managed: its state file, version 4. It maps Terraform's types
// to portable ones and decides which module takes over which resource; it asks
// no platform. Of a file that is read nothing but addresses and identifiers
// leaves the package: what else stands there may be secret.
package tfstate

import "encoding/json"

// version is that of the file's format, since Terraform 0.12.
const version = 4

// document is the file, as far as it is needed to list and show resources.
type document struct {
	Version          int               `json:"version"`
	TerraformVersion string            `json:"terraform_version"`
	Serial           uint64            `json:"serial"`
	Lineage          string            `json:"lineage"`
	Outputs          map[string]string `json:"outputs"`
	Resources        []entry           `json:"resources"`
}

// entry is a resource with its instances.
type entry struct {
	Module    string     `json:"module,omitempty"`
	Mode      string     `json:"mode"`
	Type      string     `json:"type"`
	Name      string     `json:"name"`
	Provider  string     `json:"provider"`
	Instances []instance `json:"instances"`
}

type instance struct {
	IndexKey            json.RawMessage            `json:"index_key,omitempty"`
	SchemaVersion       int                        `json:"schema_version"`
	Deposed             string                     `json:"deposed,omitempty"`
	Status              string                     `json:"status,omitempty"`
	Attributes          map[string]json.RawMessage `json:"attributes"`
	SensitiveAttributes [][]pathStep               `json:"sensitive_attributes,omitempty"`
	Dependencies        []string                   `json:"dependencies,omitempty"`
}

// pathStep is one step to an attribute.
type pathStep struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}
