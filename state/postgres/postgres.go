// Package postgres is a state driver on a PostgreSQL database. It makes and
// versions its own tables, in a schema of their own, at the first append. It
// works behind a pooler: nothing rests on the session.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/state"
)

// schemaVersion is that of the tables.
const schemaVersion = 1

// tables are what a schema holds. `last` is what an append moves on by one:
// the row's lock makes appends one after the other, and it stays where it is
// when the log is condensed, so that no number is used twice.
const tables = `
CREATE SCHEMA IF NOT EXISTS {s};
CREATE TABLE {s}.version (version integer NOT NULL);
INSERT INTO {s}.version VALUES (1);
CREATE TABLE {s}.scope (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, last bigint NOT NULL DEFAULT 0);
CREATE TABLE {s}.entry (scope bigint NOT NULL REFERENCES {s}.scope ON DELETE CASCADE, seq bigint NOT NULL, data bytea NOT NULL, PRIMARY KEY (scope, seq));
CREATE TABLE {s}.snapshot (scope bigint PRIMARY KEY REFERENCES {s}.scope ON DELETE CASCADE, through bigint NOT NULL, data bytea NOT NULL);`

// Options say where the state is.
type Options struct {
	// URL is that of the database. Its password and what else libpq knows may
	// come from the environment (PGPASSWORD, PGSERVICEFILE …).
	URL string `json:"url"`
	// Schema holds the tables; "" is wfctl_state.
	Schema string `json:"schema,omitempty"`
}

// Schema is the JSON Schema of [Options].
const Schema = `{"type": "object", "additionalProperties": false, "required": ["url"], "properties": {
	"url": {"type": "string", "description": "postgres://user@host:5432/database; the password may come from PGPASSWORD", "x-sensitive": true},
	"schema": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,62}$", "description": "the schema that holds the tables; default wfctl_state"}}}`

var schemaName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// How long a single request may take before the connection is given up.
const (
	connectTimeout = 10 * time.Second
	appendTimeout  = 20 * time.Second
)

