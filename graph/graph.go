// Package graph is a directed acyclic graph whose nodes are done as soon as
// what they depend on is done, several at a time. It knows nothing of what
// the nodes are.
package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Graph holds nodes in the order they were added. The zero Graph is empty
// and ready. It is not safe for concurrent changes.
type Graph[K comparable] struct {
	order []K
	index map[K]int
	deps  [][]int // what a node waits for
	users [][]int // what waits for a node
}

// Add adds a node; one that is there already stays as it is.
func (g *Graph[K]) Add(k K) {
	if _, ok := g.index[k]; ok {
		return
	}
	if g.index == nil {
		g.index = map[K]int{}
	}
	g.index[k] = len(g.order)
	g.order = append(g.order, k)
	g.deps = append(g.deps, nil)
	g.users = append(g.users, nil)
}

// Edge says that from waits for to. Both are added where they are missing;
// the same edge twice counts once.
func (g *Graph[K]) Edge(from, to K) {
	g.Add(from)
	g.Add(to)
	f, t := g.index[from], g.index[to]
	if !slices.Contains(g.deps[f], t) {
		g.deps[f] = append(g.deps[f], t)
		g.users[t] = append(g.users[t], f)
	}
}

// Has tells whether k is a node.
func (g *Graph[K]) Has(k K) bool { _, ok := g.index[k]; return ok }

// Len is the number of nodes.
func (g *Graph[K]) Len() int { return len(g.order) }

// Dependencies lists what k waits for.
func (g *Graph[K]) Dependencies(k K) []K { return g.keys(g.deps, k) }

// Dependents lists what waits for k.
func (g *Graph[K]) Dependents(k K) []K { return g.keys(g.users, k) }

func (g *Graph[K]) keys(lists [][]int, k K) []K {
	i, ok := g.index[k]
	if !ok {
		return nil
	}
	keys := make([]K, len(lists[i]))
	for j, n := range lists[i] {
		keys[j] = g.order[n]
	}
	return keys
}

// CycleError names nodes that wait for each other, the first one again last.
type CycleError[K comparable] struct{ Nodes []K }

// Error shows the cycle: a -> b -> a.
func (e *CycleError[K]) Error() string {
	names := make([]string, len(e.Nodes))
	for i, k := range e.Nodes {
		names[i] = fmt.Sprint(k)
	}
	return "cycle: " + strings.Join(names, " -> ")
}

// Sort returns the nodes so that each stands after what it waits for, and
// otherwise in the order they were added, or a *CycleError.
func (g *Graph[K]) Sort() ([]K, error) {
	const (
		fresh = iota
		open
		done
	)
	state := make([]byte, len(g.order))
	sorted := make([]K, 0, len(g.order))
	type frame struct{ node, next int }
	for root := range g.order {
		if state[root] != fresh {
			continue
		}
		stack := []frame{{root, 0}}
		state[root] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(g.deps[top.node]) {
				state[top.node] = done
				sorted = append(sorted, g.order[top.node])
				stack = stack[:len(stack)-1]
				continue
			}
			n := g.deps[top.node][top.next]
			top.next++
			switch state[n] {
			case fresh:
				state[n] = open
				stack = append(stack, frame{n, 0})
			case open:
				return nil, g.cycle(func(yield func(int)) {
					for _, f := range stack {
						yield(f.node)
					}
				}, n)
			}
		}
	}
	return sorted, nil
}

// cycle cuts the path of a search down to the part that begins at node.
func (g *Graph[K]) cycle(path func(func(int)), node int) error {
	var nodes []K
	path(func(n int) {
		if n == node || len(nodes) > 0 {
			nodes = append(nodes, g.order[n])
		}
	})
	return &CycleError[K]{append(nodes, g.order[node])}
}

// ErrSkipped is the outcome of a node that was not started.
var ErrSkipped = errors.New("skipped")

// SkipError says which node's failure kept another from being started; its
// zero Because stands for a walk that was stopped.
type SkipError[K comparable] struct {
	Because K
	Stopped bool
}

// Error says why.
func (e *SkipError[K]) Error() string {
	if e.Stopped {
		return "not started: the run was stopped"
	}
	return fmt.Sprintf("not started: %v failed", e.Because)
}

// Is makes every skip match [ErrSkipped].
func (e *SkipError[K]) Is(target error) bool { return target == ErrSkipped }

// maxResting bounds how many nodes rest at once: each holds a goroutine.
const maxResting = 256

