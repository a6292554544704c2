package do

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

const (
	// patience is how long something may stay hidden that was made a moment
	// ago.
	patience = 30 * time.Second
	// makes is how often a create is asked for that had no effect.
	makes = 4
)

// create finds what an earlier attempt made, else makes it, and brings it to
// what the configuration says. It never makes a second one.
func (t *typed[C, T]) create(ctx context.Context, a *account, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	c, err := t.decode(req.Name, req.Config)
	if err != nil {
		return nil, err
	}
	w := &work[C]{account: a, name: req.Name, owner: req.Ownership, config: c, source: req.Config, report: report, limit: t.limits.create}
	have, err := t.ours(ctx, w, req.Except)
	if err == nil && have == nil {
		have, err = t.make(ctx, w, req.Except)
	}
	if err != nil {
		return nil, err
	}
	id := t.api.facts(have).id
	if err := report.Assigned(id); err != nil {
		return nil, err
	}
	if !w.fresh {
		report.Progress(fmt.Sprintf("found the %s %s, which is there already", t.what, req.Name), -1)
	}
	if have, err = t.finish(ctx, w, have); err != nil {
		return &sdk.CreateResponse{ID: id}, err
	}
	out, err := t.api.outputs(ctx, a, have)
	return &sdk.CreateResponse{ID: id, Outputs: out}, err
}

// decode reads a configuration and judges it once more: what was not known at
// plan time is now.
func (t *typed[C, T]) decode(name string, cfg sdk.Config) (C, error) {
	c, err := sdk.Decode[C](cfg)
	if err != nil {
		return c, err
	}
	list := t.judgeName(name)
	if t.check != nil {
		list = append(list, t.check(name, c)...)
	}
	for _, d := range list {
		if d.Severity == sdk.SeverityError {
			return c, &sdk.Error{Code: sdk.CodeInvalid, Message: d.Message, Hint: d.Hint, Path: d.Path}
		}
	}
	return c, nil
}

func (t *typed[C, T]) keyOf(w *work[C]) string {
	if t.key != nil {
		return t.key(w.name, w.config)
	}
	return w.name
}

func (t *typed[C, T]) keyOfFacts(f facts) string { return cmp.Or(f.key, f.name) }

// owned is the facts of a thing with the owner that its claim names. A claim
// goes before tags: what was taken over may still have those of its maker.
func (t *typed[C, T]) owned(have *T, claims []claim) facts {
	f := t.api.facts(have)
	claimed := false
	for _, c := range claims {
		if c.key != t.keyOfFacts(f) {
			continue
		}
		owner := c.owner
		if claimed && *f.owner != owner {
			f.owner = &sdk.Ownership{} // claimed by two: nobody's
			return f
		}
		f.owner, f.name, claimed = &owner, cmp.Or(c.name, f.name), true
	}
	return f
}

// claimsOf lists the claims of the type; none where it has owners of its own.
func (t *typed[C, T]) claimsOf(ctx context.Context, a *account) ([]claim, error) {
	if t.claim == "" {
		return nil, nil
	}
	return a.claims(ctx, t.claim)
}

// ours looks for what this module has already under its name. Something of
// the name that is not the module's is an error.
func (t *typed[C, T]) ours(ctx context.Context, w *work[C], except []string) (*T, error) {
	found, err := t.api.all(ctx, w.account, t.keyOf(w))
	if err != nil {
		return nil, err
	}
	claims, err := t.claimsOf(ctx, w.account)
	if err != nil {
		return nil, err
	}
	w.claimed = slices.Contains(claims, t.claimFor(w))
	var foreign *facts
	for _, have := range found {
		f := t.owned(have, claims)
		switch {
		case slices.Contains(except, f.id):
		case f.owner != nil && *f.owner == w.owner:
			return have, nil
		default:
			foreign = &f
		}
	}
	if foreign != nil {
		return nil, t.taken(w, *foreign)
	}
	return nil, nil
}

