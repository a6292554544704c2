//go:build services && linux

package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the tests
	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/provider/local/ociunpack"
)

// image builds the image of release/app.yaml for this machine, with
// migrations in it as a user's own COPY puts them, and unpacks it.
func image(t *testing.T, migrations map[string]string) (build.Image, string) {
	t.Helper()
	raw, err := os.ReadFile("../../release/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var app struct {
		Images map[string]map[string]any `yaml:"images"`
	}
	if err := yaml.Unmarshal(raw, &app); err != nil {
		t.Fatal(err)
	}
	options := app.Images["workflow-migrate"]
	for _, key := range []string{"builder", "registries", "tags", "sbom", "provenance", "sign"} {
		delete(options, key)
	}
	options["dir"], options["ldflags"] = "../..", "-s -w -X main.version=v0.0.0-test"
	options["platforms"] = []string{"linux/" + runtime.GOARCH}
	options["files"] = map[string]string{"/migrations": folder(t, migrations)}
	encoded, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	img, err := build.Make(t.Context(), build.Go{}, build.NewStore(t.TempDir()), build.Spec{Name: "workflow-migrate", BaseDir: base, Options: encoded}, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := ociunpack.Open(img.Path, img.Digest, ociunpack.Here())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := opened.Unpack(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if user := opened.Config.User; user != "65532:65532" {
		t.Errorf("it runs as %q", user)
	}
	if got := strings.Join(append(opened.Config.Entrypoint, opened.Config.Cmd...), " "); got != "/app/workflow-migrate up" {
		t.Errorf("it runs %q", got)
	}
	return img, root
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run runs the image's program with nothing but the image around it.
func run(t *testing.T, root, database string, args ...string) (string, string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/app/workflow-migrate", args...)
	if os.Getuid() == 0 { // as a container: the image is all there is, and the user is nobody
		for dir := root; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
			_ = os.Chmod(dir, 0o755) //nolint:gosec // the test's own folder, on the way to what nobody must read
			if dir == os.TempDir() {
				break
			}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		cmd.Dir = "/"
	} else {
		cmd.Path, cmd.Env = filepath.Join(root, "app", "workflow-migrate"), []string{"MIGRATE_DIR=" + filepath.Join(root, "migrations")}
	}
	cmd.Env = append(cmd.Env, "DATABASE_URL="+database)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Error(err)
		return "", "", -1
	}
	return out.String(), log.String(), cmd.ProcessState.ExitCode()
}

func must(t *testing.T, root, database string, status int, says string, args ...string) {
	t.Helper()
	if out, log, got := run(t, root, database, args...); got != status || !strings.Contains(out+log, says) {
		t.Fatalf("%v: exit %d, want %d and %q\n%s\n%s", args, got, status, says, out, log)
	}
}

func variable(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not set", name)
	}
	if value == "" {
		t.Skipf("%s is not set: make services", name)
	}
	return value
}

// newDatabase is an empty one, as its administrator reaches it.
func newDatabase(t *testing.T) (*url.URL, *sql.DB) {
	t.Helper()
	server := variable(t, "WFCTL_TEST_POSTGRES")
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("wfctl_image_%d", time.Now().UnixNano())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("WFCTL_TEST_POSTGRES cannot be read")
	}
	u.Path = "/" + name
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = db.Close()
		if _, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		_ = admin.Close()
	})
	return u, db
}

var schema = map[string]string{
	"1_users.sql":      "-- +goose Up\nCREATE TABLE users (id BIGSERIAL PRIMARY KEY, name TEXT NOT NULL);\n-- +goose Down\nDROP TABLE users;\n",
	"2_posts.up.sql":   "CREATE TABLE posts (id BIGSERIAL PRIMARY KEY, author BIGINT REFERENCES users);",
	"2_posts.down.sql": "DROP TABLE posts;",
	"3_index.sql":      "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY users_name ON users (name);\nINSERT INTO users (name) VALUES ('first');\n",
}

