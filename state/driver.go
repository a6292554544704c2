package state

import (
	"context"
	"errors"
	"iter"
)

// Driver stores the log of one environment of one project.
type Driver interface {
	// Append stores an entry at a sequence number, durably. It returns
	// ErrConflict where the number is taken or was ever used: at or below
	// the newest snapshot's. Any other error leaves it open whether the entry
	// is there.
	Append(ctx context.Context, seq uint64, entry []byte) error
	// Load yields what comes after a sequence number, in order: first the
	// newest snapshot, where it covers more, then the entries that follow it.
	// A missing number ends the sequence.
	Load(ctx context.Context, after uint64) iter.Seq2[Stored, error]
	// Compact stores a snapshot that covers the entries through a sequence
	// number, and removes them. An older snapshot than the newest changes
	// nothing.
	Compact(ctx context.Context, through uint64, snapshot []byte) error
	// Wipe removes everything and tells how many objects that were.
	Wipe(ctx context.Context) (objects int, err error)
	// Close releases what the driver holds open.
	Close() error
}

// Stored is an entry or a snapshot as a driver keeps it.
type Stored struct {
	Seq      uint64
	Data     []byte
	Snapshot bool
}

// ErrConflict says that a sequence number is taken.
var ErrConflict = errors.New("the sequence number is taken")
