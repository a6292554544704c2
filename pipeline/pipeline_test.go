package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain is a binding without expressions.
type plain struct {
	holds  func(View) bool
	goOn   bool
	secret string
}

func (p plain) Holds(v View) (bool, error) { return p.holds == nil || p.holds(v), nil }

func (p plain) Options(View) (json.RawMessage, []string, error) {
	return json.RawMessage("{}"), []string{p.secret}, nil
}
func (plain) Outputs(View) (step.Result, error)    { return step.Result{}, nil }
func (p plain) ContinueOnError(View) (bool, error) { return p.goOn, nil }

func kindOf(do func(context.Context, *step.Context) (step.Result, error)) step.Kind {
	return step.Kind{Prepare: func(json.RawMessage) (step.Step, error) { return step.Func(do), nil }}
}

func fine(context.Context, *step.Context) (step.Result, error) { return step.Result{}, nil }

func made(name string, do func(context.Context, *step.Context) (step.Result, error), needs ...string) Step {
	return Step{Name: name, Type: "test", Needs: needs, Kind: kindOf(do), Binding: plain{}}
}

// ran runs a pipeline with a store in memory and returns its timeline.
func ran(tb testing.TB, p *Pipeline, change func(*Options)) (*event.Timeline, Summary, error) {
	tb.Helper()
	store := event.Open(memory.New(), event.StoreOptions{})
	o := Options{Run: "r", Events: event.SinkFunc(func(e event.Event) {
		if _, err := store.Append(context.Background(), "r", e); err != nil {
			tb.Error(err)
		}
	}), Flush: func() error { return nil }}
	if change != nil {
		change(&o)
	}
	summary, err := p.Run(tb.Context(), o)
	tl, tlErr := store.Timeline(context.Background(), "r")
	if tlErr != nil && !errors.Is(tlErr, event.ErrNoRun) {
		tb.Fatal(tlErr)
	}
	return tl, summary, err
}

// Steps run at the same time unless one needs the other, and none before what
// it needs is over.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "steps")
		p := &Pipeline{Name: "p"}
		var mu sync.Mutex
		over := map[string]bool{}
		for i := range n {
			var needs []string
			for j := range i {
				if rapid.IntRange(0, 3).Draw(rt, "edge") == 0 {
					needs = append(needs, fmt.Sprint("s", j))
				}
			}
			name := fmt.Sprint("s", i)
			p.Steps = append(p.Steps, made(name, func(context.Context, *step.Context) (step.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				for _, need := range needs {
					if !over[need] {
						rt.Errorf("%s began before %s was over", name, need)
					}
				}
				over[name] = true
				return step.Result{}, nil
			}, needs...))
		}
		if _, summary, err := ran(t, p, nil); err != nil || summary.Done != n {
			rt.Fatal(summary, err)
		}
	})
}

func TestParallelByDefault(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	meet := func(context.Context, *step.Context) (step.Result, error) {
		both.Done()
		both.Wait() // each waits for the other
		return step.Result{}, nil
	}
	if _, _, err := ran(t, &Pipeline{Steps: []Step{made("a", meet), made("b", meet)}}, nil); err != nil {
		t.Fatal(err)
	}
}

func failing(err error) func(context.Context, *step.Context) (step.Result, error) {
	return func(context.Context, *step.Context) (step.Result, error) { return step.Result{}, err }
}

