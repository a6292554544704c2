// Package validate is the step that checks a value against a JSON Schema. The
// schema is compiled when the pipeline is read, once.
package validate

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false, "required": ["value"],
  "oneOf": [{"required": ["schema"]}, {"required": ["schema_file"]}],
  "properties": {
    "value": {"description": "What to check."},
    "schema": {"type": ["object", "boolean"], "description": "The JSON Schema."},
    "schema_file": {"type": "string", "description": "A file that holds it, relative to the application file's folder."}
  }
}`

type options struct {
	Value  json.RawMessage `json:"value"`
	Schema json.RawMessage `json:"schema"`
	File   string          `json:"schema_file"`
}

// Kind is the step kind; dir is the folder of the application file.
func Kind(dir string) step.Kind {
	return step.Define("check a value against a JSON Schema", schema, func(o options) (step.Step, error) {
		if o.File != "" {
			raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(o.File)))
			if err != nil {
				return nil, fault.Wrap(fault.Config, err, "read the schema")
			}
			o.Schema = raw
		}
		s, err := Compile(o.Schema)
		if err != nil {
			return nil, err
		}
		return step.Func(func(context.Context, *step.Context) (step.Result, error) {
			v, err := decode(o.Value)
			if err != nil {
				return step.Result{}, fault.Wrap(fault.Config, err, "read the value")
			}
			return step.Result{Outputs: map[string]any{"valid": true}}, s.Check(v)
		}), nil
	}).AsPure()
}
