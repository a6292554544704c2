//go:build unix

package local_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver of the tests

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/provider/local"
	"github.com/gocodealone/wfctl/sdk"
)

// migrations builds the migration image as a user's own: with their files in
// it at /migrations.
func migrations(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	img, err := build.Make(t.Context(), build.Go{}, build.NewStore(t.TempDir()), build.Spec{
		Name: "workflow-migrate", BaseDir: base, Options: []byte(fmt.Sprintf(`{"package": "./cmd/workflow-migrate", "args": ["up"], "files": {"/migrations": %q}}`, dir)),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img.Ref()
}

func with(text, more string) string { return strings.TrimSuffix(text, "}") + ", " + more + "}" }

func (m *machine) tryUpdate(typ, id, name, text string) error {
	_, err := m.p.Update(m.t.Context(), &sdk.UpdateRequest{Type: typ, ID: id, Name: name, Ownership: owner(name), Config: config(text)}, reporter{m.t})
	return err
}

// The migration image runs before the service does. Where it fails, its last
// lines say why and the service stays as it was.
func TestMigrationImageAsAJob(t *testing.T) {
	m := newMachine(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	url := fmt.Sprintf(`"DATABASE_URL": %q`, "sqlite://"+filepath.ToSlash(file))
	job := func(image string) string {
		return fmt.Sprintf(`"jobs": [{"kind": "pre_deploy", "name": "migrate", "image": %q, "env_vars": {%s}}]`, image, url)
	}
	good := migrations(t, map[string]string{"1_a.sql": "-- +goose Up\nCREATE TABLE a (id INTEGER);\n", "2_b.up.sql": "CREATE TABLE b (id INTEGER);"})
	address := text(t, m.create("infra.container_service", "web", with(webConfig(image(t), "1"), job(good))), "url")
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // only read
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name IN ('a', 'b')").Scan(&n); err != nil || n != 2 {
		t.Fatalf("%d tables, %v", n, err)
	}
	bad := migrations(t, map[string]string{"1_a.sql": "-- +goose Up\nCREATE TABLE a (id INTEGER);\n", "2_b.up.sql": "CREATE TABLE b (id INTEGER);", "3_c.up.sql": "CREATE TABEL c;"})
	err = m.tryUpdate("infra.container_service", "services/web", "web", with(webConfig(image(t), "2"), job(bad)))
	if err == nil || !strings.Contains(err.Error(), "web/migrate failed") || !strings.Contains(err.Error(), "migration 3 (c) failed at statement 1 of 1") {
		t.Errorf("%v", err)
	}
	if _, body := get(t, address); !strings.HasPrefix(body, "version 1") {
		t.Errorf("after a migration that failed: %s", body)
	}
}

// A job for a failed deployment runs where a job before fails and where the
// service does not come up, and not otherwise.
func TestJobsOfAFailedDeployment(t *testing.T) {
	m := newMachine(t)
	ref := image(t)
	const jobs = `"jobs": [{"name": "undo", "kind": "failed_deploy", "run_command": "/app/program undo"}, {"name": "after", "kind": "post_deploy", "run_command": "/app/program after"}, {"name": "before", "run_command": "/app/program before"}]`
	log := func(job string) string {
		raw, _ := os.ReadFile(filepath.Join(m.work, "logs", "services", "web", job+".log"))
		return string(raw)
	}
	m.create("infra.container_service", "web", with(webConfig(ref, "1"), jobs))
	if log("undo") != "" || !strings.Contains(log("before"), "before 1") || !strings.Contains(log("after"), "after 1") {
		t.Errorf("undo %q, before %q, after %q", log("undo"), log("before"), log("after"))
	}
	failing := strings.Replace(webConfig(ref, "2"), `"VERSION": "2"`, `"VERSION": "2", "FAIL": "1"`, 1)
	if err := m.tryUpdate("infra.container_service", "services/web", "web", with(failing, jobs)); err == nil {
		t.Error("a service that ends at once came up")
	}
	if !strings.Contains(log("undo"), "undo 2") || strings.Contains(log("after"), "after 2") {
		t.Errorf("undo %q, after %q", log("undo"), log("after"))
	}
	bad := strings.Replace(jobs, "/app/program before", "/nothing", 1)
	if err := m.tryUpdate("infra.container_service", "services/web", "web", with(webConfig(ref, "3"), bad)); err == nil || !strings.Contains(log("undo"), "undo 3") {
		t.Errorf("%v, undo %q", err, log("undo"))
	}
	if res, err := m.read("infra.container_service", "web"); err != nil || !res.Healthy {
		t.Errorf("the old version must stay: %+v, %v", res, err)
	}
}

// Jobs run in the Docker engine where the service does.
func TestJobsInDocker(t *testing.T) {
	ref := image(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	client := filepath.Join(t.TempDir(), "docker")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(client, []byte(fmt.Sprintf("#!/bin/sh\nexec %s __docker \"$@\"\n", exe)), 0o700); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, func(o *local.Options) { o.LookPath = func(string) (string, error) { return client, nil } })
	service := func(version, jobs string) string {
		return with(strings.Replace(webConfig(ref, version), `{"image"`, `{"runtime": "docker", "image"`, 1), jobs)
	}
	const good = `"jobs": [{"name": "before", "run_command": "before"}, {"name": "after", "kind": "post_deploy", "run_command": "after"}, {"name": "undo", "kind": "failed_deploy", "run_command": "undo"}]`
	address := text(t, m.create("infra.container_service", "web", service("1", good)), "url")
	log := func(job string) string {
		raw, _ := os.ReadFile(filepath.Join(m.work, "logs", "services", "web", job+".log"))
		return string(raw)
	}
	if !strings.Contains(log("before"), "job before with 2 variables") || !strings.Contains(log("after"), "job after") || log("undo") != "" {
		t.Errorf("before %q, after %q, undo %q", log("before"), log("after"), log("undo"))
	}
	err = m.tryUpdate("infra.container_service", "services/web", "web", service("2", strings.Replace(good, `"run_command": "before"`, `"run_command": "fail"`, 1)))
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(log("undo"), "job undo") {
		t.Errorf("%v, undo %q", err, log("undo"))
	}
	if _, body := get(t, address); !strings.HasPrefix(body, "version 1") {
		t.Error(body)
	}
	noSecret(t, m.work)
}

// A job has the time that it is given.
func TestAJobThatTakesTooLong(t *testing.T) {
	m := newMachine(t)
	err := m.tryCreate("infra.container_service", "web", with(webConfig(image(t), "1"), `"jobs": [{"name": "before", "timeout": "300ms", "run_command": "/app/program work"}]`))
	if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("%v", err)
	}
}
