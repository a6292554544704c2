package event

import (
	"context"
	"sync"
	"time"
)

// A Recorder is a sink that stores what it receives. What comes before the
// run is opened waits for it, so that a command that changes nothing leaves
// no trace. Emit does not wait for the disk; Flush does.
type Recorder struct {
	open func(context.Context) (*Store, error)
	lost func(error)
	ctx  context.Context

	mu      sync.Mutex
	cond    *sync.Cond
	run     string
	pending []Event
	busy    bool
	err     error
	store   *Store
	// until, where it is set, ends the patience with a store that fails.
	until <-chan struct{}
}

// Insist has the recorder keep what cannot be stored and try again until the
// channel closes: Flush then waits for a store that is away.
func (r *Recorder) Insist(until <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = until
}

// insistence is how long a recorder that insists waits between two tries.
const insistence = 500 * time.Millisecond

// pause waits before another try; false where there shall be none.
func (r *Recorder) pause() bool {
	r.mu.Lock()
	until := r.until
	r.mu.Unlock()
	if until == nil {
		return false
	}
	timer := time.NewTimer(insistence)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-until:
		return false
	}
}

// NewRecorder makes a recorder. open is called once there is something to
// store; lost is told, once, that events cannot be stored: the history must
// not stop the work. The context's end does not end what is under way.
func NewRecorder(ctx context.Context, open func(context.Context) (*Store, error), lost func(error)) *Recorder {
	r := &Recorder{open: open, lost: lost, ctx: context.WithoutCancel(ctx)}
	r.cond = sync.NewCond(&r.mu)
	return r
}

// earlyLimit is how many events wait for a run to be opened.
const earlyLimit = 1000

// Emit implements Sink.
func (r *Recorder) Emit(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	if opened, ok := e.(RunStarted); ok {
		r.run = opened.Run
		r.pending = append([]Event{e}, r.pending...) // what came before belongs to it
	} else if r.run != "" || len(r.pending) < earlyLimit {
		r.pending = append(r.pending, e)
	}
	if r.run == "" || r.busy {
		return
	}
	r.busy = true
	go r.drain()
}

// drain stores what is pending until nothing is.
func (r *Recorder) drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.pending) > 0 && r.err == nil {
		events := r.pending
		r.pending = nil
		r.mu.Unlock()
		err := r.append(events)
		for err != nil && r.pause() {
			err = r.append(events)
		}
		r.mu.Lock()
		if err != nil {
			r.err = err
			r.lost(err)
		}
	}
	if r.err != nil {
		r.pending = nil
	}
	r.busy = false
	r.cond.Broadcast()
}

func (r *Recorder) append(events []Event) error {
	r.mu.Lock()
	store, run := r.store, r.run
	r.mu.Unlock()
	if store == nil {
		var err error
		if store, err = r.open(r.ctx); err != nil {
			return err
		}
		r.mu.Lock()
		r.store = store
		r.mu.Unlock()
	}
	_, err := store.Append(r.ctx, run, events...)
	return err
}

// Store opens the store, if it is not open yet.
func (r *Recorder) Store(ctx context.Context) (*Store, error) {
	if err := r.Flush(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil {
		store, err := r.open(ctx)
		if err != nil {
			return nil, err
		}
		r.store = store
	}
	return r.store, nil
}

// Adopt makes what comes a part of a run that is open already.
func (r *Recorder) Adopt(run string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = run
}

// Flush waits until everything that was emitted is stored, and tells whether
// it could be.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.busy {
		r.cond.Wait()
	}
	return r.err
}

// Prune removes old runs from a store that was used; it costs a look.
func (r *Recorder) Prune(before time.Time, keep int) error {
	if err := r.Flush(); err != nil || r.store == nil {
		return nil //nolint:nilerr // it was told
	}
	_, err := r.store.Prune(r.ctx, before, keep)
	return err
}

// Close flushes and closes the store.
func (r *Recorder) Close() error {
	_ = r.Flush() // it was told
	if r.store == nil {
		return nil
	}
	return r.store.Close()
}
