package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/state"
)

// orphans looks for what carries the environment's tags, is recorded, or was
// under way, beside what the configuration names. What of it is known already
// gets another claim.
func (f *finder) orphans(ctx context.Context) {
	f.tagged(ctx)
	for _, rec := range f.view.Records {
		if !f.bookkeeping(rec.Provider, rec.Type, rec.Address) {
			f.recorded(ctx, rec)
		}
	}
	for _, p := range f.view.Pending {
		if !f.bookkeeping(p.Provider, p.Type, p.Address) {
			f.pending(ctx, p)
		}
	}
}

// providers are those of the file, and those that only the record knows.
func (f *finder) providers() []resource.Provider {
	var all []resource.Provider
	for _, m := range f.project.Set.Providers {
		all = append(all, resource.Provider{Address: m.Address, Kind: m.Kind})
	}
	for _, rec := range f.view.Providers {
		if !slices.ContainsFunc(all, func(p resource.Provider) bool { return p.Kind == rec.Kind }) {
			all = append(all, rec.Provider)
		}
	}
	return all
}

// tagged lists by tags, every type of every provider that can.
func (f *finder) tagged(ctx context.Context) {
	env := f.project.Environment()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.project.options.Parallelism)
	var mu sync.Mutex
	var listed []plan.Found
	for _, id := range f.providers() {
		lister, types := f.lister(ctx, id)
		for _, typ := range types {
			g.Go(func() error {
				var res *sdk.ListResponse
				err := f.reached(id, func() (err error) {
					res, err = lister.List(ctx, &sdk.ListRequest{Type: typ, Project: env.Project(), Environment: env.Name()})
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case absent(err):
				case err != nil:
					f.unlisted(id, typ, len(types), err)
				default:
					for _, r := range res.Resources {
						if r.Owner.Project == env.Project() && r.Owner.Environment == env.Name() {
							listed = append(listed, fromList(id, typ, r))
						}
					}
				}
				return nil
			})
		}
	}
	_ = g.Wait() // no function fails
	for _, found := range listed {
		f.claim(found)
	}
}

// lister is a provider that lists, with its types; nil and none for another.
func (f *finder) lister(ctx context.Context, id resource.Provider) (sdk.Lister, []string) {
	provider, err := f.project.pool.Provider(ctx, id)
	if err != nil {
		f.unlisted(id, "", 0, err)
		return nil, nil
	}
	lister, ok := sdk.As[sdk.Lister](provider)
	in, err := f.project.pool.ready(ctx, id)
	if !ok || err != nil {
		return nil, nil
	}
	var types []string
	for _, t := range in.schema.Types {
		if !t.Pure {
			types = append(types, t.Name)
		}
	}
	return lister, types
}

func fromList(id resource.Provider, typ string, r sdk.ListedResource) plan.Found {
	found := plan.Found{Claims: []plan.Claim{plan.ByTags}, Fate: plan.Doomed, Orphan: true, Record: resource.Record{
		Address: resource.Address(r.Owner.Module), Name: r.Name, Type: typ, Provider: id, ID: r.ID,
	}}
	if found.Record.Address == "" {
		found.Record.Address = resource.Address(r.Name)
	}
	if r.Protected {
		found.Fate, found.Reason = plan.Kept, protectedThere
	}
	return found
}

const protectedThere = "the platform itself protects it"

// claim adds a resource, or a claim to one that is known.
func (f *finder) claim(found plan.Found) {
	if i := f.index(found.Record); i >= 0 {
		old := &f.found[i]
		for _, c := range found.Claims {
			if !slices.Contains(old.Claims, c) {
				old.Claims = append(old.Claims, c)
			}
		}
		if found.Fate == plan.Kept && old.Fate == plan.Doomed {
			old.Fate, old.Reason = found.Fate, found.Reason
		}
		if found.Recorded && !old.Recorded {
			old.Record, old.Recorded, old.Orphan = found.Record, true, found.Orphan
			old.Reason = cmp.Or(old.Reason, found.Reason)
		}
		if slices.Contains(found.Claims, plan.ByTags) {
			old.Untagged = false
		}
		return
	}
	f.found = append(f.found, found)
}

