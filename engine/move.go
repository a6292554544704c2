package engine

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// MoveState copies the environment's state to another backend, proves that
// the copy says the same, and then removes the original. The lease is held all
// the while. It returns how many objects were removed.
func (w *Work) MoveState(ctx context.Context, backend string, options json.RawMessage) (int, error) {
	b, err := w.project.kinds.Backends.Get(backend)
	if err != nil {
		return 0, fault.Wrap(fault.Usage, err, "infra state move")
	}
	req := BackendRequest{ProjectDir: w.project.Dir, Project: w.project.Environment().Project(), Environment: w.project.Environment().Name(), Config: options}
	to, err := b.Open(ctx, req)
	if err != nil {
		return 0, err
	}
	err = w.copyState(ctx, to)
	if err := errors.Join(err, to.Close()); err != nil {
		return 0, err
	}
	return w.session.Wipe(ctx)
}

// copyState copies the log as it is, lease and all, and then ends the lease
// of the copy.
func (w *Work) copyState(ctx context.Context, to state.Driver) error {
	for _, err := range to.Load(ctx, 0) {
		if err != nil {
			return fault.Wrap(fault.State, err, "look at the backend to move to")
		}
		return fault.New(fault.Refused, "the backend to move to has a state of this environment already").
			WithHint("nothing was changed; name an empty place")
	}
	from, err := w.project.openDriver(ctx)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // only read
	for e, err := range from.Load(ctx, 0) {
		if err != nil {
			return fault.Wrap(fault.State, err, "read the state that moves")
		}
		put := func() error { return to.Append(ctx, e.Seq, e.Data) }
		if e.Snapshot {
			put = func() error { return to.Compact(ctx, e.Seq, e.Data) }
		}
		if err := put(); err != nil {
			return errors.Join(fault.Wrap(fault.State, err, "write the state that moves"), wipe(ctx, to))
		}
	}
	return w.verifyCopy(ctx, to)
}

// verifyCopy compares what the copy says with the original.
func (w *Work) verifyCopy(ctx context.Context, to state.Driver) error {
	log, err := state.Open(ctx, to, state.Options{Now: w.project.options.Now})
	if err != nil {
		return errors.Join(err, wipe(ctx, to))
	}
	ours, err := json.Marshal(w.log.View().Records)
	if err != nil {
		return err
	}
	theirs, err := json.Marshal(log.View().Records)
	if err != nil {
		return err
	}
	if string(ours) != string(theirs) {
		return errors.Join(fault.New(fault.State, "the copy of the state is not the same as the original").WithHint("nothing was changed"), wipe(ctx, to))
	}
	_, err = log.Unlock(ctx, w.project.holder("infra state move"))
	return err
}

func wipe(ctx context.Context, d state.Driver) error {
	_, err := d.Wipe(ctx)
	return err
}
