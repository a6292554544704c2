package build

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/gocodealone/wfctl/fault"
)

// put writes an image that holds one text.
func put(t *testing.T, s *Store, name, text string) Image {
	t.Helper()
	w, err := s.Writer(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l, err := w.Layer(func(tar io.Writer) error {
		tree := newTree(tar)
		if err := tree.bytes("/text", []byte(text)); err != nil {
			return err
		}
		return tree.tar.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Image(v1.Platform{OS: "linux", Architecture: "amd64"}, v1.ConfigFile{}, []Layer{l}); err != nil {
		t.Fatal(err)
	}
	img, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func blobs(t *testing.T, s *Store, name string) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(s.Path(name), "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// The newest few are kept, with their blobs and nothing else.
func TestOldImagesArePruned(t *testing.T) {
	s := NewStore(t.TempDir())
	var all []Image
	for i := range keep + 3 {
		all = append(all, put(t, s, "x", fmt.Sprint(i)))
	}
	for i, img := range all {
		if _, ok, err := s.Find("x", img.Digest); ok != (i >= 3) || err != nil {
			t.Errorf("%d: %t, %v", i, ok, err)
		}
	}
	if n := blobs(t, s, "x"); n != 3*keep {
		t.Errorf("%d blobs", n)
	}
	if newest, ok, _ := s.Newest("x"); !ok || newest.Digest != all[len(all)-1].Digest {
		t.Errorf("%+v", newest)
	}
	put(t, s, "x", "6") // the same again is one image
	if n := blobs(t, s, "x"); n != 3*keep {
		t.Errorf("%d blobs", n)
	}
	path, err := layout.ImageIndexFromPath(s.Path("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(path); err != nil {
		t.Error(err)
	}
}

// What a killed build left does no harm, and goes with the next.
func TestLeftoversArePruned(t *testing.T) {
	s := NewStore(t.TempDir())
	first := put(t, s, "x", "1")
	w, err := s.Writer(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Layer(func(io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	w.Close() // no Commit
	if err := os.WriteFile(filepath.Join(s.Path("x"), "blobs", "tmp-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Find("x", first.Digest); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	put(t, s, "x", "2")
	if n := blobs(t, s, "x"); n != 6 {
		t.Errorf("%d blobs", n)
	}
	if _, err := os.Stat(filepath.Join(s.Path("x"), "blobs", "tmp-1")); err == nil {
		t.Error("the half blob is left")
	}
}

func TestSeveralWritersAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	digests := make([]string, 4)
	for i := range digests {
		all.Go(func() { digests[i] = put(t, NewStore(dir), "x", fmt.Sprint(i)).Digest })
	}
	all.Wait()
	for i, d := range digests {
		if _, ok, err := NewStore(dir).Find("x", d); !ok || err != nil {
			t.Errorf("%d: %t, %v", i, ok, err)
		}
	}
}

func TestABrokenIndexIsReplaced(t *testing.T) {
	s := NewStore(t.TempDir())
	put(t, s, "x", "1")
	if err := os.WriteFile(filepath.Join(s.Path("x"), "index.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Newest("x"); ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	img := put(t, s, "x", "2")
	if _, ok, err := s.Find("x", img.Digest); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
}

func TestNamesStayInTheFolder(t *testing.T) {
	s := NewStore(t.TempDir())
	for _, name := range []string{"", "..", "a/b", `a\b`, ".x", "a:b"} {
		if _, err := s.Writer(t.Context(), name); fault.CodeOf(err) != fault.Config {
			t.Errorf("%q: got %v", name, err)
		}
	}
	if err := s.Remove(t.Context(), "absent"); err != nil {
		t.Error(err)
	}
}
