package engine

import (
	"context"
	"errors"
	"time"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// Nodes says which nodes of the graph a command works on.
type Nodes int

// The selections.
const (
	// AllNodes: modules, images, migrations and gates (up, down).
	AllNodes Nodes = iota
	// ModuleNodes: modules, and the secrets that they deliver (infra …).
	ModuleNodes
	// ImageNodes: images alone (build).
	ImageNodes
	// MigrationNodes: migrations alone (a pipeline's step).
	MigrationNodes
	// GateNodes: gates alone (ci run --phase verify).
	GateNodes
	// SecretNodes: secrets alone (infra secrets …).
	SecretNodes
	// PushNodes: images, and bringing them to their registries (build --push).
	PushNodes
)

// PlanOptions say what to plan.
type PlanOptions struct {
	Nodes             Nodes
	Refresh           bool
	Destroy           bool
	Targets, Excludes []resource.Address
	// Again are done once more although nothing about them has changed.
	Again []resource.Address
}

// Work is one command's hold of an environment's state: opened, and for a
// command that changes things locked and recovered.
type Work struct {
	project *Project
	log     *state.Log
	session *state.Session // nil for a command that only looks
	sealer  state.Sealer   // nil where the state names no encryption
	command string
	started time.Time
	plan    *plan.Plan
	// strict: a delivery that fails fails the command.
	strict bool
}

// Look opens the state without a lease.
func (p *Project) Look(ctx context.Context) (*Work, error) {
	return p.look(ctx, nil)
}

// look is Look; former opens what an earlier encryption has sealed.
func (p *Project) look(ctx context.Context, former state.Sealer) (*Work, error) {
	log, sealer, err := p.openState(ctx, former)
	if err != nil {
		return nil, err
	}
	w := &Work{project: p, log: log, sealer: sealer, started: p.options.Now()}
	w.share()
	return w, nil
}

// Begin opens the state, takes its lease, waiting for another holder as long
// as wait says, and settles what an earlier command left unfinished.
func (p *Project) Begin(ctx context.Context, command string, wait time.Duration) (*Work, error) {
	w, err := p.Look(ctx)
	if err != nil {
		return nil, err
	}
	w.command = command
	if err := w.canSeal(ctx); err != nil {
		return nil, errors.Join(err, w.End(ctx))
	}
	if w.session, err = w.log.Lock(ctx, p.holder(command), p.lockOptions(state.LockOptions{Wait: wait})); err != nil {
		return nil, errors.Join(err, w.End(ctx))
	}
	if err := w.recover(ctx); err != nil {
		return nil, errors.Join(err, w.End(ctx))
	}
	return w, nil
}

// share lets the providers' own configuration refer to what is recorded.
func (w *Work) share() {
	view := w.log.View()
	recorded := map[resource.Address]resource.ProviderRecord{}
	for _, rec := range view.Providers {
		recorded[rec.Address] = rec
	}
	w.project.pool.recorded, w.project.keyed, w.project.recorded = recorded, w.log.Fingerprint, w.log.Record
	w.project.pool.scope = func() resource.Scope { return recordScope{w.log} }
}

// recover settles the intents that have no result.
func (w *Work) recover(ctx context.Context) error {
	view := w.log.View()
	if len(view.Pending) == 0 {
		return nil
	}
	w.project.events.Emit(event.Notice{Level: "info", Message: "An earlier run was interrupted; finding out what it did."})
	return apply.Recover(ctx, apply.RecoverOptions{
		Pending: pendingIntents(view), Records: view.Records, Journal: w.session, Providers: w.project.pool,
		Config: w.configOf, Project: w.project.Environment().Project(), Environment: w.project.Environment().Name(),
		Now: w.project.options.Now, Events: w.project.events, Keep: w.keeping(ctx),
	})
}

// End releases the lease and closes the state.
func (w *Work) End(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var errs []error
	if w.session != nil {
		errs = append(errs, w.session.Release(ctx))
	}
	return errors.Join(append(errs, w.log.Close())...)
}

// Records are what state holds now.
func (w *Work) Records() []resource.Record { return w.log.View().Records }

// selected keeps the nodes that a command works on.
func selected(n Nodes, addr resource.Address) bool {
	kind := nodeKind(addr)
	switch n {
	case ModuleNodes:
		return kind == "" || kind == resource.SecretPrefix
	case ImageNodes:
		return kind == resource.ImagePrefix
	case MigrationNodes:
		return kind == resource.MigrationPrefix
	case GateNodes:
		return kind == resource.GatePrefix
	case SecretNodes:
		return kind == resource.SecretPrefix
	case PushNodes:
		return kind == resource.ImagePrefix || kind == resource.PushPrefix
	}
	return true
}

// nodeKind is the prefix of an address that is not a module's.
func nodeKind(addr resource.Address) string {
	for _, prefix := range []string{resource.ImagePrefix, resource.PushPrefix, resource.MigrationPrefix, resource.GatePrefix, resource.SecretPrefix} {
		if len(addr) > len(prefix) && string(addr[:len(prefix)]) == prefix {
			return prefix
		}
	}
	return ""
}

// recordScope answers from the records alone.
type recordScope struct{ log *state.Log }

// Output implements resource.Scope.
func (s recordScope) Output(ref resource.Ref) (resource.Known, error) {
	rec, ok := s.log.View().Record(resource.Key{Address: ref.Address})
	if !ok {
		return resource.Known{Unknown: true}, nil
	}
	return plan.RecordedOutput(rec, ref.Output)
}

// Fingerprint implements resource.Scope.
func (s recordScope) Fingerprint(value []byte) string { return s.log.Fingerprint(value) }
