// Package apply carries out a plan: in the order of its graph, several
// changes at a time, each journaled before and after. It decides nothing that
// the plan has decided, and owns the interfaces of what it needs.
package apply

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/graph"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Journal makes what happens durable; each method returns when it is. An
// empty intent key stands for an operation that needed no intent.
type Journal interface {
	Intent(ctx context.Context, in resource.Intent) error
	Assigned(ctx context.Context, intent, id string) error
	Result(ctx context.Context, intent string, rec resource.Record) error
	// ResultSoon is Result that may wait a moment for others to go along.
	ResultSoon(ctx context.Context, intent string, rec resource.Record) error
	Forget(ctx context.Context, intent string, key resource.Key) error
	// Abandon closes an intent that had no effect.
	Abandon(ctx context.Context, intent string) error
	Move(ctx context.Context, from, to resource.Key) error
}

// Providers hands out configured providers and their schemas.
type Providers interface {
	Provider(ctx context.Context, p resource.Provider) (sdk.Provider, error)
	Schema(p resource.Provider, typ string) (*sdk.ResourceSchema, error)
}

// Options are all that a run needs.
type Options struct {
	// Run identifies the run.
	Run       string
	Plan      *plan.Plan
	Records   []resource.Record
	Journal   Journal
	Providers Providers
	Events    event.Sink
	// Config is what the file says of an address, for deletes of kinds that
	// need it; nil where it says nothing. It may be nil itself.
	Config func(resource.Address) resource.Input
	// Parallelism bounds how many changes run at once.
	Parallelism int
	// Fingerprint is the keyed hash of sensitive values.
	Fingerprint func([]byte) string
	// Seal encrypts a sensitive output for the record, Open reverses it; nil
	// where state has no key.
	Seal, Open func([]byte) ([]byte, error)
	Now        func() time.Time
	// Sleep waits between attempts; nil waits on the clock.
	Sleep func(context.Context, time.Duration) error
	// Stop, once closed, lets what runs finish and starts nothing new.
	Stop <-chan struct{}
	// NewKey makes idempotency keys; nil makes random ones.
	NewKey func() string
	// Timeout bounds an operation whose type sets no bound; 0 is 20 minutes.
	Timeout time.Duration
	// KeepGoing does what depends on a step that failed all the same: the
	// order of a teardown is a help and no condition.
	KeepGoing bool
	// InUse is how long a delete is tried again while others use the resource
	// and nothing else goes on; 0 is two minutes, less than 0 not at all.
	InUse time.Duration
}

