package state

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// Session is a lease that is held: the right to append. Its methods return
// when what they say is durable; what arrives while an append is under way
// goes out in the next one together. They may be called concurrently.
type Session struct {
	log *Log
	id  string

	mu     sync.Mutex
	queue  []*ticket
	queued int // bytes
	closed bool
	err    error // set once the lease is lost
	// wake and later tell the writer that something is queued: to go out at
	// once, or soon.
	wake   chan struct{}
	later  chan struct{}
	lost   chan struct{}
	done   chan struct{}
	cancel context.CancelFunc
}

// ticket is an entry that waits to be written.
type ticket struct {
	item item
	raw  []byte
	done chan error
}

// grace is how long the record of what has happened may still take after its
// context has ended.
const grace = 5 * time.Second

func newSession(l *Log) *Session {
	return &Session{log: l, id: newID(), wake: make(chan struct{}, 1), later: make(chan struct{}, 1), lost: make(chan struct{}), done: make(chan struct{})}
}

// begin writes the lease, starts the writer and settles the key.
func (s *Session) begin(ctx context.Context, items []item, newKey bool) error {
	if err := s.write(ctx, items, s.mine); err != nil {
		return err
	}
	var running context.Context
	running, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.log.mu.Lock()
	s.log.session = s
	s.log.mu.Unlock()
	go s.run(running)
	err := s.log.remember(true)
	if err == nil {
		err = s.settleKey(ctx, newKey)
	}
	if err != nil {
		return errors.Join(err, s.Release(ctx))
	}
	return nil
}

// mine tells whether a table says that the lease is this session's.
func (s *Session) mine(t *table) bool { return t.lease != nil && t.lease.Session == s.id }

// Lost is closed when the lease has gone to another, or could not be renewed
// in time: nothing new may begin.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Intent records what is about to be done.
func (s *Session) Intent(ctx context.Context, in resource.Intent) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if in.Key == "" {
		return fault.New(fault.Internal, "an intent without an idempotency key")
	}
	return s.put(ctx, item{Intent: &in})
}

// Assigned records the identifier that the platform gave, before the call ends.
func (s *Session) Assigned(ctx context.Context, intent, id string) error {
	return s.put(ctx, item{Assigned: &assigned{Intent: intent, ID: id}})
}

// Result records a resource and settles its intent, "" for none.
func (s *Session) Result(ctx context.Context, intent string, rec resource.Record) error {
	rec.Outputs = maps.Clone(rec.Outputs) // the record outlives the call
	return s.put(ctx, item{Result: s.log.shorten(&result{Intent: intent, Record: rec})})
}

// ResultSoon is [Session.Result] that is in no hurry: the entry waits a moment
// for others to go out with. It is for resources without side effects that
// nothing waits for, of which there may be thousands: fewer and larger appends
// write half the bytes, and on a backend that is far away take a tenth of the
// time.
func (s *Session) ResultSoon(ctx context.Context, intent string, rec resource.Record) error {
	rec.Outputs = maps.Clone(rec.Outputs)
	t, err := s.enqueue(item{Result: s.log.shorten(&result{Intent: intent, Record: rec})}, false)
	if err != nil {
		return err
	}
	return s.wait(ctx, t)
}

// Forget drops a record and settles its intent, "" for none.
func (s *Session) Forget(ctx context.Context, intent string, key resource.Key) error {
	return s.put(ctx, item{Forgot: &forgot{Intent: intent, Address: key.Address, Deposed: key.Deposed}})
}

// Abandon settles an intent that had no effect.
func (s *Session) Abandon(ctx context.Context, intent string) error {
	return s.put(ctx, item{Abandoned: &abandoned{Intent: intent}})
}

// Move gives a record another key.
func (s *Session) Move(ctx context.Context, from, to resource.Key) error {
	return s.put(ctx, item{Moved: &moved{From: from.Address, FromDeposed: from.Deposed, To: to.Address, ToDeposed: to.Deposed}})
}

// Provider records a provider.
func (s *Session) Provider(ctx context.Context, rec resource.ProviderRecord) error {
	return s.put(ctx, item{Provider: &rec})
}

// put hands an entry to the writer and waits until it is durable. What has
// happened is written even when ctx has ended, within a grace.
func (s *Session) put(ctx context.Context, it item) error {
	t, err := s.enqueue(it, true)
	if err != nil {
		return err
	}
	return s.wait(ctx, t)
}

func (s *Session) wait(ctx context.Context, t *ticket) error {
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-t.done:
		return err
	case <-s.log.o.After(grace):
		return fault.Wrap(fault.State, ctx.Err(), "the state did not answer in time").
			WithHint("the next command finds out what was done")
	}
}

// Entries that are in no hurry go out after this long, or when they are this
// many bytes.
const (
	soon      = 20 * time.Millisecond
	soonBatch = 64 << 10
)

