package temporal

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/pipeline"
)

// health answers whether a worker lives and takes work.
type health struct {
	cluster *cluster
	missing *closed
	astray  *closed
	host    pipeline.Host

	mu    sync.Mutex
	ready bool
}

// drain says that no new work is taken.
func (h *health) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = false
}

// alive tells that the process works. A cluster that does not answer is no
// reason to end it: it goes on when the cluster is back.
func (h *health) alive(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }

// records tells whether the record answers.
func (h *health) records(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	store, err := h.host.Store(ctx)
	if err == nil {
		_, err = store.Answered(ctx)
	}
	return err
}

// readiness tells whether it takes work now.
func (h *health) readiness(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	ready := h.ready
	h.mu.Unlock()
	away, lost := h.cluster.answers(r.Context()), h.records(r.Context())
	switch {
	case !ready:
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case away != nil:
		http.Error(w, "Temporal does not answer: "+away.Error(), http.StatusServiceUnavailable)
	case lost != nil:
		http.Error(w, lost.Error(), http.StatusServiceUnavailable)
	case len(h.missing.lately()) > 0:
		http.Error(w, "has not the keys that runs are sealed with: "+strings.Join(h.missing.lately(), ", "), http.StatusServiceUnavailable)
	case len(h.astray.lately()) > 0:
		http.Error(w, "records elsewhere than who starts runs: WFCTL_EVENTS", http.StatusServiceUnavailable)
	default:
		_, _ = fmt.Fprintln(w, "ok")
	}
}
