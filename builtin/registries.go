package builtin

import (
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/registry/docker"
	"github.com/gocodealone/wfctl/registry/github"
	"github.com/gocodealone/wfctl/registry/provider"
)

// registries are the types of container registries. Those of a cloud differ in
// their host alone: its plugin knows the rest.
func registries() kind.Set[registry.Kind] {
	return kind.NewSet("type of registry", map[string]registry.Kind{
		"docker":       docker.Kind,
		"github":       github.Kind,
		"digitalocean": provider.Kind("registry.digitalocean.com"),
		"aws-ecr":      provider.Kind(""),
		"gcp-ar":       provider.Kind(""),
		"azure-acr":    provider.Kind(""),
	})
}
