package temporal

import (
	"context"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
)

// The environment's queue: a workflow per environment of a project lets one
// run at a time change it, in the order in which they came.
const (
	environmentWorkflow = "wfctl.environment"
	enterActivity       = "wfctl.enter"
	leaveActivity       = "wfctl.leave"
	aliveActivity       = "wfctl.alive"

	enterSignal   = "enter"
	leaveSignal   = "leave"
	grantedSignal = "granted"
)

func environmentID(project, environment string) string {
	return "wfctl-environment-" + project + "/" + environment
}

// ticket is a run's place in the queue. A run that gave the environment back
// and wants it again has another number.
type ticket struct {
	Run string `json:"run"`
	N   int    `json:"n"`
	// Since is when it came, by the cluster's clock: a run that began earlier
	// is not overtaken because its workers were slower.
	Since time.Time `json:"since"`
}

func (t ticket) is(other ticket) bool { return t.Run == other.Run && t.N == other.N }

// queueState is what the queue holds when it goes on as a new execution.
type queueState struct {
	Project     string   `json:"project"`
	Environment string   `json:"environment"`
	Holder      *ticket  `json:"holder,omitempty"`
	Waiting     []ticket `json:"waiting,omitempty"`
}

// queueTurns is after how many signals the queue begins a new history.
const queueTurns = 500

// glance is how often the queue looks whether a holder that others wait for
// is still there.
const glance = 30 * time.Second

// runEnvironment is the workflow of an environment's queue. It ends when nobody
// is in it.
func runEnvironment(ctx workflow.Context, s queueState) error {
	q := &queue{queueState: s}
	enter, leave := workflow.GetSignalChannel(ctx, enterSignal), workflow.GetSignalChannel(ctx, leaveSignal)
	first := s.Holder == nil && len(s.Waiting) == 0
	for turns := 0; ; turns++ {
		for q.drain(enter, leave) {
			turns++
		}
		if q.grant(ctx) && workflow.GetVersion(ctx, drainChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion {
			first = false
			continue // meanwhile others may have come, who must not be left behind
		}
		switch {
		case q.Holder == nil && !first:
			return nil
		case turns > queueTurns:
			return workflow.NewContinueAsNewError(ctx, environmentWorkflow, q.queueState)
		}
		first = false
		q.wait(ctx, enter, leave)
	}
}

type queue struct{ queueState }

// drain takes what has come; false where nothing has.
func (q *queue) drain(enter, leave workflow.ReceiveChannel) bool {
	var t ticket
	switch {
	case enter.ReceiveAsync(&t):
		q.enter(t)
	case leave.ReceiveAsync(&t):
		q.leave(t)
	default:
		return false
	}
	return true
}

func (q *queue) enter(t ticket) {
	if q.Holder != nil && q.Holder.is(t) || slices.ContainsFunc(q.Waiting, t.is) {
		return
	}
	q.Waiting = append(q.Waiting, t)
	slices.SortStableFunc(q.Waiting, func(a, b ticket) int { return a.Since.Compare(b.Since) })
}

func (q *queue) leave(t ticket) {
	if q.Holder != nil && q.Holder.is(t) {
		q.Holder = nil
	}
	q.Waiting = slices.DeleteFunc(q.Waiting, t.is)
}

// drainChange is when the queue began to look again who has come while it told
// somebody of his turn, before it ends or begins a new history.
const drainChange = "drain"

// grant gives the environment to the first who waits and is still there. It
// tells whether it took any time.
func (q *queue) grant(ctx workflow.Context) (waited bool) {
	for q.Holder == nil && len(q.Waiting) > 0 {
		t := q.Waiting[0]
		q.Waiting = q.Waiting[1:]
		waited = true
		if workflow.SignalExternalWorkflow(ctx, WorkflowID(t.Run), "", grantedSignal, t.N).Get(ctx, nil) == nil {
			q.Holder = &t
		}
	}
	return waited
}

// wait waits for a signal. A holder that others wait for may have been ended
// without a word: then it gives way.
func (q *queue) wait(ctx workflow.Context, enter, leave workflow.ReceiveChannel) {
	bounded, cancel := workflow.WithCancel(ctx)
	defer cancel()
	looks := false
	s := workflow.NewSelector(ctx)
	s.AddReceive(enter, func(c workflow.ReceiveChannel, _ bool) {
		var t ticket
		c.Receive(ctx, &t)
		q.enter(t)
	})
	s.AddReceive(leave, func(c workflow.ReceiveChannel, _ bool) {
		var t ticket
		c.Receive(ctx, &t)
		q.leave(t)
	})
	if q.Holder != nil && len(q.Waiting) > 0 {
		s.AddFuture(workflow.NewTimer(bounded, glance), func(workflow.Future) { looks = true })
	}
	s.Select(ctx)
	if !looks || q.Holder == nil {
		return
	}
	alive := true
	if err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, short(ctx)), aliveActivity, q.Holder.Run).Get(ctx, &alive); err == nil && !alive {
		q.Holder = nil
	}
}

