package sqlite_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/sqlite"
)

// data is a record such as core.data makes.
func data(i int) resource.Record {
	addr := fmt.Sprintf("data-%05d", i)
	return resource.Record{
		Address: resource.Address(addr), Name: addr, Type: "core.data", ID: addr, Provider: resource.Provider{Address: "core", Kind: "core"},
		Config: json.RawMessage(fmt.Sprintf(`{"values":{"index":%d,"name":"%s"}}`, i, addr)), Digest: strings.Repeat("a1", 32),
		Outputs: map[string]resource.RecordedOutput{"index": {Value: json.RawMessage("1")}, "name": {Value: json.RawMessage(`"x"`)}},
		Run:     "20260424T100000Z-0011aabb",
	}
}

func openBench(b testing.TB, path string) *state.Log {
	b.Helper()
	d, err := sqlite.Open(b.Context(), path, "p/e")
	if err != nil {
		b.Fatal(err)
	}
	l, err := state.Open(b.Context(), d, state.Options{ID: path, KeyDir: filepath.Dir(path)})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// apply records n resources with a parallelism of ten.
func apply(b testing.TB, path string, n int) {
	b.Helper()
	l := openBench(b, path)
	s, err := l.Lock(b.Context(), state.Holder{Who: "b"}, state.LockOptions{})
	if err != nil {
		b.Fatal(err)
	}
	work := make(chan int)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for i := range work {
				if err := s.Result(b.Context(), "", data(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	if err := s.Release(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// written is how many bytes this process has written so far.
func written() (n int64) {
	raw, _ := os.ReadFile("/proc/self/io")
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "wchar: %d", &n); err == nil {
			return n
		}
	}
	return 0
}

// BenchmarkFirstApply is the log's share of a first apply of 1,000 resources.
func BenchmarkFirstApply(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "state.db")
		before := written()
		apply(b, path, 1000)
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(written()-before)/float64(info.Size()), "written/state")
		b.ReportMetric(float64(info.Size())/1000, "state-B/resource")
	}
}

// BenchmarkOpen opens a state of 10,000 resources, as its log and as a snapshot.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state.db")
	apply(b, path, 10_000)
	for b.Loop() {
		l := openBench(b, path)
		if n := len(l.View().Records); n != 10_000 {
			b.Fatal(n)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MB-sys")
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
