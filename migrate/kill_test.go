package migrate

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/fault"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("MIGRATE_TEST_CHILD"); dir != "" {
		child(dir, os.Getenv("MIGRATE_TEST_URL"))
		return
	}
	goleak.VerifyTestMain(m)
}

// child migrates, telling how far it is, until it is killed.
func child(dir, url string) {
	source, err := LoadDir(dir)
	if err != nil {
		panic(err)
	}
	m, err := Open(context.Background(), Options{URL: url, Source: source, Progress: func(e Event) { fmt.Println(e.Statement) }})
	if err != nil {
		panic(err)
	}
	_, err = m.Up(context.Background(), UpOptions{})
	fmt.Println(err)
}

// killed runs a migrator in a process of its own and kills it when it is at a
// statement.
func (e *env) killed(t *testing.T, statement int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), "MIGRATE_TEST_CHILD="+e.dir, "MIGRATE_TEST_URL="+e.url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != fmt.Sprint(statement) {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// slow keeps SQLite busy for long.
const slow = "INSERT INTO c WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT max(i) FROM n;\n"

// A killed process leaves nothing of a transaction, and an exact account of
// what ran outside one; nobody waits for its lock.
func TestKilled(t *testing.T) {
	e := &env{dir: t.TempDir(), url: "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "x.db"))}
	e.write(t, "1_a.sql", "-- +goose Up\nCREATE TABLE c (id INTEGER);\n"+slow)
	e.killed(t, 2)
	if got := e.states(t); got != "1 a: pending" {
		t.Errorf("in a transaction: %s", got)
	}
	e.write(t, "1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE c (id INTEGER);\n"+slow+"CREATE TABLE d (id INTEGER);\n")
	e.killed(t, 2)
	if got := e.states(t); !strings.HasPrefix(got, "1 a: dirty at statement 2 of 3") {
		t.Errorf("outside: %s", got)
	}
	f := e.upError(t, fault.State, "migration 1 (a) stopped at statement 2 of 3")
	if f.Pos.Line != 4 || !strings.Contains(f.Hint, "repair") {
		t.Errorf("%s, %s", f.Pos, f.Hint)
	}
	e.write(t, "1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE c (id INTEGER);\nINSERT INTO c VALUES (1);\nCREATE TABLE d (id INTEGER);\n")
	if err := e.open(t).Repair(t.Context(), 1, RepairResume); err != nil {
		t.Fatal(err)
	}
	if got := e.states(t); got != "1 a: applied" {
		t.Error(got)
	}
}
