package event

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"
)

// Record is an event with its place in its run. Numbers count from 1 without
// gaps.
type Record struct {
	Seq   uint64
	At    time.Time
	Event Event
}

// Batch is what a driver appends for one run.
type Batch struct {
	Run    string
	At     time.Time
	Events []Event
	// First is set by the driver: the number of the first event.
	First uint64
}

// Driver keeps events. It is what a leaf implements; everything else lives in
// [Store].
type Driver interface {
	// Append stores all batches or none, each behind what its run has, and
	// sets their First. They are durable when it returns.
	Append(ctx context.Context, batches []Batch) error
	// Load yields the records of a run after a number, in order.
	Load(ctx context.Context, run string, after uint64) iter.Seq2[Record, error]
	// Runs lists runs, the newest first.
	Runs(ctx context.Context, limit int) ([]Run, error)
	// Prune removes runs that began before, and all but the newest keep.
	Prune(ctx context.Context, before time.Time, keep int) (int, error)
	// Delete removes runs and tells how many there were.
	Delete(ctx context.Context, runs []string) (int, error)
	Close() error
}

// Answers is a driver that knows, without reading all of them, which open runs
// hold answers to approvals.
type Answers interface {
	Answered(ctx context.Context) (map[string]int, error)
}

// ErrNoRun: the store has no such run.
var ErrNoRun = errors.New("no such run")

// ErrUnreachable: the place where events are kept does not answer.
var ErrUnreachable = errors.New("the record of runs does not answer")

// Options of a store; zero values mean the defaults.
type StoreOptions struct {
	// Now is the clock.
	Now func() time.Time
	// Poll is how often a follower looks for what other processes appended
	// (150 ms).
	Poll time.Duration
}

// Store keeps the events of runs: append-only, ordered per run, durable when
// Append returns. It commits in groups, keeps timelines that grow with each
// event, and tells who follows a run. It is safe for concurrent use.
type Store struct {
	driver Driver
	o      StoreOptions
	hub    *Hub

	mu      sync.Mutex
	queue   []*waiter
	writing bool

	folds folds
}

// Open makes a store of a driver; Close closes both.
func Open(d Driver, o StoreOptions) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Poll == 0 {
		o.Poll = 150 * time.Millisecond
	}
	return &Store{driver: d, o: o, hub: NewHub(), folds: folds{m: map[string]*held{}}}
}

// Close closes the driver. Nothing may be under way.
func (s *Store) Close() error { return s.driver.Close() }

// waiter is an append that waits for its turn.
type waiter struct {
	batch Batch
	err   error
	// done is closed when it is over; lead when it is to write itself.
	done chan struct{}
	lead bool
}

// Append makes events durable behind what their run has, and returns the
// number of the first. What comes while a write is under way goes out
// together in the next one.
func (s *Store) Append(ctx context.Context, run string, events ...Event) (uint64, error) {
	if len(events) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	if !s.writing && len(s.queue) == 0 {
		s.writing = true
		s.mu.Unlock()
		one := [1]Batch{{Run: run, At: s.o.Now(), Events: events}}
		err := s.write(ctx, one[:])
		s.passOn()
		return one[0].First, err
	}
	w := &waiter{batch: Batch{Run: run, At: s.o.Now(), Events: events}, done: make(chan struct{})}
	s.queue = append(s.queue, w)
	s.mu.Unlock()
	<-w.done
	if w.lead {
		s.writeQueue(ctx, w)
	}
	return w.batch.First, w.err
}

// passOn lets the first that waits write for all that wait.
func (s *Store) passOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.writing = false
		return
	}
	s.queue[0].lead = true
	close(s.queue[0].done)
}

// groupLimit is how many appends one write holds at most.
const groupLimit = 512

// writeQueue writes what waits, own first. The write is not the leader's
// alone: its context must not end that of the others.
func (s *Store) writeQueue(ctx context.Context, own *waiter) {
	s.mu.Lock()
	n := min(len(s.queue), groupLimit)
	group := slices.Clone(s.queue[:n])
	s.queue = append(s.queue[:0:0], s.queue[n:]...)
	s.mu.Unlock()
	batches := make([]Batch, n)
	for i, w := range group {
		batches[i] = w.batch
	}
	err := s.write(context.WithoutCancel(ctx), batches)
	for i, w := range group {
		w.batch, w.err = batches[i], err
		if w != own {
			close(w.done)
		}
	}
	s.passOn()
}

