// Package statetest is the suite that every state driver passes, and the
// clock and the faulty storage that it is tried with. A driver's own test
// hands [Run] a function that makes a fresh, empty place. It is imported by
// tests alone.
package statetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/gocodealone/wfctl/state"
)

// Opener opens the driver of an environment in one place. Drivers of the same
// environment share a log; each is closed by who opened it.
type Opener func(env string) (state.Driver, error)

// Run runs the whole suite. fresh makes a new empty place, which it may
// remove at the end of the test.
func Run(t *testing.T, fresh func(t testing.TB) Opener) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"PutIfAbsent", putIfAbsent},
		{"Bytes", anyBytes},
		{"LookingMakesNothing", lookingMakesNothing},
		{"LoadAfter", loadAfter},
		{"Compact", compact},
		{"WipeIsOneEnvironment", wipeOne},
		{"Reopen", reopen},
		{"ManyEntries", manyEntries},
		{"Linearizable", linearizable},
		{"LogRoundTrip", logRoundTrip},
		{"GroupCommit", groupCommit},
		{"OneHolder", oneHolder},
		{"StaleWriter", staleWriter},
		{"Unlock", unlock},
		{"WipeRules", wipeRules},
		{"CompactUnderLoad", compactUnderLoad},
		{"Faults", faults},
		{"Gaps", gaps},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

