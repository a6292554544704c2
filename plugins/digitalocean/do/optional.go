package do

import (
	"context"

	"github.com/gocodealone/wfctl/sdk"
)

// List implements sdk.Lister.
func (p *provider) List(ctx context.Context, req *sdk.ListRequest) (*sdk.ListResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	found, err := k.list(ctx, a, req)
	return &sdk.ListResponse{Resources: found}, err
}

// Import implements sdk.Importer.
func (p *provider) Import(ctx context.Context, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	if req.ID == "" {
		return nil, invalid("", "the request names no identifier")
	}
	return k.adopt(ctx, a, req)
}

// Health implements sdk.HealthChecker.
func (p *provider) Health(ctx context.Context, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	return k.health(ctx, a, req)
}

// Sizes implements sdk.Sizer.
func (p *provider) Sizes(_ context.Context, req *sdk.SizesRequest) (*sdk.SizesResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, err := p.kind(req.Type)
	if err != nil {
		return nil, err
	}
	return &sdk.SizesResponse{Sizes: k.sizes()}, nil
}
