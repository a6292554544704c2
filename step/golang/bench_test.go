package golang_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/gocodealone/wfctl/step/golang"
)

// greeter is the 25-line component of the reference workload.
const greeter = `package component

import (
	"context"
	"fmt"
)

func Name() string {
	return "greeter"
}

func Init(config map[string]interface{}) error {
	return nil
}

func Start(ctx context.Context) error { return nil }

func Stop(ctx context.Context) error { return nil }

func Execute(ctx context.Context, params map[string]interface{}) (map[string]interface{}, error) {
	name, ok := params["name"].(string)
	if !ok {
		return nil, fmt.Errorf("name is missing")
	}
	return map[string]interface{}{"greeting": "hello " + name}, nil
}
`

func check(tb testing.TB) *golang.Source {
	tb.Helper()
	s, err := golang.Check("greeter", greeter)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func load(tb testing.TB) *golang.Component {
	tb.Helper()
	c, err := golang.Load(check(tb), io.Discard)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func world() map[string]any { return map[string]any{"name": "world"} }

func greeted(tb testing.TB, out map[string]any, err error) {
	if err != nil || out["greeting"] != "hello world" {
		tb.Fatal(out, err)
	}
}

// BenchmarkInterpreterCreation makes an interpreter with the packages that
// the component of these benchmarks imports.
func BenchmarkInterpreterCreation(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := golang.NewInterpreter(io.Discard, "context", "fmt"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkComponentLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		load(b)
	}
}

func BenchmarkComponentExecute(b *testing.B) {
	c, in := load(b), world()
	b.ReportAllocs()
	for b.Loop() {
		out, err := c.Execute(b.Context(), in)
		greeted(b, out, err)
	}
}

func BenchmarkPoolContention(b *testing.B) {
	for _, workers := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprintf("workers-%d", workers), func(b *testing.B) {
			p, err := golang.NewPool(check(b), io.Discard, workers)
			if err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(workers)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				in := world()
				for pb.Next() {
					out, err := p.Execute(context.Background(), in)
					greeted(b, out, err)
				}
			})
		})
	}
}

func BenchmarkComponentLifecycle(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c := load(b)
		if c.Init(nil) != nil || c.Start(b.Context()) != nil {
			b.Fatal("it does not start")
		}
		out, err := c.Execute(b.Context(), world())
		greeted(b, out, err)
		if err := c.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSourceValidation(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		check(b)
	}
}

func BenchmarkRegistryConcurrent(b *testing.B) {
	r := golang.NewRegistry(io.Discard, 1)
	for i := range 10 {
		if _, err := r.LoadString(fmt.Sprintf("component-%d", i), greeter); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := r.Get([]string{"component-0", "component-3", "component-9"}[i%3]); err != nil || len(r.IDs()) != 10 {
				b.Error(err)
			}
		}
	})
}

func BenchmarkLoaderLoadFromString(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := golang.NewRegistry(io.Discard, 1).LoadString(fmt.Sprintf("component-%d", i), greeter); err != nil {
			b.Fatal(err)
		}
	}
}
