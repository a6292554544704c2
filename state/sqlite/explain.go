package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// code is SQLite's primary result code; 0 for any other error.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func isConstraint(err error) bool { return code(err) == lib.SQLITE_CONSTRAINT }

var errTruncated = errors.New("it ends within its header")

// explain says what to do about the errors that users meet.
func explain(path string, err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	switch code(err) {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fault.Wrap(fault.Locked, fmt.Errorf("%w: %w", state.ErrUnavailable, err), "the state %s is locked by another program", path).
			WithHint("end the program that has the file open (a database browser, a backup), then run this again")
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		return notWritable(path, err)
	case lib.SQLITE_FULL:
		return full(path, err)
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return damaged(path, err)
	}
	switch {
	case errors.Is(err, errTruncated):
		return damaged(path, err)
	case errors.Is(err, syscall.ENOSPC):
		return full(path, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return notWritable(path, err)
	}
	return fault.Wrap(fault.State, err, "the state %s cannot be used", path).
		WithHint("what was recorded before is intact; see that the disk works, then run this again")
}

func damaged(path string, err error) error {
	return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrUnreadable, err), "the state %s is damaged or is no state", path).
		WithHint("it was left as it is; bring it back from a copy, and do not remove it: what it records exists")
}

func notWritable(path string, err error) error {
	return fault.Wrap(fault.State, err, "the state %s cannot be written", path).
		WithHint("make the file and its folder writable for this user, or name another file in the module iac.state")
}

func full(path string, err error) error {
	return fault.Wrap(fault.State, err, "the disk of the state %s is full", path).
		WithHint("what was recorded before is intact; make room, then run this again")
}
