package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"

	"github.com/gocodealone/wfctl/internal/procgroup"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

type rawValue = json.RawMessage

const (
	// tailLines is how many lines of standard error an error shows.
	tailLines = 10
	// maxLine and maxOutputs bound what is kept of a command's output.
	maxLine    = 8 << 10
	maxOutputs = 4 << 20
)

// exec runs a command to its end and returns its exit status, its outputs
// and the last lines of its standard error. Cancelling ctx ends its process
// group: politely, then after the grace period for good.
func (k *call) exec(ctx context.Context, argv []string, log func(string)) (result, []string, error) {
	if err := ctx.Err(); err != nil {
		return result{}, nil, err
	}
	if len(argv) == 0 || argv[0] == "" {
		return result{}, nil, errors.New("it is empty")
	}
	tail := &tail{}
	stdout := &stdout{lines: k.lines(log)}
	stderr := k.lines(func(line string) { tail.add(line); log(line) })
	status, err := k.start(ctx, argv, stdout, stderr)
	stdout.lines.flush()
	stderr.flush()
	if err != nil {
		return result{exit: status}, tail.lines, err
	}
	r := result{exit: status, finished: status == 0}
	if status == 0 {
		r.outputs, err = stdout.object()
	}
	return r, tail.lines, err
}

func (k *call) start(ctx context.Context, argv []string, stdout, stderr io.Writer) (int, error) {
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // the user's own command, without a shell
	cmd.Dir, cmd.Env = k.dir, k.env
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = k.linger
	err := procgroup.Run(ctx, cmd, k.grace)
	var exit *exec.ExitError
	switch {
	case errors.Is(err, procgroup.ErrStopped):
		return -1, ctx.Err()
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	}
	return -1, err // ended by a signal
}

// stdout tells outputs from chatter: what begins with a brace is an object
// of outputs, which may be secret and is never logged; anything else is
// lines for the log.
type stdout struct {
	lines   *lineWriter
	buf     []byte
	decided bool
	json    bool
	over    bool
}

// Write implements io.Writer.
func (s *stdout) Write(p []byte) (int, error) {
	if !s.decided {
		rest := bytes.TrimLeft(p, " \t\r\n")
		if len(rest) == 0 {
			return len(p), nil
		}
		s.decided, s.json = true, rest[0] == '{'
	}
	if !s.json {
		return s.lines.Write(p)
	}
	if s.over = s.over || len(s.buf)+len(p) > maxOutputs; !s.over {
		s.buf = append(s.buf, p...)
	}
	return len(p), nil
}

// object decodes the outputs; nil where none were printed.
func (s *stdout) object() (map[string]rawValue, error) {
	if !s.json {
		return nil, nil
	}
	if s.over {
		return nil, sdk.Errorf(sdk.CodeInvalid, "the outputs that it printed are larger than %d MiB", maxOutputs>>20)
	}
	var object map[string]rawValue
	if err := json.Unmarshal(s.buf, &object); err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "what it printed begins with a brace and is not one JSON object").
			WithHint("print exactly one JSON object on standard output, and everything else on standard error")
	}
	return object, nil
}

// lineWriter cuts a stream into lines. Secrets are taken out before: half of
// one would not be known.
type lineWriter struct {
	masked *secret.Writer
	emit   func(string)
	buf    []byte
}

func (k *call) lines(emit func(string)) *lineWriter {
	w := &lineWriter{emit: emit}
	w.masked = k.secrets.Writer(writerFunc(w.cut))
	return w
}

type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) { return w.masked.Write(p) }

func (w *lineWriter) cut(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		w.keep(p[:i])
		w.flushLine()
		p = p[i+1:]
	}
	w.keep(p)
	return n, nil
}

func (w *lineWriter) keep(p []byte) {
	if room := maxLine - len(w.buf); room < len(p) {
		p = p[:max(room, 0)]
	}
	w.buf = append(w.buf, p...)
}

func (w *lineWriter) flushLine() {
	w.emit(string(bytes.TrimRight(w.buf, "\r")))
	w.buf = w.buf[:0]
}

func (w *lineWriter) flush() {
	_ = w.masked.Flush() // cut does not fail
	if len(w.buf) > 0 {
		w.flushLine()
	}
}

// tail keeps the last lines.
type tail struct{ lines []string }

func (t *tail) add(line string) {
	if t.lines = append(t.lines, line); len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}
