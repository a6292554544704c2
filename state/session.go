package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// LockOptions say how to take a lease.
type LockOptions struct {
	// Wait is how long to wait for another holder; 0 refuses at once.
	Wait time.Duration
}

// Session is the holding of the lease: the right to append. Its methods
// return when what they say is durable; calls that come while an append is
// under way go out in the next one together.
type Session struct {
	log *Log
	id  string

	mu      sync.Mutex
	queue   *pendingBatch
	flush   bool // a goroutine of a caller is appending
	number  uint64
	closed  bool
	lost    chan struct{}
	lostErr error
	stop    chan struct{}
	renewed sync.WaitGroup
}

// pendingBatch is entries waiting for the next append, and who waits for it.
type pendingBatch struct {
	entries []entry
	done    chan struct{}
	err     error
}

// Lock takes the lease. Another holder's is waited for, or refused with who
// it is; one whose process is known to be gone, or that has expired, is taken
// over.
func (l *Log) Lock(ctx context.Context, h Holder, o LockOptions) (*Session, error) {
	deadline := l.o.Now().Add(o.Wait)
	for {
		s, err := l.take0(ctx, h, false)
		var held *lockedError
		if !errors.As(err, &held) {
			return s, err
		}
		if !l.o.Now().Before(deadline) {
			return nil, held.fault()
		}
		if err := l.o.Sleep(ctx, 250*time.Millisecond); err != nil {
			return nil, err
		}
		if err := l.Refresh(ctx); err != nil {
			return nil, err
		}
	}
}

// lockedError says who holds the lease.
type lockedError struct{ lease lease }

func (e *lockedError) Error() string { return "the state is locked by " + e.lease.Holder.String() }

func (e *lockedError) fault() error {
	return fault.Wrap(fault.Locked, e, "another command is at work").
		WithHint("wait for it with --lock-timeout 10m; if it is gone for certain: `wfctl infra state unlock`")
}

