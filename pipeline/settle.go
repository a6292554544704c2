package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/gocodealone/wfctl/event"
)

// Standing is where a run stands on its cluster.
type Standing struct {
	// Known: the cluster has heard of it, and has not forgotten it since.
	Known    bool
	UnderWay bool
	// Execution tells one attempt at the run from the next.
	Execution string
	// Why and when it was over.
	Why  string
	Over time.Time
}

// young is how long after its record was opened a run may be unknown to its
// cluster, or over there since an earlier time: who starts it writes it down
// first.
const young = time.Minute

// Settle closes the record of a run that is over on its cluster and whose end
// nobody could write down: an operator ended it, or it ran into a limit of the
// cluster. It tells whether it did; the run can then go on with --resume.
func Settle(ctx context.Context, c Cluster, s *event.Store, run string) (bool, error) {
	before, err := c.Standing(ctx, run)
	if err != nil || before.UnderWay {
		return false, err
	}
	tl, err := s.Timeline(ctx, run)
	if errors.Is(err, event.ErrNoRun) {
		return false, nil
	}
	now := time.Now().UTC()
	if err != nil || tl.Run.Status != event.Running || tl.Run.Engine == "" {
		return false, err
	}
	if !before.Known && (c.ID() == "" || ClusterOf(tl.Run) != c.ID()) {
		return false, nil // it is on another cluster
	}
	if before.Over.Before(tl.Opened) && now.Sub(tl.Opened) < young {
		return false, nil // it is on its way to this one
	}
	// What recorded its end did so before it was over: it is not about to. But
	// somebody may have taken the run up again meanwhile.
	if after, err := c.Standing(ctx, run); err != nil || after != before {
		return false, err
	}
	over := event.RunFinished{Run: run, At: now, Took: now.Sub(tl.Run.Started), Interrupted: true, Error: before.Why}
	for _, step := range tl.Steps {
		switch step.Status {
		case event.Succeeded:
			over.Done++
		case event.Broken:
			over.Failed++
		case event.NotStarted:
			over.Skipped++
		}
	}
	_, err = s.Append(ctx, run, event.Notice{Level: "warning", Message: "The run ended without its workers: " + before.Why + ". What was under way is left as it was."}, over)
	return err == nil, err
}
