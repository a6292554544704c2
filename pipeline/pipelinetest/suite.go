package pipelinetest

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/step"
)

// Run runs the suite.
func Run(t *testing.T, run Runner) {
	s := &suite{run: run, id: crand.Text()[:8]}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"order", s.order}, {"parallel", s.parallel}, {"failure", s.failure}, {"continue on error", s.continueOnError},
		{"conditions", s.conditions}, {"broken condition", s.brokenCondition}, {"retry", s.retry}, {"breaker", s.breaker},
		{"step timeout", s.stepTimeout}, {"pipeline timeout", s.pipelineTimeout}, {"panic and secrets", s.panicAndSecrets},
		{"outputs", s.outputs}, {"large outputs", s.largeOutputs}, {"stop", s.stop}, {"resume", s.resume}, {"approved", s.approved}, {"refused", s.refused},
		{"approval timeout", s.approvalTimeout}, {"log and publish", s.logAndPublish}, {"nothing", s.nothing},
	} {
		t.Run(c.name, c.test)
	}
}

func want(t *testing.T, r *Ran, summary pipeline.Summary, code fault.Code, timeline string) {
	t.Helper()
	if r.Summary != summary || !endedWith(r, code) {
		t.Errorf("ended with %+v: %v\nwant %+v, code %q", r.Summary, r.Err, summary, code)
	}
	if shown := Show(r.Timeline); timeline != "" && shown != strings.TrimSpace(timeline) {
		t.Errorf("the timeline is\n%s\nwant\n%s", shown, strings.TrimSpace(timeline))
	}
}

// endedWith tells whether a run's error is of a code. That of a run that
// failed has the steps' own codes before it.
func endedWith(r *Ran, code fault.Code) bool {
	switch code {
	case "":
		return r.Err == nil
	case fault.Partial:
		return r.Err != nil && strings.Contains(r.Err.Error(), fmt.Sprintf("failed: %d done, %d failed, %d skipped", r.Summary.Done, r.Summary.Failed, r.Summary.Skipped))
	}
	return fault.CodeOf(r.Err) == code
}

// Steps begin only when what they need is over.
func (s *suite) order(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 7))
		p := &pipeline.Pipeline{}
		var mu sync.Mutex
		over := map[string]bool{}
		n := 4 + rng.IntN(12)
		for i := range n {
			var needs []string
			for j := range i {
				if rng.IntN(4) == 0 {
					needs = append(needs, fmt.Sprint("s", j))
				}
			}
			name := fmt.Sprint("s", i)
			p.Steps = append(p.Steps, Step(name, func(context.Context, *step.Context) (step.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				for _, need := range needs {
					if !over[need] {
						t.Errorf("seed %d: %s began before %s was over", seed, name, need)
					}
				}
				if over[name] {
					t.Errorf("seed %d: %s ran twice", seed, name)
				}
				over[name] = true
				return step.Result{}, nil
			}, needs...))
		}
		want(t, s.do(t, p, nil), pipeline.Summary{Done: n}, "", "")
	}
}

func (s *suite) parallel(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	meet := func(context.Context, *step.Context) (step.Result, error) {
		both.Done()
		both.Wait() // each waits for the other
		return step.Result{}, nil
	}
	want(t, s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{Step("a", meet), Step("b", meet)}}, nil), pipeline.Summary{Done: 2}, "",
		"a steps/test done x1\nb steps/test done x1")
}

func grouped(group pipeline.Group, s pipeline.Step) pipeline.Step {
	s.Group = group
	return s
}

func (s *suite) failure(t *testing.T) {
	p := &pipeline.Pipeline{Steps: []pipeline.Step{
		Step("a", Fails(fault.New(fault.Provider, "broken").WithHint("mend it"))), Step("b", Fine, "a"), Step("c", Fine, "b"), Step("d", Fine),
		grouped(pipeline.OnFailure, Step("f", Fine)), grouped(pipeline.OnFailure, Step("g", Fine, "f", "a")), grouped(pipeline.Always, Step("z", Fine)),
	}}
	r := s.do(t, p, nil)
	want(t, r, pipeline.Summary{Done: 4, Failed: 1, Skipped: 2}, fault.Partial, `
a steps/test failed x1 error=broken hint=mend it
b steps/test skipped x0 needs=a reason=not started: a failed
c steps/test skipped x0 needs=b reason=not started: a failed
d steps/test done x1
f on_failure/test done x1
g on_failure/test done x1 needs=f,a
z always/test done x1`)
	if r.Err == nil || !strings.Contains(r.Err.Error(), `step "a": broken`) {
		t.Errorf("the error is %v", r.Err)
	}
}

