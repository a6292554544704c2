//go:build services

package world_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo/world"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *world.World {
	t.Helper()
	dir, err := os.MkdirTemp("", "world") // t.TempDir is closed to the user that servers run as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w, err := world.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// greeter is a service that says what it was given, and a job that writes.
const greeter = `package main

import ("fmt"; "net/http"; "os")

func main() {
	fmt.Println("begins as", os.Getenv("NAME"))
	if os.Getenv("NAME") == "broken" { fmt.Println("there is no such thing"); os.Exit(3) }
	if os.Getenv("PORT") == "" { return }
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getenv("NAME"), " ", r.URL.Path) })
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}`

// imageOf builds the program into an image and pushes it.
func imageOf(t *testing.T, handler http.Handler, source string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "main.go")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	for _, err := range []error{
		tw.WriteHeader(&tar.Header{Name: "app/program", Mode: 0o755, Size: int64(len(content))}),
		func() error { _, err := tw.Write(content); return err }(),
		tw.WriteHeader(&tar.Header{Name: "app/link", Typeflag: tar.TypeSymlink, Linkname: "program"}),
		tw.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, Config: v1.Config{Entrypoint: []string{"/app/link"}}, RootFS: rootFS(t, img)})
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(handler)
	defer ts.Close()
	ref, err := ggcr.ParseReference(strings.TrimPrefix(ts.URL, "http://") + "/acme/greeter:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithTransport(&http.Transport{DisableKeepAlives: true})); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return "acme/greeter@" + digest.String()
}

func rootFS(t *testing.T, img v1.Image) v1.RootFS {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c.RootFS
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A cluster is a server that knows its users and databases, behind TLS.
func TestDatabase(t *testing.T) {
	w := open(t)
	host, port, err := w.StartDatabase("c1", fakedo.Credential{Name: "doadmin", Password: "it's"}, "defaultdb")
	if err != nil {
		t.Fatal(err)
	}
	connect := func(user, password, database string) error {
		c, err := pgx.ParseConfig("postgres://" + host + "/?sslmode=require")
		if err != nil {
			return err
		}
		c.Port, c.User, c.Password, c.Database = uint16(port), user, password, database
		conn, err := pgx.ConnectConfig(t.Context(), c)
		if err != nil {
			return err
		}
		_, err = conn.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS t_"+user+" (a int)")
		return errors.Join(err, conn.Close(context.Background()))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(connect("doadmin", "it's", "defaultdb"))
	if connect("doadmin", "its", "defaultdb") == nil {
		t.Error("a wrong password was taken")
	}
	must(w.AddDatabase("c1", "guests"))
	must(w.SetUser("c1", fakedo.Credential{Name: "app", Password: "one"}))
	must(connect("app", "one", "guests"))
	must(w.SetUser("c1", fakedo.Credential{Name: "app", Password: "two"}))
	if connect("app", "one", "guests") == nil {
		t.Error("an old password was taken")
	}
	must(connect("app", "two", "guests"))
	must(w.DropDatabase("c1", "guests"))
	must(w.DropUser("c1", "app"))
	if connect("app", "two", "defaultdb") == nil {
		t.Error("a dropped user was let in")
	}
	w.StopDatabase("c1")
	if connect("doadmin", "it's", "defaultdb") == nil {
		t.Error("a stopped server answers")
	}
	if w.AddDatabase("c1", "x") == nil {
		t.Error("a cluster that is gone has a database")
	}
}

// An app keeps its address from deployment to deployment; one that crashes
// does not serve, and what it wrote is known.
func TestApp(t *testing.T) {
	w := open(t)
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	image := imageOf(t, handler, greeter)
	deployment := func(id, name string) fakedo.Deployment {
		return fakedo.Deployment{
			App: "a1", ID: id, Registry: handler,
			Routes: []fakedo.Route{{Prefix: "/", Component: "web", Keep: true}, {Prefix: "/api", Component: "api"}, {Prefix: "/old", Component: "api", Rewrite: "/new"}},
			Components: []fakedo.Component{
				{Kind: "job", Job: "PRE_DEPLOY", Name: "migrate", Image: image, Env: map[string]string{"NAME": "job of " + name}, Instances: 1},
				{Kind: "service", Name: "web", Image: image, Env: map[string]string{"NAME": name}, HealthPath: "/ready", Instances: 2},
				{Kind: "service", Name: "api", Image: image, Env: map[string]string{"NAME": "api"}, Instances: 1},
			},
		}
	}
	if err := w.Deploy(deployment("d1", "first")); err != nil {
		t.Fatal(err)
	}
	address, err := w.Promote("a1", "d1")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/x": "first /x", "/api": "api /", "/api/y": "api /y", "/apis": "first /apis", "/old/z": "api /new/z"} {
		if got := get(t, address+path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if lines := w.Lines("a1", "d1", "migrate"); !slices.Equal(lines, []string{"begins as job of first"}) {
		t.Errorf("%q", lines)
	}

	var crash *fakedo.Crash
	if err := w.Deploy(deployment("d2", "broken")); !errors.As(err, &crash) || crash.Component != "web" || !slices.Contains(crash.Lines, "there is no such thing") {
		raw, _ := json.Marshal(crash)
		t.Errorf("%v %s", err, raw)
	}
	if got := get(t, address); got != "first /" {
		t.Errorf("a crash replaced what served: %q", got)
	}
	if err := w.Deploy(deployment("d3", "third")); err != nil {
		t.Fatal(err)
	}
	w.Discard("a1", "d1") // it serves: nothing happens
	if same, err := w.Promote("a1", "d3"); err != nil || same != address || get(t, address) != "third /" {
		t.Errorf("%s %v", same, err)
	}
	missing := deployment("d4", "x")
	missing.Components[1].Image = "acme/none:1"
	if err := w.Deploy(missing); !errors.As(err, &crash) || !strings.Contains(crash.Message, "cannot be fetched") {
		t.Errorf("%v", err)
	}
}
