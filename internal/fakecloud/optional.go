package fakecloud

import (
	"context"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// List implements sdk.Lister.
func (p *provider) List(_ context.Context, req *sdk.ListRequest) (*sdk.ListResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "list", Type: req.Type, Env: req.Environment})
	res := &sdk.ListResponse{}
	return res, p.cloud.do(func(c *contents) error {
		if err := c.fault("list", "", false); err != nil {
			return err
		}
		for _, t := range c.Things {
			if t.Gone || t.Type != req.Type || t.Owner == nil || t.Owner.Project != req.Project || req.Environment != "" && t.Owner.Environment != req.Environment {
				continue
			}
			res.Resources = append(res.Resources, sdk.ListedResource{Type: t.Type, ID: t.ID, Name: t.Name, Owner: *t.Owner, Protected: t.Config.Protected})
		}
		return nil
	})
}

// Import implements sdk.Importer. It tags what it takes over.
func (p *provider) Import(_ context.Context, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "import", Type: req.Type, ID: req.ID, Owner: &req.Ownership})
	var res *sdk.ImportResponse
	return res, p.cloud.do(func(c *contents) error {
		t := c.find(req.Type, req.ID, "", "", nil)
		if t == nil || req.ID == "" {
			return sdk.Errorf(sdk.CodeNotFound, "the cloud has no %s %q", req.Type, req.ID)
		}
		owner := req.Ownership
		t.Owner = &owner
		res = &sdk.ImportResponse{ID: t.ID, Name: t.Name, Config: t.readable(), Outputs: p.cloud.outputs(t)}
		return nil
	})
}

// Health implements sdk.HealthChecker.
func (p *provider) Health(_ context.Context, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "health", Type: req.Type, ID: req.ID, Name: req.Name})
	res := &sdk.HealthResponse{Status: sdk.Healthy}
	return res, p.cloud.do(func(c *contents) error {
		if t := c.find(req.Type, req.ID, "", req.Name, nil); t != nil && t.Sick != "" {
			res.Status, res.Reason = sdk.Unhealthy, t.Sick
		}
		return nil
	})
}

// Logs implements sdk.LogReader.
func (p *provider) Logs(_ context.Context, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	if req == nil {
		return errNil
	}
	p.cloud.note(Request{Op: "logs", Type: req.Type, ID: req.ID, Name: req.Name})
	return line(sdk.LogLine{Time: time.Unix(0, 0).UTC(), Source: req.Name, Text: "hello from " + req.ID})
}

// Diagnose implements sdk.Diagnoser.
func (p *provider) Diagnose(_ context.Context, req *sdk.DiagnoseRequest) (*sdk.DiagnoseResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "diagnose", Type: req.Type, ID: req.ID, Name: req.Name})
	return &sdk.DiagnoseResponse{Diagnostics: []sdk.Diagnostic{{
		Severity: sdk.SeverityError, Message: "the cloud's own words about " + req.Operation + " of " + req.Name,
	}}}, nil
}

// BootstrapState implements sdk.StateBootstrapper.
func (p *provider) BootstrapState(_ context.Context, req *sdk.BootstrapStateRequest, report sdk.Reporter) (*sdk.BootstrapStateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "bootstrap", Name: req.Backend})
	report.Progress("making room for the state", -1)
	return &sdk.BootstrapStateResponse{Created: []string{"a place for " + req.Backend}, Outputs: sdk.Outputs{"secret_key": sdk.SecretOut("s3cret-key")}}, nil
}
