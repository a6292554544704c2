package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// No verb and no encoder prints a secret.
func TestSecretsMaskThemselves(t *testing.T) {
	const secret = "hunter2"
	values := []any{
		SecretOut(secret), Outputs{"a": SecretOut(secret)}, NewSensitive(secret), &WriteSecretRequest{Value: NewSensitive(secret)},
		Config{JSON: json.RawMessage(`{"a":"` + secret + `"}`)}, &CreateRequest{Config: Config{JSON: json.RawMessage(`"` + secret + `"`)}},
		&Prior{Outputs: Outputs{"a": SecretOut(secret)}},
	}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s of %T is %s", verb, v, got)
			}
		}
		if raw, err := json.Marshal(v); err != nil || strings.Contains(string(raw), secret) {
			t.Errorf("JSON of %T is %s %v", v, raw, err)
		}
		var b strings.Builder
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
		if strings.Contains(b.String(), secret) {
			t.Errorf("the log has %s", b.String())
		}
	}
	if raw, err := NewSensitive(secret).MarshalText(); err != nil || string(raw) != Mask {
		t.Errorf("%s %v", raw, err)
	}
	if NewSensitive(secret).Reveal() != secret || string(SecretOut(secret).Reveal()) != `"hunter2"` {
		t.Error("Reveal does not reveal")
	}
}

func TestOutputs(t *testing.T) {
	if o := Out(map[string]int{"a": 1}); o.String() != `{"a":1}` || o.Sensitive() || !o.Equal(RawOutput(json.RawMessage(` {"a" : 1}`), false)) {
		t.Errorf("%v", o)
	}
	if Out(1).Equal(SecretOut(1)) || Out(1).Equal(Out(2)) || Out(1).WithSensitive(true).String() != Mask {
		t.Error("outputs that differ are equal")
	}
	if raw, err := json.Marshal(Outputs{"a": Out("x"), "b": {}}); err != nil || string(raw) != `{"a":"x","b":null}` {
		t.Errorf("%s %v", raw, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a channel was encoded")
		}
	}()
	Out(make(chan int))
}

func TestConfigPlaces(t *testing.T) {
	c := Config{Sensitive: []Path{"/a"}, Unknown: []Path{"/b/0"}, Opaque: []Path{""}}
	if !c.IsSensitive("/a/b") || c.IsSensitive("/ab") || !c.IsUnknown("/b/0") || c.IsUnknown("/b") || !c.IsOpaque("/x") {
		t.Error("a place is misjudged")
	}
	if string(Config{}.Bytes()) != "{}" {
		t.Error("an empty configuration is no object")
	}
}

func TestPath(t *testing.T) {
	p := Path("").Child("env_vars").Child("a/b~c").Index(3)
	if p != "/env_vars/a~1b~0c/3" || p.Dotted() != "env_vars.a/b~c[3]" || !slices.Equal(p.Segments(), []string{"env_vars", "a/b~c", "3"}) {
		t.Errorf("%s %s %q", p, p.Dotted(), p.Segments())
	}
	if Path("").Segments() != nil || Path("").Dotted() != "" || !p.HasPrefix("") || p.HasPrefix("/env") || !p.HasPrefix("/env_vars") {
		t.Error("the whole is misjudged")
	}
}

func TestErrors(t *testing.T) {
	if Wrap(CodeInternal, nil, "x") != nil {
		t.Error("nothing was wrapped into something")
	}
	err := Wrap(CodeUnavailable, io.EOF, "ask")
	if err.Error() != "ask: EOF" || !errors.Is(err, io.EOF) || CodeOf(fmt.Errorf("more: %w", err)) != CodeUnavailable {
		t.Errorf("%v", err)
	}
	for err, code := range map[error]Code{
		nil: "", io.EOF: CodeInternal, context.Canceled: CodeCancelled, context.DeadlineExceeded: CodeDeadline, Errorf(CodeNotFound, "x"): CodeNotFound,
	} {
		if CodeOf(err) != code {
			t.Errorf("%v has the code %q", err, CodeOf(err))
		}
	}
	first := Errorf(CodeConflict, "x")
	if second := first.WithHint("h"); second.Hint != "h" || first.Hint != "" || IsNotFound(second) {
		t.Error("WithHint changes its receiver")
	}
}

// all has every optional interface, by embedding.
type all struct {
	Provider
	Lister
	Importer
	HealthChecker
	Sizer
	RegistryProvider
	SecretWriter
	StateBootstrapper
	LogReader
	Diagnoser
}

type remote struct {
	all
	caps []Capability
}

func (r remote) Capabilities() []Capability { return r.caps }

func TestCapabilities(t *testing.T) {
	if got := Capabilities(all{}); len(got) != 9 {
		t.Errorf("%v", got)
	}
	if got := Capabilities(struct{ Provider }{}); got != nil {
		t.Errorf("%v", got)
	}
	if got := Capabilities(remote{caps: []Capability{CapList}}); !slices.Equal(got, []Capability{CapList}) {
		t.Errorf("%v", got)
	}
}

