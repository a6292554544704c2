// Package ociunpack lays the files of a container image, as an OCI image
// layout on disk holds it, into a folder, and says how the image wants to be
// run. Everything read is checked against its digest, and nothing is written
// outside the folder whatever the layers say. It keeps neither owners nor
// device nodes nor set-user-ID bits: the files belong to who unpacks them.
package ociunpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Limits on what an image may unpack to.
const (
	maxBytes   = 16 << 30
	maxEntries = 1 << 20
)

// Image is an image of a layout, for one platform.
type Image struct {
	// Digest is that of the image's manifest.
	Digest string
	Config Config
	layout string
	layers []descriptor
}

// Config is how the image wants to be run.
type Config struct {
	Entrypoint []string
	Cmd        []string
	Env        []string
	WorkingDir string
	User       string
	StopSignal string
	Labels     map[string]string
}

// Unpack writes the image's files below dest, which must not exist. On an
// error nothing is left there.
func (i *Image) Unpack(ctx context.Context, dest string) (err error) {
	tmp := dest + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // a folder's handle
	u := &unpacker{root: root, bytes: maxBytes, entries: maxEntries}
	for n, layer := range i.layers {
		if err := u.layer(ctx, i.layout, layer); err != nil {
			return fmt.Errorf("layer %d (%s): %w", n+1, layer.Digest, err)
		}
	}
	return os.Rename(tmp, dest)
}

// unpacker applies layers to a folder.
type unpacker struct {
	root    *os.Root
	bytes   int64
	entries int
	// fresh are the paths that the current layer wrote: an opaque mark hides
	// what lower layers have, not these.
	fresh map[string]bool
}

func (u *unpacker) layer(ctx context.Context, layout string, d descriptor) error {
	blob, err := openBlob(layout, d)
	if err != nil {
		return err
	}
	defer blob.Close() //nolint:errcheck // read only
	plain, err := decompress(blob)
	if err != nil {
		return err
	}
	defer plain.Close() //nolint:errcheck // read only
	u.fresh = map[string]bool{}
	tr := tar.NewReader(plain)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the archive is damaged: %w", err)
		}
		if err := u.entry(h, tr); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
	return blob.finish()
}

// inside turns an entry's name into a path inside the folder, or refuses it.
func inside(name string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(clean, 0) {
		return "", errors.New("leaves the image's folder")
	}
	return clean, nil
}

func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	if u.entries--; u.entries < 0 {
		return errors.New("the image has too many files")
	}
	name, err := inside(h.Name)
	if err != nil {
		return err
	}
	dir, base := path.Split(name)
	if base == ".wh..wh..opq" {
		return u.hideLower(path.Clean(dir))
	}
	if hidden, ok := strings.CutPrefix(base, ".wh."); ok {
		return u.root.RemoveAll(path.Join(dir, hidden))
	}
	if name == "." {
		return nil
	}
	if err := u.parents(path.Dir(name)); err != nil {
		return err
	}
	u.fresh[name] = true
	return u.write(h, name, body)
}

// parents makes the folders above an entry. One that a lower layer made a
// link stays a link; the root refuses one that leads outside.
func (u *unpacker) parents(dir string) error {
	if dir == "." {
		return nil
	}
	return u.root.MkdirAll(dir, 0o755)
}

func (u *unpacker) write(h *tar.Header, name string, body io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.folder(name, h.FileInfo().Mode())
	case tar.TypeReg:
		return u.file(name, h, body)
	case tar.TypeSymlink:
		return u.symlink(name, h.Linkname)
	case tar.TypeLink:
		return u.link(name, h.Linkname)
	}
	return nil // devices and pipes have no use without a container
}

func (u *unpacker) folder(name string, mode fs.FileMode) error {
	if info, err := u.root.Lstat(name); err == nil && !info.IsDir() {
		if err := u.root.Remove(name); err != nil {
			return err
		}
	}
	if err := u.root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	return u.root.Chmod(name, mode.Perm()|0o700) // later entries must get in
}

// clear makes way for an entry: what a lower layer has there is replaced.
func (u *unpacker) clear(name string) error {
	_, err := u.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return u.root.RemoveAll(name)
}

func (u *unpacker) file(name string, h *tar.Header, body io.Reader) error {
	if u.bytes -= h.Size; u.bytes < 0 {
		return errors.New("the image is too large")
	}
	if err := u.clear(name); err != nil {
		return err
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if chmod := f.Chmod(h.FileInfo().Mode().Perm() | 0o400); err == nil {
		err = chmod
	}
	return errors.Join(err, f.Close())
}

// symlink writes a link as it works inside the folder: an absolute target
// counts from the folder, as it would in a container.
func (u *unpacker) symlink(name, target string) error {
	if path.IsAbs(target) {
		up := strings.Repeat("../", strings.Count(name, "/"))
		target = up + strings.TrimPrefix(path.Clean(target), "/")
	}
	if _, err := inside(path.Join(path.Dir(name), target)); err != nil {
		return fmt.Errorf("its target %q %w", target, err)
	}
	if err := u.clear(name); err != nil {
		return err
	}
	if target == "" {
		target = "."
	}
	return u.root.Symlink(target, name)
}

func (u *unpacker) link(name, target string) error {
	clean, err := inside(target)
	if err != nil {
		return fmt.Errorf("its target %q %w", target, err)
	}
	if clean == name {
		return nil
	}
	if err := u.clear(name); err != nil {
		return err
	}
	return u.root.Link(clean, name)
}

// hideLower removes what lower layers have in a folder.
func (u *unpacker) hideLower(dir string) error {
	f, err := u.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	_ = f.Close()
	if err != nil {
		return err
	}
	for _, n := range names {
		if full := path.Join(dir, n); !u.isFresh(full) {
			if err := u.root.RemoveAll(full); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u *unpacker) isFresh(name string) bool {
	for f := range u.fresh {
		if f == name || strings.HasPrefix(f, name+"/") {
			return true
		}
	}
	return false
}
