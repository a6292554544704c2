package builtin

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/age"
	"github.com/gocodealone/wfctl/state/kms"
	awskms "github.com/gocodealone/wfctl/state/kms/aws"
	azurekms "github.com/gocodealone/wfctl/state/kms/azure"
	gcpkms "github.com/gocodealone/wfctl/state/kms/gcp"
	"github.com/gocodealone/wfctl/state/kms/vault"
)

// keyService makes a keeper of a key's URL.
type keyService func(address string, getenv func(string) (string, bool)) (kms.Keeper, error)

// keyServices are where keys can be kept, by the scheme of their URLs.
func keyServices() kind.Set[keyService] {
	return kind.NewSet("key service", map[string]keyService{
		awskms.Scheme:   awskms.New,
		gcpkms.Scheme:   gcpkms.New,
		azurekms.Scheme: azurekms.New,
		vault.Scheme:    vault.New,
	})
}

const encryptionSchema = `{"type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
	"description": "how sensitive outputs are encrypted in the state; without it they are not kept",
	"properties": {
		"age": ` + age.Schema + `,
		"kms": {"type": "string", "pattern": "^[a-z]+://", "description": "the URL of a key: awskms://…, gcpkms://…, azurekeyvault://…, hashivault://…"}}}`

func sealing() engine.Sealing {
	return engine.Sealing{Schema: json.RawMessage(encryptionSchema), Open: openSealer}
}

func openSealer(_ context.Context, raw json.RawMessage, getenv func(string) (string, bool)) (state.Sealer, error) {
	var o struct {
		Age *age.Options `json:"age"`
		KMS string       `json:"kms"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: read `encryption`")
	}
	switch {
	case o.Age != nil && o.KMS == "":
		return age.New(*o.Age, getenv)
	case o.KMS == "" || o.Age != nil:
		return nil, fault.New(fault.Config, "iac.state: `encryption` names one of age and kms").WithHint("such as {age: {recipients: [age1…]}}")
	}
	scheme, _, _ := strings.Cut(o.KMS, "://")
	open, err := keyServices().Get(scheme)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: `encryption.kms`")
	}
	keeper, err := open(o.KMS, getenv)
	if err != nil {
		return nil, err
	}
	return kms.New(keeper), nil
}
