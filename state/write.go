package state

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/gocodealone/wfctl/resource"
)

// How long to wait before the next attempt on a backend that does not answer.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// write appends items. holds is what must be true of the log afterwards; where
// somebody else's entry made it false, the error is errBeaten.
func (s *Session) write(ctx context.Context, items []item, holds func(*table) bool) error {
	raws := make([][]byte, len(items))
	for i := range items {
		raw, err := marshal(items[i])
		if err != nil {
			return err
		}
		raws[i] = raw
	}
	return s.writeRaw(ctx, items, raws, holds)
}

// attempt is one entry on its way to the driver.
type attempt struct {
	seq   uint64
	sum   uint32
	data  []byte
	batch *batch
}

// writeRaw appends one batch. When the driver's answer leaves open whether
// the entry is there, it looks; when it is not, it tries again under the same
// number with the same bytes, so that it is never there twice.
func (s *Session) writeRaw(ctx context.Context, items []item, raws [][]byte, holds func(*table) bool) error {
	l := s.log
	l.io.Lock()
	defer l.io.Unlock()
	if err := s.clearDoubt(ctx, holds, items); err != nil {
		return err
	}
	a, err := s.attempt(items, raws)
	if err != nil {
		return err
	}
	until := l.o.Now().Add(l.o.LeaseTTL)
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := l.driver.Append(ctx, a.seq, a.data)
		if err == nil {
			l.watch = nil
			return l.extend(a.seq, a.sum, len(a.data), a.batch)
		}
		next, again, err := s.settle(ctx, a, err, items, raws, holds)
		if err == nil || !again || !l.o.Now().Before(until) {
			return err
		}
		if next == a { // the number is still ours to try
			select {
			case <-l.o.After(pause):
			case <-ctx.Done():
				return err
			}
		}
		a = next
	}
}

func (s *Session) attempt(items []item, raws [][]byte) (*attempt, error) {
	t := s.log.table
	b := &batch{Time: s.log.o.Now().UTC(), Session: s.id, Prev: t.sum, Items: items}
	data, sum, err := encodeBatch(*b, raws)
	return &attempt{t.seq + 1, sum, data, b}, err
}

// clearDoubt finds out about an earlier append of which it is not known
// whether it got there.
func (s *Session) clearDoubt(ctx context.Context, holds func(*table) bool, items []item) error {
	l := s.log
	if l.watch == nil {
		return nil
	}
	if err := l.pull(ctx); err != nil {
		return err
	}
	l.watch = nil
	if !opens(items) && !holds(l.table) {
		return errBeaten
	}
	return nil
}

// opens tells whether items take or break a lease, rather than rest on one.
func opens(items []item) bool {
	for _, it := range items {
		if it.Lease != nil || it.Released != nil && it.Released.By != nil {
			return true
		}
	}
	return false
}

// settle finds out how an append that failed has ended. It returns what to
// try next, where trying makes sense.
func (s *Session) settle(ctx context.Context, a *attempt, cause error, items []item, raws [][]byte, holds func(*table) bool) (next *attempt, again bool, err error) {
	l := s.log
	l.watch = &watch{seq: a.seq, data: a.data}
	conflict := errors.Is(cause, ErrConflict)
	if err := l.pull(ctx); err != nil {
		return a, errors.Is(err, ErrUnavailable), storage(fmt.Errorf("%w; and to look: %w", cause, err), "write the state")
	}
	if conflict && l.table.seq < a.seq { // taken, and nothing there: begun anew
		if err := l.reload(ctx); err != nil {
			return a, false, err
		}
	}
	seen := l.watch.seen
	l.watch = nil
	switch {
	case seen && holds(l.table):
		return nil, false, nil
	case l.table.seq < a.seq && !conflict:
		l.watch = &watch{seq: a.seq, data: a.data} // it may still arrive
		return a, errors.Is(cause, ErrUnavailable), storage(cause, "write the state")
	case opens(items) || !holds(l.table):
		return nil, false, errBeaten
	}
	next, err = s.attempt(items, raws) // what took the number had no right to write
	if err != nil {
		return nil, false, err
	}
	return next, true, errBeaten
}

// shorten leaves out of a result what its intent says already.
func (l *Log) shorten(r *result) *result {
	l.mu.Lock()
	p := l.table.pending[r.Intent]
	l.mu.Unlock()
	rec := &r.Record
	if p == nil || rec.Address != p.Address || rec.Deposed != p.Deposed || rec.Name != p.Name || rec.Type != p.Type ||
		rec.Provider != p.Provider || rec.Digest != p.Digest || rec.Run != p.Run || string(rec.Config) != string(p.Config) ||
		!reflect.DeepEqual(rec.DependsOn, p.DependsOn) || !reflect.DeepEqual(rec.Lifecycle, p.Lifecycle) {
		return r
	}
	short := *rec
	short.Address, short.Deposed, short.Name, short.Type, short.Provider = "", "", "", "", resource.Provider{}
	short.Config, short.Digest, short.DependsOn, short.Lifecycle, short.Run = nil, "", nil, resource.Lifecycle{}, ""
	return &result{Intent: r.Intent, Same: true, Record: short}
}
