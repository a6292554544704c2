// Package postgres keeps events in a PostgreSQL database, for a team whose
// runs happen on many machines. It makes its own tables, in a schema of their
// own, at the first append. It works behind a pooler: nothing rests on the
// session.
package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gocodealone/wfctl/event"
)

// tables are what the schema holds. A run's `last` is moved on by every
// append: the row's lock makes those one after the other.
const tables = `
CREATE SCHEMA IF NOT EXISTS {s};
CREATE TABLE IF NOT EXISTS {s}.run (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
	last bigint NOT NULL, started timestamptz NOT NULL, opened bytea, closed bytea);
CREATE INDEX IF NOT EXISTS run_started ON {s}.run (started DESC);
CREATE TABLE IF NOT EXISTS {s}.entry (run bigint NOT NULL REFERENCES {s}.run ON DELETE CASCADE, seq bigint NOT NULL,
	at timestamptz NOT NULL, data bytea NOT NULL, PRIMARY KEY (run, seq));
DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{s}.run'::regclass AND attname = 'answers') THEN
		ALTER TABLE {s}.run ADD COLUMN project text NOT NULL DEFAULT '', ADD COLUMN answers bigint NOT NULL DEFAULT 0;
		UPDATE {s}.run SET project = coalesce(convert_from(opened, 'UTF8')::jsonb ->> 'project', '') WHERE opened IS NOT NULL;
	END IF;
END $$;
CREATE INDEX IF NOT EXISTS run_answered ON {s}.run (id) WHERE answers > 0 AND closed IS NULL;`

// connectTimeout holds where the URL says nothing.
const connectTimeout = 10 * time.Second

// maxConns bounds the connections of one process. A reader holds one for as
// long as it reads, and may append meanwhile.
const maxConns = 16

// defaultSchema holds the tables where the URL names no `schema`.
const defaultSchema = "wfctl_events"

// Open opens the events in a database. It connects at the first use. schema
// holds the tables; "" is wfctl_events.
func Open(ctx context.Context, url, schema string) (event.Driver, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil || url == "" {
		// The cause quotes the URL, and with it what may be a password.
		return nil, errors.New("the events' address is not a PostgreSQL URL: it looks like postgres://user@host:5432/database")
	}
	if schema == "" {
		schema = defaultSchema
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements: poolers lose them
	cfg.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), cfg)
	if err != nil {
		return nil, fmt.Errorf("the events in PostgreSQL: %w", err)
	}
	return &driver{pool: pool, schema: pgx.Identifier{schema}.Sanitize()}, nil
}

type driver struct {
	pool   *pgxpool.Pool
	schema string
	made   atomic.Bool // the tables are there
}

func (d *driver) sql(statement string) string { return strings.ReplaceAll(statement, "{s}", d.schema) }

// with runs do on a connection; one that broke is not used again.
func (d *driver) with(ctx context.Context, do func(*pgx.Conn) error) error {
	return d.explain(d.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return do(c.Conn()) }))
}

func (d *driver) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	at := d.pool.Config().ConnConfig
	var unconnected *pgconn.ConnectError
	if errors.As(err, &unconnected) {
		// It says the same of each address and each way to speak TLS.
		lines := strings.Split(unconnected.Unwrap().Error(), "\n")
		return fmt.Errorf("%w: PostgreSQL at %s:%d: %s", event.ErrUnreachable, at.Host, at.Port, lines[len(lines)-1])
	}
	return fmt.Errorf("the events in PostgreSQL at %s:%d: %w", at.Host, at.Port, err)
}

// make makes the tables, once.
func (d *driver) make(ctx context.Context, conn *pgx.Conn) error {
	if d.made.Load() {
		return nil
	}
	// Two that make the same table at once collide in the catalogue: one at a
	// time, by a lock that the end of the transaction releases.
	_, err := conn.Exec(ctx, "BEGIN; SELECT pg_advisory_xact_lock(8247011); "+d.sql(tables)+" COMMIT;", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		_, undo := conn.Exec(ctx, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
		return errors.Join(err, undo)
	}
	d.made.Store(true)
	return nil
}

// missing tells whether the tables have not been made yet.
func missing(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000")
}

// Append implements event.Driver.
func (d *driver) Append(ctx context.Context, batches []event.Batch) error {
	return d.with(ctx, func(conn *pgx.Conn) error {
		if err := d.make(ctx, conn); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return d.append(ctx, tx, batches) })
	})
}

