package engine

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/state"
)

// existing looks whether what the record does not have is there all the same:
// a record may be lost, and something may have been made by hand. Only what a
// provider can take over is looked for.
func (w *Work) existing(ctx context.Context, nodes []resource.Desired) (map[resource.Address]plan.Existing, error) {
	var mu sync.Mutex
	there := map[resource.Address]plan.Existing{}
	view := w.log.View()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.project.options.Parallelism)
	for _, d := range nodes {
		if w.settled(view, d) {
			continue
		}
		g.Go(func() error {
			e, err := w.lookFor(ctx, view, d)
			if err != nil || e == nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			there[d.Address()] = *e
			return nil
		})
	}
	return there, g.Wait()
}

// settled tells whether it is known already what becomes of a node.
func (w *Work) settled(view *state.View, d resource.Desired) bool {
	if nodeKind(d.Address()) != "" {
		return true
	}
	if _, recorded := view.Record(resource.Key{Address: d.Address()}); recorded {
		return true
	}
	for _, m := range w.project.Set.Moved {
		if _, recorded := view.Record(resource.Key{Address: m.From}); recorded && m.To == d.Address() {
			return true
		}
	}
	for _, p := range view.Pending {
		if p.Address == d.Address() {
			return true
		}
	}
	return false
}

// lookFor reads a node by its name, or by the identifier that the file names;
// nil where nothing is to be taken over.
func (w *Work) lookFor(ctx context.Context, view *state.View, d resource.Desired) (*plan.Existing, error) {
	schema, err := w.project.pool.Schema(d.Provider(), d.Type())
	if err != nil || schema.Pure {
		return nil, err
	}
	provider, err := w.project.pool.Provider(ctx, d.Provider())
	if err != nil {
		return nil, err
	}
	if _, ok := sdk.As[sdk.Importer](provider); !ok {
		return nil, nil
	}
	req := &sdk.ReadRequest{Type: d.Type(), Name: d.Name(), Ownership: d.Ownership()}
	if id := d.ImportID(); id != "" {
		req.ID, req.Name = id, ""
		if err := w.project.notTaken(view, d, id); err != nil {
			return nil, err
		}
	}
	if resolved, err := d.Config().Resolve(w.project.pool.scope()); err == nil {
		req.Config = resolved.Config
	}
	res, err := provider.Read(ctx, req)
	switch {
	case absent(err), sdk.CodeOf(err) == sdk.CodeInvalid:
		return nil, nil
	case err != nil:
		return nil, fault.Wrap(fault.Provider, err, "look whether %s %q is there already", d.Type(), d.Name()).At(d.Pos())
	}
	for _, rec := range view.Records {
		if rec.ID == res.ID && rec.Type == d.Type() && rec.Provider.Kind == d.Provider().Kind {
			return nil, nil // it is another module's, which may be about to go
		}
	}
	return &plan.Existing{
		ID: res.ID, Healthy: res.Healthy, Owner: res.Owner,
		Ours: res.Owner != nil && !w.project.stranger(res.Owner),
	}, nil
}
