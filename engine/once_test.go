package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/provider/core"
	"github.com/gocodealone/wfctl/sdk"
)

// keys is a provider whose one type shows its secret once.
type keys struct{ sdk.Provider }

func (k keys) Schema(ctx context.Context) (*sdk.Schema, error) {
	s, err := k.Provider.Schema(ctx)
	if err != nil {
		return nil, err
	}
	return &sdk.Schema{Types: []sdk.ResourceSchema{{
		Name: "infra.spaces_key", Config: json.RawMessage(`{"type": "object"}`),
		Outputs: []sdk.OutputSchema{{Name: "secret", Type: "string", Sensitive: true, Once: true}},
	}}, Config: s.Config}, nil
}

func (keys) Validate(context.Context, *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	return &sdk.ValidateResponse{}, nil
}

const onceFile = `version: 1
project: p
modules:
  - {name: cloud, type: iac.provider, config: {provider: keys}}
  - {name: records, type: iac.state, config: {backend: sqlite, path: state.db%s}}
  - {name: key, type: infra.spaces_key, config: {provider: cloud}}
`

// An output that is shown once is lost where the state cannot keep it.
func TestOnceNeedsEncryption(t *testing.T) {
	kinds := builtin.Kinds()
	kinds.Providers = kind.NewSet("provider", map[string]engine.ProviderFactory{
		"keys": func(engine.Host) sdk.Provider { return keys{core.New()} },
		"core": func(engine.Host) sdk.Provider { return core.New() },
	})
	validate := func(encryption string) error {
		dir := t.TempDir()
		text := strings.Replace(onceFile, "%s", encryption, 1)
		if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return engine.Validate(t.Context(), kinds, engine.Options{Dir: dir})
	}
	err := validate("")
	var all fault.List
	if !errors.As(err, &all) || len(all) != 1 || !strings.Contains(all[0].Message, `"secret" once`) || all[0].Pos.Line != 6 || all[0].Hint == "" {
		t.Errorf("without encryption: %v", err)
	}
	if err := validate(", encryption: {age: {recipients: [age1926pp6j2p3vwq0sf0qjerrq79mqezf455mcgdwxjvc5l79xgrdcq6tsalq]}}"); err != nil {
		t.Errorf("with encryption: %v", err)
	}
}
