//go:build services

package temporal

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/pipeline/pipelinetest"
	"github.com/gocodealone/wfctl/step"
)

// said is what a worker says.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *said) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *said) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for what other processes do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("it never came: %s", what)
		case <-tick.C:
		}
	}
}

// run is a run that goes from worker to worker.
type run struct {
	*cluster
	t     *testing.T
	world *pipelinetest.World
	pipe  *pipeline.Pipeline
	host  *worlds
	// environment is what the run changes; "" is the suite's.
	environment string
}

func newRun(t *testing.T, name string, steps ...pipeline.Step) *run {
	t.Helper()
	w := &pipelinetest.World{Run: fmt.Sprintf("%s-%d", name, time.Now().UnixNano()), Store: event.Open(memory.New(), event.StoreOptions{})}
	r := &run{cluster: connect(t, w.Run), t: t, world: w, pipe: &pipeline.Pipeline{Name: "p", Steps: steps}, host: &worlds{}}
	r.host.add(w, r.pipe)
	return r
}

func (r *run) start() {
	r.t.Helper()
	job := jobOf(r.pipe, r.world)
	job.Environment = cmp.Or(r.environment, job.Environment)
	if err := r.Start(r.t.Context(), job, r.pipe.Spec(), pipeline.StartOptions{Heartbeat: 5 * time.Second}); err != nil {
		r.t.Fatal(err)
	}
}

// with connects to the same queue with other keys.
func (r *run) with(said io.Writer, keys ...[]byte) *cluster {
	r.t.Helper()
	o := r.o
	o.Keys, o.Log = keys, said
	c, err := Open(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c.(*cluster)
}

// work has a worker work until stop, and returns the address of its health.
func (r *run) work(c *cluster, o pipeline.WorkerOptions) (address string, stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, worked := make(chan string, 1), make(chan error, 1)
	o.Listen, o.Drain, o.Ready = "127.0.0.1:0", 5*time.Second, func(address string) { ready <- address }
	go func() { worked <- c.Work(ctx, r.host, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-worked; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(stop)
	select {
	case address = <-ready:
	case err := <-worked:
		worked <- err
		r.t.Fatal(err)
	}
	return address, stop
}

func (r *run) step(name string) event.Status {
	tl, err := r.world.Store.Timeline(context.Background(), r.world.Run)
	if err != nil || tl.Step("", name) == nil {
		return ""
	}
	return tl.Step("", name).Status
}

func (r *run) status() event.Status {
	tl, err := r.world.Store.Timeline(context.Background(), r.world.Run)
	if err != nil {
		return ""
	}
	return tl.Run.Status
}

// A worker with another key does a run no harm: it waits for one that has its
// key, and what is said to it meanwhile is not lost.
func TestOtherKeys(t *testing.T) {
	t.Parallel()
	other := bytes.Repeat([]byte{7}, 32)
	r := newRun(t, "keys", pipelinetest.Step("a", pipelinetest.Fine), pipelinetest.Asks("gate", "a"), pipelinetest.Step("b", pipelinetest.Fine, "gate"))
	if who, err := r.Attendance(t.Context()); err != nil || who.Workers != 0 {
		t.Fatalf("%+v %v", who, err)
	}
	r.start()
	first := &said{}
	address, _ := r.work(r.with(first, other), pipeline.WorkerOptions{})
	eventually(t, "the worker says what it lacks", func() bool { return strings.Contains(first.String(), "was sealed with the key") })
	if n := strings.Count(first.String(), "\n"); n > 1 {
		t.Errorf("it says more than that:\n%s", first.String())
	}
	res, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "has not the keys") {
		t.Errorf("%d %s %v", res.StatusCode, text, err)
	}
	if who, err := r.Attendance(t.Context()); err != nil || who.Workers != 1 || len(who.Blind) != 1 || len(who.Foreign) != 1 {
		t.Errorf("%+v %v", who, err)
	}

	// It goes on beside one that has the key; who answers has another one too.
	_, _ = r.work(r.with(io.Discard, r.o.Keys...), pipeline.WorkerOptions{})
	eventually(t, "the gate is reached", func() bool { return r.step("gate") == event.Waiting })
	if _, err := r.world.Store.Append(t.Context(), r.world.Run, event.ApprovalGiven{Address: "gate", Approved: true, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	if err := r.with(io.Discard, other).Answered(t.Context(), r.world.Run, "gate"); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Result(t.Context(), r.world.Run); err != nil || v.Done != 3 {
		t.Errorf("%+v %v", v, err)
	}
	_, err = r.with(io.Discard, other).Result(t.Context(), r.world.Run)
	if err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("who has no key reads %v", err)
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// The record of a run that an operator ended is closed by a worker, and what
// waits for the run is told why.
func TestTerminated(t *testing.T) {
	t.Parallel()
	r := newRun(t, "terminated", pipelinetest.Asks("gate"))
	_, _ = r.work(r.cluster, pipeline.WorkerOptions{})
	r.start()
	eventually(t, "the gate is reached", func() bool { return r.step("gate") == event.Waiting })
	if s, err := r.Standing(t.Context(), r.world.Run); err != nil || !s.UnderWay {
		t.Errorf("%+v %v", s, err)
	}
	if done, err := pipeline.Settle(t.Context(), r, r.world.Store, r.world.Run); done || err != nil {
		t.Errorf("a run that is under way was closed: %v", err)
	}
	if err := r.client.TerminateWorkflow(t.Context(), WorkflowID(r.world.Run), "", "no longer wanted"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the record is closed", func() bool { return r.status() == event.Interrupted })
	if done, err := pipeline.Settle(t.Context(), r, r.world.Store, r.world.Run); done || err != nil {
		t.Errorf("closed twice: %v", err)
	}
	tl, err := r.world.Store.Timeline(t.Context(), r.world.Run)
	if err != nil || !strings.Contains(tl.Run.Error, "no longer wanted") {
		t.Errorf("%+v %v", tl.Run, err)
	}
	if _, err := r.Result(t.Context(), r.world.Run); err == nil || !strings.Contains(err.Error(), "no longer wanted") {
		t.Error(err)
	}
	for _, now := range []bool{false, true} {
		if err := r.Stop(t.Context(), r.world.Run, now); err == nil {
			t.Error("what is over was stopped")
		}
	}
}

// Steps that take long leave room for what is only written down.
func TestOneSlot(t *testing.T) {
	t.Parallel()
	r := newRun(t, "slot", pipelinetest.Asks("gate"))
	release := make(chan struct{})
	long := newRun(t, "long", pipelinetest.Step("a", func(ctx context.Context, _ *step.Context) (step.Result, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return step.Result{}, nil
	}))
	long.cluster.o.Queue = r.o.Queue
	long.world.Store = r.world.Store
	r.host.add(long.world, long.pipe)
	_, _ = r.work(r.cluster, pipeline.WorkerOptions{Steps: 1})
	long.start()
	eventually(t, "the only slot is taken", func() bool { return long.step("a") == event.Running })
	r.start()
	eventually(t, "the other run has begun", func() bool { return r.status() == event.Running })
	if err := r.Stop(t.Context(), r.world.Run, true); err != nil {
		t.Fatal(err)
	}
	close(release)
	if _, err := long.Result(t.Context(), long.world.Run); err != nil {
		t.Error(err)
	}
}
