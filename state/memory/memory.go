// Package memory is a state driver that keeps the log in memory: for tests,
// and for trying things out. Nothing survives the process.
package memory

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/gocodealone/wfctl/state"
)

// Store holds logs; the drivers of one store share them.
type Store struct {
	mu       sync.Mutex
	entries  map[uint64][]byte
	floor    uint64
	snapshot []byte
}

// New makes an empty store.
func New() *Store { return &Store{entries: map[uint64][]byte{}} }

// Driver opens the store.
func (s *Store) Driver() state.Driver { return driver{s} }

type driver struct{ s *Store }

// Append implements state.Driver.
func (d driver) Append(ctx context.Context, seq uint64, entry []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if _, taken := d.s.entries[seq]; taken || seq <= d.s.floor {
		return state.ErrConflict
	}
	d.s.entries[seq] = slices.Clone(entry)
	return nil
}

// Load implements state.Driver.
func (d driver) Load(ctx context.Context, after uint64) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		d.s.mu.Lock()
		floor, snapshot, entries := d.s.floor, d.s.snapshot, maps.Clone(d.s.entries)
		d.s.mu.Unlock()
		if floor > after {
			if !yield(state.Entry{Seq: floor, Data: snapshot, Snapshot: true}, nil) {
				return
			}
			after = floor
		}
		for seq := after + 1; ; seq++ {
			entry, ok := entries[seq]
			if !ok {
				return
			}
			if err := ctx.Err(); err != nil {
				yield(state.Entry{}, err)
				return
			}
			if !yield(state.Entry{Seq: seq, Data: entry}, nil) {
				return
			}
		}
	}
}

// Compact implements state.Driver.
func (d driver) Compact(_ context.Context, through uint64, snapshot []byte) error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if through <= d.s.floor {
		return nil
	}
	d.s.floor, d.s.snapshot = through, slices.Clone(snapshot)
	maps.DeleteFunc(d.s.entries, func(seq uint64, _ []byte) bool { return seq <= through })
	return nil
}

// Wipe implements state.Driver.
func (d driver) Wipe(context.Context) (int, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	n := len(d.s.entries)
	if d.s.snapshot != nil {
		n++
	}
	d.s.entries, d.s.snapshot, d.s.floor = map[uint64][]byte{}, nil, 0
	return n, nil
}

// Close implements state.Driver.
func (driver) Close() error { return nil }
