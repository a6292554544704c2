package builtin

import (
	"context"
	"encoding/json"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/secret/file"
	"github.com/gocodealone/wfctl/secret/github"
	"github.com/gocodealone/wfctl/secret/keyring"
	"github.com/gocodealone/wfctl/secret/sops"
	"github.com/gocodealone/wfctl/secret/vault"
)

// sinks are the stores that secrets are brought to.
func sinks() kind.Set[secret.Kind] {
	return kind.NewSet("sink", map[string]secret.Kind{
		"file":            file.Kind(),
		"github_env":      github.EnvKind(),
		"github_secret":   github.SecretKind(github.Clock{}),
		"github_variable": github.VariableKind(github.Clock{}),
		"keyring":         keyring.Kind(),
		"vault_kv":        vault.Kind(),
	})
}

// openStore opens a store that secrets are read from.
func openStore(typ string, options json.RawMessage, h secret.Host) (engine.SecretStore, error) {
	switch typ {
	case "env":
		return newEnvStore(options, h)
	case "sops":
		return sops.New(options, h)
	}
	k, err := sinks().Get(typ)
	if err != nil {
		return nil, err
	}
	sink, err := k.Open(h)
	if err != nil {
		return nil, err
	}
	reader, ok := sink.(secret.Reader)
	if !ok {
		return nil, fault.New(fault.Config, "the store %s cannot be read", typ)
	}
	return readerStore{reader, options}, nil
}

// readerStore is a sink that gives values back.
type readerStore struct {
	secret.Reader
	options json.RawMessage
}

// Secret implements engine.SecretStore.
func (s readerStore) Secret(ctx context.Context, name string) (secret.Value, bool, error) {
	return s.Read(ctx, secret.Target{Name: name, Options: s.options})
}

// envStore is the environment, with a prefix before each name.
type envStore struct {
	prefix string
	getenv func(string) (string, bool)
}

func newEnvStore(options json.RawMessage, h secret.Host) (engine.SecretStore, error) {
	var o struct {
		Prefix string `json:"prefix"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fault.New(fault.Config, "the store env takes a `prefix` alone")
	}
	return envStore{o.Prefix, h.Getenv}, nil
}

// Secret implements engine.SecretStore.
func (s envStore) Secret(_ context.Context, name string) (secret.Value, bool, error) {
	v, ok := s.getenv(s.prefix + name)
	return secret.FromString(v), ok, nil
}
