package temporal

import (
	"context"

	"github.com/gocodealone/wfctl/pipeline"
)

// Schedules implements pipeline.Cluster.
func (c *cluster) Schedules(ctx context.Context, project string) ([]pipeline.ScheduleState, error) {
	return nil, nil
}

// SetSchedule implements pipeline.Cluster.
func (c *cluster) SetSchedule(ctx context.Context, s pipeline.Schedule) error { return nil }

// DropSchedule implements pipeline.Cluster.
func (c *cluster) DropSchedule(ctx context.Context, project, name string) error { return nil }
