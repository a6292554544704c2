package build

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/gocodealone/wfctl/fault"
)

var linux = v1.Platform{OS: "linux", Architecture: "amd64"}

// built is the image of a platform.
func built(t *testing.T, img Image, p v1.Platform) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	return imageFor(t, index, img.Digest, p)
}

func layersOf(t *testing.T, img v1.Image) (digests []string) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, h.String())
	}
	return digests
}

func configOf(t *testing.T, img v1.Image) v1.Config {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c.Config
}

// two is a module with two programs.
func two(t *testing.T) string {
	return project(t, map[string]string{
		"go.mod": "module github.com/acme/two\n\ngo 1.24\n", "cmd/server/main.go": "package main\n\nfunc main() { println(1) }\n",
		"cmd/worker/main.go": "package main\n\nfunc main() { println(2) }\n",
	})
}

func TestSeveralProgramsInOneImage(t *testing.T) {
	dir, store := two(t), NewStore(t.TempDir())
	s := spec(dir, `{"packages": {"server": "./cmd/server", "worker": "./cmd/worker"}, "run": "worker", "platforms": ["linux/amd64", "linux/arm64"]}`)
	first := built(t, mustMake(t, store, s), linux)
	files := unpack(t, first)
	if files["app/server"] == nil || files["app/worker"] == nil {
		t.Error("a program is missing")
	}
	if c := configOf(t, first); !slices.Equal(c.Entrypoint, []string{"/app/worker"}) || c.User != nonRoot {
		t.Errorf("it runs %v as %s", c.Entrypoint, c.User)
	}
	write(t, filepath.Join(dir, "cmd/worker/main.go"), "package main\n\nfunc main() { println(3) }\n")
	second := built(t, mustMake(t, store, s), linux)
	a, b := layersOf(t, first), layersOf(t, second)
	if len(a) != 3 || a[0] != b[0] || a[1] != b[1] || a[2] == b[2] {
		t.Errorf("one of two programs changed:\n%v\n%v", a, b)
	}
	for want, options := range map[string]string{
		"no program \"hello\" to run": `{"packages": {"server": "./cmd/server", "worker": "./cmd/worker"}}`,
		"no program \"w\" to run":     `{"packages": {"server": "./cmd/server"}, "run": "w"}`,
		"both `package`":              `{"package": ".", "packages": {"hello": "."}}`,
		"cannot be the name":          `{"packages": {"../x": "."}}`,
	} {
		if err := (Go{}).Check(spec(dir, options)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", options, err)
		}
	}
}

