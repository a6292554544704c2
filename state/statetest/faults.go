package statetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// faults lets each write in turn go wrong, in every way. What was said to be
// durable is there afterwards, once; what was not may be there or not; and
// the next command goes on.
func faults(t *testing.T, o Opener) {
	names := map[Mishap]string{Refused: "Refused", Unavailable: "Unavailable", AckLost: "AckLost", Twice: "Twice", Dead: "Dead"}
	for mishap, name := range names {
		for at := 1; at <= 10; at++ {
			env := fmt.Sprintf("%s-%d", name, at)
			plan := func(n int) Mishap {
				if n == at {
					return mishap
				}
				return None
			}
			t.Run(env, func(t *testing.T) { faultAt(t, o, env, mishap, plan) })
		}
	}
}

func faultAt(t *testing.T, o Opener, env string, mishap Mishap, plan func(int) Mishap) {
	c, keys := NewClock(), t.TempDir()
	d, err := o(env)
	must(t, err)
	l, err := state.Open(t.Context(), &Faulty{Driver: d, Plan: plan}, state.Options{ID: env, KeyDir: keys, Now: c.Now, After: c.After})
	must(t, err)
	durable := script(t, l)
	_ = l.Close() // as if the process had died, where it did not release
	if passing := mishap == Unavailable || mishap == AckLost || mishap == Twice; passing && len(durable) != 4 {
		t.Errorf("a fault that passes let only %v through", durable)
	}
	checkAfter(t, o, env, c, keys, durable)
}

// script runs one session and returns what was acknowledged.
func script(t *testing.T, l *state.Log) []string {
	ctx := t.Context()
	s, err := l.Lock(ctx, holder("a"), state.LockOptions{})
	if err != nil {
		return nil
	}
	var durable []string
	for i := range 4 {
		addr := fmt.Sprint("r", i)
		if err := s.Intent(ctx, intentOf("k"+addr, resource.OpCreate, Record(addr))); err != nil {
			continue
		}
		if s.Result(ctx, "k"+addr, Record(addr)) == nil {
			durable = append(durable, addr)
		}
	}
	_ = s.Release(ctx) // may be what goes wrong
	return durable
}

// checkAfter is the next command: it takes the lease when it can be had, and
// finds what was acknowledged.
func checkAfter(t *testing.T, o Opener, env string, c *Clock, keys string, durable []string) {
	t.Helper()
	ctx := t.Context()
	c.Advance(2 * time.Minute)
	d, err := o(env)
	must(t, err)
	l, err := state.Open(ctx, d, state.Options{ID: env, KeyDir: keys, Now: c.Now, After: c.After})
	must(t, err)
	defer func() { must(t, l.Close()) }()
	s, err := l.Lock(ctx, holder("b"), state.LockOptions{})
	must(t, err)
	v := l.View()
	for _, addr := range durable {
		if _, ok := v.Record(resource.Key{Address: resource.Address(addr)}); !ok {
			t.Errorf("%s was durable and is gone", addr)
		}
	}
	if len(v.Records)+len(v.Pending) > 4 {
		t.Errorf("%d records and %d intents of 4 resources", len(v.Records), len(v.Pending))
	}
	for _, p := range v.Pending {
		if _, ok := v.Record(resource.Key{Address: p.Address}); ok {
			t.Errorf("%s is recorded and pending", p.Address)
		}
	}
	counts := map[resource.Address]int{}
	for h, err := range l.History(ctx) {
		must(t, err)
		if h.Kind == "result" {
			counts[h.Address]++
		}
	}
	for addr, n := range counts {
		if n > 1 {
			t.Errorf("%s is in the log %d times", addr, n)
		}
	}
	must(t, s.Release(ctx))
	if errors.Is(err, state.ErrLocked) {
		t.Error("the lease stayed")
	}
}
