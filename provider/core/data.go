package core

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/gocodealone/wfctl/sdk"
)

// data holds values. It has no effect outside the record.
type data struct{}

const dataSchema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "values": {
      "type": "object",
      "description": "The values, by name; each is reported as the output of that name, with its type.",
      "additionalProperties": true
    }
  }
}`

func (data) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name:           TypeData,
		Description:    "Holds values, reports them as outputs and does nothing else.",
		Config:         []byte(dataSchema),
		DynamicOutputs: true,
		Pure:           true,
	}
}

func (data) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	if _, err := dataOutputs(req.Config); err != nil {
		return []sdk.Diagnostic{{Severity: sdk.SeverityError, Path: "/values", Message: err.Error()}}
	}
	return nil
}

// diff promises every value that is at hand already at plan time.
func (data) diff(req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	outputs, err := dataOutputs(req.Config)
	return &sdk.DiffResponse{Outputs: outputs}, err
}

func (data) create(_ context.Context, req *sdk.CreateRequest, _ sdk.Reporter) (*sdk.CreateResponse, error) {
	outputs, err := dataOutputs(req.Config)
	if err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: outputs}, nil
}

// read answers from the configuration where the host has it, for that is
// where sensitive values are, and from the record for the rest: there is no
// other place where a core.data exists.
func (data) read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req.Prior == nil {
		return nil, sdk.Errorf(sdk.CodeNotFound, "core.data %q is not recorded", req.Name)
	}
	outputs, err := dataOutputs(req.Config)
	if err != nil {
		return nil, err
	}
	for name, out := range req.Prior.Outputs {
		if _, ok := outputs[name]; !ok && !out.Sensitive() {
			outputs[name] = out
		}
	}
	return &sdk.ReadResponse{ID: req.Prior.ID, Name: req.Name, Outputs: outputs, Healthy: true}, nil
}

func (data) update(_ context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	outputs, err := dataOutputs(req.Config)
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: req.ID, Outputs: outputs}, nil
}

func (data) remove(context.Context, *sdk.DeleteRequest, sdk.Reporter) error { return nil }

// dataOutputs are the values that are known and at hand. One that holds a
// sensitive value anywhere is sensitive.
func dataOutputs(c sdk.Config) (sdk.Outputs, error) {
	var config struct {
		Values map[string]json.RawMessage `json:"values"`
	}
	dec := json.NewDecoder(bytes.NewReader(c.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&config); err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "core.data takes an object of values: %v", decodeReason(err))
	}
	outputs := make(sdk.Outputs, len(config.Values))
	for name, raw := range config.Values {
		path := sdk.Path("/values").Child(name)
		if touches(c.Unknown, path) || touches(c.Opaque, path) {
			continue
		}
		outputs[name] = sdk.RawOutput(raw, touches(c.Sensitive, path))
	}
	return outputs, nil
}

// touches tells whether one of the paths lies at, above or below p.
func touches(paths []sdk.Path, p sdk.Path) bool {
	return slices.ContainsFunc(paths, func(q sdk.Path) bool { return p.HasPrefix(q) || q.HasPrefix(p) })
}