func TestFailure(t *testing.T) {
	broken := errors.New("broken")
	p := &Pipeline{Name: "p", Steps: []Step{made("a", failing(broken)), made("b", fine, "a"), made("c", fine)}}
	p.Steps = append(p.Steps, Step{Name: "f", Group: OnFailure, Kind: kindOf(fine), Binding: plain{}}, Step{Name: "z", Group: Always, Kind: kindOf(fine), Binding: plain{}})
	tl, summary, err := ran(t, p, nil)
	if fault.CodeOf(err) == "" || !strings.Contains(err.Error(), `step "a": broken`) || summary != (Summary{Done: 3, Failed: 1, Skipped: 1}) {
		t.Fatal(summary, err)
	}
	for name, want := range map[string]event.Status{"a": event.Broken, "b": event.NotStarted, "c": event.Succeeded, "f": event.Succeeded, "z": event.Succeeded} {
		if got := tl.Step("", name); got == nil || got.Status != want {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
	p.Steps[0].Binding = plain{goOn: true}
	if _, summary, err = ran(t, p, nil); err != nil || summary != (Summary{Done: 3, Failed: 1}) {
		t.Errorf("continue_on_error: %v, %v", summary, err)
	}
}

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		err      error
		attempts int32
	}{
		{errors.New("flaky"), 3}, {step.Permanent(errors.New("no")), 1}, {fault.New(fault.Config, "wrong"), 1}, {fault.New(fault.Provider, "busy"), 3},
	} {
		var n atomic.Int32
		s := made("a", func(context.Context, *step.Context) (step.Result, error) { n.Add(1); return step.Result{}, c.err })
		s.Retry = &Retry{Attempts: 3, Delay: time.Millisecond, MaxDelay: 4 * time.Millisecond, Factor: 2, Jitter: 0.2}
		tl, _, err := ran(t, &Pipeline{Steps: []Step{s}}, nil)
		if n.Load() != c.attempts || err == nil || tl.Step("", "a").Attempts != int(c.attempts) {
			t.Errorf("%v: %d attempts, want %d; %v", c.err, n.Load(), c.attempts, err)
		}
	}
}

func TestBreaker(t *testing.T) {
	var n atomic.Int32
	s := made("a", func(context.Context, *step.Context) (step.Result, error) {
		n.Add(1)
		return step.Result{}, errors.New("down")
	})
	s.Retry = &Retry{Attempts: 10, Delay: time.Millisecond, Factor: 1}
	s.Breaker = &Breaker{Failures: 2, Successes: 1, Delay: time.Hour}
	_, _, err := ran(t, &Pipeline{Steps: []Step{s}}, nil)
	if n.Load() != 2 || err == nil || !strings.Contains(err.Error(), "circuit breaker") || !strings.Contains(err.Error(), "down") {
		t.Errorf("%d calls: %v", n.Load(), err)
	}
}

func TestTimeoutAndPanicAndSecrets(t *testing.T) {
	slow := made("slow", func(ctx context.Context, _ *step.Context) (step.Result, error) {
		<-ctx.Done()
		return step.Result{}, ctx.Err()
	})
	slow.Timeout = 20 * time.Millisecond
	wild := made("wild", func(context.Context, *step.Context) (step.Result, error) { panic("oh no") })
	leak := made("leak", failing(errors.New("the password is hunter2")))
	leak.Binding = plain{secret: "hunter2"}
	tl, _, err := ran(t, &Pipeline{Steps: []Step{slow, wild, leak}}, nil)
	for _, want := range []string{"longer than its timeout of 20ms", "panicked: oh no", "***MASKED***"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error()+tl.Step("", "leak").Error, "hunter2") {
		t.Error("a secret is shown")
	}
}

func TestStop(t *testing.T) {
	stop := make(chan struct{})
	p := &Pipeline{Name: "p", Steps: []Step{made("a", func(context.Context, *step.Context) (step.Result, error) { close(stop); return step.Result{}, nil }), made("b", fine, "a")}}
	tl, _, err := ran(t, p, func(o *Options) { o.Stop = stop })
	if fault.CodeOf(err) != fault.Interrupted || tl.Step("", "a").Status != event.Succeeded || tl.Step("", "b").Status == event.Succeeded {
		t.Error(err)
	}
}

