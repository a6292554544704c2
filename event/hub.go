package event

import (
	"sync"
	"sync/atomic"
)

// tapSize is how far a subscriber may lag before it is cut off from the live
// stream; it then reads from the store what it missed.
const tapSize = 64

// A Hub passes records on to who listens in this process, without waiting
// for anybody.
type Hub struct {
	mu   sync.RWMutex
	taps map[string][]*Tap
}

// A Tap receives the records of one run.
type Tap struct {
	C      chan Record
	run    string
	hub    *Hub
	lagged atomic.Bool
}

// NewHub makes a hub without listeners.
func NewHub() *Hub { return &Hub{taps: map[string][]*Tap{}} }

// Listen opens a tap; the caller closes it.
func (h *Hub) Listen(run string) *Tap {
	t := &Tap{C: make(chan Record, tapSize), run: run, hub: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	// A new slice: Publish may be walking the old one.
	h.taps[run] = append(append([]*Tap(nil), h.taps[run]...), t)
	return t
}

// Publish hands a record to every tap of its run. A tap that is full misses
// it and knows.
func (h *Hub) Publish(run string, r Record) {
	h.mu.RLock()
	taps := h.taps[run]
	h.mu.RUnlock()
	for _, t := range taps {
		select {
		case t.C <- r:
		default:
			t.lagged.Store(true)
		}
	}
}

// Lagged tells whether records were missed since the last call.
func (t *Tap) Lagged() bool { return t.lagged.Swap(false) }

// Close ends the tap.
func (t *Tap) Close() {
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	var rest []*Tap
	for _, other := range h.taps[t.run] {
		if other != t {
			rest = append(rest, other)
		}
	}
	if h.taps[t.run] = rest; len(rest) == 0 {
		delete(h.taps, t.run)
	}
}
