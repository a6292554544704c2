// Command clusterbench measures runs on Temporal: how many a few workers carry,
// how soon a run begins, what a step costs beside the same in process, and what
// memory a worker takes, for a growing number of runs at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/builtin/clustered"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/internal/clusters"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/secret"
)

func main() {
	var o options
	var counts string
	flag.StringVar(&o.wfctl, "wfctl", "bin/wfctl-temporal", "the binary to measure")
	flag.IntVar(&o.workers, "workers", 4, "how many worker processes there are")
	flag.StringVar(&counts, "runs", "10,100,1000", "how many runs at once, one after the other")
	flag.Parse()
	for text := range strings.SplitSeq(counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			fmt.Fprintln(os.Stderr, "clusterbench: -runs is a list of numbers")
			os.Exit(2)
		}
		o.runs = append(o.runs, n)
	}
	if err := bench(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "clusterbench:", err)
		os.Exit(1)
	}
}

type options struct {
	wfctl   string
	workers int
	runs    []int
}

// steps is how many steps a run has: four at once, five after each other.
const steps = 20

func bench(ctx context.Context, o options) (err error) {
	if o.wfctl, err = filepath.Abs(o.wfctl); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "wfctl-clusterbench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what was measured is told
	c, err := clusters.Open(ctx, dir, o.wfctl)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := write(dir, c.Events); err != nil {
		return err
	}
	local, err := inProcess(ctx, c, dir)
	if err != nil {
		return err
	}
	fmt.Printf("in process: %s a step\n", local.Round(time.Microsecond))
	for n := range o.workers {
		if err := c.StartWorker(n, "--steps", "20"); err != nil {
			return err
		}
	}
	s, err := newStarter(ctx, c, dir)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.runs(ctx, o.workers*2); err != nil { // the workers have it all open
		return err
	}
	fmt.Println("runs at once  runs/s  steps/s  start to first step p50  p99  a run p50  overhead/step  worker memory")
	for _, n := range o.runs {
		f, err := s.runs(ctx, n)
		if err != nil {
			return err
		}
		rss := 0
		for w := range o.workers {
			rss = max(rss, residentMB(c.PID(w)))
		}
		fmt.Printf("%12d  %6.1f  %7.0f  %23s  %3s  %9s  %13s  %10d MB\n", n, float64(n)/f.took.Seconds(), float64(n*steps)/f.took.Seconds(),
			f.first(50), f.first(99), at(f.whole, 50).Round(time.Millisecond), (f.took/time.Duration(n*steps) - local).Round(10*time.Microsecond), rss)
	}
	return nil
}

// write writes the project that is measured.
func write(dir, events string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nproject: bench\nenvironments: {prod: {}}\nmodules:\n  - {name: records, type: iac.state, config: {backend: postgres, url: %q, schema: states}}\npipelines:\n  load:\n    steps:\n", events)
	for i := range steps {
		fmt.Fprintf(&b, "      - {name: s%02d, type: jq, with: {query: \". + 1\", input: %d}", i, i)
		if i >= 4 {
			fmt.Fprintf(&b, ", needs: s%02d", i-4)
		}
		b.WriteString("}\n")
	}
	if err := os.MkdirAll(filepath.Join(dir, "app"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "app", "app.yaml"), []byte(b.String()), 0o600)
}

// open opens the project with the cluster's variables.
func open(ctx context.Context, c *clusters.Cluster, dir string) (*engine.Project, func(string) (string, bool), error) {
	vars := map[string]string{}
	for _, kv := range c.Env {
		name, value, _ := strings.Cut(kv, "=")
		vars[name] = value
	}
	getenv := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	p, err := engine.Open(ctx, clustered.Kinds(), engine.Options{Dir: filepath.Join(dir, "app"), Env: "prod", Getenv: getenv, Secrets: secret.NewRedactor()})
	return p, getenv, err
}

