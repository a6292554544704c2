package statetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// openLog opens a log on a driver that it closes at the end of the test.
func openLog(t testing.TB, d state.Driver, c *Clock, keys string) *state.Log {
	t.Helper()
	l, err := state.Open(t.Context(), d, state.Options{
		ID: t.Name(), KeyDir: keys, Project: "p", Environment: "e", Now: c.Now, After: c.After,
	})
	if err != nil {
		t.Fatalf("open the log: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newLog opens a log of the environment e with a driver of its own.
func newLog(t testing.TB, o Opener, c *Clock, keys string) *state.Log {
	t.Helper()
	d, err := o("e")
	if err != nil {
		t.Fatal(err)
	}
	return openLog(t, d, c, keys)
}

func lock(t testing.TB, l *state.Log, who string) *state.Session {
	t.Helper()
	s, err := l.Lock(t.Context(), holder(who), state.LockOptions{})
	if err != nil {
		t.Fatalf("%s: lock: %v", who, err)
	}
	return s
}

// holder is one on another machine, so that nothing is known of its process.
func holder(who string) state.Holder {
	return state.Holder{Who: who, Host: who + ".example", PID: 1, Start: "1", Run: "run-" + who, Command: "infra apply"}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Record makes a record with everything in it.
func Record(addr string) resource.Record {
	at := time.Date(2026, 4, 24, 10, 0, 0, 0, time.UTC)
	return resource.Record{
		Address: resource.Address(addr), Name: "name-" + addr, Type: "infra.database", ID: "id-" + addr,
		Provider: resource.Provider{Address: "cloud", Kind: "digitalocean"},
		Config:   json.RawMessage(`{"engine":"postgres","password":{"$fingerprint":"h1:xyz"},"text":"a<b&c>  d"}`), Digest: "abc",
		Outputs: map[string]resource.RecordedOutput{
			"host": {Value: json.RawMessage(`"db.example"`)}, "url": {Sensitive: true, Fingerprint: "h1:abc", Sealed: []byte{0, 1, 255}},
		},
		DependsOn: []resource.Address{"net"}, Lifecycle: resource.Lifecycle{PreventDestroy: true}, SchemaVersion: 3,
		Created: at, Updated: at.Add(time.Nanosecond), Run: "run-a",
	}
}

func intentOf(key string, op resource.Operation, rec resource.Record) resource.Intent {
	return resource.Intent{
		Key: key, Operation: op, Address: rec.Address, Deposed: rec.Deposed, Name: rec.Name, Type: rec.Type, Provider: rec.Provider,
		Config: rec.Config, Digest: rec.Digest, DependsOn: rec.DependsOn, Lifecycle: rec.Lifecycle, Deadline: rec.Created.Add(time.Hour), Run: rec.Run,
	}
}

// logRoundTrip writes one of each entry and reads the log as another would,
// from its entries and from a snapshot.
func logRoundTrip(t *testing.T, o Opener) {
	ctx, c, keys := t.Context(), NewClock(), t.TempDir()
	l := newLog(t, o, c, keys)
	s := lock(t, l, "a")
	prov := resource.ProviderRecord{Provider: resource.Provider{Address: "cloud", Kind: "digitalocean"}, Version: "v1", Config: json.RawMessage(`{"region":"nyc3"}`)}
	must(t, s.Provider(ctx, prov))
	must(t, s.Intent(ctx, intentOf("k1", resource.OpCreate, Record("db"))))
	must(t, s.Assigned(ctx, "k1", "id-db"))
	must(t, s.Result(ctx, "k1", Record("db")))
	must(t, s.Result(ctx, "", Record("gone")))
	must(t, s.Intent(ctx, intentOf("k2", resource.OpDelete, Record("gone"))))
	must(t, s.Forget(ctx, "k2", resource.Key{Address: "gone"}))
	must(t, s.Intent(ctx, intentOf("k3", resource.OpCreate, Record("never"))))
	must(t, s.Abandon(ctx, "k3"))
	must(t, s.Intent(ctx, intentOf("k4", resource.OpCreate, Record("open"))))
	must(t, s.Assigned(ctx, "k4", "id-open"))
	must(t, s.Result(ctx, "", Record("net")))
	must(t, s.Move(ctx, resource.Key{Address: "net"}, resource.Key{Address: "vpc"}))
	must(t, s.Result(ctx, "", Record("web")))
	must(t, s.Move(ctx, resource.Key{Address: "web"}, resource.Key{Address: "web", Deposed: "run-1"}))

	check := func(t *testing.T, v *state.View) {
		t.Helper()
		db := Record("db")
		db.DependsOn = []resource.Address{"vpc"}
		got, ok := v.Record(resource.Key{Address: "db"})
		if !ok || !reflect.DeepEqual(got, db) {
			t.Errorf("db came back as %+v", got)
		}
		var addrs []string
		for _, r := range v.Records {
			addrs = append(addrs, string(r.Address)+"/"+r.Deposed)
		}
		expect(t, "records", addrs, []string{"db/", "vpc/", "web/run-1"})
		expect(t, "providers", fmt.Sprintf("%+v", v.Providers), fmt.Sprintf("%+v", []resource.ProviderRecord{prov}))
		if len(v.Pending) != 1 || v.Pending[0].AssignedID != "id-open" || v.Pending[0].Key != "k4" || !v.Pending[0].Deadline.Equal(Record("x").Created.Add(time.Hour)) {
			t.Errorf("pending: %+v", v.Pending)
		}
	}
	check(t, l.View())
	fingerprint := l.Fingerprint([]byte("secret"))
	reader := newLog(t, o, c, keys)
	check(t, reader.View())
	expect(t, "fingerprint", reader.Fingerprint([]byte("secret")), fingerprint)
	if p := reader.View().Pending[0]; p.Over {
		t.Error("a call under way counts as over")
	}
	must(t, s.Release(ctx))
	must(t, reader.Refresh(ctx))
	check(t, reader.View())
	if !reader.View().Pending[0].Over || reader.View().Lease != nil {
		t.Error("after the release the call is not over, or the lease is held")
	}
	checkHistory(t, reader, "db", []string{"intent", "assigned", "result"})
}

func checkHistory(t *testing.T, l *state.Log, addr resource.Address, want []string) {
	t.Helper()
	var kinds []string
	for h, err := range l.History(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if h.Address == addr {
			kinds = append(kinds, h.Kind)
		}
		if h.Who != "a@a.example" && h.Kind != "genesis" {
			t.Errorf("entry %d is by %q", h.Seq, h.Who)
		}
	}
	expect(t, "history of "+string(addr), kinds, want)
}

// groupCommit: what arrives while an append is under way shares the next one.
func groupCommit(t *testing.T, o Opener) {
	d, err := o("e")
	must(t, err)
	f := &Faulty{Driver: d}
	l := openLog(t, f, NewClock(), t.TempDir())
	s := lock(t, l, "a")
	before := f.Appends()
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			if err := s.Result(t.Context(), "", Record(fmt.Sprintf("r%03d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.Appends() - before; n > 300 {
		t.Errorf("400 entries took %d appends", n)
	}
	expect(t, "records", len(l.View().Records), 400)
	must(t, s.Release(t.Context()))
}

func oneHolder(t *testing.T, o Opener) {
	c, keys := NewClock(), t.TempDir()
	var mu sync.Mutex
	var holders []*state.Session
	refused := 0
	var wg sync.WaitGroup
	for i := range 6 {
		l := newLog(t, o, c, keys)
		wg.Go(func() {
			s, err := l.Lock(t.Context(), holder(fmt.Sprintf("w%d", i)), state.LockOptions{})
			mu.Lock()
			defer mu.Unlock()
			var locked *state.LockedError
			switch {
			case err == nil:
				holders = append(holders, s)
			case errors.As(err, &locked) && errors.Is(err, state.ErrLocked) && locked.Holder.Who != "" && fault.CodeOf(err) == fault.Locked:
				refused++
			default:
				t.Errorf("lock: %v", err)
			}
		})
	}
	wg.Wait()
	if len(holders) != 1 || refused != 5 {
		t.Fatalf("%d hold the lease and %d were refused", len(holders), refused)
	}
	must(t, holders[0].Result(t.Context(), "", Record("db")))
	must(t, holders[0].Release(t.Context()))
	s := lock(t, newLog(t, o, c, keys), "next")
	must(t, s.Release(t.Context()))
}

// staleWriter: a holder that stalls past its lease wakes up after another has
// taken it; whatever it writes fails and leaves no trace.
func staleWriter(t *testing.T, o Opener) {
	ctx, keys := t.Context(), t.TempDir()
	frozen, running := NewClock(), NewClock()
	stalled := newLog(t, o, frozen, keys)
	a := lock(t, stalled, "a")
	must(t, a.Intent(ctx, intentOf("k1", resource.OpCreate, Record("db"))))
	l := newLog(t, o, running, keys)
	if _, err := l.Lock(ctx, holder("b"), state.LockOptions{}); !errors.Is(err, state.ErrLocked) {
		t.Fatalf("b took a lease that holds: %v", err)
	}
	running.Advance(61 * time.Second)
	b := lock(t, l, "b")
	if v := l.View(); len(v.Pending) != 1 || v.Pending[0].Over {
		t.Errorf("after the lease ran out the call may still be under way: %+v", v.Pending)
	}
	err := a.Result(ctx, "k1", Record("db"))
	if fault.CodeOf(err) != fault.Locked {
		t.Errorf("the stalled writer's append: %v", err)
	}
	select {
	case <-a.Lost():
	default:
		t.Error("the stalled writer was not told")
	}
	if err := a.Intent(ctx, intentOf("k2", resource.OpCreate, Record("x"))); fault.CodeOf(err) != fault.Locked {
		t.Errorf("its next append: %v", err)
	}
	must(t, a.Release(ctx))
	must(t, b.Result(ctx, "k1", Record("db")))
	must(t, b.Release(ctx))
	must(t, l.Refresh(ctx))
	expect(t, "records", len(l.View().Records), 1)
}

// unlock breaks a lease; its holder cannot write any more.
func unlock(t *testing.T, o Opener) {
	ctx, c, keys := t.Context(), NewClock(), t.TempDir()
	a := lock(t, newLog(t, o, c, keys), "a")
	l := newLog(t, o, c, keys)
	whose, err := l.Unlock(ctx, holder("b"))
	must(t, err)
	if whose == nil || whose.Who != "a" {
		t.Errorf("the lease was %v's", whose)
	}
	whose, err = l.Unlock(ctx, holder("b"))
	if whose != nil || err != nil {
		t.Errorf("unlocking nobody's: %v, %v", whose, err)
	}
	if err := a.Result(ctx, "", Record("db")); fault.CodeOf(err) != fault.Locked {
		t.Errorf("a writer whose lease was broken: %v", err)
	}
	must(t, lock(t, l, "b").Release(ctx))
}

// wipeRules: only the holder wipes; who comes later begins a new lineage, and
// who was there before writes nothing.
func wipeRules(t *testing.T, o Opener) {
	ctx, keys := t.Context(), t.TempDir()
	frozen, running := NewClock(), NewClock()
	a := lock(t, newLog(t, o, frozen, keys), "a")
	must(t, a.Result(ctx, "", Record("db")))
	l := newLog(t, o, running, keys)
	lineage := l.View().Lineage
	if _, err := l.Lock(ctx, holder("b"), state.LockOptions{}); !errors.Is(err, state.ErrLocked) {
		t.Fatalf("b could take what a holds: %v", err)
	}
	running.Advance(2 * time.Minute)
	b := lock(t, l, "b")
	if n, err := a.Wipe(ctx); err == nil {
		t.Errorf("a writer without the lease wiped %d objects", n)
	}
	n, err := b.Wipe(ctx)
	if err != nil || n < 2 {
		t.Errorf("wiped %d objects, %v", n, err)
	}
	again := newLog(t, o, running, keys)
	s := lock(t, again, "c")
	if v := again.View(); v.Lineage == lineage || len(v.Records) > 0 {
		t.Errorf("after the wipe: lineage %s, %d records", v.Lineage, len(v.Records))
	}
	if err := a.Result(ctx, "", Record("x")); err == nil {
		t.Error("a writer of the wiped log wrote")
	}
	must(t, s.Result(ctx, "", Record("new")))
	must(t, s.Release(ctx))
}

// compactUnderLoad condenses a log while one writes and others read.
func compactUnderLoad(t *testing.T, o Opener) {
	ctx, c, keys := t.Context(), NewClock(), t.TempDir()
	writer := newLog(t, o, c, keys)
	readers := []*state.Log{newLog(t, o, c, keys), newLog(t, o, c, keys)}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, r := range readers {
		wg.Go(func() {
			last := uint64(0)
			for stop := false; !stop; {
				select {
				case <-done:
					stop = true
				default:
				}
				if err := r.Refresh(ctx); err != nil {
					t.Error(err)
					return
				}
				v := r.View()
				if v.Seq < last {
					t.Errorf("the log went from %d back to %d", last, v.Seq)
				}
				last = v.Seq
			}
		})
	}
	churn(t, writer)
	close(done)
	wg.Wait()
	for _, r := range append(readers, newLog(t, o, c, keys)) {
		must(t, r.Refresh(ctx))
		expect(t, "records", fmt.Sprint(len(r.View().Records), r.View().Seq), fmt.Sprint(len(writer.View().Records), writer.View().Seq))
	}
}

// churn writes much about few resources, so that every release condenses.
func churn(t *testing.T, l *state.Log) {
	big := Record("db")
	big.Config = json.RawMessage(`"` + string(make64k()) + `"`)
	for round := range 4 {
		s := lock(t, l, "a")
		for i := range 30 {
			big.ID = fmt.Sprintf("id-%d-%d", round, i)
			must(t, s.Result(t.Context(), "", big))
		}
		must(t, s.Release(t.Context()))
	}
	var n int
	for h, err := range l.History(t.Context()) {
		must(t, err)
		if h.Kind == "result" {
			n++
		}
	}
	expect(t, "results in the history", n, 120)
}

func make64k() []byte {
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// gaps: a reader that misses an entry starts again; one that stays missing is
// an error and never a shorter state.
func gaps(t *testing.T, o Opener) {
	ctx, c, keys := t.Context(), NewClock(), t.TempDir()
	l := newLog(t, o, c, keys)
	s := lock(t, l, "a")
	for i := range 5 {
		must(t, s.Result(ctx, "", Record(fmt.Sprint("r", i))))
	}
	must(t, s.Release(ctx))
	for _, times := range []int{2, 1 << 30} {
		d, err := o("e")
		must(t, err)
		f := &Faulty{Driver: d, Hide: func(seq uint64) bool {
			if seq == 4 && times > 0 {
				times--
				return true
			}
			return false
		}}
		got, err := state.Open(ctx, f, state.Options{ID: "gaps", Now: c.Now, After: c.After})
		if times > 0 {
			if fault.CodeOf(err) != fault.State {
				t.Errorf("a missing entry: %v", err)
			}
		} else if err != nil || len(got.View().Records) != 5 {
			t.Errorf("a late entry: %v", err)
		}
		must(t, d.Close())
	}
}
