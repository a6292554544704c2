package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
	"github.com/gocodealone/wfctl/pipeline"
)

// standing is a cluster that knows where one run stands.
type standing struct {
	pipeline.Cluster
	id string
	is []pipeline.Standing
}

func (s *standing) ID() string { return s.id }

// Standing tells them one after the other, the last for ever.
func (s *standing) Standing(context.Context, string) (pipeline.Standing, error) {
	now := s.is[0]
	if len(s.is) > 1 {
		s.is = s.is[1:]
	}
	return now, nil
}

// The record of a run is closed where the run is over for certain, and nowhere
// else.
func TestSettle(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	over := func(d time.Duration) pipeline.Standing {
		return pipeline.Standing{Known: true, Execution: "e", Why: "ada terminated it", Over: ago(d)}
	}
	underWay := pipeline.Standing{Known: true, UnderWay: true, Execution: "f"}
	for name, c := range map[string]struct {
		is     []pipeline.Standing
		on     string // the cluster of the record
		id     string
		opened time.Duration
		taken  time.Duration // up again
		closed bool
		want   bool
	}{
		"terminated": {is: []pipeline.Standing{over(time.Second)}, on: "c", id: "c", opened: time.Hour, want: true},
		"terminated, and the record says not where": {is: []pipeline.Standing{over(time.Second)}, id: "c", opened: time.Hour, want: true},
		"under way":                            {is: []pipeline.Standing{underWay}, on: "c", id: "c", opened: time.Hour},
		"recorded":                             {is: []pipeline.Standing{over(time.Second)}, on: "c", id: "c", opened: time.Hour, closed: true},
		"just taken up again":                  {is: []pipeline.Standing{over(time.Hour)}, on: "c", id: "c", opened: 2 * time.Hour, taken: time.Second},
		"taken up again, and never started":    {is: []pipeline.Standing{over(time.Hour)}, on: "c", id: "c", opened: 2 * time.Hour, taken: 2 * time.Minute, want: true},
		"taken up again meanwhile":             {is: []pipeline.Standing{over(time.Second), underWay}, on: "c", id: "c", opened: time.Hour},
		"not started yet":                      {is: []pipeline.Standing{{}}, on: "c", id: "c", opened: time.Second},
		"never started":                        {is: []pipeline.Standing{{}}, on: "c", id: "c", opened: time.Hour, want: true},
		"of another cluster":                   {is: []pipeline.Standing{{}}, on: "d", id: "c", opened: time.Hour},
		"of a cluster that does not say which": {is: []pipeline.Standing{{}}, opened: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := event.Open(memory.New(), event.StoreOptions{})
			job := pipeline.Job{Run: "r", Command: "pipeline run p", Cluster: c.on}
			open := func(d time.Duration) {
				events, err := job.Opening("temporal", nil, ago(d))
				if err == nil {
					_, err = s.Append(t.Context(), "r", events...)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			open(c.opened)
			if c.taken > 0 {
				job.Resumed = true
				open(c.taken)
			}
			if c.closed {
				if _, err := s.Append(t.Context(), "r", event.RunFinished{Run: "r"}); err != nil {
					t.Fatal(err)
				}
			}
			done, err := pipeline.Settle(t.Context(), &standing{id: c.id, is: c.is}, s, "r")
			if err != nil || done != c.want {
				t.Errorf("closed: %v, %v", done, err)
			}
			tl, err := s.Timeline(t.Context(), "r")
			if err != nil || (tl.Run.Status == event.Interrupted) != c.want || c.want && tl.Run.Error != c.is[0].Why {
				t.Errorf("%+v %v", tl, err)
			}
		})
	}
	if done, err := pipeline.Settle(t.Context(), &standing{id: "c", is: []pipeline.Standing{{}}}, event.Open(memory.New(), event.StoreOptions{}), "none"); done || err != nil {
		t.Errorf("%v %v", done, err)
	}
}
