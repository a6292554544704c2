package lock_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/lock/locktest"
)

// Two installs at once, of two projects with one store: both succeed, and what
// is there is whole.
func TestInstallsAtOnce(t *testing.T) {
	b, _ := locked(t)
	b.forget()
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = b.Install(t.Context(), lock.InstallOptions{Platforms: locktest.Platforms()})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := len(b.trees()); n != len(locktest.Platforms()) {
		t.Errorf("%d trees in the store", n)
	}
	noRubbish(t, b.cache)
}

// noRubbish fails where something is left of an install.
func noRubbish(t *testing.T, cache string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(cache, "tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("tmp/%s is left", e.Name())
	}
}

// installForever installs into DIR/cache and empties it, again and again,
// until it is killed.
func installForever(dir string) {
	cache := filepath.Join(dir, "cache")
	p, err := lock.Open(lock.Options{Dir: dir, Cache: cache})
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString("ready\n")
	for {
		if _, err := p.Install(noContext{}, lock.InstallOptions{Platforms: locktest.Platforms()}); err != nil {
			panic(err)
		}
		// By rename, so that a kill does not leave a tree half removed.
		gone := filepath.Join(dir, "gone")
		if os.Rename(filepath.Join(cache, "sha256"), gone) == nil {
			_ = os.RemoveAll(gone)
		}
	}
}

// noContext never ends.
type noContext struct{}

