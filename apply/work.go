package apply

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// work is the carrying out of one change.
type work struct {
	*run
	change plan.Change
	schema *sdk.ResourceSchema
	// rest lets another change begin: this one has done its work and waits
	// only for it to be durable.
	rest func()
	// leaf: nothing waits for this change.
	leaf bool
}

// result makes a resource durable at the end of its change. One that has no
// effect outside the record and that nothing waits for is in no hurry.
func (w *work) result(ctx context.Context, intent string, rec resource.Record) error {
	w.rest()
	if w.schema.Pure && w.leaf {
		return w.Journal.ResultSoon(ctx, intent, rec)
	}
	return w.Journal.Result(ctx, intent, rec)
}

func (r *run) work(change plan.Change) (*work, error) {
	if _, ok := change.(*plan.NoOp); ok {
		return nil, nil
	}
	schema, err := r.Providers.Schema(change.Provider(), change.Type())
	if err != nil {
		return nil, err
	}
	return &work{run: r, change: change, schema: schema}, nil
}

// settle resolves the configuration with real values. Anything still unknown
// now is a mistake of wfctl's own, and nothing is guessed.
func (w *work) settle(ctx context.Context, d resource.Desired) (resource.Resolved, error) {
	resolved, err := d.Config().Resolve(&scope{ctx, w.run})
	if err != nil {
		return resolved, err
	}
	walker, err := sdk.SchemaWalker(w.schema.Config)
	if err != nil {
		return resolved, err
	}
	if resolved, err = resource.MarkSensitive(walker, resolved, w.Fingerprint); err != nil {
		return resolved, err
	}
	if len(resolved.Config.Unknown) > 0 {
		p := resolved.Config.Unknown[0]
		return resolved, fault.New(fault.Internal, "%q: %s is not known although its turn has come", d.Address(), p.Dotted()).At(d.Config().Locate(p))
	}
	return resolved, nil
}

// intent makes an operation durable before it begins.
func (w *work) intent(ctx context.Context, op resource.Operation, key resource.Key, id string, d *resource.Desired, r resource.Resolved, seconds int) (resource.Intent, error) {
	bound := w.Timeout
	if seconds > 0 {
		bound = time.Duration(seconds) * time.Second
	}
	in := resource.Intent{
		Key: w.NewKey(), Operation: op, Address: key.Address, Deposed: key.Deposed, Name: w.change.Name(), Type: w.change.Type(),
		Provider: w.change.Provider(), ID: id, Config: r.Canonical, Digest: r.Digest, Deadline: w.Now().Add(bound), Run: w.Run,
	}
	if d != nil {
		in.DependsOn, in.Lifecycle = d.DependsOn(), d.Lifecycle()
	}
	if w.schema.Pure {
		in.Key = ""
		return in, nil
	}
	return in, w.Journal.Intent(ctx, in)
}

// create makes a resource.
func (w *work) create(ctx context.Context, d resource.Desired, promised sdk.Outputs) error {
	resolved, err := w.settle(ctx, d)
	if err != nil {
		return err
	}
	provider, err := w.Providers.Provider(ctx, d.Provider())
	if err != nil {
		return err
	}
	in, err := w.intent(ctx, resource.OpCreate, resource.Key{Address: d.Address()}, "", &d, resolved, w.schema.CreateTimeout)
	if err != nil {
		return err
	}
	rep := &reporter{work: w, ctx: ctx, intent: in.Key}
	var res *sdk.CreateResponse
	err = w.call(ctx, in.Deadline, func(ctx context.Context) (err error) {
		res, err = provider.Create(ctx, &sdk.CreateRequest{
			Type: d.Type(), Name: d.Name(), Ownership: d.Ownership(), Config: resolved.Config, IdempotencyKey: in.Key, Deadline: in.Deadline,
			Except: w.otherIDs(d.Address()),
		}, rep)
		return err
	})
	if err == nil {
		err = w.checkResult(res.ID, res.Outputs, promised)
	}
	if err != nil {
		if res != nil && res.ID != "" {
			rep.id = res.ID
		}
		return w.createFailed(ctx, provider, d, resolved, in, rep, err)
	}
	rec, err := w.record(d, resolved, res.ID, res.Outputs)
	if err != nil {
		return err
	}
	rec.Created = rec.Updated
	if err := w.result(ctx, in.Key, rec); err != nil {
		return err
	}
	w.remember(rec, w.marked(d, tainted(resolved.Config, res.Outputs)))
	return nil
}

