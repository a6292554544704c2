// Package validate is the step that checks a value against a JSON Schema. The
// schema is compiled when the pipeline is read, once.
package validate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

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
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(o.Value))
			if err != nil {
				return step.Result{}, fault.Wrap(fault.Config, err, "read the value")
			}
			return step.Result{Outputs: map[string]any{"valid": true}}, s.Check(v)
		}), nil
	}).AsPure()
}

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct{ compiled *jsonschema.Schema }

// Compile compiles a schema. Formats are checked; nothing is fetched.
func Compile(raw json.RawMessage) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "read the schema")
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(nothing{})
	const name = "schema.json"
	if err := c.AddResource(name, doc); err != nil {
		return nil, fault.Wrap(fault.Config, err, "read the schema")
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "the schema is not valid")
	}
	return &Schema{compiled}, nil
}

// nothing loads no other documents.
type nothing struct{}

// Load implements jsonschema.URLLoader.
func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside the schema; put it under $defs", url)
}

// Check reports everything that is wrong with a value as encoding/json
// decodes it.
func (s *Schema) Check(v any) error {
	err := s.compiled.Validate(v)
	if err == nil {
		return nil
	}
	var lines []string
	if invalid, ok := err.(*jsonschema.ValidationError); ok { //nolint:errorlint // it is what Validate returns
		lines = leaves(invalid, nil)
	}
	if len(lines) == 0 {
		lines = []string{err.Error()}
	}
	return fault.New(fault.Config, "the value is not valid: %s", strings.Join(lines, "; ")).WithHint("compare it with the schema")
}

// leaves are the findings that are not there for the sake of others.
func leaves(e *jsonschema.ValidationError, to []string) []string {
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			to = leaves(c, to)
		}
		return to
	}
	at := "/" + strings.Join(e.InstanceLocation, "/")
	_, what, ok := strings.Cut(e.Error(), "': ")
	if !ok {
		what = e.Error()
	}
	return append(to, at+": "+what)
}
