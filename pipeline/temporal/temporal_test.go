package temporal

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/pipeline/pipelinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// worlds is the host of a worker whose jobs are runs of the suite.
type worlds struct {
	mu    sync.Mutex
	runs  map[string]*pipelinetest.World
	pipes map[string]*pipeline.Pipeline
	// one is where all of them record.
	one *event.Store
}

func (h *worlds) add(w *pipelinetest.World, p *pipeline.Pipeline) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.runs == nil {
		h.runs, h.pipes = map[string]*pipelinetest.World{}, map[string]*pipeline.Pipeline{}
	}
	h.runs[w.Run], h.pipes[w.Run] = w, p
	h.one = w.Store
}

// Open implements pipeline.Host.
func (h *worlds) Open(_ context.Context, job pipeline.Job) (*pipeline.Opened, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.runs[job.Run].Options()
	o.Ask, o.Stop = nil, nil
	return &pipeline.Opened{Pipeline: h.pipes[job.Run], Options: o}, nil
}

// Store implements pipeline.Host.
func (h *worlds) Store(context.Context) (*event.Store, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.one, nil
}

func jobOf(p *pipeline.Pipeline, w *pipelinetest.World) pipeline.Job {
	return pipeline.Job{Run: w.Run, Command: "pipeline run " + p.Name, Project: "suite", Environment: "test", Who: "ada", Source: json.RawMessage("{}")}
}

// The suite, in the environment that the SDK has for tests: its clock jumps.
func TestSuite(t *testing.T) {
	data, err := seals([][]byte{make([]byte, 32)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pipelinetest.Run(t, func(t *testing.T, p *pipeline.Pipeline, w *pipelinetest.World) (pipeline.Summary, error) {
		var s testsuite.WorkflowTestSuite
		env := s.NewTestWorkflowEnvironment()
		env.SetTestTimeout(30 * time.Second)
		env.SetDataConverter(data)
		env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 10 * time.Second})
		h := &worlds{}
		h.add(w, p)
		a := &activities{host: h}
		defer a.close()
		registerWorkflows(env)
		registerWork(env, a)
		registerClerk(env, a, nil)
		in, err := inputOf(jobOf(p, w), p.Spec(), pipeline.StartOptions{Done: w.Done, Parallelism: w.Options().Parallelism})
		if err != nil {
			return pipeline.Summary{}, err
		}
		w.Answered = func(step string) { env.SignalWorkflow(answerSignal, step) }
		for n := range 20 { // by the clock that jumps
			env.RegisterDelayedCallback(w.AnswerNow, time.Duration(n)*time.Second)
		}
		over := make(chan struct{})
		var stopping sync.WaitGroup
		stopping.Go(func() {
			select {
			case <-w.Stop:
				env.SignalWorkflow(stopSignal, nil)
			case <-over:
			}
		})
		env.ExecuteWorkflow(runWorkflow, in)
		close(over)
		stopping.Wait()
		var out runOutput
		if err := env.GetWorkflowResult(&out); err != nil {
			return pipeline.Summary{}, err
		}
		v := out.verdict(p.Name, w.Run)
		return v.Summary, v.Err()
	})
}

// What is wrong with the files is said before anything is connected.
func TestFilesForTLS(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none.pem")
	if err := os.WriteFile(none, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]pipeline.ClusterOptions{
		"a certificate and its key":        {Certificate: none},
		"none.pem holds no certificate":    {CA: none},
		"read the certificate for":         {Certificate: none, KeyFile: none},
		"authority: open " + dir + "/away": {CA: dir + "/away"},
	} {
		o.Keys = [][]byte{testKey}
		if _, err := Open(t.Context(), o); fault.CodeOf(err) != fault.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
