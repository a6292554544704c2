package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/lock/archive"
	"github.com/gocodealone/wfctl/lock/locktest"
)

// full is a disk with room for n more bytes.
type full struct {
	w io.Writer
	n int
}

func (f *full) Write(p []byte) (int, error) {
	if len(p) <= f.n {
		f.n -= len(p)
		return f.w.Write(p)
	}
	n, err := f.w.Write(p[:f.n])
	f.n -= n
	return n, errors.Join(err, noRoom())
}

func noRoom() error { return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC} }

func request(data []byte) Request {
	return Request{
		Hash: Sum(data), Name: "x.tar.gz", Limit: 1 << 20, Executable: "hello",
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(string(data))), nil
		},
		Check: func(string, []archive.File) error { return nil },
	}
}

func (s *Store) stage(t *testing.T, r Request) (*Staged, error) {
	t.Helper()
	unlock, err := s.Lock(t.Context(), r.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return s.Stage(t.Context(), r, unlock)
}

func leftovers(t *testing.T, s *Store) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Dir(), "tmp", "*"))
	if err != nil {
		t.Fatal(err)
	}
	trees, err := filepath.Glob(filepath.Join(s.Dir(), "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(found, trees...)
}

// The disk fills up after any number of bytes: nothing is left, and when there
// is room again the install succeeds.
func TestFullDisk(t *testing.T) {
	data := locktest.TarGz(locktest.File{Name: "hello", Body: []byte(strings.Repeat("abc", 1000))})
	s := Open(t.TempDir())
	plain := s.writer
	for n := 0; n < len(data); n += 5 {
		s.writer = func(w io.Writer) io.Writer { return &full{w, n} }
		if _, err := s.stage(t, request(data)); !IsFull(err) {
			t.Fatalf("with room for %d bytes: %v", n, err)
		}
		if left := leftovers(t, s); len(left) > 0 {
			t.Fatalf("with room for %d bytes: %v is left", n, left)
		}
	}
	s.writer = plain
	s.limits.Bytes = 100 // unpacking fails instead
	if _, err := s.stage(t, request(data)); err == nil || len(leftovers(t, s)) > 0 {
		t.Fatalf("%v, left %v", err, leftovers(t, s))
	}
	s.limits = archive.DefaultLimits()
	staged, err := s.stage(t, request(data))
	if err != nil {
		t.Fatal(err)
	}
	if s.Has(Sum(data)) {
		t.Error("it is there before it was installed")
	}
	if err := staged.Install(t.Context()); err != nil || !s.Has(Sum(data)) {
		t.Errorf("%v", err)
	}
}

func TestStageRefuses(t *testing.T) {
	data := locktest.TarGz(locktest.File{Name: "hello"})
	s := Open(t.TempDir())
	tests := map[string]func(*Request){
		"has the SHA-256": func(r *Request) { r.Hash = Sum(nil) },
		"more than 5":     func(r *Request) { r.Limit = 5 },
		"no such source": func(r *Request) {
			r.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("no such source") }
		},
		"not for you":    func(r *Request) { r.Check = func(string, []archive.File) error { return errors.New("not for you") } },
		"neither tar.gz": func(r *Request) { r.Name = "x.rar" },
	}
	for says, change := range tests {
		r := request(data)
		change(&r)
		if _, err := s.stage(t, r); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
		if left := leftovers(t, s); len(left) > 0 {
			t.Errorf("%s: %v is left", says, left)
		}
	}
	if _, err := s.Lock(t.Context(), "../x"); err == nil {
		t.Error("a lock outside of the store was taken")
	}
}

// What a crash left is cleared away by the next attempt; what is old, by any.
func TestLeftovers(t *testing.T) {
	data := locktest.TarGz(locktest.File{Name: "hello"})
	s := Open(t.TempDir())
	old, own, young := s.tmp(strings.Repeat("0", 64)), s.tmp(Sum(data)), s.tmp(strings.Repeat("1", 64))
	for _, dir := range []string{old, own, young} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "tree", "deep"), 0o755), os.WriteFile(filepath.Join(dir, "archive"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	staged, err := s.stage(t, request(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := staged.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("what is old is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("what another install is at is gone")
	}
}

func TestLockEndsWithItsContext(t *testing.T) {
	s := Open(t.TempDir())
	unlock, err := s.Lock(t.Context(), Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Lock(ctx, Sum(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	unlock()
	unlock, err = s.Lock(t.Context(), Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestBlobs(t *testing.T) {
	s := Open(t.TempDir())
	hash, err := s.PutBlob([]byte("x"))
	if err != nil || hash != Sum([]byte("x")) {
		t.Fatal(hash, err)
	}
	if data, err := s.Blob(hash); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := s.Blob(Sum(nil)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(s.blob(hash), []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, err := s.Blob(hash); !errors.As(err, &damaged) || damaged.Path != s.blob(hash) {
		t.Errorf("got %v", err)
	}
}