// As believes what stands for another provider, and not its methods.
func TestAs(t *testing.T) {
	asks := map[Capability]func(Provider) bool{
		CapList: has[Lister], CapImport: has[Importer], CapHealth: has[HealthChecker], CapSizes: has[Sizer], CapRegistry: has[RegistryProvider],
		CapSecretWriter: has[SecretWriter], CapStateBootstrap: has[StateBootstrapper], CapLogs: has[LogReader], CapDiagnose: has[Diagnoser],
	}
	for cap, ask := range asks {
		if !ask(all{}) || ask(struct{ Provider }{}) || ask(remote{}) || !ask(remote{caps: []Capability{cap}}) {
			t.Errorf("%s is misjudged", cap)
		}
	}
	if _, ok := As[Closer](remote{}); ok {
		t.Error("it has no Close")
	}
	if len(asks) != len(Capabilities(all{})) {
		t.Error("a capability is missing here")
	}
}

func has[T any](p Provider) bool {
	_, ok := As[T](p)
	return ok
}

func TestWalker(t *testing.T) {
	w, err := SchemaWalker(json.RawMessage(`{
		"$defs": {"secret": {"x-sensitive": true}, "loop": {"$ref": "#/$defs/loop"}},
		"properties": {
			"a": {"x-immutable": true, "properties": {"deep": {}}},
			"b": {"items": {"properties": {"token": {"x-sensitive": true}}}},
			"c": {"additionalProperties": {"$ref": "#/$defs/secret"}},
			"d": {"prefixItems": [{"x-computed": true}], "items": {"x-write-only": true}},
			"e": {"$ref": "#/$defs/loop"}, "f": true
		}}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[Path][4]bool{
		"/a": {true}, "/a/deep": {true}, "/b": {}, "/b/7/token": {1: true}, "/c/x": {1: true}, "/c": {}, "/d/0": {2: true}, "/d/5": {3: true},
		"/e/x": {}, "/f/x": {}, "/none": {}, "": {},
	} {
		if got := [4]bool{w.Immutable(path), w.Sensitive(path), w.Computed(path), w.WriteOnly(path)}; got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	config := []byte(`{"b":[{"token":"x"},{"other":1},{"token":null}],"c":{"y":1,"x":{"z":1}},"a":{"deep":1}}`)
	if got := w.SensitivePaths(config); !slices.Contains(got, "/b/0/token") || !slices.Contains(got, "/c/x") || !slices.Contains(got, "/c/y") || slices.Contains(got, "/c/x/z") || !slices.IsSorted(got) {
		t.Errorf("%v", got)
	}
	if _, err := SchemaWalker(json.RawMessage(`[`)); err == nil {
		t.Error("what is no JSON was read")
	}
	empty, err := SchemaWalker(nil)
	if err != nil || empty.Immutable("/a") || empty.SensitivePaths(config) != nil {
		t.Errorf("%v", err)
	}
}

// The walker finds what the builder marks.
func TestWalkerReadsTheBuilder(t *testing.T) {
	w, err := SchemaWalker(MustSchema[sample]())
	if err != nil {
		t.Fatal(err)
	}
	if !w.Immutable("/region") || !w.Computed("/region") || !w.Sensitive("/secret") || !w.WriteOnly("/secret") || w.Sensitive("/name") {
		t.Error("a mark is lost")
	}
	if got := w.SensitivePaths([]byte(`{"secret":"x","name":"y"}`)); !reflect.DeepEqual(got, []Path{"/secret"}) {
		t.Errorf("%v", got)
	}
}

func FuzzWalker(f *testing.F) {
	f.Add([]byte(`{"properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"x-sensitive":true}}}`), []byte(`{"a":[1]}`), "/a/0")
	f.Add([]byte(`{}`), []byte(`{"-1":1}`), "/-1") // a name that looks like an index
	f.Fuzz(func(t *testing.T, schema, config []byte, path string) {
		w, err := SchemaWalker(schema)
		if err != nil {
			return
		}
		w.Immutable(Path(path))
		for _, p := range w.SensitivePaths(config) {
			if !w.Sensitive(p) {
				t.Errorf("%s is listed and is not sensitive", p)
			}
		}
	})
}

func TestSchemaLookups(t *testing.T) {
	s := &Schema{Types: []ResourceSchema{{Name: "a.b", Outputs: []OutputSchema{{Name: "url"}}}}}
	if s.Type("a.b") == nil || s.Type("x") != nil || s.Type("a.b").Output("url") == nil || s.Type("a.b").Output("x") != nil {
		t.Error("a lookup fails")
	}
	if tags := (Ownership{"p", "e", "m"}).Tags(); tags[TagProject] != "p" || tags[TagEnvironment] != "e" || tags[TagModule] != "m" {
		t.Errorf("%v", tags)
	}
}
