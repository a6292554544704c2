package temporal

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

// queueing is an environment's queue in the environment that the SDK has for
// tests.
type queueing struct {
	*testsuite.TestWorkflowEnvironment
	granted []string
}

// newQueueing makes one; tell is asked what becomes of each grant.
func newQueueing(t *testing.T, tell func(q *queueing, run string) error) *queueing {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	q := &queueing{TestWorkflowEnvironment: s.NewTestWorkflowEnvironment()}
	data, err := seals([][]byte{testKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.SetDataConverter(data)
	q.SetTestTimeout(time.Minute)
	registerWorkflows(q)
	registerClerk(q, &activities{}, nil)
	q.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, grantedSignal, mock.Anything).Return(
		func(_, id, _, _ string, _ any) error {
			run := id[len(WorkflowID("")):]
			if err := tell(q, run); err != nil {
				return err
			}
			q.granted = append(q.granted, run)
			return nil
		})
	return q
}

func (q *queueing) enter(run string) { q.SignalWorkflow(enterSignal, ticket{Run: run, N: 1}) }
func (q *queueing) leave(run string) { q.SignalWorkflow(leaveSignal, ticket{Run: run, N: 1}) }

// Who comes while the queue tells somebody who is gone is not left behind when
// that leaves it empty.
func TestQueueLosesNobodyAtItsEnd(t *testing.T) {
	q := newQueueing(t, func(q *queueing, run string) error {
		if run == "gone" {
			q.enter("late")
			return errors.New("it is gone")
		}
		q.RegisterDelayedCallback(func() {
			if run == "first" {
				q.enter("gone")
			}
			q.leave(run)
		}, time.Second)
		return nil
	})
	q.RegisterDelayedCallback(func() { q.enter("first") }, 0)
	q.ExecuteWorkflow(environmentWorkflow, queueState{Project: "p", Environment: "e"})
	if err := q.GetWorkflowError(); err != nil || !slices.Equal(q.granted, []string{"first", "late"}) {
		t.Errorf("granted %v, %v", q.granted, err)
	}
}

// Nor when it begins a new history, wherever in its turns that happens.
func TestQueueLosesNobodyOnItsWay(t *testing.T) {
	met := 0
	for before := queueTurns - 5; before < queueTurns; before++ {
		q := newQueueing(t, func(q *queueing, run string) error {
			if run == "last" {
				q.enter("late")
			}
			return nil
		})
		for n := range before { // one by one: what waits for the environment's loop is bounded
			q.RegisterDelayedCallback(func() { q.enter("x") }, time.Duration(2*n)*time.Millisecond)
		}
		q.RegisterDelayedCallback(func() { q.enter("last"); q.leave("x") }, 10*time.Second)
		q.ExecuteWorkflow(environmentWorkflow, queueState{Project: "p", Environment: "e"})
		var on *workflow.ContinueAsNewError
		if err := q.GetWorkflowError(); !errors.As(err, &on) {
			t.Fatalf("granted %v, %v", q.granted, err)
		}
		var state queueState
		data, err := seals([][]byte{testKey}, nil)
		if err == nil {
			err = data.FromPayloads(on.Input, &state)
		}
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(q.granted, "last") {
			met++
			if state.Holder == nil || state.Holder.Run != "last" || len(state.Waiting) != 1 || state.Waiting[0].Run != "late" {
				t.Errorf("after %d: %+v", before, state)
			}
		}
	}
	if met < 2 {
		t.Errorf("the turn was given %d times", met)
	}
}