// A run that stops at any step goes on and runs no finished step twice, and
// has in the end what an undisturbed one has.
func TestResume(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(rt, "steps")
		fails := rapid.IntRange(0, n-1).Draw(rt, "fails")
		broken := true
		counts := make([]int, n)
		p := &Pipeline{Name: "p"}
		for i := range n {
			var needs []string
			if i > 0 {
				needs = []string{fmt.Sprint("s", i-1)}
			}
			p.Steps = append(p.Steps, made(fmt.Sprint("s", i), func(context.Context, *step.Context) (step.Result, error) {
				if i == fails && broken {
					return step.Result{}, errors.New("down")
				}
				counts[i]++
				return step.Result{Outputs: map[string]any{"n": i, "secret": "s3cret"}, Sensitive: []string{"secret"}}, nil
			}, needs...))
		}
		tl, _, err := ran(t, p, nil)
		if err == nil {
			rt.Fatal("it did not fail")
		}
		done, err := p.Finish(tl)
		if err != nil || len(done) != fails {
			rt.Fatal(done, err)
		}
		for _, f := range done {
			if len(f.Withheld) != 1 || f.Outputs["secret"] != nil {
				rt.Fatalf("a sensitive output was stored: %+v", f)
			}
		}
		broken = false
		_, summary, err := ran(t, p, func(o *Options) { o.Done = done })
		if err != nil || summary.Done != n {
			rt.Fatal(summary, err)
		}
		for i, c := range counts {
			if c != 1 {
				rt.Fatalf("step %d ran %d times", i, c)
			}
		}
	})
}

func TestCycle(t *testing.T) {
	p := &Pipeline{Name: "p", Steps: []Step{made("a", fine, "b"), made("b", fine, "a")}}
	if err := p.Check(); fault.CodeOf(err) != fault.Config {
		t.Error(err)
	}
}

func BenchmarkCircuitBreakerDetection(b *testing.B) {
	down := errors.New("down")
	b.ReportAllocs()
	for b.Loop() {
		breaker := newBreaker(Breaker{Failures: 5, Successes: 1, Delay: time.Minute})
		for range 5 {
			breaker.RecordError(down)
		}
		if breaker.State() != circuitbreaker.OpenState {
			b.Fatal("it is not open")
		}
	}
}

func benchBreaker(b *testing.B, failures int, err error) {
	breaker := newBreaker(Breaker{Failures: failures, Successes: 1, Delay: time.Minute})
	run := failsafe.With[step.Result](breaker)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = run.Get(func() (step.Result, error) { return step.Result{}, err })
	}
}

func BenchmarkCircuitBreakerExecution_Success(b *testing.B) { benchBreaker(b, 5, nil) }

func BenchmarkCircuitBreakerExecution_Failure(b *testing.B) {
	benchBreaker(b, 1<<30, errors.New("down"))
}

// BenchmarkRuns is 1,000 runs of 100 steps with 8 workers: one run is one
// operation.
func BenchmarkRuns(b *testing.B) {
	store := event.Open(memory.New(), event.StoreOptions{})
	p := &Pipeline{Name: "p"}
	for i := range 100 {
		p.Steps = append(p.Steps, made(fmt.Sprint("s", i), fine))
	}
	var runs atomic.Int64
	b.ReportAllocs()
	for b.Loop() {
		var all sync.WaitGroup
		work := make(chan int)
		for range 8 {
			all.Go(func() {
				for range work {
					run := fmt.Sprint("r", runs.Add(1))
					_, err := p.Run(b.Context(), Options{Run: run, Flush: func() error { return nil }, Events: event.SinkFunc(func(e event.Event) {
						_, _ = store.Append(context.Background(), run, e)
					})})
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		for i := range 1000 {
			work <- i
		}
		close(work)
		all.Wait()
		_, _ = store.Prune(b.Context(), time.Now().Add(time.Hour), 0)
	}
	b.ReportMetric(float64(runs.Load()*200)/b.Elapsed().Seconds(), "events/s")
}
