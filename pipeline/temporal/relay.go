package temporal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/pipeline"
)

// relay tells runs of answers that were stored by somebody who cannot reach
// the cluster: the page on a laptop that sees the database alone. Each worker
// does so; to be told twice does no harm.
type relay struct {
	cluster *cluster
	host    pipeline.Host
	// told is how many answers of a run were passed on.
	told map[string]int
}

// lookEvery is how often a relay looks.
const lookEvery = time.Second

// run looks until ctx ends. That the record does not answer is said once, and
// that it does again.
func (r *relay) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	away := false
	for {
		err := r.look(ctx)
		if failed := err != nil && ctx.Err() == nil; failed != away {
			away = failed
			r.say(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *relay) say(err error) {
	switch {
	case r.cluster.o.Log == nil:
	case err != nil:
		if !errors.Is(err, event.ErrUnreachable) { // the connections that were open broke
			err = fmt.Errorf("%w: %w", event.ErrUnreachable, err)
		}
		_, _ = fmt.Fprintf(r.cluster.o.Log, "wfctl: %v. What happens is kept until it answers; no step is over before.\n", err)
	default:
		_, _ = fmt.Fprintln(r.cluster.o.Log, "wfctl: the record of runs answers again")
	}
}

// look passes on what is new. What fails is tried again at the next look.
func (r *relay) look(ctx context.Context) error {
	store, err := r.host.Store(ctx)
	if err != nil {
		return err
	}
	open, err := store.Answered(ctx)
	if err != nil {
		return err
	}
	for run, n := range open {
		if r.told[run] < n && r.pass(ctx, store, run) {
			r.told[run] = n
		}
	}
	for run := range r.told {
		if _, ok := open[run]; !ok {
			delete(r.told, run)
		}
	}
	return nil
}

// pass tells a run of the answers beyond those that it was told of.
func (r *relay) pass(ctx context.Context, store *event.Store, run string) bool {
	n, mine := 0, false
	for rec, err := range store.Read(ctx, run, 0) {
		if err != nil {
			return false
		}
		switch e := rec.Event.(type) {
		case event.RunStarted:
			on := pipeline.ClusterOf(e.Open())
			mine = e.Engine == Engine && (on == "" || r.cluster.id == "" || on == r.cluster.id)
		case event.ApprovalGiven:
			if n++; n <= r.told[run] || !mine {
				continue
			}
			if err := r.cluster.client.SignalWorkflow(ctx, WorkflowID(run), "", answerSignal, e.Address); err != nil && !isGone(err) {
				return false
			}
		}
	}
	return true
}