// taken is the refusal to make what somebody else has.
func (t *typed[C, T]) taken(w *work[C], f facts) *sdk.Error {
	e := sdk.Errorf(sdk.CodeAlreadyExists, "the %s %q is there already (%s) and carries no tags of wfctl", t.what, t.keyOf(w), f.id)
	if f.owner != nil && f.owner.Project != "" {
		e.Message = fmt.Sprintf("the %s %q is there already (%s) and belongs to module %s of project %s, environment %s", t.what, t.keyOf(w), f.id,
			f.owner.Module, f.owner.Project, f.owner.Environment)
		return e.WithHint("give this one another name: `name:` in its config, where an environment can have its own")
	}
	return e.WithHint(fmt.Sprintf("take it over with `wfctl infra import %s %s --env %s`, or give this one another name", w.owner.Module, f.id, w.owner.Environment))
}

// make asks for the thing. When it is not known whether that had an effect, it
// looks for a while before it asks again.
func (t *typed[C, T]) make(ctx context.Context, w *work[C], except []string) (*T, error) {
	claimed := w.claimed
	if t.claim != "" && !t.tagged {
		if err := w.stake(ctx, t.claimFor(w)); err != nil {
			return nil, err
		}
	}
	w.progress(fmt.Sprintf("create the %s %s", t.what, w.name))
	// What has the name now may be ours only where an earlier request, of this
	// call or of one that noted its claim, can have made it.
	perhaps := t.claim == "" || t.tagged || claimed
	for attempt := 1; ; attempt++ {
		have, err := t.api.create(ctx, w)
		if err == nil {
			w.fresh = true
			return have, nil
		}
		code := sdk.CodeOf(err)
		if !ambiguous(err) && code != sdk.CodeAlreadyExists {
			t.unstake(ctx, w)
			return nil, w.located(ctx, err)
		}
		if perhaps = perhaps || ambiguous(err); !perhaps {
			t.unstake(ctx, w)
			return nil, err // somebody else was faster
		}
		found, lookErr := t.appeared(ctx, w, except)
		switch {
		case lookErr != nil:
			return nil, lookErr
		case found != nil:
			w.fresh = code != sdk.CodeAlreadyExists
			return found, nil
		case code == sdk.CodeAlreadyExists:
			t.unstake(ctx, w) // somebody else's, in another account
			return nil, err
		case attempt == makes:
			return nil, err
		}
	}
}

// unstake gives up the claim on what was refused: it would cover what somebody
// else makes under the name.
func (t *typed[C, T]) unstake(ctx context.Context, w *work[C]) {
	if t.claim == "" {
		return
	}
	if err := w.giveUp(ctx, t.claimFor(w)); err != nil {
		w.warn("", "remove the tag "+t.claimFor(w).tag(), "the note of who owns the "+t.what+" "+w.name+" is left over: "+err.Error())
	}
}

func (t *typed[C, T]) claimFor(w *work[C]) claim {
	c := claim{kind: t.claim, key: t.keyOf(w), owner: w.owner}
	if c.key != w.name {
		c.name = w.name
	}
	return c
}

// appeared looks for what a request may have made; nil when it does not show
// up.
func (t *typed[C, T]) appeared(ctx context.Context, w *work[C], except []string) (*T, error) {
	until := w.clock.Now().Add(patience)
	pause := backoff{w.poll, 4 * w.poll}
	for {
		have, err := t.ours(ctx, w, except)
		if have != nil || err != nil {
			return have, err
		}
		if w.clock.Now().After(until) {
			return nil, nil
		}
		if err := w.clock.Sleep(ctx, pause.wait()); err != nil {
			return nil, err
		}
	}
}

