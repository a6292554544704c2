package migrate

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func files(pairs ...string) fstest.MapFS {
	fs := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fs[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fs
}

func TestLoadBothFormats(t *testing.T) {
	s, err := Load(files(
		"001_first.sql", "-- +goose Up\nCREATE TABLE a (id INT);\nCREATE TABLE b (id INT);\n-- +goose Down\nDROP TABLE b;\nDROP TABLE a;\n",
		"002_second.up.sql", "CREATE TABLE c (id INT);", "002_second.down.sql", "DROP TABLE c",
		"20260102030405_index.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON a (id);\n",
		"20260102030406_function.sql", "-- +goose Up\n-- +goose StatementBegin\nCREATE FUNCTION f() AS 'a; b';\nx;\n-- +goose StatementEnd\nSELECT 1;\n",
		"30000000000000_vacuum.up.sql", "VACUUM;",
		"README.md", "", "embed.go", "package migrations",
	), "migrations")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.Migrations {
		line := m.Name + ":"
		for _, st := range m.Up.Statements {
			line += " " + brief(st.SQL) + ";"
		}
		if m.Up.NoTransaction {
			line += " alone"
		}
		if m.Down != nil {
			line += " down"
		}
		got = append(got, line)
	}
	want := strings.Join([]string{
		"first: CREATE TABLE a (id INT); CREATE TABLE b (id INT); down",
		"second: CREATE TABLE c (id INT); down",
		"index: CREATE INDEX CONCURRENTLY i ON a (id); alone",
		"function: CREATE FUNCTION f() AS '…'; x; SELECT 1;",
		"vacuum: VACUUM; alone",
	}, "\n")
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if s.Latest() != 30000000000000 {
		t.Errorf("latest %d", s.Latest())
	}
}

// All mistakes of a folder come at once, each with its file and line.
func TestLoadReportsEveryMistake(t *testing.T) {
	_, err := Load(files(
		"001_a.sql", "CREATE TABLE a (id INT);\n",
		"002_b.sql", "-- +goose Up\nSELECT 'open;\n",
		"003_c.sql", "-- +goose Up\nSELECT 1;\n-- +goose Wrong\n",
		"004_d.up.sql", "SELECT 1;", "004_e.up.sql", "SELECT 1;",
		"005_f.down.sql", "SELECT 1;",
		"006_g.go", "package x", "99999999999999999999_h.sql", "-- +goose Up\n", "noversion.sql", "",
		"007_i.sql", "-- +goose Down\nSELECT 1;\n", "008_j.sql", "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n",
		"009_k.sql", "-- +goose ENVSUB ON\n-- +goose Up\nSELECT 1;\n", "010_l.sql", "",
	), "m")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"m/001_a.sql:1: SQL before", "m/002_b.sql:2:8: a quote that begins here is not closed", "m/003_c.sql:3: `-- +goose WRONG` is not known",
		"m/004_e.up.sql: version 4 is taken by 004_d.up.sql", "m/005_f.down.sql: version 5 can be undone and not done", "m/006_g.go: a migration in Go",
		"is not a version", "m/noversion.sql: the name has no version", "m/007_i.sql:1: `-- +goose Down` before", "m/008_j.sql: a statement that",
		"m/009_k.sql:1: goose's ENVSUB", "m/010_l.sql: there is no `-- +goose Up`",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestHashIgnoresComments(t *testing.T) {
	load := func(text string) string {
		s, err := Load(files("1_a.sql", text), "m")
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash()
	}
	a := load("-- +goose Up\nCREATE TABLE a (id INT);\n")
	if a != load("-- what for\r\n-- +goose Up\r\nCREATE  TABLE a\r\n  (id INT); -- so\r\n-- +goose Down\r\nDROP TABLE a;\r\n") {
		t.Error("a comment counts")
	}
	if a == load("-- +goose Up\nCREATE TABLE a (id BIGINT);\n") {
		t.Error("a type does not count")
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first, err := Create(dir, "Add Users!", now)
	if err != nil || !strings.HasSuffix(first, "20260102030405_add_users.sql") {
		t.Fatalf("%s, %v", first, err)
	}
	second, err := Create(dir, "more", now)
	if err != nil || !strings.HasSuffix(second, "20260102030406_more.sql") {
		t.Errorf("%s, %v", second, err)
	}
	if s, err := LoadDir(dir); err != nil || len(s.Migrations) != 2 {
		t.Errorf("%v", err)
	}
	if _, err := Create(dir, "!!", now); err == nil {
		t.Error("a name of nothing is taken")
	}
}

func TestLint(t *testing.T) {
	s, err := Load(files("001_a.sql", `-- +goose Up
CREATE TABLE fresh (id INT);
CREATE INDEX f ON fresh (id);
ALTER TABLE fresh ADD COLUMN c INT NOT NULL;
DROP TABLE old;
ALTER TABLE t DROP COLUMN a, ADD COLUMN b INT;
ALTER TABLE t DROP CONSTRAINT x;
ALTER TABLE t ADD COLUMN n INT NOT NULL;
ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 0;
CREATE INDEX i ON t (a);
CREATE INDEX CONCURRENTLY j ON t (a);
DELETE FROM t;
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES ('DROP TABLE x; DELETE FROM y');
ALTER TABLE t ALTER COLUMN a TYPE BIGINT;
COMMIT;
`, "002_b.sql", "-- +goose Up\nSET LOCAL lock_timeout = '5s';\nALTER TABLE t ADD COLUMN z INT;\n"), "m")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range Lint(s, Postgres) {
		got = append(got, strings.TrimSpace(strings.Join([]string{f.Rule, f.Pos.String()}, " ")))
	}
	want := `destructive m/001_a.sql:5:1
lock-timeout m/001_a.sql:5:1
destructive m/001_a.sql:6:1
not-null-without-default m/001_a.sql:8:1
index-concurrently m/001_a.sql:10:1
concurrently-in-transaction m/001_a.sql:11:1
destructive m/001_a.sql:12:1
rewrite m/001_a.sql:15:1
transaction-control m/001_a.sql:16:1`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for _, f := range Lint(s, SQLite) {
		if f.Rule == "lock-timeout" || f.Rule == "index-concurrently" {
			t.Errorf("SQLite has no %s", f.Rule)
		}
	}
}
