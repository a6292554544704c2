package lock_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/lock/locktest"
)

func yes(*lock.Migration) (bool, error) { return true, nil }

// legacy is a project with two plugins pinned in app.yaml as they once were.
func legacy(t *testing.T) (b *bench, hello, other string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"hello", "other"} {
		locktest.New(name, "v1.0.0").WriteTo(t, filepath.Join(dir, name))
		locktest.New(name, "v1.1.0").WriteTo(t, filepath.Join(dir, name))
	}
	base := "file://" + filepath.ToSlash(dir)
	b = newBench(t)
	b.write("app.yaml", `# The shop.
version: 1
project: shop   # ours

requires:
  # What the clouds need.
  plugins:
    # Greets.
    - name: hello
      version: "1.0.0"   # pinned because of #12
      source: `+base+`/hello
      auth:
        # the robot's
        env: GH_TOKEN
    - version: v1.0.0
      name: other
      source: `+base+`/other

registries:
  # The company's.
  - name: ghcr
    type: github
    auth: {username_source: github.actor, password_env: GITHUB_TOKEN}

modules: []  # none yet
`)
	return b, base + "/hello", base + "/other"
}

func (b *bench) migrate(o lock.MigrateOptions) *lock.Migration {
	b.t.Helper()
	o.Application = b.path("app.yaml")
	m, err := b.Migrate(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

func TestMigrate(t *testing.T) {
	b, hello, other := legacy(t)
	m := b.migrate(lock.MigrateOptions{Remove: yes})
	if len(m.Moved) != 2 || len(m.Registries) != 1 || !m.Removed {
		t.Errorf("migrated %+v", m)
	}
	wantManifest := `version: 1
plugins:
  - name: hello
    version: v1.0.0
    source: ` + hello + `
    auth: {env: GH_TOKEN}
  - name: other
    version: v1.0.0
    source: ` + other + `
registries:
  - name: ghcr
    type: github
    auth: {username_source: github.actor, password_env: GITHUB_TOKEN}
`
	if got := b.read(lock.ManifestFile); got != wantManifest {
		t.Errorf("the manifest is\n%s\nwant\n%s", got, wantManifest)
	}
	const wantApp = `# The shop.
version: 1
project: shop   # ours

requires:
  # What the clouds need.
  plugins:
    # Greets.
    - name: hello
      # pinned because of #12
      # the robot's
    - name: other

  # The company's.
modules: []  # none yet
`
	if got := strings.ReplaceAll(b.read("app.yaml"), "# The company's.\n\n", "# The company's.\n"); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(wantApp), " ") {
		t.Errorf("the application file is\n%s\nwant\n%s", got, wantApp)
	}
	b.install(lock.InstallOptions{})
	before := b.files() + b.read("app.yaml")
	m = b.migrate(lock.MigrateOptions{Remove: yes})
	if !m.Nothing() || m.Removed || b.files()+b.read("app.yaml") != before {
		t.Errorf("the second run did something: %+v", m)
	}
}

// Without a yes the inline fields stay, and the next run asks again.
func TestMigrateWithoutYes(t *testing.T) {
	b, _, _ := legacy(t)
	app := b.read("app.yaml")
	m := b.migrate(lock.MigrateOptions{})
	if m.Removed || b.read("app.yaml") != app || len(b.install(lock.InstallOptions{})) != 2 {
		t.Errorf("migrated %+v", m)
	}
	before := b.files()
	asked := false
	m = b.migrate(lock.MigrateOptions{Remove: func(*lock.Migration) (bool, error) { asked = true; return false, nil }})
	if !asked || m.Nothing() || b.files() != before || b.read("app.yaml") != app {
		t.Errorf("the second run: %+v", m)
	}
}

// A manifest that has a plugin already wins.
func TestMigrateMerges(t *testing.T) {
	b, hello, _ := legacy(t)
	b.add(lock.AddOptions{Name: "hello", Version: "v1.1.0", Source: hello, Trust: lock.ChecksumOnly})
	manifest := b.read(lock.ManifestFile)
	m := b.migrate(lock.MigrateOptions{Remove: yes})
	if len(m.Moved) != 1 || m.Moved[0].Name != "other" || len(m.Kept) != 1 || m.Kept[0] != "hello" {
		t.Errorf("migrated %+v", m)
	}
	if got := b.read(lock.ManifestFile); !strings.HasPrefix(got, manifest) || !strings.Contains(got, "name: other") {
		t.Errorf("the manifest is\n%s", got)
	}
	if !strings.Contains(b.warnings[0].Error(), "which wins") {
		t.Errorf("warnings: %v", b.warnings)
	}
	if strings.Contains(b.read("app.yaml"), "version: v1.0.0") {
		t.Errorf("inline fields are left in\n%s", b.read("app.yaml"))
	}
}

func TestMigrateNothing(t *testing.T) {
	b := newBench(t)
	for _, app := range []string{"", "# nothing\n", "version: 1\nmodules: []\n", "requires: {plugins: [{name: hello}]}\n", "requires: {plugins: []}\n"} {
		b.write("app.yaml", app)
		if m := b.migrate(lock.MigrateOptions{Remove: yes}); !m.Nothing() || b.files() != "\x00" || b.read("app.yaml") != app {
			t.Errorf("%q: %+v", app, m)
		}
	}
}

// What fails changes nothing.
func TestMigrateFails(t *testing.T) {
	for app, says := range map[string]string{
		"requires: {plugins: [{name: hello, version: '>=1', source: ./x}]}\n":   "exact version",
		"requires: {plugins: [{name: hello, version: v1.0.0, source: ./x}]}\n":  "find version",
		"requires: {plugins: [{name: hello, versions: v1.0.0, source: ./x}]}\n": "versions",
		"requires: {plugins: [{name: a, source: ./x}, {name: a}]}\n":            "twice",
		"a: [\n": "not YAML",
	} {
		b := newBench(t)
		b.write("app.yaml", app)
		_, err := b.Migrate(t.Context(), lock.MigrateOptions{Application: b.path("app.yaml"), Remove: yes})
		if err == nil || !strings.Contains(err.Error(), says) || b.files() != "\x00" || b.read("app.yaml") != app {
			t.Errorf("%q: %v", app, err)
		}
	}
	b := newBench(t)
	_, err := b.Migrate(t.Context(), lock.MigrateOptions{Application: b.path("none.yaml")})
	wantFault(t, err, fault.NotFound, "--config")
}

func TestMigrateKeepsTheMode(t *testing.T) {
	b, _, _ := legacy(t)
	if err := os.Chmod(b.path("app.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.migrate(lock.MigrateOptions{Remove: yes})
	if info, err := os.Stat(b.path("app.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
