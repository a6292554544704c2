// Package sqlite is the default event driver: one SQLite file for all runs of
// a project. It runs in WAL mode with synchronous=FULL, so an append is
// durable when it returns and costs one fsync. It makes the file at the first
// append, never to look.
package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/gocodealone/wfctl/event"
)

// What the file says of itself.
const (
	applicationID = 0x77666576 // "wfev"
	schemaVersion = 1
)

// The rows of a run have identifiers that begin with its number, so that an
// append touches the end of one tree.
const tables = `
CREATE TABLE run (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, started INTEGER NOT NULL, opened BLOB, closed BLOB);
CREATE INDEX run_started ON run (started);
CREATE TABLE entry (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, data BLOB NOT NULL);
CREATE VIEW event AS SELECT r.name AS run, e.id & 4294967295 AS seq, e.at, e.data FROM entry e JOIN run r ON r.id = e.id >> 32;
PRAGMA application_id = 2003199350;
PRAGMA user_version = 1;`

// Open opens the file at path, which need not exist yet.
func Open(ctx context.Context, path string) (event.Driver, error) {
	d := &driver{path: path}
	_, err := d.open(ctx, false)
	return d, err
}

type driver struct {
	path string

	mu sync.Mutex
	db *sql.DB

	// writer is held by one append at a time.
	writing sync.Mutex
	writer  *writer
}

// open returns the database; nil where there is none and create is not set.
func (d *driver) open(ctx context.Context, create bool) (*sql.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db != nil {
		return d.db, nil
	}
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, nil
		}
		if err := makeFile(d.path); err != nil {
			return nil, d.explain(err)
		}
	}
	db, err := connect(ctx, d.path)
	if err != nil {
		return nil, d.explain(err)
	}
	d.db = db
	return db, nil
}

func (d *driver) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("the events in %s: %w", d.path, err)
}

// makeFile makes an empty file for the owner alone.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func connect(ctx context.Context, path string) (*sql.DB, error) {
	dsn := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() +
		"?_pragma=busy_timeout(5000)&_pragma=synchronous(full)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	if err := prepareWhenFree(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// How long the making of a new file waits for another process that does the
// same, and how often it looks.
const (
	patience = 5 * time.Second
	interval = 10 * time.Millisecond
)

func prepareWhenFree(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		err := prepare(ctx, db)
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code()&0xff != lib.SQLITE_BUSY && e.Code()&0xff != lib.SQLITE_LOCKED {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// prepare checks whose file it is, and makes the tables of a new one.
func prepare(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // only given back to the pool
	there, err := recognise(ctx, conn)
	if err != nil || there {
		return err
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA page_size = 4096; PRAGMA journal_mode = wal"); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version != 0 {
		return err // another process has been faster
	}
	if _, err := tx.ExecContext(ctx, tables); err != nil {
		return err
	}
	return tx.Commit()
}

func recognise(ctx context.Context, conn *sql.Conn) (bool, error) {
	var app, version, objects int
	row := conn.QueryRowContext(ctx, "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id a, pragma_user_version v")
	if err := row.Scan(&app, &version, &objects); err != nil {
		return false, err
	}
	switch {
	case app == 0 && version == 0 && objects == 0:
		return false, nil
	case app != applicationID:
		return false, errors.New("it is another program's database")
	case version > schemaVersion:
		return false, fmt.Errorf("it is of version %d, written by a newer wfctl; this one knows versions up to %d", version, schemaVersion)
	}
	return true, nil
}

// Load implements event.Driver.
func (d *driver) Load(ctx context.Context, run string, after uint64) iter.Seq2[event.Record, error] {
	return func(yield func(event.Record, error) bool) {
		if err := d.load(ctx, run, after, yield); err != nil {
			yield(event.Record{}, d.explain(err))
		}
	}
}

func (d *driver) load(ctx context.Context, run string, after uint64, yield func(event.Record, error) bool) error {
	db, err := d.open(ctx, false)
	if err != nil || db == nil {
		return err
	}
	rows, err := db.QueryContext(ctx, `SELECT e.id & 4294967295, e.at, e.data FROM run r JOIN entry e
		ON e.id > (r.id << 32) + ?2 AND e.id < (r.id + 1) << 32 WHERE r.name = ?1 ORDER BY e.id`, run, int64(after))
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	var data sql.RawBytes
	for rows.Next() {
		var seq, at int64
		if err := rows.Scan(&seq, &at, &data); err != nil {
			return err
		}
		e, err := event.Decode(data)
		if err != nil {
			return err
		}
		if !yield(event.Record{Seq: uint64(seq), At: time.Unix(0, at).UTC(), Event: e}, nil) {
			return nil
		}
	}
	return rows.Err()
}

// What a run says of itself is in what opened it.
const (
	projectOf     = "coalesce(CAST(opened AS TEXT) ->> '$.project', '')"
	environmentOf = "coalesce(CAST(opened AS TEXT) ->> '$.environment', '')"
)

// Runs implements event.Driver.
func (d *driver) Runs(ctx context.Context, q event.Query) ([]event.Run, error) {
	db, err := d.open(ctx, false)
	if err != nil || db == nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = -1
	}
	rows, err := db.QueryContext(ctx, `SELECT name, started, opened, closed FROM run
		WHERE (?1 = '' OR `+projectOf+` = ?1) AND (?2 = '' OR `+environmentOf+` = ?2) AND (?3 = '' OR name = ?3)
		AND substr(name, 1, length(?4)) = ?4 AND (NOT ?5 OR closed IS NULL)
		ORDER BY started DESC, id DESC LIMIT ?6`, q.Project, q.Environment, q.Name, q.Prefix, q.Open, q.Limit)
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	var list []event.Run
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, d.explain(err)
		}
		list = append(list, r)
	}
	return list, d.explain(rows.Err())
}

