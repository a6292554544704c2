package temporal

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// health answers whether a worker lives and takes work.
type health struct {
	cluster *cluster
	missing *closed

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

// readiness tells whether it takes work now.
func (h *health) readiness(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	ready := h.ready
	h.mu.Unlock()
	switch err := h.cluster.answers(r.Context()); {
	case !ready:
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "Temporal does not answer: "+err.Error(), http.StatusServiceUnavailable)
	case len(h.missing.lately()) > 0:
		http.Error(w, "has not the keys that runs are sealed with: "+strings.Join(h.missing.lately(), ", "), http.StatusServiceUnavailable)
	default:
		_, _ = fmt.Fprintln(w, "ok")
	}
}
