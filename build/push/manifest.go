package push

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// accepted are the kinds of manifests that are asked for.
var accepted = http.Header{"Accept": {
	string(types.OCIImageIndex), string(types.OCIManifestSchema1), string(types.DockerManifestList), string(types.DockerManifestSchema2),
}}

func jsonErrors(body []byte, into *transport.Error) bool {
	return json.Unmarshal(body, into) == nil && len(into.Errors) > 0
}

func (c *client) hasManifest(ctx context.Context, reference string) (bool, error) {
	a, err := c.do(ctx, "look for the image", http.MethodHead, c.url("manifests/%s", reference), accepted, nil, http.StatusOK)
	return err == nil && a.status == http.StatusOK, err
}

// putManifest gives a manifest a name: its digest, or a tag.
func (c *client) putManifest(ctx context.Context, m Manifest, reference string) error {
	if there, err := c.hasManifest(ctx, reference); err != nil || (there && reference == m.Digest.String()) {
		return err
	}
	_, err := c.put(ctx, m, reference)
	return err
}

func (c *client) put(ctx context.Context, m Manifest, reference string) (*answer, error) {
	header := http.Header{"Content-Type": {string(m.MediaType)}}
	a, err := c.do(ctx, "take the manifest", http.MethodPut, c.url("manifests/%s", reference), header, m.raw, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err == nil && a.status == http.StatusNotFound {
		err = c.explain(ctx, "take the manifest", &refused{a.status, words(a.body)})
	}
	return a, err
}

// putTag points a tag at the image, where it points elsewhere.
func (c *client) putTag(ctx context.Context, m Manifest, tag string) error {
	a, err := c.do(ctx, "look at the tag", http.MethodHead, c.url("manifests/%s", tag), accepted, nil, http.StatusOK)
	if err != nil || (a.status == http.StatusOK && a.header.Get("Docker-Content-Digest") == m.Digest.String()) {
		return err
	}
	_, err = c.put(ctx, m, tag)
	return err
}

// putReferrer puts a manifest with a subject. A registry that does not list
// referrers by itself gets a list of them under a tag that clients look for.
func (c *client) putReferrer(ctx context.Context, m Manifest) error {
	a, err := c.put(ctx, m, m.Digest.String())
	if err != nil || a.header.Get("OCI-Subject") != "" {
		return err
	}
	var parsed referrer
	if err := json.Unmarshal(m.raw, &parsed); err != nil || parsed.Subject == nil {
		return nil //nolint:nilerr // it refers to nothing
	}
	subject := parsed.Subject.Digest
	listed, err := c.do(ctx, "list what refers to the image", http.MethodGet, c.url("referrers/%s", subject), nil, nil, http.StatusOK, http.StatusMethodNotAllowed, http.StatusBadRequest)
	if err != nil {
		return err
	}
	var index v1.IndexManifest
	if listed.status == http.StatusOK && json.Unmarshal(listed.body, &index) == nil && index.MediaType == types.OCIImageIndex {
		return nil
	}
	return c.listReferrer(ctx, subject, parsed.descriptor(m))
}

// referrer is what a list of referrers repeats of a manifest.
type referrer struct {
	Subject      *v1.Descriptor    `json:"subject"`
	ArtifactType string            `json:"artifactType"`
	Config       v1.Descriptor     `json:"config"`
	Annotations  map[string]string `json:"annotations"`
}

func (r referrer) descriptor(m Manifest) v1.Descriptor {
	d := m.Descriptor
	d.ArtifactType, d.Annotations = r.ArtifactType, r.Annotations
	if d.ArtifactType == "" {
		d.ArtifactType = string(r.Config.MediaType)
	}
	return d
}

// listReferrer adds to the list under the tag that stands for the referrers of
// a digest: sha256-….
func (c *client) listReferrer(ctx context.Context, subject v1.Hash, d v1.Descriptor) error {
	tag := strings.Replace(subject.String(), ":", "-", 1)
	a, err := c.do(ctx, "read the list of what refers to the image", http.MethodGet, c.url("manifests/%s", tag), accepted, nil, http.StatusOK)
	if err != nil {
		return err
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	if a.status == http.StatusOK {
		if err := json.Unmarshal(a.body, &index); err != nil {
			return c.explain(ctx, "say what refers to the image", err)
		}
	}
	if slices.ContainsFunc(index.Manifests, func(o v1.Descriptor) bool { return o.Digest == d.Digest }) {
		return nil
	}
	index.Manifests = append(index.Manifests, d)
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	h, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	_, err = c.put(ctx, Manifest{Descriptor: v1.Descriptor{MediaType: types.OCIImageIndex, Digest: h, Size: size}, raw: raw}, tag)
	return err
}
