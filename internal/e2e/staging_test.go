//go:build services

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo/world"
)

// speed is how fast the fake's time runs: a database takes half a second.
const speed = 600

// patience is how long a command may take before it is taken to hang.
const patience = 3 * time.Minute

const plugin = "workflow-plugin-digitalocean"

// programs are what the machine of a user has.
type programs struct{ wfctl, pluginSource string }

func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	make := func(folder, pkg, out string) string {
		out = filepath.Join(dir, out)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
		cmd.Dir = filepath.FromSlash(folder)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, said)
		}
		return out
	}
	p := programs{wfctl: make("../..", "./cmd/wfctl", "wfctl")}
	executable, err := os.ReadFile(make("../../plugins/digitalocean", ".", plugin))
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := os.ReadFile("../../plugins/digitalocean/plugin.json")
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "releases")
	locktest.Program(plugin, "v0.1.0", executable, descriptor).WriteTo(t, source)
	p.pluginSource = "file://" + filepath.ToSlash(source)
	return p
}

// user is somebody with a project, an account of the fake and an empty home.
type user struct {
	t    *testing.T
	dir  string
	home string
	fake *fakedo.Server
	programs
}

func newUser(t *testing.T) *user {
	t.Helper()
	base, err := os.MkdirTemp("", "staging") // t.TempDir is closed to the user that servers run as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	if err := os.Chmod(base, 0o711); err != nil { //nolint:gosec // others may pass, not look
		t.Fatal(err)
	}
	u := &user{t: t, dir: filepath.Join(base, "guestbook"), home: filepath.Join(base, "home"), programs: build(t)}
	places := filepath.Join(base, "world")
	for _, dir := range []string{u.home, places} {
		if err := os.Mkdir(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	around, err := world.New(places)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := around.Close(); err != nil {
			t.Error(err)
		}
	})
	u.fake = fakedo.Start(t, fakedo.Options{Clock: fakedo.NewScaledClock(speed), World: around, CheckImages: true})
	ca, err := u.fake.Authority()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(u.home, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(u.dir, os.DirFS("../../examples/guestbook")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(u.dir, ".wfctl")); err != nil {
		t.Fatal(err)
	}
	return u
}

