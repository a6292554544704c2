// Package eventtest is the suite that every event driver passes, and the
// benchmarks that compare them.
package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/event"
)

// Maker opens a driver. What one opens sees what another with the same name
// has written, unless the driver keeps nothing.
type Maker func(tb testing.TB, name string) event.Driver

// Options say what a driver can do.
type Options struct {
	// Shared: two drivers of the same name see the same events.
	Shared bool
}

var at = time.Date(2026, 4, 24, 10, 0, 0, 0, time.UTC)

func started(run string) event.RunStarted {
	return event.RunStarted{Run: run, Command: "up", Project: "guestbook", Environment: "local", At: at}
}

func node(i int) []event.Event {
	name := fmt.Sprintf("step-%d", i)
	return []event.Event{
		event.NodeStarted{Address: name, Action: "run", At: at},
		event.NodeFinished{Address: name, Action: "run", Outcome: event.Done, At: at.Add(time.Second)},
	}
}

// Run runs the suite.
func Run(t *testing.T, open Maker, o Options) {
	t.Run("OrderAndNumbers", func(t *testing.T) { order(t, store(t, open(t, t.Name()))) })
	t.Run("EveryKindComesBack", func(t *testing.T) { kinds(t, store(t, open(t, t.Name()))) })
	t.Run("ParallelAppends", func(t *testing.T) { parallel(t, store(t, open(t, t.Name()))) })
	t.Run("Timeline", func(t *testing.T) { timeline(t, store(t, open(t, t.Name()))) })
	t.Run("Runs", func(t *testing.T) { runs(t, store(t, open(t, t.Name()))) })
	t.Run("RunsOfAProject", func(t *testing.T) { queries(t, store(t, open(t, t.Name()))) })
	t.Run("Forget", func(t *testing.T) { forget(t, store(t, open(t, t.Name()))) })
	t.Run("Prune", func(t *testing.T) { prune(t, store(t, open(t, t.Name()))) })
	t.Run("FollowResumes", func(t *testing.T) {
		s := store(t, open(t, t.Name()))
		follow(t, s, s)
	})
	t.Run("NothingThere", func(t *testing.T) { nothing(t, store(t, open(t, t.Name()))) })
	t.Run("CancelledAppend", func(t *testing.T) { cancelled(t, store(t, open(t, t.Name()))) })
	if !o.Shared {
		return
	}
	t.Run("TwoProcesses", func(t *testing.T) {
		a, b := store(t, open(t, t.Name())), store(t, open(t, t.Name()))
		follow(t, a, b)
		twoWriters(t, a, b)
	})
}

