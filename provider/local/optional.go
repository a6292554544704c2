package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
)

// List implements sdk.Lister: what the folders hold, so that it works with
// state lost. Every resource below WorkDir is of one environment.
func (p *provider) List(_ context.Context, req *sdk.ListRequest) (*sdk.ListResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, err := p.kind(req.Type)
	if err != nil {
		return nil, err
	}
	things, err := p.things(k)
	if err != nil {
		return nil, err
	}
	resp := &sdk.ListResponse{}
	for _, t := range things {
		if t.Owner.Project != req.Project || req.Environment != "" && t.Owner.Environment != req.Environment {
			continue
		}
		resp.Resources = append(resp.Resources, sdk.ListedResource{Type: t.Type, ID: t.ID, Name: t.Name, Owner: t.Owner})
	}
	return resp, nil
}

// things loads every resource of a kind.
func (p *provider) things(k kind) ([]*thing, error) {
	dir := filepath.Join(p.work, k.folder())
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*thing
	for _, e := range entries {
		t, err := loadThing(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if t != nil {
			all = append(all, t)
		}
	}
	return all, nil
}

// Import implements sdk.Importer: a resource that the folders hold gets into
// the hands of the module that asks.
func (p *provider) Import(ctx context.Context, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, t, err := p.find(req.Type, req.ID, "")
	if err != nil {
		return nil, err
	}
	c, err := k.look(ctx, t)
	if err != nil {
		return nil, err
	}
	if c.gone || !t.Ready {
		return nil, notFound(req.Type, t.Name)
	}
	if t.Owner = req.Ownership; t.save() != nil {
		return nil, sdk.Errorf(sdk.CodeInternal, "%s cannot be written", t.path(recordFile))
	}
	out, err := k.outputs(ctx, t)
	if err != nil {
		return nil, err
	}
	return &sdk.ImportResponse{ID: t.ID, Name: t.Name, Config: sdk.Config{JSON: c.config}, Outputs: out}, nil
}

// Health implements sdk.HealthChecker.
func (p *provider) Health(ctx context.Context, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, t, err := p.find(req.Type, req.ID, req.Name)
	if err != nil {
		return nil, err
	}
	c, err := k.look(ctx, t)
	if err != nil {
		return nil, err
	}
	if c.gone {
		return nil, notFound(req.Type, t.Name)
	}
	return &sdk.HealthResponse{Status: c.status, Reason: c.reason}, nil
}

// Logs implements sdk.LogReader.
func (p *provider) Logs(ctx context.Context, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	if req == nil {
		return errNoRequest
	}
	_, dir, err := p.locate(req.Type, req.ID, req.Name)
	if err != nil {
		return err
	}
	id, err := filepath.Rel(p.work, dir)
	if err != nil {
		return err
	}
	q := supervisor.LogQuery{Tail: req.Tail, Since: req.Since, Follow: req.Follow}
	return supervisor.ReadLog(ctx, p.work, filepath.ToSlash(id), q, func(l supervisor.LogLine) error {
		return line(sdk.LogLine{Time: l.Time, Source: l.Source, Text: l.Text})
	})
}

// Diagnose implements sdk.Diagnoser: why the last operation failed, what the
// machine says now, and the end of the log.
func (p *provider) Diagnose(ctx context.Context, req *sdk.DiagnoseRequest) (*sdk.DiagnoseResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, t, err := p.find(req.Type, req.ID, req.Name)
	if sdk.IsNotFound(err) {
		return &sdk.DiagnoseResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	resp := &sdk.DiagnoseResponse{}
	add := func(message string) {
		resp.Diagnostics = append(resp.Diagnostics, sdk.Diagnostic{Severity: sdk.SeverityError, Message: message})
	}
	if t.Failure != "" {
		add(t.Failure)
	}
	if c, err := k.look(ctx, t); err == nil && c.reason != "" && !strings.Contains(t.Failure, c.reason) {
		add(c.reason)
	}
	resp.Diagnostics = append(resp.Diagnostics, p.lastLines(ctx, t)...)
	return resp, nil
}

func (p *provider) lastLines(ctx context.Context, t *thing) []sdk.Diagnostic {
	var lines []string
	q := supervisor.LogQuery{Tail: 10}
	err := supervisor.ReadLog(ctx, p.work, t.ID, q, func(l supervisor.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil || len(lines) == 0 {
		return nil
	}
	return []sdk.Diagnostic{{
		Severity: sdk.SeverityNote, Message: "the last lines of its log:\n  " + strings.Join(lines, "\n  "),
		Hint: "the log is " + supervisor.LogPath(p.work, t.ID),
	}}
}
