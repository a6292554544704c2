package blob

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/memory"
	"github.com/gocodealone/wfctl/state/statetest"
)

// With an index beside it, a store that overwrites passes the whole suite.
func TestBeside(t *testing.T) {
	statetest.Run(t, func(testing.TB) statetest.Opener {
		h := newHeap()
		h.overwrites = true
		var mu sync.Mutex
		stores := map[string]*memory.Store{}
		return func(env string) (state.Driver, error) {
			mu.Lock()
			defer mu.Unlock()
			if stores[env] == nil {
				stores[env] = memory.New()
			}
			return Beside(h, "team/state", env, stores[env].Driver())
		}
	})
}

func openBeside(t *testing.T, h *heap, m *memory.Store) *beside {
	t.Helper()
	d, err := Beside(h, "", "p/e", m.Driver())
	if err != nil {
		t.Fatal(err)
	}
	return d.(*beside)
}

// What got no number is gone after the log was condensed, and what a broken
// off wipe has left after the next.
func TestBesideLeavesNoLitter(t *testing.T) {
	h, m := newHeap(), memory.New()
	d := openBeside(t, h, m)
	fill(t, d, 1, 3)
	if err := d.Append(t.Context(), 3, []byte("x")); !errors.Is(err, state.ErrConflict) {
		t.Fatal(err)
	}
	if _, _, err := d.store(t.Context(), entryDir, 3, []byte("of a writer that was killed")); err != nil {
		t.Fatal(err)
	}
	h.objects["p/e/log/something else"] = nil
	if err := d.Compact(t.Context(), 3, []byte("S")); err != nil {
		t.Fatal(err)
	}
	if keys := h.keys(); len(keys) != 2 {
		t.Errorf("left: %v", keys)
	}
	fill(t, d, 4, 6)
	broken := errors.New("broken")
	h.before = func(op, _ string) error {
		if op == "delete" {
			return broken
		}
		return nil
	}
	if _, err := d.Wipe(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
	h.before = nil
	if n := count(t, d); n != 0 {
		t.Errorf("%d entries after a wipe that broke off", n)
	}
	if n, err := d.Wipe(t.Context()); n != 4 || err != nil {
		t.Errorf("wiped %d, %v", n, err)
	}
	if keys := h.keys(); len(keys) != 1 {
		t.Errorf("left: %v", keys)
	}
}

// A reader that meets an object which is gone begins again where it was; one
// that stays gone is damage and never the end of the log.
func TestBesideMissingObject(t *testing.T) {
	h, m := newHeap(), memory.New()
	d := openBeside(t, h, m)
	fill(t, d, 1, 5)
	var once sync.Once
	h.before = func(op, key string) (err error) {
		if op == "get" && seqOf(key) == 3 {
			once.Do(func() { err = d.Compact(context.Background(), 4, []byte("S")) })
		}
		return err
	}
	var seqs []uint64
	for e, err := range d.Load(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, e.Seq)
	}
	if n := len(seqs); n < 2 || seqs[n-1] != 5 || seqs[n-2] != 4 {
		t.Errorf("read %v", seqs)
	}
	for key := range h.objects {
		if seqOf(key) == 5 {
			delete(h.objects, key)
		}
	}
	var last error
	for _, err := range d.Load(t.Context(), 0) {
		last = err
	}
	if fault.CodeOf(last) != fault.State {
		t.Errorf("an object that is lost: %v", last)
	}
}

// A writer that was slow puts its object back, should a wipe have taken it.
func TestBesideLateAppend(t *testing.T) {
	h, m := newHeap(), memory.New()
	d := openBeside(t, h, m)
	now := time.Now()
	d.now = func() time.Time { now = now.Add(late); return now }
	wiped := false
	d.index = &slow{m.Driver(), func() {
		if !wiped {
			wiped = true
			clear(h.objects)
		}
		now = now.Add(late)
	}}
	fill(t, d, 1, 1)
	if n := count(t, d); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// slow is an index that takes its time.
type slow struct {
	state.Driver
	wait func()
}

func (s *slow) Append(ctx context.Context, seq uint64, entry []byte) error {
	s.wait()
	return s.Driver.Append(ctx, seq, entry)
}

func TestBesideForeignIndex(t *testing.T) {
	m := memory.New()
	fill(t, m.Driver(), 1, 1)
	for _, err := range openBeside(t, newHeap(), m).Load(t.Context(), 0) {
		if fault.CodeOf(err) != fault.State {
			t.Errorf("an index of something else: %v", err)
		}
	}
}
