package event_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
)

func TestRecorderStoresInOrder(t *testing.T) {
	store := event.Open(memory.New(), event.StoreOptions{})
	r := event.NewRecorder(t.Context(), func(context.Context) (*event.Store, error) { return store, nil }, func(err error) { t.Error(err) })
	r.Emit(event.Notice{Message: "early"})
	r.Emit(event.RunStarted{Run: "a"})
	for i := range 100 {
		r.Emit(event.NodeLog{Address: "x", Line: fmt.Sprint(i)})
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	want := 0
	for rec, err := range store.Read(t.Context(), "a", 0) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := rec.Event.(type) {
		case event.RunStarted:
			if rec.Seq != 1 {
				t.Errorf("the run is opened by number %d", rec.Seq)
			}
		case event.NodeLog:
			if e.Line != fmt.Sprint(want) {
				t.Fatalf("%q where %d should be", e.Line, want)
			}
			want++
		}
	}
	if want != 100 {
		t.Errorf("%d lines are stored", want)
	}
}

func TestRecorderLeavesNoTraceWithoutARun(t *testing.T) {
	r := event.NewRecorder(t.Context(), func(context.Context) (*event.Store, error) {
		t.Error("the store was opened")
		return nil, errors.New("no")
	}, func(error) {})
	r.Emit(event.Notice{Message: "a warning"})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRecorderTellsOnceThatItCannot(t *testing.T) {
	told := 0
	r := event.NewRecorder(t.Context(), func(context.Context) (*event.Store, error) { return nil, errors.New("disk full") }, func(error) { told++ })
	r.Emit(event.RunStarted{Run: "a"})
	for range 10 {
		r.Emit(event.Notice{Message: "x"})
		_ = r.Flush()
	}
	if err := r.Close(); err != nil || told != 1 {
		t.Errorf("told %d times, %v", told, err)
	}
}

func TestWithin(t *testing.T) {
	var got []event.Event
	to := event.Within("deploy", event.SinkFunc(func(e event.Event) { got = append(got, e) }))
	for _, e := range []event.Event{event.RunStarted{}, event.NodeStarted{Address: "a"}, event.NodeFinished{Address: "a"}, event.RunFinished{}} {
		to.Emit(e)
	}
	if len(got) != 2 || got[0].(event.NodeStarted).Parent != "deploy" || got[1].(event.NodeFinished).Parent != "deploy" {
		t.Errorf("%v", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"event":"node.log","address":"a","line":"b"}`))
	f.Add([]byte(`{"line":"b","event":"node.log"}`))
	f.Add([]byte(`{"event":"tomorrow"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := event.Decode(raw)
		if err != nil {
			return
		}
		again, err := event.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := event.Decode(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
