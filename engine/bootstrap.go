package engine

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Bootstrapped is what was made for the state to live in.
type Bootstrapped struct {
	Backend string   `json:"backend"`
	Place   string   `json:"place"`
	Created []string `json:"created"`
	// Outputs are what a provider gives besides: the key to a bucket. Sensitive
	// ones are with their values.
	Outputs []Output `json:"-"`
}

// StateProvider is the provider that the module iac.state names to make its
// storage; the zero one for none.
func (p *Project) StateProvider() (resource.Provider, error) {
	req, err := p.backendRequest()
	if err != nil || req.Provider == "" {
		return resource.Provider{}, err
	}
	for _, m := range p.Set.Providers {
		if string(m.Address) == req.Provider {
			return resource.Provider{Address: m.Address, Kind: m.Kind}, nil
		}
	}
	return resource.Provider{}, fault.New(fault.Config, "iac.state names a provider %q, which does not exist", req.Provider).At(p.Set.State.Pos).
		WithHint("`provider` names a module of type iac.provider")
}

// Bootstrap makes the storage of the environment's state. What is there
// already stays as it is.
func (p *Project) Bootstrap(ctx context.Context) (*Bootstrapped, error) {
	req, err := p.backendRequest()
	if err != nil {
		return nil, err
	}
	b := &Bootstrapped{Backend: p.backendName(), Place: p.statePrefix(req), Created: []string{}}
	id, err := p.StateProvider()
	if err != nil {
		return nil, err
	}
	err = p.Record("infra bootstrap", "state", "create", func(sink event.Sink) error {
		if id.Kind != "" {
			return p.bootstrapBy(ctx, id, req, b, sink)
		}
		return p.bootstrapHere(ctx, req, b)
	})
	return b, err
}

func (p *Project) bootstrapHere(ctx context.Context, req BackendRequest, b *Bootstrapped) error {
	backend, err := p.backend()
	if err != nil {
		return err
	}
	if backend.Bootstrap == nil {
		return fault.New(fault.Environment, "wfctl does not make the storage of the backend %s", b.Backend).At(p.Set.State.Pos).
			WithHint("make it with the platform's own tools, or name a `provider` in the module iac.state that does")
	}
	created, err := backend.Bootstrap(ctx, req)
	b.Created = append(b.Created, created...)
	return err
}

// bootstrapBy asks the provider that the module iac.state names.
func (p *Project) bootstrapBy(ctx context.Context, id resource.Provider, req BackendRequest, b *Bootstrapped, sink event.Sink) error {
	provider, err := p.pool.Provider(ctx, id)
	if err != nil {
		return err
	}
	maker, ok := sdk.As[sdk.StateBootstrapper](provider)
	if !ok {
		return fault.New(fault.Provider, "provider %q (%s) does not make the storage of a state", id.Address, id.Kind).At(p.Set.State.Pos)
	}
	res, err := maker.BootstrapState(ctx, &sdk.BootstrapStateRequest{Backend: b.Backend, Config: sdk.Config{JSON: req.Config}}, stateReporter{sink})
	if err != nil {
		f := fault.Wrap(fault.Provider, err, "make the storage of the state").At(p.Set.State.Pos)
		var e *sdk.Error
		if errors.As(err, &e) && e.Hint != "" {
			f = f.WithHint("%s", e.Hint)
		}
		return f
	}
	b.Created = append(b.Created, res.Created...)
	for _, name := range slices.Sorted(maps.Keys(res.Outputs)) {
		out := res.Outputs[name]
		b.Outputs = append(b.Outputs, Output{Module: string(p.Set.State.Address), Name: string(p.Set.State.Address), Field: name, Value: out.Reveal(), Sensitive: out.Sensitive()})
	}
	return nil
}

// stateReporter passes on what a provider tells.
type stateReporter struct{ sink event.Sink }

// Assigned implements sdk.Reporter, as all below do: there is nothing to keep.
func (stateReporter) Assigned(string) error { return nil }

// Progress tells how far it is.
func (r stateReporter) Progress(message string, fraction float64) {
	r.sink.Emit(event.NodeProgress{Address: "state", Message: message, Fraction: fraction})
}

// Log passes on a line.
func (r stateReporter) Log(line string) { r.sink.Emit(event.NodeLog{Address: "state", Line: line}) }

// Warn passes on a remark.
func (r stateReporter) Warn(d sdk.Diagnostic) {
	r.sink.Emit(event.NodeWarning{Address: "state", Message: d.Message, Hint: d.Hint})
}
