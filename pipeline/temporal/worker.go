package temporal

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
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

// registerWork makes known what may take long.
func registerWork(r registry, a *activities) {
	registerAll(r, map[string]any{stepActivity: a.Step, changeActivity: a.Change})
}

// registerClerk makes known what only writes down; see clerkSuffix.
func registerClerk(r registry, a *activities, q *queues) {
	registerAll(r, map[string]any{beginActivity: a.Begin, noteActivity: a.Note, endActivity: a.End})
	registerAll(r, map[string]any{enterActivity: q.Enter, leaveActivity: q.Leave, aliveActivity: q.Alive})
}

func registerAll(r registry, activities map[string]any) {
	for name, do := range activities {
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
	store, err := host.Store(ctx)
	if err == nil {
		_, err = store.Answered(ctx) // it is there, and may be read
	}
	if err != nil {
		return err
	}
	missing, astray := &closed{log: c.o.Log, now: time.Now, what: lacksKey}, &closed{log: c.o.Log, now: time.Now, what: lacksRecord}
	own, name, err := c.strictClient(missing)
	if err != nil {
		return err
	}
	defer own.Close()
	c.warn(ctx)
	a := &activities{host: host, name: c.o.Identity, cluster: c.id, astray: astray, heart: heart{record: c.heartbeat, fence: c.fence}}
	defer a.close()
	failed := make(chan error, 1)
	steps, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	options := worker.Options{
		MaxConcurrentActivityExecutionSize: o.Steps, MaxConcurrentWorkflowTaskExecutionSize: o.Runs,
		WorkerStopTimeout: o.Drain + leaving, Identity: name, BackgroundActivityContext: steps,
		OnFatalError: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
	}
	w := worker.New(own, c.o.Queue, options)
	registerWorkflows(w)
	registerWork(w, a)
	// What only writes down waits for no step to end: it has slots of its own.
	options.MaxConcurrentActivityExecutionSize, options.DisableWorkflowWorker = o.Runs, true
	clerk := worker.New(own, c.o.Queue+clerkSuffix, options)
	q := &queues{client: own, queue: c.o.Queue}
	for _, r := range []registry{w, clerk} { // runs of earlier versions have them all on one queue
		registerClerk(r, a, q)
	}
	if err := clerk.Start(); err != nil {
		return c.failed(err)
	}
	if err := w.Start(); err != nil {
		clerk.Stop()
		return c.failed(err)
	}
	aside, rest := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { (&relay{cluster: c, host: host, told: map[string]int{}}).run(aside) })
	beside.Go(func() { (&settler{cluster: c, host: host}).run(aside) })
	beside.Go(func() { a.tidy(aside) })
	defer func() { rest(); beside.Wait() }()
	status := &health{cluster: c, missing: missing, astray: astray, host: host, ready: true}
	serving, err := c.serve(ctx, status, o)
	if err != nil {
		w.Stop()
		clerk.Stop()
		return err
	}
	defer serving()
	select {
	case <-ctx.Done():
	case <-o.Stop:
	case err = <-failed:
		err = fault.Wrap(fault.Environment, err, "the worker cannot go on")
	}
	status.drain()
	late := time.AfterFunc(o.Drain, leave)
	defer late.Stop()
	defer context.AfterFunc(ctx, leave)()
	w.Stop()     // polls no more, and waits for what runs
	clerk.Stop() // which had its end to write down
	return err
}

// strictClient is the client of a worker, and the worker's name.
func (c *cluster) strictClient(missing *closed) (client.Client, string, error) {
	options, err := c.options(missing.met)
	if err != nil {
		return nil, "", err
	}
	seal, err := newCodec(c.o.Keys, nil)
	if err != nil {
		return nil, "", err
	}
	options.DataConverter = strict{options.DataConverter}
	options.Identity = seal.identity(c.o.Identity)
	own, err := client.NewClientFromExisting(c.client, options)
	return own, options.Identity, err
}

// warn tells of workers on the same queue that have other keys: a run that goes
// from one to the other would wait.
func (c *cluster) warn(ctx context.Context) {
	a, err := c.Attendance(ctx)
	if err != nil || c.o.Log == nil {
		return // who may not ask is not told
	}
	for _, w := range a.Blind {
		_, _ = fmt.Fprintf(c.o.Log, "wfctl: the worker %s, on the queue %s too, cannot open what this one seals: give it this key too, behind its own\n", w, c.o.Queue)
	}
	for _, w := range a.Foreign {
		_, _ = fmt.Fprintf(c.o.Log, "wfctl: this worker cannot open what %s, on the queue %s too, seals: give this one that key too\n", w, c.o.Queue)
	}
}

// leaving is how long steps may take to end that are left to other workers. One
// that does not is taken by another when its heartbeat stays away.
const leaving = 5 * time.Second

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
