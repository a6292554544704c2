package core

import (
	"context"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// The resource types of the provider.
const (
	TypeData    = "core.data"
	TypeCommand = "core.command"
)

// resourceType is one type's share of [sdk.Provider].
type resourceType interface {
	schema() sdk.ResourceSchema
	validate(req *sdk.ValidateRequest) []sdk.Diagnostic
	diff(req *sdk.DiffRequest) (*sdk.DiffResponse, error)
	create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error)
	read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error)
	update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error)
	remove(ctx context.Context, req *sdk.DeleteRequest, report sdk.Reporter) error
}

type provider struct {
	command *command
	types   map[string]resourceType
}

// New makes the provider.
func New() sdk.Provider {
	c := &command{grace: 5 * time.Second, linger: 2 * time.Second}
	return &provider{command: c, types: map[string]resourceType{TypeData: data{}, TypeCommand: c}}
}

// Schema implements sdk.Provider.
func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	return &sdk.Schema{
		Name:   "core",
		Config: []byte(`{"type":"object","additionalProperties":false,"properties":{}}`),
		Types:  []sdk.ResourceSchema{p.types[TypeCommand].schema(), p.types[TypeData].schema()},
	}, nil
}

// Configure implements sdk.Provider.
func (p *provider) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.command.baseDir = req.BaseDir
	return &sdk.ConfigureResponse{}, nil
}

var errNil = sdk.Errorf(sdk.CodeInvalid, "the request is nil")

// of finds the type that a request names.
func (p *provider) of(name string) (resourceType, error) {
	if t, ok := p.types[name]; ok {
		return t, nil
	}
	return nil, sdk.Errorf(sdk.CodeInvalid, "provider core has no type %q", name).
		WithHint("it has core.command and core.data")
}

// Validate implements sdk.Provider.
func (p *provider) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	return &sdk.ValidateResponse{Diagnostics: t.validate(req)}, nil
}

// Diff implements sdk.Provider.
func (p *provider) Diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	return t.diff(req)
}

// Create implements sdk.Provider.
func (p *provider) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	return t.create(ctx, req, report)
}

// Read implements sdk.Provider.
func (p *provider) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	return t.read(ctx, req)
}

// Update implements sdk.Provider.
func (p *provider) Update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	return t.update(ctx, req, report)
}

// Delete implements sdk.Provider.
func (p *provider) Delete(ctx context.Context, req *sdk.DeleteRequest, report sdk.Reporter) (*sdk.DeleteResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	if err := t.remove(ctx, req, report); err != nil {
		return nil, err
	}
	return &sdk.DeleteResponse{}, nil
}
