package push

import (
	"context"
	"sync"
)

// flights are the blobs that are under way to a registry: who comes second
// waits, and has the registry mount what the first one brought.
type flights struct {
	mu  sync.Mutex
	all map[string]*flight
}

// flight is one blob on its way to one registry. It is remembered: the blob
// may be wanted in another repository later.
type flight struct {
	// turn holds one token: who has it sends.
	turn chan struct{}
	mu   sync.Mutex
	repo string
}

func (f *flights) board(registry, digest string) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[string]*flight{}
	}
	key := registry + " " + digest
	fl, ok := f.all[key]
	if !ok {
		fl = &flight{turn: make(chan struct{}, 1)}
		fl.turn <- struct{}{}
		f.all[key] = fl
	}
	return fl
}

// wait waits for one's turn; after it comes leave.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave lets the next one go on.
func (f *flight) leave() { f.turn <- struct{}{} }

// landed is a repository that has the blob; "" for none that is known.
func (f *flight) landed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.repo
}

func (f *flight) land(repo string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repo = repo
}
