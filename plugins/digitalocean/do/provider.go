package do

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"sync/atomic"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// Name is what an iac.provider module calls the provider.
const Name = "digitalocean"

// Options are what the provider works with. The zero value is right for the
// program.
type Options struct {
	Version string
	Clock   Clock
	// Transport carries requests; nil is HTTP as usual.
	Transport http.RoundTripper
	// Getenv reads the environment; nil is that of the process.
	Getenv func(string) string
}

// provider implements sdk.Provider by the table of types.
type provider struct {
	options Options
	kinds   map[string]kind
	account atomic.Pointer[account]
}

// New makes the provider. It must be configured before it is asked for more
// than its schema and judgement.
func New(o Options) sdk.Provider {
	if o.Clock == nil {
		o.Clock = wallClock{}
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Version == "" {
		o.Version = "v0.0.0-dev"
	}
	p := &provider{options: o, kinds: map[string]kind{}}
	for _, k := range types() {
		p.kinds[k.typeName()] = k
	}
	return p
}

// Schema implements sdk.Provider.
func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	s := &sdk.Schema{
		Name: Name, Version: p.options.Version, Config: sdk.MustSchema[settings](), Environment: environment(),
		Unsupported: unsupported(), Capabilities: sdk.Capabilities(p),
	}
	for _, name := range sortedKeys(p.kinds) {
		s.Types = append(s.Types, p.kinds[name].schema())
	}
	return s, nil
}

// Configure implements sdk.Provider.
func (p *provider) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	s, err := sdk.Decode[settings](req.Config)
	if err != nil {
		return nil, err
	}
	a, err := open(s, p.options)
	if err != nil {
		return nil, err
	}
	a.project, a.environment = req.Project, req.Environment
	p.account.Store(a)
	return &sdk.ConfigureResponse{}, nil
}

func errNoRequest() error { return sdk.Errorf(sdk.CodeInvalid, "there is no request") }

// kind finds a type; one that the platform lacks says what to use instead.
func (p *provider) kind(name string) (kind, error) {
	if k := p.kinds[name]; k != nil {
		return k, nil
	}
	if instead := unsupported()[name]; instead != "" {
		return nil, sdk.Errorf(sdk.CodeUnsupported, "DigitalOcean has no %s", name).WithHint(instead)
	}
	return nil, sdk.Errorf(sdk.CodeInvalid, "provider digitalocean has no type %q", name)
}

// ready finds a type and the account.
func (p *provider) ready(name string) (kind, *account, error) {
	k, err := p.kind(name)
	if err != nil {
		return nil, nil, err
	}
	a := p.account.Load()
	if a == nil {
		return nil, nil, sdk.Errorf(sdk.CodeInvalid, "provider digitalocean is not configured")
	}
	return k, a, nil
}

// Validate implements sdk.Provider.
func (p *provider) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, err := p.kind(req.Type)
	if err != nil {
		return nil, err
	}
	return &sdk.ValidateResponse{Diagnostics: k.validate(req)}, nil
}

// Diff implements sdk.Provider.
func (p *provider) Diff(ctx context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, err := p.kind(req.Type)
	if err != nil {
		return nil, err
	}
	if err := p.placed(req); err != nil {
		return nil, err
	}
	return k.diff(ctx, p.account.Load(), req)
}

// regional are the types that are somewhere in particular.
func regional() []string {
	return []string{infra.TypeCache, infra.TypeDatabase, infra.TypeDroplet, infra.TypeK8sCluster, infra.TypeLoadBalancer, infra.TypeStorage, infra.TypeVPC, infra.TypeVolume}
}

// placed finds in the plan that nobody says where a new resource is to be:
// Validate does not know the provider's own configuration yet.
func (p *provider) placed(req *sdk.DiffRequest) error {
	a := p.account.Load()
	if a == nil || req.Prior != nil || req.Config.IsUnknown("/region") || !slices.Contains(regional(), req.Type) {
		return nil
	}
	var c struct{ Region string }
	if err := json.Unmarshal(req.Config.Bytes(), &c); err != nil {
		return sdk.Wrap(sdk.CodeInvalid, err, "read the configuration")
	}
	_, err := a.place(c.Region)
	return err
}

// Create implements sdk.Provider.
func (p *provider) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	if req.Name == "" {
		return nil, invalid("", "the request names no resource")
	}
	return k.create(ctx, a, req, report)
}

// Read implements sdk.Provider.
func (p *provider) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	if req.ID == "" && req.Name == "" {
		return nil, invalid("", "the request names no resource")
	}
	return k.read(ctx, a, req)
}

// Update implements sdk.Provider.
func (p *provider) Update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	if req.ID == "" && req.Name == "" {
		return nil, invalid("", "the request names no resource")
	}
	return k.update(ctx, a, req, report)
}

// Delete implements sdk.Provider.
func (p *provider) Delete(ctx context.Context, req *sdk.DeleteRequest, report sdk.Reporter) (*sdk.DeleteResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	if req.ID == "" && req.Name == "" {
		return nil, invalid("", "the request names no resource")
	}
	return &sdk.DeleteResponse{}, k.remove(ctx, a, req, report)
}

// Close implements sdk.Closer: connections are kept for the next request.
func (p *provider) Close(ctx context.Context) error {
	a := p.account.Load()
	if a == nil {
		return nil
	}
	defer a.close()
	return a.leave(ctx)
}
