package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// explain says what to do about the errors that users meet, and marks those
// that pass.
func (d *driver) explain(err error) error {
	var f *fault.Error
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &f), errors.Is(err, state.ErrConflict), errors.Is(err, errStopped), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &pg):
		return d.answered(pg)
	}
	where := fmt.Sprintf("%s:%d", d.cfg.Host, d.cfg.Port)
	return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrUnavailable, cleaned(err, d.cfg.Password)), "the PostgreSQL server %s of the state cannot be reached", where).
		WithHint("check the `url` of the module iac.state and the network; what was recorded before is intact")
}

// cleaned keeps the password out of what a library says.
func cleaned(err error, password string) error {
	if password == "" || !strings.Contains(err.Error(), password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), password, "***"))
}

// answered explains what the server itself says, by its SQLSTATE.
func (d *driver) answered(pg *pgconn.PgError) error {
	class := pg.Code[:min(2, len(pg.Code))]
	switch {
	case pg.Code == "23505":
		return state.ErrConflict
	case pg.Code == "53100":
		return fault.Wrap(fault.State, pg, "the disk of the state's PostgreSQL server is full").
			WithHint("what was recorded before is intact; make room there, then run this again")
	case class == "08", class == "53", class == "57", class == "40", pg.Code == "55P03":
		return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrUnavailable, pg), "the state's PostgreSQL server does not answer now").
			WithHint("what was recorded before is intact; run this again when the server is up")
	case class == "28":
		return fault.Wrap(fault.State, pg, "the state's PostgreSQL server refuses the login").
			WithHint("check the user of the `url` and PGPASSWORD")
	case pg.Code == "3D000":
		return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrNoStorage, pg), "the state's database does not exist").WithHint("create it, or run `wfctl infra bootstrap`")
	case pg.Code == "42501", pg.Code == "25006":
		return fault.Wrap(fault.State, pg, "the state's PostgreSQL user may not write to schema %s", d.schema).
			WithHint("grant it CREATE on the database once, or USAGE on the schema and all rights on its tables; the server must not be a read replica")
	}
	return fault.Wrap(fault.State, pg, "the state's PostgreSQL server refuses the request").
		WithHint("what was recorded before is intact; the server's log says more")
}
