package lock_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/lock/source"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("WFCTL_TEST_INSTALL_IN"); dir != "" {
		installForever(dir)
	}
	goleak.VerifyTestMain(m)
}

// bench is a project with its own store.
type bench struct {
	*lock.Project
	t          *testing.T
	dir, cache string
	env        map[string]string
	warnings   []*fault.Error
	now        time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), cache: t.TempDir(), env: map[string]string{}, now: time.Date(2026, 4, 24, 10, 0, 0, 0, time.UTC)}
	b.open()
	return b
}

// open makes the project anew, as another command does.
func (b *bench) open() {
	b.t.Helper()
	client := source.NewClient(0, 0)
	b.t.Cleanup(client.CloseIdleConnections)
	p, err := lock.Open(lock.Options{
		Dir: b.dir, Cache: b.cache, Client: client, Now: func() time.Time { return b.now },
		Getenv: func(name string) (string, bool) { v, ok := b.env[name]; return v, ok },
		Warn:   func(f *fault.Error) { b.warnings = append(b.warnings, f) },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Project = p
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	b.t.Helper()
	data, err := os.ReadFile(b.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(data)
}

// files are what commands write.
func (b *bench) files() string { return b.read(lock.ManifestFile) + "\x00" + b.read(lock.LockFile) }

func (b *bench) add(o lock.AddOptions) *lock.Change {
	b.t.Helper()
	c, err := b.Add(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) install(o lock.InstallOptions) []lock.Installed {
	b.t.Helper()
	list, err := b.Install(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// trees lists what is installed in the store.
func (b *bench) trees() []string {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.cache, "sha256"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// forget empties the store.
func (b *bench) forget() {
	b.t.Helper()
	if err := os.RemoveAll(b.cache); err != nil {
		b.t.Fatal(err)
	}
}

// wantFault checks the code of an error and what its text, hints and details say.
func wantFault(t *testing.T, err error, code fault.Code, says ...string) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Fatalf("got %v (code %q), want the code %q", err, fault.CodeOf(err), code)
	}
	var f *fault.Error
	text := err.Error()
	if errors.As(err, &f) {
		text += " " + f.Hint
	}
	for _, s := range says {
		if !strings.Contains(text, s) {
			t.Errorf("%q does not say %q", text, s)
		}
	}
}

// published is a place with the versions v1.0.0, v1.1.0 and v2.0.0-rc.1 of the
// plugin hello.
type published struct {
	name, source string
	env          map[string]string
	manifest     string
}

func releases() []*locktest.Release {
	var list []*locktest.Release
	for _, v := range []string{"v1.0.0", "v1.1.0", "v2.0.0-rc.1"} {
		list = append(list, locktest.New("hello", v))
	}
	return list
}

func places(t *testing.T) []published {
	dir := t.TempDir()
	for _, r := range releases() {
		r.WriteTo(t, dir)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(web.Close)
	registry := locktest.NewRegistry(t)
	public, private := locktest.NewGitHub(t), locktest.NewGitHub(t)
	private.Token = "ghp_secret"
	for _, r := range releases() {
		registry.Push("plugins/hello", r)
		public.Publish(r)
		private.Publish(r)
	}
	return []published{
		{name: "local folder", source: "file://" + filepath.ToSlash(dir)},
		{name: "web folder", source: web.URL},
		{name: "registry", source: registry.Source("plugins/hello")},
		{name: "GitHub", source: public.Source()},
		{name: "private GitHub", source: private.Source(), env: map[string]string{"GH_TOKEN": "ghp_secret"}},
		{
			name: "mirror", source: "github.com/acme/hello",
			manifest: "version: 1\nmirrors:\n  - {from: github.com/, to: https://nowhere.invalid/}\n  - {from: github.com/acme/hello, to: " + web.URL + "}\n",
		},
		{
			name: "mirror of everything", source: "oci://ghcr.io/acme/hello",
			manifest: "mirrors: [{from: \"oci://ghcr.io/acme\", to: \"" + registry.Source("plugins") + "\"}]\n",
		},
	}
}

func TestEverySource(t *testing.T) {
	for _, place := range places(t) {
		t.Run(place.name, func(t *testing.T) {
			b := newBench(t)
			if place.manifest != "" {
				b.write(lock.ManifestFile, place.manifest)
			}
			o := lock.AddOptions{Name: "hello", Version: "v1.0.0", Source: place.source, Trust: lock.ChecksumOnly}
			for name, v := range place.env {
				b.env[name] = v
				o.TokenEnv = name
			}
			b.add(o)
			l, err := lock.ReadLock(b.path(lock.LockFile))
			if err != nil {
				t.Fatal(err)
			}
			locked := l.Plugins["hello"]
			if locked.Source != place.source || len(locked.Platforms) != len(locktest.Platforms()) {
				t.Errorf("locked %+v", locked)
			}
			for platform, a := range locked.Platforms {
				if a.ExecutableSHA256 != locktest.Hash(locktest.Executable("hello", "v1.0.0", platform)) {
					t.Errorf("%s has the wrong executable_sha256", platform)
				}
				if strings.Contains(a.URL, "ghp_secret") {
					t.Errorf("the lockfile holds the token")
				}
			}
			before := b.files()
			if _, err := b.Lock(t.Context(), lock.LockOptions{}); err != nil || b.files() != before {
				t.Errorf("locking again: %v, changed: %v", err, b.files() != before)
			}
			b.forget()
			b.open()
			checkInstall(b, "v1.0.0")
			changes, err := b.Update(t.Context(), lock.UpdateOptions{})
			if err != nil || len(changes) != 1 || changes[0].From != "v1.0.0" || changes[0].To != "v1.1.0" {
				t.Fatalf("update: %+v, %v", changes, err)
			}
			checkInstall(b, "v1.1.0")
			if _, err := b.Update(t.Context(), lock.UpdateOptions{Plugins: []string{"hello@2.0.0-rc.1"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Version: "v3.0.0"}); fault.CodeOf(err) != fault.NotFound {
				t.Errorf("a version that does not exist: %v", err)
			}
		})
	}
}

// checkInstall installs, for this platform and for others, and looks at what
// is there.
func checkInstall(b *bench, version string) {
	b.t.Helper()
	b.install(lock.InstallOptions{})
	for _, platform := range []string{locktest.Host(), "darwin-arm64", "windows-amd64"} {
		list := b.install(lock.InstallOptions{Platforms: []string{platform}})
		if len(list) != 1 || list[0].Version != version || list[0].Platform != platform {
			b.t.Fatalf("installed %+v", list)
		}
		data, err := os.ReadFile(list[0].Executable)
		if err != nil || string(data) != string(locktest.Executable("hello", version, platform)) || locktest.Hash(data) != list[0].SHA256 {
			b.t.Errorf("the executable is %q, %v", data, err)
		}
		if info, err := os.Stat(list[0].Executable); err != nil || info.Mode().Perm()&0o100 == 0 {
			b.t.Errorf("the executable cannot be run: %v, %v", info.Mode(), err)
		}
		if p := list[0].Providers(); len(p) != 1 || p[0] != "hello-kind" {
			b.t.Errorf("providers %v", p)
		}
		if string(list[0].Provides) != `{"providers": ["hello-kind"]}` {
			b.t.Errorf("provides %s", list[0].Provides)
		}
	}
	if list, err := b.Installed(b.t.Context()); err != nil || len(list) != 1 || !list[0].There {
		b.t.Errorf("Installed: %+v, %v", list, err)
	}
	b.install(lock.InstallOptions{Offline: true})
	if v, err := b.Verify(b.t.Context()); err != nil || len(v) != 1 || v[0].Problem != "" {
		b.t.Errorf("Verify: %+v, %v", v, err)
	}
}

// folder is a project with hello v1.0.0 from a local folder, not yet locked.
func folder(t *testing.T, r *locktest.Release) (*bench, string) {
	t.Helper()
	dir := t.TempDir()
	r.WriteTo(t, dir)
	return newBench(t), "file://" + filepath.ToSlash(dir)
}

func locked(t *testing.T) (b *bench, dir string) {
	t.Helper()
	b, src := folder(t, locktest.New("hello", "v1.0.0"))
	b.add(lock.AddOptions{Name: "hello", Version: "v1.0.0", Source: src, Trust: lock.ChecksumOnly})
	return b, strings.TrimPrefix(src, "file://")
}

func TestManifestKeepsItsComments(t *testing.T) {
	b, src := folder(t, locktest.New("hello", "v1.0.0"))
	const before = "# Ours.\nversion: 1\n\nregistries: # kept\n  - {name: ghcr, type: github}\n\n# The end.\n"
	b.write(lock.ManifestFile, before)
	b.add(lock.AddOptions{Name: "hello", Source: src, TokenEnv: "TOKEN"})
	want := "# Ours.\nversion: 1\n\nregistries: # kept\n  - {name: ghcr, type: github}\nplugins:\n" +
		"  - name: hello\n    version: v1.0.0\n    source: " + src + "\n    auth: {env: TOKEN}\n\n# The end.\n"
	if got := b.read(lock.ManifestFile); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.add(lock.AddOptions{Name: "hello", Trust: lock.ChecksumOnly})
	if got := b.read(lock.ManifestFile); got != strings.Replace(want, "TOKEN}\n", "TOKEN}\n    trust: checksum-only\n", 1) {
		t.Errorf("got\n%s", got)
	}
	if _, err := b.Remove(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	if got := b.read(lock.ManifestFile); got != strings.Replace(before, "\n\n# The", "\nplugins: []\n\n# The", 1) {
		t.Errorf("got\n%s", got)
	}
	if l, err := lock.ReadLock(b.path(lock.LockFile)); err != nil || len(l.Plugins) != 0 {
		t.Errorf("the lockfile still has %v, %v", l, err)
	}
}

func TestAddByAddress(t *testing.T) {
	dir := t.TempDir()
	locktest.New("hello", "v1.0.0").WriteTo(t, filepath.Join(dir, "hello"))
	b := newBench(t)
	c := b.add(lock.AddOptions{Name: "file://" + filepath.ToSlash(dir) + "/hello"})
	if c.Name != "hello" || c.To != "v1.0.0" {
		t.Errorf("added %+v", c)
	}
	if len(b.warnings) != 1 || !strings.Contains(b.warnings[0].Error(), "not signed") {
		t.Errorf("warnings: %v", b.warnings)
	}
	locktest.New("other", "v1.0.0").WriteTo(t, filepath.Join(b.dir, "plugins", "other"))
	b.add(lock.AddOptions{Name: "./plugins/other"})
	if len(b.install(lock.InstallOptions{})) != 2 {
		t.Error("not both are installed")
	}
	for _, bad := range []lock.AddOptions{
		{Name: "a b"}, {Name: "x", Version: ">=1"}, {Name: "x", Version: "v1", Source: "./plugins/x"}, {Name: "x", Source: "ftp://x"},
		{Name: "x", Version: "v1.0.0", Source: "http://example.com/x"}, {Name: "x", Version: "v1.0.0", Source: "github.com/x"},
		{Name: "x", Version: "v1.0.0", Source: "https://user:pw@example.com/x"}, {Name: "x", Version: "v1.0.0", Source: "oci://ghcr.io/x:tag"},
	} {
		before := b.files()
		if _, err := b.Add(t.Context(), bad); err == nil || b.files() != before {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Failure 14: a pin that was raised, and a lockfile that was not.
func TestStaleLock(t *testing.T) {
	b, dir := locked(t)
	locktest.New("hello", "v1.1.0").WriteTo(t, dir)
	b.install(lock.InstallOptions{})
	good := b.read(lock.ManifestFile)
	for name, edited := range map[string]string{
		"raised":   strings.Replace(good, "v1.0.0", "v1.1.0", 1),
		"moved":    strings.Replace(good, "file://", "file:///elsewhere", 1),
		"verified": strings.Replace(good, "    trust: checksum-only\n", "    verify: {identity: x, issuer: y}\n", 1),
		"another":  good + "  - {name: more, version: v1.0.0, source: ./more}\n",
		"none":     "version: 1\n",
	} {
		b.write(lock.ManifestFile, edited)
		_, err := b.Install(t.Context(), lock.InstallOptions{})
		wantFault(t, err, fault.Config, "wfctl plugin lock")
		_, err = b.Installed(t.Context())
		wantFault(t, err, fault.Config, "wfctl plugin lock")
		if rows, err := b.List(t.Context()); err != nil || !slices.ContainsFunc(rows, func(r lock.Row) bool { return strings.Contains(r.Note, "wfctl plugin lock") }) {
			t.Errorf("%s: list shows %+v, %v", name, rows, err)
		}
	}
	b.write(lock.ManifestFile, strings.Replace(good, "v1.0.0", "v1.1.0", 1))
	if _, err := b.Lock(t.Context(), lock.LockOptions{}); err != nil {
		t.Fatal(err)
	}
	if list := b.install(lock.InstallOptions{}); list[0].Version != "v1.1.0" {
		t.Errorf("installed %+v", list)
	}
}

// Failure 18: a source that does not answer never gives a lockfile.
func TestUnreachable(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	github := locktest.NewGitHub(t)
	github.Publish(locktest.New("hello", "v1.0.0"))
	github.Down(true)
	missing := "file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "gone"))
	for _, src := range []string{dead.URL, strings.Replace(dead.URL, "http://", "oci://", 1) + "/x", "github+" + dead.URL + "/acme/hello", github.Source(), missing} {
		for _, version := range []string{"", "v1.0.0"} {
			b := newBench(t)
			_, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Version: version, Source: src})
			if err == nil || fault.ExitCode(err) == 0 || b.files() != "\x00" || len(b.trees()) != 0 {
				t.Fatalf("%s: %v, files %q", src, err, b.files())
			}
			b.write(lock.ManifestFile, "plugins:\n  - {name: hello, version: v1.0.0, source: '"+src+"'}\n")
			before := b.files()
			_, err = b.Lock(t.Context(), lock.LockOptions{})
			if err == nil || b.files() != before {
				t.Fatalf("%s: %v, files %q", src, err, b.files())
			}
		}
	}
}

// A lockfile that is complete stays so while its source is away.
func TestUnreachableLater(t *testing.T) {
	github := locktest.NewGitHub(t)
	github.Publish(locktest.New("hello", "v1.0.0"))
	b := newBench(t)
	b.add(lock.AddOptions{Name: "hello", Source: github.Source()})
	before := b.files()
	github.Down(true)
	for name, do := range map[string]func() error{
		"lock":    func() error { _, err := b.Lock(t.Context(), lock.LockOptions{}); return err },
		"update":  func() error { _, err := b.Update(t.Context(), lock.UpdateOptions{}); return err },
		"install": func() error { b.forget(); _, err := b.Install(t.Context(), lock.InstallOptions{}); return err },
	} {
		if err := do(); fault.CodeOf(err) != fault.Environment || b.files() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(b.trees()) != 0 {
		t.Errorf("the store holds %v", b.trees())
	}
}

func TestPrivateGitHub(t *testing.T) {
	github := locktest.NewGitHub(t)
	github.Token = "ghp_secret"
	github.Publish(locktest.New("hello", "v1.0.0"))
	b := newBench(t)
	o := lock.AddOptions{Name: "hello", Version: "v1.0.0", Source: github.Source()}
	_, err := b.Add(t.Context(), o)
	wantFault(t, err, fault.NotFound, "auth: {env: NAME}")
	o.TokenEnv = "GH_TOKEN"
	_, err = b.Add(t.Context(), o)
	wantFault(t, err, fault.NotFound, "set GH_TOKEN")
	b.env["GH_TOKEN"] = "ghp_wrong"
	_, err = b.Add(t.Context(), o)
	wantFault(t, err, fault.NotFound, "the token in GH_TOKEN")
	if strings.Contains(err.Error(), "ghp_wrong") {
		t.Error("the error holds the token")
	}
	github.Limit(true)
	_, err = b.Add(t.Context(), o)
	wantFault(t, err, fault.Environment, "until 2030-01-01T00:00:00Z")
}

func TestOffline(t *testing.T) {
	b, dir := locked(t)
	b.forget()
	_, err := b.Install(t.Context(), lock.InstallOptions{Offline: true})
	wantFault(t, err, fault.Environment, "hello-"+locktest.Host(), "--offline")
	_, err = b.Installed(t.Context())
	wantFault(t, err, fault.NotFound, "wfctl plugin install")
	_, err = b.Verify(t.Context())
	wantFault(t, err, fault.NotFound, "wfctl plugin install")
	b.install(lock.InstallOptions{})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b.install(lock.InstallOptions{Offline: true})
	b.install(lock.InstallOptions{}) // what is there needs no source
	_, err = b.Install(t.Context(), lock.InstallOptions{Platforms: []string{"plan9-mips"}})
	wantFault(t, err, fault.NotFound, "darwin-arm64")
	_, err = b.Install(t.Context(), lock.InstallOptions{Platforms: []string{"Linux/x86"}})
	wantFault(t, err, fault.Usage)
}

func TestPublishedAgain(t *testing.T) {
	b, dir := locked(t)
	before := b.files()
	again := locktest.New("hello", "v1.0.0")
	again.Files[again.Archive("linux-arm64")] = locktest.TarGz(
		locktest.File{Name: "hello", Body: []byte("evil"), Mode: 0o755}, locktest.File{Name: "plugin.json", Body: locktest.Descriptor("hello", "v1.0.0")})
	again.Sum().WriteTo(t, dir)
	for _, do := range []func() error{
		func() error { _, err := b.Lock(t.Context(), lock.LockOptions{}); return err },
		func() error { _, err := b.Update(t.Context(), lock.UpdateOptions{}); return err },
		func() error {
			_, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Version: "v1.0.0"})
			return err
		},
	} {
		wantFault(t, do(), fault.Integrity, "published again", "checksums.txt")
	}
	if b.files() != before {
		t.Error("something was written")
	}
}

func TestWhyAndList(t *testing.T) {
	b, _ := locked(t)
	b.write("app.yaml", `modules:
  - {name: cloud, type: iac.provider, config: {provider: hello-kind}}
  - name: other
    type: iac.provider
    config: {provider: x}
    environments: {local: {config: {provider: hello-kind}}}
  - {name: db, type: infra.database, config: {provider: cloud}}
`)
	b.install(lock.InstallOptions{})
	r, err := b.Why(t.Context(), "hello", b.path("app.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.UsedBy) != 2 || r.UsedBy[0].Module != "cloud" || r.UsedBy[1].Pos.Line != 6 || r.Pos.Line != 3 || r.Dir == "" || r.Trust != lock.ChecksumOnly {
		t.Errorf("why: %+v", r)
	}
	_, err = b.Why(t.Context(), "helo")
	wantFault(t, err, fault.NotFound, `did you mean "hello"?`)
	rows, err := b.List(t.Context())
	if err != nil || len(rows) != 1 || !rows[0].Installed || rows[0].Note != "" || rows[0].Trust != lock.ChecksumOnly {
		t.Errorf("list: %+v, %v", rows, err)
	}
}

func TestChecksumsOfTheManifest(t *testing.T) {
	r := locktest.New("hello", "v1.0.0", locktest.Host())
	delete(r.Files, "checksums.txt")
	dir := t.TempDir()
	r.WriteTo(t, dir)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(web.Close)
	for _, src := range []string{"file://" + filepath.ToSlash(dir), web.URL} {
		b := newBench(t)
		_, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Version: "v1.0.0", Source: src})
		wantFault(t, err, fault.NotFound, "no list of checksums", "checksums: {"+locktest.Host())
		manifest := "plugins:\n  - name: hello\n    version: v1.0.0\n    source: " + src + "\n    checksums: {" + locktest.Host() + ": "
		b.write(lock.ManifestFile, manifest+strings.Repeat("0", 64)+"}\n")
		_, err = b.Lock(t.Context(), lock.LockOptions{})
		wantFault(t, err, fault.Integrity, r.Archive(locktest.Host()))
		b.write(lock.ManifestFile, manifest+locktest.Hash(r.Files[r.Archive(locktest.Host())])+"}\n")
		if _, err := b.Lock(t.Context(), lock.LockOptions{}); err != nil {
			t.Fatal(err)
		}
		b.install(lock.InstallOptions{})
	}
}

func TestCancelled(t *testing.T) {
	b, _ := locked(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.forget()
	if _, err := b.Install(ctx, lock.InstallOptions{}); fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
	if len(b.trees()) != 0 {
		t.Errorf("the store holds %v", b.trees())
	}
}

func folderWith(t *testing.T) (*bench, string) {
	t.Helper()
	return folder(t, locktest.New("hello", "v1.0.0"))
}
