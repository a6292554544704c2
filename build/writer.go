package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"github.com/gocodealone/wfctl/fault"
)

// Writer writes one image into a store. Blobs get their names when they are
// whole; the layout's index names the image only at Commit, so that a build
// that is killed leaves what was there before.
type Writer struct {
	name, path string
	unlock     func()
	manifests  []v1.Descriptor
}

// Layer is a layer that was written.
type Layer struct {
	Descriptor v1.Descriptor
	DiffID     v1.Hash
}

// Writer takes the lock on a name and begins an image. The caller closes it.
func (s *Store) Writer(ctx context.Context, name string) (*Writer, error) {
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &Writer{name: name, path: s.Path(name), unlock: unlock}
	if err := os.MkdirAll(filepath.Join(w.path, "blobs", "sha256"), 0o755); err != nil {
		w.Close()
		return nil, fault.Wrap(fault.Environment, err, "make the folder of image %q", name)
	}
	return w, nil
}

// Close lets go of the name. Without a Commit before, nothing has changed but
// for blobs that the next Commit removes.
func (w *Writer) Close() {
	if w.unlock != nil {
		w.unlock()
		w.unlock = nil
	}
}

// blob writes what fill produces and gives it its name.
func (w *Writer) blob(media types.MediaType, fill func(io.Writer) error) (v1.Descriptor, error) {
	f, err := os.CreateTemp(filepath.Join(w.path, "blobs"), "tmp-*")
	if err != nil {
		return v1.Descriptor{}, w.failed(err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	sum := &counter{hash: sha256.New()}
	err = fill(io.MultiWriter(f, sum))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return v1.Descriptor{}, w.failed(err)
	}
	d := v1.Descriptor{MediaType: media, Size: sum.size, Digest: sum.digest()}
	if err := os.Rename(f.Name(), blobPath(w.path, d.Digest)); err != nil {
		return v1.Descriptor{}, w.failed(err)
	}
	return d, nil
}

func (w *Writer) failed(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fault.Wrap(fault.Environment, err, "write image %q to %s", w.name, w.path).WithHint("is the disk full, or the folder read-only?")
}

// Layer writes a compressed layer of the tar that fill writes, in one pass.
func (w *Writer) Layer(fill func(tar io.Writer) error) (Layer, error) {
	plain := &counter{hash: sha256.New()}
	d, err := w.blob(types.OCILayer, func(out io.Writer) error {
		zip, err := gzip.NewWriterLevel(out, gzip.DefaultCompression)
		if err != nil {
			return err
		}
		return errors.Join(fill(io.MultiWriter(zip, plain)), zip.Close())
	})
	return Layer{Descriptor: d, DiffID: plain.digest()}, err
}

// Image writes the configuration and the manifest of one platform.
func (w *Writer) Image(platform v1.Platform, config v1.ConfigFile, layers []Layer) error {
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.RootFS = v1.RootFS{Type: "layers"}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return w.imageWith(platform, raw, layers, config.Config.Labels)
}

// imageWith is Image with a configuration that is kept byte for byte.
func (w *Writer) imageWith(platform v1.Platform, config []byte, layers []Layer, labels map[string]string) error {
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: labels}
	for _, l := range layers {
		manifest.Layers = append(manifest.Layers, l.Descriptor)
	}
	var err error
	if manifest.Config, err = w.blob(types.OCIConfigJSON, func(out io.Writer) error { _, err := out.Write(config); return err }); err != nil {
		return err
	}
	d, err := w.json(types.OCIManifestSchema1, manifest)
	d.Platform = &platform
	w.manifests = append(w.manifests, d)
	return err
}

func (w *Writer) json(media types.MediaType, v any) (v1.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return w.blob(media, func(out io.Writer) error { _, err := out.Write(raw); return err })
}

// Commit names the image in the layout's index, drops what is older than the
// newest few, and returns the image.
func (w *Writer) Commit() (Image, error) {
	if len(w.manifests) == 0 {
		return Image{}, fault.New(fault.Internal, "the builder of image %q wrote nothing", w.name)
	}
	slices.SortFunc(w.manifests, func(a, b v1.Descriptor) int {
		return bytes.Compare([]byte(a.Platform.String()), []byte(b.Platform.String()))
	})
	top := w.manifests[0]
	if len(w.manifests) > 1 {
		var err error
		top, err = w.json(types.OCIImageIndex, v1.IndexManifest{
			SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: w.manifests,
			Annotations: map[string]string{"org.opencontainers.image.title": w.name},
		})
		if err != nil {
			return Image{}, err
		}
	}
	kept, err := w.writeIndex(top)
	if err != nil {
		return Image{}, err
	}
	w.prune(kept)
	img, ok := inspect(w.path, top)
	if !ok {
		return Image{}, fault.New(fault.Environment, "image %q is not whole after it was written to %s", w.name, w.path)
	}
	return img, nil
}

// writeIndex puts the image first, and keeps the newest of the others that
// are still whole.
func (w *Writer) writeIndex(top v1.Descriptor) ([]v1.Descriptor, error) {
	kept := []v1.Descriptor{top}
	old, err := readIndex(w.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, d := range old.Manifests {
		if _, whole := inspect(w.path, d); whole && d.Digest != top.Digest && len(kept) < keep {
			kept = append(kept, d)
		}
	}
	raw, err := json.MarshalIndent(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: kept}, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := replaceFile(filepath.Join(w.path, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return nil, w.failed(err)
	}
	if err := replaceFile(filepath.Join(w.path, "index.json"), raw); err != nil {
		return nil, w.failed(err)
	}
	return kept, nil
}

// prune removes blobs that no kept image needs. What cannot be removed now is
// removed by the next build.
func (w *Writer) prune(kept []v1.Descriptor) {
	needed := map[string]bool{}
	for _, d := range kept {
		whole := walk(w.path, d, func(d v1.Descriptor) bool {
			needed[d.Digest.Hex] = true
			return true
		})
		if !whole {
			return
		}
	}
	for _, dir := range []string{"blobs", "blobs/sha256"} {
		entries, err := os.ReadDir(filepath.Join(w.path, filepath.FromSlash(dir)))
		if err != nil {
			return
		}
		for _, e := range entries {
			if !e.IsDir() && !needed[e.Name()] {
				_ = os.Remove(filepath.Join(w.path, filepath.FromSlash(dir), e.Name()))
			}
		}
	}
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// counter hashes and measures what passes.
type counter struct {
	hash hash.Hash
	size int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return c.hash.Write(p)
}

func (c *counter) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(c.hash.Sum(nil))}
}
