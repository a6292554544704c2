package locktest

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
)

// Registry is an OCI registry of this process.
type Registry struct {
	t    testing.TB
	host string
}

// NewRegistry starts a registry.
func NewRegistry(t testing.TB) *Registry {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return &Registry{t, strings.TrimPrefix(server.URL, "http://")}
}

// Source is the address of a repository for wfctl.yaml.
func (r *Registry) Source(repository string) string { return "oci://" + r.host + "/" + repository }

// Push publishes a release as `oras push` does: a layer per file, titled by
// its name.
func (r *Registry) Push(repository string, rel *Release) {
	r.t.Helper()
	ctx := r.t.Context()
	repo, err := remote.NewRepository(r.host + "/" + repository)
	if err != nil {
		r.t.Fatal(err)
	}
	repo.PlainHTTP = true
	var layers []ocispec.Descriptor
	for name, data := range rel.Files {
		desc := content.NewDescriptorFromBytes("application/octet-stream", data)
		desc.Annotations = map[string]string{ocispec.AnnotationTitle: name}
		if err := repo.Push(ctx, desc, strings.NewReader(string(data))); err != nil {
			r.t.Fatal(err)
		}
		layers = append(layers, desc)
	}
	m, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.wfctl.plugin", oras.PackManifestOptions{Layers: layers})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := repo.Tag(ctx, m, rel.Version); err != nil {
		r.t.Fatal(err)
	}
}
