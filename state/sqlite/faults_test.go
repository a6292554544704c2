package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

func mustOpen(t testing.TB, path string) *driver {
	t.Helper()
	d, err := Open(t.Context(), path, "p/e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d.(*driver)
}

// filled makes a state file of many entries.
func filled(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	d := mustOpen(t, path)
	for i := range n {
		if err := d.Append(t.Context(), uint64(i+1), bytes.Repeat([]byte{byte(i)}, 700)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// count loads everything: how many entries, or the error.
func count(ctx context.Context, path string) (int, error) {
	d, err := Open(ctx, path, "p/e")
	if err != nil {
		return 0, err
	}
	defer d.Close() //nolint:errcheck // the load's error is what counts
	n := 0
	for _, err := range d.Load(ctx, 0) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func wantFault(t *testing.T, what string, err error, code fault.Code, words string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || f.Hint == "" || !strings.Contains(f.Message, words) {
		t.Errorf("%s: %v, want code %s with %q and a hint", what, err, code, words)
	}
}

func exec(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // only for the test
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestTruncated(t *testing.T) {
	path := filled(t, 200)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(whole); cut += 1 + len(whole)/60 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := count(t.Context(), path)
		if err == nil {
			t.Errorf("cut to %d of %d bytes: %d entries and no error", cut, len(whole), n)
		} else {
			wantFault(t, fmt.Sprintf("cut to %d", cut), err, fault.State, "")
		}
		if left, _ := os.Stat(path); left.Size() != int64(cut) {
			t.Errorf("cut to %d: looking changed the file to %d bytes", cut, left.Size())
		}
	}
}

func TestNotOurs(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := count(t.Context(), text)
	wantFault(t, "a text", err, fault.State, "damaged or is no state")

	other := filepath.Join(dir, "other.db")
	exec(t, other, "CREATE TABLE users (id INTEGER)")
	_, err = count(t.Context(), other)
	wantFault(t, "another program's", err, fault.State, "another program's database")

	newer := filled(t, 1)
	exec(t, newer, "PRAGMA user_version = 9")
	_, err = count(t.Context(), newer)
	wantFault(t, "a newer one", err, fault.State, "version 9")

	_, err = count(t.Context(), filepath.Join(text, "below a file"))
	if err != nil {
		wantFault(t, "below a file", err, fault.State, "cannot be written")
	}
}

// A file of no bytes is what a crash may leave of a new one; that a state was
// there before is for the log to know.
func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := count(t.Context(), path); n != 0 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
}

func TestLocked(t *testing.T) {
	path := filled(t, 1)
	d := mustOpen(t, path)
	if _, err := d.db.ExecContext(t.Context(), "PRAGMA busy_timeout = 10"); err != nil {
		t.Fatal(err)
	}
	d.db.SetMaxOpenConns(1)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // only for the test
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	err = d.Append(t.Context(), 2, []byte("x"))
	wantFault(t, "locked", err, fault.Locked, "locked by another program")
	if !errors.Is(err, state.ErrUnavailable) {
		t.Error("a lock is not said to pass")
	}
	if _, err := db.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), 2, []byte("x")); err != nil {
		t.Error(err)
	}
}

// A full disk stops the write and leaves what was there.
func TestFullDisk(t *testing.T) {
	path := filled(t, 20)
	d := mustOpen(t, path)
	d.db.SetMaxOpenConns(1)
	if _, err := d.db.ExecContext(t.Context(), "PRAGMA max_page_count = 30"); err != nil {
		t.Fatal(err)
	}
	err := d.Append(t.Context(), 21, make([]byte, 100<<10))
	wantFault(t, "full", err, fault.State, "full")
	if n, err := count(t.Context(), path); n != 20 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	if _, err := d.db.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), 21, make([]byte, 100<<10)); err != nil {
		t.Errorf("after making room: %v", err)
	}
}

// What another user made read-only can be named as such. Root may write
// anything, so the check is made where this process is not root.
func TestReadOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	err := explain("state.db", fmt.Errorf("open: %w", os.ErrPermission))
	wantFault(t, "no permission", err, fault.State, "cannot be written")
	if os.Geteuid() == 0 {
		return
	}
	path := filled(t, 1)
	for name, mode := range map[string]os.FileMode{path: 0o400, filepath.Dir(path): 0o500} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(filepath.Dir(path), 0o700) //nolint:errcheck // so that it can be removed
	d, err := Open(t.Context(), path, "p/e")
	if err == nil {
		err = d.Append(t.Context(), 2, []byte("x"))
		_ = d.Close()
	}
	wantFault(t, "read-only", err, fault.State, "cannot be written")
}

func TestLookingLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	if n, err := count(t.Context(), filepath.Join(dir, ".wfctl", "state.db")); n != 0 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("looking made %v", left)
	}
}

func TestModeAndCompanions(t *testing.T) {
	path := filled(t, 3)
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("closed, it leaves %v, %v", left, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// Two processes that make the file at once make one.
func TestMadeByTwoAtOnce(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "state.db")
		var wg sync.WaitGroup
		won := make(chan int, 8)
		for i := range 8 {
			d := mustOpen(t, path)
			wg.Go(func() {
				switch err := d.Append(t.Context(), 1, []byte("x")); {
				case err == nil:
					won <- i
				case !errors.Is(err, state.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("%d won", len(won))
		}
	}
}
