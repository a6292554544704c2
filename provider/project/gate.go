package project

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/verify"
)

// gate adapts package verify. Creating and updating it ask the targets;
// there is nothing to delete.
type gate struct {
	place     *place
	redactor  *secret.Redactor
	transport http.RoundTripper
	now       func() time.Time
	sleep     func(context.Context, time.Duration) error
}

func (*gate) doing() string { return "check the gate" }

// gateTimeout bounds a gate in seconds, over what its own timeout says.
const gateTimeout = 3600

func (g *gate) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name:          TypeGate,
		Description:   "Asks services until they work, and fails where they do not in time.",
		Config:        []byte(verify.Schema),
		Triggered:     true,
		CreateTimeout: gateTimeout,
		UpdateTimeout: gateTimeout,
	}
}

func (g *gate) config(c sdk.Config) (verify.Config, error) {
	var config verify.Config
	dec := json.NewDecoder(bytes.NewReader(c.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&config); err != nil {
		return config, sdk.Errorf(sdk.CodeInvalid, "the configuration of a gate cannot be used: %v", err)
	}
	return config, nil
}

// validate leaves addresses alone that are not known yet.
func (g *gate) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	config, err := g.config(req.Config)
	if err != nil {
		return diagnose(err)
	}
	for i := range config.Targets {
		t := &config.Targets[i]
		path := sdk.Path("/targets").Index(i)
		for name, into := range map[string]*string{"url": &t.URL, "tcp": &t.TCP, "grpc": &t.GRPC, "dns": &t.DNS, "expect_jq": &t.ExpectJQ} {
			if req.Config.IsUnknown(path.Child(name)) {
				*into = map[string]string{"url": "http://unknown"}[name]
			}
		}
	}
	var list fault.List
	if err := config.Check(); !errors.As(err, &list) {
		return diagnose(err)
	}
	var found []sdk.Diagnostic
	for _, f := range list {
		found = append(found, sdk.Diagnostic{Severity: sdk.SeverityError, Path: "/targets", Message: f.Error(), Hint: f.Hint})
	}
	return found
}

func (*gate) diff(context.Context, *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return &sdk.DiffResponse{}, nil
}

func (g *gate) create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if err := g.check(ctx, req.Config, report); err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: sdk.Outputs{}}, nil
}

func (g *gate) update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	if err := g.check(ctx, req.Config, report); err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: req.ID, Outputs: sdk.Outputs{}}, nil
}

func (g *gate) check(ctx context.Context, c sdk.Config, report sdk.Reporter) error {
	config, err := g.config(c)
	if err != nil {
		return err
	}
	r, err := verify.Run(ctx, config, verify.Options{
		Secrets: c.SensitiveTexts(), Redactor: g.redactor, Transport: g.transport, Dir: g.place.baseDir, Now: g.now, Sleep: g.sleep,
		Progress: func(a verify.Attempt) { report.Progress(a.String(), -1) },
	})
	if err != nil {
		return err
	}
	err = r.Err()
	var f *fault.Error
	if !errors.As(err, &f) {
		return nil
	}
	logDetail(err, report)
	// Not a code that is tried again: the gate has tried, for its whole time.
	return &sdk.Error{Code: sdk.CodeInternal, Message: f.Message, Hint: f.Hint}
}

// read knows no platform to ask: a gate that was passed was passed.
func (*gate) read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if !recorded(req) {
		return nil, sdk.Errorf(sdk.CodeNotFound, "gate %q has not been passed", req.Name)
	}
	return &sdk.ReadResponse{ID: req.Prior.ID, Name: req.Name, Outputs: sdk.Outputs{}, Healthy: true}, nil
}

func (*gate) remove(context.Context, *sdk.DeleteRequest) error { return nil }