// createFailed records what a failed creation left behind.
func (w *work) createFailed(ctx context.Context, provider sdk.Provider, d resource.Desired, resolved resource.Resolved, in resource.Intent, rep *reporter, cause error) error {
	failure := w.explain(ctx, provider, rep.id, "create", cause)
	if in.Key == "" || ctx.Err() != nil {
		return failure // nothing outside, or recovery will look
	}
	id := rep.assigned()
	if id == "" && !harmless(cause) {
		res, err := provider.Read(ctx, &sdk.ReadRequest{Type: d.Type(), Name: d.Name(), Ownership: d.Ownership(), IdempotencyKey: in.Key, Config: resolved.Config, Except: w.otherIDs(d.Address())})
		switch {
		case sdk.IsNotFound(err), sdk.CodeOf(err) == sdk.CodeUnsupported:
		case err != nil:
			return failure // the intent stays; recovery will look
		case foreign(res.Owner, d.Ownership()), slices.Contains(w.otherIDs(d.Address()), res.ID):
		default:
			id = res.ID
		}
	}
	if id == "" {
		return errors.Join(failure, w.Journal.Abandon(ctx, in.Key))
	}
	rec, err := w.record(d, resolved, id, nil)
	if err != nil {
		return errors.Join(failure, err)
	}
	rec.Status, rec.Created = resource.Tainted, rec.Updated
	return errors.Join(failure, w.Journal.Result(ctx, in.Key, rec))
}

// otherIDs lists the identifiers of an address that are not those of its
// present resource.
func (w *work) otherIDs(addr resource.Address) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var records []resource.Record
	for _, r := range w.records {
		records = append(records, r)
	}
	return others(records, resource.Key{Address: addr})
}

// harmless tells whether an error says that nothing was made.
func harmless(err error) bool {
	return slices.Contains([]sdk.Code{
		sdk.CodeInvalid, sdk.CodeUnauthorised, sdk.CodeAlreadyExists, sdk.CodeConflict, sdk.CodeRateLimited, sdk.CodeUnsupported, sdk.CodeNotFound,
	}, sdk.CodeOf(err))
}

// foreign tells whether a resource's tags say that it is somebody else's.
func foreign(owner *sdk.Ownership, ours sdk.Ownership) bool {
	return owner != nil && (owner.Project != ours.Project || owner.Environment != ours.Environment)
}

// update changes a resource in place.
func (w *work) update(ctx context.Context, c *plan.Update) error {
	resolved, err := w.settle(ctx, c.Desired)
	if err != nil {
		return err
	}
	if c.RecordOnly {
		return w.rewrite(ctx, c, resolved)
	}
	provider, err := w.Providers.Provider(ctx, c.Desired.Provider())
	if err != nil {
		return err
	}
	in, err := w.intent(ctx, resource.OpUpdate, c.Key(), c.Prior.ID, &c.Desired, resolved, w.schema.UpdateTimeout)
	if err != nil {
		return err
	}
	rep := &reporter{work: w, ctx: ctx, intent: in.Key}
	var res *sdk.UpdateResponse
	err = w.call(ctx, in.Deadline, func(ctx context.Context) (err error) {
		res, err = provider.Update(ctx, &sdk.UpdateRequest{
			Type: c.Type(), ID: c.Prior.ID, Name: c.Name(), Ownership: c.Desired.Ownership(), Prior: plan.Prior(c.Prior), Config: resolved.Config,
			Changes: c.Fields(), IdempotencyKey: in.Key, Deadline: in.Deadline,
		}, rep)
		return err
	})
	if err == nil {
		err = w.checkResult(res.ID, res.Outputs, c.Promised)
	}
	if err != nil {
		failure := w.explain(ctx, provider, c.Prior.ID, "update", err)
		if ctx.Err() != nil {
			return failure
		}
		if sdk.IsNotFound(err) {
			// It is gone: the next plan makes it anew.
			return errors.Join(failure, w.Journal.Forget(ctx, in.Key, c.Key()))
		}
		rec := c.Prior
		rec.Status, rec.Updated, rec.Run = resource.Failed, w.Now(), w.Run
		return errors.Join(failure, w.Journal.Result(ctx, in.Key, rec))
	}
	rec, err := w.record(c.Desired, resolved, res.ID, res.Outputs)
	if err != nil {
		return err
	}
	rec.Created = c.Prior.Created
	w.keepOnce(&rec, c.Prior)
	if err := w.result(ctx, in.Key, rec); err != nil {
		return err
	}
	w.remember(rec, w.marked(c.Desired, tainted(resolved.Config, res.Outputs)))
	return nil
}