// append adds the batches of each run in one statement. Runs are taken in the
// order of their names: two appends that lock the same rows never wait for
// each other.
func (d *driver) append(ctx context.Context, tx pgx.Tx, batches []event.Batch) error {
	groups := map[string][]*event.Batch{}
	var names []string
	for i := range batches {
		b := &batches[i]
		if groups[b.Run] == nil {
			names = append(names, b.Run)
		}
		groups[b.Run] = append(groups[b.Run], b)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := d.appendRun(ctx, tx, name, groups[name]); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) appendRun(ctx context.Context, tx pgx.Tx, name string, batches []*event.Batch) error {
	var data [][]byte
	var times []time.Time
	var opened, closed []byte
	var project *string
	answers := 0
	for _, b := range batches {
		for _, e := range b.Events {
			raw, err := event.Encode(e)
			if err != nil {
				return err
			}
			data, times = append(data, raw), append(times, b.At)
			switch e := e.(type) {
			case event.RunStarted:
				opened, closed, project = raw, nil, &e.Project
			case event.RunFinished:
				closed = raw
			case event.ApprovalGiven:
				answers++
			}
		}
	}
	var id, last int64
	row := tx.QueryRow(ctx, d.sql(`INSERT INTO {s}.run AS r (name, last, started, opened, closed, project, answers)
		VALUES ($1, $2, $3, $4, $5, coalesce($6, ''), $7)
		ON CONFLICT (name) DO UPDATE SET last = r.last + $2, opened = coalesce($4, r.opened), project = coalesce($6, r.project), answers = r.answers + $7,
		closed = CASE WHEN $4 IS NOT NULL THEN $5 ELSE coalesce($5, r.closed) END RETURNING id, last`),
		name, int64(len(data)), batches[0].At, opened, closed, project, int64(answers))
	if err := row.Scan(&id, &last); err != nil {
		return err
	}
	first := last - int64(len(data)) + 1
	_, err := tx.Exec(ctx, d.sql(`INSERT INTO {s}.entry (run, seq, at, data)
		SELECT $1, $2::bigint + u.n - 1, u.at, u.data FROM unnest($3::timestamptz[], $4::bytea[]) WITH ORDINALITY AS u (at, data, n)`), id, first, times, data)
	for _, b := range batches {
		b.First = uint64(first)
		first += int64(len(b.Events))
	}
	return err
}

// Load implements event.Driver.
func (d *driver) Load(ctx context.Context, run string, after uint64) iter.Seq2[event.Record, error] {
	return func(yield func(event.Record, error) bool) {
		err := d.with(ctx, func(conn *pgx.Conn) error { return d.load(ctx, conn, run, after, yield) })
		if err != nil {
			yield(event.Record{}, err)
		}
	}
}

func (d *driver) load(ctx context.Context, conn *pgx.Conn, run string, after uint64, yield func(event.Record, error) bool) error {
	rows, err := conn.Query(ctx, d.sql(`SELECT e.seq, e.at, e.data FROM {s}.run r JOIN {s}.entry e ON e.run = r.id
		WHERE r.name = $1 AND e.seq > $2 ORDER BY e.seq`), run, int64(after))
	if err != nil {
		return whenMade(err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var at time.Time
		var data []byte
		if err := rows.Scan(&seq, &at, &data); err != nil {
			return err
		}
		e, err := event.Decode(data)
		if err != nil {
			return err
		}
		if !yield(event.Record{Seq: uint64(seq), At: at.UTC(), Event: e}, nil) {
			return nil
		}
	}
	return whenMade(rows.Err())
}

// whenMade drops the error that there are no tables: then there are no events.
func whenMade(err error) error {
	if missing(err) {
		return nil
	}
	return err
}

// Runs implements event.Driver.
func (d *driver) Runs(ctx context.Context, limit int) ([]event.Run, error) {
	var list []event.Run
	err := d.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, d.sql("SELECT name, started, opened, closed FROM {s}.run ORDER BY started DESC, id DESC LIMIT nullif($1::bigint, 0)"), int64(limit))
		if err != nil {
			return whenMade(err)
		}
		list, err = pgx.CollectRows(rows, scanRun)
		return whenMade(err)
	})
	return list, err
}

func scanRun(row pgx.CollectableRow) (event.Run, error) {
	var name string
	var started time.Time
	var opened, closed []byte
	if err := row.Scan(&name, &started, &opened, &closed); err != nil {
		return event.Run{}, err
	}
	r := event.Run{ID: name, Status: event.Running}
	if opened != nil {
		var e event.RunStarted
		if err := json.Unmarshal(opened, &e); err != nil {
			return r, err
		}
		r = e.Open()
	}
	r.Started = started.UTC()
	if closed != nil {
		var e event.RunFinished
		if err := json.Unmarshal(closed, &e); err != nil {
			return r, err
		}
		r = r.Close(e)
	}
	return r, nil
}

// Prune implements event.Driver.
func (d *driver) Prune(ctx context.Context, before time.Time, keep int) (int, error) {
	var n int64
	err := d.with(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, d.sql(`DELETE FROM {s}.run WHERE started < $1
			OR closed IS NOT NULL AND id IN (SELECT id FROM
			(SELECT id, row_number() OVER (PARTITION BY project ORDER BY started DESC, id DESC) AS n FROM {s}.run) AS ranked WHERE n > $2)`), before, int64(keep))
		n = tag.RowsAffected()
		return whenMade(err)
	})
	return int(n), err
}

// Delete implements event.Driver.
func (d *driver) Delete(ctx context.Context, runs []string) (int, error) {
	var n int64
	err := d.with(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, d.sql("DELETE FROM {s}.run WHERE name = ANY($1::text[])"), runs)
		n = tag.RowsAffected()
		return whenMade(err)
	})
	return int(n), err
}

// Answered implements event.Answers.
func (d *driver) Answered(ctx context.Context) (map[string]int, error) {
	list := map[string]int{}
	err := d.with(ctx, func(conn *pgx.Conn) error {
		if err := d.make(ctx, conn); err != nil { // the column may be newer than the tables
			return err
		}
		rows, err := conn.Query(ctx, d.sql("SELECT name, answers FROM {s}.run WHERE answers > 0 AND closed IS NULL"))
		if err != nil {
			return err
		}
		var name string
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
			list[name] = int(n)
			return nil
		})
		return err
	})
	return list, err
}

// Close implements event.Driver. It waits for what is under way.
func (d *driver) Close() error {
	d.pool.Close()
	return nil
}
