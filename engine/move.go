package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
)

// MoveState copies the environment's state to another backend, its history
// with it, and ends it here: a command that still wants to change things here is told where it
// went. The lease is held all the while.
func (w *Work) MoveState(ctx context.Context, backend string, options json.RawMessage) error {
	b, err := w.project.kinds.Backends.Get(backend)
	if err != nil {
		return fault.Wrap(fault.Usage, err, "infra state move")
	}
	faults, err := resolve.CheckValue(resolve.NewChecker(), b.Schema, &config.Node{}, options, "the backend "+backend)
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return fault.Wrap(fault.Usage, fault.List(faults).Err(), "infra state move --option")
	}
	env := w.project.Environment()
	to, err := b.Open(ctx, BackendRequest{ProjectDir: w.project.Dir, Project: env.Project(), Environment: env.Name(), Config: options})
	if err != nil {
		return err
	}
	return errors.Join(w.session.Relocate(ctx, backend, to), to.Close())
}

// CheckState verifies the whole log. It changes nothing.
func (w *Work) CheckState(ctx context.Context) (*state.Report, error) { return w.log.Check(ctx) }

// RecordAt returns a record as it was after an entry of the log.
func (w *Work) RecordAt(ctx context.Context, addr resource.Address, seq uint64) (resource.Record, error) {
	view, err := w.log.At(ctx, seq)
	if err != nil {
		return resource.Record{}, err
	}
	rec, ok := view.Record(resource.Key{Address: addr})
	if !ok {
		return rec, fault.New(fault.NotFound, "state had no resource %q after entry %d", addr, seq)
	}
	return rec, nil
}

// WipeState removes the environment's state, all of it and nothing else, and
// returns how many objects of the backend that were. It is refused while
// another holds the lease, and while resources are recorded: what is not on
// record cannot be found again.
func (p *Project) WipeState(ctx context.Context, command string, wait time.Duration) (n int, err error) {
	w, err := p.Look(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	before := w.log.View().Seq
	if before == 0 {
		return 0, nil
	}
	if w.session, err = w.log.Lock(ctx, p.holder(command), state.LockOptions{Wait: wait, NewKey: true}); err != nil {
		return 0, err
	}
	if view := w.log.View(); len(view.Records)+len(view.Pending) > 0 {
		return 0, fault.New(fault.Refused, "the state of %q still records %d resources", p.Environment().Name(), len(view.Records)+len(view.Pending)).
			WithHint("destroy them with `wfctl infra destroy`, or forget them with `wfctl infra state rm`")
	}
	return w.session.Wipe(ctx)
}
