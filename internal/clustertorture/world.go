package main

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocodealone/wfctl/internal/clusters"
)

// world is the cluster under torture.
type world struct {
	options
	*clusters.Cluster
	self string

	mu  sync.Mutex
	rng *rand.Rand

	ended, killed, taken, restarts atomic.Int64
}

func newWorld(ctx context.Context, o options) (*world, error) {
	w := &world{options: o, rng: rand.New(rand.NewPCG(o.seed, 2))}
	var err error
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "wfctl-clustertorture-*")
	if err != nil {
		return nil, err
	}
	if w.Cluster, err = clusters.Open(ctx, dir, o.wfctl); err == nil {
		w.Env = append(w.Env, "DIGITALOCEAN_TOKEN="+token)
	}
	return w, err
}

func (w *world) intN(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// startWorker starts the worker with a number.
func (w *world) startWorker(n int) error { return w.StartWorker(n, "--steps", "6") }

// killWorkers kills one worker after the other, and starts it again.
func (w *world) killWorkers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(w.intN(int(2 * w.pause)))):
		}
		n := w.intN(w.options.workers)
		w.Kill(n)
		w.killed.Add(1)
		if err := w.startWorker(n); err != nil {
			return err
		}
	}
}
