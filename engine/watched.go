package engine

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// watched is a provider whose secrets become known as they pass, inputs
// before the call and outputs before its answer is used. What it says in words
// is masked, so that a plan can keep it, and its panics are errors: the
// runtime would print one past every mask. It has the methods of
// all optional parts of the contract; ask with [sdk.As].
type watched struct {
	sdk.Provider
	name  string
	known *knowledge
	// decls is what the modules say of their outputs.
	decls func(module string) map[string]resource.OutputDecl
	sleep func(context.Context, time.Duration) error

	mu      sync.Mutex
	schema  *sdk.Schema
	walkers map[string]*sdk.Walker
}

func (p *Project) watch(name string, provider sdk.Provider) *watched {
	return &watched{Provider: provider, name: name, known: p.secrets, decls: p.outputDecls, sleep: p.options.Sleep, walkers: map[string]*sdk.Walker{}}
}

// outputDecls is what the file says of a module's outputs.
func (p *Project) outputDecls(module string) map[string]resource.OutputDecl {
	if d, ok := p.Set.Node(resource.Address(module)); ok {
		return d.Outputs()
	}
	return nil
}

// guard calls a provider's method.
func guard[T any](method func() (T, error)) (res T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = sdk.Errorf(sdk.CodeInternal, "the provider panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return method()
}

// lookAttempts is how often a platform that asks to wait, or does not answer, is
// asked for something that changes nothing.
const lookAttempts = 4

// patient calls a method that changes nothing, again where its platform is
// busy. What changes something is tried again by who keeps the journal.
func patient[T any](ctx context.Context, w *watched, method func() (T, error)) (res T, err error) {
	err = apply.Retry(ctx, apply.Retrying{Attempts: lookAttempts, Sleep: w.sleep}, func() (err error) {
		res, err = guard(method)
		return err
	})
	return res, err
}

// looks is optional for what changes nothing.
func looks[I, T any](ctx context.Context, w *watched, method func(I) (T, error)) (T, error) {
	return patient(ctx, w, func() (T, error) { return optional(w, method) })
}

// optional calls a method that not every provider has.
func optional[I, T any](w *watched, method func(I) (T, error)) (T, error) {
	impl, ok := sdk.As[I](w.Provider)
	if !ok {
		var none T
		return none, sdk.Errorf(sdk.CodeUnsupported, "provider %q cannot do that", w.name)
	}
	return guard(func() (T, error) { return method(impl) })
}

// walker is that of a resource type's schema; "" is the provider's own.
func (w *watched) walker(typ string) *sdk.Walker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.walkers[typ]; ok || w.schema == nil {
		return known
	}
	raw := w.schema.Config
	if typ != "" {
		raw = nil
		if rs := w.schema.Type(typ); rs != nil {
			raw = rs.Config
		}
	}
	walker, err := sdk.SchemaWalker(raw)
	if err != nil {
		walker = nil // the schema's mistake is reported by who needs it
	}
	w.walkers[typ] = walker
	return walker
}

func (w *watched) typeSchema(typ string) *sdk.ResourceSchema {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.schema == nil {
		return nil
	}
	return w.schema.Type(typ)
}

func (w *watched) inputs(typ, module string, c sdk.Config) {
	w.known.config(module, w.walker(typ), c)
}

func (w *watched) results(typ, module string, outputs sdk.Outputs) sdk.Outputs {
	return w.known.outputs(module, w.typeSchema(typ), w.decls(module), outputs)
}

// say masks what a provider says, where it stands.
func (w *watched) say(texts ...*string) {
	for _, t := range texts {
		*t = w.known.redactor.Text(*t)
	}
}

func (w *watched) sayAll(diags []sdk.Diagnostic) []sdk.Diagnostic {
	own := slices.Clone(diags)
	for i := range own {
		w.say(&own[i].Message, &own[i].Hint)
	}
	return own
}

