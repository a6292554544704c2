// Package memory is a state driver that keeps the log in memory: for tests,
// and for trying things out. Nothing survives the process.
package memory

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/gocodealone/wfctl/state"
)

// Schema is the JSON Schema of the options: there are none.
const Schema = `{"type": "object", "additionalProperties": false}`

// Store holds a log; the drivers of one store share it.
type Store struct {
	mu       sync.Mutex
	entries  [][]byte // from floor+1 on
	floor    uint64
	snapshot []byte
}

// New makes an empty store.
func New() *Store { return &Store{} }

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
	if seq != d.s.floor+uint64(len(d.s.entries))+1 {
		return state.ErrConflict
	}
	d.s.entries = append(d.s.entries, slices.Clone(entry))
	return nil
}

// Load implements state.Driver.
func (d driver) Load(ctx context.Context, after uint64) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		d.s.mu.Lock()
		floor, snapshot, entries := d.s.floor, d.s.snapshot, slices.Clone(d.s.entries)
		d.s.mu.Unlock()
		if floor > after && !yield(state.Entry{Seq: floor, Data: slices.Clone(snapshot), Snapshot: true}, nil) {
			return
		}
		for i, data := range entries {
			seq := floor + uint64(i) + 1
			if seq <= after {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(state.Entry{}, err)
				return
			}
			if !yield(state.Entry{Seq: seq, Data: slices.Clone(data)}, nil) {
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
	drop := min(through-d.s.floor, uint64(len(d.s.entries)))
	d.s.entries = slices.Clone(d.s.entries[drop:])
	d.s.floor, d.s.snapshot = through, slices.Clone(snapshot)
	return nil
}

// Objects implements state.Driver.
func (d driver) Objects(context.Context) (int, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.objects(), nil
}

func (s *Store) objects() int {
	if s.snapshot != nil {
		return len(s.entries) + 1
	}
	return len(s.entries)
}

// Wipe implements state.Driver.
func (d driver) Wipe(context.Context) (int, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	n := d.s.objects()
	d.s.entries, d.s.snapshot, d.s.floor = nil, nil, 0
	return n, nil
}

// Close implements state.Driver.
func (driver) Close() error { return nil }
