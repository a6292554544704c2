package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/gocodealone/wfctl/fault"
)

// Prebuilt takes an image that something else has made: an OCI layout, in a
// folder or as a tar, or what `docker save` writes.
type Prebuilt struct{}

type prebuiltOptions struct {
	Path      string   `json:"path"`
	Platforms []string `json:"platforms"`
}

const prebuiltSchema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "path": {"type": "string", "description": "An OCI layout, in a folder or as a tar, or what docker save wrote; relative to the application file's folder."},
    "platforms": {"type": "array", "items": {"type": "string"}, "description": "Which of its platforms; all by default."}
  }
}`

// Schema implements [Builder].
func (Prebuilt) Schema() json.RawMessage { return json.RawMessage(prebuiltSchema) }

// decode reads options strictly.
func decode(spec Spec, into any) error {
	if len(spec.Options) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(spec.Options))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fault.Wrap(fault.Config, err, "the options of image %q", spec.Name)
	}
	return nil
}

func (Prebuilt) options(spec Spec) (o prebuiltOptions, err error) {
	if err := errors.Join(checkName(spec.Name), decode(spec, &o)); err != nil {
		return o, err
	}
	if o.Path == "" {
		return o, fault.New(fault.Config, "image %q says no path", spec.Name).WithHint("`path` names the OCI layout or the tar that holds the image")
	}
	if !filepath.IsAbs(o.Path) {
		o.Path = filepath.Join(spec.BaseDir, filepath.FromSlash(o.Path))
	}
	return o, nil
}

// Check implements [Builder].
func (p Prebuilt) Check(spec Spec) error {
	_, err := p.options(spec)
	return err
}

// Fingerprint implements [Builder]: an index names all that a layout holds by
// its digest; a tar is read.
func (p Prebuilt) Fingerprint(_ context.Context, spec Spec) (string, error) {
	o, err := p.options(spec)
	if err != nil {
		return "", err
	}
	file := o.Path
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, "index.json")
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fault.Wrap(fault.Config, err, "image %q: open what was built", spec.Name).WithHint("`path` names an OCI layout, in a folder or as a tar, or what docker save wrote")
	}
	defer f.Close() //nolint:errcheck // read only
	h := sha256.New()
	h.Write([]byte("wfctl prebuilt image 1 " + strings.Join(o.Platforms, ",") + "\n"))
	if _, err := io.Copy(h, f); err != nil {
		return "", fault.Wrap(fault.Environment, err, "image %q: read what was built", spec.Name)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// Build implements [Builder].
func (p Prebuilt) Build(ctx context.Context, spec Spec, w *Writer, progress Progress) error {
	o, err := p.options(spec)
	if err != nil {
		return err
	}
	progress("reading "+o.Path, -1)
	return takeOver(ctx, spec.Name, o.Path, o.Platforms, w)
}

// takeOver writes the images of a layout or a tar as they are.
func takeOver(ctx context.Context, name, path string, platforms []string, w *Writer) error {
	info, err := os.Stat(path)
	if err != nil {
		return fault.Wrap(fault.Config, err, "image %q: open what was built", name)
	}
	t := &taking{ctx: ctx, name: name, platforms: platforms, w: w}
	if info.IsDir() {
		return t.layout(path)
	}
	dir, isLayout, err := unpackLayout(path)
	if err != nil {
		return fault.Wrap(fault.Config, err, "image %q: read %s", name, path)
	}
	if isLayout {
		defer func() { _ = os.RemoveAll(dir) }()
		return t.layout(dir)
	}
	img, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		return fault.Wrap(fault.Config, err, "image %q: %s is neither an OCI layout nor of docker save", name, path)
	}
	return t.done(t.image(img, nil))
}

// taking is one take-over.
type taking struct {
	ctx       context.Context
	name      string
	platforms []string
	w         *Writer
	taken     int
	// of holds the digest that was taken for each platform.
	of map[string]v1.Hash
}

func (t *taking) layout(dir string) error {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return fault.Wrap(fault.Config, err, "image %q: read the OCI layout %s", t.name, dir)
	}
	return t.done(t.index(index, maxLayoutDepth))
}

func (t *taking) done(err error) error {
	if err != nil {
		return t.w.failed(err)
	}
	if t.taken == 0 {
		return fault.New(fault.Config, "image %q: there is no image in it for the platforms %v", t.name, t.platforms)
	}
	return nil
}

func (t *taking) index(index v1.ImageIndex, depth int) error {
	m, err := index.IndexManifest()
	if err != nil || depth == 0 {
		return err
	}
	for _, d := range m.Manifests {
		switch {
		case d.MediaType.IsIndex():
			inner, err := index.ImageIndex(d.Digest)
			if err == nil {
				err = t.index(inner, depth-1)
			}
			if err != nil {
				return err
			}
		case d.MediaType.IsImage() && d.Annotations["vnd.docker.reference.type"] == "": // else what a builder attests of it
			img, err := index.Image(d.Digest)
			if err == nil {
				err = t.image(img, d.Platform)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// image writes one image: its layers and its configuration byte for byte.
func (t *taking) image(img v1.Image, p *v1.Platform) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if p == nil {
		p = &v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	}
	if len(t.platforms) > 0 && !wanted(t.platforms, *p) {
		return nil
	}
	if again, err := t.again(img, *p); again || err != nil {
		return err
	}
	all, err := img.Layers()
	if err != nil {
		return err
	}
	layers := make([]Layer, len(all))
	for i, l := range all {
		if layers[i], err = t.w.Copy(l); err != nil {
			return err
		}
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	t.taken++
	return t.w.imageWith(*p, raw, layers, config.Config.Labels)
}

// again tells whether an image was taken already, under another tag. A second
// image of one platform is refused: which of the two is meant?
func (t *taking) again(img v1.Image, p v1.Platform) (bool, error) {
	digest, err := img.Digest()
	if err != nil {
		return false, err
	}
	before, taken := t.of[p.String()]
	switch {
	case taken && before == digest:
		return true, nil
	case taken:
		return false, fault.New(fault.Config, "image %q: there are two images for %s in it, %s and %s", t.name, p.String(), before, digest).
			WithHint("`path` names a layout or a tar of one image, with one manifest for each platform")
	}
	if t.of == nil {
		t.of = map[string]v1.Hash{}
	}
	t.of[p.String()] = digest
	return false, nil
}

func wanted(platforms []string, p v1.Platform) bool {
	for _, text := range platforms {
		if want, err := v1.ParsePlatform(text); err == nil && p.Satisfies(*want) {
			return true
		}
	}
	return false
}