// Projects implements event.Driver.
func (d *driver) Projects(ctx context.Context) ([]string, error) {
	db, err := d.open(ctx, false)
	if err != nil || db == nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT DISTINCT "+projectOf+" AS project FROM run WHERE project <> '' ORDER BY project")
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, d.explain(err)
		}
		names = append(names, name)
	}
	return names, d.explain(rows.Err())
}

func scanRun(rows *sql.Rows) (event.Run, error) {
	var name string
	var started int64
	var opened, closed []byte
	if err := rows.Scan(&name, &started, &opened, &closed); err != nil {
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
	r.Started = time.Unix(0, started).UTC()
	if closed != nil {
		var e event.RunFinished
		if err := json.Unmarshal(closed, &e); err != nil {
			return r, err
		}
		r = r.Close(e)
	}
	return r, nil
}

// Delete implements event.Driver.
func (d *driver) Delete(ctx context.Context, runs []string) (int, error) {
	db, err := d.open(ctx, false)
	if err != nil || db == nil {
		return 0, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, d.explain(err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	n := 0
	for _, name := range runs {
		var id int64
		if err := tx.QueryRowContext(ctx, "SELECT id FROM run WHERE name = ?1", name).Scan(&id); errors.Is(err, sql.ErrNoRows) {
			continue
		} else if err != nil {
			return 0, d.explain(err)
		}
		for _, statement := range []string{"DELETE FROM entry WHERE id > ?1 << 32 AND id < (?1 + 1) << 32", "DELETE FROM run WHERE id = ?1"} {
			if _, err := tx.ExecContext(ctx, statement, id); err != nil {
				return 0, d.explain(err)
			}
		}
		n++
	}
	return n, d.explain(tx.Commit())
}

// Prune implements event.Driver.
func (d *driver) Prune(ctx context.Context, before time.Time, keep int) (int, error) {
	db, err := d.open(ctx, false)
	if err != nil || db == nil {
		return 0, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, d.explain(err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	rows, err := tx.QueryContext(ctx, `SELECT id FROM run WHERE started < ?1
		OR closed IS NOT NULL AND id NOT IN (SELECT id FROM run ORDER BY started DESC, id DESC LIMIT ?2)`, before.UnixNano(), keep)
	if err != nil {
		return 0, d.explain(err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return 0, d.explain(errors.Join(err, rows.Close()))
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return 0, d.explain(err)
	}
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "DELETE FROM entry WHERE id > ?1 << 32 AND id < (?1 + 1) << 32", id); err != nil {
			return 0, d.explain(err)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM run WHERE id = ?", id); err != nil {
			return 0, d.explain(err)
		}
	}
	return len(ids), d.explain(tx.Commit())
}

// Close implements event.Driver.
func (d *driver) Close() error {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return nil
	}
	var err error
	if d.writer != nil {
		err = d.writer.conn.Close()
		d.writer = nil
	}
	db := d.db
	d.db = nil
	return errors.Join(err, db.Close())
}
