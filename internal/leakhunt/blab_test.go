package leakhunt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/gocodealone/wfctl/sdk"
)

// blab is a provider that says what it should not. How is in its
// configuration: where it panics, fails, warns or echoes.
type blab struct{}

const blabSchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {
    "secret": {"type": "string", "x-sensitive": true, "maxLength": 100000},
    "number": {"type": "string", "x-sensitive": true, "pattern": "^[0-9]*$"},
    "how": {"type": "string"}
  }
}`

type blabConfig struct{ Secret, How string }

func decode(c sdk.Config) blabConfig {
	var b blabConfig
	_ = json.Unmarshal(c.Bytes(), &b) // checked against the schema
	return b
}

// Schema implements sdk.Provider.
func (blab) Schema(context.Context) (*sdk.Schema, error) {
	return &sdk.Schema{
		Name: "blab", Version: "1", Config: json.RawMessage(`{"type": "object", "properties": {"token": {"type": "string", "x-sensitive": true}}}`),
		Types: []sdk.ResourceSchema{{
			Name: "blab.thing", Config: json.RawMessage(blabSchema),
			Outputs: []sdk.OutputSchema{{Name: "made", Type: "string", Sensitive: true}, {Name: "echo", Type: "string"}},
		}},
	}, nil
}

// Configure implements sdk.Provider.
func (blab) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	var c struct{ Token string }
	if json.Unmarshal(req.Config.Bytes(), &c) == nil && c.Token != "" {
		return nil, fmt.Errorf("401 for token %q", c.Token)
	}
	return &sdk.ConfigureResponse{}, nil
}

// Validate implements sdk.Provider.
func (blab) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	c := decode(req.Config)
	res := &sdk.ValidateResponse{}
	switch c.How {
	case "invalid":
		res.Diagnostics = append(res.Diagnostics, sdk.Diagnostic{Severity: sdk.SeverityError, Path: "/secret", Message: "a bad secret: " + c.Secret, Hint: fmt.Sprintf("not %q", c.Secret)})
	case "doubtful":
		res.Diagnostics = append(res.Diagnostics, sdk.Diagnostic{Severity: sdk.SeverityWarning, Path: "/secret", Message: "a doubtful secret:\n" + c.Secret})
	case "panic in validate":
		panic(c)
	}
	return res, nil
}

// Diff implements sdk.Provider.
func (blab) Diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	c := decode(req.Config)
	if c.How == "panic in diff" {
		panic(errors.New(c.Secret))
	}
	return &sdk.DiffResponse{Notes: []sdk.Diagnostic{{Severity: sdk.SeverityNote, Message: "noted: " + c.Secret}}}, nil
}

// Create implements sdk.Provider.
func (blab) Create(_ context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	c := decode(req.Config)
	report.Log("logs " + c.Secret)
	report.Progress("working on "+c.Secret, 0.5)
	report.Warn(sdk.Diagnostic{Message: "careful with " + c.Secret, Hint: c.Secret})
	switch c.How {
	case "panic":
		panic(fmt.Sprintf("%#v", c))
	case "fail":
		return nil, &sdk.Error{Code: sdk.CodeInvalid, Message: "no: " + c.Secret, Hint: "use another than\n" + c.Secret, Blockers: []string{c.Secret}, Err: errors.New(c.Secret)}
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: sdk.Outputs{"made": sdk.Out("made of " + c.Secret), "echo": sdk.Out(c.Secret)}}, nil
}

// Read implements sdk.Provider.
func (blab) Read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	c := decode(req.Config)
	if c.How == "panic in read" {
		panic(c.Secret)
	}
	if req.ID == "" {
		return nil, sdk.Errorf(sdk.CodeNotFound, "nothing for %s", c.Secret)
	}
	raw, err := json.Marshal(map[string]string{"secret": c.Secret + "-changed", "how": "drifted " + c.Secret})
	return &sdk.ReadResponse{
		ID: req.ID, Name: req.Name, Healthy: false, Reason: "ill of " + c.Secret,
		Outputs: sdk.Outputs{"made": sdk.Out("made of " + c.Secret), "echo": sdk.Out(c.Secret)}, Config: sdk.Config{JSON: raw},
	}, err
}

// Update implements sdk.Provider.
func (blab) Update(_ context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	return &sdk.UpdateResponse{ID: req.ID, Outputs: sdk.Outputs{"echo": sdk.Out(decode(req.Config).Secret)}}, nil
}

// Delete implements sdk.Provider.
func (blab) Delete(_ context.Context, req *sdk.DeleteRequest, report sdk.Reporter) (*sdk.DeleteResponse, error) {
	report.Log("deleting " + decode(req.Config).Secret)
	return &sdk.DeleteResponse{}, nil
}

// Import implements sdk.Importer: the platform gives the secret back.
func (blab) Import(_ context.Context, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	secret := os.Getenv("CANARY_" + req.ID)
	raw, err := json.Marshal(map[string]string{"secret": secret, "how": "fine"})
	return &sdk.ImportResponse{ID: req.ID, Name: req.ID, Config: sdk.Config{JSON: raw}, Outputs: sdk.Outputs{"made": sdk.Out("made of " + secret)}}, err
}

// Diagnose implements sdk.Diagnoser.
func (blab) Diagnose(_ context.Context, req *sdk.DiagnoseRequest) (*sdk.DiagnoseResponse, error) {
	return &sdk.DiagnoseResponse{Diagnostics: []sdk.Diagnostic{{Message: "the platform says no to " + req.Name}}}, nil
}

// Health implements sdk.HealthChecker.
func (blab) Health(context.Context, *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	panic("health is not known")
}
