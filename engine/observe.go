package engine

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// observe reads recorded resources from their platforms: those that can
// change on their own, or all of them. What cannot be read at all is an
// error; what is not there is an observation.
func (p *Project) observe(ctx context.Context, records []resource.Record, all bool) (map[resource.Key]plan.Observation, error) {
	seen, failed := p.survey(ctx, records, all)
	for _, rec := range records {
		if err := failed[rec.Key()]; err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// survey is observe that tells of each record what kept it from being read.
func (p *Project) survey(ctx context.Context, records []resource.Record, all bool) (map[resource.Key]plan.Observation, map[resource.Key]error) {
	var mu sync.Mutex
	seen, failed := map[resource.Key]plan.Observation{}, map[resource.Key]error{}
	var g errgroup.Group
	g.SetLimit(p.options.Parallelism)
	for _, rec := range records {
		schema, err := p.pool.Schema(rec.Provider, rec.Type)
		if err != nil {
			mu.Lock()
			failed[rec.Key()] = err
			mu.Unlock()
			continue
		}
		if schema.Pure || (!all && !schema.Volatile) {
			continue
		}
		g.Go(func() error {
			obs, err := p.read(ctx, rec, p.inputOf(rec.Address))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[rec.Key()] = err
			} else {
				seen[rec.Key()] = obs
			}
			return nil
		})
	}
	_ = g.Wait() // no function fails
	return seen, failed
}

// inputOf is what the file says of an address; nil where it says nothing.
func (p *Project) inputOf(addr resource.Address) resource.Input {
	d, ok := p.Set.Node(addr)
	if !ok {
		return nil
	}
	return d.Config()
}

// read asks a provider for one recorded resource.
func (p *Project) read(ctx context.Context, rec resource.Record, input resource.Input) (plan.Observation, error) {
	provider, err := p.pool.Provider(ctx, rec.Provider)
	if err != nil {
		return plan.Observation{}, err
	}
	req := &sdk.ReadRequest{
		Type: rec.Type, ID: rec.ID, Name: rec.Name, Prior: prior(rec),
		Ownership: sdk.Ownership{
			Project: p.Environment().Project(), Environment: p.Environment().Name(), Module: string(rec.Address),
		},
	}
	if input != nil {
		resolved, err := input.Resolve(p.pool.scope())
		if err != nil {
			return plan.Observation{}, err
		}
		req.Config = resolved.Config
	}
	res, err := provider.Read(ctx, req)
	switch {
	case sdk.IsNotFound(err):
		return plan.Observation{Gone: true}, nil
	case err != nil:
		return plan.Observation{}, fault.Wrap(fault.Provider, err, "read %s %q", rec.Type, rec.Address).
			WithHint("the platform could not be asked; nothing was changed")
	}
	return plan.Observation{Read: res}, nil
}

// prior is a record as a provider sees it.
func prior(rec resource.Record) *sdk.Prior {
	outputs := sdk.Outputs{}
	for name, out := range rec.Outputs {
		if !out.Sensitive {
			outputs[name] = sdk.RawOutput(out.Value, false)
		}
	}
	return &sdk.Prior{ID: rec.ID, Name: rec.Name, Config: sdk.Config{JSON: rec.Config}, Outputs: outputs}
}
