package attest

import (
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gocodealone/wfctl/fault"
)

const emptyConfig types.MediaType = "application/vnd.oci.empty.v1+json"

// document is an artifact: one blob with the manifest that OCI prescribes.
type document struct {
	manifest []byte
	blobs    map[v1.Hash]v1.Layer
}

// artifact wraps a document about an image. The same document makes the same
// artifact.
func artifact(subject v1.Descriptor, artifactType string, content []byte, annotations map[string]string) (v1.Image, error) {
	config, body := static.NewLayer([]byte("{}"), emptyConfig), static.NewLayer(content, types.MediaType(artifactType))
	d := &document{blobs: map[v1.Hash]v1.Layer{}}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: artifactType,
		Subject: &subject, Annotations: annotations,
	}
	for _, l := range []v1.Layer{config, body} {
		desc, err := partial.Descriptor(l)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "write an artifact")
		}
		d.blobs[desc.Digest] = l
		if l == config {
			m.Config = *desc
			continue
		}
		m.Layers = append(m.Layers, *desc)
	}
	var err error
	if d.manifest, err = json.Marshal(m); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "write an artifact")
	}
	img, err := partial.CompressedToImage(d)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "write an artifact")
	}
	return img, nil
}

// RawConfigFile implements partial.CompressedImageCore.
func (d *document) RawConfigFile() ([]byte, error) { return []byte("{}"), nil }

// MediaType implements partial.CompressedImageCore.
func (d *document) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawManifest implements partial.CompressedImageCore.
func (d *document) RawManifest() ([]byte, error) { return d.manifest, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (d *document) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	l, ok := d.blobs[h]
	if !ok {
		return nil, fault.New(fault.Internal, "an artifact has no blob %s", h)
	}
	return l, nil
}
