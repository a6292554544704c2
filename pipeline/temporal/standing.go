package temporal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	enums "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/gocodealone/wfctl/pipeline"
)

// Standing implements pipeline.Cluster.
func (c *cluster) Standing(ctx context.Context, run string) (pipeline.Standing, error) {
	d, err := c.client.DescribeWorkflow(ctx, WorkflowID(run), "")
	if isGone(err) {
		return pipeline.Standing{Why: "Temporal does not know it, or no longer"}, nil
	}
	if err != nil {
		return pipeline.Standing{}, c.failed(err)
	}
	s := pipeline.Standing{Known: true, Execution: d.WorkflowExecution.RunID, UnderWay: d.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING}
	if !s.UnderWay {
		if d.WorkflowCloseTime != nil {
			s.Over = d.WorkflowCloseTime.UTC()
		}
		s.Why = c.why(ctx, run, s.Execution)
	}
	return s, nil
}

// why says how a workflow ended.
func (c *cluster) why(ctx context.Context, run, execution string) string {
	it := c.client.GetWorkflowHistory(ctx, WorkflowID(run), execution, false, enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	var last *historypb.HistoryEvent
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return "it is over on Temporal"
		}
		last = e
	}
	switch {
	case last.GetWorkflowExecutionTerminatedEventAttributes() != nil:
		a := last.GetWorkflowExecutionTerminatedEventAttributes()
		return because(fmt.Sprintf("%s terminated it on Temporal", cmp.Or(a.GetIdentity(), "somebody")), a.GetReason())
	case last.GetWorkflowExecutionFailedEventAttributes() != nil:
		options, err := c.options(nil)
		if err != nil {
			return "it failed on Temporal"
		}
		return because("it failed on Temporal", failureOf(options.FailureConverter.FailureToError(last.GetWorkflowExecutionFailedEventAttributes().GetFailure())).Message)
	case last.GetWorkflowExecutionTimedOutEventAttributes() != nil:
		return "its time on Temporal ran out"
	case last.GetWorkflowExecutionCanceledEventAttributes() != nil:
		return "it was cancelled on Temporal"
	}
	return "it is over on Temporal"
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// settler closes the records of runs that are over without having said so.
// Each worker has one: Temporal tells nobody.
type settler struct {
	cluster *cluster
	host    pipeline.Host
}

// settleEvery is how often one looks, more or less: workers that began at the
// same time do not look at the same time.
const settleEvery = 10 * time.Second

// run looks until ctx ends.
func (s *settler) run(ctx context.Context) {
	for {
		timer := time.NewTimer(settleEvery/2 + rand.N(settleEvery)) //nolint:gosec // no secret
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		_ = s.look(ctx) // at the next look again
	}
}

// look settles what has to be.
func (s *settler) look(ctx context.Context) error {
	store, err := s.host.Store(ctx)
	if err != nil {
		return err
	}
	runs, err := store.Open(ctx)
	if err != nil {
		return err
	}
	var there map[string]bool
	var errs []error
	for _, r := range runs {
		if on := pipeline.ClusterOf(r); r.Engine != Engine || on != "" && s.cluster.id != "" && on != s.cluster.id {
			continue
		}
		if there == nil {
			if there, err = s.underWay(ctx); err != nil {
				return err
			}
		}
		if there[WorkflowID(r.ID)] {
			continue
		}
		_, err := pipeline.Settle(ctx, s.cluster, store, r.ID)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// underWay lists the workflows that are under way, which may be behind the
// times by seconds.
func (s *settler) underWay(ctx context.Context) (map[string]bool, error) {
	there := map[string]bool{}
	req := &workflowservice.ListWorkflowExecutionsRequest{Namespace: s.cluster.o.Namespace, PageSize: 1000, Query: fmt.Sprintf("ExecutionStatus = 'Running' AND WorkflowType IN ('%s', '%s')", runWorkflow, changeWorkflow)}
	for {
		res, err := s.cluster.client.ListWorkflow(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, e := range res.GetExecutions() {
			there[e.GetExecution().GetWorkflowId()] = true
		}
		if req.NextPageToken = res.GetNextPageToken(); len(req.NextPageToken) == 0 {
			return there, nil
		}
	}
}