func (s *Store) write(ctx context.Context, batches []Batch) error {
	if err := s.driver.Append(ctx, batches); err != nil {
		return err
	}
	for _, b := range batches {
		s.folds.extend(b)
		for i, e := range b.Events {
			s.hub.Publish(b.Run, Record{b.First + uint64(i), b.At, e})
		}
	}
	return nil
}

// Read yields the records of a run after a number, in order.
func (s *Store) Read(ctx context.Context, run string, after uint64) iter.Seq2[Record, error] {
	return s.driver.Load(ctx, run, after)
}

// Runs lists runs, the newest first; a limit of 0 is none.
func (s *Store) Runs(ctx context.Context, limit int) ([]Run, error) { return s.driver.Runs(ctx, limit) }

// Open lists the runs whose end nobody has recorded.
func (s *Store) Open(ctx context.Context) ([]Run, error) {
	all, err := s.Runs(ctx, 0)
	return slices.DeleteFunc(all, func(r Run) bool { return r.Status != Running }), err
}

// Answered tells how many answers to approvals the open runs hold. It is nil
// where the driver does not keep count.
func (s *Store) Answered(ctx context.Context) (map[string]int, error) {
	if d, ok := s.driver.(Answers); ok {
		return d.Answered(ctx)
	}
	return nil, nil
}

// Forget removes the runs of a project that began before and are over, and
// tells how many those were.
func (s *Store) Forget(ctx context.Context, project string, before time.Time) (int, error) {
	runs, err := s.Runs(ctx, 0)
	if err != nil {
		return 0, err
	}
	var names []string
	for _, r := range runs {
		if r.Project == project && r.Started.Before(before) && r.Status != Running {
			names = append(names, r.ID)
		}
	}
	if len(names) == 0 {
		return 0, nil
	}
	n, err := s.driver.Delete(ctx, names)
	s.folds.forget()
	return n, err
}

// Prune removes runs that began before, and all but the newest keep; a run
// that is under way and young stays.
func (s *Store) Prune(ctx context.Context, before time.Time, keep int) (int, error) {
	n, err := s.driver.Prune(ctx, before, keep)
	if n > 0 {
		s.folds.forget()
	}
	return n, err
}

// Follow yields the records of a run after a number: first what there is,
// then each as it comes, from this process or another. It ends with the
// context, and, unless more is set, with the event that finishes the run.
func (s *Store) Follow(ctx context.Context, run string, after uint64, more bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		tap := s.hub.Listen(run)
		defer tap.Close()
		f := &follower{ctx: ctx, store: s, tap: tap, run: run, last: after, more: more, yield: yield}
		ticker := time.NewTicker(s.o.Poll)
		defer ticker.Stop()
		for go_ := f.catchUp(); go_; {
			select {
			case <-ctx.Done():
				return
			case r := <-tap.C:
				go_ = f.take(r)
			case <-ticker.C:
				go_ = f.catchUp()
			}
		}
	}
}

type follower struct {
	ctx   context.Context
	store *Store
	tap   *Tap
	run   string
	last  uint64
	more  bool
	yield func(Record, error) bool
}

// take passes on a record that is the next one; one that is further ahead
// shows that there is something to read first.
func (f *follower) take(r Record) bool {
	switch {
	case r.Seq <= f.last:
		return true
	case r.Seq > f.last+1 || f.tap.Lagged():
		return f.catchUp()
	}
	return f.pass(r)
}

func (f *follower) pass(r Record) bool {
	f.last = r.Seq
	_, over := r.Event.(RunFinished)
	return f.yield(r, nil) && (f.more || !over)
}

func (f *follower) catchUp() bool {
	for r, err := range f.store.driver.Load(f.ctx, f.run, f.last) {
		if err != nil {
			if f.ctx.Err() == nil {
				f.yield(Record{}, err)
			}
			return false
		}
		if !f.pass(r) {
			return false
		}
	}
	return true
}
