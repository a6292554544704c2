//go:build services && unix

package local_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
)

func TestPostgresOnItsSocket(t *testing.T) {
	m := newMachine(t)
	outputs := m.create("infra.database", "db", `{"engine": "postgres"}`)
	address := text(t, outputs, "connection_url")
	if strings.Contains(address, "password") || !strings.Contains(address, "host=") {
		t.Errorf("the URL is %s", address)
	}
	if err := queryPostgres(t, address); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(text(t, outputs, "host"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder is %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(m.work, "databases", "db", "password")); err == nil {
		t.Error("there is a password that nobody asked for")
	}
}

func TestPostgresOnAPortAsksForAPassword(t *testing.T) {
	m := newMachine(t)
	port, err := supervisor.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	outputs := m.create("infra.database", "db", fmt.Sprintf(`{"engine": "postgres", "port": %d}`, port))
	address := text(t, outputs, "connection_url")
	if err := queryPostgres(t, address); err != nil {
		t.Fatal(err)
	}
	password, err := os.ReadFile(filepath.Join(m.work, "databases", "db", "password"))
	if err != nil {
		t.Fatal(err)
	}
	if err := queryPostgres(t, strings.Replace(address, strings.TrimSpace(string(password)), "wrong", 1)); err == nil {
		t.Error("a wrong password is accepted")
	}
}

// A supervisor that is killed takes the server along; an update brings it
// back with its data.
func TestPostgresComesBack(t *testing.T) {
	m := newMachine(t)
	address := text(t, m.create("infra.database", "db", `{"engine": "postgres"}`), "connection_url")
	client, err := supervisor.Dial(t.Context(), m.work)
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(client.PID())
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := process.Wait(); err != nil && !strings.Contains(err.Error(), "no child") {
		t.Log(err)
	}
	_, err = m.p.Update(t.Context(), &sdk.UpdateRequest{Type: "infra.database", ID: "databases/db", Name: "db", Ownership: owner("db"), Config: config(`{"engine": "postgres"}`)}, reporter{t})
	if err != nil {
		t.Fatal(err)
	}
	if err := queryPostgres(t, address); err != nil {
		t.Error(err)
	}
}

// queryPostgres asks a database whether it answers to its URL.
func queryPostgres(t *testing.T, address string) error {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer db.Close()
	var one int
	return db.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)
}