// index finds what is known to be there: the same kind of platform, type and
// identifier.
func (f *finder) index(rec resource.Record) int {
	return slices.IndexFunc(f.found, func(x plan.Found) bool {
		return rec.ID != "" && x.Record.ID == rec.ID && x.Record.Type == rec.Type && x.Record.Provider.Kind == rec.Provider.Kind && x.Fate != plan.Missing
	})
}

// recorded looks whether what state has is there.
func (f *finder) recorded(ctx context.Context, rec resource.Record) {
	if slices.ContainsFunc(f.found, func(x plan.Found) bool { return x.Recorded && x.Record.Key() == rec.Key() }) {
		return // looked for with the configuration
	}
	_, configured := f.project.Set.Node(rec.Address)
	found := plan.Found{
		Record: rec, Recorded: true, Claims: []plan.Claim{plan.ByState}, Fate: plan.Doomed, Orphan: !configured || rec.Deposed != "",
	}
	found.Reason = f.moved(rec)
	res, err := f.read(ctx, &sdk.ReadRequest{Type: rec.Type, ID: rec.ID, Name: rec.Name, Prior: prior(rec)}, rec.Provider, rec.Address)
	switch {
	case absent(err):
		found.Fate = plan.Missing
	case err != nil:
		found = unread(found, err)
		if was := f.moved(rec); was != "" {
			found.Reason = was + ": " + found.Reason
		}
	case res.ID != rec.ID:
		found.Fate = plan.Missing // another of the same name
	case f.foreign(res):
		found.Fate, found.Reason = plan.Foreign, belongs(res)
	}
	f.claim(found)
}

// moved says that the provider of a record is of another kind by now. The line
// of its module, which is not there on the new platform, then says nothing.
func (f *finder) moved(rec resource.Record) string {
	i := slices.IndexFunc(f.project.Set.Providers, func(m resolve.ProviderModule) bool { return m.Address == rec.Provider.Address })
	if i < 0 || f.project.Set.Providers[i].Kind == rec.Provider.Kind {
		return ""
	}
	f.found = slices.DeleteFunc(f.found, func(x plan.Found) bool {
		return x.Record.Address == rec.Address && x.Record.Provider != rec.Provider && x.Fate == plan.Missing
	})
	return fmt.Sprintf("recorded with %s; provider %q is %s now", rec.Provider.Kind, rec.Provider.Address, f.project.Set.Providers[i].Kind)
}

// pending looks for what an interrupted operation may have made.
func (f *finder) pending(ctx context.Context, p state.PendingIntent) {
	id := p.AssignedID
	if id == "" {
		id = p.ID
	}
	rec := resource.Record{
		Address: p.Address, Deposed: p.Deposed, Name: p.Name, Type: p.Type, Provider: p.Provider, ID: id,
		Config: p.Config, Digest: p.Digest, DependsOn: p.DependsOn, Lifecycle: p.Lifecycle,
	}
	hint := prior(rec)
	hint.ID = ""
	res, err := f.read(ctx, &sdk.ReadRequest{Type: p.Type, ID: id, Name: p.Name, IdempotencyKey: p.Key, Prior: hint}, p.Provider, p.Address)
	_, configured := f.project.Set.Node(p.Address)
	found := plan.Found{Record: rec, Claims: []plan.Claim{plan.ByJournal}, Fate: plan.Doomed, Orphan: !configured}
	switch {
	case absent(err):
		return
	case err != nil:
		found = unread(found, err)
	case f.foreign(res):
		return
	default:
		found.Record.ID = res.ID
	}
	f.claim(found)
}

func (f *finder) foreign(res *sdk.ReadResponse) bool { return f.project.stranger(res.Owner) }

// belongs says whose a foreign resource is.
func belongs(res *sdk.ReadResponse) string {
	return "its tags say that it belongs to project " + res.Owner.Project + ", environment " + res.Owner.Environment
}

// read asks the provider of a record.
func (f *finder) read(ctx context.Context, req *sdk.ReadRequest, id resource.Provider, addr resource.Address) (*sdk.ReadResponse, error) {
	provider, err := f.project.pool.Provider(ctx, id)
	if err != nil {
		return nil, err
	}
	env := f.project.Environment()
	req.Ownership = sdk.Ownership{Project: env.Project(), Environment: env.Name(), Module: string(addr)}
	return f.ask(ctx, provider, id, req)
}
