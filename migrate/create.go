package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

func sortStandings(list []Standing) {
	slices.SortFunc(list, func(a, b Standing) int { return cmp.Compare(a.Version, b.Version) })
}

const template = `-- +goose Up


-- +goose Down

`

var notInName = lazyregexp.New(`[^a-z0-9]+`)

// Create writes an empty migration and returns its path. Its version is the
// time, in UTC, as goose and golang-migrate write it; in a folder that counts
// from 1 it is the next number.
func Create(dir, name string, now time.Time) (string, error) {
	slug := strings.Trim(notInName().ReplaceAllString(strings.ToLower(name), "_"), "_")
	if slug == "" {
		return "", fault.New(fault.Usage, "%q is no name for a migration", name).WithHint("say what it does: add_users")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fault.Wrap(fault.Environment, err, "make the folder of migrations")
	}
	source, err := LoadDir(dir)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, nextVersion(source, now)+"_"+slug+".sql")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return "", fault.New(fault.Refused, "%s is there already", file).WithHint("take another name")
	}
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "write the migration")
	}
	_, err = f.WriteString(template)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fault.Wrap(fault.Environment, err, "write the migration")
	}
	return file, nil
}

// sequential is the highest version that looks like a count.
const sequential = 100_000

func nextVersion(s *Source, now time.Time) string {
	latest := s.Latest()
	if latest == 0 || latest >= sequential {
		stamp := now.UTC().Format("20060102150405")
		return max(stamp, fmt.Sprintf("%014d", latest+1))
	}
	width := len(strings.SplitN(s.Migrations[len(s.Migrations)-1].Up.File, "_", 2)[0])
	return fmt.Sprintf("%0*d", width, latest+1)
}
