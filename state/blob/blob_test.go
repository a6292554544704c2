package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heap is a bucket in memory that lists in any order.
type heap struct {
	mu      sync.Mutex
	objects map[string][]byte
	// overwrites: the store ignores that a key is taken.
	overwrites bool
	// before is called before each request; an error is its answer.
	before func(op, key string) error
}

func newHeap() *heap { return &heap{objects: map[string][]byte{}} }

func (h *heap) ask(op, key string) error {
	if h.before == nil {
		return nil
	}
	return h.before(op, key)
}

func (h *heap) Create(_ context.Context, key string, data []byte) error {
	if err := h.ask("create", key); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, taken := h.objects[key]; taken && !h.overwrites {
		return fmt.Errorf("%s: %w", key, ErrExists)
	}
	h.objects[key] = slices.Clone(data)
	return nil
}

func (h *heap) Get(_ context.Context, key string) ([]byte, error) {
	if err := h.ask("get", key); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	data, ok := h.objects[key]
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return slices.Clone(data), nil
}

func (h *heap) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := h.ask("list", prefix); err != nil {
			yield("", err)
			return
		}
		h.mu.Lock()
		keys := slices.Collect(maps.Keys(h.objects))
		h.mu.Unlock()
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, key := range keys {
			if dir, name := path.Split(key); dir == prefix && !yield(name, nil) {
				return
			}
		}
	}
}

func (h *heap) Delete(_ context.Context, key string) error {
	if err := h.ask("delete", key); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.objects, key)
	return nil
}

func (h *heap) Close() error { return nil }

func (h *heap) keys() []string { return slices.Sorted(maps.Keys(h.objects)) }

func TestDriver(t *testing.T) {
	statetest.Run(t, func(testing.TB) statetest.Opener {
		h := newHeap()
		return func(env string) (state.Driver, error) { return Open(h, "team/state", env) }
	})
}

func open(t *testing.T, b Bucket) *driver {
	t.Helper()
	d, err := Open(b, "", "p/e")
	if err != nil {
		t.Fatal(err)
	}
	return d.(*driver)
}