// inProcess measures a step in this process, recorded in the same database.
func inProcess(ctx context.Context, c *clusters.Cluster, dir string) (time.Duration, error) {
	const rounds = 20
	var took time.Duration
	for range rounds {
		p, _, err := open(ctx, c, dir)
		if err != nil {
			return 0, err
		}
		run, err := p.Pipeline(ctx, "load")
		if err != nil {
			return 0, err
		}
		began := time.Now()
		_, err = run.Run(ctx, engine.RunOptions{})
		took += time.Since(began)
		if err := errors.Join(err, p.Close(ctx)); err != nil {
			return 0, err
		}
	}
	return took / rounds / steps, nil
}

// starter starts runs as a client does.
type starter struct {
	project *engine.Project
	remote  *engine.Remote
	run     *engine.PipelineRun
	cluster pipeline.Cluster
	store   *event.Store
	n       int
}

func newStarter(ctx context.Context, c *clusters.Cluster, dir string) (*starter, error) {
	p, _, err := open(ctx, c, dir)
	if err != nil {
		return nil, err
	}
	s := &starter{project: p, store: c.Store}
	if s.run, err = p.Pipeline(ctx, "load"); err != nil {
		return nil, err
	}
	if s.remote, err = p.Remote(ctx, engine.RemoteOptions{Repository: c.Tree("bench")}); err != nil {
		return nil, err
	}
	s.cluster, err = clustered.Kinds().Cluster(ctx, pipeline.ClusterOptions{Address: c.Address(), Namespace: "default", Queue: "tests", Keys: [][]byte{[]byte(clusters.Key[:32])}})
	return s, err
}

func (s *starter) close() {
	s.cluster.Close()
	_ = s.project.Close(context.Background()) // it was only read
}

// figures are of some runs at once.
type figures struct {
	took          time.Duration
	firsts, whole []time.Duration
}

func (f *figures) first(percent int) string {
	return at(f.firsts, percent).Round(time.Millisecond).String()
}

func at(list []time.Duration, percent int) time.Duration {
	slices.Sort(list)
	return list[min(len(list)-1, len(list)*percent/100)]
}

// runs starts some runs at once and waits for all.
func (s *starter) runs(ctx context.Context, n int) (*figures, error) {
	f := &figures{}
	started := map[string]time.Time{}
	began := time.Now()
	for range n {
		s.n++
		s.project.Run = fmt.Sprintf("bench-%05d", s.n)
		job, _, err := s.remote.PipelineJob(ctx, s.run, s.store, "", nil)
		if err != nil {
			return nil, err
		}
		started[job.Run] = time.Now()
		if err := s.cluster.Start(ctx, job, s.run.Spec(), pipeline.StartOptions{}); err != nil {
			return nil, err
		}
	}
	var waits sync.WaitGroup
	limit := make(chan struct{}, 64)
	errs := make(chan error, n)
	for run := range started {
		limit <- struct{}{}
		waits.Go(func() {
			defer func() { <-limit }()
			v, err := s.cluster.Result(ctx, run)
			if err == nil && v.Done != steps {
				err = fmt.Errorf("run %s: %d steps are done", run, v.Done)
			}
			if err != nil {
				errs <- err
			}
		})
	}
	waits.Wait()
	f.took = time.Since(began)
	close(errs)
	if err := <-errs; err != nil {
		return nil, err
	}
	for run, at := range started {
		if err := f.add(ctx, s.store, run, at); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// add reads how soon a run began, and how long it took.
func (f *figures) add(ctx context.Context, store *event.Store, run string, started time.Time) error {
	tl, err := store.Timeline(ctx, run)
	if err != nil {
		return err
	}
	first := tl.Run.Ended
	for _, s := range tl.Steps {
		if s.Started.Before(first) {
			first = s.Started
		}
	}
	f.firsts = append(f.firsts, first.Sub(started))
	f.whole = append(f.whole, tl.Run.Ended.Sub(started))
	return nil
}

// residentMB is the memory of a process, as the system counts it.
func residentMB(pid int) int {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	kb, _ := strconv.Atoi(strings.TrimSpace(string(out))) // 0 says that it is not known
	return kb / 1024
}
