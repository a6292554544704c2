package secret

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const canary = "canary-5f0c1d"

// A structure of another package may hold a Value in a field that formatters
// cannot call methods on.
type holdsValue struct {
	Open   Value
	hidden Value
	ptr    *Value
}

func TestValuePrintsNowhere(t *testing.T) {
	v := FromString(canary)
	h := holdsValue{v, v, &v}
	things := []any{v, &v, h, &h, []Value{v}, map[string]Value{"k": v}, [1]holdsValue{h}, errors.Join(fmt.Errorf("wrapped: %w %v", errors.New(v.String()), v))}
	for _, thing := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t", "%10.3s", "%U"} {
			noCanary(t, verb, fmt.Sprintf(verb, thing))
		}
		noCanary(t, "Sprint", fmt.Sprint(thing, thing))
		if b, err := json.Marshal(thing); err == nil {
			noCanary(t, "json", string(b))
		}
		if b, err := yaml.Marshal(thing); err == nil {
			noCanary(t, "yaml", string(b))
		}
		if b, err := xml.Marshal(thing); err == nil {
			noCanary(t, "xml", string(b))
		}
		var out bytes.Buffer
		if gob.NewEncoder(&out).Encode(thing) == nil {
			noCanary(t, "gob", out.String())
		}
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(handler).Error("x", "thing", thing, slog.Any("value", v))
		}
		noCanary(t, "slog", out.String())
	}
}

func noCanary(t *testing.T, how, text string) {
	t.Helper()
	for _, form := range Forms([]byte(canary)) {
		if strings.Contains(text, string(form)) {
			t.Errorf("%s shows the value: %s", how, text)
		}
	}
}

func TestValueMasks(t *testing.T) {
	v := FromString(canary)
	if got := fmt.Sprintf("%v %+v %#v %q %d", v, v, v, v, v); got != strings.TrimSpace(strings.Repeat(Mask+" ", 5)) {
		t.Errorf("formatted: %s", got)
	}
	b, err := json.Marshal(map[string]any{"v": v})
	if err != nil || string(b) != `{"v":"`+Mask+`"}` {
		t.Errorf("json: %s, %v", b, err)
	}
	y, err := yaml.Marshal(struct{ V Value }{v})
	if err != nil || !strings.Contains(string(y), Mask) {
		t.Errorf("yaml: %s, %v", y, err)
	}
}

func TestValuePanics(t *testing.T) {
	defer func() { noCanary(t, "panic", fmt.Sprint(recover())) }()
	panic(FromString(canary))
}

func TestValueEqual(t *testing.T) {
	a, b := FromString("one"), FromString("one")
	for _, c := range []struct {
		x, y Value
		want bool
	}{{a, a, true}, {a, b, true}, {a, FromString("two"), false}, {a, FromString("one1"), false}, {a, Value{}, false}, {Value{}, New(nil), true}} {
		if c.x.Equal(c.y) != c.want || c.y.Equal(c.x) != c.want {
			t.Errorf("Equal is not %v", c.want)
		}
	}
}

func TestWipeReachesCopiesAndMemory(t *testing.T) {
	memory := []byte(canary)
	v := New(memory)
	kept := v
	v.Wipe()
	if !kept.IsEmpty() || !v.IsEmpty() || kept.Reveal() != "" {
		t.Error("a copy still holds it")
	}
	if !bytes.Equal(memory, make([]byte, len(memory))) {
		t.Error("the memory was not cleared")
	}
	v.Wipe()
	Value{}.Wipe()
}

func TestValueOfOptions(t *testing.T) {
	var o struct{ Token Value }
	if err := json.Unmarshal([]byte(`{"Token": "canary-5f0c1d"}`), &o); err != nil || o.Token.Reveal() != canary {
		t.Errorf("%v", err)
	}
	if got := o.Token.Fingerprint(func(b []byte) string { return "fp:" + fmt.Sprint(len(b)) }); got != "fp:13" {
		t.Error(got)
	}
}