// lease is a run's hold of its environment.
type lease struct {
	project, environment, run string

	n       int
	ticket  ticket
	granted int // the number that was granted last
	held    bool
	busy    bool // a step is changing the environment
}

// take waits until the environment is this run's; false where the run was told
// to leave. told is called when it takes a while.
func (l *lease) take(ctx workflow.Context, told func()) bool {
	if workflow.Await(ctx, func() bool { return !l.busy }) != nil {
		return false
	}
	l.busy = true
	if l.held {
		return true
	}
	l.n++
	l.ticket = ticket{l.run, l.n, workflow.Now(ctx)}
	if l.n == 1 {
		l.ticket.Since = workflow.GetInfo(ctx).WorkflowStartTime
	}
	t := leaseInput{l.project, l.environment, l.ticket}
	if workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, short(ctx)), enterActivity, t).Get(ctx, nil) != nil {
		l.busy = false
		return false
	}
	mine := func() bool { return l.granted == l.n }
	if ok, err := workflow.AwaitWithTimeout(ctx, patience, mine); err == nil && !ok {
		told()
	}
	l.held = l.await(ctx, mine, t)
	if !l.held {
		l.busy, l.held = false, true // so that it leaves the queue
		l.give(ctx)
	}
	return l.held
}

// lineUpChange is when waiting runs began to line up again and again.
const lineUpChange = "line-up"

// lineUp is how often a run that waits says again that it does: a queue that
// an operator ended is made anew by the first who does.
const lineUp = 5 * time.Minute

// await waits until the environment is this run's; false where the run was told
// to leave.
func (l *lease) await(ctx workflow.Context, mine func() bool, t leaseInput) bool {
	if workflow.GetVersion(ctx, lineUpChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return workflow.Await(ctx, mine) == nil
	}
	for {
		come, err := workflow.AwaitWithTimeout(ctx, lineUp, mine)
		if err != nil || come {
			return err == nil
		}
		if workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, short(ctx)), enterActivity, t).Get(ctx, nil) != nil {
			return false
		}
	}
}

// patience is how long a run waits for its environment before it says so.
const patience = 2 * time.Second

// done tells that a step has made its changes.
func (l *lease) done() { l.busy = false }

// give gives the environment back, once no step changes it.
func (l *lease) give(ctx workflow.Context) {
	if !l.held || l.busy {
		return
	}
	l.held = false
	free, _ := workflow.NewDisconnectedContext(ctx)
	t := leaseInput{l.project, l.environment, l.ticket}
	if err := workflow.ExecuteActivity(workflow.WithActivityOptions(free, short(free)), leaveActivity, t).Get(free, nil); err != nil {
		workflow.GetLogger(ctx).Error("the environment was not given back", "error", err)
	}
}

type leaseInput struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Ticket      ticket `json:"ticket"`
}

// queues are the activities that reach an environment's queue.
type queues struct {
	client client.Client
	queue  string
}

// Enter puts a run into the queue.
func (q *queues) Enter(ctx context.Context, in leaseInput) error {
	id := environmentID(in.Project, in.Environment)
	_, err := q.client.SignalWithStartWorkflow(ctx, id, enterSignal, in.Ticket, client.StartWorkflowOptions{
		ID: id, TaskQueue: q.queue, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}, environmentWorkflow, queueState{Project: in.Project, Environment: in.Environment})
	return err
}

// Leave takes it out again. A queue that is gone has nobody in it.
func (q *queues) Leave(ctx context.Context, in leaseInput) error {
	err := q.client.SignalWorkflow(ctx, environmentID(in.Project, in.Environment), "", leaveSignal, in.Ticket)
	if isGone(err) {
		return nil
	}
	return err
}

// Alive tells whether a run is still there.
func (q *queues) Alive(ctx context.Context, run string) (bool, error) {
	d, err := q.client.DescribeWorkflow(ctx, WorkflowID(run), "")
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return d.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}
