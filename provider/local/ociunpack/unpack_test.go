package ociunpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// entry is one entry of a layer in a test.
type entry struct {
	name, body, link string
	kind             byte
	mode             int64
}

func archive(entries []entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: e.mode, Size: int64(len(e.body)), Format: tar.FormatPAX}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if h.Typeflag != tar.TypeReg {
			h.Size = 0
		}
		if w.WriteHeader(h) == nil && h.Size > 0 {
			_, _ = w.Write([]byte(e.body))
		}
	}
	_ = w.Close()
	return b.Bytes()
}

func squeeze(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

type layoutDir struct {
	t   testing.TB
	dir string
}

func newLayout(t testing.TB) layoutDir {
	dir := t.TempDir()
	l := layoutDir{t, dir}
	l.must(os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755))
	l.must(os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	return l
}

func (l layoutDir) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l layoutDir) blob(b []byte) descriptor {
	sum := sha256.Sum256(b)
	digest := hex.EncodeToString(sum[:])
	l.must(os.WriteFile(filepath.Join(l.dir, "blobs", "sha256", digest), b, 0o644))
	return descriptor{Digest: "sha256:" + digest, Size: int64(len(b))}
}

func (l layoutDir) object(v any) descriptor {
	b, err := json.Marshal(v)
	l.must(err)
	return l.blob(b)
}

func (l layoutDir) image(p Platform, c Config, layers ...[]byte) descriptor {
	config := l.object(imageConfig{Platform: p, Config: c})
	doc := document{Config: &config}
	for _, b := range layers {
		doc.Layers = append(doc.Layers, l.blob(b))
	}
	d := l.object(doc)
	d.Platform = &p
	return d
}

func (l layoutDir) unpack(d descriptor) (string, error) {
	img, err := Open(l.dir, d.Digest, Here())
	l.must(err)
	dest := filepath.Join(l.t.TempDir(), "rootfs")
	return dest, img.Unpack(context.Background(), dest)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(b)
}

