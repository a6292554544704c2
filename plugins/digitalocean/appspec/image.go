package appspec

import (
	"strings"

	"github.com/digitalocean/godo"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gocodealone/wfctl/sdk"
)

// The hosts of the registries that App Platform pulls from.
const (
	hostDOCR = "registry.digitalocean.com"
	hostGHCR = "ghcr.io"
	hostHub  = "docker.io"
)

// parseImage reads a reference such as ghcr.io/acme/web@sha256:….
func parseImage(text string) (*godo.ImageSourceSpec, error) {
	ref, err := name.ParseReference(text)
	if err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "%q names no image: %v", text, err)
	}
	image := &godo.ImageSourceSpec{}
	namespace, repository, nested := strings.Cut(ref.Context().RepositoryStr(), "/")
	if !nested {
		return nil, sdk.Errorf(sdk.CodeInvalid, "the image %q has no namespace", text).WithHint("write host/namespace/name")
	}
	image.Registry, image.Repository = namespace, repository
	switch ref.Context().RegistryStr() {
	case hostDOCR:
		// The account's own registry is implied, and naming it is refused.
		image.RegistryType, image.Registry = godo.ImageSourceSpecRegistryType_DOCR, ""
	case hostGHCR:
		image.RegistryType = godo.ImageSourceSpecRegistryType_Ghcr
	case name.DefaultRegistry, hostHub, "registry-1.docker.io", "registry.hub.docker.com":
		image.RegistryType = godo.ImageSourceSpecRegistryType_DockerHub
	default:
		return nil, sdk.Errorf(sdk.CodeInvalid, "App Platform cannot pull from %s", ref.Context().RegistryStr()).
			WithHint("push the image to " + hostDOCR + ", " + hostGHCR + " or " + hostHub)
	}
	if d, isDigest := ref.(name.Digest); isDigest {
		image.Digest = d.DigestStr()
	} else {
		image.Tag = ref.Identifier()
	}
	return image, nil
}

// formatImage is the reference that parseImage reads. The registry of
// DigitalOcean is the account's, whose name the spec does not have.
func formatImage(image *godo.ImageSourceSpec, docr string) string {
	host, namespace := hostHub, image.Registry
	switch image.RegistryType {
	case godo.ImageSourceSpecRegistryType_DOCR:
		host, namespace = hostDOCR, docr
	case godo.ImageSourceSpecRegistryType_Ghcr:
		host = hostGHCR
	}
	if namespace == "" {
		namespace = "_"
	}
	text := host + "/" + namespace + "/" + image.Repository
	switch {
	case image.Digest != "":
		return text + "@" + image.Digest
	case image.Tag != "":
		return text + ":" + image.Tag
	}
	return text + ":" + name.DefaultTag
}

// DOCRName is the registry of DigitalOcean that a reference names; empty for
// images of other registries.
func DOCRName(image string) string {
	rest, ours := strings.CutPrefix(image, hostDOCR+"/")
	if !ours {
		return ""
	}
	registry, _, _ := strings.Cut(rest, "/")
	return registry
}