func store(t testing.TB, d event.Driver) *event.Store {
	t.Helper()
	s := event.Open(d, event.StoreOptions{Poll: 5 * time.Millisecond})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func add(t testing.TB, s *event.Store, run string, events ...event.Event) uint64 {
	t.Helper()
	first, err := s.Append(context.WithoutCancel(t.Context()), run, events...)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func read(t testing.TB, s *event.Store, run string, after uint64) []event.Record {
	t.Helper()
	var all []event.Record
	for r, err := range s.Read(t.Context(), run, after) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func order(t *testing.T, s *event.Store) {
	if first := add(t, s, "a", started("a"), event.Notice{Message: "1"}); first != 1 {
		t.Errorf("the first event has number %d", first)
	}
	add(t, s, "b", started("b"))
	if first := add(t, s, "a", event.Notice{Message: "2"}); first != 3 {
		t.Errorf("the third event of a run has number %d", first)
	}
	got := read(t, s, "a", 1)
	if len(got) != 2 || got[0].Seq != 2 || got[1].Seq != 3 || got[1].Event.(event.Notice).Message != "2" {
		t.Errorf("after 1: %v", got)
	}
	if got := read(t, s, "a", 3); len(got) != 0 {
		t.Errorf("after the last: %v", got)
	}
}

func kinds(t *testing.T, s *event.Store) {
	all := Every()
	add(t, s, "a", all...)
	for i, r := range read(t, s, "a", 0) {
		if got, want := fmt.Sprintf("%#v", r.Event), fmt.Sprintf("%#v", all[i]); got != want {
			t.Errorf("number %d came back as\n%s\nwant\n%s", r.Seq, got, want)
		}
	}
}

// Every is an event of every kind, with every field set.
func Every() []event.Event {
	return []event.Event{
		event.RunStarted{Run: "a", Command: "up", Project: "p", Environment: "e", At: at, Holder: []byte(`{"pid":1}`)},
		event.PlanReady{Hash: "h", Counts: map[string]int{"create": 1}},
		event.NodeStarted{Address: "db", Parent: "deploy", Action: "create", Type: "infra.database", Name: "x", At: at},
		event.NodeProgress{Address: "db", Message: "half", Fraction: 0.5},
		event.NodeLog{Address: "db", Line: "a line"},
		event.NodeWarning{Address: "db", Message: "w", Hint: "h"},
		event.StepsPlanned{Pipeline: "release", Inputs: []byte(`{"v":"1"}`), Steps: []event.PlannedStep{{Name: "build", Type: "container_build", Needs: []string{"x"}, Group: "steps"}}},
		event.ApprovalRequested{Address: "gate", Message: "really?", At: at},
		event.ApprovalGiven{Address: "gate", Approved: true, By: "ann", Via: "page", At: at},
		event.Published{Address: "tell", Topic: "released", Data: []byte(`{"v":1}`), At: at},
		event.Notice{Level: "info", Message: "m", Hint: "h"},
		event.NodeFinished{Address: "db", Action: "create", Outcome: event.Failed, Error: "e", Hint: "h", Reason: "r", Took: 1, At: at, Outputs: []byte(`{"a":1}`), Withheld: []string{"b"}},
		event.RunFinished{Run: "a", Done: 1, Failed: 2, Skipped: 3, Error: "e", Took: 1, At: at},
	}
}

func parallel(t *testing.T, s *event.Store) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	seen := make([]uint64, writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				n, err := s.Append(t.Context(), "a", event.Notice{Message: fmt.Sprintf("%d/%d", w, i)})
				if err != nil {
					t.Error(err)
				}
				seen[w*each+i] = n
			}
		})
	}
	wg.Wait()
	slices.Sort(seen)
	for i, n := range seen {
		if n != uint64(i)+1 {
			t.Fatalf("the numbers have a gap or are used twice: %v", seen)
		}
	}
	last := map[string]int{}
	for _, r := range read(t, s, "a", 0) {
		var w string
		var i int
		w, rest, _ := strings.Cut(r.Event.(event.Notice).Message, "/")
		if _, err := fmt.Sscan(rest, &i); err != nil {
			t.Fatal(err)
		}
		if i != last[w] {
			t.Fatalf("the events of writer %s are out of order: %d where %d should be", w, i, last[w])
		}
		last[w]++
	}
}

func timeline(t *testing.T, s *event.Store) {
	add(t, s, "a", started("a"))
	add(t, s, "a", node(0)...)
	if tl, err := s.Timeline(t.Context(), "a"); err != nil || len(tl.Steps) != 1 || tl.Steps[0].Status != event.Succeeded {
		t.Fatalf("after a step: %+v, %v", tl, err)
	}
	add(t, s, "a", event.NodeStarted{Address: "x", Parent: "step-0", At: at}, event.NodeFinished{Address: "x", Parent: "step-0", Outcome: event.Done, At: at})
	if tl, err := s.Timeline(t.Context(), "a"); err != nil || tl.Step("step-0", "x") == nil {
		t.Fatalf("a part of a step is not in the timeline: %+v, %v", tl, err)
	}
	add(t, s, "a", event.NodeStarted{Address: "step-0", Action: "run", At: at})
	tl, err := s.Timeline(t.Context(), "a")
	if err != nil || tl.Steps[0].Attempts != 2 || tl.Steps[0].Status != event.Running {
		t.Fatalf("a second attempt: %+v, %v", tl, err)
	}
	add(t, s, "a", event.RunFinished{Run: "a", Done: 1, At: at.Add(time.Minute)})
	if tl, err = s.Timeline(t.Context(), "a"); err != nil || tl.Run.Status != event.Succeeded || tl.Seq != 7 {
		t.Fatalf("at the end: %+v, %v", tl, err)
	}
}

