package validate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/validate"
)

const order = `{
  "type": "object", "required": ["order_id", "customer_email", "amount", "currency"],
  "properties": {
    "order_id": {"type": "string", "format": "uuid"}, "customer_email": {"type": "string", "format": "email"},
    "amount": {"type": "number"}, "currency": {"enum": ["USD", "EUR", "GBP"]}, "items": {"type": "array"},
    "metadata": {"type": "object"}, "confirmed": {"type": "boolean"},
    "created_at": {"type": "string", "format": "date-time"}, "callback_url": {"type": "string", "format": "uri"}
  }
}`

func required() map[string]any {
	return map[string]any{"order_id": "6f0c1f9e-4d8a-4c39-9a57-0c7f0f1f2a3b", "customer_email": "ann@example.com", "amount": 99.5, "currency": "EUR"}
}

func with(m map[string]any, pairs ...any) map[string]any {
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

func compile(tb testing.TB, raw string) *validate.Schema {
	tb.Helper()
	s, err := validate.Compile(json.RawMessage(raw))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestEveryMistakeIsNamed(t *testing.T) {
	err := compile(t, order).Check(with(required(), "currency", "XXX", "order_id", "no", "created_at", "yesterday"))
	for _, want := range []string{"/currency", "/order_id", "/created_at"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if step.Retryable(err) {
		t.Error("a value that is not valid stays so")
	}
}

func TestStep(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "order.json"), []byte(order), 0o600); err != nil {
		t.Fatal(err)
	}
	value, _ := json.Marshal(required())
	s, err := validate.Kind(dir).Prepare([]byte(`{"schema_file": "order.json", "value": ` + string(value) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Run(t.Context(), &step.Context{})
	if err != nil || res.Outputs["valid"] != true {
		t.Error(res, err)
	}
	for _, bad := range []string{`{"schema_file": "none.json", "value": 1}`, `{"schema": {"type": "nonsense"}, "value": 1}`, `{"schema": {"$ref": "http://example.com/x"}, "value": 1}`} {
		if _, err := validate.Kind(dir).Prepare([]byte(bad)); err == nil {
			t.Errorf("%s is prepared", bad)
		}
	}
}

func bench(b *testing.B, s *validate.Schema, v any) {
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Check(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSchemaValidation_Simple(b *testing.B) { bench(b, compile(b, order), required()) }

func BenchmarkSchemaValidation_AllFields(b *testing.B) {
	bench(b, compile(b, order), with(required(), "items", []any{"a", "b"}, "metadata", map[string]any{"source": "web"}, "confirmed", true,
		"created_at", "2026-04-24T10:00:00Z", "callback_url", "https://example.com/callback"))
}

func BenchmarkSchemaValidation_FormatValidation(b *testing.B) {
	bench(b, compile(b, order), with(required(), "created_at", "2026-04-24T10:00:00Z", "callback_url", "https://example.com/callback"))
}

func BenchmarkSchemaValidation_ManySchemas(b *testing.B) {
	schemas := map[string]*validate.Schema{}
	for i := range 100 {
		schemas[fmt.Sprintf("schema-%d", i)] = compile(b, `{"type": "object", "required": ["id", "name", "val"], "properties": {
			"id": {"type": "string", "format": "uuid"}, "name": {"type": "string"}, "val": {"type": "number"}}}`)
	}
	v := map[string]any{"id": "6f0c1f9e-4d8a-4c39-9a57-0c7f0f1f2a3b", "name": "n", "val": 1.0}
	b.ReportAllocs()
	for b.Loop() {
		if err := schemas["schema-49"].Check(v); err != nil {
			b.Fatal(err)
		}
	}
}
