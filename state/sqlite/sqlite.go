// Package sqlite is the default state driver: one SQLite file for all
// environments of a project, durable when an append returns. It runs in WAL
// mode with synchronous=FULL, so a commit is one fsync of the log.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// schemaVersion is the file's user_version.
const schemaVersion = 1

// tables make seq unique per environment; floor keeps used numbers used.
const tables = `
CREATE TABLE IF NOT EXISTS log (env TEXT NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (env, seq));
CREATE TABLE IF NOT EXISTS snapshot (env TEXT PRIMARY KEY, through INTEGER NOT NULL, data BLOB NOT NULL);
PRAGMA user_version = 1;`

// Open opens the log of an environment in the file at path, which it makes
// where it is not there.
func Open(ctx context.Context, path, env string) (state.Driver, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fault.Wrap(fault.State, err, "make the folder of the state")
	}
	if err := private(path); err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, explain(path, err)
	}
	db.SetMaxOpenConns(1)
	d := &driver{db, path, env}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	return d, nil
}

// private makes sure that the file, which SQLite would create for all to
// read, is the owner's alone.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrPermission) {
		return fault.Wrap(fault.State, err, "the state %s is not writable", path).WithHint("make it writable for this user; wfctl keeps its record there")
	}
	if err != nil {
		return fault.Wrap(fault.State, err, "open the state %s", path)
	}
	return f.Close()
}

type driver struct {
	db        *sql.DB
	path, env string
}

func (d *driver) prepare(ctx context.Context) error {
	var version int
	if err := d.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > schemaVersion {
		return fault.New(fault.State, "the state %s was made by a newer wfctl (version %d, this one reads %d)", d.path, version, schemaVersion).
			WithHint("use that version, or a newer one")
	}
	if version == schemaVersion {
		return nil
	}
	_, err := d.db.ExecContext(ctx, tables)
	return err
}

// Append implements state.Driver.
func (d *driver) Append(ctx context.Context, seq uint64, entry []byte) error {
	res, err := d.db.ExecContext(ctx, `INSERT INTO log (env, seq, entry) SELECT ?1, ?2, ?3
		WHERE ?2 > COALESCE((SELECT through FROM snapshot WHERE env = ?1), 0)`, d.env, int64(seq), entry)
	if err != nil {
		if code(err) == lib.SQLITE_CONSTRAINT {
			return state.ErrConflict
		}
		return explain(d.path, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(state.ErrConflict, err)
	}
	return nil
}

// Load implements state.Driver.
func (d *driver) Load(ctx context.Context, after uint64) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		if err := d.load(ctx, after, yield); err != nil {
			yield(state.Entry{}, explain(d.path, err))
		}
	}
}

func (d *driver) load(ctx context.Context, after uint64, yield func(state.Entry, error) bool) error {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // only reads
	var through int64
	var data []byte
	err = tx.QueryRowContext(ctx, "SELECT through, data FROM snapshot WHERE env = ? AND through > ?", d.env, int64(after)).Scan(&through, &data)
	if err == nil {
		if !yield(state.Entry{Seq: uint64(through), Data: data, Snapshot: true}, nil) {
			return nil
		}
		after = uint64(through)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	rows, err := tx.QueryContext(ctx, "SELECT seq, entry FROM log WHERE env = ? AND seq > ? ORDER BY seq", d.env, int64(after))
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		var seq int64
		var entry []byte
		if err := rows.Scan(&seq, &entry); err != nil {
			return err
		}
		if !yield(state.Entry{Seq: uint64(seq), Data: entry}, nil) {
			return nil
		}
	}
	return rows.Err()
}

// Compact implements state.Driver.
func (d *driver) Compact(ctx context.Context, through uint64, snapshot []byte) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return explain(d.path, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	res, err := tx.ExecContext(ctx, `INSERT INTO snapshot (env, through, data) VALUES (?1, ?2, ?3)
		ON CONFLICT (env) DO UPDATE SET through = ?2, data = ?3 WHERE ?2 > through`, d.env, int64(through), snapshot)
	if err != nil {
		return explain(d.path, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM log WHERE env = ? AND seq <= ?", d.env, int64(through)); err != nil {
		return explain(d.path, err)
	}
	if err := tx.Commit(); err != nil {
		return explain(d.path, err)
	}
	return nil
}

// Wipe implements state.Driver.
func (d *driver) Wipe(ctx context.Context) (int, error) {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, explain(d.path, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	total := int64(0)
	for _, table := range []string{"log", "snapshot"} {
		res, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE env = ?", d.env)
		if err != nil {
			return 0, explain(d.path, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		total += n
	}
	if err := tx.Commit(); err != nil {
		return 0, explain(d.path, err)
	}
	return int(total), nil
}

// Close implements state.Driver.
func (d *driver) Close() error { return d.db.Close() }

// code is SQLite's primary result code; 0 for another error.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// explain says what to do about the errors that users meet.
func explain(path string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	hint := ""
	switch code(err) {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		hint = "another program has it locked; end it, or try again"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		hint = "make the file and its folder writable for this user"
	case lib.SQLITE_FULL, lib.SQLITE_IOERR:
		hint = "the disk is full or fails; what was recorded before is intact. Make room and run this again"
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		hint = "the file is damaged and was left as it is; restore it from a backup. What runs on the platforms is not lost: `wfctl infra teardown --dry-run` finds it"
	default:
		return fmt.Errorf("state %s: %w", path, err)
	}
	return fault.Wrap(fault.State, err, "the state %s cannot be used", path).WithHint("%s", hint)
}
