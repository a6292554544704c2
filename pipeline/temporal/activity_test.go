package temporal

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
	"github.com/gocodealone/wfctl/pipeline"
)

// opener is a host that tells which jobs were closed.
type opener struct {
	closed []string
	store  *event.Store
}

func (h *opener) Open(_ context.Context, job pipeline.Job) (*pipeline.Opened, error) {
	return &pipeline.Opened{Close: func(context.Context) error { h.closed = append(h.closed, job.Run); return nil }}, nil
}

func (h *opener) Store(context.Context) (*event.Store, error) { return h.store, nil }

// A job that nothing is done for does not stay open: it holds its working tree.
func TestIdleJobsAreClosed(t *testing.T) {
	h := &opener{store: event.Open(memory.New(), event.StoreOptions{})}
	for _, run := range []string{"busy", "idle"} {
		if _, err := h.store.Append(t.Context(), run, event.RunStarted{Run: run}); err != nil {
			t.Fatal(err)
		}
	}
	a := &activities{host: h}
	take := func(run string) *shared {
		t.Helper()
		s, err := a.take(t.Context(), pipeline.Job{Run: run})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	busy, idle := take("busy"), take("idle")
	a.give(idle)
	if a.closeIdle(time.Now().Add(-idleFor)); len(h.closed) != 0 {
		t.Errorf("closed %v at once", h.closed)
	}
	if a.closeIdle(time.Now().Add(time.Second)); !slices.Equal(h.closed, []string{"idle"}) {
		t.Errorf("closed %v", h.closed)
	}
	a.give(busy)
	a.give(take("busy")) // again is the same one
	if a.closeIdle(time.Now().Add(time.Second)); !slices.Equal(h.closed, []string{"idle", "busy"}) {
		t.Errorf("closed %v", h.closed)
	}
	a.close()
	if _, err := a.take(t.Context(), pipeline.Job{Run: "of another database"}); !errors.Is(err, errElsewhere) {
		t.Errorf("a run without a record: %v", err)
	}
}
