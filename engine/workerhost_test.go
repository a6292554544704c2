package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/tree"
)

const jobFile = `version: 1
project: p
pipelines:
  hello:
    steps:
      - {name: hello, type: command, with: {run: ["true"]}}
`

// eve is an hour before the clock of synctest begins.
var eve = time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC)

// fetchedJob is a job whose tree was last used on this machine at that time; its
// registry is gone.
func fetchedJob(t *testing.T, work string, at time.Time) (job pipeline.Job, dir string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	project := t.TempDir()
	if err := os.WriteFile(filepath.Join(project, "app.yaml"), []byte(jobFile), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := tree.Pack(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := p.Push(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/acme/tree", authn.DefaultKeychain)
	if err != nil {
		t.Fatal(err)
	}
	trees := &tree.Cache{Dir: filepath.Join(work, "trees"), Keys: authn.DefaultKeychain, Now: func() time.Time { return at }}
	fetched, err := trees.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := fetched.Close(); err != nil {
		t.Fatal(err)
	}
	source, err := json.Marshal(map[string]any{"tree": ref, "config": "app.yaml", "project_dir": ".", "pipeline": "hello"})
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Job{Run: "r1", Project: "p", Source: source}, fetched.Dir
}

func workerHost(t *testing.T, work string) *engine.WorkerHost {
	kinds := builtin.Kinds()
	kinds.Events = func(context.Context, engine.EventSource) (event.Driver, error) { return memory.New(), nil }
	return engine.NewWorkerHost(kinds, engine.WorkerHostOptions{
		Dir: work, Redactor: secret.NewRedactor, KeepTrees: 24 * time.Hour, Warn: func(err error) { t.Error(err) },
		Getenv: func(name string) (string, bool) { return "memory", name == "WFCTL_EVENTS" },
	})
}

// A worker keeps a tree for as long as a job is open, also when others of the same
// tree end; removes it a day after the last one, and what its projects share never.
func TestWorkerHostSweeps(t *testing.T) {
	work := t.TempDir()
	job, dir := fetchedJob(t, work, eve)
	kept := filepath.Join(work, "projects", "p", "made")
	synctest.Test(t, func(t *testing.T) {
		host := workerHost(t, work)
		open := func() *pipeline.Opened {
			opened, err := host.Open(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			return opened
		}
		shut := func(opened *pipeline.Opened) {
			if err := opened.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		there := func(want bool) {
			t.Helper()
			if _, err := os.Stat(dir); (err == nil) != want {
				t.Fatalf("at %s the tree is there: %v", time.Now(), err == nil)
			}
		}
		first, second := open(), open()
		if err := os.WriteFile(filepath.Join(dir, ".wfctl", "made"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		<-time.After(72 * time.Hour)
		shut(second)
		<-time.After(72 * time.Hour)
		there(true)
		shut(first)
		<-time.After(23 * time.Hour)
		there(true)
		<-time.After(3 * time.Hour)
		there(false)
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(kept); err != nil {
		t.Error("what the projects share went with the tree:", err)
	}
}

// A worker that starts removes at once what is old, and says nothing about it.
func TestWorkerHostSweepsAtStart(t *testing.T) {
	work := t.TempDir()
	_, dir := fetchedJob(t, work, eve)
	synctest.Test(t, func(t *testing.T) {
		<-time.After(48 * time.Hour)
		host := workerHost(t, work)
		synctest.Wait()
		<-time.After(time.Second)
		if _, err := os.Stat(dir); err == nil {
			t.Error("the tree is still there")
		}
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A job that cannot be opened uses no tree; the same one may be opened many times
// at once.
func TestWorkerHostOpens(t *testing.T) {
	work := t.TempDir()
	job, dir := fetchedJob(t, work, time.Now())
	host := workerHost(t, work)
	defer host.Close() //nolint:errcheck // the test is over
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			opened, err := host.Open(t.Context(), job)
			if err == nil {
				err = opened.Close(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	job.Source = []byte(strings.Replace(string(job.Source), `"hello"`, `"other"`, 1))
	if _, err := host.Open(t.Context(), job); err == nil {
		t.Error("a pipeline that is not there was opened")
	}
	trees := &tree.Cache{Dir: filepath.Dir(dir)}
	if n, err := trees.Sweep(t.Context(), 0); err != nil || n != 1 {
		t.Errorf("%d trees were free, %v", n, err)
	}
}

// Workers keep the record of runs small: no command has a hand in the runs of
// schedules.
func TestWorkerHostPrunes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := workerHost(t, t.TempDir())
		store, err := host.Store(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const day = 24 * time.Hour
		ran := func(name string) {
			if _, err := store.Append(t.Context(), name, event.RunStarted{Run: name, Project: "p", At: time.Now()}, event.RunFinished{Run: name, At: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		ran("old")
		<-time.After(2 * day)
		ran("young")
		<-time.After(179 * day)
		runs, err := store.Runs(t.Context(), event.Query{})
		if err != nil || len(runs) != 1 || runs[0].ID != "young" {
			t.Errorf("%v %v", runs, err)
		}
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
}