func (s *suite) continueOnError(t *testing.T) {
	a := Step("a", Fails(errBroken))
	a.Binding = Plain{GoOn: true}
	p := &pipeline.Pipeline{Steps: []pipeline.Step{a, Step("b", Fine, "a"), grouped(pipeline.OnFailure, Step("f", Fine))}}
	want(t, s.do(t, p, nil), pipeline.Summary{Done: 1, Failed: 1}, "", `
a steps/test failed x1 error=broken reason=its failure does not count: continue_on_error
b steps/test done x1 needs=a
f on_failure/test pending x0`)
}

func outcome(name string, is event.Outcome) func(pipeline.View) (bool, error) {
	return func(v pipeline.View) (bool, error) {
		f, ok := v.Finished(name)
		return ok && f.Outcome == is, nil
	}
}

func (s *suite) conditions(t *testing.T) {
	no, yes := Step("no", Fine), Step("yes", Fine, "no")
	no.Binding = Plain{If: func(pipeline.View) (bool, error) { return false, nil }}
	yes.Binding = Plain{If: outcome("no", event.Skipped)}
	failed := grouped(pipeline.Always, Step("failed", Fine))
	failed.Binding = Plain{If: func(v pipeline.View) (bool, error) { return v.Failed, nil }}
	sees := grouped(pipeline.Always, Step("sees", Fine, "bad"))
	sees.Binding = Plain{If: outcome("bad", event.Failed)}
	p := &pipeline.Pipeline{Steps: []pipeline.Step{no, yes, Step("bad", Fails(errBroken)), failed, sees}}
	want(t, s.do(t, p, nil), pipeline.Summary{Done: 3, Failed: 1, Skipped: 1}, fault.Partial, `
bad steps/test failed x1 error=broken
failed always/test done x1
no steps/test skipped x0 reason=its condition does not hold
sees always/test done x1 needs=bad
yes steps/test done x1 needs=no`)
}

func (s *suite) brokenCondition(t *testing.T) {
	a := Step("a", Fine)
	a.Binding = Plain{If: func(pipeline.View) (bool, error) { return false, fault.New(fault.Config, "no such thing") }}
	want(t, s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{a}}, nil), pipeline.Summary{Failed: 1}, fault.Partial,
		"a steps/test failed x1 error=no such thing")
}

func (s *suite) retry(t *testing.T) {
	for _, c := range []struct {
		err      error
		attempts int32
	}{
		{errors.New("flaky"), 3}, {step.Permanent(errors.New("no")), 1}, {fault.New(fault.Config, "wrong"), 1}, {fault.New(fault.Provider, "busy"), 3},
	} {
		var n atomic.Int32
		a := Step("a", func(context.Context, *step.Context) (step.Result, error) { n.Add(1); return step.Result{}, c.err })
		a.Retry = &pipeline.Retry{Attempts: 3, Delay: time.Millisecond, MaxDelay: 4 * time.Millisecond, Factor: 2, Jitter: 0.2}
		r := s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{a}}, nil)
		want(t, r, pipeline.Summary{Failed: 1}, fault.Partial, fmt.Sprintf("a steps/test failed x%d error=%v", c.attempts, c.err))
		if n.Load() != c.attempts {
			t.Errorf("%v: %d attempts, want %d", c.err, n.Load(), c.attempts)
		}
	}
	var n atomic.Int32
	a := Step("a", func(context.Context, *step.Context) (step.Result, error) {
		if n.Add(1) < 3 {
			return step.Result{}, errors.New("not yet")
		}
		return step.Result{}, nil
	})
	a.Retry = &pipeline.Retry{Attempts: 5, Delay: time.Millisecond, Factor: 1}
	want(t, s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{a, Step("b", Fine, "a")}}, nil), pipeline.Summary{Done: 2}, "",
		"a steps/test done x3\nb steps/test done x1 needs=a")
}