func (o *Options) setDefaults() {
	if o.Events == nil {
		o.Events = event.Discard
	}
	if o.Parallelism < 1 {
		o.Parallelism = 10
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.NewKey == nil {
		o.NewKey = newKey
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Minute
	}
	if o.InUse == 0 {
		o.InUse = 2 * time.Minute
	}
}

// Summary is how a run ended.
type Summary struct {
	Done, Failed, Skipped int
	// Nodes hold every change that was not a no-op, in the plan's order.
	Nodes []NodeResult
	// Outputs are those of every node of the plan that is there now, by
	// address; sensitive ones of untouched nodes are left out.
	Outputs map[resource.Address]sdk.Outputs
}

// NodeResult is how one change ended.
type NodeResult struct {
	Address resource.Address
	Key     resource.Key
	Action  plan.Action
	Outcome event.Outcome
	Err     error
}

// Nothing is the summary of a plan without changes.
func Nothing() *Summary { return &Summary{Outputs: map[resource.Address]sdk.Outputs{}} }

// Run carries out the plan. It returns a summary even with an error: of code
// [fault.Partial] where changes failed, [fault.Interrupted] where the run was
// stopped.
func Run(ctx context.Context, o Options) (*Summary, error) {
	o.setDefaults()
	r := &run{
		Options: o, live: map[resource.Address]*live{}, records: make(map[resource.Key]resource.Record, len(o.Records)), began: map[plan.Step]time.Time{},
	}
	for _, rec := range o.Records {
		r.records[rec.Key()] = rec
	}
	for _, m := range o.Plan.Moved {
		if err := r.move(ctx, m); err != nil {
			return Nothing(), err
		}
	}
	r.steps = o.Plan.Steps()
	return r.summarise(ctx, r.walk(ctx))
}

func (r *run) move(ctx context.Context, m plan.Move) error {
	from, to := resource.Key{Address: m.From}, resource.Key{Address: m.To}
	if err := r.Journal.Move(ctx, from, to); err != nil {
		return err
	}
	rec := r.records[from]
	delete(r.records, from)
	rec.Address = m.To
	r.records[to] = rec
	return nil
}

// run is the state of one Run.
type run struct {
	Options
	steps *graph.Graph[plan.Step]

	mu      sync.Mutex
	live    map[resource.Address]*live
	records map[resource.Key]resource.Record
	// began is when a step was first tried.
	began map[plan.Step]time.Time
}

// live is what is known of a node's outputs in this run.
type live struct {
	outputs sdk.Outputs
	// reading guards the one read of sensitive outputs that state lacks.
	reading sync.Mutex
	read    bool
}

// step carries out one node of the graph.
func (r *run) step(ctx context.Context, s plan.Step, rest func()) error {
	change := r.Plan.Change(s.Key)
	op, err := r.operation(change, s, rest)
	if err != nil || op == nil {
		return err
	}
	first := r.begin(s)
	if first {
		r.Events.Emit(event.NodeStarted{Address: string(s.Key.Address), Action: op.verb, Type: change.Type(), Name: change.Name(), At: r.Now()})
	}
	err = op.do(ctx)
	var used *inUse
	if errors.As(err, &used) {
		if first {
			r.Events.Emit(event.NodeProgress{Address: string(s.Key.Address), Message: used.Error() + "; it is tried again when others are done", Fraction: -1})
		}
		return err
	}
	r.finish(s, op.verb, err)
	return err
}

// begin notes when a step is tried, and tells whether it is for the first time.
func (r *run) begin(s plan.Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.began[s]; again {
		return false
	}
	r.began[s] = r.Now()
	return true
}

// finish tells how a step ended.
func (r *run) finish(s plan.Step, verb string, err error) {
	r.mu.Lock()
	finished := event.NodeFinished{Address: string(s.Key.Address), Action: verb, Outcome: event.Done, At: r.Now()}
	finished.Took = finished.At.Sub(r.began[s])
	r.mu.Unlock()
	if err != nil {
		finished.Outcome, finished.Error, finished.Hint = event.Failed, err.Error(), hintOf(err)
	}
	r.Events.Emit(finished)
}

// operation is what one step does.
type operation struct {
	verb string
	do   func(context.Context) error
}

// operation chooses by the type of change; nil where nothing is to be done.
func (r *run) operation(change plan.Change, s plan.Step, rest func()) (*operation, error) {
	w, err := r.work(change)
	if err != nil {
		return nil, err
	}
	if w != nil {
		w.rest, w.leaf = rest, len(r.steps.Dependents(s)) == 0
	}
	switch c := change.(type) {
	case *plan.NoOp:
		return nil, nil
	case *plan.Create:
		return &operation{"create", func(ctx context.Context) error { return w.create(ctx, c.Desired, c.Promised) }}, nil
	case *plan.Update:
		return &operation{"update", func(ctx context.Context) error { return w.update(ctx, c) }}, nil
	case *plan.Adopt:
		return &operation{"adopt", func(ctx context.Context) error { return w.adopt(ctx, c) }}, nil
	case *plan.Delete:
		return &operation{"delete", func(ctx context.Context) error { return w.remove(ctx, c.Prior) }}, nil
	case *plan.Forget:
		return &operation{"forget", func(ctx context.Context) error { return r.Journal.Forget(ctx, "", c.Key()) }}, nil
	case *plan.Replace:
		if s.Delete {
			return &operation{"delete", func(ctx context.Context) error { return w.removeReplaced(ctx, c) }}, nil
		}
		return &operation{"create", func(ctx context.Context) error { return w.createReplacement(ctx, c) }}, nil
	}
	return nil, fault.New(fault.Internal, "a change of an unknown type %T", change)
}

// summarise turns the outcome of the walk into a summary and an error.
func (r *run) summarise(ctx context.Context, failed map[plan.Step]error) (*Summary, error) {
	s := &Summary{Outputs: map[resource.Address]sdk.Outputs{}}
	stopped := false
	for _, c := range r.Plan.Changes {
		if c.Action() == plan.ActionNoOp {
			continue
		}
		res := NodeResult{Address: c.Address(), Key: c.Key(), Action: c.Action(), Outcome: event.Done, Err: r.outcome(c, failed)}
		var skip *graph.SkipError[plan.Step]
		switch {
		case errors.As(res.Err, &skip):
			res.Outcome = event.Skipped
			s.Skipped++
			stopped = stopped || skip.Stopped
			r.Events.Emit(event.NodeFinished{Address: string(c.Address()), Action: string(c.Action()), Outcome: event.Skipped, Reason: skip.Error(), At: r.Now()})
		case res.Err != nil:
			res.Outcome = event.Failed
			s.Failed++
		default:
			s.Done++
		}
		s.Nodes = append(s.Nodes, res)
	}
	for addr, l := range r.live {
		s.Outputs[addr] = l.outputs
	}
	return s, r.verdict(ctx, s, stopped)
}

// outcome is the worst that happened to a change's steps.
func (r *run) outcome(c plan.Change, failed map[plan.Step]error) error {
	var worst error
	for _, s := range []plan.Step{{Key: c.Key()}, {Key: c.Key(), Delete: true}} {
		if err := failed[s]; err != nil && (worst == nil || errors.Is(worst, graph.ErrSkipped)) {
			worst = err
		}
	}
	return worst
}

func (r *run) verdict(ctx context.Context, s *Summary, stopped bool) error {
	switch {
	case ctx.Err() != nil:
		return fault.Wrap(fault.Interrupted, ctx.Err(), "left in the middle: %d done, %d failed, %d not started", s.Done, s.Failed, s.Skipped).
			WithHint("the journal knows what was under way; the next command goes on from there")
	case s.Failed > 0:
		return fault.New(fault.Partial, "%d of %d changes failed", s.Failed, len(s.Nodes)).
			WithHint("what was done is recorded; run it again once the cause is mended")
	case stopped:
		return fault.New(fault.Interrupted, "interrupted: %d done, %d not started", s.Done, s.Skipped).
			WithHint("what was done is recorded; the same command goes on from there")
	}
	return nil
}

func hintOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Hint != "" {
		return f.Hint
	}
	var e *sdk.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}
