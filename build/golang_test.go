package build

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/gocodealone/wfctl/fault"
)

// hello is a program with an embedded file, a module of its own beside it,
// and nothing to download.
var hello = map[string]string{
	"go.mod":             "module github.com/acme/hello\n\ngo 1.24\n\nrequire example.com/side v0.0.0\n\nreplace example.com/side => ./side\n",
	"side/go.mod":        "module example.com/side\n\ngo 1.24\n",
	"side/side.go":       "package side\n\nconst Name = \"side\"\n",
	"cmd/hello/main.go":  "package main\n\nimport (\n\t_ \"embed\"\n\t\"os\"\n\n\t\"example.com/side\"\n)\n\n//go:embed word.txt\nvar word string\n\nfunc main() { os.Stdout.WriteString(word + side.Name) }\n",
	"cmd/hello/word.txt": "hello ",
	"other/other.go":     "package other\n",
	"migrations/1.sql":   "CREATE TABLE t (id INT);\n",
}

func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func spec(dir string, options string) Spec {
	if options == "" {
		options = `{"package": "./cmd/hello"}`
	}
	return Spec{Name: "hello", BaseDir: dir, Options: json.RawMessage(options)}
}

func mustMake(t *testing.T, store *Store, s Spec) Image {
	t.Helper()
	img, err := Make(t.Context(), Go{}, store, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// The same source gives the same digest, wherever and whenever it is built
// and whatever the environment says.
func TestSameSourceSameDigest(t *testing.T) {
	first := project(t, hello)
	a := mustMake(t, NewStore(t.TempDir()), spec(first, ""))

	second := filepath.Join(t.TempDir(), "elsewhere", "deeper")
	if err := os.CopyFS(second, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	old := time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(second, "cmd/hello/main.go"), old, old); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-tags=whatever -ldflags=-X=main.word=other")
	t.Setenv("GOARCH", "arm64")
	t.Setenv("CGO_ENABLED", "1")
	t.Setenv("SOURCE_DATE_EPOCH", "12345")
	b := mustMake(t, NewStore(t.TempDir()), spec(second, ""))
	if a.Digest != b.Digest {
		t.Errorf("digests differ: %s and %s", a.Digest, b.Digest)
	}

	write(t, filepath.Join(second, "cmd/hello/word.txt"), "goodbye ")
	if c := mustMake(t, NewStore(t.TempDir()), spec(second, "")); c.Digest == a.Digest {
		t.Error("another source gave the same digest")
	}
}

func TestImageIsWholeAndRuns(t *testing.T) {
	dir := project(t, hello)
	store := NewStore(t.TempDir())
	img := mustMake(t, store, spec(dir, `{"package": "./cmd/hello", "platforms": ["linux/amd64", "`+runtime.GOOS+"/"+runtime.GOARCH+`", "linux/arm64"],
		"env": {"MODE": "fast"}, "args": ["-v"], "ports": [8080], "labels": {"team": "core"}, "files": {"/migrations": "migrations"}}`))
	if want := []string{"linux/amd64", "linux/arm64"}; runtime.GOOS == "linux" && runtime.GOARCH == "amd64" && !slices.Equal(img.Platforms, want) {
		t.Errorf("platforms %v", img.Platforms)
	}
	index, err := layout.ImageIndexFromPath(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("the layout is not valid: %v", err)
	}
	image := imageFor(t, index, img.Digest, v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH})
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/app/hello" || !slices.Contains(config.Config.Env, "MODE=fast") {
		t.Errorf("config %+v", config.Config)
	}
	wantLabels := map[string]string{"org.opencontainers.image.title": "hello", "org.opencontainers.image.source": "https://github.com/acme/hello", "team": "core"}
	if !maps.Equal(config.Config.Labels, wantLabels) {
		t.Errorf("labels %v", config.Config.Labels)
	}
	files := unpack(t, image)
	for _, name := range []string{"etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Berlin", "migrations/1.sql", "tmp/", "home/nonroot/"} {
		if _, ok := files[name]; !ok {
			t.Errorf("the image has no %s", name)
		}
	}
	program := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(program, files["app/hello"], 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program).Output()
	if err != nil || string(out) != "hello side" {
		t.Errorf("the program said %q, %v", out, err)
	}
}

func imageFor(t *testing.T, index v1.ImageIndex, digest string, p v1.Platform) v1.Image {
	t.Helper()
	h, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := index.ImageIndex(h)
	if err != nil {
		image, err := index.Image(h)
		if err != nil {
			t.Fatal(err)
		}
		return image
	}
	m, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		if d.Platform.Satisfies(p) {
			image, err := inner.Image(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
	}
	t.Fatalf("no image for %s", p)
	return nil
}

// unpack reads the files of an image that was made at no time.
func unpack(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	return contents(t, image, func(h *tar.Header) {
		if h.ModTime.Unix() != 0 {
			t.Errorf("%s has the time %s", h.Name, h.ModTime)
		}
	})
}

func contents(t *testing.T, image v1.Image, check func(*tar.Header)) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		tr := tar.NewReader(r)
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			check(h)
			files[h.Name], _ = io.ReadAll(tr)
		}
	}
	return files
}