// finish waits until what was made can be seen, and converges. A call that was
// cut off is made again: it looks first.
func (t *typed[C, T]) finish(ctx context.Context, w *work[C], have *T) (*T, error) {
	id := t.api.facts(have).id
	until := w.clock.Now().Add(patience)
	err := w.await(ctx, fmt.Sprintf("look for the %s %s", t.what, w.name), patience, func(ctx context.Context) (bool, error) {
		now, err := t.api.get(ctx, w.account, id)
		if sdk.IsNotFound(err) && w.fresh && w.clock.Now().Before(until) {
			return false, nil
		}
		if err == nil {
			have = now
		}
		return err == nil, err
	})
	if err != nil {
		return have, err
	}
	if t.guest != "" {
		// Before it works: a job that it begins with may need its database.
		err := w.insist(ctx, func() error { return w.introduce(ctx, t.guest, id, w.name, w.owner) })
		if err != nil {
			return have, err
		}
	}
	err = w.insist(ctx, func() error {
		now, err := t.api.converge(ctx, w, have)
		if now != nil {
			have = now
		}
		return err
	})
	return have, err
}

// update brings a resource to its configuration and its owner.
func (t *typed[C, T]) update(ctx context.Context, a *account, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	c, err := t.decode(req.Name, req.Config)
	if err != nil {
		return nil, err
	}
	have, err := t.lookup(ctx, a, req.ID, req.Name, req.Ownership, nil)
	if err != nil {
		return nil, err
	}
	w := &work[C]{account: a, name: req.Name, owner: req.Ownership, config: c, source: req.Config, report: report, limit: t.limits.update}
	if f := t.api.facts(have); t.claim != "" && !t.tagged && t.keyOf(w) != t.keyOfFacts(f) {
		// The new name is claimed before it is given.
		if err := a.stake(ctx, t.claimFor(w)); err != nil {
			return nil, err
		}
	}
	if req.Prior != nil {
		w.prior = decodeKnown[C](req.Prior.Config)
	}
	if have, err = t.finish(ctx, w, have); err != nil {
		return nil, err
	}
	f := t.api.facts(have)
	if err := t.keepOwner(ctx, w, have); err != nil {
		return nil, err
	}
	out, err := t.api.outputs(ctx, a, have)
	return &sdk.UpdateResponse{ID: f.id, Outputs: out}, err
}

// keepOwner mends tags that somebody took away, and moves a claim when a name
// changed.
func (t *typed[C, T]) keepOwner(ctx context.Context, w *work[C], have *T) error {
	if w.owner.Project == "" {
		return nil
	}
	claims, err := t.claimsOf(ctx, w.account)
	if err != nil {
		return err
	}
	mine := t.claimFor(w)
	for _, c := range claims {
		if c.owner != w.owner || c.key == mine.key {
			continue
		}
		// An old name: it is free when nothing has it any more.
		if left, err := t.api.all(ctx, w.account, c.key); err != nil {
			return err
		} else if len(left) == 0 {
			if err := w.giveUp(ctx, c); err != nil {
				return err
			}
		}
	}
	if f := t.owned(have, claims); f.owner != nil && *f.owner == w.owner {
		return nil
	}
	return t.own(ctx, w.account, have, mine, claims)
}

