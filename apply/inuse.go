package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/graph"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/sdk"
)

// inUse is the failure of a delete that may succeed once others are gone.
type inUse struct {
	by      []string
	failure error
}

// Error says what is in the way.
func (e *inUse) Error() string {
	if len(e.by) > 0 {
		return "still in use by " + strings.Join(e.by, ", ")
	}
	var f *sdk.Error
	if errors.As(e.failure, &f) {
		return "still in use: " + f.Error()
	}
	return "still in use"
}

// Unwrap returns the failure as it is told when nothing has helped.
func (e *inUse) Unwrap() error { return e.failure }

// undeleted makes the error of a delete.
func (w *work) undeleted(ctx context.Context, p sdk.Provider, id string, cause error) error {
	if sdk.CodeOf(cause) != sdk.CodeConflict || w.InUse < 0 {
		return w.explain(ctx, p, id, "delete", cause)
	}
	used := &inUse{failure: w.explain(ctx, nil, id, "delete", cause)}
	var e *sdk.Error
	if errors.As(cause, &e) {
		used.by = e.Blockers
	}
	return used
}

// The pause before what is in use is tried again while nothing goes on; it
// doubles.
const (
	firstWait = time.Second
	lastWait  = 15 * time.Second
)

// walk does the steps in rounds. The first does all of them; what then was in
// use is tried again, at once while others go, else after a pause, until
// InUse has passed without anything going on.
func (r *run) walk(ctx context.Context) map[plan.Step]error {
	failed, moved := r.round(ctx, r.steps)
	waited, pause := time.Duration(0), firstWait
	for {
		again := r.again(failed)
		if again.Len() == 0 {
			return failed
		}
		if moved {
			waited, pause = 0, firstWait
		} else {
			if waited >= r.InUse || !r.pause(ctx, pause) {
				return r.giveUp(failed)
			}
			waited, pause = waited+pause, min(2*pause, lastWait)
		}
		if ctx.Err() != nil || isClosed(r.Stop) {
			return r.giveUp(failed)
		}
		before := again.Len()
		var left map[plan.Step]error
		left, _ = r.round(ctx, again)
		for _, s := range stepsIn(again) {
			delete(failed, s)
		}
		maps.Copy(failed, left)
		moved = len(left) < before
	}
}

// round does the steps of a graph and tells whether any of them was done.
func (r *run) round(ctx context.Context, g *graph.Graph[plan.Step]) (failed map[plan.Step]error, moved bool) {
	if !r.KeepGoing {
		failed = g.Walk(ctx, r.Parallelism, r.Stop, r.step)
		return failed, len(failed) < g.Len()
	}
	var mu sync.Mutex
	failed = map[plan.Step]error{}
	stopped := g.Walk(ctx, r.Parallelism, r.Stop, func(ctx context.Context, s plan.Step, rest func()) error {
		if err := r.step(ctx, s, rest); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed[s] = err
		}
		return nil
	})
	maps.Copy(failed, stopped)
	return failed, len(failed) < g.Len()
}

// again is the graph of the steps that found their resource in use, and of
// those that were not started for their sake.
func (r *run) again(failed map[plan.Step]error) *graph.Graph[plan.Step] {
	todo, lost := map[plan.Step]bool{}, map[plan.Step]bool{}
	sorted, err := r.steps.Sort()
	if err != nil {
		return &graph.Graph[plan.Step]{}
	}
	for _, s := range sorted {
		var used *inUse
		var skip *graph.SkipError[plan.Step]
		switch err := failed[s]; {
		case err == nil:
		case errors.As(err, &used):
			todo[s] = true
		case !errors.As(err, &skip) || skip.Stopped:
			lost[s] = true
		default:
			for _, dep := range r.steps.Dependencies(s) {
				lost[s] = lost[s] || lost[dep]
				todo[s] = todo[s] || todo[dep]
			}
			todo[s] = todo[s] && !lost[s]
		}
	}
	var g graph.Graph[plan.Step]
	for _, s := range sorted {
		if !todo[s] {
			continue
		}
		g.Add(s)
		for _, dep := range r.steps.Dependencies(s) {
			if todo[dep] {
				g.Edge(s, dep)
			}
		}
	}
	return &g
}

func stepsIn(g *graph.Graph[plan.Step]) []plan.Step {
	steps, err := g.Sort()
	if err != nil {
		return nil // a part of a graph that has no cycle has none
	}
	return steps
}

// giveUp tells of what stayed in use to the end.
func (r *run) giveUp(failed map[plan.Step]error) map[plan.Step]error {
	for s, err := range failed {
		var used *inUse
		if errors.As(err, &used) {
			failed[s] = used.failure
			r.finish(s, "delete", used.failure)
		}
	}
	return failed
}

// pause waits before the next round; false when the run was stopped.
func (r *run) pause(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-r.Stop:
			cancel()
		case <-over:
		}
	}()
	r.Events.Emit(event.Notice{Level: "info", Message: fmt.Sprintf("What is left is still in use; trying again in %s.", d)})
	return r.Sleep(ctx, d) == nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
