package builtin

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/gocodealone/wfctl/build/push"
	"github.com/gocodealone/wfctl/internal/stall"
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

// keychain has the credentials of a project's registries, whose manifest is
// read when an image that another is built upon is fetched.
type keychain struct {
	registries func() (*registry.Set, error)
}

// Resolve implements authn.Keychain.
func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (k keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if k.registries == nil {
		return authn.Resolve(ctx, authn.DefaultKeychain, target)
	}
	set, err := k.registries()
	if err != nil {
		return nil, err
	}
	return authn.Resolve(ctx, set.Keychain(), target)
}

const (
	// answerTimeout is how long a registry may take to answer what it was sent.
	answerTimeout = 2 * time.Minute
	// stallTimeout is how long a body may stand still on its way.
	stallTimeout = time.Minute
)

// pusher brings images to registries, also to those that are reached elsewhere
// than their name says.
func pusher() *push.Pusher {
	own := http.DefaultTransport.(*http.Transport).Clone() // the standard library's, by its documentation
	own.ResponseHeaderTimeout, own.MaxIdleConnsPerHost = answerTimeout, 8
	transport, err := registry.Endpoints(&stall.Transport{Base: own, After: stallTimeout}, os.Getenv(registry.EndpointsVariable))
	if err != nil {
		transport = failing{err}
	}
	return &push.Pusher{Transport: transport}
}

// failing says with each request what is wrong with its settings.
type failing struct{ err error }

// RoundTrip implements http.RoundTripper.
func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
