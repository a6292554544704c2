package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"github.com/gocodealone/wfctl/fault"
)

// recordTable holds what goose's version table does not: hashes, and how far
// a migration got that is not done.
const recordTable = "wfctl_migrations"

const createRecords = `CREATE TABLE IF NOT EXISTS wfctl_migrations (
	version BIGINT PRIMARY KEY,
	name TEXT NOT NULL,
	hash TEXT NOT NULL,
	state TEXT NOT NULL,
	direction TEXT NOT NULL,
	done INTEGER NOT NULL,
	total INTEGER NOT NULL,
	in_transaction INTEGER NOT NULL,
	error TEXT NOT NULL,
	started_at TEXT NOT NULL,
	finished_at TEXT NOT NULL
)`

// The states of a record.
const (
	stateRunning = "running"
	stateApplied = "applied"
	stateFailed  = "failed"
)

// record is a row of the table.
type record struct {
	version         int64
	name, hash      string
	state           string
	direction       string
	done, total     int
	inTransaction   bool
	error           string
	started, finish string
}

// dirty tells whether a migration stopped halfway and left a part of itself:
// one in a transaction leaves nothing.
func (r record) dirty() bool { return r.state != stateApplied && !r.inTransaction }

// executor is a connection, a pool or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

const upsertRecord = `INSERT INTO wfctl_migrations
	(version, name, hash, state, direction, done, total, in_transaction, error, started_at, finished_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (version) DO UPDATE SET name = excluded.name, hash = excluded.hash, state = excluded.state,
	direction = excluded.direction, done = excluded.done, total = excluded.total, in_transaction = excluded.in_transaction,
	error = excluded.error, started_at = excluded.started_at, finished_at = excluded.finished_at`

// save writes a record, whatever was there.
func (d *database) save(ctx context.Context, to executor, r record) error {
	_, err := to.ExecContext(ctx, d.bind(upsertRecord), r.args()...)
	return err
}

func (r record) args() []any {
	in := 0
	if r.inTransaction {
		in = 1
	}
	return []any{r.version, r.name, r.hash, r.state, r.direction, r.done, r.total, in, r.error, r.started, r.finish}
}

// claim writes a record unless the migration is applied already. It returns
// false then: somebody else was faster. In a transaction it also holds off
// everybody who claims the same, until the end.
func (d *database) claim(ctx context.Context, to executor, r record) (bool, error) {
	res, err := to.ExecContext(ctx, d.bind(upsertRecord+` WHERE wfctl_migrations.state <> 'applied'`), r.args()...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func (d *database) forget(ctx context.Context, from executor, version int64) error {
	_, err := from.ExecContext(ctx, d.bind(`DELETE FROM wfctl_migrations WHERE version = ?`), version)
	return err
}

// history is what a database knows of its migrations.
type history struct {
	// applied holds the versions of goose's table.
	applied map[int64]bool
	records map[int64]record
	// started is false where there is no table of goose's.
	started bool
}

func (h *history) current() int64 {
	var top int64
	for v := range h.applied {
		top = max(top, v)
	}
	return top
}

// history reads, and writes nothing.
func (m *Migrator) history(ctx context.Context) (*history, error) {
	h := &history{applied: map[int64]bool{}, records: map[int64]record{}}
	if m.db == nil {
		return h, nil
	}
	var err error
	if h.started, err = m.db.hasTable(ctx, m.o.Table); err != nil {
		return nil, m.readFailed(ctx, err)
	}
	if h.started {
		if err := m.readApplied(ctx, h); err != nil {
			return nil, m.readFailed(ctx, err)
		}
	}
	ok, err := m.db.hasTable(ctx, recordTable)
	if err == nil && ok {
		err = m.readRecords(ctx, h)
	}
	if err != nil {
		return nil, m.readFailed(ctx, err)
	}
	return h, nil
}

func (m *Migrator) readFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "read the history of %s", m.db.where)
	}
	return fault.Wrap(fault.Environment, m.db.clean(err), "read the history of %s", m.db.where).WithHint("the user of the URL must be allowed to read and create tables")
}

// readApplied follows goose: the newest row of a version decides.
func (m *Migrator) readApplied(ctx context.Context, h *history) error {
	list, err := m.store.ListMigrations(ctx, m.db.DB)
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	for _, row := range list {
		if row.Version != 0 && !seen[row.Version] && row.IsApplied {
			h.applied[row.Version] = true
		}
		seen[row.Version] = true
	}
	return nil
}

func (m *Migrator) readRecords(ctx context.Context, h *history) error {
	rows, err := m.db.QueryContext(ctx, `SELECT version, name, hash, state, direction, done, total, in_transaction, error, started_at, finished_at FROM wfctl_migrations`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r record
		var in int
		if err := rows.Scan(&r.version, &r.name, &r.hash, &r.state, &r.direction, &r.done, &r.total, &in, &r.error, &r.started, &r.finish); err != nil {
			return err
		}
		r.inTransaction = in != 0
		h.records[r.version] = r
	}
	return rows.Err()
}

// prepare makes the tables. Two who do so at once on Postgres can collide in
// its catalogue; then the other has made them.
func (m *Migrator) prepare(ctx context.Context) error {
	statements := []string{createRecords}
	if m.db.dialect == goose.DialectPostgres {
		statements = append(statements, createLease)
	}
	for _, statement := range statements {
		var err error
		for range 5 {
			if _, err = m.db.ExecContext(ctx, statement); !collided(err) {
				break
			}
		}
		if err != nil {
			return fault.Wrap(fault.Environment, m.db.clean(err), "make the tables of the migrations in %s", m.db.where).
				WithHint("the user of the URL must be allowed to create tables")
		}
	}
	return nil
}

func collided(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "23505" || pg.Code == "42P07" || pg.Code == "42710")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// adopt takes over what golang-migrate did: its table has the version that a
// database is at.
func (m *Migrator) adopt(ctx context.Context, h *history) error {
	if len(h.applied) > 0 {
		return nil
	}
	ok, err := m.db.hasTable(ctx, "schema_migrations")
	if err != nil || !ok {
		return err
	}
	var version int64
	var dirty bool
	err = m.db.QueryRowContext(ctx, `SELECT version, dirty FROM schema_migrations`).Scan(&version, &dirty)
	if err != nil {
		return nil //nolint:nilerr // a table of the same name and another shape, or an empty one
	}
	if dirty {
		return fault.New(fault.State, "golang-migrate left %s dirty at version %d", m.db.where, version).
			WithHint("mend what that migration left, then set `dirty` to false in the table schema_migrations, and run again")
	}
	for _, mig := range m.source.Migrations {
		if mig.Version > version {
			continue
		}
		if err := m.mark(ctx, mig, "by golang-migrate"); err != nil {
			return err
		}
		h.applied[mig.Version] = true
	}
	m.notice(fmt.Sprintf("took over the history of golang-migrate: %s is at version %d", m.db.where, version))
	return nil
}
