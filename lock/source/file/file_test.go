package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/source/file"
)

func TestAddresses(t *testing.T) {
	base := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(base, "p", "v1"), 0o755), os.WriteFile(filepath.Join(base, "p", "v1", "a"), []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"./p", "./p/", "../" + filepath.Base(base) + "/p", "file://" + filepath.ToSlash(base) + "/p", "file://localhost" + filepath.ToSlash(base) + "/p"} {
		s, err := file.New(address, base)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Release(t.Context(), "v1")
		if err != nil || len(r.Names) != 1 || r.Names[0] != "a" {
			t.Errorf("%s: %+v, %v", address, r, err)
		}
		if _, err := s.Release(t.Context(), "v2"); !errors.Is(err, source.ErrNotFound) {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := s.Open(t.Context(), "v1", "b", ""); !errors.Is(err, source.ErrNotFound) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, bad := range []string{"file://host/p", "file:", "/p", "p", "https://x"} {
		if _, err := file.New(bad, base); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
