package pluginhost

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/sdk"
)

// From nothing to the first answer: check the executable, start it, shake
// hands, ask for its schema.
func BenchmarkFirstAnswer(b *testing.B) {
	plugin := self(b)
	for b.Loop() {
		h := New(Options{})
		if _, err := h.Provider(plugin).Schema(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := h.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// 10,000 judgements by ten callers, as a large plan makes them.
func Benchmark10000Diffs(b *testing.B) {
	h := newHost(b, Options{})
	p := h.Provider(self(b))
	configure(b, p, "a")
	config := sdk.Config{JSON: []byte(`{"image":"` + strings.Repeat("x", 400) + `","size":"s"}`)}
	for b.Loop() {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 1000 {
					req := &sdk.DiffRequest{Type: "fake.thing", Name: "a", Config: config, Prior: &sdk.Prior{ID: "x", Config: config}, Changed: []sdk.Path{"/size"}}
					if _, err := p.Diff(b.Context(), req); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func BenchmarkChecksum(b *testing.B) {
	plugin := self(b)
	for b.Loop() {
		if err := check(plugin); err != nil {
			b.Fatal(err)
		}
	}
}