// keepOnce keeps what the platform showed when it made the resource and never
// shows again.
func (w *work) keepOnce(rec *resource.Record, prior resource.Record) {
	for name, out := range prior.Outputs {
		s := w.schema.Output(name)
		if _, told := rec.Outputs[name]; told || s == nil || !s.Once {
			continue
		}
		if rec.Outputs == nil {
			rec.Outputs = map[string]resource.RecordedOutput{}
		}
		rec.Outputs[name] = out
	}
}

// rewrite changes the record alone.
func (w *work) rewrite(ctx context.Context, c *plan.Update, resolved resource.Resolved) error {
	rec, err := w.record(c.Desired, resolved, c.Prior.ID, nil)
	if err != nil {
		return err
	}
	rec.Outputs, rec.Created, rec.Status = c.Prior.Outputs, c.Prior.Created, c.Prior.Status
	if err := w.Journal.Result(ctx, "", rec); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[rec.Key()] = rec
	return nil
}

// remove deletes a recorded resource. One that is gone already is a success.
func (w *work) remove(ctx context.Context, rec resource.Record) error {
	provider, err := w.Providers.Provider(ctx, rec.Provider)
	if err != nil {
		return err
	}
	if owner, err := w.lost(ctx, provider, rec); err != nil {
		return err
	} else if owner != nil {
		w.Events.Emit(event.NodeWarning{
			Address: string(rec.Address), Message: fmt.Sprintf("%s %s is not deleted: it %s by now", rec.Type, rec.ID, plan.Whose(owner)),
			Hint: "it is only forgotten here",
		})
		w.rest()
		return w.Journal.Forget(ctx, "", rec.Key())
	}
	in, err := w.intent(ctx, resource.OpDelete, rec.Key(), rec.ID, nil, resource.Resolved{}, w.schema.DeleteTimeout)
	if err != nil {
		return err
	}
	err = w.call(ctx, in.Deadline, func(ctx context.Context) error {
		_, err := provider.Delete(ctx, &sdk.DeleteRequest{
			Type: rec.Type, ID: rec.ID, Name: rec.Name, Ownership: w.ownership(rec.Address), Prior: plan.Prior(rec),
			Config: w.deleteConfig(ctx, rec), IdempotencyKey: in.Key, Deadline: in.Deadline,
		}, &reporter{work: w, ctx: ctx, intent: in.Key})
		return err
	})
	if err != nil && !sdk.IsNotFound(err) {
		failure := w.undeleted(ctx, provider, rec.ID, err)
		if in.Key == "" || ctx.Err() != nil {
			return failure
		}
		return errors.Join(failure, w.Journal.Abandon(ctx, in.Key))
	}
	w.rest()
	return w.Journal.Forget(ctx, in.Key, rec.Key())
}

