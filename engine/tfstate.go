package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/gocodealone/wfctl/state"
)

// tfState is Terraform's state format, version 4, as far as it is needed to
// list and show resources.
type tfState struct {
	Version          int               `json:"version"`
	TerraformVersion string            `json:"terraform_version"`
	Serial           uint64            `json:"serial"`
	Lineage          string            `json:"lineage"`
	Outputs          map[string]string `json:"outputs"`
	Resources        []tfResource      `json:"resources"`
}

type tfResource struct {
	Mode      string       `json:"mode"`
	Type      string       `json:"type"`
	Name      string       `json:"name"`
	Provider  string       `json:"provider"`
	Instances []tfInstance `json:"instances"`
}

type tfInstance struct {
	SchemaVersion int            `json:"schema_version"`
	Deposed       string         `json:"deposed,omitempty"`
	Status        string         `json:"status,omitempty"`
	Attributes    map[string]any `json:"attributes"`
	Dependencies  []string       `json:"dependencies,omitempty"`
}

var notInTerraformNames = regexp.MustCompile(`[^A-Za-z0-9_-]`)

func tfName(s string) string { return notInTerraformNames.ReplaceAllString(s, "_") }

// tfstate writes the view as a Terraform state. Sensitive values are absent,
// as they are from our own.
func tfstate(v *state.View) ([]byte, error) {
	doc := tfState{Version: 4, TerraformVersion: "1.11.0", Serial: v.Seq, Lineage: uuidOf(v.Lineage), Outputs: map[string]string{}, Resources: []tfResource{}}
	types := map[string]string{}
	for _, r := range v.Records {
		types[string(r.Address)] = "wfctl_" + tfName(strings.ReplaceAll(r.Type, ".", "_"))
	}
	for _, r := range v.Records {
		attributes := map[string]any{"id": r.ID, "name": r.Name}
		for name, out := range r.Outputs {
			if out.Value != nil {
				attributes[name] = out.Value
			}
		}
		instance := tfInstance{SchemaVersion: r.SchemaVersion, Attributes: attributes}
		if r.Deposed != "" {
			sum := sha256.Sum256([]byte(r.Deposed))
			instance.Deposed = hex.EncodeToString(sum[:4])
		}
		if r.Status == "tainted" {
			instance.Status = "tainted"
		}
		for _, dep := range r.DependsOn {
			if typ, ok := types[string(dep)]; ok {
				instance.Dependencies = append(instance.Dependencies, typ+"."+tfName(string(dep)))
			}
		}
		doc.Resources = append(doc.Resources, tfResource{
			Mode: "managed", Type: types[string(r.Address)], Name: tfName(string(r.Address)),
			Provider: `provider["registry.terraform.io/gocodealone/wfctl"]`, Instances: []tfInstance{instance},
		})
	}
	return json.MarshalIndent(doc, "", "  ")
}

// uuidOf shapes a lineage as the UUID that Terraform expects.
func uuidOf(lineage string) string {
	sum := sha256.Sum256([]byte(lineage))
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:32]}, "-")
}
