package statetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// RunFlaky works on a log through a storage that fails now and then, and
// checks through one that does not that all that was said to be durable is
// there, once.
func RunFlaky(t *testing.T, flaky, sound Opener) {
	keys := t.TempDir()
	durable := map[string]bool{}
	for round := range 4 {
		flakyRound(t, flaky, keys, round, durable)
	}
	d, err := sound("e")
	must(t, err)
	l, err := state.Open(t.Context(), d, state.Options{})
	must(t, err)
	defer func() { must(t, l.Close()) }()
	expectOnce(t, l, slices.Collect(maps.Keys(durable))...)
	if len(durable) < 20 {
		t.Errorf("only %d of 80 results got through", len(durable))
	}
	if _, err := l.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// flakyRound is one command: it may fail as a whole, and leaves the lease
// then, which the next one, on a machine of its own, breaks.
func flakyRound(t *testing.T, o Opener, keys string, round int, durable map[string]bool) {
	ctx := t.Context()
	d, err := o("e")
	must(t, err)
	l, err := state.Open(ctx, d, state.Options{ID: fmt.Sprint(round), KeyDir: keys, LeaseTTL: 10 * time.Second})
	if err != nil {
		must(t, d.Close())
		return
	}
	defer func() { _ = l.Close() }()
	s, err := l.Lock(ctx, holder(fmt.Sprint("w", round)), state.LockOptions{})
	if errors.Is(err, state.ErrLocked) {
		if _, err = l.Unlock(ctx, holder("w")); err == nil {
			s, err = l.Lock(ctx, holder(fmt.Sprint("w", round)), state.LockOptions{})
		}
	}
	if err != nil {
		return
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 5 {
				addr := fmt.Sprintf("r%d-%d-%d", round, w, i)
				if s.Result(ctx, "", Record(addr)) == nil {
					mu.Lock()
					durable[addr] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	_ = s.Release(ctx) // may fail like anything here
}

// A Breaker stands between a driver and its server.
type Breaker interface {
	// Fail lets the next n requests go wrong: "lost" on the way there, or
	// "answer lost" on the way back.
	Fail(mishap string, n int)
	// Cut parts both until Heal.
	Cut()
	Heal()
}

// RunPartition parts a writer from its storage: between the append and its
// acknowledgement, before it, and for so long that another takes over. What
// was acknowledged is there once; what was not is found out by whoever comes
// next, and is right both ways.
func RunPartition(t *testing.T, through, sound Opener, b Breaker) {
	ctx, keys := t.Context(), t.TempDir()
	d, err := through("e")
	must(t, err)
	l, err := state.Open(ctx, d, state.Options{ID: "a", KeyDir: keys, LeaseTTL: 10 * time.Second})
	must(t, err)
	defer func() { _ = l.Close() }()
	s, err := l.Lock(ctx, holder("a"), state.LockOptions{})
	must(t, err)
	b.Fail("answer lost", 1)
	must(t, s.Result(ctx, "", Record("acknowledged-late")))
	b.Fail("lost", 1)
	must(t, s.Result(ctx, "", Record("sent-twice")))
	must(t, s.Intent(ctx, intentOf("k", resource.OpCreate, Record("open"))))
	b.Cut()
	lost := make(chan error, 1)
	go func() { lost <- s.Result(ctx, "k", Record("open")) }()

	other := takeOver(t, sound)
	v := other.View()
	_, recorded := v.Record(resource.Key{Address: "open"})
	if pending := len(v.Pending) == 1; recorded == pending {
		t.Errorf("the result that was under way is recorded: %v, and pending: %v", recorded, pending)
	}
	b.Heal()
	if err := <-lost; err == nil && !recorded {
		t.Error("a writer was told that its entry is durable after another had taken the lease without it")
	}
	must(t, other.Refresh(ctx))
	expectOnce(t, other, "acknowledged-late", "sent-twice")
}

// takeOver breaks the lease as somebody on another machine would.
func takeOver(t *testing.T, sound Opener) *state.Log {
	t.Helper()
	d, err := sound("e")
	must(t, err)
	l, err := state.Open(t.Context(), d, state.Options{ID: "b", KeyDir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	_, err = l.Unlock(t.Context(), holder("b"))
	must(t, err)
	s, err := l.Lock(t.Context(), holder("b"), state.LockOptions{NewKey: true})
	must(t, err)
	must(t, s.Release(t.Context()))
	return l
}

// expectOnce: each address has one result in the history.
func expectOnce(t *testing.T, l *state.Log, addrs ...string) {
	t.Helper()
	counts := map[resource.Address]int{}
	for h, err := range l.History(t.Context()) {
		must(t, err)
		if h.Kind == "result" {
			counts[h.Address]++
		}
	}
	for _, addr := range addrs {
		if n := counts[resource.Address(addr)]; n != 1 {
			t.Errorf("%s is there %d times", addr, n)
		}
	}
}
