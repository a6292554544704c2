package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/jackc/pgx/v5"

	"github.com/gocodealone/wfctl/event"
	eventpostgres "github.com/gocodealone/wfctl/event/postgres"
)

// world is all that the torture needs: the servers, the workers, the record.
type world struct {
	options
	dir, self, id string
	postgres      string
	registry      *httptest.Server
	store         *event.Store
	server        *server
	env           []string

	mu       sync.Mutex
	rng      *rand.Rand
	workers_ []*process

	ended, killed, taken, restarts atomic.Int64
}

func newWorld(ctx context.Context, o options) (*world, error) {
	w := &world{options: o, postgres: os.Getenv("WFCTL_TEST_POSTGRES"), rng: rand.New(rand.NewPCG(o.seed, 2)), id: fmt.Sprintf("t%d", time.Now().UnixNano())}
	if w.postgres == "" || os.Getenv("WFCTL_TEST_TEMPORAL_PROGRAM") == "" {
		return nil, errors.New("WFCTL_TEST_POSTGRES or WFCTL_TEST_TEMPORAL_PROGRAM is not set: make services")
	}
	var err error
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "wfctl-clustertorture-*"); err != nil {
		return nil, err
	}
	for _, sub := range []string{"keys", "work", "logs"} {
		if err := os.MkdirAll(filepath.Join(w.dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	w.registry = httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	if w.server, err = startServer(w.dir); err != nil {
		return nil, err
	}
	driver, err := eventpostgres.Open(ctx, w.events(), "")
	if err != nil {
		return nil, err
	}
	w.store = event.Open(driver, event.StoreOptions{})
	w.env = append(os.Environ(), "WFCTL_EVENTS="+w.events(), "WFCTL_STATE_KEY_DIR="+filepath.Join(w.dir, "keys"),
		"WFCTL_TEMPORAL_KEY="+base64.StdEncoding.EncodeToString([]byte("the key of the torture, 32 bytes")),
		"TEMPORAL_ADDRESS="+w.server.address, "WFCTL_TASK_QUEUE=torture")
	return w, w.database(ctx)
}

// events is a database of this torture's own.
func (w *world) events() string { return strings.Replace(w.postgres, "/postgres?", "/"+w.id+"?", 1) }

func (w *world) database(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, w.postgres)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+w.id)
	return errors.Join(err, conn.Close(ctx))
}

// close ends what was started here.
func (w *world) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.workers_ {
		p.kill()
	}
	w.server.stop()
	w.registry.Close()
	_ = w.store.Close() // it was only read
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if conn, err := pgx.Connect(ctx, w.postgres); err == nil {
		_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+w.id+" WITH (FORCE)") // of the test alone
		_ = conn.Close(ctx)
	}
}

func (w *world) intN(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// command is the binary with the torture's environment.
func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.wfctl, args...)
	cmd.Env = w.env
	return cmd
}

// process is one that was started here.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func start(cmd *exec.Cmd, logfile string) (*process, error) {
	f, err := os.OpenFile(logfile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = f, f
	p := &process{cmd: cmd, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // it is killed
		_ = f.Close()
	}()
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.done
}

// startWorker starts the worker with a number.
func (w *world) startWorker(n int) error {
	p, err := start(w.command(context.Background(), "worker", "--engine", "temporal", "--work-dir", filepath.Join(w.dir, "work"), "--steps", "6"),
		filepath.Join(w.dir, "logs", fmt.Sprintf("worker-%d", n)))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.workers_) <= n {
		w.workers_ = append(w.workers_, nil)
	}
	w.workers_[n] = p
	return nil
}

// killWorkers kills one worker after the other, and starts it again.
func (w *world) killWorkers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(w.intN(int(2 * w.pause)))):
		}
		n := w.intN(w.workers)
		w.mu.Lock()
		p := w.workers_[n]
		w.mu.Unlock()
		p.kill()
		w.killed.Add(1)
		if err := w.startWorker(n); err != nil {
			return err
		}
	}
}

// server is Temporal's development server, with a file that outlives it.
type server struct {
	program, file, address, logs string
	process                      *process
}

func startServer(dir string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{program: os.Getenv("WFCTL_TEST_TEMPORAL_PROGRAM"), file: filepath.Join(dir, "temporal.db"), address: l.Addr().String(), logs: filepath.Join(dir, "logs", "temporal")}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return s, s.start()
}

func (s *server) start() (err error) {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	s.process, err = start(exec.Command(s.program, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", port, "--db-filename", s.file, "--log-level", "error"), s.logs)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("Temporal does not answer: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *server) stop() { s.process.kill() }
