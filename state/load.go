package state

import (
	"context"
	"errors"
	"iter"
)

// maxLoads is how often in a row a reading that breaks off is begun again.
const maxLoads = 4

// load is the driver's Load that goes on where it broke off when the backend
// does not answer: to read again does no harm, and a command should not fail
// for one lost request.
func (l *Log) load(ctx context.Context, after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		failures, pause := 0, firstRetry
		for {
			broke, last := error(nil), after
			for e, err := range l.driver.Load(ctx, after) {
				if err != nil {
					broke = err
					break
				}
				if !yield(e, nil) {
					return
				}
				last = max(last, e.Seq)
			}
			if last > after {
				after, failures, pause = last, 0, firstRetry
			}
			if failures++; broke == nil || !errors.Is(broke, ErrUnavailable) || failures == maxLoads {
				if broke != nil {
					yield(Entry{}, broke)
				}
				return
			}
			select {
			case <-l.o.After(pause):
				pause *= 2
			case <-ctx.Done():
				yield(Entry{}, broke)
				return
			}
		}
	}
}