func TestLayersAreApplied(t *testing.T) {
	var z bytes.Buffer
	zw, _ := zstd.NewWriter(&z)
	_, _ = zw.Write(archive([]entry{
		{name: "etc/.wh.gone"}, {name: "opaque/.wh..wh..opq"}, {name: "opaque/new", body: "new"},
		{name: "etc/changed", body: "after"},
	}))
	_ = zw.Close()
	l := newLayout(t)
	d := l.image(Here(), Config{Entrypoint: []string{"/app"}},
		archive([]entry{
			{name: "./", kind: tar.TypeDir}, {name: "etc", kind: tar.TypeDir}, {name: "etc/gone", body: "x"}, {name: "opaque/old", body: "x"},
			{name: "etc/changed", body: "before"}, {name: "/abs/file", body: "absolute"},
		}),
		squeeze(archive([]entry{
			{name: "app", body: "#!", mode: 0o4755}, {name: "bin/sh", kind: tar.TypeSymlink, link: "/app"},
			{name: "bin/hard", kind: tar.TypeLink, link: "app"}, {name: "dev/null", kind: tar.TypeChar},
		})),
		z.Bytes())
	dest, err := l.unpack(d)
	l.must(err)
	for name, want := range map[string]string{
		"etc/changed": "after", "opaque/new": "new", "app": "#!", "bin/sh": "#!", "bin/hard": "#!", "abs/file": "absolute",
	} {
		if got := read(t, dest, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"etc/gone", "opaque/old", "dev/null", "opaque/.wh..wh..opq"} {
		if _, err := os.Lstat(filepath.Join(dest, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s exists", name)
		}
	}
	if info, _ := os.Stat(filepath.Join(dest, "app")); info.Mode() != 0o755 {
		t.Errorf("app has mode %v", info.Mode())
	}
	if target, _ := os.Readlink(filepath.Join(dest, "bin/sh")); filepath.IsAbs(target) {
		t.Errorf("bin/sh leads to %s", target)
	}
}

func TestAnEntryThatLeavesTheFolderIsRefused(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	for name, entries := range map[string][]entry{
		"dots":                 {{name: "../x", body: "x"}},
		"dots in between":      {{name: "a/../../x", body: "x"}},
		"relative link":        {{name: "l", kind: tar.TypeSymlink, link: "../../etc"}},
		"hard link":            {{name: "l", kind: tar.TypeLink, link: "../../etc/passwd"}},
		"hidden":               {{name: "../.wh.x"}},
		"deep relative link":   {{name: "a/b/l", kind: tar.TypeSymlink, link: "../../../x"}},
		"folder of dots alone": {{name: "..", kind: tar.TypeDir}},
	} {
		l := newLayout(t)
		dest, err := l.unpack(l.image(Here(), Config{}, archive(entries)))
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(dest); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the folder stays", name)
		}
		if _, err := os.Stat(dest + ".new"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the unfinished folder stays", name)
		}
	}
	l := newLayout(t)
	dest, err := l.unpack(l.image(Here(), Config{}, archive([]entry{
		{name: "l", kind: tar.TypeSymlink, link: outside}, {name: "l/x", body: "x"},
	})))
	if _, statErr := os.Stat(outside); !errors.Is(statErr, fs.ErrNotExist) {
		t.Errorf("written through an absolute link (%s, %v)", dest, err)
	}
}

func TestDamageIsFound(t *testing.T) {
	l := newLayout(t)
	d := l.image(Here(), Config{}, squeeze(archive([]entry{{name: "a", body: strings.Repeat("a", 1000)}})))
	img, err := Open(l.dir, d.Digest, Here())
	l.must(err)
	path, _ := blobPath(l.dir, img.layers[0].Digest)
	raw, err := os.ReadFile(path)
	l.must(err)
	for _, change := range []func([]byte) []byte{
		func(b []byte) []byte { return append(b, 0) },
		func(b []byte) []byte { return b[:len(b)/2] },
		func([]byte) []byte { return squeeze(archive([]entry{{name: "evil", body: "x"}})) },
		func([]byte) []byte { return nil },
	} {
		l.must(os.WriteFile(path, change(bytes.Clone(raw)), 0o644))
		dest := filepath.Join(t.TempDir(), "rootfs")
		if err := img.Unpack(t.Context(), dest); err == nil {
			t.Error("a damaged layer was unpacked")
		}
		if _, err := os.Stat(dest); !errors.Is(err, fs.ErrNotExist) {
			t.Error("the folder stays")
		}
	}
}

func TestPlatforms(t *testing.T) {
	l := newLayout(t)
	other := Platform{"plan9", "mips"}
	mine := l.image(Here(), Config{Entrypoint: []string{"/mine"}})
	theirs := l.image(other, Config{Entrypoint: []string{"/theirs"}})
	index := l.object(document{Manifests: []descriptor{theirs, mine}})
	img, err := Open(l.dir, index.Digest, Here())
	if err != nil || img.Config.Entrypoint[0] != "/mine" || img.Digest != mine.Digest {
		t.Errorf("%+v, %v", img, err)
	}
	nested := l.object(document{Manifests: []descriptor{{Digest: index.Digest}}})
	if img, err := Open(l.dir, nested.Digest, other); err != nil || img.Config.Entrypoint[0] != "/theirs" {
		t.Errorf("%+v, %v", img, err)
	}
	for _, d := range []descriptor{theirs, l.object(document{Manifests: []descriptor{theirs}})} {
		var none *NoPlatformError
		if _, err := Open(l.dir, d.Digest, Here()); !errors.As(err, &none) || !strings.Contains(err.Error(), "plan9/mips") {
			t.Errorf("got %v", err)
		}
	}
}

func TestReferences(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	dir, digest, err := ParseRef("oci-layout:/a@b/c@sha256:" + sum)
	if err != nil || dir != "/a@b/c" || digest != "sha256:"+sum {
		t.Errorf("%q %q %v", dir, digest, err)
	}
	for _, bad := range []string{"", "ghcr.io/a/b:1", "oci-layout:x", "oci-layout:@sha256:" + sum, "oci-layout:x@sha256:../../etc", "oci-layout:x@md5:00"} {
		if _, _, err := ParseRef(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, err := Open(t.TempDir(), "sha256:"+sum, Here()); err == nil {
		t.Error("a folder that is no layout was opened")
	}
}

// Whatever the layers hold, nothing outside the folder changes.
func TestNothingOutsideChanges(t *testing.T) {
	parts := []string{"a", "b", "..", ".", "", "a/b", "/", "/etc", ".wh.a", ".wh..wh..opq", "../../canary", "\\..\\", "c"}
	kinds := []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo}
	rapid.Check(t, func(rt *rapid.T) {
		canary := filepath.Join(t.TempDir(), "canary")
		name := rapid.Custom(func(rt *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 4).Draw(rt, "parts"), "/")
		})
		var layers [][]byte
		for range rapid.IntRange(1, 3).Draw(rt, "layers") {
			var entries []entry
			for range rapid.IntRange(1, 8).Draw(rt, "entries") {
				entries = append(entries, entry{
					name: name.Draw(rt, "name"), link: name.Draw(rt, "link"), body: "x", kind: rapid.SampledFrom(kinds).Draw(rt, "kind"),
				})
			}
			layers = append(layers, archive(entries))
		}
		l := newLayout(t)
		d := l.image(Here(), Config{}, layers...)
		img, err := Open(l.dir, d.Digest, Here())
		if err != nil {
			rt.Fatal(err)
		}
		base := t.TempDir()
		l.must(os.WriteFile(filepath.Join(base, "canary"), []byte("alive"), 0o600))
		_ = img.Unpack(context.Background(), filepath.Join(base, "rootfs"))
		left, _ := os.ReadDir(base)
		for _, e := range left {
			if e.Name() != "canary" && e.Name() != "rootfs" {
				rt.Fatalf("%s appeared", e.Name())
			}
		}
		if got := read(t, base, "canary"); got != "alive" {
			rt.Fatalf("the canary says %s", got)
		}
		if _, err := os.Stat(canary); err == nil {
			rt.Fatal("a file appeared outside")
		}
	})
}

func FuzzLayer(f *testing.F) {
	f.Add(archive([]entry{{name: "a", body: "x"}, {name: "l", kind: tar.TypeSymlink, link: "a"}}))
	f.Add(squeeze(archive([]entry{{name: "d", kind: tar.TypeDir}})))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0})
	f.Fuzz(func(t *testing.T, layer []byte) {
		l := newLayout(t)
		d := l.image(Here(), Config{}, layer)
		_, _ = l.unpack(d)
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"sha256:00"}}`))
	f.Add([]byte(`{"manifests":[{"digest":"x"}]}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		l := newLayout(t)
		_, _ = Open(l.dir, l.blob(manifest).Digest, Here())
	})
}
