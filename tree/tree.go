// Package tree brings a project's working tree to other machines: as one OCI
// artifact in a registry, named by its content, fetched once per machine and
// kept there for as long as it is used, and a while. It knows no configuration,
// and takes no file along that could hold secrets or that only this machine has
// a use for.
package tree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gocodealone/wfctl/fault"
)

// The media types of the artifact.
const (
	artifactType = types.MediaType("application/vnd.wfctl.tree.v1+json")
	layerType    = types.MediaType("application/vnd.wfctl.tree.v1.tar+gzip")
)

// sizeLimit bounds a tree, packed and unpacked.
const sizeLimit = 512 << 20

// Packed is a working tree as an archive: the same files give the same bytes.
type Packed struct {
	Files  []string
	data   []byte
	digest string
}

// Pack packs the working tree in dir: what git would commit, or where there is
// no git all files; without `.git`, `.wfctl` and files of variables.
func Pack(ctx context.Context, dir string) (*Packed, error) {
	files, err := list(ctx, dir)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	p := &Packed{}
	for _, file := range files {
		if err := add(w, dir, file); err != nil {
			if errors.Is(err, fs.ErrNotExist) { // git knows it, and it is deleted
				continue
			}
			return nil, fault.Wrap(fault.Environment, err, "pack %s", file)
		}
		if p.Files = append(p.Files, file); b.Len() > sizeLimit {
			return nil, fault.New(fault.Config, "the working tree is larger than %d MB", sizeLimit>>20).WithHint("leave out what is not needed: .gitignore")
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	p.data, p.digest = b.Bytes(), hex.EncodeToString(sum[:])
	return p, nil
}

// list names the files of a tree, with slashes and sorted.
func list(ctx context.Context, dir string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0")
	var files []string
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		files = strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	} else if files, err = walk(dir); err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the working tree")
	}
	files = slices.DeleteFunc(files, private)
	slices.Sort(files)
	return slices.Compact(files), nil
}

func walk(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if rel = filepath.ToSlash(rel); err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			if private(rel) {
				return fs.SkipDir
			}
			return nil
		}
		files = append(files, rel)
		return nil
	})
	return files, err
}

// private tells whether a file stays on this machine.
func private(file string) bool {
	for part := range strings.SplitSeq(file, "/") {
		if part == ".git" || part == ".wfctl" {
			return true
		}
	}
	base := path.Base(file)
	return base == ".env" || strings.HasPrefix(base, ".env.") && base != ".env.example" && base != ".env.sample"
}

// add adds one file, with nothing of this machine's about it.
func add(w *tar.Writer, dir, file string) error {
	full := filepath.Join(dir, filepath.FromSlash(file))
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: file, Mode: 0o644, Typeflag: tar.TypeReg, Size: info.Size(), Format: tar.FormatPAX}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(full)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, filepath.ToSlash(to), 0
		return w.WriteHeader(h)
	case !info.Mode().IsRegular():
		return nil // a socket, a submodule
	case info.Mode()&0o100 != 0:
		h.Mode = 0o755
	}
	f, err := os.Open(full)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, h.Size)
	return err
}

// Reference is the reference that names the tree's content in a repository,
// once it is there.
func (p *Packed) Reference(repository string) (string, error) {
	repo, img, err := p.image(repository)
	if err != nil {
		return "", err
	}
	digest, err := img.Digest()
	return repo.Digest(digest.String()).String(), err
}

func (p *Packed) image(repository string) (name.Repository, v1.Image, error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return repo, nil, fault.Wrap(fault.Config, err, "%q is no repository of a registry", repository)
	}
	img, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), artifactType), static.NewLayer(p.data, layerType))
	return repo, img, err
}

// Push brings a tree to a repository, unless it is there, and returns its
// reference.
func (p *Packed) Push(ctx context.Context, repository string, keys authn.Keychain) (string, error) {
	repo, img, err := p.image(repository)
	if err != nil {
		return "", err
	}
	// The tag keeps a registry from clearing it away.
	if err := remote.Write(repo.Tag("tree-"+p.digest[:16]), img, remote.WithContext(ctx), remote.WithAuthFromKeychain(keys)); err != nil {
		return "", fault.Wrap(fault.Provider, err, "push the working tree to %s", repository)
	}
	return p.Reference(repository)
}

// fetch brings a tree to the folder dir, whole or not at all. Who fetches it
// holds its lock: without that, what is on its way is removed.
func fetch(ctx context.Context, ref name.Digest, dir string, keys authn.Keychain) error {
	cache, base := filepath.Split(dir)
	tmp, err := os.MkdirTemp(cache, base+fetchEnd)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "make the folder of the working tree")
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // it has moved, or is worth nothing
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(keys))
	if err != nil {
		return fault.Wrap(fault.Provider, err, "fetch the working tree %s", ref)
	}
	if err := unpack(img, tmp); err != nil {
		return fault.Wrap(fault.Integrity, err, "unpack the working tree %s", ref)
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil // another process was faster
		}
		return fault.Wrap(fault.Environment, err, "keep the working tree")
	}
	return nil
}

// unpack writes the only layer of an artifact below dir, and nothing outside.
func unpack(img v1.Image, dir string) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	if len(layers) != 1 {
		return errors.New("it is not an artifact of wfctl")
	}
	raw, err := layers[0].Compressed()
	if err != nil {
		return err
	}
	defer raw.Close() //nolint:errcheck // only read
	zip, err := gzip.NewReader(raw)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // a folder
	left := int64(sizeLimit) * 4
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			// What is behind the archive's end counts towards the digest.
			_, err = io.Copy(io.Discard, raw)
			return err
		}
		if err != nil {
			return err
		}
		if left -= h.Size; left < 0 {
			return errors.New("it is too large")
		}
		if err := write(root, h, r); err != nil {
			return err
		}
	}
}

func write(root *os.Root, h *tar.Header, r io.Reader) error {
	file := filepath.FromSlash(h.Name)
	if dir := filepath.Dir(file); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		return root.Symlink(filepath.FromSlash(h.Linkname), file)
	case tar.TypeReg:
		mode := fs.FileMode(0o600)
		if h.Mode&0o100 != 0 {
			mode = 0o700
		}
		f, err := root.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, r, h.Size)
		return errors.Join(err, f.Close())
	}
	return errors.New("it holds " + h.Name + ", which is neither a file nor a link")
}
