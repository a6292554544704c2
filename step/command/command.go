// Package command is the step that runs a program. There is no shell unless
// the step asks for one, secrets reach the program through its environment
// alone, and what it prints is redacted before anybody sees it.
package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/procgroup"
	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false, "required": ["run"],
  "properties": {
    "run": {"description": "The program and its arguments, as a list; with shell, a script.", "anyOf": [
      {"type": "array", "minItems": 1, "items": {"type": ["string", "number"]}}, {"type": "string"}]},
    "shell": {"type": "string", "enum": ["sh", "bash", "pwsh", "cmd"], "description": "Run the script by this shell; without it a string is refused."},
    "dir": {"type": "string", "description": "The folder, relative to the application file's."},
    "env": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}, "description": "The variables of the program, beside PATH and what else every program needs. The place for secrets."},
    "inherit": {"type": "array", "items": {"type": "string"}, "description": "Variables of wfctl's own environment that it gets too."},
    "stdin": {"type": "string"},
    "json": {"type": "boolean", "default": false, "description": "Its standard output is a JSON object: the step's outputs."},
    "exit_codes": {"type": "array", "items": {"type": "integer"}, "default": [0], "description": "The statuses that count as success."}
  }
}`

type options struct {
	Run       json.RawMessage `json:"run"`
	Shell     string          `json:"shell"`
	Dir       string          `json:"dir"`
	Env       map[string]any  `json:"env"`
	Inherit   []string        `json:"inherit"`
	Stdin     string          `json:"stdin"`
	JSON      bool            `json:"json"`
	ExitCodes []int           `json:"exit_codes"`
}

// Kind is the step kind.
func Kind() step.Kind {
	return step.Define("run a program", schema, func(o options) (step.Step, error) {
		argv, err := o.argv()
		if err != nil {
			return nil, err
		}
		if len(o.ExitCodes) == 0 {
			o.ExitCodes = []int{0}
		}
		return &program{o, argv}, nil
	})
}

func (o options) argv() ([]string, error) {
	var script string
	if json.Unmarshal(o.Run, &script) == nil {
		switch o.Shell {
		case "":
			return nil, fault.New(fault.Config, "`run` is a string, and no shell was asked for").
				WithHint(`write it as a list, run: ["prog", "argument"], or add shell: sh`)
		case "cmd":
			return []string{"cmd", "/d", "/s", "/c", script}, nil
		case "pwsh":
			return []string{"pwsh", "-NoProfile", "-NonInteractive", "-Command", script}, nil
		}
		return []string{o.Shell, "-eu", "-c", script}, nil
	}
	var words []any
	if err := json.Unmarshal(o.Run, &words); err != nil || len(words) == 0 {
		return nil, fault.New(fault.Config, "`run` is neither a list nor a string")
	}
	if o.Shell != "" {
		return nil, fault.New(fault.Config, "`run` is a list, which needs no shell").WithHint("leave `shell` out, or write the script as a string")
	}
	argv := make([]string, len(words))
	for i, w := range words {
		argv[i] = fmt.Sprint(w)
	}
	return argv, nil
}

type program struct {
	options
	argv []string
}

// needed are the variables that programs need to work at all.
var needed = []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "SSL_CERT_FILE", "SSL_CERT_DIR"}

func (p *program) environ() []string {
	var env []string
	for _, name := range append(slices.Clone(needed), p.Inherit...) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for name, v := range p.Env {
		env = append(env, fmt.Sprintf("%s=%v", name, v))
	}
	return env
}

// grace is how long a program has to end after it was asked to.
const grace = 5 * time.Second

// keepLimit is how much of the output is kept as an output of the step.
const keepLimit = 256 << 10

// Run implements step.Step.
func (p *program) Run(ctx context.Context, c *step.Context) (step.Result, error) {
	for _, word := range p.argv {
		if step.Mask(word, c.Secrets) != word {
			return step.Result{}, fault.New(fault.Config, "an argument of the program holds a secret, which every process on this machine could read").
				WithHint("pass it in `env`, and let the program read it from there")
		}
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...) //nolint:gosec,noctx // the user's own program; procgroup stops it
	cmd.Dir = filepath.Join(c.Dir, filepath.FromSlash(p.Dir))
	cmd.Env = p.environ()
	cmd.Stdin = strings.NewReader(p.Stdin)
	cmd.WaitDelay = grace
	out, errs := newLines(c, p.JSON), newLines(c, false)
	cmd.Stdout, cmd.Stderr = out, errs
	err := procgroup.Run(ctx, cmd, grace)
	out.close()
	errs.close()
	code := cmd.ProcessState.ExitCode() // -1 for nil and where a signal ended it
	if code >= 0 && slices.Contains(p.ExitCodes, code) && !errors.Is(err, procgroup.ErrStopped) {
		err = nil
	}
	if err != nil {
		return step.Result{}, p.failed(ctx, err, code, errs.last, out.last)
	}
	return p.outputs(out.kept.String(), code, c)
}

func (p *program) failed(ctx context.Context, err error, code int, tails ...[]string) error {
	if errors.Is(err, procgroup.ErrStopped) {
		return fmt.Errorf("%s was stopped: %w", p.argv[0], context.Cause(ctx))
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(fault.NotFound, errors.Unwrap(err), "run %q", p.argv[0]).WithHint("install it, or put its folder on PATH")
	}
	f := fault.New(fault.Provider, "%s ended with status %d", p.argv[0], code)
	if code < 0 {
		f = fault.Wrap(fault.Provider, err, "run %q", p.argv[0])
	}
	for _, tail := range tails {
		if len(tail) > 0 {
			return f.WithDetail(tail...)
		}
	}
	return f
}

func (p *program) outputs(text string, code int, c *step.Context) (step.Result, error) {
	if !p.JSON {
		return step.Result{Outputs: map[string]any{"stdout": c.Mask(strings.TrimRight(text, "\r\n")), "exit_code": code}}, nil
	}
	var outputs map[string]any
	if err := json.Unmarshal([]byte(text), &outputs); err != nil {
		return step.Result{}, fault.New(fault.Provider, "%s did not print a JSON object", p.argv[0]).WithHint("leave `json` out, and its text is the output `stdout`")
	}
	res := step.Result{Outputs: outputs}
	for name, v := range outputs { // what carries a secret on is one
		if raw, err := json.Marshal(v); err == nil && c.Mask(string(raw)) != string(raw) {
			res.Sensitive = append(res.Sensitive, name)
		}
	}
	return res, nil
}

// lines passes output on line by line, redacted, and keeps its beginning and
// its end.
type lines struct {
	c     *step.Context
	w     *io.PipeWriter
	done  chan struct{}
	kept  strings.Builder
	last  []string
	quiet bool
}

func newLines(c *step.Context, quiet bool) *lines {
	r, w := io.Pipe()
	l := &lines{c: c, w: w, done: make(chan struct{}), quiet: quiet}
	go l.read(r)
	return l
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	if room := keepLimit - l.kept.Len(); room > 0 {
		l.kept.Write(p[:min(room, len(p))])
	}
	return l.w.Write(p)
}

const lineLimit, tailLines = 64 << 10, 20

func (l *lines) read(r *io.PipeReader) {
	defer close(l.done)
	buf := bufio.NewReaderSize(r, lineLimit)
	for {
		raw, _, err := buf.ReadLine()
		if err != nil {
			return
		}
		line := l.c.Mask(string(raw))
		if l.last = append(l.last, line); len(l.last) > tailLines {
			l.last = l.last[1:]
		}
		if !l.quiet {
			l.c.Log(line)
		}
	}
}

func (l *lines) close() {
	_ = l.w.Close()
	<-l.done
}
