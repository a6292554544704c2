package ociunpack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Platform is what an image is built for.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// Here is the platform of this machine.
func Here() Platform { return Platform{runtime.GOOS, runtime.GOARCH} }

func (p Platform) String() string { return p.OS + "/" + p.Architecture }

// descriptor is the part of an OCI descriptor that is used here. See
// https://github.com/opencontainers/image-spec/blob/main/descriptor.md
type descriptor struct {
	MediaType string    `json:"mediaType"`
	Digest    string    `json:"digest"`
	Size      int64     `json:"size"`
	Platform  *Platform `json:"platform,omitempty"`
}

// document is an image index or an image manifest, whichever it turns out to
// be.
type document struct {
	Manifests []descriptor `json:"manifests"`
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
}

type imageConfig struct {
	Platform
	Config Config `json:"config"`
}

// maxDocument bounds manifests and configurations.
const maxDocument = 4 << 20

// ParseRef splits "oci-layout:PATH@sha256:HEX".
func ParseRef(ref string) (dir, digest string, err error) {
	rest, ok := strings.CutPrefix(ref, "oci-layout:")
	i := strings.LastIndexByte(rest, '@')
	if !ok || i <= 0 {
		return "", "", fmt.Errorf("%q is not an image of a layout (oci-layout:PATH@sha256:…)", ref)
	}
	dir, digest = rest[:i], rest[i+1:]
	if _, err := blobPath(dir, digest); err != nil {
		return "", "", err
	}
	return dir, digest, nil
}

// NoPlatformError says that an image is not built for a platform.
type NoPlatformError struct {
	Want Platform
	Have []string
}

// Error names the platforms that there are.
func (e *NoPlatformError) Error() string {
	return fmt.Sprintf("the image is built for %s, not for %s", strings.Join(e.Have, ", "), e.Want)
}

// Open finds the image with a digest, which may be that of an index, for a
// platform.
func Open(dir, digest string, want Platform) (*Image, error) {
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
		return nil, fmt.Errorf("there is no image layout: %w", err)
	}
	return open(dir, descriptor{Digest: digest}, want, 4)
}

func open(dir string, d descriptor, want Platform, depth int) (*Image, error) {
	raw, err := readBlob(dir, d)
	if err != nil {
		return nil, err
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("manifest %s cannot be understood: %w", d.Digest, err)
	}
	if doc.Config != nil {
		return withConfig(dir, d.Digest, doc, want)
	}
	if depth == 0 {
		return nil, errors.New("the index refers to itself")
	}
	chosen, err := choose(doc.Manifests, want)
	if err != nil {
		return nil, err
	}
	return open(dir, chosen, want, depth-1)
}

// choose picks the manifest of a platform; an index entry without one is
// looked into.
func choose(list []descriptor, want Platform) (descriptor, error) {
	var have []string
	for _, d := range list {
		if d.Platform == nil || *d.Platform == want {
			return d, nil
		}
		if d.Platform.OS != "unknown" { // attestations
			have = append(have, d.Platform.String())
		}
	}
	return descriptor{}, &NoPlatformError{Want: want, Have: have}
}

func withConfig(dir, digest string, doc document, want Platform) (*Image, error) {
	raw, err := readBlob(dir, *doc.Config)
	if err != nil {
		return nil, err
	}
	var c imageConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("configuration %s cannot be understood: %w", doc.Config.Digest, err)
	}
	if c.OS != "" && c.Platform != want {
		return nil, &NoPlatformError{Want: want, Have: []string{c.String()}}
	}
	return &Image{Digest: digest, Config: c.Config, layout: dir, layers: doc.Layers}, nil
}

func blobPath(dir, digest string) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if b, err := hex.DecodeString(sum); !ok || err != nil || len(b) != sha256.Size || sum != strings.ToLower(sum) {
		return "", fmt.Errorf("%q is not a digest (sha256: and 64 hexadecimal digits)", digest)
	}
	return filepath.Join(dir, "blobs", "sha256", sum), nil
}

func readBlob(dir string, d descriptor) ([]byte, error) {
	b, err := openBlob(dir, d)
	if err != nil {
		return nil, err
	}
	defer b.Close() //nolint:errcheck // read only
	raw, err := io.ReadAll(io.LimitReader(b, maxDocument))
	if err != nil {
		return nil, err
	}
	return raw, b.finish()
}

// blob reads a file of the layout and checks it on the way.
type blob struct {
	file   *os.File
	sum    hash.Hash
	digest string
}

func openBlob(dir string, d descriptor) (*blob, error) {
	name, err := blobPath(dir, d.Digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the layout lacks a part: %w", err)
	}
	return &blob{file: f, sum: sha256.New(), digest: d.Digest}, nil
}

func (b *blob) Read(p []byte) (int, error) {
	n, err := b.file.Read(p)
	b.sum.Write(p[:n])
	return n, err
}

func (b *blob) Close() error { return b.file.Close() }

// finish reads what is left and compares the digest.
func (b *blob) finish() error {
	if _, err := io.Copy(io.Discard, b); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(b.sum.Sum(nil)); got != b.digest {
		return fmt.Errorf("%s is damaged: its content has digest %s", b.digest, got)
	}
	return nil
}

// decompress goes by the first bytes, as media types are not always right.
func decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReader(r)
	magic, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(br)
	case slices.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(br), nil
}
