package build

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gocodealone/wfctl/fault"
)

// keep is how many images of a name a store holds: the newest, and a few that
// other environments may still run.
const keep = 4

// Store keeps images: an OCI layout per name below one folder.
type Store struct{ dir string }

// NewStore makes a store of an absolute folder; nothing is created yet.
func NewStore(dir string) *Store { return &Store{dir: dir} }

// Path is the folder of a name's OCI layout.
func (s *Store) Path(name string) string { return filepath.Join(s.dir, name) }

// Names lists the names that the store has images of.
func (s *Store) Names() (names []string) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil // it has none
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// Find returns an image that the store holds whole; ok is false where it does
// not.
func (s *Store) Find(name, digest string) (img Image, ok bool, err error) {
	path := s.Path(name)
	index, err := readIndex(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, err
	}
	for _, d := range index.Manifests {
		if d.Digest.String() == digest {
			img, ok = inspect(path, d)
			return img, ok, nil
		}
	}
	return Image{}, false, nil
}

// Newest returns the image of a name that was built last.
func (s *Store) Newest(name string) (Image, bool, error) {
	index, err := readIndex(s.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, false, nil
	}
	if err != nil || len(index.Manifests) == 0 {
		return Image{}, false, err
	}
	return s.Find(name, index.Manifests[0].Digest.String())
}

// Remove forgets all images of a name. One that is not there is no error.
func (s *Store) Remove(ctx context.Context, name string) error {
	if _, err := os.Stat(s.Path(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.RemoveAll(s.Path(name)); err != nil {
		return fault.Wrap(fault.Environment, err, "remove image %q", name)
	}
	// Both fail where somebody else still needs them, and that is right.
	_ = os.Remove(s.lockFile(name))
	_ = os.Remove(s.dir)
	return nil
}

// inspect checks that every blob of an image is there with its size.
func inspect(path string, d v1.Descriptor) (Image, bool) {
	img := Image{Digest: d.Digest.String(), Path: path}
	seen := map[v1.Hash]bool{}
	ok := walk(path, d, func(d v1.Descriptor) bool {
		if d.Platform != nil {
			img.Platforms = append(img.Platforms, d.Platform.String())
		}
		if !seen[d.Digest] {
			seen[d.Digest] = true
			img.Size += d.Size
		}
		info, err := os.Stat(blobPath(path, d.Digest))
		return err == nil && info.Size() == d.Size
	})
	return img, ok
}

// walk visits an image's blobs; it stops and returns false when visit does or
// when a manifest cannot be read.
func walk(path string, d v1.Descriptor, visit func(v1.Descriptor) bool) bool {
	if !visit(d) {
		return false
	}
	var children []v1.Descriptor
	switch d.MediaType {
	case types.OCIImageIndex, types.DockerManifestList:
		var m v1.IndexManifest
		if readJSON(blobPath(path, d.Digest), &m) != nil {
			return false
		}
		children = m.Manifests
	case types.OCIManifestSchema1, types.DockerManifestSchema2:
		var m v1.Manifest
		if readJSON(blobPath(path, d.Digest), &m) != nil {
			return false
		}
		children = append(m.Layers, m.Config)
	}
	for _, c := range children {
		if !walk(path, c, visit) {
			return false
		}
	}
	return true
}

func blobPath(path string, h v1.Hash) string {
	return filepath.Join(path, "blobs", h.Algorithm, h.Hex)
}

// readIndex reads a layout's index. One that is broken holds nothing: all of
// it can be built again.
func readIndex(path string) (v1.IndexManifest, error) {
	var index v1.IndexManifest
	err := readJSON(filepath.Join(path, "index.json"), &index)
	var files *fs.PathError
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return index, err
	case errors.As(err, &files):
		return index, fault.Wrap(fault.Environment, err, "read the image layout %s", path)
	}
	return v1.IndexManifest{}, nil
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

func (s *Store) lockFile(name string) string { return filepath.Join(s.dir, "."+name+".lock") }

// lock keeps two processes from writing the same layout. The file that it
// holds may be removed by Remove meanwhile; then it is taken anew.
func (s *Store) lock(ctx context.Context, name string) (func(), error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	for {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return nil, fault.Wrap(fault.Environment, err, "make the folder of images")
		}
		l := flock.New(s.lockFile(name))
		if _, err := l.TryLockContext(ctx, 100*time.Millisecond); err != nil {
			if ctx.Err() != nil {
				return nil, fault.Wrap(fault.Interrupted, ctx.Err(), "wait for another build of image %q", name)
			}
			return nil, fault.Wrap(fault.Environment, err, "lock image %q", name)
		}
		if s.holds(l, name) {
			return func() { _ = l.Unlock() }, nil
		}
		_ = l.Unlock()
	}
}

func (s *Store) holds(l *flock.Flock, name string) bool {
	mine, err := l.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(s.lockFile(name))
	return err == nil && os.SameFile(mine, named)
}

// checkName refuses a name that would leave the folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") {
		return fault.New(fault.Config, "%q cannot be the name of an image", name).WithHint("use letters, digits, dots, dashes and underscores")
	}
	return nil
}
