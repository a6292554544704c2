package temporal

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// catchUp is how long after its time a scheduled run still begins, where the
// cluster was away.
const catchUp = 10 * time.Minute

// runSchedule is the workflow that a schedule starts: it makes a run of its
// own, and is over when that is, so that the next one does not overlap it.
func runSchedule(ctx workflow.Context, in runInput) (runOutput, error) {
	in.Job.Run = scheduledRun(ctx)
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: WorkflowID(in.Job.Run), ParentClosePolicy: enums.PARENT_CLOSE_POLICY_ABANDON,
	})
	var out runOutput
	err := workflow.ExecuteChildWorkflow(child, runWorkflow, in).Get(ctx, &out)
	return out, err
}

// scheduledRun names a run like those that people start, of what a replay
// finds again.
func scheduledRun(ctx workflow.Context) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(workflow.GetInfo(ctx).OriginalRunID)) // into memory
	return fmt.Sprintf("%s-%08x", workflow.Now(ctx).UTC().Format("20060102T150405Z"), h.Sum32())
}

func schedulePrefix(project string) string { return "wfctl-schedule-" + project + "/" }

// The memo of a schedule; it is sealed.
const (
	memoDigest = "digest"
	memoCron   = "cron"
)

// Schedules implements pipeline.Cluster.
func (c *cluster) Schedules(ctx context.Context, project string) ([]pipeline.ScheduleState, error) {
	it, err := c.client.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 100})
	if err != nil {
		return nil, c.failed(err)
	}
	data, err := seals(c.o.Keys, nil)
	if err != nil {
		return nil, err
	}
	var list []pipeline.ScheduleState
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return nil, c.failed(err)
		}
		name, ours := strings.CutPrefix(e.ID, schedulePrefix(project))
		if !ours {
			continue
		}
		s := pipeline.ScheduleState{Name: name, Paused: e.Paused, Digest: memo(data, e, memoDigest), Cron: memo(data, e, memoCron)}
		if len(e.NextActionTimes) > 0 {
			s.Next = e.NextActionTimes[0]
		}
		list = append(list, s)
	}
	return list, nil
}

// memo reads a text of a schedule's memo; "" where it cannot.
func memo(data converter.DataConverter, e *client.ScheduleListEntry, field string) string {
	var text string
	p, ok := e.Memo.GetFields()[field]
	if !ok || data.FromPayload(p, &text) != nil {
		return ""
	}
	return text
}

// SetSchedule implements pipeline.Cluster. A schedule that is there is made
// anew: what it was last time counts for nothing, but that it is paused.
func (c *cluster) SetSchedule(ctx context.Context, s pipeline.Schedule) error {
	in, err := inputOf(s.Job, s.Spec, s.Options)
	if err != nil {
		return err
	}
	id := schedulePrefix(s.Project) + s.Name
	paused := false
	handle := c.client.ScheduleClient().GetHandle(ctx, id)
	if d, err := handle.Describe(ctx); err == nil {
		paused = d.Schedule.State != nil && d.Schedule.State.Paused
		if err := handle.Delete(ctx); err != nil && !isGone(err) {
			return c.failed(err)
		}
	} else if !isGone(err) {
		return c.failed(err)
	}
	_, err = c.client.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: id, Spec: client.ScheduleSpec{CronExpressions: []string{s.Cron}}, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: catchUp, Paused: paused, Memo: map[string]any{memoDigest: s.Digest, memoCron: s.Cron},
		Action: &client.ScheduleWorkflowAction{ID: id, Workflow: scheduleWorkflow, Args: []any{in}, TaskQueue: c.o.Queue},
	})
	if err != nil {
		return fault.Wrap(fault.Config, err, "make the schedule %q", s.Name).WithHint("cron is five fields: minute, hour, day, month, weekday")
	}
	return nil
}

// DropSchedule implements pipeline.Cluster.
func (c *cluster) DropSchedule(ctx context.Context, project, name string) error {
	err := c.client.ScheduleClient().GetHandle(ctx, schedulePrefix(project)+name).Delete(ctx)
	if err != nil && !isGone(err) {
		return c.failed(err)
	}
	return nil
}
