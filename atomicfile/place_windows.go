package atomicfile

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// What Windows answers while a scanner or another reader has the file open.
const (
	errAccessDenied     = syscall.Errno(5)
	errSharingViolation = syscall.Errno(32)
)

// replace tries again for a moment: a file that somebody reads cannot be
// replaced on Windows, and readers (virus scanners among them) are brief.
func replace(from, to string) error {
	var err error
	for wait := time.Millisecond; wait < 500*time.Millisecond; wait *= 2 {
		if err = os.Rename(from, to); !errors.Is(err, errAccessDenied) && !errors.Is(err, errSharingViolation) {
			return err
		}
		time.Sleep(wait)
	}
	return err
}

// publish gives from the name to, which must be free: MoveFile, unlike
// os.Rename, refuses a name that is taken.
func publish(from, to string) error {
	src, err := syscall.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	dst, err := syscall.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := syscall.MoveFile(src, dst); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// syncDir does nothing: NTFS journals names, and a folder cannot be synced.
func syncDir(string) error { return nil }
