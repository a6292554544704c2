package project

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/build/push"
	"github.com/gocodealone/wfctl/deliver"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// The resource types of the provider.
const (
	TypeImage     = "image"
	TypePush      = "push"
	TypeMigration = "migration"
	TypeGate      = "gate"
	TypeSecret    = "secret"
	TypeJobSecret = "job_secret"
)

// Options say where things are. The zero value of the others is right for
// wfctl itself.
type Options struct {
	// BaseDir is the absolute folder of the application file. Configure can
	// name it too.
	BaseDir string
	// ImagesDir is the absolute folder that holds the OCI layouts:
	// .wfctl/images.
	ImagesDir string
	// Builders are the image builders by name; nil means build.Builders.
	Builders map[string]build.Builder
	// Registries are where images are brought to, Held tells whether they have
	// one. Both may be nil.
	Registries func() (*registry.Set, error)
	Held       func(image, digest string) bool
	// Getenv finds keys and tokens to sign images with; nil is os.Getenv.
	// Version is wfctl's, for provenance.
	Getenv  func(string) string
	Version string
	// Pusher brings images there; nil is a new one.
	Pusher *push.Pusher
	// Transport makes the gates' HTTP requests; nil is the real one.
	Transport http.RoundTripper
	// Redactor masks what services give back that wfctl knows of elsewhere.
	Redactor *secret.Redactor
	// Sinks are where secrets are brought to.
	Sinks *deliver.Sinks
	// Now and Sleep are the clock; nil is the system's.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// resourceType is one type's share of [sdk.Provider].
type resourceType interface {
	schema() sdk.ResourceSchema
	// doing says in an error what was being done.
	doing() string
	validate(req *sdk.ValidateRequest) []sdk.Diagnostic
	diff(ctx context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error)
	create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error)
	read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error)
	update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error)
	remove(ctx context.Context, req *sdk.DeleteRequest) error
}

// place is the folder that relative paths start from; Configure settles it.
type place struct{ baseDir string }

func (p *place) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.baseDir, filepath.FromSlash(path))
}

type provider struct {
	place *place
	types []resourceType
}

// New makes the provider. Its types are sorted by name.
func New(o Options) sdk.Provider {
	if o.Builders == nil {
		o.Builders = build.Builders(build.Host{})
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sinks == nil {
		o.Sinks = &deliver.Sinks{}
	}
	if o.Registries == nil {
		o.Registries = func() (*registry.Set, error) {
			return registry.NewSet(kind.Set[registry.Kind]{}, nil, registry.Host{}), nil
		}
	}
	if o.Held == nil {
		o.Held = func(string, string) bool { return false }
	}
	if o.Pusher == nil {
		o.Pusher = &push.Pusher{}
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	p, store := &place{o.BaseDir}, build.NewStore(o.ImagesDir)
	return &provider{place: p, types: []resourceType{
		&gate{place: p, redactor: o.Redactor, transport: o.Transport, now: o.Now, sleep: o.Sleep},
		&image{place: p, store: store, builders: o.Builders, held: o.Held},
		&secrets{name: TypeJobSecret, sinks: o.Sinks, job: true},
		&migration{place: p, now: o.Now},
		&delivery{store: store, registries: o.Registries, pusher: o.Pusher, attacher: &attacher{place: p, store: store, getenv: o.Getenv, version: o.Version}},
		&secrets{name: TypeSecret, sinks: o.Sinks},
	}}
}

// Schema implements sdk.Provider.
func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	s := &sdk.Schema{Name: "project", Config: []byte(`{"type":"object","additionalProperties":false,"properties":{}}`)}
	for _, t := range p.types {
		s.Types = append(s.Types, t.schema())
	}
	return s, nil
}

var errNil = sdk.Errorf(sdk.CodeInvalid, "the request is nil")

// Configure implements sdk.Provider.
func (p *provider) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	if req == nil {
		return nil, errNil
	}
	if req.BaseDir != "" {
		p.place.baseDir = req.BaseDir
	}
	return &sdk.ConfigureResponse{}, nil
}

func (p *provider) of(name string) (resourceType, error) {
	for _, t := range p.types {
		if t.schema().Name == name {
			return t, nil
		}
	}
	return nil, sdk.Errorf(sdk.CodeInvalid, "provider project has no type %q", name).
		WithHint("it has image, push, migration, gate, secret and job_secret")
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
func (p *provider) Diff(ctx context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	res, err := t.diff(ctx, req)
	return res, coded(t.doing(), err)
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
	res, err := t.create(ctx, req, report)
	return res, coded(t.doing(), err)
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
	res, err := t.read(ctx, req)
	return res, coded(t.doing(), err)
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
	res, err := t.update(ctx, req, report)
	return res, coded(t.doing(), err)
}

// Delete implements sdk.Provider.
func (p *provider) Delete(ctx context.Context, req *sdk.DeleteRequest, _ sdk.Reporter) (*sdk.DeleteResponse, error) {
	if req == nil {
		return nil, errNil
	}
	t, err := p.of(req.Type)
	if err != nil {
		return nil, err
	}
	if err := t.remove(ctx, req); err != nil {
		return nil, coded(t.doing(), err)
	}
	return &sdk.DeleteResponse{}, nil
}

// recorded tells a resource that is known from one whose creation was
// interrupted: doing that again does no harm, so it counts as absent.
func recorded(req *sdk.ReadRequest) bool { return req.Prior != nil && req.Prior.ID != "" }

// coded gives an error of build, migrate or verify its code of the contract.
// The fault stays inside, with its position and detail.
func coded(doing string, err error) error {
	var own *sdk.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	e := &sdk.Error{Code: sdk.CodeOf(err), Message: doing, Err: err}
	var f *fault.Error
	if errors.As(err, &f) {
		e.Code, e.Hint = codeOf(f), f.Hint
	}
	return e
}

// codeOf maps the codes of a fault. Only a platform that did not answer maps
// to a code that the host tries again.
func codeOf(f *fault.Error) sdk.Code {
	switch f.Code {
	case fault.Config, fault.Usage, fault.NotFound, fault.Refused:
		return sdk.CodeInvalid
	case fault.Environment:
		return sdk.CodeUnsupported
	case fault.Provider:
		return sdk.CodeUnavailable
	case fault.Locked, fault.Integrity, fault.State:
		return sdk.CodeConflict
	case fault.Interrupted:
		if errors.Is(f, context.DeadlineExceeded) {
			return sdk.CodeDeadline
		}
		return sdk.CodeCancelled
	}
	return sdk.CodeInternal
}