func runs(t *testing.T, s *event.Store) {
	for i := range 3 {
		e := started(fmt.Sprint("r", i))
		e.At = at.Add(time.Duration(i) * time.Hour)
		add(t, s, e.Run, e)
	}
	add(t, s, "r1", event.RunFinished{Run: "r1", Failed: 1, At: at})
	add(t, s, "r2", event.RunFinished{Run: "r2", Failed: 1, At: at})
	add(t, s, "r2", event.RunStarted{Run: "r2", Command: "up", At: at, Resumed: true})
	list, err := s.Runs(t.Context(), event.Query{})
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, r := range list {
		want := map[string]event.Status{"r0": event.Running, "r1": event.Broken, "r2": event.Running}[r.ID]
		if r.Status != want {
			t.Errorf("%s is %s, want %s", r.ID, r.Status, want)
		}
	}
	if list, err = s.Runs(t.Context(), event.Query{Limit: 1}); err != nil || len(list) != 1 || list[0].ID != "r2" {
		t.Errorf("the newest: %v, %v", list, err)
	}
}

// queries: what is asked for of a database that several projects share.
func queries(t *testing.T, s *event.Store) {
	names := []string{"a1-shop", "a2-blog", "a3-shop", "b4-shop", "b5-blog", "b6-shop%"}
	for i, run := range names {
		_, project, _ := strings.Cut(strings.TrimSuffix(run, "%"), "-")
		env := map[bool]string{true: "prod", false: "local"}[i%2 == 0] // prod: a1, a3, b5
		add(t, s, run, event.RunStarted{Run: run, Project: project, Environment: env, At: at.Add(time.Duration(i) * time.Hour)})
	}
	add(t, s, "nobody", event.Notice{Message: "a run that nobody opened"})
	for _, run := range []string{"a1-shop", "a2-blog"} {
		add(t, s, run, event.RunFinished{Run: run, At: at})
	}
	for _, c := range []struct {
		q    event.Query
		want string
	}{
		{event.Query{Project: "shop"}, "b6-shop% b4-shop a3-shop a1-shop"},
		{event.Query{Project: "shop", Limit: 2}, "b6-shop% b4-shop"},
		{event.Query{Project: "blog", Limit: 1}, "b5-blog"},
		{event.Query{Project: "sho"}, ""},
		{event.Query{Project: "shop", Environment: "prod"}, "a3-shop a1-shop"},
		{event.Query{Environment: "local", Limit: 2}, "b6-shop% b4-shop"},
		{event.Query{Environment: "local", Project: "blog"}, "a2-blog"},
		{event.Query{Project: "shop", Open: true}, "b6-shop% b4-shop a3-shop"},
		{event.Query{Prefix: "a"}, "a3-shop a2-blog a1-shop"},
		{event.Query{Prefix: "a", Project: "blog"}, "a2-blog"},
		{event.Query{Prefix: "_"}, ""}, // nothing is a pattern
		{event.Query{Prefix: "b6-shop%"}, "b6-shop%"},
		{event.Query{Prefix: "b%"}, ""},
		{event.Query{Name: "a2-blog"}, "a2-blog"},
		{event.Query{Name: "a2"}, ""},
		{event.Query{Name: "a2-blog", Project: "shop"}, ""},
	} {
		list, err := s.Runs(t.Context(), c.q)
		var got []string
		for _, r := range list {
			got = append(got, r.ID)
		}
		if strings.Join(got, " ") != c.want || err != nil {
			t.Errorf("%+v gives %q, want %q: %v", c.q, got, c.want, err)
		}
	}
	if names, err := s.Projects(t.Context()); err != nil || !slices.Equal(names, []string{"blog", "shop"}) {
		t.Errorf("the projects: %q, %v", names, err)
	}
	if open, err := s.Open(t.Context()); err != nil || len(open) != 5 {
		t.Errorf("open: %v, %v", open, err)
	}
}

