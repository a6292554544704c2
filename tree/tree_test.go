package tree

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/gocodealone/wfctl/fault"
)

func write1(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func sample(t *testing.T) string {
	dir := t.TempDir()
	write1(t, dir, "app.yaml", "version: 1\n", 0o600)
	write1(t, dir, "bin/run.sh", "#!/bin/sh\n", 0o700)
	write1(t, dir, ".env", "TOKEN=s3cret\n", 0o600)
	write1(t, dir, "sub/.env.prod", "TOKEN=s3cret\n", 0o600)
	write1(t, dir, ".wfctl/state.db", "state", 0o600)
	if err := os.Symlink("app.yaml", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A tree comes back as it was, without what is private, and the same tree is
// the same artifact.
func TestThere(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	repo := strings.TrimPrefix(server.URL, "http://") + "/acme/tree"
	p, err := Pack(t.Context(), sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"app.yaml", "bin/run.sh", "link"}; !slices.Equal(p.Files, want) {
		t.Errorf("packed %v, want %v", p.Files, want)
	}
	ref, err := p.Push(t.Context(), repo, authn.DefaultKeychain)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Pack(t.Context(), sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if ref2, err := again.Push(t.Context(), repo, authn.DefaultKeychain); err != nil || ref2 != ref {
		t.Errorf("the same tree is %s and %s, %v", ref, ref2, err)
	}
	cache := &Cache{Dir: t.TempDir(), Keys: authn.DefaultKeychain}
	there, err := cache.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close() //nolint:errcheck // the test is over
	dir := there.Dir
	if raw, err := os.ReadFile(filepath.Join(dir, "link")); err != nil || string(raw) != "version: 1\n" {
		t.Errorf("%q, %v", raw, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "run.sh")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("%v, %v", info, err)
	}
	server.Close() // it is there, so nobody is asked
	second, err := cache.Open(t.Context(), ref)
	if err != nil || second.Dir != dir {
		t.Fatalf("%v, %v", second, err)
	}
	defer second.Close() //nolint:errcheck // the test is over
	if _, err := cache.Open(t.Context(), repo+":tag"); fault.CodeOf(err) != fault.Config {
		t.Errorf("a tag was taken: %v", err)
	}
}

// A link that leads out of the tree is followed by nobody.
func TestNothingOutside(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	p, err := Pack(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := p.Push(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/acme/tree", authn.DefaultKeychain)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := (&Cache{Dir: t.TempDir(), Keys: authn.DefaultKeychain}).Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err) // the link alone does no harm: what is below it is refused
	}
	defer tree.Close() //nolint:errcheck // the test is over
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // a folder
	if f, err := root.Create("a/file"); err == nil {
		_ = f.Close()
		t.Error("a file was written through the link")
	}
}
