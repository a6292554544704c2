package temporal

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// registry is what workflows and activities are made known to: a worker, or
// the environment of a test.
type registry interface {
	RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions)
	RegisterActivityWithOptions(a any, o activity.RegisterOptions)
}

// register makes known all that a worker does.
func register(r registry, a *activities) {
	registerWorkflows(r)
	for name, do := range map[string]any{
		beginActivity: a.Begin, stepActivity: a.Step, changeActivity: a.Change, noteActivity: a.Note, endActivity: a.End,
	} {
		r.RegisterActivityWithOptions(do, activity.RegisterOptions{Name: name})
	}
}

func registerWorkflows(r interface {
	RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions)
}) {
	for name, do := range map[string]any{runWorkflow: runPipeline, changeWorkflow: runChange, environmentWorkflow: runEnvironment, scheduleWorkflow: runSchedule} {
		r.RegisterWorkflowWithOptions(do, workflow.RegisterOptions{Name: name})
	}
}

// Work implements pipeline.Cluster.
func (c *cluster) Work(ctx context.Context, host pipeline.Host, o pipeline.WorkerOptions) error {
	if _, err := host.Store(ctx); err != nil {
		return err
	}
	a := &activities{host: host, heart: heart{record: c.heartbeat, fence: c.fence}}
	defer a.close()
	failed := make(chan error, 1)
	w := worker.New(c.client, c.o.Queue, worker.Options{
		MaxConcurrentActivityExecutionSize: o.Steps, MaxConcurrentWorkflowTaskExecutionSize: o.Runs,
		WorkerStopTimeout: o.Drain, Identity: c.o.Identity, BackgroundActivityContext: context.WithoutCancel(ctx),
		OnFatalError: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
	})
	register(w, a)
	q := &queues{client: c.client, queue: c.o.Queue}
	for name, do := range map[string]any{enterActivity: q.Enter, leaveActivity: q.Leave, aliveActivity: q.Alive} {
		w.RegisterActivityWithOptions(do, activity.RegisterOptions{Name: name})
	}
	if err := w.Start(); err != nil {
		return c.failed(err)
	}
	passing, quiet := context.WithCancel(context.WithoutCancel(ctx))
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		(&relay{cluster: c, host: host, told: map[string]int{}}).run(passing)
	}()
	defer func() { quiet(); <-passed }()
	status := &health{cluster: c, ready: true}
	serving, err := c.serve(ctx, status, o)
	if err != nil {
		w.Stop()
		return err
	}
	defer serving()
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fault.Wrap(fault.Environment, err, "the worker cannot go on")
	}
	status.drain()
	w.Stop() // polls no more, and waits for what runs
	return err
}

// heartbeat tells the cluster that an activity goes on.
func (c *cluster) heartbeat(ctx context.Context, token []byte) error {
	return c.client.RecordActivityHeartbeat(ctx, token)
}

// fence ends this process: work did not end in time that another worker is
// about to take over. What it had in its hands is in the journal.
func (c *cluster) fence() {
	if c.o.Log != nil {
		_, _ = fmt.Fprintln(c.o.Log, "wfctl: work did not end after the cluster lost sight of it; ending the process so that nothing is done twice")
	}
	os.Exit(exitFenced)
}

// exitFenced is the status of a worker that ended itself.
const exitFenced = 70

// serve serves health and figures until the function that it returns is called.
func (c *cluster) serve(ctx context.Context, status *health, o pipeline.WorkerOptions) (func(), error) {
	if o.Listen == "" {
		if o.Ready != nil {
			o.Ready("")
		}
		return func() {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "listen on %s", o.Listen)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", status.alive)
	mux.HandleFunc("GET /readyz", status.readiness)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, c.figures.text())
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = server.Serve(l) // ends with Close
	}()
	if o.Ready != nil {
		o.Ready(l.Addr().String())
	}
	return func() { _ = server.Close(); <-over }, nil
}

// healthTimeout bounds the question whether the cluster answers.
const healthTimeout = 3 * time.Second

func (c *cluster) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	_, err := c.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}