// Runs of one project go, those of others and those under way stay.
func forget(t *testing.T, s *event.Store) {
	now := time.Now().UTC()
	for _, r := range []struct {
		run, project string
		over         bool
	}{{"a", "shop", true}, {"b", "shop", false}, {"c", "other", true}} {
		events := []event.Event{event.RunStarted{Run: r.run, Project: r.project, At: now}}
		if r.over {
			events = append(events, event.RunFinished{Run: r.run, At: now})
		}
		if _, err := s.Append(t.Context(), r.run, events...); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Forget(t.Context(), "shop", now.Add(time.Hour)); err != nil || n != 1 {
		t.Fatalf("%d runs were removed, %v", n, err)
	}
	runs, err := s.Runs(t.Context(), event.Query{})
	if err != nil || len(runs) != 2 {
		t.Fatalf("%v, %v", runs, err)
	}
	if _, err := s.Timeline(t.Context(), "a"); !errors.Is(err, event.ErrNoRun) {
		t.Errorf("the removed run: %v", err)
	}
}

func prune(t *testing.T, s *event.Store) {
	for i := range 4 {
		run := fmt.Sprint("r", i)
		add(t, s, run, started(run))
		if i != 0 {
			add(t, s, run, event.RunFinished{Run: run, At: at})
		}
	}
	if n, err := s.Prune(t.Context(), time.Time{}, 2); err != nil || n != 1 {
		t.Fatalf("removed %d, want the one that is over and not among the newest two: %v", n, err)
	}
	if _, err := s.Timeline(t.Context(), "r1"); !errors.Is(err, event.ErrNoRun) {
		t.Errorf("the pruned run: %v", err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 100); err != nil || n != 3 {
		t.Errorf("by age: %d, %v", n, err)
	}
	if got := read(t, s, "r3", 0); len(got) != 0 {
		t.Errorf("events of a pruned run are left: %v", got)
	}
}

// follow reads the first half, and then the rest from another follower that
// resumes, while events are written by w.
func follow(t *testing.T, s, w *event.Store) {
	const n = 200
	add(t, w, "f", started("f"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			add(t, w, "f", event.Notice{Message: fmt.Sprint(i)})
		}
		add(t, w, "f", event.RunFinished{Run: "f", At: at})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var last uint64
	for last < n+2 && ctx.Err() == nil {
		count := 0
		for r, err := range s.Follow(ctx, "f", last, false) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Seq != last+1 {
				t.Fatalf("number %d comes after %d", r.Seq, last)
			}
			last = r.Seq
			if count++; count == n/3 {
				break // the connection is lost
			}
		}
	}
	wg.Wait()
	if last != n+2 {
		t.Fatalf("the stream ended at %d", last)
	}
}

func twoWriters(t *testing.T, a, b *event.Store) {
	var wg sync.WaitGroup
	for _, s := range []*event.Store{a, b} {
		wg.Go(func() {
			for i := range 30 {
				add(t, s, "w", event.Notice{Message: fmt.Sprint(i)})
			}
		})
	}
	wg.Wait()
	for i, r := range read(t, a, "w", 0) {
		if r.Seq != uint64(i)+1 {
			t.Fatalf("number %d stands at place %d", r.Seq, i+1)
		}
	}
	tl, err := a.Timeline(t.Context(), "w")
	if err != nil || tl.Seq != 60 {
		t.Errorf("the timeline is at %v: %v", tl, err)
	}
}

func nothing(t *testing.T, s *event.Store) {
	if _, err := s.Timeline(t.Context(), "none"); !errors.Is(err, event.ErrNoRun) {
		t.Errorf("the timeline of nothing: %v", err)
	}
	if list, err := s.Runs(t.Context(), event.Query{}); err != nil || len(list) != 0 {
		t.Errorf("runs: %v, %v", list, err)
	}
	if names, err := s.Projects(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("projects: %v, %v", names, err)
	}
	if n, err := s.Prune(t.Context(), time.Now(), 0); err != nil || n != 0 {
		t.Errorf("prune: %v, %v", n, err)
	}
	if n, err := s.Append(t.Context(), "none"); err != nil || n != 0 {
		t.Errorf("no events: %v, %v", n, err)
	}
}

// cancelled: an append whose context is over fails or is whole, and the next
// one works.
func cancelled(t *testing.T, s *event.Store) {
	add(t, s, "c", started("c"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, failed := s.Append(ctx, "c", event.Notice{Message: "x"})
	next := add(t, s, "c", event.Notice{Message: "y"})
	if want := map[bool]uint64{true: 2, false: 3}[failed != nil]; next != want {
		t.Errorf("after %v the next has number %d, want %d", failed, next, want)
	}
}
