package statetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/gocodealone/wfctl/state"
)

// op is one call of a driver as the checker sees it: an append under seq, or
// with seq 0 a load.
type op struct {
	seq  uint64
	data string
}

// outcome is how a call ended.
type outcome struct {
	ok   bool
	data []string
}

// logModel says what a log is: an append succeeds only under the next number,
// a load sees everything.
var logModel = porcupine.Model{
	Init: func() any { return []string(nil) },
	Step: func(s, in, out any) (bool, any) {
		log, call, end := s.([]string), in.(op), out.(outcome)
		switch {
		case call.seq == 0:
			return slices.Equal(end.data, log), log
		case end.ok:
			return call.seq == uint64(len(log))+1, append(slices.Clone(log), call.data)
		}
		return call.seq != uint64(len(log))+1, log
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]string), b.([]string)) },
}

// linearizable lets several writers and readers work at once and asks a
// checker whether some order of the calls explains what they saw.
func linearizable(t *testing.T, o Opener) {
	const clients, calls = 4, 20
	var mu sync.Mutex
	var history []porcupine.Operation
	began := time.Now()
	var wg sync.WaitGroup
	for client := range clients {
		d := open(t, o, "e")
		rnd := rand.New(rand.NewPCG(uint64(client), 1))
		wg.Go(func() {
			seen := uint64(0)
			for i := range calls {
				in := op{}
				if rnd.IntN(3) > 0 {
					in = op{seq: seen + 1, data: fmt.Sprintf("%d-%d", client, i)}
				}
				start := time.Since(began)
				out, err := perform(t, d, in)
				end := time.Since(began)
				if err != nil {
					t.Errorf("client %d: %v", client, err)
					return
				}
				if in.seq == 0 {
					seen = uint64(len(out.data))
				} else {
					seen++ // taken by us or by another
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(start), Return: int64(end)})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if res := porcupine.CheckOperationsTimeout(logModel, history, 20*time.Second); res != porcupine.Ok {
		t.Errorf("the history of %d calls is not linearizable: %v", len(history), res)
	}
}

func perform(t *testing.T, d state.Driver, in op) (outcome, error) {
	if in.seq > 0 {
		err := d.Append(t.Context(), in.seq, []byte(in.data))
		if errors.Is(err, state.ErrConflict) {
			return outcome{}, nil
		}
		return outcome{ok: err == nil}, err
	}
	var out outcome
	for e, err := range d.Load(t.Context(), 0) {
		if err != nil {
			return out, err
		}
		out.data = append(out.data, string(e.Data))
	}
	return out, nil
}
