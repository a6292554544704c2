package world

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// keptLines is how many lines of a process are kept.
const keptLines = 1000

// process is a program that was started here, with what it wrote.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // once done is closed

	mu    sync.Mutex
	lines []string
}

// startProcess starts a program in a group of its own.
func startProcess(cmd *exec.Cmd) (*process, error) {
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	p := &process{cmd: cmd, done: make(chan struct{})}
	ownGroup(cmd)
	// The kernel ends a child when the thread that started it does: one
	// goroutine keeps its thread for as long.
	started := make(chan error)
	go lockedThread(func() {
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		_ = in.Close() // it always succeeds
		close(p.done)
	})
	go p.keep(out)
	return p, <-started
}

func (p *process) keep(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		p.lines = p.lines[max(0, len(p.lines)-keptLines):]
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, out) // after a line that is too long
}

func (p *process) written() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

var errLate = errors.New("it does not answer in time")

// wait asks until the process is ready, and no longer than it lives.
func (p *process) wait(ready func() bool) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !ready() {
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %w", cmpError(p.err))
		case <-late.C:
			return errLate
		case <-again.C:
		}
	}
	return nil
}

// cmpError is an error for a process that ended well where it should not.
func cmpError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// stop asks the group to end, and makes it.
func (p *process) stop() {
	terminate(p.cmd)
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
	}
	kill(p.cmd)
	<-p.done
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
