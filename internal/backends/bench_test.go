//go:build services

package backends_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/internal/backends"
	"github.com/gocodealone/wfctl/internal/faultproxy"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// record is what core.data leaves, in its nth version.
func record(i, version int) resource.Record {
	addr := fmt.Sprintf("data-%05d", i)
	return resource.Record{
		Address: resource.Address(addr), Name: addr, Type: "core.data", ID: addr, Provider: resource.Provider{Address: "core", Kind: "core"},
		Config: json.RawMessage(fmt.Sprintf(`{"values":{"index":%d,"name":"%s"}}`, version, addr)), Digest: strings.Repeat("a1", 32),
		Outputs: map[string]resource.RecordedOutput{"index": {Value: json.RawMessage("1")}, "name": {Value: json.RawMessage(`"x"`)}},
		Run:     "20260424T100000Z-0011aabb",
	}
}

// counted counts the bytes that are given to a backend.
type counted struct {
	state.Driver
	bytes atomic.Int64
}

func (c *counted) Append(ctx context.Context, seq uint64, entry []byte) error {
	c.bytes.Add(int64(len(entry)))
	return c.Driver.Append(ctx, seq, entry)
}

func (c *counted) Compact(ctx context.Context, through uint64, snapshot []byte) error {
	c.bytes.Add(int64(len(snapshot)))
	return c.Driver.Compact(ctx, through, snapshot)
}

// open opens the state of a place in a project's folder, as a command does.
func open(b *testing.B, p *backends.Place, dir string) (*state.Log, *counted) {
	b.Helper()
	options := maps.Clone(p.Options)
	delete(options, "backend")
	raw, err := json.Marshal(options)
	if err != nil {
		b.Fatal(err)
	}
	for _, pair := range p.Env {
		k, v, _ := strings.Cut(pair, "=")
		b.Setenv(k, v)
	}
	backend, err := builtin.Kinds().Backends.Get(p.Name)
	if err != nil {
		b.Fatal(err)
	}
	driver, err := backend.Open(b.Context(), engine.BackendRequest{Config: raw, ProjectDir: dir, Project: "bench", Environment: "e"})
	if err != nil {
		b.Fatal(err)
	}
	c := &counted{Driver: driver}
	log, err := state.Open(b.Context(), c, state.Options{ID: b.Name(), KeyDir: b.TempDir(), Project: "bench", Environment: "e"})
	if err != nil {
		b.Fatal(err)
	}
	return log, c
}

// change records n changes of the resources, parallel at a time, each durable
// when its writer goes on.
func change(b *testing.B, l *state.Log, n, resources, parallel int) {
	b.Helper()
	s, err := l.Lock(b.Context(), state.Holder{Who: "b"}, state.LockOptions{})
	if err != nil {
		b.Fatal(err)
	}
	work := make(chan int)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for i := range work {
				if err := s.Result(b.Context(), "", record(i%resources, i)); err != nil {
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
}

// place is a fresh one in a folder.
func place(b *testing.B, name, dir string, faults *faultproxy.Options) *backends.Place {
	b.Helper()
	p, err := backends.Open(context.WithoutCancel(b.Context()), name, dir, os.Getenv, faults)
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	return p
}

func closed(b *testing.B, l *state.Log) {
	b.Helper()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkChanges records 10,000 changes of 1,000 resources. whole-B/change is
// what one write of the whole state for each change would write.
func BenchmarkChanges(b *testing.B) {
	const changes, resources = 10_000, 1000
	for _, name := range backends.Names() {
		for _, parallel := range []int{10, 100} {
			b.Run(fmt.Sprintf("%s/parallel-%d", name, parallel), func(b *testing.B) {
				var wrote int64
				var took time.Duration
				for b.Loop() {
					dir := b.TempDir()
					l, c := open(b, place(b, name, dir, nil), dir)
					began := time.Now()
					change(b, l, changes, resources, parallel)
					took += time.Since(began)
					wrote += c.bytes.Load()
					closed(b, l)
				}
				one, err := json.Marshal(record(1, 1))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(changes*float64(b.N)/took.Seconds(), "changes/s")
				b.ReportMetric(float64(wrote)/changes/float64(b.N), "B/change")
				b.ReportMetric(float64(len(one)*resources), "whole-B/change")
			})
		}
	}
}

// BenchmarkWholeState is what BenchmarkChanges is compared with: one write of
// the whole state of 1,000 resources for each change, one after the other, as
// a state that is one file needs it.
func BenchmarkWholeState(b *testing.B) {
	const changes, resources = 50, 1000
	records := make([]resource.Record, resources)
	for i := range records {
		records[i] = record(i, i)
	}
	whole, err := json.Marshal(records)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range backends.Names() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				dir := b.TempDir()
				l, c := open(b, place(b, name, dir, nil), dir)
				for i := range changes {
					if err := c.Append(b.Context(), uint64(i+1), whole); err != nil {
						b.Fatal(err)
					}
				}
				closed(b, l)
			}
			b.ReportMetric(changes*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			b.ReportMetric(float64(len(whole)), "B/change")
		})
	}
}

// BenchmarkOpenState opens a state of 10,000 resources.
func BenchmarkOpenState(b *testing.B) {
	for _, name := range backends.Names() {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			p := place(b, name, dir, nil)
			l, _ := open(b, p, dir)
			change(b, l, 10_000, 10_000, 100)
			closed(b, l)
			for b.Loop() {
				l, _ := open(b, p, dir)
				if n := len(l.View().Records); n != 10_000 {
					b.Fatalf("%d records", n)
				}
				closed(b, l)
			}
		})
	}
}

// BenchmarkFarApply applies 1,000 core.data with a state that is 20 ms away:
// the whole command, from start to end.
func BenchmarkFarApply(b *testing.B) {
	for _, name := range backends.Names() {
		if name == "sqlite" || name == "filesystem" {
			continue // there is nothing between
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				p := place(b, name, dir, &faultproxy.Options{Delay: 20 * time.Millisecond})
				app := "version: 1\nproject: far\nmodules:\n  - {name: records, type: iac.state, config: " + p.Module() + "}\n"
				for i := range 1000 {
					app += fmt.Sprintf("  - {name: data-%04d, type: core.data, config: {values: {index: %d}}}\n", i, i)
				}
				if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(app), 0o600); err != nil {
					b.Fatal(err)
				}
				cmd := exec.CommandContext(b.Context(), binary, "-C", dir, "infra", "apply", "--approve")
				cmd.Env = append(append(os.Environ(), "HOME="+dir, "WFCTL_STATE_KEY_DIR="+filepath.Join(dir, ".keys")), p.Env...)
				b.StartTimer()
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}