func (s *suite) breaker(t *testing.T) {
	var n atomic.Int32
	a := Step("a", func(context.Context, *step.Context) (step.Result, error) {
		n.Add(1)
		return step.Result{}, errors.New("down")
	})
	a.Retry = &pipeline.Retry{Attempts: 6, Delay: time.Millisecond, Factor: 1}
	a.Breaker = &pipeline.Breaker{Failures: 2, Successes: 1, Delay: time.Hour, Name: "db"}
	b := Step("b", Fine, "a") // shares it
	b.Breaker = a.Breaker
	a.Binding = Plain{GoOn: true}
	r := s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{a, b}}, nil)
	const hint = " hint=it is tried again after 1h0m0s"
	want(t, r, pipeline.Summary{Failed: 2}, fault.Partial, `
a steps/test failed x2 error=its circuit breaker "db" is open after 2 failures in a row; the last one: down`+hint+` reason=its failure does not count: continue_on_error
b steps/test failed x0 needs=a error=its circuit breaker "db" is open after 2 failures in a row`+hint)
	if n.Load() != 2 {
		t.Errorf("%d calls, want 2", n.Load())
	}
}

func untilOver(ctx context.Context, _ *step.Context) (step.Result, error) {
	<-ctx.Done()
	return step.Result{}, ctx.Err()
}

func (s *suite) stepTimeout(t *testing.T) {
	slow := Step("slow", untilOver)
	slow.Timeout = 50 * time.Millisecond
	slow.Retry = &pipeline.Retry{Attempts: 5, Delay: time.Millisecond, Factor: 1}
	want(t, s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{slow, Step("b", Fine, "slow")}}, nil), pipeline.Summary{Failed: 1, Skipped: 1}, fault.Partial, `
b steps/test skipped x0 needs=slow reason=not started: slow failed
slow steps/test failed x1 error=step "slow" took longer than its timeout of 50ms (context deadline exceeded)`)
}

func (s *suite) pipelineTimeout(t *testing.T) {
	p := &pipeline.Pipeline{Timeout: 300 * time.Millisecond, Steps: []pipeline.Step{
		Step("slow", untilOver), Step("b", Fine, "slow"), grouped(pipeline.OnFailure, Step("f", Fine)), grouped(pipeline.Always, Step("z", Fine)),
	}}
	want(t, s.do(t, p, nil), pipeline.Summary{Done: 2, Failed: 1, Skipped: 1}, fault.Partial, `
b steps/test skipped x0 needs=slow reason=not started: slow failed
f on_failure/test done x1
slow steps/test failed x1 error=pipeline "p" took longer than its timeout of 300ms (context deadline exceeded)
z always/test done x1`)
}

func (s *suite) panicAndSecrets(t *testing.T) {
	leak := Step("leak", Fails(fault.New(fault.Provider, "the password is hunter2").WithHint("not hunter2")))
	leak.Binding = Plain{Secrets: []string{"hunter2"}}
	wild := Step("wild", func(context.Context, *step.Context) (step.Result, error) { panic("oh no") })
	r := s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{leak, wild}}, nil)
	want(t, r, pipeline.Summary{Failed: 2}, fault.Partial, "")
	text := fmt.Sprint(r.Err) + r.Timeline.Step("", "leak").Error
	if strings.Contains(text, "hunter2") || !strings.Contains(text, step.Masked) || !strings.Contains(text, "panicked: oh no") {
		t.Errorf("what is shown: %s", text)
	}
}

