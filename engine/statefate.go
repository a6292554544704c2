package engine

import (
	"context"
	"errors"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/state"
)

// stateFate says what will become of the record. remains: something that it
// may be about stays.
func (t *Teardown) stateFate(ctx context.Context, remains bool) (plan.StateFate, error) {
	req, err := t.project.backendRequest()
	if err != nil {
		return plan.StateFate{}, err
	}
	fate := plan.StateFate{Place: t.project.statePrefix(req), Wipe: true}
	if t.trouble != nil {
		fate.Trouble = t.trouble.Error()
	}
	objects, err := t.stateObjects(ctx)
	fate.Objects = objects
	switch {
	case errors.Is(t.trouble, state.ErrForeign) || t.moved:
		fate.Wipe, fate.Reason = false, "it is not this environment's"
	case err != nil && !t.canSetAside(err):
		fate.Wipe, fate.Reason = false, "it cannot be opened"
	case remains:
		fate.Wipe, fate.Reason = false, "something stays that it may be about"
	case len(t.troubles) > 0:
		fate.Wipe, fate.Reason = false, "not everything could be looked for"
	case err != nil:
		fate.Aside = true
	}
	return fate, nil
}

// stateObjects counts what a wipe would remove now.
func (t *Teardown) stateObjects(ctx context.Context) (n int, err error) {
	if t.work != nil {
		return t.work.log.Objects(ctx)
	}
	driver, err := t.project.openDriver(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	if n, err = driver.Objects(ctx); errors.Is(err, state.ErrNoStorage) {
		return 0, nil
	}
	return n, err
}

// canSetAside tells whether storage that cannot be read at all can be put
// aside.
func (t *Teardown) canSetAside(err error) bool {
	b, lookErr := t.project.backend()
	return lookErr == nil && b.SetAside != nil && errors.Is(err, state.ErrUnreadable)
}

// wipeState removes the record, through the lease where there is one. Storage
// that is damaged as a whole is put aside.
func (t *Teardown) wipeState(ctx context.Context) (n int, err error) {
	switch {
	case t.work != nil:
		return t.work.session.Wipe(ctx)
	case errors.Is(t.trouble, state.ErrForeign) || t.moved:
		return 0, t.trouble
	}
	if n, err = t.wipeBlind(ctx); err != nil {
		return n, err
	}
	return n, t.project.ResetState()
}

// wipeBlind removes a record that cannot be read.
func (t *Teardown) wipeBlind(ctx context.Context) (n int, err error) {
	driver, err := t.project.openDriver(ctx)
	if err == nil {
		n, err = driver.Wipe(ctx)
		err = errors.Join(err, driver.Close())
	}
	switch {
	case errors.Is(err, state.ErrNoStorage):
		return 0, nil
	case err == nil || !t.canSetAside(err):
		return n, err
	}
	req, lookErr := t.project.backendRequest()
	b, backendErr := t.project.backend()
	if lookErr != nil || backendErr != nil {
		return 0, errors.Join(lookErr, backendErr)
	}
	aside, err := b.SetAside(req, t.project.options.Now())
	if err != nil {
		return 0, err
	}
	t.project.events.Emit(event.Notice{
		Level: "warning", Message: "the state cannot be read at all; it is now " + aside, Hint: "other environments may have had their records in it",
	})
	return 0, nil
}