// Capabilities implements sdk.Capable.
func (w *watched) Capabilities() []sdk.Capability { return sdk.Capabilities(w.Provider) }

// Schema implements sdk.Provider.
func (w *watched) Schema(ctx context.Context) (*sdk.Schema, error) {
	s, err := guard(func() (*sdk.Schema, error) { return w.Provider.Schema(ctx) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.schema = s
	return s, err
}

// Configure implements sdk.Provider.
func (w *watched) Configure(ctx context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	w.inputs("", w.name, req.Config)
	return guard(func() (*sdk.ConfigureResponse, error) { return w.Provider.Configure(ctx, req) })
}

// Validate implements sdk.Provider. What it is asked about is known already,
// by [Project.learn].
func (w *watched) Validate(ctx context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	res, err := guard(func() (*sdk.ValidateResponse, error) { return w.Provider.Validate(ctx, req) })
	if res != nil {
		res = &sdk.ValidateResponse{Diagnostics: w.sayAll(res.Diagnostics)}
	}
	return res, err
}

// Diff implements sdk.Provider.
func (w *watched) Diff(ctx context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	w.inputs(req.Type, req.Ownership.Module, req.Config)
	res, err := guard(func() (*sdk.DiffResponse, error) { return w.Provider.Diff(ctx, req) })
	if res == nil {
		return nil, err
	}
	masked := *res
	masked.Outputs = w.results(req.Type, req.Ownership.Module, res.Outputs)
	masked.Notes = w.sayAll(res.Notes)
	return &masked, err
}

// Create implements sdk.Provider.
func (w *watched) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	w.inputs(req.Type, req.Ownership.Module, req.Config)
	res, err := guard(func() (*sdk.CreateResponse, error) { return w.Provider.Create(ctx, req, report) })
	if res == nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: res.ID, Outputs: w.results(req.Type, req.Ownership.Module, res.Outputs)}, err
}

// Read implements sdk.Provider.
func (w *watched) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	w.inputs(req.Type, req.Ownership.Module, req.Config)
	res, err := patient(ctx, w, func() (*sdk.ReadResponse, error) { return w.Provider.Read(ctx, req) })
	if res == nil {
		return nil, err
	}
	w.inputs(req.Type, req.Ownership.Module, res.Config)
	masked := *res
	masked.Outputs = w.results(req.Type, req.Ownership.Module, res.Outputs)
	w.say(&masked.Reason)
	return &masked, err
}

// Update implements sdk.Provider.
func (w *watched) Update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	w.inputs(req.Type, req.Ownership.Module, req.Config)
	res, err := guard(func() (*sdk.UpdateResponse, error) { return w.Provider.Update(ctx, req, report) })
	if res == nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: res.ID, Outputs: w.results(req.Type, req.Ownership.Module, res.Outputs)}, err
}

// Delete implements sdk.Provider.
func (w *watched) Delete(ctx context.Context, req *sdk.DeleteRequest, report sdk.Reporter) (*sdk.DeleteResponse, error) {
	w.inputs(req.Type, req.Ownership.Module, req.Config)
	return guard(func() (*sdk.DeleteResponse, error) { return w.Provider.Delete(ctx, req, report) })
}

// List implements sdk.Lister.
func (w *watched) List(ctx context.Context, req *sdk.ListRequest) (*sdk.ListResponse, error) {
	return looks(ctx, w, func(p sdk.Lister) (*sdk.ListResponse, error) { return p.List(ctx, req) })
}

// Import implements sdk.Importer.
func (w *watched) Import(ctx context.Context, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	res, err := looks(ctx, w, func(p sdk.Importer) (*sdk.ImportResponse, error) { return p.Import(ctx, req) })
	if res == nil {
		return nil, err
	}
	marked := *res
	if walker := w.walker(req.Type); walker != nil {
		marked.Config.Sensitive = append(slices.Clone(res.Config.Sensitive), walker.SensitivePaths(res.Config.Bytes())...)
	}
	w.known.config(req.Ownership.Module, nil, marked.Config)
	marked.Outputs = w.results(req.Type, req.Ownership.Module, res.Outputs)
	return &marked, err
}

