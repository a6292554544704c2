package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// noDatabase and duplicate are what a server says of a database that is not
// there, and of one that is there by now.
const (
	noDatabase = "3D000"
	duplicate  = "42P04"
)

// Make makes the database, the schema and its tables, as far as they are not
// there, and says what it made.
func Make(ctx context.Context, o Options) (created []string, err error) {
	opened, err := Open(ctx, o, "bootstrap")
	if err != nil {
		return nil, err
	}
	d, ok := opened.(*driver)
	if !ok {
		return nil, opened.Close()
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if made, err := d.makeDatabase(ctx); err != nil {
		return nil, err
	} else if made {
		created = append(created, "database "+d.cfg.Database)
	}
	err = d.with(ctx, func(conn *pgx.Conn) error {
		there, err := d.recognise(ctx, conn)
		if err != nil || there {
			return err
		}
		created = append(created, "schema "+d.name)
		return d.create(ctx, conn)
	})
	return created, err
}

// makeDatabase makes the database by way of the one that every server has.
func (d *driver) makeDatabase(ctx context.Context) (bool, error) {
	conn, err := pgx.ConnectConfig(ctx, d.cfg)
	if err == nil {
		return false, conn.Close(ctx)
	}
	if !says(err, noDatabase) {
		return false, d.explain(err)
	}
	maintenance := d.cfg.Copy()
	maintenance.Database = "postgres"
	if conn, err = pgx.ConnectConfig(ctx, maintenance); err != nil {
		return false, d.explain(err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{d.cfg.Database}.Sanitize())
	if says(err, duplicate) {
		err = nil // another was faster
	}
	return err == nil, errors.Join(d.explain(err), conn.Close(ctx))
}

func says(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}
