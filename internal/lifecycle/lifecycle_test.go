package lifecycle_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

func ref(addr, out string) resource.Ref {
	return resource.Ref{Address: resource.Address(addr), Output: out}
}

func from(addr, out string) map[string]resource.Ref {
	return map[string]resource.Ref{"from": ref(addr, out)}
}

func lit(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func wantPlan(t *testing.T, w *world, desired []resource.Desired, want ...string) *plan.Plan {
	t.Helper()
	p, err := w.plan(desired)
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(p); !slices.Equal(got, want) {
		t.Fatalf("plan %v, want %v", got, want)
	}
	return p
}

func TestCreateThenNothing(t *testing.T) {
	w := newWorld(t)
	desired := []resource.Desired{node("db", lit("value", "1"), nil), node("web", nil, from("db", "secret"))}
	w.must(desired)
	wantPlan(t, w, desired)
	for _, rec := range w.journal.list() {
		if strings.Contains(string(raw(rec)), "s3cret") {
			t.Errorf("the record of %s holds a sensitive output: %s", rec.Address, raw(rec))
		}
	}
	if !strings.Contains(w.cloud.Config("web"), "s3cret of id-1") {
		t.Errorf("web was configured as %s", w.cloud.Config("web"))
	}
}

// A dependent of an untouched resource gets its sensitive output from the
// provider, since state does not keep it.
func TestSensitiveOutputIsReadAgain(t *testing.T) {
	w := newWorld(t)
	db := node("db", lit("value", "1"), nil)
	w.must([]resource.Desired{db})
	w.must([]resource.Desired{db, node("web", nil, from("db", "secret"))})
	if !strings.Contains(w.cloud.Config("web"), "s3cret of id-1") {
		t.Errorf("web was configured as %s", w.cloud.Config("web"))
	}
}

// What a platform shows once outlives the updates that do not show it.
func TestOutputShownOnceIsKept(t *testing.T) {
	w := newWorld(t)
	w.sealed = true
	w.must([]resource.Desired{node("db", lit("value", "1"), nil)})
	changed := node("db", lit("value", "2"), nil)
	web := node("web", nil, from("db", "password"))
	w.must([]resource.Desired{node("db", lit("value", "1"), nil), web})
	wantPlan(t, w, []resource.Desired{changed, web}, "update db") // web's password stays
	w.must([]resource.Desired{changed})
	w.must([]resource.Desired{changed, web})
	if !strings.Contains(w.cloud.Config("web"), "shown once of id-1") {
		t.Errorf("web was configured as %s", w.cloud.Config("web"))
	}
}

func TestUpdateReplaceDelete(t *testing.T) {
	w := newWorld(t)
	web := node("web", nil, from("db", "id"))
	w.must([]resource.Desired{node("db", lit("value", "1", "kind", "a"), nil), web})
	wantPlan(t, w, []resource.Desired{node("db", lit("value", "2", "kind", "a"), nil), web}, "update db")
	p := wantPlan(t, w, []resource.Desired{node("db", lit("value", "1", "kind", "b"), nil), web}, "replace db", "update web")
	if f := p.Change(resource.Key{Address: "web"}).Fields(); len(f) != 1 || !f[0].Unknown {
		t.Errorf("web's change is %+v", f)
	}
	w.must([]resource.Desired{node("db", lit("value", "1", "kind", "b"), nil), web})
	wantPlan(t, w, []resource.Desired{node("db", lit("value", "1", "kind", "b"), nil), web})
	w.must([]resource.Desired{node("db", lit("value", "1", "kind", "b"), nil)})
	if got := w.cloud.Modules(); !slices.Equal(got, []string{"db"}) {
		t.Errorf("there are %v", got)
	}
}

func TestCreateBeforeDestroy(t *testing.T) {
	w := newWorld(t)
	first := func(s *resource.Spec) { s.Lifecycle.CreateBeforeDestroy = true }
	w.must([]resource.Desired{node("db", lit("kind", "overlap"), nil, first)})
	var seen []int
	w.cloud.Fault = func(op, _ string, effect bool) error {
		if effect {
			seen = append(seen, len(w.cloud.Modules()))
		}
		return nil
	}
	w.must([]resource.Desired{node("db", lit("kind", "overlap2"), nil, first)})
	if !slices.Equal(seen, []int{2, 1}) {
		t.Errorf("resources after each step: %v, want 2 then 1", seen)
	}
	if recs := w.journal.list(); len(recs) != 1 || recs[0].ID != "id-2" {
		t.Errorf("records: %s", raw(recs))
	}
}

func TestPreventDestroy(t *testing.T) {
	w := newWorld(t)
	guarded := func(s *resource.Spec) { s.Lifecycle.PreventDestroy = true }
	w.must([]resource.Desired{node("net", nil, nil), node("db", lit("kind", "a"), from("net", "id"), guarded), node("web", nil, nil)})
	_, err := w.plan([]resource.Desired{node("net", nil, nil), node("db", lit("kind", "b"), from("net", "id"), guarded), node("web", nil, nil)})
	if err == nil || !strings.Contains(err.Error(), "prevent_destroy") {
		t.Fatalf("a replacement of what is protected: %v", err)
	}
	// The module is gone from the file, the protection is not; and what the
	// protected one stands on stays as well.
	s := w.must(nil)
	if got := w.cloud.Modules(); !slices.Equal(got, []string{"db", "net"}) || s.Done != 1 {
		t.Errorf("there are %v, done %d", got, s.Done)
	}
	s = w.must(nil, func(in *plan.Input) { in.Destroy = true })
	if len(w.cloud.Modules()) != 2 || s.Done != 0 {
		t.Errorf("destroy removed what is protected: %v", w.cloud.Modules())
	}
}

func TestMoved(t *testing.T) {
	w := newWorld(t)
	w.must([]resource.Desired{node("old", lit("value", "1"), nil)})
	renamed := node("new", lit("value", "1"), nil, func(s *resource.Spec) { s.Name = "old" })
	w.must([]resource.Desired{renamed}, func(in *plan.Input) { in.Moved = []plan.Move{{From: "old", To: "new"}} })
	if recs := w.journal.list(); len(recs) != 1 || recs[0].Address != "new" || recs[0].ID != "id-1" {
		t.Errorf("records: %s", raw(recs))
	}
}

func TestTargetsAndExcludes(t *testing.T) {
	w := newWorld(t)
	desired := []resource.Desired{node("net", nil, nil), node("db", nil, from("net", "id")), node("web", nil, from("db", "id")), node("cache", nil, nil)}
	for _, c := range []struct {
		change func(*plan.Input)
		want   []string
	}{
		{func(in *plan.Input) { in.Targets = []resource.Address{"db"} }, []string{"create db", "create net"}},
		{func(in *plan.Input) { in.Excludes = []resource.Address{"db"} }, []string{"create cache", "create net"}},
	} {
		p, err := w.plan(desired, c.change)
		if err != nil {
			t.Fatal(err)
		}
		if got := actions(p); !slices.Equal(got, c.want) {
			t.Errorf("plan %v, want %v", got, c.want)
		}
	}
	_, err := w.plan(desired, func(in *plan.Input) { in.Targets = []resource.Address{"bd"} })
	if err == nil {
		t.Error("an unknown target is accepted")
	}
}

func TestGoneAndTriggered(t *testing.T) {
	w := newWorld(t)
	gate := node("gate.ok", nil, nil, func(s *resource.Spec) { s.Type, s.DependsOn = "gate", []resource.Address{"web"} })
	desired := []resource.Desired{node("web", lit("value", "1"), nil), gate}
	w.must(desired)
	wantPlan(t, w, desired)
	w.cloud.Vanish("web")
	key := resource.Key{Address: "web"}
	p, err := w.plan(desired, func(in *plan.Input) { in.Observed = map[resource.Key]plan.Observation{key: {Gone: true}} })
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(p); !slices.Equal(got, []string{"create web", "update gate.ok"}) {
		t.Errorf("plan %v", got)
	}
}

func TestDrift(t *testing.T) {
	w := newWorld(t)
	desired := []resource.Desired{node("web", lit("value", "1"), nil)}
	w.must(desired)
	found := &sdk.ReadResponse{ID: "id-1", Healthy: true, Config: sdk.Config{JSON: []byte(`{"value":"9","extra":"x"}`)}}
	p, err := w.plan(desired, func(in *plan.Input) {
		in.Observed = map[resource.Key]plan.Observation{{Address: "web"}: {Read: found}}
	})
	if err != nil {
		t.Fatal(err)
	}
	fields := p.Change(resource.Key{Address: "web"}).Fields()
	if len(fields) != 1 || string(fields[0].Before) != `"9"` || string(fields[0].After) != `"1"` {
		t.Errorf("drift shows as %+v", fields)
	}
}

func TestFailureIsRecordedAndMended(t *testing.T) {
	w := newWorld(t)
	boom := errors.New("boom")
	fail := true
	w.cloud.Fault = func(op, module string, effect bool) error {
		if fail && module == "db" && effect {
			return boom
		}
		return nil
	}
	desired := []resource.Desired{node("db", lit("value", "1"), nil), node("web", nil, from("db", "id")), node("cache", nil, nil)}
	s, err := w.apply(desired)
	if err == nil || s.Done != 1 || s.Failed != 1 || s.Skipped != 1 {
		t.Fatalf("done %d, failed %d, skipped %d: %v", s.Done, s.Failed, s.Skipped, err)
	}
	for _, n := range s.Nodes {
		if n.Address == "web" && n.Outcome != event.Skipped {
			t.Errorf("web is %s", n.Outcome)
		}
	}
	// Its identifier was assigned, so it is known, and replaced.
	wantPlan(t, w, desired, "replace db", "create web")
	fail = false
	w.must(desired)
	if len(w.cloud.Doubles) > 0 || len(w.cloud.Modules()) != 3 {
		t.Errorf("there are %v, doubles %v", w.cloud.Modules(), w.cloud.Doubles)
	}
}

func TestRetryOnlyWhatMayPass(t *testing.T) {
	for code, want := range map[sdk.Code]int{sdk.CodeUnavailable: 3, sdk.CodeRateLimited: 3, sdk.CodeInvalid: 1, sdk.CodeInternal: 1} {
		w := newWorld(t)
		calls := 0
		w.cloud.Fault = func(op, _ string, effect bool) error {
			if op != "create" || effect {
				return nil
			}
			if calls++; calls < 3 {
				return sdk.Errorf(code, "not now")
			}
			return nil
		}
		_, err := w.apply([]resource.Desired{node("db", nil, nil)})
		if calls != want || (err == nil) != (want == 3) {
			t.Errorf("%s: %d calls, want %d: %v", code, calls, want, err)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	w := newWorld(t)
	w.cloud.Fault = func(op, module string, effect bool) error {
		if module == "db" && !effect {
			panic("oh no")
		}
		return nil
	}
	s, err := w.apply([]resource.Desired{node("db", nil, nil), node("web", nil, nil)})
	if err == nil || s.Failed != 1 || s.Done != 1 {
		t.Fatalf("done %d, failed %d: %v", s.Done, s.Failed, err)
	}
}

func TestSavedPlanIsRefusedWhenStale(t *testing.T) {
	w := newWorld(t)
	desired := []resource.Desired{node("db", lit("value", "1"), nil)}
	p, err := w.plan(desired)
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	if err := p.Save(&file, plan.SavedOptions{Environment: "unit"}); err != nil {
		t.Fatal(err)
	}
	saved, err := plan.LoadSaved(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := w.plan(desired)
	if err := saved.Check(again); err != nil {
		t.Errorf("the same plan is refused: %v", err)
	}
	w.must(desired)
	moved, _ := w.plan(desired)
	if err := saved.Check(moved); err == nil || !strings.Contains(err.Error(), "state has moved") {
		t.Errorf("a stale plan: %v", err)
	}
}

// scenario draws a configuration: modules, their values, what they refer to.
func scenario(t *rapid.T, label string) []resource.Desired {
	n := rapid.IntRange(0, 6).Draw(t, label+" modules")
	var desired []resource.Desired
	for i := range n {
		if !rapid.Bool().Draw(t, label+" there") {
			continue
		}
		literals := lit("value", rapid.SampledFrom([]string{"1", "2"}).Draw(t, label+" value"), "kind", rapid.SampledFrom([]string{"a", "b"}).Draw(t, label+" kind"))
		var refs map[string]resource.Ref
		if len(desired) > 0 && rapid.Bool().Draw(t, label+" refers") {
			to := desired[rapid.IntRange(0, len(desired)-1).Draw(t, label+" to")]
			refs = from(string(to.Address()), rapid.SampledFrom([]string{"id", "value", "secret"}).Draw(t, label+" output"))
		}
		first := rapid.Bool().Draw(t, label+" create first")
		desired = append(desired, node(fmt.Sprintf("m%d", i), literals, refs, func(s *resource.Spec) {
			s.Lifecycle.CreateBeforeDestroy = first
			s.Config.(input).literals["value"] += " overlap"
		}))
	}
	return desired
}

// However a configuration changes, and at whatever write the process dies,
// the next runs reach what is desired, and nothing is made twice or lost.
func TestCrashAnywhereConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		for step := range rapid.IntRange(1, 4).Draw(rt, "steps") {
			desired := scenario(rt, fmt.Sprint("step ", step))
			for range rapid.IntRange(0, 3).Draw(rt, "crashes") {
				w.journal.crashAt = w.journal.writes + rapid.IntRange(1, 12).Draw(rt, "crash at")
				w.journal.kept = rapid.Bool().Draw(rt, "kept")
				_, _ = w.apply(desired)
				w.journal.revive()
			}
			for tries := 0; ; tries++ {
				if _, err := w.apply(desired); err != nil {
					rt.Fatalf("does not converge: %v", err)
				}
				p, err := w.plan(desired)
				if err != nil {
					rt.Fatal(err)
				}
				if p.Empty() {
					break
				}
				if tries == 2 {
					rt.Fatalf("still to do after %d runs: %v", tries, actions(p))
				}
			}
			var want []string
			for _, d := range desired {
				want = append(want, string(d.Address()))
			}
			slices.Sort(want)
			if got := w.cloud.Modules(); !slices.Equal(got, want) {
				rt.Fatalf("there are %v, desired are %v", got, want)
			}
			if len(w.cloud.Doubles) > 0 {
				rt.Fatalf("made twice: %v", w.cloud.Doubles)
			}
		}
	})
}

// The same inputs give the same plan, and a plan of what was just applied is
// empty.
func TestPlanIsDeterministic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.must(scenario(rt, "before"))
		desired := scenario(rt, "after")
		a, errA := w.plan(desired)
		b, errB := w.plan(desired)
		if (errA == nil) != (errB == nil) {
			rt.Fatal(errA, errB)
		}
		if errA == nil && a.Hash != b.Hash {
			rt.Fatalf("hashes differ: %v", actions(a))
		}
	})
}
