package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/lock/archive"
	"github.com/gocodealone/wfctl/lock/locktest"
)

// unpack extracts data into a folder inside of an otherwise empty one.
func unpack(t testing.TB, name string, data []byte, limits archive.Limits) (dir string, files []archive.File, err error) {
	t.Helper()
	outer := t.TempDir()
	file := filepath.Join(outer, "archive")
	dir = filepath.Join(outer, "tree")
	if err := errors.Join(os.WriteFile(file, data, 0o600), os.Mkdir(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	files, err = archive.Extract(t.Context(), file, name, dir, limits)
	entries, readErr := os.ReadDir(outer)
	if readErr != nil || len(entries) != 2 {
		t.Fatalf("something was written beside the folder: %v, %v", entries, readErr)
	}
	return dir, files, err
}

func TestExtract(t *testing.T) {
	entries := []locktest.File{
		{Name: "x/", Type: tar.TypeDir}, {Name: "./plugin.json", Body: []byte("{}")},
		{Name: "x/y/hello", Body: []byte("run"), Mode: 0o755}, {Name: "empty"},
	}
	for _, name := range []string{"a.tar.gz", "a.tgz", "a.zip"} {
		dir, files, err := unpack(t, name, locktest.Archive(filepath.Ext(name), entries...), archive.DefaultLimits())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		listed, err := archive.List(t.Context(), dir)
		if err != nil || len(files) != 3 || string(archive.Listing(files)) != string(archive.Listing(listed)) {
			t.Errorf("%s: unpacked %v, found %v, %v", name, files, listed, err)
		}
		if files[2].Name != "x/y/hello" || files[2].SHA256 != locktest.Hash([]byte("run")) || files[2].Size != 3 {
			t.Errorf("%s: %+v", name, files[2])
		}
		info, err := os.Stat(filepath.Join(dir, "x", "y", "hello"))
		if err != nil || info.Mode().Perm()&0o100 == 0 {
			t.Errorf("%s: it cannot be run: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	evil := []byte("evil")
	tests := []struct {
		name    string
		entries []locktest.File
		says    string
	}{
		{"parent", []locktest.File{{Name: "../evil", Body: evil}}, "would leave"},
		{"parent inside", []locktest.File{{Name: "a/../../evil", Body: evil}}, "would leave"},
		{"parent that comes back", []locktest.File{{Name: "a/../b", Body: evil}}, "would leave"},
		{"absolute", []locktest.File{{Name: "/evil", Body: evil}}, "would leave"},
		{"backslashes", []locktest.File{{Name: `..\evil`, Body: evil}}, "would leave"},
		{"drive", []locktest.File{{Name: "C:evil", Body: evil}}, "would leave"},
		{"control character", []locktest.File{{Name: "a\x01", Body: evil}}, "would leave"},
		{"link outside", []locktest.File{{Name: "l", Type: tar.TypeSymlink, Link: "/etc/passwd"}}, "is a link"},
		{"link inside", []locktest.File{{Name: "a", Body: evil}, {Name: "l", Type: tar.TypeSymlink, Link: "a"}}, "is a link"},
		{"device", []locktest.File{{Name: "d", Type: tar.TypeChar}}, "is a device"},
		{"twice", []locktest.File{{Name: "a", Body: evil}, {Name: "a", Body: evil}}, "twice"},
		{"twice in another case", []locktest.File{{Name: "a", Body: evil}, {Name: "A", Body: evil}}, "twice"},
		{"file as a folder", []locktest.File{{Name: "a", Body: evil}, {Name: "a/b", Body: evil}}, "a/b"},
		{"the folder itself", []locktest.File{{Name: ".", Body: evil}}, "."},
	}
	for _, tt := range tests {
		for _, ext := range []string{".tar.gz", ".zip"} {
			t.Run(tt.name+ext, func(t *testing.T) {
				_, _, err := unpack(t, "x"+ext, locktest.Archive(ext, tt.entries...), archive.DefaultLimits())
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want %q", err, tt.says)
				}
			})
		}
	}
	_, _, err := unpack(t, "x.tar.gz", locktest.TarGz(locktest.File{Name: "a"}, locktest.File{Name: "h", Type: tar.TypeLink, Link: "a"}), archive.DefaultLimits())
	if err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("hard link: %v", err)
	}
	for _, name := range []string{"x.tar.gz", "x.zip", "x.rar"} {
		if _, _, err := unpack(t, name, []byte("no archive"), archive.DefaultLimits()); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestLimits(t *testing.T) {
	big := []locktest.File{{Name: "a", Body: make([]byte, 600)}, {Name: "b", Body: make([]byte, 600)}}
	for _, ext := range []string{".tar.gz", ".zip"} {
		data := locktest.Archive(ext, big...)
		if _, _, err := unpack(t, "x"+ext, data, archive.Limits{Entries: 2, Bytes: 1200}); err != nil {
			t.Errorf("%s at the limits: %v", ext, err)
		}
		if _, _, err := unpack(t, "x"+ext, data, archive.Limits{Entries: 2, Bytes: 1199}); err == nil || !strings.Contains(err.Error(), "more than 1199 bytes") {
			t.Errorf("%s: %v", ext, err)
		}
		if _, _, err := unpack(t, "x"+ext, data, archive.Limits{Entries: 1, Bytes: 1200}); err == nil || !strings.Contains(err.Error(), "more than 1 entries") {
			t.Errorf("%s: %v", ext, err)
		}
	}
	// A bomb in what follows the last entry.
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	_, _ = gz.Write(make([]byte, 1024))
	_, _ = gz.Write(make([]byte, 1<<20))
	_ = gz.Close()
	if _, _, err := unpack(t, "x.tar.gz", b.Bytes(), archive.Limits{Entries: 9, Bytes: 1 << 16}); err == nil || !strings.Contains(err.Error(), "padding") {
		t.Errorf("padding: %v", err)
	}
}

func TestCutOff(t *testing.T) {
	data := locktest.TarGz(locktest.File{Name: "a", Body: bytes.Repeat([]byte("0123456789"), 500)})
	for n := range len(data) {
		if _, _, err := unpack(t, "x.tar.gz", data[:n], archive.DefaultLimits()); err == nil {
			t.Fatalf("%d of %d bytes were taken for the whole", n, len(data))
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, locktest.TarGz(locktest.File{Name: "a"}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Extract(ctx, file, "x.tar.gz", t.TempDir(), archive.DefaultLimits()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestListRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.List(t.Context(), dir); err == nil {
		t.Error("a link was accepted")
	}
}

func FuzzExtract(f *testing.F) {
	for _, ext := range []string{".tar.gz", ".zip"} {
		f.Add(ext, locktest.Archive(ext, locktest.File{Name: "hello", Body: []byte("x"), Mode: 0o755}, locktest.File{Name: "d/../../x"}))
		f.Add(ext, locktest.Archive(ext, locktest.File{Name: "l", Type: tar.TypeSymlink, Link: "/"}, locktest.File{Name: "l/x"}))
	}
	f.Fuzz(func(t *testing.T, ext string, data []byte) {
		dir, files, err := unpack(t, "x"+ext, data, archive.Limits{Entries: 20, Bytes: 1 << 16})
		if err != nil {
			return
		}
		found := 0
		err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				found++
				if !e.Type().IsRegular() {
					t.Errorf("%s is not a plain file", e.Name())
				}
			}
			return err
		})
		if err != nil || found != len(files) {
			t.Errorf("%d files reported, %d found, %v", len(files), found, err)
		}
	})
}
