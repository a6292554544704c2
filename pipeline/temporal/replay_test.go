package temporal

import (
	"os"
	"path/filepath"
	"testing"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/worker"
)

// testKey seals the histories of the tests; it guards nothing.
var testKey = []byte("a key for the tests, of 32 bytes")

// Histories that earlier versions left replay: an upgrade of wfctl does not
// break a run that is under way. A folder holds those of one version; none of
// them is ever recorded again. WFCTL_RECORD makes new ones, on a real server.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "histories", "*", "*.json"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d histories, %v", len(files), err)
	}
	data, err := seals([][]byte{testKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DataConverter: data})
			if err != nil {
				t.Fatal(err)
			}
			registerWorkflows(r)
			if err := r.ReplayWorkflowHistory(nil, history(t, file)); err != nil {
				t.Error(err)
			}
		})
	}
}

func history(t *testing.T, file string) *historypb.History {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := &historypb.History{}
	if err := (temporalproto.CustomJSONUnmarshalOptions{}).Unmarshal(raw, h); err != nil {
		t.Fatal(err)
	}
	return h
}