// The image brings a real Postgres from empty to head and refuses a file that
// was changed; what it holds is itself and nothing to break in with.
func TestImage(t *testing.T) {
	img, root := image(t, schema)
	if img.Size > 15<<20 {
		t.Errorf("it is %d bytes", img.Size)
	}
	t.Logf("the image is %.1f MB compressed", float64(img.Size)/1e6)
	for _, shell := range []string{"bin", "usr/bin", "sbin", "usr/sbin"} {
		if entries, err := os.ReadDir(filepath.Join(root, shell)); err == nil {
			t.Errorf("/%s holds %v", shell, entries)
		}
	}
	u, db := newDatabase(t)
	must(t, root, u.String(), 3, `"pending":3`, "status", "--exit-code")
	must(t, root, u.String(), 0, `"to":3`, "up")
	must(t, root, u.String(), 0, `"migrations":[]`, "up")
	must(t, root, u.String(), 0, "", "status", "--exit-code")
	var n int
	if err := db.QueryRow("SELECT count(*) FROM users").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d users, %v", n, err)
	}
	file := filepath.Join(root, "migrations", "2_posts.up.sql")
	if err := os.WriteFile(file, []byte("CREATE TABLE posts (id BIGSERIAL PRIMARY KEY);"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, root, u.String(), 1, `"code":"integrity"`, "up")
	if err := os.WriteFile(file, []byte("-- the same\nCREATE  TABLE posts (id BIGSERIAL PRIMARY KEY,\n /* who */ author BIGINT REFERENCES users);\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, root, u.String(), 0, "", "up")
}

// A statement that fails is told by its number, kept as far as it got, and
// repaired.
func TestImageRepairs(t *testing.T) {
	_, root := image(t, map[string]string{"1_a.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id INT);\nCREATE TABLE b (id INTT);\nCREATE TABLE c (id INT);\n"})
	u, db := newDatabase(t)
	must(t, root, u.String(), 1, "failed at statement 2 of 3", "up")
	must(t, root, u.String(), 0, `"state":"dirty"`, "status")
	must(t, root, u.String(), 1, "stopped at statement 2 of 3", "up")
	if err := os.WriteFile(filepath.Join(root, "migrations", "1_a.sql"), []byte("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id INT);\nCREATE TABLE b (id INT);\nCREATE TABLE c (id INT);\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, root, u.String(), 0, `"repaired":"resume"`, "repair", "1", "--as", "resume", "--approve")
	must(t, root, u.String(), 0, "", "status", "--exit-code")
	var n int
	if err := db.QueryRow("SELECT count(*) FROM pg_tables WHERE tablename IN ('a', 'b', 'c')").Scan(&n); err != nil || n != 3 {
		t.Errorf("%d tables, %v", n, err)
	}
}

// Several that start at once behind a pooler do each migration once: a
// deployment with several instances starts as many jobs.
func TestImageSeveralAtOnce(t *testing.T) {
	_, root := image(t, schema)
	for name, host := range map[string]string{"Postgres": "", "PgBouncer": variable(t, "WFCTL_TEST_PGBOUNCER")} {
		u, db := newDatabase(t)
		if host != "" {
			u.Host = host
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		did := 0
		for range 5 {
			all.Go(func() {
				out, log, status := run(t, root, u.String(), "up")
				var res struct{ Migrations []struct{ Version int64 } }
				if status != 0 || json.Unmarshal([]byte(out), &res) != nil {
					t.Errorf("%s: exit %d\n%s\n%s", name, status, out, log)
				}
				mu.Lock()
				defer mu.Unlock()
				did += len(res.Migrations)
			})
		}
		all.Wait()
		var n int
		if err := db.QueryRow("SELECT count(*) FROM users").Scan(&n); err != nil || n != 1 || did != 3 {
			t.Errorf("%s: %d users, %d migrations, %v", name, n, did, err)
		}
	}
}

// A user that may only read is told what would be done, and nothing is
// written: not even the tables that wfctl keeps.
func TestImageDryRunReadsOnly(t *testing.T) {
	_, root := image(t, schema)
	u, db := newDatabase(t)
	role := "wfctl_reader" + strings.TrimPrefix(u.Path, "/wfctl_image")
	for _, q := range []string{
		"REVOKE CREATE ON SCHEMA public FROM PUBLIC", "CREATE ROLE " + role + " LOGIN", "GRANT USAGE ON SCHEMA public TO " + role,
		"ALTER ROLE " + role + " SET default_transaction_read_only = on",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role); err != nil {
			t.Error(err)
		}
	})
	u.User = url.User(role)
	must(t, root, u.String(), 0, `"to":3`, "up", "--dry-run")
	must(t, root, u.String(), 0, `{"findings":[]}`, "validate")
	must(t, root, u.String(), 3, `"pending":3`, "status", "--exit-code")
	var n int
	if err := db.QueryRow("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d tables, %v", n, err)
	}
	must(t, root, u.String(), 1, "allowed to create tables", "up")
}
