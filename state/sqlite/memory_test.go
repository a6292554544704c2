package sqlite_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/state"
)

// sessions makes changes to the same few resources, a session for each so
// many, as the applies of a long life do.
func sessions(tb testing.TB, path string, changes int) {
	tb.Helper()
	const each, resources = 500, 100
	for done := 0; done < changes; done += each {
		l := openBench(tb, path)
		s, err := l.Lock(tb.Context(), state.Holder{Who: "b"}, state.LockOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range each {
			wg.Go(func() {
				if err := s.Result(tb.Context(), "", data(i%resources)); err != nil {
					tb.Error(err)
				}
			})
		}
		wg.Wait()
		if err := s.Release(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// heap is how much an open state keeps in memory.
func heap(tb testing.TB, path string) int64 {
	tb.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := openBench(tb, path)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// What an open state keeps depends on its resources and not on its history.
func TestMemoryIsFlat(t *testing.T) {
	short, long := filepath.Join(t.TempDir(), "state.db"), filepath.Join(t.TempDir(), "state.db")
	sessions(t, short, 500)
	sessions(t, long, 10_000)
	heap(t, short) // the first has the driver's own to make
	// The history in short has 2,000 lines at most, packed.
	if a, b := heap(t, short), heap(t, long); b > a+300_000 {
		t.Errorf("%d bytes after 500 changes, %d after 10,000", a, b)
	}
}

// BenchmarkHistory opens a state of 100 resources with a history.
func BenchmarkHistory(b *testing.B) {
	for _, changes := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("changes-%d", changes), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "state.db")
			sessions(b, path, changes)
			var kept int64
			for b.Loop() {
				kept = heap(b, path)
			}
			b.ReportMetric(float64(kept)/1024, "KiB-kept")
		})
	}
}
