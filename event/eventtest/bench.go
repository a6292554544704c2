package eventtest

import (
	"fmt"
	"testing"

	"github.com/gocodealone/wfctl/event"
)

// BenchAppend appends a step-started event with two fields to one run.
func BenchAppend(b *testing.B, d event.Driver) {
	s := store(b, d)
	add(b, s, "run", started("run"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Append(b.Context(), "run", event.NodeStarted{Address: "transform", Type: "jq", At: at}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchAppendParallel does it from 16 goroutines; the time is per event.
func BenchAppendParallel(b *testing.B, d event.Driver) {
	s := store(b, d)
	add(b, s, "run", started("run"))
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Append(b.Context(), "run", event.NodeStarted{Address: "transform", Type: "jq", At: at}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchTimeline reads the timeline of runs of several lengths, from a store
// that has it at hand; with cold set, from one that was opened for it.
func BenchTimeline(b *testing.B, open func(tb testing.TB, name string) event.Driver, cold bool) {
	for _, n := range []int{10, 50, 100, 500, 1000} {
		b.Run(fmt.Sprintf("events-%d", n), func(b *testing.B) {
			name := fmt.Sprintf("bench-%d", n)
			s := store(b, open(b, name))
			for i := range n / 2 {
				add(b, s, "run", node(i)...)
			}
			b.ReportAllocs()
			for b.Loop() {
				if cold {
					b.StopTimer()
					s = event.Open(open(b, name), event.StoreOptions{})
					b.StartTimer()
				}
				tl, err := s.Timeline(b.Context(), "run")
				if err != nil || len(tl.Steps) != n/2 {
					b.Fatal(tl, err)
				}
				if cold {
					b.StopTimer()
					_ = s.Close()
					b.StartTimer()
				}
			}
		})
	}
}
