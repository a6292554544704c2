package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// suite is what holds on every database. address makes an empty one.
func suite(t *testing.T, address func(t *testing.T) string) {
	tests := map[string]func(t *testing.T, e *env){
		"up and down":               testUpDown,
		"dry run writes nothing":    testDryRun,
		"changed file is refused":   testChanged,
		"failure in a transaction":  testFailureInTransaction,
		"failure outside":           testFailureOutside,
		"repair by hand":            testRepairByHand,
		"resume with another past":  testResumeWithAnotherPast,
		"own transaction":           testOwnTransaction,
		"stopped without its file":  testStoppedWithoutItsFile,
		"killed after a statement":  testKilledAfterStatement,
		"killed after the last":     testKilledAfterLast,
		"out of order":              testOutOfOrder,
		"several at once":           testConcurrent,
		"history of goose":          testGooseHistory,
		"history of golang-migrate": testMigrateHistory,
		"irreversible":              testIrreversible,
		"interrupted":               testInterrupted,
		"validate":                  testValidate,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test(t, &env{dir: t.TempDir(), url: address(t)})
		})
	}
}

// env is an empty database and a folder of migrations.
type env struct{ dir, url string }

func (e *env) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (e *env) open(t *testing.T, change ...func(*Options)) *Migrator {
	t.Helper()
	source, err := LoadDir(e.dir)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: e.url, Source: source, poll: 10 * time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	m, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func (e *env) up(t *testing.T) *Result {
	t.Helper()
	res, err := e.open(t).Up(t.Context(), UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (e *env) upError(t *testing.T, code fault.Code, says string) *fault.Error {
	t.Helper()
	_, err := e.open(t).Up(t.Context(), UpOptions{})
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v (code %s), want %s: %s", err, fault.CodeOf(err), code, says)
	}
	return f
}

func (e *env) states(t *testing.T) string {
	t.Helper()
	s, err := e.open(t, func(o *Options) { o.ReadOnly = true }).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range s.Migrations {
		out = append(out, m.String())
	}
	return strings.Join(out, "; ")
}

func (e *env) exec(t *testing.T, query string) {
	t.Helper()
	m := e.open(t)
	if _, err := m.db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func (e *env) count(t *testing.T, query string) int {
	t.Helper()
	var n int
	if err := e.open(t).db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (e *env) tables(t *testing.T) int {
	t.Helper()
	if DialectOf(e.url) == SQLite {
		return e.count(t, `SELECT count(*) FROM sqlite_master WHERE type = 'table'`)
	}
	return e.count(t, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`)
}

// two writes two migrations that work.
func (e *env) two(t *testing.T) {
	t.Helper()
	e.write(t, "001_a.sql", "-- +goose Up\nCREATE TABLE a (id INTEGER);\nINSERT INTO a VALUES (1);\n-- +goose Down\nDROP TABLE a;\n")
	e.write(t, "20260102030405_b.up.sql", "CREATE TABLE b (id INTEGER); INSERT INTO b VALUES (1); INSERT INTO b VALUES (2)")
	e.write(t, "20260102030405_b.down.sql", "DROP TABLE b")
}

func testUpDown(t *testing.T, e *env) {
	e.two(t)
	if got := e.states(t); got != "1 a: pending; 20260102030405 b: pending" {
		t.Errorf("before: %s", got)
	}
	var seen []string
	m := e.open(t, func(o *Options) {
		o.Progress = func(v Event) { seen = append(seen, fmt.Sprintf("%d %d/%d", v.Version, v.Statement, v.Total)) }
	})
	res, err := m.Up(t.Context(), UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if res.From != 0 || res.To != 20260102030405 || len(res.Migrations) != 2 || res.Migrations[1].Statements != 3 {
		t.Errorf("%+v", res)
	}
	if got := strings.Join(seen, ", "); got != "1 1/2, 1 2/2, 20260102030405 1/3, 20260102030405 2/3, 20260102030405 3/3" {
		t.Errorf("progress: %s", got)
	}
	if n := e.count(t, "SELECT count(*) FROM b"); n != 2 {
		t.Errorf("%d rows", n)
	}
	if got := e.states(t); got != "1 a: applied; 20260102030405 b: applied" {
		t.Errorf("after: %s", got)
	}
	if res := e.up(t); len(res.Migrations) != 0 {
		t.Errorf("a second up did %+v", res)
	}
	if res, err = m.Down(t.Context(), DownOptions{}); err != nil || res.To != 1 || len(res.Migrations) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	zero := int64(0)
	if res, err = m.Down(t.Context(), DownOptions{To: &zero}); err != nil || res.To != 0 || len(res.Migrations) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := e.states(t); got != "1 a: pending; 20260102030405 b: pending" {
		t.Errorf("undone: %s", got)
	}
	if res, err = m.Up(t.Context(), UpOptions{To: 1}); err != nil || res.To != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

func testDryRun(t *testing.T, e *env) {
	e.two(t)
	m := e.open(t, func(o *Options) { o.ReadOnly = true })
	res, err := m.Up(t.Context(), UpOptions{DryRun: true})
	if err != nil || len(res.Migrations) != 2 || res.To != 20260102030405 {
		t.Fatalf("%+v, %v", res, err)
	}
	if n := e.tables(t); n != 0 {
		t.Errorf("a dry run made %d tables", n)
	}
	if _, err := m.Up(t.Context(), UpOptions{}); err == nil {
		t.Error("a migrator that only reads wrote")
	}
}

func testChanged(t *testing.T, e *env) {
	e.two(t)
	e.up(t)
	e.write(t, "001_a.sql", "-- another comment\n-- +goose Up\nCREATE TABLE a (id INTEGER);\n INSERT INTO a  VALUES (1);\n")
	e.up(t)
	e.write(t, "001_a.sql", "-- +goose Up\nCREATE TABLE a (id INTEGER, name TEXT);\nINSERT INTO a VALUES (1);\n")
	if f := e.upError(t, fault.Integrity, "migration 1 (a) was changed after it was applied"); !strings.HasSuffix(f.Pos.File, "001_a.sql") {
		t.Errorf("position %s", f.Pos)
	}
	if got := e.states(t); !strings.HasPrefix(got, "1 a: changed") {
		t.Error(got)
	}
	if err := e.open(t).Repair(t.Context(), 1, RepairAccepted); err != nil {
		t.Fatal(err)
	}
	e.up(t)
}

func testFailureInTransaction(t *testing.T, e *env) {
	e.two(t)
	e.write(t, "30000000000000_c.sql", "-- +goose Up\nCREATE TABLE c (id INTEGER);\nINSERT INTO c VALUES (1);\n\n  INSERT INTO absent VALUES (1);\nINSERT INTO c VALUES (2);\n")
	f := e.upError(t, fault.Config, "migration 30000000000000 (c) failed at statement 3 of 4")
	if f.Pos.Line != 5 || !strings.HasSuffix(f.Pos.File, "30000000000000_c.sql") || !strings.Contains(f.Hint, "nothing of it was kept") {
		t.Errorf("position %s, hint %s", f.Pos, f.Hint)
	}
	want := "  1 undone  CREATE TABLE c (id INTEGER)\n  2 undone  INSERT INTO c VALUES (1)\n  3 failed  INSERT INTO absent VALUES (1)\n  4 not run INSERT INTO c VALUES (2)"
	if got := strings.Join(f.Detail, "\n"); got != want {
		t.Errorf("detail\n%s", got)
	}
	if got := e.states(t); got != "1 a: applied; 20260102030405 b: applied; 30000000000000 c: failed" {
		t.Error(got)
	}
	e.write(t, "30000000000000_c.sql", "-- +goose Up\nCREATE TABLE c (id INTEGER);\n")
	e.up(t)
	if got := e.states(t); !strings.HasSuffix(got, "c: applied") {
		t.Error(got)
	}
}

const halfway = "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE c (id INTEGER);\nINSERT INTO absent VALUES (1);\nINSERT INTO c VALUES (2);\n-- +goose Down\nDROP TABLE c;\n"

func testFailureOutside(t *testing.T, e *env) {
	e.write(t, "5_c.sql", halfway)
	f := e.upError(t, fault.Config, "migration 5 (c) failed at statement 2 of 3")
	if !strings.Contains(f.Hint, "migrations repair 5 --as resume") || !strings.Contains(strings.Join(f.Detail, "\n"), "1 done    CREATE TABLE c") {
		t.Errorf("hint %s, detail %q", f.Hint, f.Detail)
	}
	if got := e.states(t); !strings.HasPrefix(got, "5 c: dirty at statement 2 of 3: ") {
		t.Error(got)
	}
	f = e.upError(t, fault.State, "migration 5 (c) stopped at statement 2 of 3")
	if f.Pos.Line != 4 {
		t.Errorf("position %s", f.Pos)
	}
	if err := e.open(t).Repair(t.Context(), 5, RepairResume); err == nil {
		t.Fatal("the statement fails still")
	}
	e.exec(t, "CREATE TABLE absent (id INTEGER)")
	if err := e.open(t).Repair(t.Context(), 5, RepairResume); err != nil {
		t.Fatal(err)
	}
	if n := e.count(t, "SELECT count(*) FROM c"); n != 1 {
		t.Errorf("%d rows", n)
	}
	if got := e.states(t); got != "5 c: applied" {
		t.Error(got)
	}
	if res, err := e.open(t).Down(t.Context(), DownOptions{}); err != nil || res.To != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
}

func testRepairByHand(t *testing.T, e *env) {
	e.write(t, "5_c.sql", halfway)
	e.upError(t, fault.Config, "")
	e.exec(t, "DROP TABLE c")
	if err := e.open(t).Repair(t.Context(), 5, RepairPending); err != nil {
		t.Fatal(err)
	}
	if got := e.states(t); got != "5 c: pending" {
		t.Error(got)
	}
	e.upError(t, fault.Config, "statement 2 of 3")
	if err := e.open(t).Repair(t.Context(), 5, RepairApplied); err != nil {
		t.Fatal(err)
	}
	if got := e.states(t); got != "5 c: applied" {
		t.Error(got)
	}
	if res := e.up(t); len(res.Migrations) != 0 {
		t.Errorf("%+v", res)
	}
	for version, action := range map[int64]RepairAction{9: RepairApplied, 5: RepairResume} {
		if err := e.open(t).Repair(t.Context(), version, action); err == nil {
			t.Errorf("%d %s was done", version, action)
		}
	}
}

// A process that dies leaves what it wrote last: the record of the statement
// before.
func testKilledAfterStatement(t *testing.T, e *env) {
	e.write(t, "5_c.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE c (id INTEGER);\nINSERT INTO c VALUES (1);\n")
	m := e.open(t)
	if err := m.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.exec(t, "CREATE TABLE c (id INTEGER)")
	mig := m.source.Migrations[0]
	r := &run{m: m, mig: &mig, script: &mig.Up, up: true}
	if err := m.db.save(t.Context(), m.db, r.record(stateRunning, 1)); err != nil {
		t.Fatal(err)
	}
	e.upError(t, fault.State, "stopped at statement 2 of 2")
	if err := e.open(t).Repair(t.Context(), 5, RepairResume); err != nil {
		t.Fatal(err)
	}
	if n := e.count(t, "SELECT count(*) FROM c"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// With every statement done there is nothing to repair.
func testKilledAfterLast(t *testing.T, e *env) {
	e.write(t, "5_c.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE c (id INTEGER);\n")
	m := e.open(t)
	if err := m.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.exec(t, "CREATE TABLE c (id INTEGER)")
	mig := m.source.Migrations[0]
	r := &run{m: m, mig: &mig, script: &mig.Up, up: true}
	if err := m.db.save(t.Context(), m.db, r.record(stateRunning, 1)); err != nil {
		t.Fatal(err)
	}
	e.up(t)
	if got := e.states(t); got != "5 c: applied" {
		t.Error(got)
	}
}

func testOutOfOrder(t *testing.T, e *env) {
	e.two(t)
	e.up(t)
	e.write(t, "2_late.sql", "-- +goose Up\nCREATE TABLE late (id INTEGER);\n")
	e.upError(t, fault.Config, "migration 2 (late) comes before version 20260102030405, which is applied")
	if got := e.states(t); !strings.Contains(got, "2 late: out of order") {
		t.Error(got)
	}
	res, err := e.open(t).Up(t.Context(), UpOptions{AllowOutOfOrder: true})
	if err != nil || len(res.Migrations) != 1 || res.To != 20260102030405 {
		t.Errorf("%+v, %v", res, err)
	}
}

// Several at once do each migration once.
func testConcurrent(t *testing.T, e *env) {
	for i := 1; i <= 5; i++ {
		e.write(t, fmt.Sprintf("%d_t.sql", i), fmt.Sprintf("-- +goose Up\nCREATE TABLE t%d (id INTEGER);\nINSERT INTO t%d VALUES (1);\n", i, i))
	}
	e.write(t, "6_n.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE n (id INTEGER);\nINSERT INTO n VALUES (1);\n")
	var done sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 4 {
		m := e.open(t)
		done.Go(func() {
			res, err := m.Up(t.Context(), UpOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			total += len(res.Migrations)
		})
	}
	done.Wait()
	if total != 6 {
		t.Errorf("%d migrations were done", total)
	}
	if n := e.count(t, "SELECT count(*) FROM n"); n != 1 {
		t.Errorf("%d rows", n)
	}
	if n := e.count(t, "SELECT count(*) FROM goose_db_version WHERE version_id > 0"); n != 6 {
		t.Errorf("%d versions", n)
	}
}

// What goose itself applied stays applied, and its text is known from then on.
func testGooseHistory(t *testing.T, e *env) {
	e.two(t)
	e.up(t)
	e.exec(t, "DROP TABLE wfctl_migrations")
	if res := e.up(t); len(res.Migrations) != 0 {
		t.Errorf("%+v", res)
	}
	e.write(t, "001_a.sql", "-- +goose Up\nCREATE TABLE a (id TEXT);\n")
	e.upError(t, fault.Integrity, "changed")
}

func testMigrateHistory(t *testing.T, e *env) {
	e.two(t)
	e.exec(t, "CREATE TABLE a (id INTEGER)")
	e.exec(t, "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)")
	e.exec(t, "INSERT INTO schema_migrations VALUES (1, TRUE)")
	e.upError(t, fault.State, "dirty at version 1")
	e.exec(t, "UPDATE schema_migrations SET dirty = FALSE")
	if res := e.up(t); len(res.Migrations) != 1 || res.Migrations[0].Version != 20260102030405 {
		t.Errorf("%+v", res)
	}
	if got := e.states(t); got != "1 a: applied; 20260102030405 b: applied" {
		t.Error(got)
	}
}

func testIrreversible(t *testing.T, e *env) {
	e.write(t, "1_a.sql", "-- +goose Up\nCREATE TABLE a (id INTEGER);\n")
	e.up(t)
	if _, err := e.open(t).Down(t.Context(), DownOptions{}); fault.CodeOf(err) != fault.Config || !strings.Contains(err.Error(), "has no way back") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(e.dir, "1_a.sql")); err != nil {
		t.Fatal(err)
	}
	if got := e.states(t); got != "1 a: missing" {
		t.Error(got)
	}
	if _, err := e.open(t).Down(t.Context(), DownOptions{}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

func testInterrupted(t *testing.T, e *env) {
	e.two(t)
	ctx, cancel := context.WithCancel(t.Context())
	m := e.open(t, func(o *Options) { o.Progress = func(Event) { cancel() } })
	if _, err := m.Up(ctx, UpOptions{}); fault.CodeOf(err) != fault.Interrupted {
		t.Fatalf("got %v", err)
	}
	if got := e.states(t); !strings.HasPrefix(got, "1 a: failed") {
		t.Error(got)
	}
	e.up(t)
}

func testValidate(t *testing.T, e *env) {
	e.two(t)
	e.up(t)
	e.write(t, "2_late.sql", "-- +goose Up\nDROP TABLE a;\n")
	e.write(t, "001_a.sql", "-- +goose Up\nCREATE TABLE a (id TEXT);\n")
	found, err := e.open(t, func(o *Options) { o.ReadOnly = true }).Validate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]bool{}
	for _, f := range found {
		rules[f.Rule] = true
	}
	for _, want := range []string{"destructive", "out-of-order", "changed"} {
		if !rules[want] {
			t.Errorf("no finding %s in %+v", want, found)
		}
	}
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "a b", "x#y.db")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		return "sqlite://" + strings.NewReplacer(" ", "%20", "#", "%23").Replace(filepath.ToSlash(path))
	})
}

func TestSQLiteThatIsNotThere(t *testing.T) {
	e := &env{dir: t.TempDir(), url: "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "x.db"))}
	e.two(t)
	m := e.open(t, func(o *Options) { o.ReadOnly = true })
	if res, err := m.Up(t.Context(), UpOptions{DryRun: true}); err != nil || len(res.Migrations) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	path, _, _ := sqlitePath(e.url)
	if _, err := os.Stat(path); err == nil {
		t.Error("a dry run made the database")
	}
}

func TestSQLiteReadOnlyFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root may write anything; the dry run is tried all the same")
	}
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE x (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	e := &env{dir: t.TempDir(), url: "sqlite://" + filepath.ToSlash(path)}
	e.two(t)
	m := e.open(t, func(o *Options) { o.ReadOnly = true })
	if res, err := m.Up(t.Context(), UpOptions{DryRun: true}); err != nil || len(res.Migrations) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestNoPasswordInErrors(t *testing.T) {
	const password = "s3cr%2Ft-p%40ss"
	for _, address := range []string{
		"postgres://user:" + password + "@127.0.0.1:1/db?connect_timeout=1", "postgres://user:" + password + "@127.0.0.1:notaport/db",
		"postgres://user:" + password + "@[::1/db", "mysql://user:" + password + "@host/db", "",
	} {
		_, err := Open(t.Context(), Options{URL: address})
		if err == nil {
			t.Fatalf("%q opened", address)
		}
		for _, secret := range []string{"s3cr", "p@ss", "p%40ss"} {
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Errorf("the password is in %v", err)
			}
		}
	}
}