func TestFingerprint(t *testing.T) {
	dir := project(t, hello)
	print := func(options string) string {
		t.Helper()
		f, err := Go{}.Fingerprint(t.Context(), spec(dir, options))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	base := print("")
	if base != print("") {
		t.Fatal("the fingerprint of the same source differs")
	}
	write(t, filepath.Join(dir, "other/other.go"), "package other // changed\n")
	if print("") != base {
		t.Error("a file that is not built counts")
	}
	for name, content := range map[string]string{
		"cmd/hello/word.txt": "x", "side/side.go": "package side\n\nconst Name = \"x\"\n", "cmd/hello/more.go": "package main\n",
		"go.mod": hello["go.mod"] + "\n// changed\n",
	} {
		write(t, filepath.Join(dir, name), content)
		next := print("")
		if next == base {
			t.Errorf("%s does not count", name)
		}
		base = next
	}
	if print(`{"package": "./cmd/hello", "ldflags": ["-X main.word=y"]}`) == base {
		t.Error("ldflags do not count")
	}
	if a, b := print(`{"package": "./cmd/hello", "files": {"/m": "migrations"}}`), base; a == b {
		t.Error("files do not count")
	}
}

func TestErrorsSayWhere(t *testing.T) {
	cases := []struct {
		name, file, content, options string
		code                         fault.Code
		says, at                     string
	}{
		{"type error", "cmd/hello/main.go", "package main\n\nfunc main() {\n\tvar x int = \"a\"\n}\n", "", fault.Config, "declared and not used", "cmd/hello/main.go:4:"},
		{"syntax error", "cmd/hello/main.go", "package main\n\nfunc main( {\n}\n", "", fault.Config, "", "cmd/hello/main.go:3:"},
		{"import", "cmd/hello/main.go", "package main\n\nimport \"example.com/absent\"\n\nfunc main() { absent.Do() }\n", "", fault.Config, "example.com/absent", "cmd/hello/main.go:3:"},
		{"no such package", "", "", `{"package": "./cmd/absent"}`, fault.Config, "absent", ""},
		{"not a program", "", "", `{"package": "./other"}`, fault.Config, "not a program", ""},
		{"no such folder", "", "", `{"dir": "absent"}`, fault.Config, "does not exist", ""},
		{"several packages", "", "", `{"package": "./..."}`, fault.Config, "not one package", ""},
		{"platform", "", "", `{"platforms": ["linux"]}`, fault.Config, "not a platform", ""},
		{"unknown platform", "", "", `{"package": "./cmd/hello", "platforms": ["plan10/z80"]}`, fault.Config, "plan10/z80", ""},
		{"user", "", "", `{"user": "root"}`, fault.Config, "not a number", ""},
		{"files", "", "", `{"package": "./cmd/hello", "files": {"/x": "absent"}}`, fault.Config, "/x", ""},
		{"unknown option", "", "", `{"pakage": "."}`, fault.Config, "pakage", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := project(t, hello)
			if c.file != "" {
				write(t, filepath.Join(dir, c.file), c.content)
			}
			store := NewStore(filepath.Join(dir, "images"))
			s := spec(dir, c.options)
			_, err := Go{}.Fingerprint(t.Context(), s)
			if err == nil {
				_, err = Make(t.Context(), Go{}, store, s, nil)
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != c.code || !strings.Contains(f.Error(), c.says) {
				t.Fatalf("got %v", err)
			}
			if c.at != "" && !strings.Contains(filepath.ToSlash(f.Pos.String()), c.at) {
				t.Errorf("position %s", f.Pos)
			}
			if _, ok, _ := store.Newest("hello"); ok {
				t.Error("a failed build left an image")
			}
		})
	}
}

func TestNoGoCommand(t *testing.T) {
	_, err := Go{Command: "go-that-is-not-there"}.Fingerprint(t.Context(), spec(project(t, hello), ""))
	if fault.CodeOf(err) != fault.Environment || !strings.Contains(err.Error(), "no `go` on PATH") {
		t.Errorf("got %v", err)
	}
}

func TestCancelledBuildLeavesWhatWas(t *testing.T) {
	dir := project(t, hello)
	store := NewStore(filepath.Join(dir, "images"))
	before := mustMake(t, store, spec(dir, ""))
	ctx, cancel := context.WithCancel(t.Context())
	write(t, filepath.Join(dir, "cmd/hello/word.txt"), "new")
	_, err := Make(ctx, Go{}, store, spec(dir, ""), func(string, float64) { cancel() })
	if fault.CodeOf(err) != fault.Interrupted {
		t.Fatalf("got %v", err)
	}
	if _, ok, err := store.Find("hello", before.Digest); !ok || err != nil {
		t.Errorf("the image from before is gone: %v", err)
	}
}
