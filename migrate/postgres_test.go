//go:build services

package migrate

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gocodealone/wfctl/fault"
)

// server is the administrator's URL of a real Postgres.
func server(t *testing.T) string {
	t.Helper()
	address := os.Getenv("WFCTL_TEST_POSTGRES")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("WFCTL_TEST_POSTGRES is not set")
		}
		t.Skip("WFCTL_TEST_POSTGRES is not set: make services")
	}
	return address
}

func admin(t *testing.T) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(server(t))
	if err != nil {
		t.Fatal("WFCTL_TEST_POSTGRES cannot be read")
	}
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// newDatabase makes an empty database and drops it at the end.
func newDatabase(t *testing.T) string {
	t.Helper()
	db := admin(t)
	name := fmt.Sprintf("wfctl_migrate_%d", time.Now().UnixNano())
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server(t))
	if err != nil {
		t.Fatal("WFCTL_TEST_POSTGRES cannot be read")
	}
	u.Path = "/" + name
	return u.String()
}

func TestPostgres(t *testing.T) {
	server(t)
	suite(t, newDatabase)
}

// The same behind PgBouncer in transaction mode, where each transaction may
// get another session: WFCTL_TEST_PGBOUNCER is HOST:PORT of one in front of
// the same server, for every database.
func TestPgBouncer(t *testing.T) {
	server(t)
	bouncer := os.Getenv("WFCTL_TEST_PGBOUNCER")
	if bouncer == "" && os.Getenv("CI") == "true" {
		t.Fatal("WFCTL_TEST_PGBOUNCER is not set")
	}
	if bouncer == "" {
		t.Skip("WFCTL_TEST_PGBOUNCER is not set: make services")
	}
	suite(t, func(t *testing.T) string {
		u, err := url.Parse(newDatabase(t))
		if err != nil {
			t.Fatal(err)
		}
		u.Host = bouncer
		return u.String()
	})
}

// An error in the middle of a statement points at its place.
func TestPostgresPosition(t *testing.T) {
	e := &env{dir: t.TempDir(), url: newDatabase(t)}
	e.write(t, "1_a.sql", "-- +goose Up\nCREATE TABLE a (\n  id INTEGER,\n  name TEXX\n);\n")
	f := e.upError(t, fault.Config, "texx")
	if f.Pos.Line != 4 || f.Pos.Column != 8 || f.Source != "  name TEXX" {
		t.Errorf("position %s, source %q", f.Pos, f.Source)
	}
}

func TestPostgresConcurrentIndex(t *testing.T) {
	e := &env{dir: t.TempDir(), url: newDatabase(t)}
	e.write(t, "1_a.up.sql", "CREATE TABLE a (id INTEGER)")
	e.write(t, "2_i.up.sql", "CREATE INDEX CONCURRENTLY i ON a (id)")
	e.write(t, "3_f.up.sql", "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN RETURN 1; END; $body$; SELECT f();")
	if res := e.up(t); len(res.Migrations) != 3 {
		t.Errorf("%+v", res)
	}
}

// A user that may only read sees what a dry run tells.
func TestPostgresReadOnlyUser(t *testing.T) {
	e := &env{dir: t.TempDir(), url: newDatabase(t)}
	e.two(t)
	e.up(t)
	e.write(t, "30000000000000_c.sql", "-- +goose Up\nCREATE TABLE c (id INTEGER);\n")
	name, _ := url.Parse(e.url)
	e.exec(t, "ALTER DATABASE "+strings.TrimPrefix(name.Path, "/")+" SET default_transaction_read_only = on")
	m := e.open(t, func(o *Options) { o.ReadOnly = true })
	if res, err := m.Up(t.Context(), UpOptions{DryRun: true}); err != nil || len(res.Migrations) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A holder that died is taken over when its lease has run out, and one that
// wakes up after that cannot commit.
func TestPostgresLease(t *testing.T) {
	e := &env{dir: t.TempDir(), url: newDatabase(t)}
	e.two(t)
	m := e.open(t, func(o *Options) { o.LeaseTime = 300 * time.Millisecond })
	if err := m.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.db.Exec(takeLease, "dead", "a process that died", 0.2); err != nil {
		t.Fatal(err)
	}
	other := e.open(t, func(o *Options) { o.LockTimeout = 50 * time.Millisecond })
	if _, err := other.Up(t.Context(), UpOptions{}); fault.CodeOf(err) != fault.Locked || !strings.Contains(err.Error(), "a process that died") {
		t.Errorf("got %v", err)
	}
	l, err := m.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.db.Exec(`UPDATE wfctl_migration_lease SET token = 'thief'`); err != nil {
		t.Fatal(err)
	}
	tx, err := m.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.check(t.Context(), tx); !errors.Is(err, errLeaseLost) {
		t.Errorf("got %v", err)
	}
	_ = tx.Rollback()
	<-l.lost.Done() // the heartbeat finds out too
	l.release()
}

func TestPostgresWrongPassword(t *testing.T) {
	u, err := url.Parse(server(t))
	if err != nil {
		t.Fatal("WFCTL_TEST_POSTGRES cannot be read")
	}
	db := admin(t)
	if _, err := db.Exec("DROP ROLE IF EXISTS wfctl_nobody"); err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("wfctl_nobody", "sesame-opens")
	_, err = Open(t.Context(), Options{URL: u.String()})
	if fault.CodeOf(err) != fault.Environment || strings.Contains(err.Error(), "sesame") || !strings.Contains(err.Error(), "wfctl_nobody") {
		t.Errorf("got %v", err)
	}
}

// An index that could not be built is left behind invalid, and in the way.
func TestPostgresFailedIndex(t *testing.T) {
	e := &env{dir: t.TempDir(), url: newDatabase(t)}
	e.write(t, "1_i.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE t (id INT);\nINSERT INTO t VALUES (1), (1);\nCREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);\n")
	f := e.upError(t, fault.Config, "statement 3 of 3")
	if !strings.Contains(f.Hint, "`DROP INDEX CONCURRENTLY IF EXISTS t_id` first") {
		t.Error(f.Hint)
	}
	e.exec(t, "DELETE FROM t")
	e.exec(t, "DROP INDEX CONCURRENTLY IF EXISTS t_id")
	if err := e.open(t).Repair(t.Context(), 1, RepairResume); err != nil {
		t.Error(err)
	}
}