// open opens a driver for the length of a test.
func open(t testing.TB, o Opener, env string) state.Driver {
	t.Helper()
	d, err := o(env)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func mustAppend(t testing.TB, d state.Driver, seq uint64, data string) {
	t.Helper()
	if err := d.Append(t.Context(), seq, []byte(data)); err != nil {
		t.Fatalf("append %d: %v", seq, err)
	}
}

// load collects what a driver yields as "5=data" and "S5=snapshot".
func load(t testing.TB, d state.Driver, after uint64) []string {
	t.Helper()
	list := []string{}
	for e, err := range d.Load(t.Context(), after) {
		if err != nil {
			t.Fatalf("load after %d: %v", after, err)
		}
		mark := ""
		if e.Snapshot {
			mark = "S"
		}
		list = append(list, fmt.Sprintf("%s%d=%s", mark, e.Seq, e.Data))
	}
	return list
}

func expect(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func putIfAbsent(t *testing.T, o Opener) {
	d, other := open(t, o, "e"), open(t, o, "e")
	mustAppend(t, d, 1, "a")
	for _, who := range []state.Driver{d, other} {
		for _, seq := range []uint64{0, 1, 3, 40} {
			if err := who.Append(t.Context(), seq, []byte("x")); !errors.Is(err, state.ErrConflict) {
				t.Errorf("append %d: %v, want a conflict", seq, err)
			}
		}
	}
	mustAppend(t, other, 2, "b")
	expect(t, "the log", load(t, d, 0), []string{"1=a", "2=b"})
}

func anyBytes(t *testing.T, o Opener) {
	d := open(t, o, "e")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := [][]byte{{0}, all, bytes.Repeat(all, 8<<10), []byte("é\u2028 <&>")}
	for i, data := range want {
		if err := d.Append(t.Context(), uint64(i+1), data); err != nil {
			t.Fatal(err)
		}
	}
	for e, err := range d.Load(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Data, want[e.Seq-1]) {
			t.Errorf("entry %d came back as %d other bytes", e.Seq, len(e.Data))
		}
		clear(e.Data) // the bytes belong to the caller
	}
	expect(t, "the first entry", load(t, d, 0)[0], "1=\x00")
}

func lookingMakesNothing(t *testing.T, o Opener) {
	d := open(t, o, "e")
	expect(t, "an empty log", load(t, d, 0), []string{})
	expect(t, "an empty log after 7", load(t, d, 7), []string{})
	n, err := d.Wipe(t.Context())
	if n != 0 || err != nil {
		t.Errorf("wiped %d objects of nothing, %v", n, err)
	}
}

func loadAfter(t *testing.T, o Opener) {
	d := open(t, o, "e")
	want := []string{}
	for i := range 30 {
		mustAppend(t, d, uint64(i+1), fmt.Sprint(i))
		want = append(want, fmt.Sprintf("%d=%d", i+1, i))
	}
	for _, after := range []uint64{0, 1, 9, 10, 29, 30, 31} {
		expect(t, fmt.Sprintf("after %d", after), load(t, d, after), want[min(after, 30):])
	}
	for e, err := range d.Load(t.Context(), 0) { // stopping early is fine
		if err != nil || e.Seq == 3 {
			break
		}
	}
	mustAppend(t, d, 31, "more")
}

func compact(t *testing.T, o Opener) {
	d, other := open(t, o, "e"), open(t, o, "e")
	for i := range 10 {
		mustAppend(t, d, uint64(i+1), fmt.Sprint(i+1))
	}
	mustCompact(t, d, 6, "six")
	expect(t, "from the start", load(t, other, 0), []string{"S6=six", "7=7", "8=8", "9=9", "10=10"})
	expect(t, "after 6", load(t, other, 6), []string{"7=7", "8=8", "9=9", "10=10"})
	expect(t, "after 8", load(t, other, 8), []string{"9=9", "10=10"})
	for _, seq := range []uint64{1, 6, 7, 10, 12} {
		if err := other.Append(t.Context(), seq, []byte("x")); !errors.Is(err, state.ErrConflict) {
			t.Errorf("append %d: %v, want a conflict", seq, err)
		}
	}
	mustCompact(t, other, 4, "older")
	mustCompact(t, other, 6, "again")
	expect(t, "after an older one", load(t, d, 5)[0], "S6=six")
	mustCompact(t, d, 10, "ten")
	expect(t, "after a newer one", load(t, other, 0), []string{"S10=ten"})
	mustAppend(t, other, 11, "11")
	expect(t, "the end", load(t, d, 3), []string{"S10=ten", "11=11"})
}

func mustCompact(t testing.TB, d state.Driver, through uint64, data string) {
	t.Helper()
	if err := d.Compact(t.Context(), through, []byte(data)); err != nil {
		t.Fatalf("compact through %d: %v", through, err)
	}
}

func wipeOne(t *testing.T, o Opener) {
	// Names of which one begins another, and with characters of every backend.
	envs := []string{"p/prod", "p/prod-eu", "p/prod/x", "p/PROD", "p/a%b_c", "p/é"}
	drivers := map[string]state.Driver{}
	for _, env := range envs {
		d := open(t, o, env)
		drivers[env] = d
		mustAppend(t, d, 1, env)
		mustAppend(t, d, 2, env)
		mustCompact(t, d, 1, "snapshot "+env)
	}
	for i, env := range envs {
		counted, err := drivers[env].Objects(t.Context())
		if err != nil {
			t.Errorf("count %s: %v", env, err)
		}
		n, err := drivers[env].Wipe(t.Context())
		if err != nil || n < 2 || n != counted {
			t.Errorf("wipe %s: %d objects, %v; want at least 2, and %d", env, n, err, counted)
		}
		if counted, err = drivers[env].Objects(t.Context()); err != nil || counted != 0 {
			t.Errorf("%s holds %d objects after its wipe, %v", env, counted, err)
		}
		again, err := drivers[env].Wipe(t.Context())
		if err != nil || again != 0 {
			t.Errorf("wipe %s again: %d objects, %v", env, again, err)
		}
		expect(t, env+" wiped", load(t, drivers[env], 0), []string{})
		for _, left := range envs[i+1:] {
			expect(t, left, load(t, drivers[left], 0), []string{"S1=snapshot " + left, "2=" + left})
		}
	}
	if err := drivers["p/prod"].Append(t.Context(), 3, []byte("x")); !errors.Is(err, state.ErrConflict) {
		t.Errorf("a writer from before the wipe: %v, want a conflict", err)
	}
	mustAppend(t, drivers["p/prod"], 1, "anew")
	expect(t, "anew", load(t, drivers["p/prod"], 0), []string{"1=anew"})
}

func reopen(t *testing.T, o Opener) {
	for i := range 3 {
		d, err := o("e")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "entries so far", len(load(t, d, 0)), i)
		mustAppend(t, d, uint64(i+1), "x")
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// manyEntries writes 3,000 entries, or as many as the figures ask for when
// WFCTL_TEST_LONG is set: 100,000.
func manyEntries(t *testing.T, o Opener) {
	n := 3000
	if testing.Short() {
		n = 300
	} else if os.Getenv("WFCTL_TEST_LONG") != "" {
		n = 100_000
	}
	d := open(t, o, "e")
	for i := range n {
		mustAppend(t, d, uint64(i+1), "entry")
	}
	expect(t, "the last ten", len(load(t, d, uint64(n-10))), 10)
	next := uint64(1)
	for e, err := range d.Load(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq != next {
			t.Fatalf("entry %d came when %d was due", e.Seq, next)
		}
		next++
	}
	expect(t, "entries", next-1, n)
}
