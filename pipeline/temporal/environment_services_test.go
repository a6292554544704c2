//go:build services

package temporal

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/pipeline/pipelinetest"
	"github.com/gocodealone/wfctl/step"
)

// Runs change an environment one after the other, in the order in which they
// came, and say that they wait. With WFCTL_RECORD=DIR their histories and the
// queue's are kept there.
func TestTurns(t *testing.T) {
	t.Parallel()
	var busy, most, done atomic.Int64
	release := make(chan struct{})
	changes := func(name string) pipeline.Step {
		s := pipelinetest.Step(name, func(ctx context.Context, _ *step.Context) (step.Result, error) {
			defer busy.Add(-1)
			most.Store(max(most.Load(), busy.Add(1)))
			select {
			case <-release:
			case <-ctx.Done():
			}
			return step.Result{Outputs: map[string]any{"nth": done.Add(1)}}, nil
		})
		s.Kind.Changes = true
		return s
	}
	first := newRun(t, "turns-0", changes("a"))
	runs := []*run{first, newRun(t, "turns-1", changes("a")), newRun(t, "turns-2", changes("a"))}
	_, _ = first.work(first.cluster, pipeline.WorkerOptions{})
	for i, r := range runs {
		r.cluster.o.Queue = first.o.Queue
		r.world.Store = first.world.Store
		first.host.add(r.world, r.pipe)
		r.environment = first.world.Run
		r.start()
		if i == 0 {
			eventually(t, "the first one changes it", func() bool { return busy.Load() == 1 })
			continue
		}
		eventually(t, "it says that it waits", func() bool { return r.noticed("come first") })
	}
	close(release)
	for i, r := range runs {
		if _, err := r.Result(t.Context(), r.world.Run); err != nil {
			t.Error(err)
		}
		tl, err := r.world.Store.Timeline(t.Context(), r.world.Run)
		if err != nil || !strings.Contains(string(tl.Step("", "a").Outputs), string(rune('1'+i))) {
			t.Errorf("run %d: %+v %v", i, tl, err)
		}
		record(t, r.cluster, WorkflowID(r.world.Run), "turn_"+string(rune('1'+i)))
	}
	if most.Load() != 1 {
		t.Errorf("%d changed it at once", most.Load())
	}
	id := environmentID("suite", first.world.Run)
	if err := first.client.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil); err != nil {
		t.Error(err)
	}
	record(t, first.cluster, id, "queue")
}

func (r *run) noticed(text string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for rec, err := range r.world.Store.Read(ctx, r.world.Run, 0) {
		if n, ok := rec.Event.(event.Notice); ok && err == nil && strings.Contains(n.Message, text) {
			return true
		}
	}
	return false
}
