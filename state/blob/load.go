package blob

import (
	"context"
	"errors"
	"iter"

	"github.com/gocodealone/wfctl/state"
)

// Load implements state.Driver. From the start it lists what is there and
// fetches it many at a time; from some number on it asks for one entry after
// the other, which near the end of a log is less.
func (d *driver) Load(ctx context.Context, after uint64) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		l := &loading{driver: d, yield: yield, next: after + 1}
		if err := l.run(ctx, after == 0); err != nil && !errors.Is(err, errStopped) {
			yield(state.Entry{}, err)
		}
	}
}

// loading is one Load.
type loading struct {
	*driver
	yield func(state.Entry, error) bool
	next  uint64 // the number that is due
}

// errStopped: who reads wants no more.
var errStopped = errors.New("stopped")

func (l *loading) run(ctx context.Context, whole bool) error {
	if whole {
		wiping, err := l.wiping(ctx)
		if err != nil || wiping {
			return err
		}
		if err := l.snapshot(ctx); err != nil {
			return err
		}
		if err := l.listed(ctx); err != nil {
			return err
		}
	}
	for {
		data, err := l.bucket.Get(ctx, l.entryKey(l.next))
		if errors.Is(err, ErrNotFound) {
			due := l.next
			if err := l.snapshot(ctx); err != nil || l.next == due {
				return err
			}
			continue // condensed meanwhile: on after the snapshot
		}
		if err != nil {
			return err
		}
		if err := l.tell(state.Entry{Seq: l.next, Data: data}); err != nil {
			return err
		}
	}
}

// tell yields and moves on.
func (l *loading) tell(e state.Entry) error {
	if !l.yield(e, nil) {
		return errStopped
	}
	l.next = e.Seq + 1
	l.learn(e.Seq)
	return nil
}

// snapshot yields the newest one where it covers what is due.
func (l *loading) snapshot(ctx context.Context) error {
	for {
		floor, err := l.floor(ctx)
		if err != nil || floor < l.next {
			return err
		}
		data, err := l.bucket.Get(ctx, l.snapshotKey(floor))
		switch {
		case errors.Is(err, ErrNotFound):
			continue // a newer one has replaced it
		case err != nil:
			return err
		}
		return l.tell(state.Entry{Seq: floor, Data: data, Snapshot: true})
	}
}

// listed yields all entries that a listing shows, gaps and all: whether one is
// an error is for the log to say.
func (l *loading) listed(ctx context.Context) error {
	all, err := l.numbers(ctx, l.dir+entryDir)
	if err != nil {
		return err
	}
	var due []uint64
	for _, seq := range all {
		if seq >= l.next {
			due = append(due, seq)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys := make([]string, len(due))
	for i, seq := range due {
		keys[i] = l.entryKey(seq)
	}
	for f := range fetchAll(ctx, l.bucket, keys) {
		switch {
		case errors.Is(f.err, ErrNotFound):
			return nil // condensed meanwhile; run goes on from here
		case f.err != nil:
			return f.err
		}
		if err := l.tell(state.Entry{Seq: due[f.n], Data: f.data}); err != nil {
			return err
		}
	}
	return nil
}

// fetched is an object on its way, the nth that was asked for.
type fetched struct {
	n    int
	data []byte
	err  error
}

// fetchAll gets objects many at a time and yields them in order. When it ends,
// so have its requests.
func fetchAll(ctx context.Context, b Bucket, keys []string) iter.Seq[fetched] {
	return func(yield func(fetched) bool) {
		ctx, cancel := context.WithCancel(ctx)
		window := make([]chan fetched, 0, parallel)
		defer func() {
			cancel()
			for _, ch := range window {
				<-ch
			}
		}()
		for next := 0; next < len(keys) || len(window) > 0; {
			for ; next < len(keys) && len(window) < parallel; next++ {
				ch := make(chan fetched, 1)
				go func(n int) {
					data, err := b.Get(ctx, keys[n])
					ch <- fetched{n, data, err}
				}(next)
				window = append(window, ch)
			}
			f := <-window[0]
			window = window[1:]
			if !yield(f) {
				return
			}
		}
	}
}
