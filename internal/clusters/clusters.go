// Package clusters makes what runs on Temporal need, for tests and for programs
// that torture or measure: a server of its own, a database, a registry for
// working trees, and workers that can be killed.
package clusters

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/jackc/pgx/v5"

	"github.com/gocodealone/wfctl/event"
	eventpostgres "github.com/gocodealone/wfctl/event/postgres"
)

// Cluster is all of that. Close it at the end.
type Cluster struct {
	// Dir is its folder; Work is where workers keep what local providers make.
	Dir, Work string
	// Events is the address of its database, Database its name.
	Events, Database string
	// Store reads what was recorded.
	Store *event.Store
	// Env is what wfctl needs in its environment.
	Env []string
	// Binary is the wfctl that is used.
	Binary string

	postgres string
	registry *httptest.Server
	server   *server

	mu      sync.Mutex
	workers map[int]*process
}

// Key seals what crosses.
const Key = "the key of the tests, 32 bytes ok"

// Open makes a cluster in a folder, on the Postgres and with the program of
// Temporal that scripts/services has provided.
func Open(ctx context.Context, dir, binary string) (c *Cluster, err error) {
	c = &Cluster{
		Dir: dir, Work: filepath.Join(dir, "work"), Binary: binary, Database: fmt.Sprintf("t%d", time.Now().UnixNano()),
		postgres: os.Getenv("WFCTL_TEST_POSTGRES"), workers: map[int]*process{},
	}
	if c.postgres == "" || os.Getenv("WFCTL_TEST_TEMPORAL_PROGRAM") == "" {
		return nil, errors.New("WFCTL_TEST_POSTGRES or WFCTL_TEST_TEMPORAL_PROGRAM is not set: make services")
	}
	for _, sub := range []string{"keys", "work", "logs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	c.Events = strings.Replace(c.postgres, "/postgres?", "/"+c.Database+"?", 1)
	if err := c.createDatabase(ctx); err != nil {
		return nil, err
	}
	c.registry = httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	if c.server, err = startServer(dir); err != nil {
		return nil, err
	}
	driver, err := eventpostgres.Open(ctx, c.Events, "")
	if err != nil {
		return nil, err
	}
	c.Store = event.Open(driver, event.StoreOptions{})
	c.Env = append(os.Environ(), "WFCTL_EVENTS="+c.Events, "WFCTL_STATE_KEY_DIR="+filepath.Join(dir, "keys"),
		"WFCTL_TEMPORAL_KEY="+base64.StdEncoding.EncodeToString([]byte(Key[:32])), "TEMPORAL_ADDRESS="+c.server.address, "WFCTL_TASK_QUEUE=tests")
	return c, nil
}

func (c *Cluster) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.postgres)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+c.Database)
	return errors.Join(err, conn.Close(ctx))
}

// Close ends what was started here, and drops the database.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.workers {
		p.kill()
	}
	c.server.stop()
	c.registry.Close()
	_ = c.Store.Close() // it was only read
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if conn, err := pgx.Connect(ctx, c.postgres); err == nil {
		_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+c.Database+" WITH (FORCE)") // of the test alone
		_ = conn.Close(ctx)
	}
}

// Command is the binary with the cluster's environment.
func (c *Cluster) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Env = c.Env
	return cmd
}

// Tree is a repository for a working tree.
func (c *Cluster) Tree(name string) string {
	return strings.TrimPrefix(c.registry.URL, "http://") + "/tests/" + name
}

// Address is Temporal's; File is where it keeps everything.
func (c *Cluster) Address() string { return c.server.address }

// File is where Temporal keeps everything.
func (c *Cluster) File() string { return c.server.file }

// Restart kills Temporal's server and starts it again.
func (c *Cluster) Restart() error {
	c.server.stop()
	return c.server.start()
}

// StartWorker starts a worker by a number.
func (c *Cluster) StartWorker(n int, args ...string) error {
	args = append([]string{"worker", "--engine", "temporal", "--work-dir", c.Work}, args...)
	p, err := start(c.Command(context.Background(), args...), c.Log(n))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers[n] = p
	return nil
}

// Log is where a worker's output goes.
func (c *Cluster) Log(n int) string { return filepath.Join(c.Dir, "logs", fmt.Sprintf("worker-%d", n)) }

// Kill kills a worker with SIGKILL.
func (c *Cluster) Kill(n int) {
	c.mu.Lock()
	p := c.workers[n]
	delete(c.workers, n)
	c.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

// Tell sends SIGTERM to a worker.
func (c *Cluster) Tell(n int) {
	c.mu.Lock()
	p := c.workers[n]
	c.mu.Unlock()
	_ = p.cmd.Process.Signal(terminate) // it may be gone
}

// Drain sends SIGTERM to a worker and returns its exit status once it is gone.
func (c *Cluster) Drain(n int) int {
	c.Tell(n)
	c.mu.Lock()
	p := c.workers[n]
	delete(c.workers, n)
	c.mu.Unlock()
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// PID is the process of a worker.
func (c *Cluster) PID(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers[n].cmd.Process.Pid
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
			return fmt.Errorf("temporal does not answer: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *server) stop() { s.process.kill() }