// Walk calls fn for each node as soon as what it waits for is done, at most
// parallelism at a time. A node that has done its work and only waits for it
// to be noted calls rest, and another one starts in its place; it is done when
// fn returns. A failure keeps only what waits for it, directly or not, from
// being started. Once stop closes or ctx ends nothing new starts. It returns
// the outcome of every node that did not succeed, and only after all calls of
// fn have returned.
func (g *Graph[K]) Walk(ctx context.Context, parallelism int, stop <-chan struct{}, fn func(ctx context.Context, k K, rest func()) error) map[K]error {
	w := &walk[K]{Frontier: g.Frontier(), results: make(chan result, max(1, parallelism))}
	running, resting, stopped := 0, 0, false
	for {
		for len(w.ready) > 0 && running < max(1, parallelism) && resting < maxResting && !stopped {
			if stopped = closed(stop) || ctx.Err() != nil; stopped {
				break
			}
			i := w.ready[0]
			w.ready = w.ready[1:]
			running++
			go w.call(ctx, i, fn)
		}
		if running+resting == 0 {
			break
		}
		switch r := <-w.results; {
		case r.rests:
			running--
			resting++
		case r.rested:
			resting--
			w.finish(r.node, r.err)
		default:
			running--
			w.finish(r.node, r.err)
		}
	}
	return w.Left()
}

// call does one node and tells how it went.
func (w *walk[K]) call(ctx context.Context, i int, fn func(context.Context, K, func()) error) {
	rested := false
	rest := func() {
		if !rested {
			rested = true
			w.results <- result{node: i, rests: true}
		}
	}
	err := fn(ctx, w.g.order[i], rest)
	w.results <- result{node: i, err: err, rested: rested}
}

type result struct {
	node int
	err  error
	// rests: the node is not done, and makes room for another one; rested:
	// it is done, and had made room.
	rests, rested bool
}

// walk is the state of one Walk; only its own goroutine touches it.
type walk[K comparable] struct {
	*Frontier[K]
	results chan result
}

// A Frontier is how far the work on a graph has come: what can be done next,
// and what became of the rest. It starts nothing itself; the same calls give
// the same answers. It is not safe for concurrent use.
type Frontier[K comparable] struct {
	g       *Graph[K]
	waiting []int
	ready   []int
	failed  map[K]error
}

// Frontier begins the work on the graph.
func (g *Graph[K]) Frontier() *Frontier[K] {
	f := &Frontier[K]{g: g, waiting: make([]int, len(g.order)), failed: map[K]error{}}
	for i := range g.order {
		if f.waiting[i] = len(g.deps[i]); f.waiting[i] == 0 {
			f.ready = append(f.ready, i)
		}
	}
	return f
}

// Next takes a node whose turn has come; false where there is none now.
func (f *Frontier[K]) Next() (k K, ok bool) {
	if len(f.ready) == 0 {
		return k, false
	}
	k = f.g.order[f.ready[0]]
	f.ready = f.ready[1:]
	return k, true
}

// Finish tells how the work on a node that Next gave has ended.
func (f *Frontier[K]) Finish(k K, err error) { f.finish(f.g.index[k], err) }

func (f *Frontier[K]) finish(node int, err error) {
	key := f.g.order[node]
	if err != nil {
		f.failed[key] = err
		f.skipUsers(node, key)
		return
	}
	for _, u := range f.g.users[node] {
		if f.waiting[u]--; f.waiting[u] == 0 {
			f.ready = append(f.ready, u)
		}
	}
}

// skipUsers marks all that waits for a failed node.
func (f *Frontier[K]) skipUsers(node int, because K) {
	stack := slices.Clone(f.g.users[node])
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		key := f.g.order[n]
		if _, seen := f.failed[key]; seen {
			continue
		}
		f.failed[key] = &SkipError[K]{Because: because}
		f.waiting[n] = -1
		stack = append(stack, f.g.users[n]...)
	}
}

// Left ends the work: it returns the outcome of every node that did not
// succeed, those among them that were never begun.
func (f *Frontier[K]) Left() map[K]error {
	for _, i := range f.ready {
		f.failed[f.g.order[i]] = &SkipError[K]{Stopped: true}
	}
	for i, n := range f.waiting {
		if n > 0 {
			if _, seen := f.failed[f.g.order[i]]; !seen {
				f.failed[f.g.order[i]] = &SkipError[K]{Stopped: true}
			}
		}
	}
	return f.failed
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
