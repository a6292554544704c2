package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// pool holds the providers of one command: made on demand, configured at
// first need, closed at the end.
type pool struct {
	project *Project
	plugins *plugins
	// scope answers for outputs that a provider's configuration refers to.
	scope func() resource.Scope
	// recorded are providers that only state knows of.
	recorded map[resource.Address]resource.ProviderRecord

	mu        sync.Mutex
	instances map[resource.Provider]*instance // one address may change its kind
}

// instance is one provider; its fields are settled once each.
type instance struct {
	id       resource.Provider
	made     sync.Once
	provider sdk.Provider
	schema   *sdk.Schema
	madeErr  error

	mu         sync.Mutex
	configured bool
}

func newPool(p *Project) *pool {
	return &pool{project: p, plugins: newPlugins(p.kinds, p.Dir, p.options), instances: map[resource.Provider]*instance{}, scope: func() resource.Scope { return unknownScope{} }}
}

func (pl *pool) instance(id resource.Provider) *instance {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	in, ok := pl.instances[id]
	if !ok {
		in = &instance{id: id}
		pl.instances[id] = in
	}
	return in
}

// ready makes the instance and reads its schema.
func (pl *pool) ready(ctx context.Context, id resource.Provider) (*instance, error) {
	in := pl.instance(id)
	in.made.Do(func() {
		provider, err := pl.make(ctx, id.Kind)
		if in.madeErr = err; err != nil {
			return
		}
		in.provider = pl.project.watch(string(id.Address), provider)
		in.schema, in.madeErr = in.provider.Schema(ctx)
	})
	return in, in.madeErr
}

// make makes a provider: one that ships in the binary, else a plugin's.
func (pl *pool) make(ctx context.Context, name string) (sdk.Provider, error) {
	if factory, err := pl.project.kinds.Providers.Get(name); err == nil {
		return factory(pl.project.host()), nil
	}
	return pl.plugins.provider(ctx, name)
}

// Schema returns the schema of a resource type, as plan and apply want it.
func (pl *pool) Schema(id resource.Provider, typ string) (*sdk.ResourceSchema, error) {
	in, err := pl.ready(context.Background(), id)
	if err != nil {
		return nil, err
	}
	if rs := in.schema.Type(typ); rs != nil {
		return rs, nil
	}
	err2 := fault.New(fault.Config, "provider %q (%s) has no type %q", id.Address, id.Kind, typ)
	if instead, ok := in.schema.Unsupported[typ]; ok {
		return nil, err2.WithHint("%s", instead)
	}
	var known []string
	for _, t := range in.schema.Types {
		known = append(known, t.Name)
	}
	return nil, err2.WithHint("it has %v", known)
}

// Provider returns a configured provider.
func (pl *pool) Provider(ctx context.Context, id resource.Provider) (sdk.Provider, error) {
	in, err := pl.ready(ctx, id)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.configured {
		return in.provider, nil
	}
	config, err := pl.config(id)
	if err != nil {
		return nil, err
	}
	env := pl.project.Environment()
	_, err = in.provider.Configure(ctx, &sdk.ConfigureRequest{
		Config: config, Project: env.Project(), Environment: env.Name(),
		WorkDir: filepath.Join(pl.project.workDir(), id.Kind, env.Name()), BaseDir: pl.project.BaseDir,
	})
	if err != nil {
		return nil, fault.Wrap(fault.Provider, err, "configure provider %q (%s)", id.Address, id.Kind).At(pl.position(id))
	}
	in.configured = true
	return in.provider, nil
}

// config settles a provider's own configuration: from the file, else from
// what state recorded.
func (pl *pool) config(id resource.Provider) (sdk.Config, error) {
	for _, m := range pl.project.Set.Providers {
		if m.Address != id.Address || m.Kind != id.Kind {
			continue
		}
		resolved, err := m.Config.Resolve(pl.scope())
		if err != nil {
			return sdk.Config{}, err
		}
		if n := len(resolved.Config.Unknown) + len(resolved.Config.Opaque); n > 0 {
			return sdk.Config{}, fault.New(fault.Config, "provider %q is configured with outputs that are not known yet", id.Address).
				At(m.Pos).WithHint("apply what it depends on first: wfctl infra apply --target %s", m.Config.Refs()[0].Address)
		}
		return resolved.Config, nil
	}
	rec, ok := pl.recorded[id.Address]
	if !ok || rec.Kind != id.Kind || len(rec.Config) == 0 {
		return sdk.Config{}, nil
	}
	return withoutFingerprints(rec.Config)
}

func (pl *pool) position(id resource.Provider) fault.Position {
	for _, m := range pl.project.Set.Providers {
		if m.Address == id.Address {
			return m.Pos
		}
	}
	return fault.Position{}
}

// Diff asks a provider, as the planner wants it.
func (pl *pool) Diff(ctx context.Context, id resource.Provider, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	p, err := pl.Provider(ctx, id)
	if err != nil {
		return nil, err
	}
	return p.Diff(ctx, req)
}

// records says which providers a plan would use, for state to remember.
func (pl *pool) record(id resource.Provider) (resource.ProviderRecord, error) {
	in, err := pl.ready(context.Background(), id)
	if err != nil {
		return resource.ProviderRecord{}, err
	}
	rec := resource.ProviderRecord{Provider: id, Version: in.schema.Version}
	for _, m := range pl.project.Set.Providers {
		if m.Address == id.Address {
			resolved, err := m.Config.Resolve(pl.scope())
			if err != nil {
				return rec, err
			}
			rec.Config = resolved.Canonical
		}
	}
	return rec, nil
}

// close ends what the providers hold open.
func (pl *pool) close(ctx context.Context) error {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	var errs []error
	for _, in := range pl.instances {
		if c, ok := in.provider.(sdk.Closer); ok && in.configured {
			errs = append(errs, c.Close(ctx))
		}
	}
	errs = append(errs, pl.plugins.close(ctx))
	return errors.Join(errs...)
}

// withoutFingerprints drops the sensitive members of a recorded provider
// configuration: the provider finds them in the environment.
func withoutFingerprints(canonical json.RawMessage) (sdk.Config, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(canonical, &members); err != nil {
		return sdk.Config{}, fault.Wrap(fault.State, err, "the recorded configuration of a provider cannot be read")
	}
	for name, raw := range members {
		var mark map[string]json.RawMessage
		if json.Unmarshal(raw, &mark) == nil && len(mark) == 1 && mark["$fingerprint"] != nil {
			delete(members, name)
		}
	}
	raw, err := json.Marshal(members)
	return sdk.Config{JSON: raw}, err
}

// unknownScope knows no output: what validate resolves with.
type unknownScope struct{}

// Output implements resource.Scope.
func (unknownScope) Output(resource.Ref) (resource.Known, error) {
	return resource.Known{Unknown: true}, nil
}

// Fingerprint implements resource.Scope; without a key the value of the
// fingerprint carries nothing.
func (unknownScope) Fingerprint(value []byte) string { return fmt.Sprintf("h0:%d", len(value)) }
