package build

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gocodealone/wfctl/fault"
)

// Host is what builders may use of the project.
type Host struct {
	// Keychain has the credentials for images that others are built upon; nil
	// is Docker's configuration.
	Keychain authn.Keychain
	// Command runs this program again: a helper of another program asks it.
	Command []string
}

func (h Host) keychain() authn.Keychain {
	if h.Keychain == nil {
		return authn.DefaultKeychain
	}
	return h.Keychain
}

// scratch is the base of an image that holds its programs and nothing else.
const scratch = "scratch"

// layoutPrefix names an OCI layout on this machine.
const layoutPrefix = "oci-layout:"

// base is an image that another is built upon.
type base struct {
	// ref is as the file has it: a reference, or a folder behind layoutPrefix.
	ref     string
	dir     string
	options []remote.Option
	parsed  name.Reference
}

// base opens what `base` names; nil for none.
func (h Host) base(ctx context.Context, b *goBuild) (*base, error) {
	if b.Base == "" || b.Base == scratch {
		return nil, nil
	}
	found := &base{ref: b.Base, options: []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(h.keychain())}}
	if dir, ok := strings.CutPrefix(b.Base, layoutPrefix); ok {
		found.dir = dir
		if !filepath.IsAbs(dir) {
			found.dir = filepath.Join(b.dir, filepath.FromSlash(dir))
		}
		if _, err := os.Stat(filepath.Join(found.dir, "index.json")); err != nil {
			return nil, fault.New(fault.Config, "image %q: there is no OCI layout in %s", b.Name, found.dir)
		}
		return found, nil
	}
	var err error
	if found.parsed, err = name.ParseReference(b.Base); err != nil {
		return nil, fault.New(fault.Config, "image %q: %q cannot be its base: %v", b.Name, b.Base, err).WithHint("name an image, scratch, or oci-layout:FOLDER")
	}
	return found, nil
}

// fingerprint is what the base is now: its digest. A reference with a digest
// is not asked for.
func (b *base) fingerprint() (string, error) {
	if b.dir != "" {
		raw, err := os.ReadFile(filepath.Join(b.dir, "index.json"))
		if err != nil {
			return "", fault.Wrap(fault.Environment, err, "read the base %s", b.ref)
		}
		return string(raw), nil
	}
	if d, ok := b.parsed.(name.Digest); ok {
		return d.DigestStr(), nil
	}
	d, err := remote.Head(b.parsed, b.options...)
	if err != nil {
		return "", b.failed(err)
	}
	return d.Digest.String(), nil
}

func (b *base) failed(err error) error {
	var t *transport.Error
	f := fault.Wrap(fault.Environment, err, "fetch the base image %s", b.ref)
	if errors.As(err, &t) && (t.StatusCode == 401 || t.StatusCode == 403) {
		return f.WithHint("its registry asks for a credential: declare it in wfctl.yaml, or `wfctl registry login`")
	}
	return f.WithHint("is the name right? A base with a digest, name@sha256:…, is fetched once and stays the same")
}

// image is the base for a platform.
func (b *base) image(p v1.Platform) (v1.Image, error) {
	var img v1.Image
	var err error
	if b.dir == "" {
		img, err = remote.Image(b.parsed, append(b.options, remote.WithPlatform(p))...)
	} else {
		img, err = layoutImage(b.dir, p)
	}
	if err != nil {
		return nil, b.failed(err)
	}
	return img, nil
}

// layoutImage finds the image of a platform in a layout; the only one there is
// for all.
func layoutImage(dir string, p v1.Platform) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	return platformImage(index, p, maxLayoutDepth)
}

// maxLayoutDepth bounds indices in indices.
const maxLayoutDepth = 4

func platformImage(index v1.ImageIndex, p v1.Platform, depth int) (v1.Image, error) {
	m, err := index.IndexManifest()
	if err != nil || depth == 0 {
		return nil, errors.Join(err, errNoPlatform)
	}
	for _, d := range m.Manifests {
		if d.MediaType.IsIndex() {
			inner, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			if img, err := platformImage(inner, p, depth-1); err == nil {
				return img, nil
			}
			continue
		}
		if d.MediaType.IsImage() && (d.Platform != nil && d.Platform.Satisfies(p) || d.Platform == nil && len(m.Manifests) == 1) {
			return index.Image(d.Digest)
		}
	}
	return nil, errNoPlatform
}

var errNoPlatform = errors.New("it has no image for the platform")

// Copy takes a layer of another image as it is; one that is there already is
// not read again.
func (w *Writer) Copy(l v1.Layer) (Layer, error) {
	digest, err := l.Digest()
	if err != nil {
		return Layer{}, err
	}
	size, err := l.Size()
	if err != nil {
		return Layer{}, err
	}
	diff, err := l.DiffID()
	if err != nil {
		return Layer{}, err
	}
	media, err := l.MediaType()
	if err != nil {
		return Layer{}, err
	}
	layer := Layer{Descriptor: v1.Descriptor{MediaType: ociLayer(media), Size: size, Digest: digest}, DiffID: diff}
	if info, err := os.Stat(blobPath(w.path, digest)); err == nil && info.Size() == size {
		return layer, nil
	}
	got, err := w.blob(layer.Descriptor.MediaType, func(out io.Writer) error {
		in, err := l.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, in.Close())
	})
	if err == nil && got.Digest != digest {
		err = fault.New(fault.Integrity, "a layer of image %q is not what its digest says", w.name)
	}
	return layer, err
}

// ociLayer is Docker's name for a layer as OCI has it: the bytes are the same.
func ociLayer(media types.MediaType) types.MediaType {
	switch media {
	case types.DockerLayer:
		return types.OCILayer
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer
	}
	return media
}

// under puts the layers of a base below those of an image, and what it says of
// how to run below what the image says itself.
func (w *Writer) under(img v1.Image, config v1.ConfigFile) (layers []Layer, _ v1.ConfigFile, err error) {
	below, err := img.ConfigFile()
	if err != nil {
		return nil, config, err
	}
	all, err := img.Layers()
	if err != nil {
		return nil, config, err
	}
	for _, l := range all {
		layer, err := w.Copy(l)
		if err != nil {
			return nil, config, err
		}
		layers = append(layers, layer)
	}
	config.Config.Env = mergeEnv(below.Config.Env, config.Config.Env)
	if below.Config.WorkingDir != "" {
		config.Config.WorkingDir = below.Config.WorkingDir
	}
	if config.Config.User == "" {
		config.Config.User = below.Config.User
	}
	return layers, config, nil
}

// mergeEnv lays variables over others.
func mergeEnv(below, over []string) []string {
	merged := append([]string{}, below...)
next:
	for _, entry := range over {
		key, _, _ := strings.Cut(entry, "=")
		for i, old := range merged {
			if strings.HasPrefix(old, key+"=") {
				merged[i] = entry
				continue next
			}
		}
		merged = append(merged, entry)
	}
	return merged
}
