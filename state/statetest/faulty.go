package statetest

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// Mishap is what happens to one write.
type Mishap int

// The mishaps.
const (
	// None: the write goes through.
	None Mishap = iota
	// Refused: nothing is stored, and trying again makes no sense.
	Refused
	// Unavailable: nothing is stored; it is worth another try.
	Unavailable
	// AckLost: it is stored, and the answer is lost on the way.
	AckLost
	// Twice: it is stored, and a network that repeats itself answers with the
	// conflict of the second time.
	Twice
	// Dead: nothing is stored, and nothing is ever again: the process has died.
	Dead
)

// Faulty is a driver whose writes go wrong as Plan says.
type Faulty struct {
	state.Driver
	// Plan chooses for the n-th append, counted from 1.
	Plan func(n int) Mishap
	// Hide drops an entry from what is loaded; nil hides nothing.
	Hide func(seq uint64) bool

	mu   sync.Mutex
	n    int
	dead bool
}

// Append implements state.Driver.
func (f *Faulty) Append(ctx context.Context, seq uint64, entry []byte) error {
	mishap := f.next()
	switch mishap {
	case Refused:
		return fault.New(fault.State, "the storage refused the write")
	case Unavailable, Dead:
		return fmt.Errorf("the storage did not answer: %w", state.ErrUnavailable)
	}
	err := f.Driver.Append(ctx, seq, entry)
	if err != nil || mishap == None {
		return err
	}
	if mishap == Twice {
		return f.Driver.Append(ctx, seq, entry)
	}
	return fmt.Errorf("the answer was lost: %w", state.ErrUnavailable)
}

func (f *Faulty) next() Mishap {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	m := None
	if f.Plan != nil {
		m = f.Plan(f.n)
	}
	f.dead = f.dead || m == Dead
	if f.dead {
		return Dead
	}
	return m
}

// Appends is how many writes there were.
func (f *Faulty) Appends() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Load implements state.Driver.
func (f *Faulty) Load(ctx context.Context, after uint64) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		f.mu.Lock()
		dead := f.dead
		f.mu.Unlock()
		if dead {
			yield(state.Entry{}, fmt.Errorf("the storage did not answer: %w", state.ErrUnavailable))
			return
		}
		for e, err := range f.Driver.Load(ctx, after) {
			if err == nil && f.Hide != nil && f.Hide(e.Seq) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
