package golang

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false,
  "oneOf": [{"required": ["file"]}, {"required": ["source"]}],
  "properties": {
    "file": {"type": "string", "description": "The Go file, relative to the application file's folder. It is read when the step's turn comes, and each time."},
    "source": {"type": "string", "description": "The code itself."},
    "input": {"type": "object", "description": "What Execute gets."},
    "limits": {"type": "object", "additionalProperties": false, "properties": {
      "time": {"type": "string", "default": "30s"},
      "memory": {"type": "integer", "minimum": 16, "default": 256, "description": "In MiB."}
    }}
  }
}`

type options struct {
	File   string         `json:"file"`
	Source string         `json:"source"`
	Input  map[string]any `json:"input"`
	Limits struct {
		Time   step.Duration `json:"time"`
		Memory int64         `json:"memory"`
	} `json:"limits"`
}

// The limits where the step says nothing.
const (
	defaultTime   = 30 * time.Second
	defaultMemory = 256
)

// Kind is the step kind; dir is the folder of the application file.
func Kind(dir string, workers *Workers) step.Kind {
	return step.Define("run Go code of your own", schema, func(o options) (step.Step, error) {
		call := Call{ID: "the component", Text: o.Source, Input: o.Input, Timeout: time.Duration(o.Limits.Time), Memory: o.Limits.Memory << 20}
		if o.File != "" {
			raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(o.File)))
			if err != nil {
				return nil, fault.Wrap(fault.Config, err, "read the component")
			}
			call.ID, call.Text = o.File, string(raw)
		}
		if call.Timeout == 0 {
			call.Timeout = defaultTime
		}
		if call.Memory == 0 {
			call.Memory = defaultMemory << 20
		}
		if call.Input == nil {
			call.Input = map[string]any{}
		}
		if _, err := Check(call.ID, call.Text); err != nil {
			return nil, err
		}
		return step.Func(func(ctx context.Context, c *step.Context) (step.Result, error) {
			call.Log = c.Log
			out, err := workers.Call(ctx, call)
			return step.Result{Outputs: out}, err
		}), nil
	})
}
