package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/fault"
)

// A migration that stopped goes on only where what was done is what the file
// says was done: a schema that nobody made must not be recorded.
func testResumeWithAnotherPast(t *testing.T, e *env) {
	const head = "-- +goose NO TRANSACTION\n-- +goose Up\n"
	e.write(t, "1_d.sql", head+"CREATE TABLE d (i INT);\nINSERT INTO nope VALUES (1);\n")
	e.upError(t, fault.Config, "statement 2 of 2")
	for _, changed := range []string{
		"CREATE TABLE d (i INT, later TEXT);\nCREATE TABLE nope (i INT);\n",
		"CREATE TABLE before_it (i INT);\nCREATE TABLE d (i INT);\nCREATE TABLE nope (i INT);\n",
	} {
		e.write(t, "1_d.sql", head+changed)
		err := e.open(t).Repair(t.Context(), 1, RepairResume)
		if fault.CodeOf(err) != fault.Config || !strings.Contains(err.Error(), "the first 1 statements of migration 1, which are done, are not as they were") {
			t.Errorf("got %v", err)
		}
	}
	e.write(t, "1_d.sql", head+"CREATE  TABLE d (i INT); -- as it was\nCREATE TABLE nope (i INT);\nCREATE TABLE more (i INT);\n")
	if err := e.open(t).Repair(t.Context(), 1, RepairResume); err != nil {
		t.Error(err)
	}
	if got := e.states(t); !strings.Contains(got, "applied") {
		t.Error(got)
	}
}

// One that stopped and whose file is gone is shown, and can be forgotten.
func testStoppedWithoutItsFile(t *testing.T, e *env) {
	e.write(t, "1_a.sql", "-- +goose Up\nCREATE TABLE a (i INT);\n")
	e.write(t, "2_gone.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE d (i INT);\nINSERT INTO nope VALUES (1);\n")
	e.upError(t, fault.Config, "statement 2 of 2")
	if err := os.Remove(filepath.Join(e.dir, "2_gone.sql")); err != nil {
		t.Fatal(err)
	}
	if got := e.states(t); !strings.Contains(got, "2 gone: dirty at statement 2 of 2: ") {
		t.Error(got)
	}
	if err := e.open(t).Repair(t.Context(), 2, RepairResume); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
	if err := e.open(t).Repair(t.Context(), 2, RepairPending); err != nil {
		t.Error(err)
	}
	if err := e.open(t).Repair(t.Context(), 1, RepairPending); err != nil {
		t.Error(err)
	}
	if got := e.states(t); strings.Contains(got, "gone") {
		t.Error(got)
	}
}

// A migration in a transaction has no other: what it would commit could not be
// taken back. BEGIN and COMMIT around all of it say what is done anyway.
func testOwnTransaction(t *testing.T, e *env) {
	e.write(t, "1_k.sql", "-- +goose Up\nCREATE TABLE k (i INT);\nCOMMIT;\nCREATE TABL l (i INT);\n")
	before := e.tables(t)
	f := e.upError(t, fault.Config, "controls the transaction that it runs in: COMMIT")
	if f.Pos.Line != 3 || !strings.Contains(f.Hint, "NO TRANSACTION") {
		t.Errorf("%v %q", f.Pos, f.Hint)
	}
	e.write(t, "1_k.sql", "-- +goose Up\nBEGIN;\nCREATE TABLE k (i INT);\nINSERT INTO nope VALUES (1);\nCOMMIT;\n")
	e.upError(t, fault.Config, "statement 2 of 2")
	if n := e.tables(t); n > before+3 { // goose's table and ours at most, and not k
		t.Errorf("%d tables, %d before", n, before)
	}
	e.write(t, "1_k.sql", "-- +goose Up\nBEGIN;\nCREATE TABLE k (i INT);\nCOMMIT;\n")
	e.up(t)
	e.write(t, "002_m.up.sql", "BEGIN TRANSACTION;\nCREATE TABLE m (i INT);\nINSERT INTO nope VALUES (1);\nCOMMIT;\n")
	e.upError(t, fault.Config, "statement 2 of 2")
	e.write(t, "002_m.up.sql", "BEGIN TRANSACTION;\nCREATE TABLE m (i INT);\nCOMMIT;\n")
	e.up(t) // m is not there yet
}

// What may hold a password is not told: an address that is no URL, and the
// texts in statements.
func TestPasswordsAreNotTold(t *testing.T) {
	for _, address := range []string{
		"host=127.0.0.1 password=sekretpw user=x", "sekretpw", "sekretpw:more", "host=/tmp:5432 password=sekretpw", "postgres:sekretpw", "mysql://u:sekretpw@h/db",
	} {
		_, err := Open(t.Context(), Options{URL: address, Source: &Source{}})
		if err == nil || strings.Contains(err.Error(), "sekretpw") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for sql, want := range map[string]string{
		"CREATE ROLE app LOGIN PASSWORD 'hunter2''s'": "CREATE ROLE app LOGIN PASSWORD '…'",
		"INSERT INTO users VALUES ('ann', E'sekret')": "INSERT INTO users VALUES ('…', '…')",
	} {
		if got := brief(sql); got != want {
			t.Errorf("%s became %s", sql, got)
		}
	}
}
