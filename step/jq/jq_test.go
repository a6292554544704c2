package jq_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/jq"
)

func run(t *testing.T, options string) (map[string]any, error) {
	t.Helper()
	s, err := jq.Kind().Prepare(json.RawMessage(options))
	if err != nil {
		return nil, err
	}
	res, err := s.Run(t.Context(), &step.Context{})
	return res.Outputs, err
}

func TestStep(t *testing.T) {
	for _, c := range []struct{ options, want string }{
		{`{"query": ".name", "input": {"name": "ann"}}`, `{"result":"ann"}`},
		{`{"query": ".[] | . + $by", "input": [1, 2], "vars": {"by": 10}, "all": true, "output": "sums"}`, `{"sums":[11,12]}`},
		{`{"query": "empty", "input": {}}`, `{"result":null}`},
	} {
		out, err := run(t, c.options)
		got, _ := json.Marshal(out)
		if err != nil || string(got) != c.want {
			t.Errorf("%s gives %s, %v; want %s", c.options, got, err, c.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, options := range []string{`{"query": ".["}`, `{"query": "$nobody"}`, `{"query": "error(\"x\")"}`, `{"query": ".a.b", "input": 1}`} {
		if _, err := run(t, options); err == nil || step.Retryable(err) {
			t.Errorf("%s: %v", options, err)
		}
	}
}

func TestEndsWithTheContext(t *testing.T) {
	q, err := jq.Compile("last(repeat(1))")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Run(ctx, nil); err == nil {
		t.Error("an endless expression ended by itself")
	}
}

func bench(b *testing.B, query string, input any) {
	q, err := jq.Compile(query)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Run(b.Context(), input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJQTransform_Simple(b *testing.B) {
	bench(b, ".name", map[string]any{"name": "Ann", "age": 30, "email": "ann@example.com"})
}

func BenchmarkJQTransform_ObjectConstruction(b *testing.B) {
	bench(b, "{user_name: .name, user_email: .email}", map[string]any{"name": "Ann", "age": 30, "email": "ann@example.com"})
}

func BenchmarkJQTransform_ArraySelect(b *testing.B) {
	bench(b, "[.items[] | select(.price > 1)]", map[string]any{"items": []any{
		map[string]any{"name": "a", "price": 1.5}, map[string]any{"name": "b", "price": 0.75}, map[string]any{"name": "c", "price": 3.0},
	}})
}

func BenchmarkJQTransform_Complex(b *testing.B) {
	var orders []any
	for i := range 50 {
		orders = append(orders, map[string]any{"id": fmt.Sprintf("order-%d", i), "amount": i * 10})
	}
	bench(b, "{count: (.orders | length), total: ([.orders[].amount] | add), large: [.orders[] | select(.amount > 100) | .id]}", map[string]any{"orders": orders})
}

func BenchmarkJQTransform_Throughput(b *testing.B) {
	bench(b, "{name: .name, upper: .name, count: (.items | length)}", map[string]any{"name": "Ann", "items": []any{1, 2, 3, 4, 5}})
}
