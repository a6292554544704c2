package apply

import (
	"context"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Pending is an intent without a result.
type Pending struct {
	resource.Intent
	// AssignedID is the identifier that the platform gave, where the journal
	// has it.
	AssignedID string
	// Over means that the call is over for certain: its process is gone, or
	// has said so. Otherwise it may go on until its deadline.
	Over bool
}

// RecoverOptions are what recovery needs.
type RecoverOptions struct {
	Pending   []Pending
	Records   []resource.Record
	Journal   Journal
	Providers Providers
	Events    event.Sink
	// Project and Environment are whose resources count as our own.
	Project, Environment string
	// Config resolves what is desired of an address now, for kinds that are
	// read by running a command; it may be nil.
	Config func(resource.Address) sdk.Config
	// Keep says what the record holds of sensitive outputs.
	Keep Keeping
	Now  func() time.Time
}

// Recover settles every intent without a result: it reads the resource by
// identifier, name, tags and idempotency key, and adopts it, forgets it, or
// finds that nothing was done.
func Recover(ctx context.Context, o RecoverOptions) error {
	if o.Events == nil {
		o.Events = event.Discard
	}
	records := map[resource.Key]resource.Record{}
	for _, r := range o.Records {
		records[r.Key()] = r
	}
	for _, p := range o.Pending {
		if !p.Over && o.Now().Before(p.Deadline) {
			return fault.New(fault.Locked, "an earlier run may still be busy with %q until %s", p.Address, p.Deadline.Format(time.RFC3339)).
				WithHint("wait until then, or make sure that its process has ended; then run this again")
		}
		rec, recorded := records[resource.Key{Address: p.Address, Deposed: p.Deposed}]
		if err := o.settle(ctx, p, rec, recorded); err != nil {
			return fault.Wrap(fault.Provider, err, "find out how the interrupted %s of %q ended", p.Operation, p.Address).
				WithHint("nothing was changed; run this again when its platform can be asked")
		}
	}
	return nil
}

func (o *RecoverOptions) settle(ctx context.Context, p Pending, rec resource.Record, recorded bool) error {
	provider, err := o.Providers.Provider(ctx, p.Provider)
	if err != nil {
		return err
	}
	found, err := o.find(ctx, provider, p, rec, recorded)
	if err != nil {
		return err
	}
	key := resource.Key{Address: p.Address, Deposed: p.Deposed}
	switch {
	case p.Operation == resource.OpDelete && found == nil:
		return o.Journal.Forget(ctx, p.Key, key)
	case p.Operation == resource.OpCreate && found != nil:
		o.Events.Emit(event.Notice{Level: "info", Message: "found " + string(p.Address) + ", which an interrupted run made"})
		adopted, err := o.adopted(p, found)
		if err != nil {
			return err
		}
		return o.Journal.Result(ctx, p.Key, adopted)
	case p.Operation == resource.OpUpdate && recorded:
		rec.Status, rec.Updated = resource.Failed, o.Now()
		return o.Journal.Result(ctx, p.Key, rec)
	}
	return o.Journal.Abandon(ctx, p.Key)
}

// find reads the resource of an intent; nil where it is not there or not ours.
func (o *RecoverOptions) find(ctx context.Context, provider sdk.Provider, p Pending, rec resource.Record, recorded bool) (*sdk.ReadResponse, error) {
	id := p.AssignedID
	if id == "" {
		id = p.ID
	}
	ours := sdk.Ownership{Project: o.Project, Environment: o.Environment, Module: string(p.Address)}
	req := &sdk.ReadRequest{Type: p.Type, ID: id, Name: p.Name, Ownership: ours, IdempotencyKey: p.Key, Except: others(o.Records, resource.Key{Address: p.Address, Deposed: p.Deposed})}
	if recorded {
		req.Prior = plan.Prior(rec)
	} else {
		// A kind that is read by running a command finds it in what was intended.
		req.Prior = plan.Prior(resource.Record{Name: p.Name, Config: p.Config})
	}
	if o.Config != nil {
		req.Config = o.Config(p.Address)
	}
	res, err := provider.Read(ctx, req)
	switch {
	case sdk.IsNotFound(err), sdk.CodeOf(err) == sdk.CodeUnsupported:
		return nil, nil
	case err != nil:
		return nil, err
	case foreign(res.Owner, ours), slices.Contains(req.Except, res.ID):
		return nil, nil
	}
	return res, nil
}

// others lists the identifiers recorded for an address under other keys: the
// deposed ones of unfinished replacements.
func others(records []resource.Record, key resource.Key) []string {
	var ids []string
	for _, r := range records {
		if r.Address == key.Address && r.Key() != key && r.ID != "" {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// adopted is the record of a resource that an interrupted creation made. One
// that does not work yet is marked, so that the next plan mends it.
func (o *RecoverOptions) adopted(p Pending, found *sdk.ReadResponse) (rec resource.Record, err error) {
	rec = resource.Record{
		Address: p.Address, Deposed: p.Deposed, Name: p.Name, Type: p.Type, Provider: p.Provider, ID: found.ID,
		Config: p.Config, Digest: p.Digest, DependsOn: p.DependsOn, Lifecycle: p.Lifecycle,
		Outputs: map[string]resource.RecordedOutput{}, Created: o.Now(), Updated: o.Now(), Run: p.Run,
	}
	if !found.Healthy {
		rec.Status = resource.Failed
	}
	schema, _ := o.Providers.Schema(p.Provider, p.Type)
	outputs := found.Outputs
	if o.Config != nil {
		outputs = tainted(o.Config(p.Address), outputs)
	}
	for name, out := range outputs {
		declared := schema != nil && schema.Output(name) != nil && schema.Output(name).Sensitive
		if rec.Outputs[name], err = o.Keep.output(out, out.Sensitive() || declared); err != nil {
			return rec, fault.Wrap(fault.State, err, "seal output %q of %q", name, p.Address)
		}
	}
	return rec, nil
}
