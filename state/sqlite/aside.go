package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// SetAside gives a file that cannot be read another name, so that a new state
// can begin, and returns that name. Nothing in it is lost: other environments
// may have had their records there.
func SetAside(path string, now time.Time) (string, error) {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405.000Z")
	if err := os.Rename(path, aside); err != nil {
		return "", fault.Wrap(fault.State, err, "put the damaged state %s aside", path)
	}
	for _, companion := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+companion, aside+companion); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return aside, fault.Wrap(fault.State, err, "put the damaged state %s aside", path+companion)
		}
	}
	return aside, nil
}