func fill(t *testing.T, d state.Driver, from, to uint64) {
	t.Helper()
	for seq := from; seq <= to; seq++ {
		if err := d.Append(t.Context(), seq, []byte{byte(seq)}); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t *testing.T, d state.Driver) (n int) {
	t.Helper()
	for _, err := range d.Load(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// A store that overwrites what is there is refused before anything rests on it.
func TestStoreThatOverwritesIsRefused(t *testing.T) {
	h := newHeap()
	h.overwrites = true
	err := open(t, h).Append(t.Context(), 1, []byte("x"))
	if fault.CodeOf(err) != fault.State || !strings.Contains(err.Error(), "overwrites") {
		t.Errorf("%v", err)
	}
	if slices.ContainsFunc(h.keys(), func(k string) bool { return strings.Contains(k, entryDir) }) {
		t.Errorf("it wrote %v", h.keys())
	}
}

// A wipe that was interrupted leaves no log, and the next writer finishes it.
func TestInterruptedWipe(t *testing.T) {
	h := newHeap()
	d := open(t, h)
	fill(t, d, 1, 30)
	boom := errors.New("boom")
	left := 10
	var mu sync.Mutex
	h.before = func(op, key string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "delete" {
			if left--; left < 0 {
				return boom
			}
		}
		return nil
	}
	if _, err := d.Wipe(t.Context()); !errors.Is(err, boom) {
		t.Fatalf("wipe: %v", err)
	}
	h.before = nil
	other := open(t, h)
	if n := count(t, other); n != 0 {
		t.Errorf("half a wipe looks like a log of %d entries", n)
	}
	fill(t, other, 1, 1)
	if n := count(t, other); n != 1 {
		t.Errorf("%d entries after the new beginning: %v", n, h.keys())
	}
}

// An append that rests on old knowledge, or takes long, looks again: its
// number may have been used and condensed away, or the log wiped.
func TestLateAppend(t *testing.T) {
	for name, meanwhile := range map[string]func(*driver) error{
		"condensed": func(d *driver) error {
			if err := d.Append(context.Background(), 4, []byte("other")); err != nil {
				return err
			}
			return d.Compact(context.Background(), 4, []byte("snapshot"))
		},
		"wiped": func(d *driver) error { _, err := d.Wipe(context.Background()); return err },
	} {
		h := newHeap()
		d, other := open(t, h), open(t, h)
		now := time.Unix(1e9, 0)
		d.now = func() time.Time { return now }
		fill(t, d, 1, 3)
		h.before = func(op, key string) error {
			if op == "create" && strings.HasSuffix(key, "4") {
				h.before = nil // the request hangs, and meanwhile …
				now = now.Add(3 * time.Second)
				return meanwhile(other)
			}
			return nil
		}
		if err := d.Append(t.Context(), 4, []byte("late")); !errors.Is(err, state.ErrConflict) {
			t.Errorf("%s: %v, want a conflict", name, err)
		}
		if slices.Contains(h.keys(), d.entryKey(4)) {
			t.Errorf("%s: the late entry stayed: %v", name, h.keys())
		}
	}
}

// A snapshot whose covered entries were not all removed still stands for them.
func TestInterruptedCompact(t *testing.T) {
	h := newHeap()
	d := open(t, h)
	fill(t, d, 1, 9)
	boom := errors.New("boom")
	h.before = func(op, key string) error {
		if op == "delete" && strings.HasSuffix(key, "3") {
			return boom
		}
		return nil
	}
	if err := d.Compact(t.Context(), 7, []byte("seven")); !errors.Is(err, boom) {
		t.Fatalf("compact: %v", err)
	}
	h.before = nil
	if n := count(t, open(t, h)); n != 3 {
		t.Errorf("%d pieces, want the snapshot and two entries", n)
	}
	if err := d.Compact(t.Context(), 9, []byte("nine")); err != nil {
		t.Fatal(err)
	}
	if got := len(h.keys()); got != 2 {
		t.Errorf("left over: %v", h.keys())
	}
}

// No two names meet in one folder, whatever the store makes of case.
func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, env := range []string{"p/e", "p/E", "p/e/log", "p/log", "p/e=", "p/e/", "p/é", "p/.", "p/..", "p/.x", "P/e", "p", "p/snapshot", "p/probe", "p/=45"} {
		dir, err := directory("/team/", env)
		if err != nil {
			t.Fatal(err)
		}
		folded := strings.ToLower(dir)
		if other, ok := seen[folded]; ok {
			t.Errorf("%q and %q are both %s", env, other, dir)
		}
		seen[folded] = env
		if strings.Contains(dir, "/./") || strings.Contains(dir, "/../") || strings.Contains(dir, "//") || !strings.HasPrefix(dir, "team/") {
			t.Errorf("%q is %s", env, dir)
		}
	}
	for _, prefix := range []string{"a//b", "../x", "a/./b"} {
		if _, err := directory(prefix, "p/e"); fault.CodeOf(err) != fault.Config {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	if _, err := directory("a", ""); err == nil {
		t.Error("no environment's name is accepted")
	}
}

// A wipe takes what the environment's log consists of. What somebody else has
// put below the same prefix stays, whatever it looks like.
func TestWipeLeavesWhatIsNotOurs(t *testing.T) {
	h := newHeap()
	d := open(t, h)
	fill(t, d, 1, 3)
	foreign := []string{"p/e/log/readme", "p/e/log/7", "p/e/terraform.tfstate", "p/e/snapshot/x/00000000000000000001", "p/00000000000000000001", "probe", "p/ee/log/00000000000000000001"}
	for _, key := range foreign {
		h.objects[key] = []byte("somebody's")
	}
	if n, err := d.Wipe(t.Context()); n != 4 || err != nil { // three entries and the probe
		t.Errorf("wiped %d, %v", n, err)
	}
	slices.Sort(foreign)
	if keys := h.keys(); !slices.Equal(keys, foreign) {
		t.Errorf("left: %v", keys)
	}
}
