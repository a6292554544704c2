//go:build services

package build

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gocodealone/wfctl/fault"
)

// TestMain is the credential helper where docker asks for one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "__credential" {
		if AnswerDocker(context.Background(), os.Args[2], os.Stdin, os.Stdout, os.Getenv(CredentialSocket)) != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func anyTime(*tar.Header) {}

// dockerEngine is the Docker engine of the tests; with buildx, a docker that has it.
func dockerEngine(t *testing.T, withBuildx bool) {
	t.Helper()
	for _, name := range []string{"WFCTL_TEST_DOCKER", "WFCTL_TEST_BUILDX"} {
		if os.Getenv(name) == "" {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not set: run make test-services", name)
			}
			t.Skipf("%s is not set: run make test-services", name)
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", filepath.Join(home, ".docker"))
	t.Setenv("DOCKER_HOST", os.Getenv("WFCTL_TEST_DOCKER"))
	t.Setenv("TMPDIR", filepath.Join(home, "tmp"))
	if err := os.MkdirAll(filepath.Join(home, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if !withBuildx {
		t.Setenv("PATH", home) // there is no docker
		return
	}
	plugins := filepath.Join(home, ".docker", "cli-plugins")
	if err := os.MkdirAll(plugins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Getenv("WFCTL_TEST_BUILDX"), filepath.Join(plugins, "docker-buildx")); err != nil {
		t.Fatal(err)
	}
}

func dockerSpec(dir, options string) Spec {
	return Spec{Name: "app", BaseDir: dir, Options: json.RawMessage(options)}
}

// busy is a static program that can stand in for a shell: nothing can be
// pulled here.
func dockerProject(t *testing.T) string {
	dir := project(t, map[string]string{
		"Dockerfile": "FROM scratch AS base\nARG WORD=none\nLABEL word=$WORD\nCOPY tool /tool\nFROM base\nCOPY data /data\n" +
			"RUN --mount=type=secret,id=token [\"/tool\", \"/run/secrets/token\", \"/length\"]\nENTRYPOINT [\"/tool\"]\n",
		"data/kept": "kept", "data/left": "left out", ".dockerignore": "data/left\nsource\n",
		"source/go.mod": "module example.com/tool\n\ngo 1.24\n",
		"source/main.go": "package main\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nfunc main() {\n\traw, err := os.ReadFile(os.Args[1])\n\tif err != nil {\n\t\tprintln(err.Error())\n\t\tos.Exit(1)\n\t}\n" +
			"\tos.WriteFile(os.Args[2], []byte(strconv.Itoa(len(raw))), 0o644)\n}\n",
	})
	store := NewStore(t.TempDir())
	img, err := Make(t.Context(), Go{}, store, Spec{Name: "tool", BaseDir: filepath.Join(dir, "source"), Options: json.RawMessage(`{"platforms": ["linux/` + runtime.GOARCH + `"]}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := linux
	p.Architecture = runtime.GOARCH
	if err := os.WriteFile(filepath.Join(dir, "tool"), unpack(t, built(t, img, p))["app/tool"], 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDockerfileThroughBuildx(t *testing.T) {
	dir := dockerProject(t)
	dockerEngine(t, true)
	t.Setenv("BUILD_TOKEN", "s3cret-of-the-build")
	options := `{"network": "none", "build_args": {"WORD": "given"}, "secrets": {"token": {"env": "BUILD_TOKEN"}}}`
	var steps []string
	store := NewStore(t.TempDir())
	img, err := Make(t.Context(), Dockerfile{}, store, dockerSpec(dir, options), func(message string, _ float64) { steps = append(steps, message) })
	if err != nil {
		t.Fatal(err)
	}
	p := linux
	p.Architecture = runtime.GOARCH
	got := built(t, img, p)
	files := contents(t, got, anyTime)
	if string(files["data/kept"]) != "kept" || files["data/left"] != nil || string(files["length"]) != "19" {
		t.Errorf("files %v", len(files))
	}
	if c := configOf(t, got); c.Labels["word"] != "given" || len(c.Entrypoint) != 1 {
		t.Errorf("%+v", c)
	}
	for name, content := range files {
		if strings.Contains(string(content), "s3cret") {
			t.Errorf("%s holds the secret", name)
		}
	}
	if raw, err := got.RawConfigFile(); err != nil || strings.Contains(string(raw), "s3cret") {
		t.Errorf("the configuration holds the secret: %v", err)
	}
	if !strings.Contains(strings.Join(steps, "\n"), "COPY") {
		t.Errorf("no step was told: %v", steps)
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	_, err = Make(t.Context(), Dockerfile{}, store, dockerSpec(dir, `{"network": "none", "secrets": {"token": {"env": "NO_SUCH"}}}`), nil)
	if fault.CodeOf(err) != fault.Environment {
		t.Errorf("a secret that is not set: %v", err)
	}
	var f *fault.Error
	_, err = Make(t.Context(), Dockerfile{}, store, dockerSpec(dir, `{"network": "none"}`), nil)
	if !errors.As(err, &f) || f.Code != fault.Config || !strings.Contains(strings.Join(f.Detail, "\n"), "/run/secrets/token") {
		t.Errorf("a step that fails: %v\n%v", err, f)
	}
}

func TestDockerfileThroughTheEngine(t *testing.T) {
	dir := dockerProject(t)
	dockerEngine(t, false)
	write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nARG WORD=none\nLABEL word=$WORD\nCOPY tool /tool\nCOPY data /data\nRUN [\"/tool\", \"/data/kept\", \"/length\"]\n")
	store := NewStore(t.TempDir())
	img, err := Make(t.Context(), Dockerfile{}, store, dockerSpec(dir, `{"build_args": {"WORD": "given"}, "network": "none"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := linux
	p.Architecture = runtime.GOARCH
	files := contents(t, built(t, img, p), anyTime)
	if string(files["data/kept"]) != "kept" || files["data/left"] != nil || string(files["length"]) != "4" {
		t.Errorf("files %v", files)
	}
	if c := configOf(t, built(t, img, p)); c.Labels["word"] != "given" {
		t.Errorf("%+v", c)
	}
	write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"/nothing\", \"/x\"]\n")
	var f *fault.Error
	_, err = Make(t.Context(), Dockerfile{}, store, dockerSpec(dir, `{"network": "none"}`), nil)
	if !errors.As(err, &f) || f.Code != fault.Config || !strings.Contains(strings.Join(f.Detail, "\n"), "/nothing") {
		t.Errorf("a step that fails: %v\n%v", err, f)
	}
}

// An image that another is built FROM is pulled with the credential that
// wfctl.yaml says, which docker asks for and nobody writes down.
func TestDockerfileUponAPrivateImage(t *testing.T) {
	dir := dockerProject(t)
	dockerEngine(t, true)
	hosts := strings.Fields(os.Getenv("WFCTL_TEST_REGISTRIES"))
	if len(hosts) == 0 {
		t.Fatal("WFCTL_TEST_REGISTRIES is not set: run make test-services")
	}
	u, err := url.Parse(hosts[0])
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	auth := authn.AuthConfig{Username: u.User.Username(), Password: password}
	img, err := Make(t.Context(), Go{}, NewStore(t.TempDir()), Spec{Name: "tool", BaseDir: filepath.Join(dir, "source"), Options: json.RawMessage(`{"platforms": ["linux/` + runtime.GOARCH + `"], "labels": {"run": "` + filepath.Base(filepath.Dir(dir)) + `"}}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := linux
	p.Architecture = runtime.GOARCH
	tag, err := name.NewTag(u.Host + "/private/base:" + strings.ToLower(filepath.Base(filepath.Dir(dir))))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, built(t, img, p), remote.WithAuth(authn.FromConfig(auth))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "Dockerfile"), "FROM "+tag.String()+"\nCOPY data /data\n")
	_, err = Make(t.Context(), Dockerfile{}, NewStore(t.TempDir()), dockerSpec(dir, `{}`), nil)
	if err == nil {
		t.Fatal("the base is pulled without a credential: the test shows nothing")
	}
	got, err := Make(t.Context(), Dockerfile{Host: Host{Keychain: fixed{auth}}}, NewStore(t.TempDir()), dockerSpec(dir, `{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if files := contents(t, built(t, got, p), anyTime); string(files["data/kept"]) != "kept" || files["app/tool"] == nil {
		t.Error("the image is not what was built")
	}
}