// take0 appends a lease at the next number, however often others come first.
func (l *Log) take0(ctx context.Context, h Holder, force bool) (*Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		expires := l.o.Now().Add(l.o.TTL)
		e := entry{Kind: kindLease, Holder: &h, Expires: &expires}
		if cur := l.model.lease; cur != nil {
			dead := cur.Holder.gone()
			if !dead && !force && l.o.Now().Before(cur.Expires) {
				return nil, &lockedError{*cur}
			}
			e.Broke, e.Dead = cur.ID, dead
		}
		b := &batch{Format: format, Lease: newID(), Time: l.o.Now().UTC(), Entries: []entry{e}}
		if l.model.lineage == "" {
			b.Lineage = newID()
		}
		err := l.append(ctx, b)
		if errors.Is(err, ErrConflict) {
			if err := l.refresh(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := l.mark(); err != nil {
			return nil, err
		}
		return l.start(b.Lease), nil
	}
}

// start begins the session of a lease that is ours, and renews it.
func (l *Log) start(id string) *Session {
	s := &Session{log: l, id: id, lost: make(chan struct{}), stop: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	s.renewed.Add(1)
	go func() {
		defer s.renewed.Done()
		defer cancel()
		for l.pause(ctx, s.stop) {
			expires := l.o.Now().Add(l.o.TTL)
			if s.write(ctx, entry{Kind: kindRenew, Expires: &expires}) != nil {
				return
			}
		}
	}()
	return s
}

// pause waits a third of the lease; false once the session ends.
func (l *Log) pause(ctx context.Context, stop <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	woke := make(chan error, 1)
	go func() { woke <- l.o.Sleep(ctx, l.o.TTL/3) }()
	select {
	case err := <-woke:
		return err == nil
	case <-stop:
		cancel()
		<-woke
		return false
	}
}

// appendAttempts bounds how often an append is tried on a storage that fails.
const appendAttempts = 4

// append stores a batch at the next number. After an error that leaves it
// open whether the entry is there, it looks: found is done, another's entry
// is a conflict, nothing is tried again. The caller holds l.mu.
func (l *Log) append(ctx context.Context, b *batch) error {
	raw, err := json.Marshal(b)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encode an entry of the state")
	}
	seq := l.model.seq + 1
	var last error
	for attempt := range appendAttempts {
		if attempt > 0 {
			if err := l.o.Sleep(ctx, time.Duration(attempt*attempt)*100*time.Millisecond); err != nil {
				return err
			}
		}
		last = l.driver.Append(ctx, seq, raw)
		if last == nil {
			l.model.apply(seq, b, len(raw))
			return nil
		}
		ours, err := l.there(ctx, seq, raw)
		switch {
		case err != nil:
			last = errors.Join(last, err)
		case ours:
			l.model.apply(seq, b, len(raw))
			return nil
		case errors.Is(last, ErrConflict):
			return ErrConflict
		}
		if ctx.Err() != nil || terminal(last) {
			break
		}
	}
	return appendError(last)
}

// terminal tells whether trying again cannot help.
func terminal(err error) bool {
	var f *fault.Error
	return errors.As(err, &f)
}

func appendError(err error) error {
	if terminal(err) {
		return err
	}
	return fault.Wrap(fault.State, err, "write the state").
		WithHint("what was recorded before is intact; make room or mend the storage, then run this again")
}

// there tells whether the entry at a number is this one.
func (l *Log) there(ctx context.Context, seq uint64, raw []byte) (bool, error) {
	for stored, err := range l.driver.Load(ctx, seq-1) {
		if err != nil {
			return false, err
		}
		return stored.Seq == seq && !stored.Snapshot && bytes.Equal(stored.Data, raw), nil
	}
	return false, nil
}

// write makes entries durable, together with what others write meanwhile.
func (s *Session) write(ctx context.Context, entries ...entry) error {
	s.mu.Lock()
	if s.closed || s.lostErr != nil {
		defer s.mu.Unlock()
		if s.lostErr != nil {
			return s.lostErr
		}
		return fault.New(fault.Internal, "the lease is released already")
	}
	if s.queue == nil {
		s.queue = &pendingBatch{done: make(chan struct{})}
	}
	mine := s.queue
	mine.entries = append(mine.entries, entries...)
	if !s.flush {
		s.flush = true
		s.mu.Unlock()
		s.drain(ctx)
	} else {
		s.mu.Unlock()
	}
	<-mine.done
	return mine.err
}

// drain appends batches until none waits. A caller's cancelled context must
// not drop what others wait for, so it does not reach the storage.
func (s *Session) drain(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for {
		s.mu.Lock()
		b := s.queue
		s.queue = nil
		if b == nil {
			s.flush = false
			s.mu.Unlock()
			return
		}
		s.number++
		number := s.number
		lost := s.lostErr
		s.mu.Unlock()
		if b.err = lost; lost == nil {
			b.err = s.appendBatch(ctx, number, b.entries)
		}
		close(b.done)
	}
}

func (s *Session) appendBatch(ctx context.Context, number uint64, entries []entry) error {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.model.lease == nil || l.model.lease.ID != s.id {
		return s.lose(l.model.lease)
	}
	err := l.append(ctx, &batch{Format: format, Lease: s.id, Number: number, Time: l.o.Now().UTC(), Entries: entries})
	if errors.Is(err, ErrConflict) {
		if err := l.refresh(ctx); err != nil {
			return err
		}
		return s.lose(l.model.lease)
	}
	return err
}

// lose ends the session: somebody else has the lease.
func (s *Session) lose(to *lease) error {
	var h *Holder
	if to != nil {
		h = &to.Holder
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lostErr == nil {
		s.lostErr = fault.New(fault.Locked, "this command lost the lease of the state to %s", h).
			WithHint("what was under way is in the journal; the next command finds out how it ended")
		close(s.lost)
	}
	return s.lostErr
}

// Lost is closed when another has taken the lease.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Intent records what is about to be done.
func (s *Session) Intent(ctx context.Context, in resource.Intent) error {
	return s.write(ctx, entry{Kind: kindIntent, Intent: &in})
}

// Assigned records the identifier that a platform gave, before the call ends.
func (s *Session) Assigned(ctx context.Context, intent, id string) error {
	return s.write(ctx, entry{Kind: kindAssigned, Key: intent, ID: id})
}

// Result records a resource and settles the intent, "" for none.
func (s *Session) Result(ctx context.Context, intent string, rec resource.Record) error {
	return s.write(ctx, entry{Kind: kindResult, Key: intent, Record: &rec})
}

// Forget drops a record and settles the intent, "" for none.
func (s *Session) Forget(ctx context.Context, intent string, key resource.Key) error {
	return s.write(ctx, entry{Kind: kindForgot, Key: intent, Address: key.Address, Deposed: key.Deposed})
}

// Abandon settles an intent that had no effect.
func (s *Session) Abandon(ctx context.Context, intent string) error {
	return s.write(ctx, entry{Kind: kindAbandon, Key: intent})
}

// Move gives a record another key.
func (s *Session) Move(ctx context.Context, from, to resource.Key) error {
	return s.write(ctx, entry{Kind: kindMove, Address: from.Address, Deposed: from.Deposed, To: &to})
}

// Provider records a provider.
func (s *Session) Provider(ctx context.Context, rec resource.ProviderRecord) error {
	return s.write(ctx, entry{Kind: kindProvider, Provider: &rec})
}

// Release ends the session, condenses a log that has outgrown what it
// describes, and gives the lease back. Nothing is under way any more.
func (s *Session) Release(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	err := s.write(ctx, entry{Kind: kindRelease})
	s.close()
	if s.lostErr != nil {
		return nil // who has it now releases it; the loss was told before
	}
	if err != nil {
		return err
	}
	return errors.Join(s.log.compact(ctx), s.log.mark())
}

// close stops the renewal; nothing can be written afterwards.
func (s *Session) close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.stop)
	s.mu.Unlock()
	s.renewed.Wait()
}

// compactAt is how many bytes of entries make a log worth condensing, and by
// how much they must outgrow the snapshot.
const (
	compactAt    = 4 << 20
	compactRatio = 4
)

// compact replaces the log by a snapshot where that saves much.
func (l *Log) compact(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.model.logged < compactAt {
		return nil
	}
	raw, err := json.Marshal(l.model.snapshot(l.o.Now().UTC()))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encode a snapshot of the state")
	}
	if l.model.logged < compactRatio*len(raw) {
		return nil
	}
	if err := l.driver.Compact(ctx, l.model.seq, raw); err != nil {
		return fmt.Errorf("condense the state: %w", err)
	}
	l.model.logged = 0
	return nil
}
