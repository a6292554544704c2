//go:build services

package temporal

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/pipeline/pipelinetest"
)

// connect opens the server that scripts/services has started, through a
// gateway, with a queue of its own.
func connect(t *testing.T, queue string) *cluster {
	t.Helper()
	o := newGateway(t).ClusterOptions
	o.Queue = queue
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.(*cluster)
}

// The suite on a real server, with a worker for each run. With
// WFCTL_RECORD=DIR the histories of its runs are kept there.
func TestSuiteOnServer(t *testing.T) {
	pipelinetest.Run(t, func(t *testing.T, p *pipeline.Pipeline, w *pipelinetest.World) (pipeline.Summary, error) {
		c, job := connect(t, w.Run), jobOf(p, w)
		h := &worlds{}
		h.add(w, p)
		ctx, cancel := context.WithCancel(t.Context())
		worked := make(chan error, 1)
		go func() { worked <- c.Work(ctx, h, pipeline.WorkerOptions{Drain: 5 * time.Second}) }()
		w.Answered = func(step string) {
			if err := c.Answered(context.Background(), job.Run, step); err != nil {
				t.Error(err)
			}
		}
		w.Answering(t)
		summary, err := RunEngine{Cluster: c, Job: job, Options: pipeline.StartOptions{Heartbeat: 5 * time.Second}}.Run(t.Context(), p, w.Options())
		cancel()
		if err := <-worked; err != nil {
			t.Error(err)
		}
		record(t, c, WorkflowID(job.Run), filepath.Base(t.Name()))
		return summary, err
	})
}

// record keeps a workflow's history as JSON, for TestReplay.
func record(t *testing.T, c *cluster, id, name string) {
	dir := os.Getenv("WFCTL_RECORD")
	if dir == "" || strings.Contains(t.Name(), "panic") { // a stack would show this machine's paths
		return
	}
	var h historypb.History
	for it := c.client.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
		e, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		h.Events = append(h.Events, e)
	}
	raw, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&h)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".json"), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
