package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gocodealone/wfctl/fault"
)

// Blob is a layer or a configuration.
type Blob struct {
	Digest v1.Hash
	Size   int64
	open   func(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// Manifest is a manifest or an index.
type Manifest struct {
	v1.Descriptor
	raw []byte
	// names are the blobs that it names.
	names []v1.Hash
}

// Source gives parts of images by their digest; what it does not have is
// fs.ErrNotExist.
type Source interface {
	Manifest(ctx context.Context, h v1.Hash) ([]byte, error)
	Blob(ctx context.Context, h v1.Hash, size, offset int64) (io.ReadCloser, error)
}

// Content is an image and where its parts are.
type Content struct {
	Digest  v1.Hash
	Sources []Source
}

// Layout is the OCI layout in a folder, as a source.
type Layout string

// Manifest implements Source.
func (l Layout) Manifest(_ context.Context, h v1.Hash) ([]byte, error) {
	return os.ReadFile(l.path(h))
}

func (l Layout) path(h v1.Hash) string { return filepath.Join(string(l), "blobs", h.Algorithm, h.Hex) }

// Blob implements Source.
func (l Layout) Blob(_ context.Context, h v1.Hash, _, offset int64) (io.ReadCloser, error) {
	f, err := os.Open(l.path(h))
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// manifest reads a manifest from the first source that has it, and checks it.
func (c *Content) manifest(ctx context.Context, h v1.Hash) ([]byte, error) {
	var errs []error
	for _, s := range c.Sources {
		raw, err := s.Manifest(ctx, h)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if got, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || got != h {
			errs = append(errs, fault.New(fault.Integrity, "the manifest %s is not what its digest says", h))
			continue
		}
		return raw, nil
	}
	return nil, missing(errs, h)
}

func missing(errs []error, h v1.Hash) error {
	err := errors.Join(errs...)
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "the image is no longer whole: %s is not on this machine and in none of its registries", h).
			WithHint("build it again: wfctl build")
	}
	return fault.Wrap(fault.Environment, err, "read the image's part %s", h)
}

func (c *Content) blob(d v1.Descriptor) Blob {
	return Blob{Digest: d.Digest, Size: d.Size, open: func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		var errs []error
		for _, s := range c.Sources {
			r, err := s.Blob(ctx, d.Digest, d.Size, offset)
			if err == nil {
				return r, nil
			}
			errs = append(errs, err)
		}
		return nil, missing(errs, d.Digest)
	}}
}

// maxDepth bounds indices in indices.
const maxDepth = 4

// parts lists the blobs of an image, and its manifests, each behind what it
// names.
func (c *Content) parts(ctx context.Context) (blobs []Blob, manifests []Manifest, err error) {
	return c.walk(ctx, v1.Descriptor{Digest: c.Digest}, maxDepth)
}

func (c *Content) walk(ctx context.Context, d v1.Descriptor, depth int) (blobs []Blob, manifests []Manifest, err error) {
	raw, err := c.manifest(ctx, d.Digest)
	if err != nil {
		return nil, nil, err
	}
	var m struct {
		MediaType types.MediaType `json:"mediaType"`
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &m); err != nil || depth == 0 {
		return nil, nil, fault.New(fault.Integrity, "%s is not the manifest of an image", d.Digest)
	}
	self := Manifest{Descriptor: v1.Descriptor{MediaType: m.MediaType, Digest: d.Digest, Size: int64(len(raw))}, raw: raw}
	if self.MediaType == "" {
		self.MediaType = d.MediaType
	}
	if self.MediaType == "" {
		self.MediaType = types.OCIManifestSchema1
		if m.Config == nil {
			self.MediaType = types.OCIImageIndex
		}
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		if len(l.URLs) > 0 { // of a vendor who lets nobody pass it on
			continue
		}
		blobs, self.names = append(blobs, c.blob(l)), append(self.names, l.Digest)
	}
	for _, child := range m.Manifests {
		b, ms, err := c.walk(ctx, child, depth-1)
		if err != nil {
			return nil, nil, err
		}
		blobs, manifests = append(blobs, b...), append(manifests, ms...)
	}
	return blobs, append(manifests, self), nil
}

// imageParts are those of an image that exists in memory.
func imageParts(img v1.Image) ([]Blob, Manifest, error) {
	raw, err := img.RawManifest()
	if err != nil {
		return nil, Manifest{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, Manifest{}, err
	}
	media, err := img.MediaType()
	if err != nil {
		return nil, Manifest{}, err
	}
	m := Manifest{Descriptor: v1.Descriptor{MediaType: media, Digest: digest, Size: int64(len(raw))}, raw: raw}
	layers, err := img.Layers()
	if err != nil {
		return nil, m, err
	}
	var blobs []Blob
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			return nil, m, err
		}
		size, err := l.Size()
		if err != nil {
			return nil, m, err
		}
		blobs, m.names = append(blobs, Blob{h, size, fromStart(l.Compressed)}), append(m.names, h)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, m, err
	}
	h, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, m, err
	}
	return append(blobs, Blob{h, size, fromStart(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(config)), nil })}), m, nil
}

// fromStart reads what can only be read from its beginning.
func fromStart(open func() (io.ReadCloser, error)) func(context.Context, int64) (io.ReadCloser, error) {
	return func(_ context.Context, offset int64) (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, offset); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		return r, nil
	}
}

// Source reads an image from a registry that has it.
func (p *Pusher) Source(t Target) Source { return &remoteSource{pusher: p, target: t} }

// remoteSource connects when it is first asked: mostly the layout has it all.
type remoteSource struct {
	pusher *Pusher
	target Target
	once   sync.Once
	client *client
	err    error
}

func (s *remoteSource) connect(ctx context.Context) error {
	s.once.Do(func() { s.client, s.err = s.pusher.connect(ctx, s.target) })
	return s.err
}

// Manifest implements Source.
func (s *remoteSource) Manifest(ctx context.Context, h v1.Hash) ([]byte, error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	a, err := s.client.do(ctx, "give the manifest", http.MethodGet, s.client.url("manifests/%s", h), accepted, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound {
		return nil, fs.ErrNotExist
	}
	return a.body, nil
}

// Blob implements Source.
func (s *remoteSource) Blob(ctx context.Context, h v1.Hash, size, offset int64) (io.ReadCloser, error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.client.url("blobs/%s", h), nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, size-1))
	}
	res, err := s.client.http.Do(req)
	if err != nil {
		return nil, failure(ctx, err)
	}
	switch {
	case res.StatusCode == http.StatusPartialContent, res.StatusCode == http.StatusOK && offset == 0:
		return res.Body, nil
	case res.StatusCode == http.StatusOK: // it knows no ranges
		if _, err := io.CopyN(io.Discard, res.Body, offset); err != nil {
			return nil, errors.Join(failure(ctx, err), res.Body.Close())
		}
		return res.Body, nil
	case res.StatusCode == http.StatusNotFound:
		return nil, errors.Join(fs.ErrNotExist, res.Body.Close())
	}
	raw, _ := io.ReadAll(io.LimitReader(res.Body, maxBody)) // a part of it says enough
	return nil, errors.Join(verdict(&answer{status: res.StatusCode, header: res.Header, body: raw}), res.Body.Close())
}
