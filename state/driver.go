// Package state keeps what wfctl knows of an environment as an append-only
// log over a small [Driver]: leases, intents, results, snapshots. Fencing,
// group commit, recovery from doubtful writes and compaction live here once;
// a driver only puts bytes where nothing was. The package calls no provider
// and decides nothing about resources; it is handed no sensitive value.
package state

import (
	"context"
	"errors"
	"iter"
)

// Driver is one environment of one project in a backend. Its one primitive is
// put-if-absent. It is safe for concurrent use.
//
// An error that is likely to pass (a network that broke, a server that is
// busy) matches [ErrUnavailable]; the log then looks what became of the write
// and tries again. A driver does not retry a write by itself.
type Driver interface {
	// Append stores an entry under seq and returns when it is durable. It
	// fails with [ErrConflict] when seq is in use or was ever used, which is
	// every number up to the newest snapshot's, and when seq is beyond the
	// next free number. The first number is 1. After any other error the
	// entry may or may not be there.
	Append(ctx context.Context, seq uint64, entry []byte) error
	// Load yields what comes after a number, in order: where the newest
	// snapshot covers more than that, the snapshot first, then the entries
	// above it. The bytes belong to the caller. What was never written yields
	// nothing and creates nothing.
	Load(ctx context.Context, after uint64) iter.Seq2[Entry, error]
	// Compact stores a snapshot that stands for every entry up to through,
	// and then drops them. One that is not newer than the present one
	// changes nothing.
	Compact(ctx context.Context, through uint64, snapshot []byte) error
	// Wipe removes all that this environment has here, nothing else, and
	// returns how many objects (rows, files) that were. To wipe nothing is a
	// success. The numbers are free again afterwards: it is the end of the
	// lineage.
	Wipe(ctx context.Context) (objects int, err error)
	// Objects is how many Wipe would remove now. It reads no entry, so that
	// damaged ones count as others do.
	Objects(ctx context.Context) (int, error)
	// Close lets go of the backend.
	Close() error
}

// Entry is what a driver stores under a number.
type Entry struct {
	Seq uint64
	// Snapshot marks one that stands for all entries up to Seq.
	Snapshot bool
	Data     []byte
}

// What drivers answer, besides faults of their own.
var (
	// ErrConflict: the number is taken.
	ErrConflict = errors.New("the sequence number is in use")
	// ErrForeign: the place holds the state of another environment.
	ErrForeign = errors.New("it is another environment's")
	// ErrUnreadable: what is there is damaged as a whole, or no state at all.
	ErrUnreadable = errors.New("it cannot be read")
	// ErrNoStorage: the bucket or database that the state would be in is not
	// there at all.
	ErrNoStorage = errors.New("the storage is not there")
	// ErrUnavailable marks what is worth another try.
	ErrUnavailable = errors.New("the state backend does not answer")
)
