package tfstate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// ownPrefix begins the types of what wfctl itself has written.
const ownPrefix = "wfctl_"

var notInNames = lazyregexp.New(`[^A-Za-z0-9_-]`)

func tfName(s string) string { return notInNames().ReplaceAllString(s, "_") }

func ownType(typ string) string { return ownPrefix + tfName(strings.ReplaceAll(typ, ".", "_")) }

// Write writes the view as a Terraform state. Sensitive values are absent,
// as they are from our own.
func Write(v *state.View) ([]byte, error) {
	doc := document{Version: version, TerraformVersion: "1.11.0", Serial: v.Seq, Lineage: uuidOf(v.Lineage), Outputs: map[string]string{}, Resources: []entry{}}
	types := map[resource.Address]string{}
	for _, r := range v.Records {
		types[r.Address] = ownType(r.Type)
	}
	for _, r := range v.Records {
		one, err := instanceOf(r, types)
		if err != nil {
			return nil, err
		}
		// What is left of a replaced one belongs to the same resource.
		if n := len(doc.Resources); n > 0 && doc.Resources[n-1].Name == tfName(string(r.Address)) && doc.Resources[n-1].Type == types[r.Address] {
			doc.Resources[n-1].Instances = append(doc.Resources[n-1].Instances, one)
			continue
		}
		doc.Resources = append(doc.Resources, entry{
			Mode: "managed", Type: types[r.Address], Name: tfName(string(r.Address)),
			Provider: `provider["registry.terraform.io/gocodealone/wfctl"]`, Instances: []instance{one},
		})
	}
	return json.MarshalIndent(doc, "", "  ")
}

func instanceOf(r resource.Record, types map[resource.Address]string) (instance, error) {
	one := instance{SchemaVersion: r.SchemaVersion, Attributes: map[string]json.RawMessage{}}
	for name, out := range r.Outputs {
		if out.Value != nil {
			one.Attributes[name] = out.Value
		}
	}
	for name, text := range map[string]string{"id": r.ID, "name": r.Name} {
		raw, err := json.Marshal(text)
		if err != nil {
			return one, err
		}
		one.Attributes[name] = raw
	}
	if r.Deposed != "" {
		sum := sha256.Sum256([]byte(r.Deposed))
		one.Deposed = hex.EncodeToString(sum[:4])
	}
	if r.Status == resource.Tainted {
		one.Status = "tainted"
	}
	for _, dep := range r.DependsOn {
		if typ, ok := types[dep]; ok {
			one.Dependencies = append(one.Dependencies, typ+"."+tfName(string(dep)))
		}
	}
	return one, nil
}

// uuidOf shapes a lineage as the UUID that Terraform expects.
func uuidOf(lineage string) string {
	sum := sha256.Sum256([]byte(lineage))
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:32]}, "-")
}