func (noContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (noContext) Done() <-chan struct{}       { return nil }
func (noContext) Err() error                  { return nil }
func (noContext) Value(any) any               { return nil }

// Killed at any instant, the store holds whole plugins or none, and the next
// install succeeds.
func TestKilled(t *testing.T) {
	b, _ := locked(t)
	cache := filepath.Join(b.dir, "cache")
	for range 15 {
		killOne(t, b.dir)
		b.cache = cache
		b.open()
		for _, tree := range b.trees() {
			if _, err := os.Stat(filepath.Join(cache, "sha256", tree, "plugin.json")); err != nil {
				t.Fatalf("tree %s is not whole: %v", tree, err)
			}
		}
		b.install(lock.InstallOptions{Platforms: locktest.Platforms()})
		if _, err := b.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		noRubbish(t, cache)
		if err := errors.Join(os.RemoveAll(cache), os.RemoveAll(filepath.Join(b.dir, "gone"))); err != nil {
			t.Fatal(err)
		}
	}
}

func killOne(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "WFCTL_TEST_INSTALL_IN="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(time.Duration(rand.IntN(20_000)) * time.Microsecond)
	<-timer.C
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int) (restore func()) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := bytes.Clone(data)
	c[at] ^= 1
	put := func(b []byte) {
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(c)
	return func() { put(data) }
}

// One flipped bit of an archive at its source stops lock and install, and
// nothing is installed.
func TestFlippedArchive(t *testing.T) {
	b, dir := locked(t)
	archive := locktest.New("hello", "v1.0.0").Archive(locktest.Host())
	path := filepath.Join(dir, "v1.0.0", archive)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < int(info.Size()); at += 11 {
		restore := flip(t, path, at)
		b.forget()
		_, err := b.Install(t.Context(), lock.InstallOptions{})
		wantFault(t, err, fault.Integrity, archive)
		fresh := newBench(t)
		_, err = fresh.Add(t.Context(), lock.AddOptions{Name: "hello", Source: "file://" + filepath.ToSlash(dir), Trust: lock.ChecksumOnly})
		wantFault(t, err, fault.Integrity, archive)
		if len(b.trees()) != 0 || fresh.files() != "\x00" || slices.Contains(fresh.trees(), locktest.Hash([]byte(archive))) {
			t.Fatalf("byte %d: something was installed or written", at)
		}
		restore()
	}
}

// One bad archive among several plugins: none is installed.
func TestAllOrNothing(t *testing.T) {
	b, _ := locked(t)
	dir := t.TempDir()
	r := locktest.New("other", "v1.0.0").WriteTo(t, dir)
	b.add(lock.AddOptions{Name: "other", Source: "file://" + filepath.ToSlash(dir), Trust: lock.ChecksumOnly})
	b.forget()
	flip(t, filepath.Join(dir, "v1.0.0", r.Archive(locktest.Host())), 5)
	_, err := b.Install(t.Context(), lock.InstallOptions{})
	wantFault(t, err, fault.Integrity, r.Archive(locktest.Host()))
	if n := len(b.trees()); n != 0 {
		t.Errorf("%d plugins were installed", n)
	}
	noRubbish(t, b.cache)
}

// Any changed byte of the lockfile stops everything that reads it.
func TestFlippedLock(t *testing.T) {
	b, _ := locked(t)
	path := b.path(lock.LockFile)
	b.forget()
	data := []byte(b.read(lock.LockFile))
	for at := range data {
		c := bytes.Clone(data)
		c[at] ^= 1
		if _, err := lock.DecodeLock(c); err == nil {
			t.Fatalf("byte %d: it was decoded", at)
		}
	}
	for at := 0; at < len(data); at += 29 {
		restore := flip(t, path, at)
		_, err := b.Install(t.Context(), lock.InstallOptions{})
		wantFault(t, err, fault.Integrity, lock.LockFile)
		if _, err := b.Installed(t.Context()); err == nil {
			t.Fatalf("byte %d: Installed took it", at)
		}
		restore()
	}
	if len(b.trees()) != 0 {
		t.Error("something was installed")
	}
	b.install(lock.InstallOptions{})
}

// A lockfile that git checked out with other line ends is the same one.
func TestLockWithCarriageReturns(t *testing.T) {
	b, _ := locked(t)
	b.write(lock.LockFile, strings.ReplaceAll(b.read(lock.LockFile), "\n", "\r\n"))
	b.install(lock.InstallOptions{})
}

// What was changed in the store is found, and named.
func TestFlippedStore(t *testing.T) {
	b, _ := locked(t)
	tree := b.install(lock.InstallOptions{})[0].Dir
	exe := filepath.Base(b.install(lock.InstallOptions{})[0].Executable)
	for _, name := range []string{exe, "plugin.json", "LICENSE"} {
		path := filepath.Join(tree, name)
		restore := flip(t, path, 0)
		_, err := b.Install(t.Context(), lock.InstallOptions{})
		wantFault(t, err, fault.Integrity, path, "delete "+tree)
		_, err = b.Verify(t.Context())
		wantFault(t, err, fault.Integrity, path)
		restore()
	}
	extra := filepath.Join(tree, "more")
	if err := os.WriteFile(extra, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := b.Verify(t.Context())
	wantFault(t, err, fault.Integrity, extra)
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	b.install(lock.InstallOptions{})
	if _, err := b.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A tree in the store that is not what a new lock finds is not trusted.
func TestLockDoesNotTrustTheStore(t *testing.T) {
	b, dir := locked(t)
	exe := b.install(lock.InstallOptions{})[0].Executable
	flip(t, exe, 0)
	fresh := newBench(t)
	fresh.cache = b.cache
	fresh.open()
	_, err := fresh.Add(t.Context(), lock.AddOptions{Name: "hello", Source: "file://" + filepath.ToSlash(dir)})
	wantFault(t, err, fault.Integrity, exe)
	if fresh.files() != "\x00" {
		t.Error("something was written")
	}
}

// One flipped bit of the list of checksums: it stops, or it means the same.
func TestFlippedChecksums(t *testing.T) {
	_, dir := locked(t)
	path := filepath.Join(dir, "v1.0.0", "checksums.txt")
	size := len(locktest.New("hello", "v1.0.0").Files["checksums.txt"])
	for at := 0; at < size; at += 7 {
		restore := flip(t, path, at)
		b := newBench(t)
		_, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Source: "file://" + filepath.ToSlash(dir)})
		wantFault(t, err, fault.Integrity)
		if b.files() != "\x00" {
			t.Fatalf("byte %d: something was written", at)
		}
		restore()
	}
}

// Archives that hold what they should not.
func TestBadArchives(t *testing.T) {
	good := []locktest.File{{Name: "hello", Body: []byte("x"), Mode: 0o755}, {Name: "plugin.json", Body: locktest.Descriptor("hello", "v1.0.0")}}
	if locktest.Host()[:3] == "win" {
		good[0].Name += ".exe"
	}
	for problem, files := range map[string][]locktest.File{
		"would leave":          append(good[:2:2], locktest.File{Name: "../evil", Body: []byte("x")}),
		"no executable":        good[1:],
		"holds no plugin.json": good[:1],
		"holds other v1.0.0":   {good[0], {Name: "plugin.json", Body: locktest.Descriptor("other", "v1.0.0")}},
		"holds hello v1.0.1":   {good[0], {Name: "plugin.json", Body: locktest.Descriptor("hello", "v1.0.1")}},
		"invalid character":    {good[0], {Name: "plugin.json", Body: []byte("x")}},
	} {
		t.Run(problem, func(t *testing.T) {
			r := locktest.New("hello", "v1.0.0", locktest.Host())
			name := r.Archive(locktest.Host())
			r.Files[name] = locktest.Archive(filepath.Ext(name), files...)
			b, src := folder(t, r.Sum())
			_, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Source: src})
			if err == nil || !strings.Contains(err.Error(), problem) || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
			if b.files() != "\x00" || len(b.trees()) != 0 {
				t.Error("something was written or installed")
			}
			noRubbish(t, b.cache)
		})
	}
}
