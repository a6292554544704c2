package state

import (
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeProcesses map[int]string

func (f fakeProcesses) start(pid int) (string, bool) { s, ok := f[pid]; return s, ok }

func TestGone(t *testing.T) {
	me := Holder{Host: "h", Machine: "m", Boot: "b/ns", PID: 1, Start: "1"}
	ps := fakeProcesses{10: "100", 11: ""}
	for _, c := range []struct {
		name string
		h    Holder
		want bool
	}{
		{"alive", Holder{Host: "h", Machine: "m", Boot: "b/ns", PID: 10, Start: "100"}, false},
		{"ended", Holder{Host: "h", Machine: "m", Boot: "b/ns", PID: 12, Start: "100"}, true},
		{"number used again", Holder{Host: "h", Machine: "m", Boot: "b/ns", PID: 10, Start: "99"}, true},
		{"start not told", Holder{Host: "h", Machine: "m", Boot: "b/ns", PID: 11, Start: "99"}, false},
		{"restarted", Holder{Host: "h", Machine: "m", Boot: "a/ns", PID: 10, Start: "100"}, runtime.GOOS == "linux"},
		{"restarted, machine unknown", Holder{Host: "h", Boot: "a/ns", PID: 10, Start: "100"}, false},
		{"another container", Holder{Host: "h", Machine: "m", Boot: "b/other", PID: 12, Start: "1"}, false},
		{"another machine", Holder{Host: "x", Machine: "m", Boot: "b/ns", PID: 12, Start: "1"}, false},
		{"same name, another machine", Holder{Host: "h", Machine: "n", Boot: "b/ns", PID: 12, Start: "1"}, false},
		{"nothing known", Holder{Host: "h", Machine: "m", Boot: "b/ns", PID: 12}, false},
		{"no host", Holder{PID: 12, Start: "1"}, false},
	} {
		if got := c.h.gone(me, ps); got != c.want && runtime.GOOS == "linux" {
			t.Errorf("%s: gone is %v", c.name, got)
		}
	}
}

// This process is alive, and a child that has ended is not, though nobody has
// waited for it yet.
func TestSelfAndAZombie(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no zombies there
	}
	me := Self("run", "test", time.Now())
	if me.gone(me, system{}) {
		t.Fatal("this process counts as gone")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := me
	child.PID = cmd.Process.Pid
	child.Start, _ = processStart(child.PID)
	if child.gone(me, system{}) {
		t.Error("a child that runs counts as gone")
	}
	_ = in.Close()
	_, _ = out.Read(make([]byte, 1)) // its end
	for deadline := time.Now().Add(30 * time.Second); !child.gone(me, system{}); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a child that has ended counts as running")
		}
	}
	_ = cmd.Wait()
}

// memDriver is the smallest driver; the shared suite is in statetest.
type memDriver struct {
	mu      sync.Mutex
	entries []Entry
}

func (m *memDriver) list() []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries)
}

func (m *memDriver) Append(_ context.Context, seq uint64, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq != uint64(len(m.entries))+1 {
		return ErrConflict
	}
	m.entries = append(m.entries, Entry{Seq: seq, Data: data})
	return nil
}