// lost looks whether a resource that is recorded has been taken over by
// somebody else meanwhile, and returns whose it is: only what is ours is
// deleted. A provider that lists by tags is one that reads them.
func (w *work) lost(ctx context.Context, p sdk.Provider, rec resource.Record) (*sdk.Ownership, error) {
	if _, tags := sdk.As[sdk.Lister](p); !tags || w.schema.Pure {
		return nil, nil
	}
	ours := w.ownership(rec.Address)
	var res *sdk.ReadResponse
	err := w.call(ctx, w.Now().Add(w.Timeout), func(ctx context.Context) (err error) {
		res, err = p.Read(ctx, &sdk.ReadRequest{Type: rec.Type, ID: rec.ID, Name: rec.Name, Ownership: ours, Prior: plan.Prior(rec)})
		return err
	})
	switch {
	case sdk.IsNotFound(err), sdk.CodeOf(err) == sdk.CodeUnsupported, sdk.CodeOf(err) == sdk.CodeInvalid:
		return nil, nil // the delete says what there is to say
	case err != nil:
		return nil, w.explain(ctx, nil, rec.ID, "look whose it is before the delete of", err)
	case res.ID == rec.ID && foreign(res.Owner, ours):
		return res.Owner, nil
	}
	return nil, nil
}

// deleteConfig resolves what the file still says of a resource that goes; it
// is zero where it says nothing, or something else can no longer be had.
func (w *work) deleteConfig(ctx context.Context, rec resource.Record) sdk.Config {
	if w.Config == nil {
		return sdk.Config{}
	}
	input := w.Config(rec.Address)
	if input == nil {
		return sdk.Config{}
	}
	resolved, err := input.Resolve(&scope{ctx, w.run})
	if err != nil {
		return sdk.Config{}
	}
	return resolved.Config
}

// removeReplaced deletes the old one of a replacement.
func (w *work) removeReplaced(ctx context.Context, c *plan.Replace) error {
	old := c.Prior
	if c.CreateFirst {
		old.Deposed = w.Run
	}
	schema, err := w.Providers.Schema(old.Provider, old.Type)
	if err != nil {
		return err
	}
	return (&work{run: w.run, change: oldSide{c}, schema: schema, rest: w.rest}).remove(ctx, old)
}

// oldSide is a replacement seen from what it removes.
type oldSide struct{ *plan.Replace }

func (o oldSide) Name() string                { return o.Prior.Name }
func (o oldSide) Type() string                { return o.Prior.Type }
func (o oldSide) Provider() resource.Provider { return o.Prior.Provider }

// createReplacement makes the new one of a replacement. Where it comes first,
// the old one's record steps aside before and returns if nothing was made.
func (w *work) createReplacement(ctx context.Context, c *plan.Replace) error {
	if !c.CreateFirst {
		return w.create(ctx, c.Desired, c.Promised)
	}
	aside := resource.Key{Address: c.Address(), Deposed: w.Run}
	if err := w.Journal.Move(ctx, c.Key(), aside); err != nil {
		return err
	}
	w.mu.Lock()
	old := c.Prior
	old.Deposed = w.Run
	delete(w.records, c.Key())
	w.records[aside] = old
	w.mu.Unlock()
	return w.create(ctx, c.Desired, c.Promised)
}

// adopt brings an existing resource under management and makes it as desired.
// One that turns out not to be there after all, or only half, is made.
func (w *work) adopt(ctx context.Context, c *plan.Adopt) error {
	provider, err := w.Providers.Provider(ctx, c.Desired.Provider())
	if err != nil {
		return err
	}
	rec, err := Import(ctx, provider, c.Desired, c.ID, w.keeping())
	if c.Found && sdk.IsNotFound(err) {
		return w.create(ctx, c.Desired, nil)
	}
	if err != nil {
		return err
	}
	rec.Created, rec.Updated, rec.Run = w.Now(), w.Now(), w.Run
	if err := w.Journal.Result(ctx, "", rec); err != nil {
		return err
	}
	resolved, err := w.settle(ctx, c.Desired)
	if err != nil {
		return err
	}
	walker, err := sdk.SchemaWalker(w.schema.Config)
	if err != nil {
		return err
	}
	update := plan.NewUpdate(c, rec, resolved, walker)
	if replaces := replacing(update.Fields()); len(replaces) > 0 {
		w.Events.Emit(event.NodeWarning{
			Address: string(c.Address()), Message: "it is under management as it is: it differs in " + strings.Join(replaces, ", ") + ", which cannot change in place",
			Hint: "the next plan replaces it; write what is there into the configuration to keep it",
		})
		return nil
	}
	return w.update(ctx, update)
}

