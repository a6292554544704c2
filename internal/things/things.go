// Package things is a platform of files, for the torture programs: a thing is a
// file that is made in one instant or not at all, and that notices when it is
// made twice.
package things

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Run is what core.command runs: create, read, update, delete DIR NAME
// [VERSION [MILLISECONDS]]. A creation of what exists is recorded in the file "double".
func Run(args []string) int {
	if len(args) < 3 {
		return 2
	}
	if len(args) > 4 { // it takes its time, so that a kill falls into it
		ms, err := strconv.Atoi(args[4])
		if err != nil {
			return 2
		}
		time.Sleep(time.Duration(ms) * time.Millisecond)
		defer time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	verb, dir, path := args[0], args[1], filepath.Join(args[1], "things", args[2])
	switch verb {
	case "create":
		return createThing(dir, path, args[2], args[3])
	case "read":
		_, err := os.Stat(path)
		return status(err)
	case "update":
		return status(os.WriteFile(path, []byte(args[3]), 0o600))
	case "delete":
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 1
		}
		return 0
	}
	return 2
}

// createThing makes the file in one instant, as a platform makes a resource: a
// link to a finished one, which fails where the name is taken.
func createThing(dir, path, name, version string) int {
	tmp, err := os.CreateTemp(dir, "making-*")
	if err != nil {
		return 1
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // the link is what counts
	if _, err := tmp.WriteString(version); err != nil {
		return 1
	}
	if err := tmp.Close(); err != nil {
		return 1
	}
	err = os.Link(tmp.Name(), path)
	if errors.Is(err, os.ErrExist) {
		_ = os.WriteFile(filepath.Join(dir, "double"), []byte(name), 0o600)
	}
	return status(err)
}

func status(err error) int {
	if err != nil {
		return 1
	}
	return 0
}
