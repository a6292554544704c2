// Package wasm is the step that runs a WebAssembly module of the user's own,
// by wazero: a WASI command that reads its input as JSON from its standard
// input and writes its outputs as a JSON object. It has no files, no network
// and no environment, and its time and memory are bounded.
package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false, "required": ["file"],
  "properties": {
    "file": {"type": "string", "description": "The module, relative to the application file's folder."},
    "input": {"description": "What it reads from its standard input, as JSON."},
    "args": {"type": "array", "items": {"type": "string"}},
    "limits": {"type": "object", "additionalProperties": false, "properties": {
      "time": {"type": "string", "default": "30s"},
      "memory": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 256, "description": "In MiB."}
    }}
  }
}`

type options struct {
	File   string          `json:"file"`
	Input  json.RawMessage `json:"input"`
	Args   []string        `json:"args"`
	Limits struct {
		Time   step.Duration `json:"time"`
		Memory uint32        `json:"memory"`
	} `json:"limits"`
}

// Kind is the step kind; dir is the folder of the application file.
func Kind(dir string) step.Kind {
	return step.Define("run a WebAssembly module", schema, func(o options) (step.Step, error) {
		code, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(o.File)))
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "read the module")
		}
		if !bytes.HasPrefix(code, []byte("\x00asm")) {
			return nil, fault.New(fault.Config, "%s is no WebAssembly module", o.File).
				WithHint("make one: GOOS=wasip1 GOARCH=wasm go build -o module.wasm .")
		}
		if o.Limits.Time == 0 {
			o.Limits.Time = step.Duration(30 * time.Second)
		}
		if o.Limits.Memory == 0 {
			o.Limits.Memory = 256
		}
		return &module{o, code}, nil
	})
}

type module struct {
	options
	code []byte
}

// pagesPerMiB: a page of WebAssembly has 64 KiB.
const pagesPerMiB = 16

// Run implements step.Step.
func (m *module) Run(ctx context.Context, c *step.Context) (step.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(m.Limits.Time))
	defer cancel()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCloseOnContextDone(true).WithMemoryLimitPages(m.Limits.Memory*pagesPerMiB))
	defer runtime.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, runtime); err != nil {
		return step.Result{}, fault.Wrap(fault.Internal, err, "prepare WASI")
	}
	compiled, err := runtime.CompileModule(ctx, m.code)
	if err != nil {
		return step.Result{}, m.failed(ctx, err, "")
	}
	out, errs := &bounded{limit: 16 << 20}, &bounded{limit: 64 << 10}
	_, err = runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").
		WithArgs(append([]string{m.File}, m.Args...)...).WithStdin(bytes.NewReader(m.Input)).WithStdout(out).WithStderr(errs).
		WithSysWalltime().WithSysNanotime())
	for line := range strings.Lines(errs.String()) {
		c.Log(strings.TrimRight(line, "\r\n"))
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 0 {
		err = nil
	}
	if err != nil {
		return step.Result{}, m.failed(ctx, err, errs.String())
	}
	return m.outputs(out)
}

func (m *module) outputs(out *bounded) (step.Result, error) {
	res := step.Result{Outputs: map[string]any{}}
	if strings.TrimSpace(out.String()) == "" {
		return res, nil
	}
	if err := json.Unmarshal(out.Bytes(), &res.Outputs); err != nil {
		return step.Result{}, fault.New(fault.Config, "%s did not print a JSON object", m.File).WithHint("what is for a person goes to standard error")
	}
	return res, nil
}

func (m *module) failed(ctx context.Context, err error, said string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.New(fault.Config, "%s ran longer than its limit of %s and was stopped", m.File, time.Duration(m.Limits.Time)).
			WithHint("raise `limits.time`, or find the loop that does not end")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *sys.ExitError
	switch {
	case strings.Contains(said, "out of memory") || strings.Contains(err.Error(), "memory"):
		return fault.New(fault.Config, "%s needs more memory than its limit of %d MiB", m.File, m.Limits.Memory).WithHint("raise `limits.memory`")
	case errors.As(err, &exit):
		return fault.New(fault.Provider, "%s ended with status %d", m.File, exit.ExitCode()).WithDetail(lastLines(said)...)
	}
	what, _, _ := strings.Cut(err.Error(), "\n")
	return fault.New(fault.Config, "%s failed: %s", m.File, what).WithDetail(lastLines(said)...)
}

func lastLines(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-10):]
}

// bounded keeps the beginning of what is written.
type bounded struct {
	bytes.Buffer
	limit int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