func TestBases(t *testing.T) {
	dir := two(t)
	const program = `"package": "./cmd/server", "platforms": ["linux/amd64"]`
	bare := built(t, mustMake(t, NewStore(t.TempDir()), spec(dir, `{`+program+`, "base": "scratch"}`)), linux)
	if files := unpack(t, bare); files["etc/passwd"] != nil || files["app/hello"] == nil {
		t.Errorf("an image of scratch holds %d files", len(files))
	}
	below := mustMake(t, NewStore(t.TempDir()), spec(dir, `{`+program+`, "user": "1234", "env": {"A": "below", "B": "below"}}`))
	over := built(t, mustMake(t, NewStore(t.TempDir()), spec(dir, `{`+program+`, "env": {"B": "over"}, "base": "oci-layout:`+filepath.ToSlash(below.Path)+`"}`)), linux)
	c := configOf(t, over)
	if c.User != "1234" || !slices.Equal(c.Env, []string{"A=below", "B=over"}) || len(layersOf(t, over)) != 3 {
		t.Errorf("upon a layout: %+v", c)
	}
	// From a registry, by tag and by digest; what the tag leads to decides.
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer s.Close()
	tag, err := name.NewTag(strings.TrimPrefix(s.URL, "http://") + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	push := func(img v1.Image) string {
		if err := remote.Write(tag, img); err != nil {
			t.Fatal(err)
		}
		h, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return tag.Repository.String() + "@" + h.String()
	}
	pinned := push(bare)
	print := func(base string) string {
		fp, err := (Go{}).Fingerprint(t.Context(), spec(dir, `{`+program+`, "base": "`+base+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		return fp
	}
	tagBefore, pinBefore := print(tag.String()), print(pinned)
	first := built(t, mustMake(t, NewStore(t.TempDir()), spec(dir, `{`+program+`, "base": "`+pinned+`"}`)), linux)
	if len(layersOf(t, first)) != 2 || configOf(t, first).User != nonRoot {
		t.Errorf("upon an image of a registry: %v", layersOf(t, first))
	}
	push(over)
	if print(tag.String()) == tagBefore || print(pinned) != pinBefore {
		t.Error("a tag that moved must build again, and a digest must not")
	}
	_, err = Make(t.Context(), Go{}, NewStore(t.TempDir()), spec(dir, `{`+program+`, "base": "`+tag.Repository.String()+`:nope"}`), nil)
	if fault.CodeOf(err) != fault.Environment || !strings.Contains(err.Error(), "fetch the base image") {
		t.Errorf("a base that is not there: %v", err)
	}
}

func TestPrebuilt(t *testing.T) {
	dir := two(t)
	made := mustMake(t, NewStore(t.TempDir()), spec(dir, `{"package": "./cmd/server", "platforms": ["linux/amd64", "linux/arm64"]}`))
	if err := os.CopyFS(filepath.Join(dir, "layout"), os.DirFS(made.Path)); err != nil {
		t.Fatal(err)
	}
	archive(t, filepath.Join(dir, "layout.tar"), made.Path)
	tag, err := name.NewTag("example.com/x:1")
	if err != nil {
		t.Fatal(err)
	}
	single := built(t, made, linux)
	if err := tarball.WriteToFile(filepath.Join(dir, "saved.tar"), tag, single); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "other.tar"), "this is no tar at all, however long it is")
	take := func(options string) (Image, error) {
		return Make(t.Context(), Prebuilt{}, NewStore(t.TempDir()), spec(dir, options), nil)
	}
	for _, path := range []string{"layout", "layout.tar"} {
		got, err := take(`{"path": "` + path + `"}`)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Platforms, made.Platforms) || !slices.Equal(layersOf(t, built(t, got, linux)), layersOf(t, single)) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	got, err := take(`{"path": "layout", "platforms": ["linux/arm64"]}`)
	if err != nil || !slices.Equal(got.Platforms, []string{"linux/arm64"}) {
		t.Errorf("one platform: %+v, %v", got, err)
	}
	if got, err = take(`{"path": "saved.tar"}`); err != nil {
		t.Fatal(err)
	}
	if files := unpack(t, built(t, got, linux)); files["app/hello"] == nil {
		t.Error("what docker save wrote lost its program")
	}
	for _, bad := range []string{`{}`, `{"path": "nope"}`, `{"path": "other.tar"}`, `{"path": "layout", "platforms": ["windows/arm64"]}`, `{"pth": "x"}`} {
		var f *fault.Error
		if _, err := take(bad); !errors.As(err, &f) || f.Code != fault.Config {
			t.Errorf("%s: %v", bad, err)
		}
	}
	several, err := layout.FromPath(filepath.Join(dir, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	if err := several.AppendImage(single, layout.WithPlatform(linux)); err != nil {
		t.Fatal(err)
	}
	if _, err := take(`{"path": "layout"}`); err != nil {
		t.Errorf("the same image twice: %v", err)
	}
	another, err := mutate.Config(single, v1.Config{User: "7"})
	if err == nil {
		err = several.AppendImage(another, layout.WithPlatform(linux))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := take(`{"path": "layout"}`); err == nil || !strings.Contains(err.Error(), "there are two images for linux/amd64 in it") {
		t.Errorf("two images of one platform: %v", err)
	}
	before, err := Prebuilt{}.Fingerprint(t.Context(), spec(dir, `{"path": "saved.tar"}`))
	if err != nil {
		t.Fatal(err)
	}
	archive(t, filepath.Join(dir, "saved.tar"), made.Path)
	if after, err := (Prebuilt{}).Fingerprint(t.Context(), spec(dir, `{"path": "saved.tar"}`)); err != nil || after == before {
		t.Errorf("another tar has the same fingerprint: %v", err)
	}
}

// A tar whose entries lead out of it writes nothing there.
func TestATarStaysInItsFolder(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range map[string]string{"oci-layout": "{}", "index.json": `{"schemaVersion":2,"manifests":[]}`, "blobs/../../../escaped": "x", "../escaped": "x"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "evil.tar"), b.String())
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, _ = Make(t.Context(), Prebuilt{}, NewStore(t.TempDir()), spec(dir, `{"path": "evil.tar"}`), nil) // it holds no image
	if _, err := os.Stat(filepath.Join(dir, "escaped")); err == nil {
		t.Error("a file was written outside")
	}
}

// archive writes a folder as a tar.
func archive(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
