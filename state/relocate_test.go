package state

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

func TestRelocate(t *testing.T) {
	ctx, keys := t.Context(), t.TempDir()
	from, to := &memDriver{}, &memDriver{}
	l := mustOpen(t, from, Options{ID: "old", KeyDir: keys})
	s := mustLock(t, l, Holder{Who: "a"})
	check(t, s.Result(ctx, "", resource.Record{Address: "db"}))
	fingerprint := l.Fingerprint([]byte("x"))
	to.entries = from.list()[:2] // an earlier try got this far
	check(t, s.Relocate(ctx, "postgres at db.example", to))

	if _, err := l.Lock(ctx, Holder{Who: "b"}, LockOptions{}); fault.CodeOf(err) != fault.State || !strings.Contains(err.Error(), "db.example") {
		t.Errorf("a lock at the old place: %v", err)
	}
	moved := mustOpen(t, to, Options{ID: "new", KeyDir: keys})
	if v := moved.View(); len(v.Records) != 1 || v.Lease != nil || v.MovedTo != "" || v.Lineage != l.View().Lineage {
		t.Errorf("the new place has %+v", v)
	}
	if got := moved.Fingerprint([]byte("x")); got != fingerprint {
		t.Error("the fingerprints differ at the new place")
	}
	check(t, mustLock(t, moved, Holder{Who: "b"}).Release(ctx))

	s = mustLock(t, mustOpen(t, &memDriver{}, Options{}), Holder{Who: "a"})
	if err := s.Relocate(ctx, "x", to); fault.CodeOf(err) != fault.State {
		t.Errorf("onto another state: %v", err)
	}
}

// Onto itself is no move: it would end the only copy.
func TestRelocateOntoItself(t *testing.T) {
	ctx, d := t.Context(), &memDriver{}
	l := mustOpen(t, d, Options{})
	s := mustLock(t, l, Holder{Who: "a"})
	check(t, s.Result(ctx, "", resource.Record{Address: "db"}))
	if err := s.Relocate(ctx, "here", d); fault.CodeOf(err) != fault.Refused {
		t.Errorf("onto itself: %v", err)
	}
	check(t, mustLock(t, mustOpen(t, d, Options{}), Holder{Who: "b"}).Release(ctx))
}

// There and back again: what the first move has left gives way to the second.
func TestRelocateBack(t *testing.T) {
	ctx, here, there := t.Context(), &wiping{}, &wiping{}
	s := mustLock(t, mustOpen(t, here, Options{}), Holder{Who: "a"})
	check(t, s.Result(ctx, "", resource.Record{Address: "db"}))
	check(t, s.Relocate(ctx, "there", there))
	s = mustLock(t, mustOpen(t, there, Options{}), Holder{Who: "a"})
	check(t, s.Result(ctx, "", resource.Record{Address: "web"}))
	check(t, s.Relocate(ctx, "here", here))
	if v := mustOpen(t, here, Options{}).View(); len(v.Records) != 2 || v.MovedTo != "" {
		t.Errorf("%+v", v)
	}
	if v := mustOpen(t, there, Options{}).View(); v.MovedTo != "here" {
		t.Errorf("%+v", v)
	}
}

type wiping struct{ memDriver }

func (w *wiping) Wipe(context.Context) (int, error) {
	n := len(w.entries)
	w.entries = nil
	return n, nil
}

func TestAtAndCheck(t *testing.T) {
	ctx, d := t.Context(), &memDriver{}
	now := time.Unix(1e9, 0)
	l := mustOpen(t, d, Options{Now: func() time.Time { return now }})
	s := mustLock(t, l, Holder{Who: "a"})
	before := l.View().Seq
	check(t, s.Result(ctx, "", resource.Record{Address: "db"}))
	check(t, s.Forget(ctx, "", resource.Key{Address: "db"}))
	check(t, s.Intent(ctx, resource.Intent{Key: "k", Address: "web"}))
	for offset, want := range map[uint64]int{0: 0, 1: 1, 2: 0} {
		v, err := l.At(ctx, before+offset)
		if err != nil || len(v.Records) != want {
			t.Errorf("at %d: %v, %v", before+offset, v, err)
		}
	}
	if _, err := l.At(ctx, 99); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("beyond the end: %v", err)
	}
	now = now.Add(time.Hour)
	r, err := l.Check(ctx)
	if err != nil || r.Pending != 1 || len(r.Notes) != 2 || r.Entries != int(l.View().Seq) {
		t.Errorf("%+v, %v", r, err)
	}
	d.mu.Lock()
	d.entries[2].Data[40] ^= 1
	d.mu.Unlock()
	_, err = l.Check(ctx)
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Detail) != 1 || f.Detail[0] != "entry 3" {
		t.Errorf("damage: %v", err)
	}
	s.stop()
}
