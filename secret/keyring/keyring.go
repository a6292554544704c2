// Package keyring keeps secrets in the keyring of the person who is logged in:
// the Keychain of macOS, the Credential Manager of Windows, the Secret Service
// of a Linux desktop.
package keyring

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"github.com/zalando/go-keyring"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// Schema is the JSON Schema of the options.
const Schema = `{"type": "object", "additionalProperties": false, "properties": {
	"service": {"type": "string", "minLength": 1, "description": "what the entries are filed under; default wfctl"}}}`

// Kind is the sink `keyring`.
func Kind() secret.Kind {
	return secret.Kind{Schema: json.RawMessage(Schema), Open: func(secret.Host) (secret.Sink, error) { return Sink{}, nil }}
}

// Sink is the keyring.
type Sink struct{}

var _ secret.Reader = Sink{}

func service(t secret.Target) string {
	var o struct {
		Service string `json:"service"`
	}
	_ = json.Unmarshal(t.Options, &o) // checked against the schema
	return cmp.Or(o.Service, "wfctl")
}

func failed(err error, doing string) error {
	return fault.Wrap(fault.Environment, err, "%s the keyring", doing).
		WithHint("is there one here? On Linux it needs a desktop with a Secret Service; elsewhere use the store file, sops or vault_kv")
}

// Write implements secret.Sink.
func (Sink) Write(_ context.Context, req secret.Request) (secret.Receipt, error) {
	return secret.Receipt{}, req.Value.Use(func(v []byte) error {
		if err := keyring.Set(service(req.Target), req.Name, string(v)); err != nil {
			return failed(err, "write to")
		}
		return nil
	})
}

// Status implements secret.Sink.
func (s Sink) Status(ctx context.Context, t secret.Target) (secret.Status, error) {
	_, found, err := s.Read(ctx, t)
	return secret.Status{Exists: found}, err
}

// Read implements secret.Reader.
func (Sink) Read(_ context.Context, t secret.Target) (secret.Value, bool, error) {
	v, err := keyring.Get(service(t), t.Name)
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return secret.Value{}, false, nil
	case err != nil:
		return secret.Value{}, false, failed(err, "read")
	}
	return secret.FromString(v), true, nil
}

// Retire implements secret.Sink.
func (Sink) Retire(_ context.Context, t secret.Target) error {
	if err := keyring.Delete(service(t), t.Name); err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return failed(err, "remove from")
	}
	return nil
}
