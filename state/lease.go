package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// LockOptions say how to take a lease.
type LockOptions struct {
	// Wait is how long to wait for another holder; 0 refuses at once.
	Wait time.Duration
	// NewKey makes a new fingerprint key, so that every sensitive value shows
	// as changed once.
	NewKey bool
	// Over tells that a holder's work is over for certain although its process
	// may still be there: its lease is taken over at once, and so is what it
	// was about to do. Nil knows of none.
	Over func(Holder) bool
}

// ErrLocked is what the error of a lease that another holds matches; a
// [*LockedError] in it says who.
var ErrLocked = errors.New("the state is locked")

// LockedError says who holds the lease.
type LockedError struct {
	Holder  Holder
	Expires time.Time
}

// Error names the holder.
func (e *LockedError) Error() string { return "the lease of the state is held by " + e.Holder.String() }

// Is matches [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

func (e *LockedError) fault() error {
	return fault.Wrap(fault.Locked, e, "another command is at work").
		WithHint("wait for it with --lock-timeout 10m; if it is gone for certain: `wfctl infra state unlock`")
}

// How often one who waits looks again.
const (
	firstLook = 100 * time.Millisecond
	lastLook  = 2 * time.Second
)

// Lock takes the lease. Another holder's is waited for, or refused with who
// it is; one that has expired, or whose process is known to be gone, is taken
// over.
func (l *Log) Lock(ctx context.Context, h Holder, o LockOptions) (*Session, error) {
	until := l.o.Now().Add(o.Wait)
	var seen sighting
	var stuck progress
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		if !l.freshAndFree() {
			if err := l.Refresh(ctx); err != nil {
				return nil, err
			}
		}
		s, err := l.tryLock(ctx, h, o, &seen)
		var held *LockedError
		switch {
		case errors.Is(err, errBeaten):
			if err := stuck.check(l.View().Seq); err != nil {
				return nil, err
			}
			l.forgetPull()
			continue
		case !errors.As(err, &held):
			return s, err
		case !l.o.Now().Before(until):
			return nil, held.fault()
		}
		select {
		case <-l.o.After(min(pause, until.Sub(l.o.Now()))):
		case <-ctx.Done():
			return nil, errors.Join(held.fault(), ctx.Err())
		}
	}
}

// errBeaten: somebody wrote first; look again.
var errBeaten = errors.New("another writer was faster")

// freshEnough is how old a look at the log may be for taking a lease that it
// shows as free: if it is not free any more, the append fails.
const freshEnough = time.Second

// freshAndFree tells whether the look that Open had will do.
func (l *Log) freshAndFree() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.lease == nil && !l.pulled.IsZero() && l.o.Now().Sub(l.pulled) < freshEnough
}

func (l *Log) forgetPull() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pulled = time.Time{}
}

// progress notices a backend that says that a number is taken and shows
// nothing there.
type progress struct {
	seq   uint64
	times int
}

func (p *progress) check(seq uint64) error {
	if p.seq != seq {
		*p = progress{seq: seq}
	}
	if p.times++; p.times < 20 {
		return nil
	}
	return fault.New(fault.State, "the state backend says that entry %d is there, and does not show it", seq+1).
		WithHint("a bucket with versions may answer so after a delete: use one without versions, or another prefix")
}

// sighting is when one who waits saw the log move, by its own clock: so that
// a holder whose clock is ahead does not keep the lease for ever.
type sighting struct {
	seq  uint64
	when time.Time
}

func (s *sighting) stale(seq uint64, ttl time.Duration, now time.Time) bool {
	if s.when.IsZero() || s.seq != seq {
		s.seq, s.when = seq, now
	}
	return !now.Before(s.when.Add(ttl))
}

// tryLock takes the lease if it is free now.
func (l *Log) tryLock(ctx context.Context, h Holder, o LockOptions, seen *sighting) (*Session, error) {
	dead, err := l.free(h, o, seen)
	if err != nil {
		return nil, err
	}
	if err := l.findKey(ctx); err != nil {
		return nil, err
	}
	if err := l.CheckKey(); err != nil && !o.NewKey {
		return nil, err
	}
	items, err := l.opening()
	if err != nil {
		return nil, err
	}
	h.Since = l.o.Now().UTC()
	items = append(items, item{Lease: &leaseItem{Holder: h, TTL: l.o.LeaseTTL, Dead: dead}})
	s := newSession(l)
	if err := s.begin(ctx, items, o.NewKey); err != nil {
		return nil, err
	}
	return s, nil
}

// free tells whether the lease can be taken, and whether the last holder is
// known to be dead.
func (l *Log) free(me Holder, o LockOptions, seen *sighting) (dead bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.table
	if t.relocated != "" {
		return false, fault.New(fault.State, "this state has moved to %s", t.relocated).
			WithHint("name the new backend in the module iac.state")
	}
	if t.lease == nil {
		return false, nil
	}
	if l.session != nil && l.session.id == t.lease.Session {
		return false, &LockedError{Holder: t.lease.Holder, Expires: t.lease.expires()}
	}
	if t.lease.Holder.gone(me, l.o.processes) || o.Over != nil && o.Over(t.lease.Holder) {
		return true, nil
	}
	now := l.o.Now()
	if now.Before(t.lease.expires()) && !seen.stale(t.seq, t.lease.TTL, now) {
		return false, &LockedError{Holder: t.lease.Holder, Expires: t.lease.expires()}
	}
	return false, nil
}

// opening is what the first entry of all begins with.
func (l *Log) opening() ([]item, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.table.seq > 0 {
		return nil, nil
	}
	if err := l.place.prepare(l.o); err != nil {
		return nil, err
	}
	return []item{{Genesis: &genesis{Lineage: l.place.Lineage, Project: l.o.Project, Environment: l.o.Environment}}}, nil
}

// Unlock breaks the lease that [View.Lease] shows, and returns whose it was;
// nil for nobody's. A holder that is alive after all can no longer write. When
// another has taken the lease since, that one is left alone and the error
// matches [ErrLocked].
func (l *Log) Unlock(ctx context.Context, by Holder) (*Holder, error) {
	l.mu.Lock()
	shown := l.table.lease
	l.mu.Unlock()
	for {
		if err := l.Refresh(ctx); err != nil {
			return nil, err
		}
		l.mu.Lock()
		lease := l.table.lease
		l.mu.Unlock()
		switch {
		case lease == nil:
			return nil, nil
		case shown != nil && lease.Session != shown.Session:
			return nil, (&LockedError{Holder: lease.Holder, Expires: lease.expires()}).fault()
		}
		dead := lease.Holder.gone(by, l.o.processes)
		s := newSession(l)
		err := s.write(ctx, []item{{Released: &released{By: &by, Dead: dead}}}, func(t *table) bool { return t.lease == nil })
		if !errors.Is(err, errBeaten) {
			return &lease.Holder, err
		}
	}
}

// lost is the error of a session whose lease another has.
func lost(to *leaseState) error {
	who := "it was broken or wiped"
	if to != nil {
		who = "it is now held by " + to.Holder.String()
	}
	return fault.New(fault.Locked, "this command has lost the lease of the state: %s", who).
		WithHint("what was under way is in the journal; the next command finds out how it ended")
}

// describeLease is for the history.
func (l *leaseItem) describe() string {
	if l.Dead {
		return fmt.Sprintf("%s, after a process that was gone", l.Holder)
	}
	return l.Holder.String()
}
