package event

import (
	"context"
	"sync"
)

// foldLimit is how many timelines are kept at hand.
const foldLimit = 32

// folds are the timelines at hand.
type folds struct {
	mu sync.Mutex
	m  map[string]*held
}

// held is a timeline with a lock of its own.
type held struct {
	mu sync.Mutex
	f  *fold
}

// get finds a timeline, or begins one.
func (s *folds) get(run string) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.m[run]
	if h == nil {
		for name := range s.m {
			if len(s.m) < foldLimit {
				break
			}
			delete(s.m, name) // any: it is read again when asked for
		}
		h = &held{f: newFold(run)}
		s.m[run] = h
	}
	return h
}

func (s *folds) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.m)
}

// extend adds a batch to a timeline that is at hand and has all before it.
func (s *folds) extend(b Batch) {
	s.mu.Lock()
	h := s.m[b.Run]
	s.mu.Unlock()
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, e := range b.Events {
		if seq := b.First + uint64(i); seq == h.f.Seq+1 {
			h.f.add(seq, e)
		}
	}
}

// Timeline returns the run's steps as they are now. What was asked for before
// is not read again: only what came since is.
func (s *Store) Timeline(ctx context.Context, run string) (*Timeline, error) {
	h := s.folds.get(run)
	h.mu.Lock()
	defer h.mu.Unlock()
	for r, err := range s.driver.Load(ctx, run, h.f.Seq) {
		if err != nil {
			return nil, err
		}
		h.f.add(r.Seq, r.Event)
	}
	if h.f.Seq == 0 {
		return nil, ErrNoRun
	}
	return h.f.snapshot(), nil
}