// Health implements sdk.HealthChecker.
func (w *watched) Health(ctx context.Context, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	res, err := looks(ctx, w, func(p sdk.HealthChecker) (*sdk.HealthResponse, error) { return p.Health(ctx, req) })
	if res == nil {
		return nil, err
	}
	masked := *res
	w.say(&masked.Reason)
	return &masked, err
}

// Sizes implements sdk.Sizer.
func (w *watched) Sizes(ctx context.Context, req *sdk.SizesRequest) (*sdk.SizesResponse, error) {
	return optional(w, func(p sdk.Sizer) (*sdk.SizesResponse, error) { return p.Sizes(ctx, req) })
}

// EnsureRegistry implements sdk.RegistryProvider.
func (w *watched) EnsureRegistry(ctx context.Context, req *sdk.EnsureRegistryRequest, report sdk.Reporter) (*sdk.EnsureRegistryResponse, error) {
	w.known.config(w.name, nil, req.Options)
	return optional(w, func(p sdk.RegistryProvider) (*sdk.EnsureRegistryResponse, error) {
		return p.EnsureRegistry(ctx, req, report)
	})
}

// RegistryCredential implements sdk.RegistryProvider.
func (w *watched) RegistryCredential(ctx context.Context, req *sdk.RegistryCredentialRequest) (*sdk.RegistryCredentialResponse, error) {
	res, err := optional(w, func(p sdk.RegistryProvider) (*sdk.RegistryCredentialResponse, error) {
		return p.RegistryCredential(ctx, req)
	})
	if res != nil {
		w.known.redactor.Add(secret.FromString(res.Password.Reveal()))
	}
	return res, err
}

// WriteSecret implements sdk.SecretWriter.
func (w *watched) WriteSecret(ctx context.Context, req *sdk.WriteSecretRequest) (*sdk.WriteSecretResponse, error) {
	w.known.config(w.name, nil, req.Options)
	w.known.redactor.Add(secret.FromString(req.Value.Reveal()))
	return optional(w, func(p sdk.SecretWriter) (*sdk.WriteSecretResponse, error) { return p.WriteSecret(ctx, req) })
}

// BootstrapState implements sdk.StateBootstrapper.
func (w *watched) BootstrapState(ctx context.Context, req *sdk.BootstrapStateRequest, report sdk.Reporter) (*sdk.BootstrapStateResponse, error) {
	w.known.config(w.name, nil, req.Config)
	res, err := optional(w, func(p sdk.StateBootstrapper) (*sdk.BootstrapStateResponse, error) {
		return p.BootstrapState(ctx, req, report)
	})
	if res != nil {
		w.known.outputs(w.name, nil, nil, res.Outputs)
	}
	return res, err
}

// Logs implements sdk.LogReader.
func (w *watched) Logs(ctx context.Context, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	_, err := optional(w, func(p sdk.LogReader) (struct{}, error) { return struct{}{}, p.Logs(ctx, req, line) })
	return err
}

// Diagnose implements sdk.Diagnoser.
func (w *watched) Diagnose(ctx context.Context, req *sdk.DiagnoseRequest) (*sdk.DiagnoseResponse, error) {
	res, err := optional(w, func(p sdk.Diagnoser) (*sdk.DiagnoseResponse, error) { return p.Diagnose(ctx, req) })
	if res != nil {
		res = &sdk.DiagnoseResponse{Diagnostics: w.sayAll(res.Diagnostics)}
	}
	return res, err
}

// Close implements sdk.Closer.
func (w *watched) Close(ctx context.Context) error {
	if c, ok := w.Provider.(sdk.Closer); ok {
		return c.Close(ctx)
	}
	return nil
}
