package temporal

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
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

// The memo of what a schedule starts; it is sealed. An update replaces it
// together with all else, which it does not with the schedule's own, where
// earlier versions kept it.
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
	seal, err := newCodec(c.o.Keys, nil)
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
		d, err := c.client.ScheduleClient().GetHandle(ctx, e.ID).Describe(ctx)
		if isGone(err) {
			continue // the list is behind the times by seconds
		}
		if err != nil {
			return nil, c.failed(err)
		}
		list = append(list, seal.stateOf(name, d))
	}
	return list, nil
}

// stateOf reads a schedule. One that was sealed with an older key has no digest:
// it is to be made anew before that key goes.
func (c *codec) stateOf(name string, d *client.ScheduleDescription) pipeline.ScheduleState {
	data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)
	s := pipeline.ScheduleState{Name: name, Paused: d.Schedule.State != nil && d.Schedule.State.Paused}
	if len(d.Info.NextActionTimes) > 0 {
		s.Next = d.Info.NextActionTimes[0]
	}
	newest := false
	memo := func(field string) (text string) {
		if action, ok := d.Schedule.Action.(*client.ScheduleWorkflowAction); ok {
			if p, ok := action.Memo[field].(*commonpb.Payload); ok && data.FromPayload(p, &text) == nil {
				newest = string(p.GetMetadata()[keyIDField]) == c.id
				return text
			}
		}
		if p, ok := d.Memo.GetFields()[field]; !ok || data.FromPayload(p, &text) != nil {
			return ""
		}
		return text
	}
	if s.Digest, s.Cron = memo(memoDigest), memo(memoCron); !newest {
		s.Digest = ""
	}
	return s
}

// SetSchedule implements pipeline.Cluster. One that is there is changed in one
// go: if Temporal refuses that, it stays as it was.
func (c *cluster) SetSchedule(ctx context.Context, s pipeline.Schedule) error {
	in, err := inputOf(s.Job, s.Spec, s.Options)
	if err != nil {
		return err
	}
	id := schedulePrefix(s.Project) + s.Name
	want := client.ScheduleOptions{
		ID: id, Spec: client.ScheduleSpec{CronExpressions: []string{s.Cron}}, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchUp,
		Action: &client.ScheduleWorkflowAction{
			ID: id, Workflow: scheduleWorkflow, Args: []any{in}, TaskQueue: c.o.Queue,
			Memo: map[string]any{memoDigest: s.Digest, memoCron: s.Cron},
		},
	}
	err = c.client.ScheduleClient().GetHandle(ctx, id).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(was client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			next := was.Description.Schedule // it stays paused, if it is
			next.Action, next.Spec = want.Action, &want.Spec
			next.Policy = &client.SchedulePolicies{Overlap: want.Overlap, CatchupWindow: want.CatchupWindow}
			return &client.ScheduleUpdate{Schedule: &next}, nil
		},
	})
	if isGone(err) {
		_, err = c.client.ScheduleClient().Create(ctx, want)
	}
	var invalid *serviceerror.InvalidArgument
	switch {
	case errors.As(err, &invalid):
		return fault.Wrap(fault.Config, err, "make the schedule %q", s.Name).WithHint("cron is five fields: minute, hour, day, month, weekday")
	case err != nil:
		return c.failed(err)
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