// What a step leaves reaches those behind it, also what is secret; the
// timeline has no secret.
func (s *suite) outputs(t *testing.T) {
	a := Step("a", func(context.Context, *step.Context) (step.Result, error) {
		return step.Result{Outputs: map[string]any{"n": int64(9007199254740993), "list": []any{"x", 1}, "token": "s3cret"}, Sensitive: []string{"token"}}, nil
	})
	a.Binding = Plain{Out: func(v pipeline.View) step.Result {
		f, _ := v.Finished("a")
		return step.Result{Outputs: map[string]any{"again": f.Outputs["n"]}}
	}}
	seen := make(chan string, 1)
	b := Step("b", func(_ context.Context, c *step.Context) (step.Result, error) {
		c.Log("it is s3cret")
		return step.Result{}, nil
	}, "a")
	b.Binding = Plain{With: func(v pipeline.View) (json.RawMessage, error) {
		f, _ := v.Finished("a")
		raw, err := json.Marshal(f.Outputs)
		seen <- string(raw) + fmt.Sprint(f.Sensitive)
		return raw, err
	}}
	r := s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{a, b}}, nil)
	want(t, r, pipeline.Summary{Done: 2}, "", `
a steps/test done x1 outputs={"again":9007199254740993,"list":["x",1],"n":9007199254740993} withheld=token
b steps/test done x1 needs=a lines=1`)
	if got := <-seen; got != `{"again":9007199254740993,"list":["x",1],"n":9007199254740993,"token":"s3cret"}[token]` {
		t.Errorf("step b saw %s", got)
	}
	for rec, err := range r.Store.Read(t.Context(), r.World.Run, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := event.Encode(rec.Event); err != nil || strings.Contains(string(raw), "s3cret") {
			t.Errorf("%s, %v", raw, err)
		}
	}
}

// Outputs that are large together reach who needs them, those of one step and
// those of many; what is too large by itself may stay behind, if it is named.
func (s *suite) largeOutputs(t *testing.T) {
	const each, outs = 240 << 10, 5
	makes := func(name string) pipeline.Step {
		return Step(name, func(context.Context, *step.Context) (step.Result, error) {
			res := step.Result{Outputs: map[string]any{"token": "s3cret " + name, "huge": strings.Repeat("h", 300<<10)}, Sensitive: []string{"token"}}
			for i := range outs {
				res.Outputs[fmt.Sprint("o", i)] = strings.Repeat(string(rune('a'+i)), each)
			}
			return res, nil
		})
	}
	p := &pipeline.Pipeline{}
	var names []string
	for i := range 4 {
		names = append(names, fmt.Sprint("make", i))
		p.Steps = append(p.Steps, makes(names[i]))
	}
	last := Step("last", Fine, names...)
	last.Binding = Plain{With: func(v pipeline.View) (json.RawMessage, error) {
		for _, name := range names {
			f, _ := v.Finished(name)
			if _, here := f.Outputs["huge"]; !here && !slices.Contains(f.Large, "huge") {
				t.Errorf("the huge output of %s is missing, and nobody says why", name)
			}
			if f.Outputs["token"] != "s3cret "+name {
				t.Errorf("the secret of %s is %v", name, f.Outputs["token"])
			}
			for i := range outs {
				if text, _ := f.Outputs[fmt.Sprint("o", i)].(string); text != strings.Repeat(string(rune('a'+i)), each) {
					t.Errorf("output %d of %s has %d bytes", i, name, len(text))
				}
			}
		}
		return json.RawMessage("{}"), nil
	}}
	p.Steps = append(p.Steps, last)
	want(t, s.do(t, p, nil), pipeline.Summary{Done: 5}, "", "")
}

func (s *suite) stop(t *testing.T) {
	var w *World
	release := make(chan struct{})
	p := &pipeline.Pipeline{Steps: []pipeline.Step{
		Step("a", func(context.Context, *step.Context) (step.Result, error) {
			close(w.Stop)
			<-release
			return step.Result{}, nil
		}), Step("b", Fine, "a"), grouped(pipeline.Always, Step("z", Fine)),
	}}
	r := s.do(t, p, func(world *World) { w = world; time.AfterFunc(time.Second, func() { close(release) }) })
	want(t, r, pipeline.Summary{Done: 2, Skipped: 1}, fault.Interrupted, `
a steps/test done x1
b steps/test skipped x0 needs=a reason=not started: the run was stopped
z always/test done x1`)
}