// own writes an owner on what is there, and takes it from whoever had it.
func (t *typed[C, T]) own(ctx context.Context, a *account, have *T, c claim, claims []claim) error {
	if o, ok := t.api.(owning[T]); ok {
		return o.own(ctx, a, have, c.owner)
	}
	if err := a.stake(ctx, c); err != nil {
		return err
	}
	for _, other := range claims {
		if other.key == c.key && other != c {
			if err := a.giveUp(ctx, other); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookup finds a resource by identifier, else by name, owner and exceptions.
func (t *typed[C, T]) lookup(ctx context.Context, a *account, id, name string, owner sdk.Ownership, except []string) (*T, error) {
	if id != "" {
		if slices.Contains(except, id) {
			return nil, notFound(t.what, id)
		}
		return t.api.get(ctx, a, id)
	}
	claims, err := t.claimsOf(ctx, a)
	if err != nil {
		return nil, err
	}
	found, err := t.api.all(ctx, a, t.keyIn(claims, name, owner))
	if err != nil {
		return nil, err
	}
	for _, have := range found {
		f := t.owned(have, claims)
		if f.name == name && f.owner != nil && *f.owner == owner && !slices.Contains(except, f.id) {
			return have, nil
		}
	}
	return nil, notFound(t.what, name)
}

// stranger finds what has a name and is somebody else's, or nobody's: a plan
// must say so, and a teardown show it. Of several nobody can say which is meant.
func (t *typed[C, T]) stranger(ctx context.Context, a *account, req *sdk.ReadRequest) (*T, error) {
	key := req.Name
	if c := decodeKnown[C](req.Config); c != nil && t.key != nil {
		key = t.key(req.Name, *c)
	}
	found, err := t.api.all(ctx, a, "") // what a name alone finds may be of another type, and only in the way
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(have *T) bool {
		f := t.api.facts(have)
		return t.keyOfFacts(f) != key || slices.Contains(req.Except, f.id)
	})
	if len(found) != 1 {
		return nil, notFound(t.what, req.Name)
	}
	return found[0], nil
}

// keyIn is what the platform knows a name by: a claim says so where that is
// something else.
func (t *typed[C, T]) keyIn(claims []claim, name string, owner sdk.Ownership) string {
	for _, c := range claims {
		if c.owner == owner && c.name == name {
			return c.key
		}
	}
	return name
}

// speaker is who a resource is described to: whose it is, else who asks.
func speaker(owner *sdk.Ownership, asks sdk.Ownership) sdk.Ownership {
	if owner != nil && owner.Project != "" {
		return *owner
	}
	return asks
}

func (t *typed[C, T]) read(ctx context.Context, a *account, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	have, err := t.lookup(ctx, a, req.ID, req.Name, req.Ownership, req.Except)
	if sdk.IsNotFound(err) && req.ID == "" && req.IdempotencyKey == "" { // with a key it looks for what it made itself
		have, err = t.stranger(ctx, a, req)
	}
	if err != nil {
		return nil, err
	}
	claims, err := t.claimsOf(ctx, a)
	if err != nil {
		return nil, err
	}
	f := t.owned(have, claims)
	recorded := req.Config
	if req.Prior != nil {
		recorded = req.Prior.Config
	}
	want := decodeKnown[C](recorded)
	described, err := t.api.describe(ctx, a, speaker(f.owner, req.Ownership), have, want)
	if err != nil {
		return nil, err
	}
	res := &sdk.ReadResponse{ID: f.id, Name: f.name, Owner: f.owner, Healthy: f.status != sdk.Unhealthy, Reason: f.reason}
	if res.Config, err = t.readback(recorded, want, described); err != nil {
		return nil, err
	}
	res.Outputs, err = t.api.outputs(ctx, a, have)
	return res, err
}

// remove deletes a resource and waits until it is gone. What is still in use
// is tried again until the time is up.
func (t *typed[C, T]) remove(ctx context.Context, a *account, req *sdk.DeleteRequest, report sdk.Reporter) error {
	have, err := t.lookup(ctx, a, req.ID, req.Name, req.Ownership, nil)
	if sdk.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	given, err := t.release(ctx, a, have)
	if err == nil {
		err = t.delete(ctx, a, have, req.Name, report)
	}
	if err == nil {
		return nil
	}
	// What stays keeps its owner: a teardown without state must find it again.
	if again := a.restake(ctx, given); again != nil {
		return errors.Join(err, again)
	}
	return err
}

// delete asks until it is done, and waits until the thing is gone.
func (t *typed[C, T]) delete(ctx context.Context, a *account, have *T, name string, report sdk.Reporter) error {
	until := a.clock.Now().Add(t.limits.remove)
	pause := backoff{a.poll, 8 * a.poll}
	for {
		err := t.api.delete(ctx, a, have)
		if sdk.IsNotFound(err) {
			return nil
		}
		if err == nil {
			break
		}
		if code := sdk.CodeOf(err); code != sdk.CodeConflict || a.clock.Now().After(until) {
			return err
		}
		report.Progress(fmt.Sprintf("wait to delete the %s %s: %v", t.what, name, err), -1)
		if err := a.clock.Sleep(ctx, pause.wait()); err != nil {
			return err
		}
	}
	id := t.api.facts(have).id
	return a.await(ctx, fmt.Sprintf("delete the %s %s", t.what, name), t.limits.remove, func(ctx context.Context) (bool, error) {
		_, err := t.api.get(ctx, a, id)
		if sdk.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// release gives up the claims on what is about to be deleted, and returns
// those that it gave up.
func (t *typed[C, T]) release(ctx context.Context, a *account, have *T) (given []claim, err error) {
	claims, err := t.claimsOf(ctx, a)
	if err != nil {
		return nil, err
	}
	key := t.keyOfFacts(t.api.facts(have))
	for _, c := range claims {
		if c.key != key {
			continue
		}
		given = append(given, c) // also one of which it is not known whether it is gone
		if err := a.giveUp(ctx, c); err != nil {
			return given, err
		}
	}
	return given, nil
}

// restakeTime bounds the making of claims after a call was cut off.
const restakeTime = 5 * time.Second

// restake makes claims again on what could not be deleted.
func (a *account) restake(ctx context.Context, given []claim) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restakeTime)
	defer cancel()
	for _, c := range given {
		if err := a.stake(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (t *typed[C, T]) list(ctx context.Context, a *account, req *sdk.ListRequest) ([]sdk.ListedResource, error) {
	claims, err := t.claimsOf(ctx, a)
	if err != nil {
		return nil, err
	}
	found, err := t.api.all(ctx, a, "")
	if err != nil {
		return nil, err
	}
	var out []sdk.ListedResource
	for _, have := range found {
		f := t.owned(have, claims)
		if f.owner == nil || f.owner.Project != req.Project || req.Environment != "" && f.owner.Environment != req.Environment {
			continue
		}
		out = append(out, sdk.ListedResource{Type: t.name, ID: f.id, Name: f.name, Owner: *f.owner, Protected: f.protected})
	}
	return out, nil
}

// adopt takes over something that is there, and says which configuration
// matches it.
func (t *typed[C, T]) adopt(ctx context.Context, a *account, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	if ok, err := regexp.MatchString(t.idFormat, req.ID); err == nil && !ok && !t.importsName {
		return nil, invalid("", "%q is no identifier of a %s", req.ID, t.what).WithHint("DigitalOcean's control panel and `doctl` show identifiers; it has the form " + t.idFormat)
	}
	have, err := t.api.get(ctx, a, req.ID)
	if err != nil {
		return nil, err
	}
	claims, err := t.claimsOf(ctx, a)
	if err != nil {
		return nil, err
	}
	f := t.owned(have, claims)
	described, err := t.api.describe(ctx, a, req.Ownership, have, nil)
	if err != nil {
		return nil, err
	}
	res := &sdk.ImportResponse{ID: f.id, Name: f.name}
	if res.Config, err = t.readback(sdk.Config{}, nil, described); err != nil {
		return nil, err
	}
	if res.Outputs, err = t.api.outputs(ctx, a, have); err != nil {
		return nil, err
	}
	c := claim{kind: t.claim, key: t.keyOfFacts(f), owner: req.Ownership}
	if f.name != c.key {
		c.name = f.name
	}
	return res, t.own(ctx, a, have, c, claims)
}

func (t *typed[C, T]) health(ctx context.Context, a *account, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	if req.ID == "" {
		return nil, invalid("", "the request names no identifier")
	}
	have, err := t.api.get(ctx, a, req.ID)
	if err != nil {
		return nil, err
	}
	f := t.api.facts(have)
	return &sdk.HealthResponse{Status: cmp.Or(f.status, sdk.Healthy), Reason: f.reason}, nil
}
