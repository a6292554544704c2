package golang

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// Workers are processes that run components, one component at a time each. A
// worker whose component misbehaved is killed; others are used again, and
// keep what they have loaded.
type Workers struct {
	// Command starts a worker: this binary again.
	Command []string

	mu   sync.Mutex
	idle []*worker
}

// Call is one call of a component.
type Call struct {
	ID, Text string
	Input    map[string]any
	// Timeout and Memory bound it.
	Timeout time.Duration
	Memory  int64
	// Log takes what it prints.
	Log func(line string)
}

// Call runs a component in a worker.
func (w *Workers) Call(ctx context.Context, c Call) (map[string]any, error) {
	k, err := w.take()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, k.kill)
	out, err := k.call(c)
	if !stop() || k.broken {
		k.kill()
		return nil, k.cause(ctx, c, err)
	}
	w.mu.Lock()
	w.idle = append(w.idle, k)
	w.mu.Unlock()
	return out, err
}

func (w *Workers) take() (*worker, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		k := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return k, nil
	}
	return startWorker(w.Command)
}

// Close ends the workers.
func (w *Workers) Close() {
	w.mu.Lock()
	idle := w.idle
	w.idle = nil
	w.mu.Unlock()
	for _, k := range idle {
		k.kill()
	}
}

type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errs   tail
	broken bool
	ended  sync.Once
	status error
}

// startWorker starts a process that has no environment and no folder of ours
// to speak of.
func startWorker(command []string) (*worker, error) {
	k := &worker{cmd: exec.Command(command[0], command[1:]...)} //nolint:noctx // Call kills it
	k.cmd.Env = []string{"GOTRACEBACK=none"}
	k.cmd.Stderr = &k.errs
	in, err := k.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	k.in, k.out = in, bufio.NewReaderSize(out, 64<<10)
	if err := k.cmd.Start(); err != nil {
		return nil, fault.Wrap(fault.Environment, err, "start a process for the component")
	}
	return k, nil
}

func (k *worker) kill() {
	k.ended.Do(func() {
		_ = k.in.Close()
		_ = k.cmd.Process.Kill()
		k.status = k.cmd.Wait()
	})
}

// answerLimit is how long a line of a worker may be.
const answerLimit = 64 << 20

func (k *worker) call(c Call) (map[string]any, error) {
	raw, err := json.Marshal(request{ID: c.ID, Text: c.Text, Input: c.Input, Memory: c.Memory})
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "the input of %s is no JSON", c.ID)
	}
	if _, err := k.in.Write(append(raw, '\n')); err != nil {
		k.broken = true
		return nil, err
	}
	for {
		line, err := readLine(k.out, answerLimit)
		if err != nil {
			k.broken = true
			k.wait()
			return nil, err
		}
		var res response
		if err := json.Unmarshal(line, &res); err != nil {
			k.broken = true
			return nil, err
		}
		switch {
		case res.Log != nil:
			c.Log(*res.Log)
		case res.Error != nil:
			return nil, fault.New(res.Error.Code, "%s", res.Error.Message).WithHint("%s", res.Error.Hint)
		default:
			return res.Output, nil
		}
	}
}

// wait gives a worker whose output ended the moment that it needs to end
// itself, so that its status can be read.
func (k *worker) wait() {
	k.ended.Do(func() {
		timer := time.AfterFunc(2*time.Second, func() { _ = k.cmd.Process.Kill() })
		defer timer.Stop()
		_ = k.in.Close()
		k.status = k.cmd.Wait()
	})
}

func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > limit {
			return nil, errors.New("the answer is too long")
		}
	}
}

// cause says why a worker was lost.
func (k *worker) cause(ctx context.Context, c Call, err error) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Config, "%s ran longer than its limit of %s and was stopped", c.ID, c.Timeout).
			WithHint("raise `limits.time`, or find the loop that does not end")
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(k.status, &exit) && exit.ExitCode() == outOfMemory, strings.Contains(k.errs.String(), "out of memory"), strings.Contains(k.errs.String(), "cannot allocate memory"):
		return fault.New(fault.Config, "%s held more memory than its limit of %d MiB and was stopped", c.ID, c.Memory>>20).
			WithHint("raise `limits.memory`, or find what it keeps")
	}
	f := fault.New(fault.Config, "the process that ran %s is gone: %v", c.ID, err)
	if text := strings.TrimSpace(k.errs.String()); text != "" {
		f = f.WithDetail(strings.Split(text, "\n")...)
	}
	return f
}

// tail keeps the beginning of what a worker says on its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 4096 - len(t.text); room > 0 {
		t.text = append(t.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