// A run that goes on runs no finished step twice.
func (s *suite) resume(t *testing.T) {
	broken := true
	counts := map[string]int{}
	var mu sync.Mutex
	counted := func(name string) Do {
		return func(context.Context, *step.Context) (step.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			if name == "b" && broken {
				return step.Result{}, errBroken
			}
			counts[name]++
			return step.Result{Outputs: map[string]any{"of": name, "secret": "s3cret"}, Sensitive: []string{"secret"}}, nil
		}
	}
	c := Step("c", counted("c"), "a", "b")
	c.Binding = Plain{If: func(v pipeline.View) (bool, error) {
		f, _ := v.Finished("a")
		return f.Outputs["of"] == "a" && len(f.Withheld) == 1, nil
	}}
	p := &pipeline.Pipeline{Steps: []pipeline.Step{Step("a", counted("a")), Step("b", counted("b"), "a"), c}}
	first := s.do(t, p, nil)
	want(t, first, pipeline.Summary{Done: 1, Failed: 1, Skipped: 1}, fault.Partial, "")
	done, err := p.Finish(first.Timeline)
	if err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	broken = false
	second := s.do(t, p, func(w *World) { w.Done = done })
	want(t, second, pipeline.Summary{Done: 3}, "", "")
	if counts["a"] != 1 || counts["b"] != 1 || counts["c"] != 1 {
		t.Errorf("they ran %v", counts)
	}
}

// asks is a step that asks a person.
// Asks is a step that a person answers.
func Asks(name string, needs ...string) pipeline.Step {
	return Step(name, func(ctx context.Context, c *step.Context) (step.Result, error) {
		answer, err := c.Ask(ctx, "go on?")
		if err != nil {
			return step.Result{}, err
		}
		if !answer.Approved {
			return step.Result{}, fault.New(fault.Refused, "refused by %s", answer.By)
		}
		return step.Result{Outputs: map[string]any{"by": answer.By}}, nil
	}, needs...)
}

func (s *suite) approved(t *testing.T) {
	p := &pipeline.Pipeline{Steps: []pipeline.Step{Step("a", Fine), Asks("gate", "a"), Asks("other"), Step("b", Fine, "gate")}}
	r := s.do(t, p, func(w *World) { w.given = &event.ApprovalGiven{Approved: true, By: "ada"} })
	want(t, r, pipeline.Summary{Done: 4}, "", `
a steps/test done x1
b steps/test done x1 needs=gate
gate steps/test done x1 needs=a outputs={"by":"ada"}
other steps/test done x1 outputs={"by":"ada"}`)
}

func (s *suite) refused(t *testing.T) {
	p := &pipeline.Pipeline{Steps: []pipeline.Step{Asks("gate"), Step("b", Fine, "gate")}}
	r := s.do(t, p, func(w *World) { w.given = &event.ApprovalGiven{By: "ada"} })
	want(t, r, pipeline.Summary{Failed: 1, Skipped: 1}, fault.Partial, `
b steps/test skipped x0 needs=gate reason=not started: gate failed
gate steps/test failed x1 error=refused by ada`)
}

func (s *suite) approvalTimeout(t *testing.T) {
	gate := Asks("gate")
	gate.Timeout = 100 * time.Millisecond
	r := s.do(t, &pipeline.Pipeline{Steps: []pipeline.Step{gate}}, nil)
	want(t, r, pipeline.Summary{Failed: 1}, fault.Partial, "")
	if got := r.Timeline.Step("", "gate"); got.Status != event.Broken || !strings.Contains(got.Error, `step "gate" took longer than its timeout of 100ms`) {
		t.Errorf("%+v", got)
	}
}

func (s *suite) logAndPublish(t *testing.T) {
	p := &pipeline.Pipeline{Steps: []pipeline.Step{Step("a", func(_ context.Context, c *step.Context) (step.Result, error) {
		c.Log("one")
		c.Log("two")
		c.Publish("topic", json.RawMessage(`{"n":1}`))
		c.Events.Emit(event.NodeStarted{Address: "part", Action: "create"})
		c.Events.Emit(event.NodeFinished{Address: "part", Action: "create", Outcome: event.Done})
		return step.Result{}, nil
	})}}
	r := s.do(t, p, nil)
	want(t, r, pipeline.Summary{Done: 1}, "", "a steps/test done x1 lines=2\npart / done x1")
	published := 0
	for rec, err := range r.Store.Read(t.Context(), r.World.Run, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := rec.Event.(event.Published); ok && e.Topic == "topic" && string(e.Data) == `{"n":1}` {
			published++
		}
	}
	if part := r.Timeline.Step("a", "part"); part == nil || published != 1 {
		t.Errorf("the part is %+v; published %d times", part, published)
	}
}

func (s *suite) nothing(t *testing.T) {
	want(t, s.do(t, &pipeline.Pipeline{}, nil), pipeline.Summary{}, "", "")
}