// run runs wfctl; what it says goes into the test's log.
func (u *user) run(args ...string) (status int, stdout, stderr string) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.wfctl, append([]string{"-C", u.dir, "--env", "staging"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+u.home, "XDG_STATE_HOME="+filepath.Join(u.home, "state"), "XDG_CACHE_HOME="+filepath.Join(u.home, "cache"),
		"GOCACHE="+goEnv(u.t, "GOCACHE"), "GOMODCACHE="+goEnv(u.t, "GOMODCACHE"), "GOWORK=off",
		// The fake is reached under the names of the real service.
		"DIGITALOCEAN_TOKEN="+fakedo.Token, "HTTPS_PROXY="+u.fake.URL, "SSL_CERT_FILE="+filepath.Join(u.home, "ca.pem"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	status = cmd.ProcessState.ExitCode()
	u.t.Logf("$ wfctl %s → %d\n%s%s", strings.Join(args, " "), status, out.String(), errs.String())
	return status, out.String(), errs.String()
}

// must runs wfctl and wants a status.
func (u *user) must(want int, args ...string) string {
	u.t.Helper()
	status, stdout, _ := u.run(args...)
	if status != want {
		u.t.Fatalf("wfctl %s: exit %d, want %d", strings.Join(args, " "), status, want)
	}
	return stdout
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// edit replaces text in a file of the project.
func (u *user) edit(file, from, to string) {
	u.t.Helper()
	path := filepath.Join(u.dir, file)
	raw, err := os.ReadFile(path)
	if err != nil {
		u.t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte(from)) {
		u.t.Fatalf("%s does not hold %q", file, from)
	}
	if err := os.WriteFile(path, bytes.Replace(raw, []byte(from), []byte(to), 1), 0o600); err != nil { //nolint:gosec // a file of the test's own
		u.t.Fatal(err)
	}
}

func (u *user) get(url string) string {
	u.t.Helper()
	return u.ask(http.MethodGet, url, nil)
}

func (u *user) ask(method, url string, body io.Reader) string {
	u.t.Helper()
	req, err := http.NewRequestWithContext(u.t.Context(), method, url, body)
	if err != nil {
		u.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		u.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 400 {
		u.t.Fatalf("%s %s: %d %s %v", method, url, res.StatusCode, raw, err)
	}
	return string(raw)
}

// somebody is the account as a person uses it, in the browser.
func (u *user) somebody() *godo.Client {
	u.t.Helper()
	client, err := godo.New(&http.Client{Transport: bearer{}}, godo.SetBaseURL(u.fake.URL))
	if err != nil {
		u.t.Fatal(err)
	}
	return client
}

type bearer struct{}

// RoundTrip implements http.RoundTripper.
func (bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+fakedo.Token)
	return http.DefaultTransport.RoundTrip(r)
}

// The example goes to a cloud, is changed, is changed by somebody else, and
// goes without its state, by the commands of the README.
func TestStaging(t *testing.T) {
	u := newUser(t)
	u.must(0, "plugin", "add", plugin+"@v0.1.0", "--source", u.pluginSource)
	u.must(0, "plugin", "install")
	u.must(0, "validate")

	u.must(0, "up")
	url := strings.TrimSpace(u.must(0, "infra", "outputs", "--module", "web", "--output", "url"))
	if got := u.get(url + "/version"); !strings.Contains(got, `"1"`) {
		t.Fatalf("the service answers %s", got)
	}
	u.ask(http.MethodPost, url+"/entries", strings.NewReader(`{"author": "Ada", "message": "Hello from staging"}`))
	if u.must(0, "up"); u.fake.Count("POST /v2/apps") != 1 {
		t.Error("a second up made another app")
	}

	u.edit("cmd/guestbook/main.go", `version = "1"`, `version = "2"`)
	u.must(0, "up")
	if got := u.get(url + "/version"); !strings.Contains(got, `"2"`) {
		t.Errorf("after the change the service answers %s", got)
	}
	if got := u.get(url + "/entries"); !strings.Contains(got, "Hello from staging") {
		t.Errorf("the entries are lost: %s", got)
	}

	u.byHand()
	u.teardown(url)
}

// byHand changes the app in the browser: drift shows it, apply mends it.
func (u *user) byHand() {
	u.t.Helper()
	u.must(0, "infra", "drift", "--exit-code")
	api := u.somebody()
	apps, _, err := api.Apps.List(u.t.Context(), nil)
	if err != nil || len(apps) != 1 {
		u.t.Fatalf("%v %v", apps, err)
	}
	app := apps[0]
	count := app.Spec.Services[0].InstanceCount
	app.Spec.Services[0].InstanceCount = count + 1
	if _, _, err := api.Apps.Update(u.t.Context(), app.ID, &godo.AppUpdateRequest{Spec: app.Spec}); err != nil {
		u.t.Fatal(err)
	}
	said := u.must(3, "infra", "drift", "--exit-code", "--json")
	if !json.Valid([]byte(said)) || !strings.Contains(said, "instance_count") || !strings.Contains(said, `"web"`) {
		u.t.Errorf("drift says %s", said)
	}
	u.must(0, "infra", "apply", "--refresh", "--approve")
	u.must(0, "infra", "drift", "--exit-code")
	if app, _, err = api.Apps.Get(u.t.Context(), app.ID); err != nil || app.Spec.Services[0].InstanceCount != count {
		u.t.Errorf("the service has %d instances, want %d: %v", app.Spec.Services[0].InstanceCount, count, err)
	}
}

// teardown takes everything away with the state gone.
func (u *user) teardown(url string) {
	u.t.Helper()
	if err := os.RemoveAll(filepath.Join(u.dir, ".wfctl", "state.db")); err != nil {
		u.t.Fatal(err)
	}
	before := u.fake.Remaining()
	preview := u.must(0, "infra", "teardown", "--dry-run")
	for _, want := range []string{"infra.container_service", "guestbook-staging-db", "DESTROY"} {
		if !strings.Contains(preview, want) {
			u.t.Errorf("the preview lacks %q", want)
		}
	}
	u.must(2, "infra", "teardown")
	if after := u.fake.Remaining(); len(after) != len(before) {
		u.t.Fatalf("a refused teardown removed something: %v, before %v", after, before)
	}
	status, said, complained := u.run("infra", "teardown", "--approve")
	if status != 0 || !strings.Contains(said, "; errors 0.") || strings.Contains(complained, "list the resources") {
		u.t.Errorf("teardown: exit %d, says %s %s", status, said, complained)
	}
	if !u.fake.Empty() {
		u.t.Errorf("left over: %v", u.fake.Remaining())
	}
	if res, err := http.Get(url); err == nil { //nolint:noctx // it is refused at once
		u.t.Errorf("the service still answers: %s", res.Status)
		_ = res.Body.Close()
	}
	for what, n := range u.fake.Made() {
		if n > 1 && !strings.HasPrefix(what, "tag ") {
			u.t.Errorf("%s was made %d times", what, n)
		}
	}
}
