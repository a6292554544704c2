package project

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/deliver"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// memory is a store by name; it gives values back where it is a vault.
type memory struct {
	mu     sync.Mutex
	values map[string]string
	writes int
	broken string
}

func (m *memory) Write(_ context.Context, req secret.Request) (secret.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if req.Name == m.broken {
		return secret.Receipt{}, fault.New(fault.Config, "the store is full")
	}
	m.writes++
	m.values[req.Name] = req.Value.Reveal()
	return secret.Receipt{Version: fmt.Sprint(m.writes)}, nil
}

func (m *memory) Status(_ context.Context, t secret.Target) (secret.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.values[t.Name]
	return secret.Status{Exists: ok}, nil
}

func (m *memory) Retire(_ context.Context, t secret.Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, t.Name)
	return nil
}

type vault struct{ *memory }

func (v vault) Read(_ context.Context, t secret.Target) (secret.Value, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	text, ok := v.values[t.Name]
	return secret.FromString(text), ok, nil
}

// stores are a sink that can only be written, and one that can be read.
func stores(t *testing.T) (sdk.Provider, *memory, *memory) {
	t.Helper()
	plain, readable := &memory{values: map[string]string{}}, &memory{values: map[string]string{}}
	schema := json.RawMessage(`{"type": "object", "additionalProperties": false}`)
	sinks := &deliver.Sinks{Fingerprint: func(b []byte) string { return "h" + string(b) }, Kinds: kind.NewSet("sink", map[string]secret.Kind{
		"memory": {Schema: schema, Open: func(secret.Host) (secret.Sink, error) { return plain, nil }},
		"vault":  {Schema: schema, Open: func(secret.Host) (secret.Sink, error) { return vault{readable}, nil }},
	})}
	return New(Options{Sinks: sinks}), plain, readable
}

const twoPlaces = `"sinks": [{"sink": "memory", "name": "A"}, {"sink": "vault", "name": "B"}]`

func prior(c sdk.Config, out sdk.Outputs) *sdk.Prior {
	return &sdk.Prior{ID: "x", Name: "x", Config: c, Outputs: out}
}

func TestDelivery(t *testing.T) {
	p, plain, readable := stores(t)
	first := config(`{"source": "db.url", "value": "one", %s}`, twoPlaces)
	made, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeSecret, Name: "x", Config: first}, &recorder{})
	if err != nil || plain.values["A"] != "one" || readable.values["B"] != "one" {
		t.Fatalf("%v %v %v", err, plain.values, readable.values)
	}
	read := func(want bool, why string) {
		t.Helper()
		res, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeSecret, ID: "x", Name: "x", Prior: prior(first, made.Outputs)})
		if err != nil || res.Healthy != want || !strings.Contains(res.Reason, why) {
			t.Errorf("%+v, %v, want healthy %v %q", res, err, want, why)
		}
	}
	read(true, "")
	readable.values["B"] = "other"
	read(false, "somebody else has written vault B since")
	delete(plain.values, "A")
	read(false, "")
	readable.values["B"] = "one"
	read(false, "it is gone from memory A")

	// the first place moves: the new one is written alone, then the old one goes
	plain.values["A"] = "one"
	writes := readable.writes
	second := config(`{"source": "db.url", "value": "one", "sinks": [{"sink": "memory", "name": "C"}, {"sink": "vault", "name": "B"}]}`)
	_, err = p.Update(t.Context(), &sdk.UpdateRequest{Type: TypeSecret, ID: "x", Name: "x", Prior: prior(first, made.Outputs), Config: second, Changes: []sdk.FieldChange{{Path: "/sinks/0/name"}}}, &recorder{})
	if err != nil || !maps.Equal(plain.values, map[string]string{"C": "one"}) || readable.writes != writes {
		t.Errorf("%v %v, %d writes of the other", err, plain.values, readable.writes-writes)
	}
	// another value goes everywhere, and where one store fails the old place stays
	plain.broken = "D"
	third := config(`{"source": "db.url", "value": {"a": 1}, "sinks": [{"sink": "memory", "name": "D"}]}`)
	change := &sdk.UpdateRequest{Type: TypeSecret, ID: "x", Name: "x", Prior: prior(second, nil), Config: third, Changes: []sdk.FieldChange{{Path: "/value"}}}
	if _, err := p.Update(t.Context(), change, &recorder{}); err == nil || plain.values["C"] != "one" {
		t.Errorf("%v %v", err, plain.values)
	}
	plain.broken = ""
	if _, err := p.Update(t.Context(), change, &recorder{}); err != nil || plain.values["D"] != `{"a":1}` || len(readable.values) != 0 {
		t.Errorf("%v %v %v", err, plain.values, readable.values)
	}
	// nothing is cleared because a value is missing
	none := config(`{"source": "db.url", "value": null, "sinks": [{"sink": "memory", "name": "D"}]}`)
	if _, err := p.Update(t.Context(), &sdk.UpdateRequest{Type: TypeSecret, ID: "x", Name: "x", Prior: prior(third, nil), Config: none, Changes: change.Changes}, &recorder{}); err == nil || plain.values["D"] == "" {
		t.Errorf("without a value: %v %v", err, plain.values)
	}
	for range 2 {
		if _, err := p.Delete(t.Context(), &sdk.DeleteRequest{Type: TypeSecret, ID: "x", Prior: prior(third, nil)}, &recorder{}); err != nil || len(plain.values) != 0 {
			t.Errorf("%v %v", err, plain.values)
		}
	}
}

