// Package build makes container images and keeps them in OCI layouts on this
// machine. A [Builder] turns a configuration into an image; the [Store] holds
// what was built, written whole or not at all. It pushes nothing and knows no
// environment.
package build

import (
	"context"
	"encoding/json"
	"runtime"

	"github.com/gocodealone/wfctl/fault"
)

// Builder makes images of one kind: from Go source, from a Dockerfile.
type Builder interface {
	// Schema is the JSON Schema of the builder's own options: an object.
	Schema() json.RawMessage
	// Check reports what is wrong with the options, without I/O.
	Check(spec Spec) error
	// Fingerprint is a hash of everything that the image is made of. It
	// builds nothing and is fast enough for every plan.
	Fingerprint(ctx context.Context, spec Spec) (string, error)
	// Build makes the image and writes it to w.
	Build(ctx context.Context, spec Spec, w *Writer, progress Progress) error
}

// Spec says what to build.
type Spec struct {
	// Name is the image's name in the file; it titles the image and names
	// the executable.
	Name string
	// BaseDir is the absolute folder that relative paths start from.
	BaseDir string
	// Options is the JSON object that fits the builder's schema.
	Options json.RawMessage
}

// Progress tells a person what is going on; fraction is negative where it is
// not known.
type Progress func(message string, fraction float64)

// Image is a finished image in a store.
type Image struct {
	// Digest is that of the manifest, or of the index where there are
	// several platforms: "sha256:…".
	Digest string
	// Path is the absolute folder of the OCI layout.
	Path string
	// Platforms lists what it runs on: "linux/amd64".
	Platforms []string
	// Size is what its blobs take on disk, in bytes.
	Size int64
}

// Ref names the image for a provider on this machine.
func (i Image) Ref() string { return "oci-layout:" + i.Path + "@" + i.Digest }

// Builders are those that ship, by the name that `builder:` takes.
func Builders(h Host) map[string]Builder {
	return map[string]Builder{"go": Go{Host: h}, "dockerfile": Dockerfile{Host: h}, "prebuilt": Prebuilt{}}
}

// DefaultPlatforms are those of an image that names none: Linux on this
// machine's architecture, and this machine's own system, so that the image
// runs here as a process too.
func DefaultPlatforms() []string {
	platforms := []string{"linux/" + runtime.GOARCH}
	if runtime.GOOS != "linux" {
		platforms = append(platforms, runtime.GOOS+"/"+runtime.GOARCH)
	}
	return platforms
}

// Make builds an image into the store, where the newest of each name are
// kept.
func Make(ctx context.Context, b Builder, store *Store, spec Spec, progress Progress) (Image, error) {
	if err := b.Check(spec); err != nil {
		return Image{}, err
	}
	if progress == nil {
		progress = func(string, float64) {}
	}
	w, err := store.Writer(ctx, spec.Name)
	if err != nil {
		return Image{}, err
	}
	defer w.Close()
	if err := b.Build(ctx, spec, w, progress); err != nil {
		return Image{}, err
	}
	if err := ctx.Err(); err != nil {
		return Image{}, fault.Wrap(fault.Interrupted, err, "build image %q", spec.Name)
	}
	return w.Commit()
}
