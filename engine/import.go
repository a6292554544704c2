package engine

import (
	"context"
	"regexp"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/state"
)

// Import brings an existing resource under management and returns its record.
// agree is asked before something is taken from somebody else, whose it is in
// words; its error is the refusal.
func (w *Work) Import(ctx context.Context, addr resource.Address, id string, agree func(whose string) error) (resource.Record, error) {
	d, ok := w.project.Set.Node(addr)
	if !ok || nodeKind(addr) != "" {
		return resource.Record{}, fault.New(fault.NotFound, "the configuration has no module %q for %q", addr, w.project.Environment().Name()).
			WithHint("declare it first: name, type and provider are enough")
	}
	if _, taken := w.log.View().Record(resource.Key{Address: addr}); taken {
		return resource.Record{}, fault.New(fault.Refused, "%q is under management already", addr).
			WithHint("`wfctl infra state rm %s --env %s` forgets it first", addr, w.project.Environment().Name())
	}
	provider, err := w.project.pool.Provider(ctx, d.Provider())
	if err != nil {
		return resource.Record{}, err
	}
	if err := w.wellFormed(d, id); err != nil {
		return resource.Record{ID: id}, err
	}
	if err := w.mayTake(ctx, provider, d, id, agree); err != nil {
		return resource.Record{ID: id}, err
	}
	rec, err := apply.Import(ctx, provider, d, id, w.keeping(ctx))
	if err != nil {
		return rec, err
	}
	if err := w.project.notTaken(w.log.View(), d, rec.ID); err != nil {
		return rec, err
	}
	now := w.project.options.Now().UTC()
	rec.Created, rec.Updated, rec.Run = now, now, w.project.Run
	return rec, w.session.Result(ctx, "", rec)
}

// wellFormed tells whether an identifier can be one, as far as the provider
// says what they look like.
func (w *Work) wellFormed(d resource.Desired, id string) error {
	schema, err := w.project.pool.Schema(d.Provider(), d.Type())
	if err != nil || schema.IDFormat == "" {
		return err
	}
	if format, err := regexp.Compile(schema.IDFormat); err == nil && !format.MatchString(id) {
		return fault.New(fault.Usage, "%q is not the identifier of an %s at %q", id, d.Type(), d.Provider().Kind).At(d.Pos()).
			WithHint("nothing was asked or changed; identifiers are of the form %s", schema.IDFormat)
	}
	return nil
}

// mayTake looks whose a resource is before its tags are overwritten. What
// cannot be read is left to the import, which says why.
func (w *Work) mayTake(ctx context.Context, provider sdk.Provider, d resource.Desired, id string, agree func(string) error) error {
	if err := w.project.notTaken(w.log.View(), d, id); err != nil {
		return err
	}
	res, err := provider.Read(ctx, &sdk.ReadRequest{Type: d.Type(), ID: id, Ownership: d.Ownership()})
	if err != nil || res == nil {
		return nil
	}
	if err := w.project.notTaken(w.log.View(), d, res.ID); err != nil {
		return err
	}
	if w.project.others(d, res.Owner) {
		return agree(plan.Whose(res.Owner))
	}
	return nil
}

// notTaken refuses what is under management at another address: two modules
// would each make it as they want it, and either would destroy it.
func (p *Project) notTaken(view *state.View, d resource.Desired, id string) error {
	for _, rec := range view.Records {
		if rec.Address != d.Address() && rec.ID == id && id != "" && rec.Type == d.Type() && rec.Provider.Kind == d.Provider().Kind {
			return fault.New(fault.Refused, "%s %s is under management already, as %q", d.Type(), id, rec.Address).At(d.Pos()).
				WithHint("`moved: [{from: %s, to: %s}]` in the file renames it; `wfctl infra state rm %s --env %s` forgets it there", rec.Address, d.Address(), rec.Address, p.Environment().Name())
		}
	}
	return nil
}

// others tells whether tags name another project or environment, or another
// module that this configuration has.
func (p *Project) others(d resource.Desired, owner *sdk.Ownership) bool {
	if owner == nil || owner.Project == "" {
		return false
	}
	if p.stranger(owner) {
		return true
	}
	_, declared := p.Set.Node(resource.Address(owner.Module))
	return declared && resource.Address(owner.Module) != d.Address()
}

// stranger tells whether tags name another project or environment.
func (p *Project) stranger(owner *sdk.Ownership) bool {
	env := p.Environment()
	return owner != nil && (owner.Project != env.Project() || owner.Environment != env.Name())
}