// replacing lists the fields that cannot change in place.
func replacing(fields []sdk.FieldChange) (paths []string) {
	for _, f := range fields {
		if f.Action == sdk.ActionReplace {
			paths = append(paths, f.Path.Dotted())
		}
	}
	return paths
}

// record is what state keeps of a resource that was made or changed.
func (w *work) record(d resource.Desired, r resource.Resolved, id string, outputs sdk.Outputs) (resource.Record, error) {
	recorded, err := w.recordOutputs(d, tainted(r.Config, outputs))
	return resource.Record{
		Address: d.Address(), Name: d.Name(), Type: d.Type(), Provider: d.Provider(), ID: id, Config: r.Canonical, Digest: r.Digest,
		Outputs: recorded, DependsOn: d.DependsOn(), Lifecycle: d.Lifecycle(), SchemaVersion: w.schema.SchemaVersion,
		Updated: w.Now(), Run: w.Run,
	}, err
}

// marked gives outputs the sensitivity that the module or schema demands.
func (w *work) marked(d resource.Desired, outputs sdk.Outputs) sdk.Outputs {
	marked := make(sdk.Outputs, len(outputs))
	for name, out := range outputs {
		marked[name] = out.WithSensitive(w.sensitive(d, name, out))
	}
	return marked
}

// sensitive: the module's word, else the value's own mark or the schema's.
func (w *work) sensitive(d resource.Desired, name string, out sdk.Output) bool {
	if decl, ok := d.Outputs()[name]; ok && decl.Sensitive != nil {
		return *decl.Sensitive
	}
	s := w.schema.Output(name)
	return out.Sensitive() || s != nil && s.Sensitive
}

func (w *work) keeping() Keeping { return Keeping{w.Fingerprint, w.Seal} }

func (w *work) recordOutputs(d resource.Desired, outputs sdk.Outputs) (map[string]resource.RecordedOutput, error) {
	if len(outputs) == 0 {
		return nil, nil
	}
	recorded := make(map[string]resource.RecordedOutput, len(outputs))
	for name, out := range outputs {
		kept, err := w.keeping().output(out, w.sensitive(d, name, out))
		if err != nil {
			return nil, fault.Wrap(fault.State, err, "seal output %q of %q", name, d.Address())
		}
		recorded[name] = kept
	}
	return recorded, nil
}

// checkResult holds a provider to its own schema and promises.
func (w *work) checkResult(id string, outputs, promised sdk.Outputs) error {
	if id == "" {
		return fmt.Errorf("provider %q answered without an identifier", w.change.Provider().Kind)
	}
	if w.schema.IDFormat != "" {
		format, err := regexp.Compile(w.schema.IDFormat)
		if err != nil || !format.MatchString(id) {
			return fmt.Errorf("provider %q answered with the identifier %q, which is not of its declared format %s", w.change.Provider().Kind, id, w.schema.IDFormat)
		}
	}
	for name := range outputs {
		if !w.schema.DynamicOutputs && w.schema.Output(name) == nil {
			return fmt.Errorf("provider %q reports an output %q that its schema does not declare", w.change.Provider().Kind, name)
		}
	}
	for name, want := range promised {
		got, ok := outputs[name]
		if !ok || !got.WithSensitive(false).Equal(want.WithSensitive(false)) {
			return fmt.Errorf("provider %q promised output %q in the plan and reports another", w.change.Provider().Kind, name)
		}
	}
	return nil
}
