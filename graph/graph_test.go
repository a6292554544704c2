package graph_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/graph"
)

func TestCycleIsNamed(t *testing.T) {
	var g graph.Graph[string]
	g.Edge("a", "b")
	g.Edge("b", "c")
	g.Edge("c", "a")
	g.Edge("d", "a")
	_, err := g.Sort()
	if err == nil || err.Error() != "cycle: a -> b -> c -> a" {
		t.Fatalf("got %v", err)
	}
}

func TestFailureStopsItsDependentsOnly(t *testing.T) {
	var g graph.Graph[string]
	g.Edge("web", "db")
	g.Edge("gate", "web")
	g.Add("cache")
	boom := errors.New("boom")
	failed := g.Walk(t.Context(), 4, nil, func(_ context.Context, k string, _ func()) error {
		if k == "db" {
			return boom
		}
		return nil
	})
	if !errors.Is(failed["db"], boom) || len(failed) != 3 {
		t.Fatalf("failed: %v", failed)
	}
	for _, k := range []string{"web", "gate"} {
		var skip *graph.SkipError[string]
		if !errors.As(failed[k], &skip) || skip.Because != "db" || !errors.Is(failed[k], graph.ErrSkipped) {
			t.Errorf("%s: %v", k, failed[k])
		}
	}
}

// A node that rests makes room for another, and is not done: what waits for it
// does not start, and its failure counts.
func TestRest(t *testing.T) {
	var g graph.Graph[int]
	for i := range 20 {
		g.Add(i)
	}
	g.Edge(100, 0)
	var mu sync.Mutex
	resting, released := 0, make(chan struct{})
	failed := g.Walk(t.Context(), 1, nil, func(_ context.Context, k int, rest func()) error {
		if k == 100 {
			return nil
		}
		rest()
		rest() // once is enough
		mu.Lock()
		if resting++; resting == 20 { // all are here, one after the other
			close(released)
		}
		mu.Unlock()
		<-released
		if k == 0 {
			return errors.New("boom")
		}
		return nil
	})
	if len(failed) != 2 || !errors.Is(failed[100], graph.ErrSkipped) {
		t.Errorf("failed: %v", failed)
	}
}

func TestStopStartsNothingNew(t *testing.T) {
	var g graph.Graph[int]
	for i := range 10 {
		g.Edge(i+1, i)
	}
	stop := make(chan struct{})
	failed := g.Walk(t.Context(), 2, stop, func(_ context.Context, k int, _ func()) error {
		if k == 3 {
			close(stop)
		}
		return nil
	})
	if len(failed) != 7 {
		t.Fatalf("%d nodes were left, want 7: %v", len(failed), failed)
	}
}

// Any walk of any acyclic graph does every node once, after what it waits
// for, and never more at a time than allowed.
func TestWalkProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "nodes")
		var g graph.Graph[int]
		for i := range n {
			g.Add(i)
			for _, j := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 4).Draw(t, "deps") {
				if j < i {
					g.Edge(i, j)
				}
			}
		}
		limit := rapid.IntRange(1, 5).Draw(t, "parallelism")
		bad := rapid.SliceOfDistinct(rapid.IntRange(0, n-1), func(i int) int { return i }).Draw(t, "bad")
		var mu sync.Mutex
		done, running := map[int]bool{}, 0
		failed := g.Walk(context.Background(), limit, nil, func(_ context.Context, k int, _ func()) error {
			mu.Lock()
			running++
			over := running > limit
			for _, d := range g.Dependencies(k) {
				over = over || !done[d]
			}
			mu.Unlock()
			defer func() { mu.Lock(); running--; done[k] = !slices.Contains(bad, k); mu.Unlock() }()
			if over {
				return fmt.Errorf("node %d came too early", k)
			}
			if slices.Contains(bad, k) {
				return errors.New("bad")
			}
			return nil
		})
		for k, err := range failed {
			if !slices.Contains(bad, k) && !errors.Is(err, graph.ErrSkipped) {
				t.Fatalf("node %d: %v", k, err)
			}
		}
		if len(failed)+countTrue(done) != n {
			t.Fatalf("%d of %d nodes accounted for", len(failed)+countTrue(done), n)
		}
	})
}

func countTrue(m map[int]bool) (n int) {
	for _, v := range m {
		if v {
			n++
		}
	}
	return n
}

func BenchmarkWalk10000(b *testing.B) {
	var g graph.Graph[int]
	for i := range 10_000 {
		g.Add(i)
		if i%100 != 0 {
			g.Edge(i, i-1)
		}
	}
	for b.Loop() {
		g.Walk(b.Context(), 10, nil, func(context.Context, int, func()) error { return nil })
	}
}