func (m *memDriver) Load(_ context.Context, after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range m.list() {
			if e.Seq > after && !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memDriver) Compact(context.Context, uint64, []byte) error { return nil }
func (m *memDriver) Wipe(context.Context) (int, error)             { return 0, nil }
func (m *memDriver) Objects(context.Context) (int, error)          { return len(m.list()), nil }
func (m *memDriver) Close() error                                  { return nil }

func mustOpen(t *testing.T, d Driver, o Options) *Log {
	t.Helper()
	l, err := Open(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func mustLock(t *testing.T, l *Log, h Holder) *Session {
	t.Helper()
	s, err := l.Lock(t.Context(), h, LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A holder of this machine whose process is gone is taken over at once, and
// its calls are over; one that broke off elsewhere is waited for.
func TestDeadHolderIsTakenOver(t *testing.T) {
	d, me := &memDriver{}, Self("r", "apply", time.Now())
	dead := me
	dead.PID, dead.Start = 999_999_999, "1"
	first := mustLock(t, mustOpen(t, d, Options{}), dead)
	check(t, first.Intent(t.Context(), resource.Intent{Key: "k", Address: "db"}))
	l := mustOpen(t, d, Options{})
	s := mustLock(t, l, me)
	if p := l.View().Pending; len(p) != 1 || !p[0].Over {
		t.Errorf("pending: %+v", p)
	}
	check(t, s.Release(t.Context()))
	if err := first.Result(t.Context(), "k", resource.Record{Address: "db"}); fault.CodeOf(err) != fault.Locked {
		t.Errorf("the dead one wrote: %v", err)
	}
}

// The lease is renewed while its holder works, and given up when it runs out.
func TestRenewal(t *testing.T) {
	now := time.Unix(1e9, 0)
	ticks := make(chan time.Time)
	d := &memDriver{}
	o := Options{LeaseTTL: time.Minute, Now: func() time.Time { return now }, After: func(time.Duration) <-chan time.Time { return ticks }}
	l := mustOpen(t, d, o)
	s := mustLock(t, l, Holder{Who: "a", Host: "a"})
	n := len(d.list())
	ticks <- now
	ticks <- now // the first is done
	if got := len(d.list()); got <= n {
		t.Errorf("%d entries after a renewal, %d before", got, n)
	}
	if l.View().LeaseExpires != now.Add(time.Minute).UTC() {
		t.Errorf("the lease ends at %v", l.View().LeaseExpires)
	}
	s.stop()
}

func TestPlaceRemembers(t *testing.T) {
	keys := t.TempDir()
	o := Options{ID: "here", KeyDir: keys}
	d := &memDriver{}
	s := mustLock(t, mustOpen(t, d, o), Holder{Who: "a"})
	if _, err := Open(t.Context(), &memDriver{}, o); fault.CodeOf(err) != fault.State {
		t.Errorf("empty while a run is under way: %v", err)
	}
	check(t, s.Result(t.Context(), "", resource.Record{Address: "db"}))
	check(t, s.Release(t.Context()))
	_, err := Open(t.Context(), &memDriver{}, o)
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.State || !strings.Contains(f.Hint, "state reset") {
		t.Errorf("empty, with resources known: %v", err)
	}
	older := &memDriver{entries: d.entries[:2]}
	if _, err := Open(t.Context(), older, o); fault.CodeOf(err) != fault.State {
		t.Errorf("an older copy: %v", err)
	}
	mustOpen(t, &memDriver{}, Options{ID: "elsewhere", KeyDir: keys})
	s = mustLock(t, mustOpen(t, d, o), Holder{Who: "a"})
	check(t, s.Forget(t.Context(), "", resource.Key{Address: "db"}))
	check(t, s.Release(t.Context()))
	mustOpen(t, &memDriver{}, o) // nothing was recorded, nothing is lost
	check(t, Reset(keys, "here"))
	check(t, Reset(keys, "here"))
	mustOpen(t, older, o)
}

func TestAnotherProjectsState(t *testing.T) {
	d := &memDriver{}
	s := mustLock(t, mustOpen(t, d, Options{Project: "p", Environment: "e"}), Holder{Who: "a"})
	check(t, s.Release(t.Context()))
	for _, o := range []Options{{Project: "q", Environment: "e"}, {Project: "p", Environment: "f"}} {
		if _, err := Open(t.Context(), d, o); fault.CodeOf(err) != fault.State {
			t.Errorf("%v: %v", o, err)
		}
	}
}

// The key is 0600, outside the log, the same before the first lock and after,
// and what was made with another key is not compared with it.
func TestFingerprintKey(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "new", "keys")
	d, o := &memDriver{}, Options{ID: "here", KeyDir: keys}
	planned := mustOpen(t, d, o).Fingerprint([]byte("s3cret"))
	l := mustOpen(t, d, o)
	s := mustLock(t, l, Holder{Who: "a"})
	if got := l.Fingerprint([]byte("s3cret")); got != planned || !strings.HasPrefix(got, "h1:") || len(got) != 46 {
		t.Errorf("planned with %s, applied with %s", planned, got)
	}
	path := keyPath(keys, l.View().Lineage)
	info, err := os.Stat(path)
	check(t, err)
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v", info.Mode())
	}
	check(t, s.Result(t.Context(), "", resource.Record{Address: "db", Config: []byte(`{"p":{"$fingerprint":"h1:x"}}`)}))
	check(t, s.Release(t.Context()))

	elsewhere := Options{ID: "here", KeyDir: t.TempDir()}
	other := mustOpen(t, d, elsewhere)
	if err := other.CheckKey(); fault.CodeOf(err) != fault.State {
		t.Errorf("without the key: %v", err)
	}
	if _, err := other.Lock(t.Context(), Holder{Who: "b"}, LockOptions{}); fault.CodeOf(err) != fault.State {
		t.Errorf("a lock without the key: %v", err)
	}
	s, err = other.Lock(t.Context(), Holder{Who: "b"}, LockOptions{NewKey: true})
	check(t, err)
	check(t, s.Release(t.Context()))
	check(t, mustOpen(t, d, elsewhere).CheckKey())
	if err := mustOpen(t, d, o).CheckKey(); err == nil {
		t.Error("the old key still counts")
	}
}

type xorSealer byte

func (x xorSealer) Seal(_ context.Context, plain []byte) ([]byte, error) {
	out := []byte{byte(x)}
	for _, b := range plain {
		out = append(out, b^byte(x))
	}
	return out, nil
}

func (x xorSealer) Open(ctx context.Context, sealed []byte) ([]byte, error) {
	if sealed[0] != byte(x) {
		return nil, fault.New(fault.State, "sealed with another key")
	}
	plain, err := x.Seal(ctx, sealed[1:])
	return plain[1:], err
}

// With a sealer the key travels with the state.
func TestSealedKeyTravels(t *testing.T) {
	d := &memDriver{}
	l := mustOpen(t, d, Options{KeyDir: t.TempDir(), Sealer: xorSealer(7)})
	s := mustLock(t, l, Holder{Who: "a"})
	check(t, s.Result(t.Context(), "", resource.Record{Address: "db", Config: []byte(`{"p":{"$fingerprint":"h1:x"}}`)}))
	check(t, s.Release(t.Context()))
	other := mustOpen(t, d, Options{KeyDir: t.TempDir(), Sealer: xorSealer(7)})
	check(t, other.CheckKey())
	if a, b := l.Fingerprint([]byte("x")), other.Fingerprint([]byte("x")); a != b {
		t.Errorf("%s here, %s there", a, b)
	}
	if _, err := Open(t.Context(), d, Options{KeyDir: t.TempDir(), Sealer: xorSealer(8)}); fault.CodeOf(err) != fault.State {
		t.Errorf("the wrong key opened it: %v", err)
	}
}

// What has happened is recorded even when its context has ended; what has not
// begun is not.
func TestCancelledContext(t *testing.T) {
	l := mustOpen(t, &memDriver{}, Options{})
	s := mustLock(t, l, Holder{Who: "a"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, s.Result(ctx, "", resource.Record{Address: "db"}))
	if err := s.Intent(ctx, resource.Intent{Key: "k"}); !errors.Is(err, context.Canceled) {
		t.Errorf("an intent: %v", err)
	}
	check(t, s.Release(t.Context()))
	check(t, s.Release(t.Context()))
	if err := s.Result(t.Context(), "", resource.Record{Address: "x"}); fault.CodeOf(err) != fault.Internal {
		t.Errorf("after the release: %v", err)
	}
}

// One who waits gets the lease when it is given back, also when the holder's
// clock is far ahead.
func TestWait(t *testing.T) {
	d := &memDriver{}
	ahead := Options{Now: func() time.Time { return time.Unix(9e9, 0) }}
	a := mustLock(t, mustOpen(t, d, ahead), Holder{Who: "a", Host: "a"})
	now := time.Unix(1e9, 0)
	o := Options{Now: func() time.Time { return now }}
	o.After = func(d time.Duration) <-chan time.Time {
		ch := make(chan time.Time, 1)
		if d <= lastLook {
			now = now.Add(d)
			ch <- now
		}
		return ch
	}
	l := mustOpen(t, d, o)
	if _, err := l.Lock(t.Context(), Holder{Who: "b", Host: "b"}, LockOptions{Wait: 30 * time.Second}); !errors.Is(err, ErrLocked) {
		t.Errorf("half a minute: %v", err)
	}
	s, err := l.Lock(t.Context(), Holder{Who: "b", Host: "b"}, LockOptions{Wait: 3 * time.Minute})
	check(t, err)
	check(t, s.Release(t.Context()))
	a.stop()
}

// A log that was wiped and begun anew behind a reader's back is noticed, also
// when the new one has grown past what the reader knew.
func TestRefreshAfterAWipeElsewhere(t *testing.T) {
	d := &memDriver{}
	s := mustLock(t, mustOpen(t, d, Options{}), Holder{Who: "a"})
	check(t, s.Result(t.Context(), "", resource.Record{Address: "old"}))
	check(t, s.Release(t.Context()))
	reader := mustOpen(t, d, Options{})
	for _, extra := range []int{0, 1, 5} {
		d.mu.Lock()
		d.entries = nil
		d.mu.Unlock()
		s = mustLock(t, mustOpen(t, d, Options{}), Holder{Who: "b"})
		for range extra {
			check(t, s.Result(t.Context(), "", resource.Record{Address: "new"}))
		}
		check(t, s.Release(t.Context()))
		check(t, reader.Refresh(t.Context()))
		if _, old := reader.View().Record(resource.Key{Address: "old"}); old || len(reader.View().Records) != min(extra, 1) {
			t.Errorf("%d entries later the reader sees %v", extra, reader.View().Records)
		}
		check(t, mustLock(t, reader, Holder{Who: "c"}).Release(t.Context()))
	}
}

// Results that are in no hurry go out in few appends, and are durable when
// they say so; one that is in a hurry takes them along.
func TestResultSoon(t *testing.T) {
	d := &memDriver{}
	s := mustLock(t, mustOpen(t, d, Options{}), Holder{Who: "a"})
	before := len(d.list())
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			if err := s.ResultSoon(t.Context(), "", resource.Record{Address: resource.Address(strconv.Itoa(i))}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(mustOpen(t, d, Options{}).View().Records); n != 500 {
		t.Errorf("%d are durable", n)
	}
	if n := len(d.list()) - before; n > 20 {
		t.Errorf("500 entries took %d appends", n)
	}
	check(t, s.Release(t.Context()))
}

// contrary says that a number is taken and shows nothing there, as a bucket
// with versions may after a delete.
type contrary struct{ memDriver }

func (*contrary) Append(context.Context, uint64, []byte) error { return ErrConflict }

func TestContraryBackend(t *testing.T) {
	_, err := mustOpen(t, &contrary{}, Options{}).Lock(t.Context(), Holder{Who: "a"}, LockOptions{})
	if fault.CodeOf(err) != fault.State || !strings.Contains(err.Error(), "does not show it") {
		t.Errorf("%v", err)
	}
}
