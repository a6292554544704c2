package command

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a folder of migrations and the variables of a container.
type place struct {
	dir  string
	vars map[string]string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	return &place{dir, map[string]string{
		"DATABASE_URL": "sqlite://" + filepath.ToSlash(filepath.Join(dir, "x.db")), "MIGRATE_DIR": filepath.Join(dir, "migrations"),
	}}
}

func (p *place) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(p.vars["MIGRATE_DIR"], 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.vars["MIGRATE_DIR"], name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run is one container: its status, results and log.
func (p *place) run(args ...string) (status int, out, log string) {
	var stdout, stderr bytes.Buffer
	status = run(context.Background(), Process{
		Args: args, Getenv: func(n string) string { return p.vars[n] }, Stdout: &stdout, Stderr: &stderr, Version: "v1.2.3",
	})
	return status, stdout.String(), stderr.String()
}

// must checks a status and what is said.
func (p *place) must(t *testing.T, status int, says string, args ...string) (out string) {
	t.Helper()
	got, out, log := p.run(args...)
	if got != status || !strings.Contains(out+log, says) {
		t.Fatalf("%v: exit %d, want %d and %q\n%s\n%s", args, got, status, says, out, log)
	}
	for line := range strings.Lines(log) {
		var entry struct{ Time, Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
			t.Errorf("not a line of a JSON log: %s", line)
		}
	}
	return out
}

// The life of a schema in a container.
func TestLife(t *testing.T) {
	p := newPlace(t)
	p.write(t, "1_a.sql", "-- +goose Up\nCREATE TABLE a (id INTEGER);\n-- +goose Down\nDROP TABLE a;\n")
	p.write(t, "2_b.up.sql", "CREATE TABLE b (id INTEGER);")
	p.write(t, "2_b.down.sql", "DROP TABLE b;")
	p.must(t, 3, `"pending":2`, "status", "--exit-code")
	p.must(t, 0, `"to":2,"migrations":[{"version":1`, "up", "--dry-run")
	if _, err := os.Stat(filepath.Join(p.dir, "x.db")); err == nil {
		t.Fatal("a dry run made the database")
	}
	p.must(t, 0, `"sql":"CREATE TABLE a (id INTEGER)"`, "up")
	p.must(t, 0, `{"from":2,"to":2,"migrations":[]}`, "up")
	p.must(t, 0, `"state":"applied"`, "status", "--exit-code")
	p.must(t, 2, "--approve", "down")
	p.must(t, 0, `"dry_run":true`, "down", "--dry-run")
	p.must(t, 0, `"to":1`, "down", "--approve")
	p.must(t, 0, `"to":0`, "down", "--to", "0", "--approve")
	if status, out, log := p.run("up", "--log=text"); status != 0 || !strings.Contains(out, "now at version 2 (before: 0).") || !strings.Contains(log, "1 a: 1/1 CREATE TABLE") {
		t.Errorf("%d %s %s", status, out, log)
	}
}

func TestChangedAndFailed(t *testing.T) {
	p := newPlace(t)
	p.write(t, "1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id INTEGER);\nINSERT INTO b VALUES (1);\nCREATE TABLE c (id INTEGER);\n")
	out := p.must(t, 1, `"code":"config","hint":"what came before it was kept`, "up")
	if out != "" {
		t.Errorf("a result of a failure: %s", out)
	}
	p.must(t, 1, "`workflow-migrate repair 1 --as resume --approve`", "up")
	p.must(t, 0, `"state":"dirty"`, "status")
	p.must(t, 2, "--approve", "repair", "1", "--as", "resume")
	p.write(t, "1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id INTEGER);\nINSERT INTO a VALUES (1);\nCREATE TABLE c (id INTEGER);\n")
	p.must(t, 0, `"repaired":"resume"`, "repair", "1", "--as", "resume", "--approve")
	p.must(t, 0, `"state":"applied"`, "status", "--exit-code")
	p.write(t, "1_a.sql", "-- another comment\n-- +goose NO TRANSACTION\n-- +goose Up\ncreate table a (id INTEGER);\nINSERT INTO a VALUES (2);\nCREATE TABLE c (id INTEGER);\n")
	p.must(t, 1, `"code":"integrity"`, "up")
	p.must(t, 1, `"rule":"changed"`, "validate")
	p.must(t, 0, `"repaired":"accepted"`, "repair", "1", "--as", "accepted", "--approve")
	p.must(t, 0, "", "up")
}

// Without a database the files are checked alone.
func TestValidateFiles(t *testing.T) {
	p := newPlace(t)
	delete(p.vars, "DATABASE_URL")
	p.write(t, "1_a.up.sql", "CREATE TABLE a (id INTEGER);")
	p.must(t, 0, `{"findings":[]}`, "validate", "--strict")
	p.write(t, "2_b.up.sql", "SET lock_timeout = '5s'; CREATE INDEX i ON a (id); ALTER TABLE a ADD COLUMN b TEXT NOT NULL; DROP TABLE c;")
	out := p.must(t, 0, `"rule":"index-concurrently"`, "validate")
	for _, rule := range []string{"not-null-without-default", "destructive"} {
		if !strings.Contains(out, rule) {
			t.Errorf("no %s in %s", rule, out)
		}
	}
	p.must(t, 1, "3 of the findings must be mended", "validate", "--strict")
	p.must(t, 1, "2 of the findings must be mended", "validate", "--strict", "--dialect", "sqlite")
}

func TestUsage(t *testing.T) {
	p := newPlace(t)
	p.write(t, "1_a.up.sql", "CREATE TABLE a (id INTEGER);")
	p.must(t, 0, "workflow-migrate v1.2.3", "version")
	p.must(t, 0, "DATABASE_URL_FILE", "help")
	p.must(t, 0, "lock-timeout", "up", "--help")
	for _, args := range [][]string{
		{"downn"}, {"up", "--nothing"}, {"up", "extra"}, {"up", "--log", "xml"}, {"repair", "x", "--as", "resume", "--approve"}, {"repair", "1", "--approve"},
		{"validate", "--dialect", "oracle"},
	} {
		p.must(t, 2, `"code":"usage"`, args...)
	}
	if status, _, log := p.run(); status != 2 || !strings.Contains(log, "Commands:") {
		t.Errorf("%d %s", status, log)
	}
	p.vars["MIGRATE_LOCK_TIMEOUT"] = "soon"
	p.must(t, 2, "MIGRATE_LOCK_TIMEOUT", "up")
	delete(p.vars, "MIGRATE_LOCK_TIMEOUT")
	p.vars["MIGRATE_APPROVE"] = "true" // consent is not a variable
	p.must(t, 2, "--approve", "down")
	p.vars["MIGRATE_DIR"] = filepath.Join(p.dir, "nothing")
	p.must(t, 1, "COPY migrations /migrations", "up")
	delete(p.vars, "DATABASE_URL")
	p.vars["MIGRATE_DIR"] = filepath.Join(p.dir, "migrations")
	p.must(t, 2, "neither DATABASE_URL nor DATABASE_URL_FILE", "up")
}

// A secret that is mounted as a file, and one that must not be shown.
func TestDatabaseURLFile(t *testing.T) {
	p := newPlace(t)
	p.write(t, "1_a.up.sql", "CREATE TABLE a (id INTEGER);")
	file := filepath.Join(p.dir, "url")
	if err := os.WriteFile(file, []byte(p.vars["DATABASE_URL"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	delete(p.vars, "DATABASE_URL")
	p.vars["DATABASE_URL_FILE"] = file
	p.must(t, 0, `"to":1`, "up")
	delete(p.vars, "DATABASE_URL_FILE")
	p.vars["DATABASE_URL"] = "postgres://somebody:sesame-opens@127.0.0.1:1/x?connect_timeout=1"
	status, out, log := p.run("up", "--wait", "600ms")
	if status != 1 || strings.Contains(out+log, "sesame") || !strings.Contains(log, "does not answer yet") || !strings.Contains(log, `"code":"provider"`) {
		t.Errorf("%d %s %s", status, out, log)
	}
}

func TestTimeout(t *testing.T) {
	p := newPlace(t)
	p.write(t, "1_a.sql", "-- +goose Up\nCREATE TABLE c (id INTEGER);\nINSERT INTO c WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT max(i) FROM n;\n")
	p.must(t, 1, "took longer than it may", "up", "--timeout", "300ms")
	p.must(t, 0, `"state":"failed"`, "status")
}
