// Package atomicfile writes files whole or not at all: into a temporary file
// of the same folder, synced, renamed into place, the folder synced. Whoever
// reads sees the old content or the new one, also after a crash. It locks
// nothing: of two writers at once the later rename wins, and [Create] lets the
// first one win.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path with data. The file has exactly this mode,
// whatever the umask is and whatever it was before. The folder must exist.
func Write(path string, data []byte, mode fs.FileMode) error {
	return WriteFrom(path, bytes.NewReader(data), mode)
}

// WriteFrom is [Write] of what r holds up to its end. When r fails, the file
// stays as it was.
func WriteFrom(path string, r io.Reader, mode fs.FileMode) error {
	return put(path, r, mode, replace)
}

// Create writes a file that must not exist yet. Where it does, the error
// matches [fs.ErrExist] and the file stays as it is.
func Create(path string, data []byte, mode fs.FileMode) error {
	return put(path, bytes.NewReader(data), mode, publish)
}

// Rename moves a file onto another one, whole or not at all, and syncs the
// folder. Both must be in one file system.
func Rename(from, to string) error {
	if err := replace(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// put fills a temporary file and hands it to place, which makes it path.
func put(path string, r io.Reader, mode fs.FileMode, place func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, ignoreGone(os.Remove(tmp.Name()))))
		}
	}()
	if err := fill(tmp, r, mode); err != nil {
		return err
	}
	if err := place(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// fill writes, sets the mode, syncs and closes.
func fill(f *os.File, r io.Reader, mode fs.FileMode) error {
	_, err := io.Copy(f, r)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