func (s *Session) enqueue(it item, hurry bool) (*ticket, error) {
	raw, err := marshal(it)
	if err != nil {
		return nil, err
	}
	t := &ticket{item: it, raw: raw, done: make(chan error, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, s.err
	case s.closed:
		return nil, fault.New(fault.Internal, "the lease of the state was given back already")
	}
	s.queue = append(s.queue, t)
	s.queued += len(raw)
	signal := s.wake
	if !hurry && s.queued < soonBatch {
		signal = s.later
	}
	select {
	case signal <- struct{}{}:
	default:
	}
	return t, nil
}

// run writes what is queued and keeps the lease alive, until the session ends.
func (s *Session) run(ctx context.Context) {
	defer close(s.done)
	renewal := s.log.o.LeaseTTL / 3
	tick := s.log.o.After(renewal)
	var due <-chan time.Time
	for {
		select {
		case <-s.later:
			if due == nil {
				due = s.log.o.After(soon)
			}
		case <-due:
			due = nil
			s.flush(ctx)
		case <-s.wake:
			due = nil
			s.flush(ctx)
		case <-tick:
			s.renew(ctx)
			tick = s.log.o.After(renewal)
		case <-ctx.Done():
			s.flush(ctx) // tells who waits
			return
		}
	}
}

// maxBatch bounds one append, in bytes.
const maxBatch = 4 << 20

// flush writes batches until nothing waits.
func (s *Session) flush(ctx context.Context) {
	for {
		gather()
		batch := s.next()
		if len(batch) == 0 {
			return
		}
		err := s.writeTickets(ctx, batch)
		for _, t := range batch {
			t.done <- err
		}
	}
}

// gather lets those who were just told that their entry is durable come with
// their next one: fewer and fuller batches (an eighth fewer bytes, measured),
// and no timer to wait for.
func gather() {
	for range 8 {
		runtime.Gosched()
	}
}

// next takes what goes out together.
func (s *Session) next() []*ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 0, 0
	for n < len(s.queue) && (n == 0 || size+len(s.queue[n].raw) <= maxBatch) {
		size += len(s.queue[n].raw)
		n++
	}
	batch := s.queue[:n:n]
	s.queue, s.queued = s.queue[n:], s.queued-size
	return batch
}

func (s *Session) writeTickets(ctx context.Context, batch []*ticket) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	items, raws := make([]item, len(batch)), make([][]byte, len(batch))
	for i, t := range batch {
		items[i], raws[i] = t.item, t.raw
	}
	return s.lose(s.writeRaw(ctx, items, raws, s.mine))
}

// renew shows that the holder is alive. A lease that ran out while it could
// not be renewed is given up.
func (s *Session) renew(ctx context.Context) {
	err := s.lose(s.writeRaw(ctx, nil, nil, s.mine))
	if err == nil {
		return
	}
	s.log.mu.Lock()
	lease := s.log.table.lease
	over := lease == nil || !s.log.o.Now().Before(lease.expires())
	s.log.mu.Unlock()
	if over {
		_ = s.lose(errBeaten)
	}
}

// lose ends the session when err says that the lease is another's.
func (s *Session) lose(err error) error {
	if !errors.Is(err, errBeaten) {
		return err
	}
	s.log.mu.Lock()
	lease := s.log.table.lease
	s.log.mu.Unlock()
	if lease != nil && lease.Session == s.id {
		lease = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = lost(lease)
		close(s.lost)
	}
	return s.err
}

// Release gives the lease back, once all that was queued is written. A log
// that has outgrown what it describes is condensed before.
func (s *Session) Release(ctx context.Context) error {
	s.mu.Lock()
	closed, gone := s.closed, s.err
	s.mu.Unlock()
	if closed {
		return nil
	}
	if gone != nil {
		s.stop()
		return nil // told before; who has the lease now gives it back
	}
	s.log.compactIfLarge(ctx)
	err := s.put(ctx, item{Released: &released{}})
	s.stop()
	if err != nil {
		return err
	}
	s.log.mu.Lock()
	live := s.log.table.live()
	s.log.mu.Unlock()
	return s.log.remember(live)
}

// stop ends the writer.
func (s *Session) stop() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	s.cancel()
	<-s.done
	s.log.mu.Lock()
	if s.log.session == s {
		s.log.session = nil
	}
	s.log.mu.Unlock()
}

// Wipe removes the state, all of it, and ends the session. It returns how
// many objects of the backend that were.
func (s *Session) Wipe(ctx context.Context) (int, error) {
	if err := s.lose(s.writeRaw(ctx, nil, nil, s.mine)); err != nil {
		return 0, err // the lease must be ours at this moment
	}
	s.stop()
	s.log.io.Lock()
	defer s.log.io.Unlock()
	n, err := s.log.driver.Wipe(ctx)
	if err != nil {
		return n, storage(err, "wipe the state")
	}
	s.log.replace(newTable())
	if s.log.o.KeyDir == "" {
		return n, nil
	}
	return n, Reset(s.log.o.KeyDir, s.log.o.ID)
}