func TestGeneratedSecret(t *testing.T) {
	p, plain, readable := stores(t)
	first := config(`{"kind": "random_hex", "length": 16, %s}`, twoPlaces)
	made, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeSecret, Name: "key", Config: first}, &recorder{})
	if err != nil || len(plain.values["A"]) != 32 || readable.values["B"] != plain.values["A"] || !made.Outputs["value"].Sensitive() {
		t.Fatalf("%v %v %v", err, plain.values, readable.values)
	}
	value := plain.values["A"]
	update := func(from, to sdk.Config) error {
		_, err := p.Update(t.Context(), &sdk.UpdateRequest{Type: TypeSecret, ID: "key", Name: "key", Prior: prior(from, made.Outputs), Config: to}, &recorder{})
		return err
	}
	// a place that lost it gets it back
	delete(plain.values, "A")
	if err := update(first, first); err != nil || plain.values["A"] != value {
		t.Errorf("mended: %v %v", err, plain.values)
	}
	// it is taken to another place
	second := config(`{"kind": "random_hex", "length": 16, "sinks": [{"sink": "memory", "name": "C"}, {"sink": "vault", "name": "B"}]}`)
	if err := update(first, second); err != nil || !maps.Equal(plain.values, map[string]string{"C": value}) {
		t.Errorf("moved: %v %v", err, plain.values)
	}
	// asked for once more, it is another everywhere
	if err := update(second, second); err != nil || plain.values["C"] == value || plain.values["C"] != readable.values["B"] {
		t.Errorf("rotated: %v %v %v", err, plain.values, readable.values)
	}
	// from a store that gives nothing back it cannot be taken elsewhere
	alone := config(`{"kind": "random_hex", "length": 16, "sinks": [{"sink": "memory", "name": "C"}]}`)
	if err := update(second, alone); err != nil || len(readable.values) != 0 {
		t.Errorf("%v %v", err, readable.values)
	}
	if err := update(alone, second); err == nil || !strings.Contains(err.Error(), "read from none of its stores") {
		t.Errorf("%v", err)
	}
}

func TestKindsOfSecrets(t *testing.T) {
	p, plain, _ := stores(t)
	for _, k := range deliver.GeneratorKinds() {
		seen := []string{}
		for range 2 {
			_, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeSecret, Name: "k", Config: config(`{"kind": %q, "sinks": [{"sink": "memory", "name": "K"}]}`, k)}, &recorder{})
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(seen, plain.values["K"]) || len(plain.values["K"]) < 32 {
				t.Errorf("%s: %d characters, %d others", k, len(plain.values["K"]), len(seen))
			}
			seen = append(seen, plain.values["K"])
		}
	}
	if _, err := deliver.Generate("rsa_key", 512); err == nil {
		t.Error("an RSA key of 512 bits")
	}
}