// Open opens the log of an environment; env is any name that is unique in the
// schema. It connects at the first use.
func Open(_ context.Context, o Options, env string) (state.Driver, error) {
	if o.Schema == "" {
		o.Schema = "wfctl_state"
	}
	if !schemaName().MatchString(o.Schema) {
		return nil, fault.New(fault.Config, "iac.state: %q is not a name for a schema", o.Schema).
			WithHint("use letters, digits and _, beginning with a letter")
	}
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil || o.URL == "" {
		// The cause quotes the URL, and with it what may be a password.
		return nil, fault.New(fault.Config, "iac.state: `url` is not a PostgreSQL URL").
			WithHint("it looks like postgres://user@host:5432/database; the password may come from PGPASSWORD")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements: poolers lose them
	return &driver{cfg: cfg, name: o.Schema, schema: pgx.Identifier{o.Schema}.Sanitize(), env: env}, nil
}

type driver struct {
	cfg *pgx.ConnConfig
	// name is the schema's, schema the same as SQL writes it.
	name, schema, env string

	mu     sync.Mutex
	idle   []*pgx.Conn
	made   bool // the tables are there
	closed bool
}

// sql fills in the schema.
func (d *driver) sql(statement string) string { return strings.ReplaceAll(statement, "{s}", d.schema) }

// with runs do on a connection; one that broke is not used again.
func (d *driver) with(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := d.take(ctx)
	if err != nil {
		return d.explain(err)
	}
	err = do(conn)
	d.give(ctx, conn)
	return d.explain(err)
}

func (d *driver) take(ctx context.Context) (*pgx.Conn, error) {
	d.mu.Lock()
	if n := len(d.idle); n > 0 {
		conn := d.idle[n-1]
		d.idle = d.idle[:n-1]
		d.mu.Unlock()
		return conn, nil
	}
	d.mu.Unlock()
	return pgx.ConnectConfig(ctx, d.cfg)
}

func (d *driver) give(ctx context.Context, conn *pgx.Conn) {
	d.mu.Lock()
	keep := !d.closed && !conn.IsClosed() && conn.PgConn().TxStatus() == 'I' && len(d.idle) < 4
	if keep {
		d.idle = append(d.idle, conn)
	}
	d.mu.Unlock()
	if !keep {
		_ = conn.Close(context.WithoutCancel(ctx)) // broken or one too many
	}
}

// ready tells whether the tables are there, and makes them if asked to.
func (d *driver) ready(ctx context.Context, conn *pgx.Conn, create bool) (bool, error) {
	d.mu.Lock()
	made := d.made
	d.mu.Unlock()
	if made {
		return true, nil
	}
	there, err := d.recognise(ctx, conn)
	if err == nil && !there && create {
		there, err = true, d.create(ctx, conn)
	}
	if err != nil || !there {
		return false, err
	}
	d.mu.Lock()
	d.made = true
	d.mu.Unlock()
	return true, nil
}

func (d *driver) recognise(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var there bool // to_regclass would do, but for its cache of what is not there
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = 'version' AND n.nspname = $1)`, d.name).Scan(&there)
	if err != nil || !there {
		return false, err
	}
	var version int
	if err := conn.QueryRow(ctx, d.sql("SELECT max(version) FROM {s}.version")).Scan(&version); err != nil {
		return false, err
	}
	if version > schemaVersion {
		return false, fault.New(fault.State, "the state in schema %s is of version %d, and this wfctl knows versions up to %d", d.schema, version, schemaVersion).
			WithHint("a newer wfctl has written it; update wfctl to at least that version")
	}
	return true, nil
}

// create makes the tables; of several that try at once one does.
func (d *driver) create(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "wfctl "+d.schema); err != nil {
			return err
		}
		if there, err := d.recognise(ctx, conn); err != nil || there {
			return err
		}
		for statement := range strings.SplitSeq(tables, ";\n") {
			if _, err := tx.Exec(ctx, d.sql(statement)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Append implements state.Driver: one statement, so one round trip.
func (d *driver) Append(ctx context.Context, seq uint64, entry []byte) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	return d.with(ctx, func(conn *pgx.Conn) error {
		if _, err := d.ready(ctx, conn, true); err != nil {
			return err
		}
		if seq == 1 {
			if err := d.makeScope(ctx, conn); err != nil {
				return err
			}
		}
		tag, err := conn.Exec(ctx, d.sql(`
			WITH moved AS (UPDATE {s}.scope SET last = $2 WHERE name = $1 AND last = $2 - 1 RETURNING id)
			INSERT INTO {s}.entry (scope, seq, data) SELECT id, $2, $3 FROM moved`), d.env, int64(seq), entry)
		if err == nil && tag.RowsAffected() == 0 {
			return state.ErrConflict
		}
		return err
	})
}

// execer is a connection or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func (d *driver) makeScope(ctx context.Context, e execer) error {
	_, err := e.Exec(ctx, d.sql("INSERT INTO {s}.scope (name) VALUES ($1) ON CONFLICT (name) DO NOTHING"), d.env)
	return err
}

// Load implements state.Driver.
func (d *driver) Load(ctx context.Context, after uint64) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		err := d.with(ctx, func(conn *pgx.Conn) error {
			there, err := d.ready(ctx, conn, false)
			if err != nil || !there {
				return err
			}
			return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
				return d.load(ctx, tx, int64(after), yield)
			})
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(state.Entry{}, err)
		}
	}
}

// errStopped: who reads wants no more.
var errStopped = errors.New("stopped")

func (d *driver) load(ctx context.Context, tx pgx.Tx, after int64, yield func(state.Entry, error) bool) error {
	var scope, through int64
	var snapshot []byte
	err := tx.QueryRow(ctx, d.sql(`SELECT s.id, coalesce(n.through, 0), n.data FROM {s}.scope s
		LEFT JOIN {s}.snapshot n ON n.scope = s.id AND n.through > $2 WHERE s.name = $1`), d.env, after).Scan(&scope, &through, &snapshot)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if through > after {
		if !yield(state.Entry{Seq: uint64(through), Data: snapshot, Snapshot: true}, nil) {
			return errStopped
		}
		after = through
	}
	rows, err := tx.Query(ctx, d.sql("SELECT seq, data FROM {s}.entry WHERE scope = $1 AND seq > $2 ORDER BY seq"), scope, after)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var data []byte
		if err := rows.Scan(&seq, &data); err != nil {
			return err
		}
		if !yield(state.Entry{Seq: uint64(seq), Data: data}, nil) {
			return errStopped
		}
	}
	return rows.Err()
}

// Compact implements state.Driver.
func (d *driver) Compact(ctx context.Context, through uint64, snapshot []byte) error {
	return d.with(ctx, func(conn *pgx.Conn) error {
		if _, err := d.ready(ctx, conn, true); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if err := d.makeScope(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, d.sql("UPDATE {s}.scope SET last = greatest(last, $2) WHERE name = $1"), d.env, int64(through)); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, d.sql(`
				INSERT INTO {s}.snapshot AS old (scope, through, data) SELECT id, $2, $3 FROM {s}.scope WHERE name = $1
				ON CONFLICT (scope) DO UPDATE SET through = excluded.through, data = excluded.data WHERE excluded.through > old.through`), d.env, int64(through), snapshot)
			if err != nil || tag.RowsAffected() == 0 {
				return err
			}
			_, err = tx.Exec(ctx, d.sql("DELETE FROM {s}.entry WHERE scope = (SELECT id FROM {s}.scope WHERE name = $1) AND seq <= $2"), d.env, int64(through))
			return err
		})
	})
}

// Objects implements state.Driver.
func (d *driver) Objects(ctx context.Context) (n int, err error) {
	err = d.with(ctx, func(conn *pgx.Conn) error {
		there, err := d.ready(ctx, conn, false)
		if err != nil || !there {
			return err
		}
		err = conn.QueryRow(ctx, d.sql(`SELECT (SELECT count(*) FROM {s}.entry WHERE scope = s.id) + (SELECT count(*) FROM {s}.snapshot WHERE scope = s.id)
			FROM {s}.scope s WHERE name = $1`), d.env).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return n, err
}

// Wipe implements state.Driver. The tables and the schema stay: other
// environments may live there.
func (d *driver) Wipe(ctx context.Context) (int, error) {
	objects := 0
	err := d.with(ctx, func(conn *pgx.Conn) error {
		there, err := d.ready(ctx, conn, false)
		if err != nil || !there {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var id int64
			err := tx.QueryRow(ctx, d.sql("SELECT id FROM {s}.scope WHERE name = $1 FOR UPDATE"), d.env).Scan(&id)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, table := range []string{"entry", "snapshot"} {
				tag, err := tx.Exec(ctx, d.sql(fmt.Sprintf("DELETE FROM {s}.%s WHERE scope = $1", table)), id)
				if err != nil {
					return err
				}
				objects += int(tag.RowsAffected())
			}
			_, err = tx.Exec(ctx, d.sql("DELETE FROM {s}.scope WHERE id = $1"), id)
			return err
		})
	})
	return objects, err
}

// Close implements state.Driver.
func (d *driver) Close() error {
	d.mu.Lock()
	idle := d.idle
	d.idle, d.closed = nil, true
	d.mu.Unlock()
	var errs []error
	for _, conn := range idle {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		errs = append(errs, conn.Close(ctx))
		cancel()
	}
	return errors.Join(errs...)
}
