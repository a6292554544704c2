//go:build services

package temporal

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/pipeline/pipelinetest"
)

// A change of a schedule that Temporal refuses leaves it as it was; one that it
// takes leaves it paused, if it was.
func TestScheduleIsNeverLost(t *testing.T) {
	t.Parallel()
	c := connect(t, "schedules")
	p := &pipeline.Pipeline{Name: "p", Steps: []pipeline.Step{pipelinetest.Step("a", pipelinetest.Fine)}}
	s := pipeline.Schedule{
		Project: fmt.Sprintf("never-lost-%d", time.Now().UnixNano()), Name: "s", Cron: "0 3 1 1 *", Digest: "one",
		Job: pipeline.Job{Command: "pipeline run p", Project: "suite", Environment: "test"}, Spec: p.Spec(),
	}
	t.Cleanup(func() {
		if err := c.DropSchedule(context.Background(), s.Project, s.Name); err != nil {
			t.Error(err)
		}
	})
	is := func(want pipeline.ScheduleState) {
		t.Helper()
		eventually(t, fmt.Sprintf("%+v", want), func() bool {
			list, err := c.Schedules(t.Context(), s.Project)
			if err != nil || len(list) != 1 {
				return false
			}
			list[0].Next = time.Time{}
			return list[0] == want
		})
	}
	set := func() error { return c.SetSchedule(t.Context(), s) }
	if err := set(); err != nil {
		t.Fatal(err)
	}
	is(pipeline.ScheduleState{Name: "s", Cron: "0 3 1 1 *", Digest: "one"})
	if err := c.client.ScheduleClient().GetHandle(t.Context(), schedulePrefix(s.Project)+"s").Pause(t.Context(), client.SchedulePauseOptions{Note: "a holiday"}); err != nil {
		t.Fatal(err)
	}
	s.Cron, s.Digest = "*/3x 99 * * *", "two"
	if err := set(); fault.CodeOf(err) != fault.Config {
		t.Errorf("%v", err)
	}
	is(pipeline.ScheduleState{Name: "s", Cron: "0 3 1 1 *", Digest: "one", Paused: true})
	s.Cron = "0 4 1 1 *"
	if err := set(); err != nil {
		t.Fatal(err)
	}
	is(pipeline.ScheduleState{Name: "s", Cron: "0 4 1 1 *", Digest: "two", Paused: true})
}
