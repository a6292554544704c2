package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gocodealone/wfctl/fault"
)

// Try shows a credential to a registry, as docker login does before it stores
// one. rt carries the requests.
func Try(ctx context.Context, host string, c Credential, rt http.RoundTripper) error {
	reg, err := name.NewRegistry(Canonical(host))
	if err != nil {
		return fault.Wrap(fault.Config, err, "%q cannot be the host of a registry", host)
	}
	auth := authn.FromConfig(authn.AuthConfig{Username: c.Username, Password: c.Password.Reveal()})
	shown, err := transport.NewWithContext(ctx, reg, auth, rt, nil)
	if err != nil {
		return tried(reg, c, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v2/", reg.Scheme(), reg.Name()), http.NoBody)
	if err != nil {
		return fault.Wrap(fault.Config, err, "%q cannot be the host of a registry", host)
	}
	res, err := (&http.Client{Transport: shown}).Do(req)
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // it is not read
		err = transport.CheckError(res, http.StatusOK)
	}
	return tried(reg, c, err)
}

func tried(reg name.Registry, c Credential, err error) error {
	var said *transport.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said) && (said.StatusCode == http.StatusUnauthorized || said.StatusCode == http.StatusForbidden):
		return fault.New(fault.Environment, "the registry at %s refuses user %q: %d", reg.Name(), c.Username, said.StatusCode).
			WithHint("nothing was stored; is the password right, and has it not expired?")
	}
	return fault.Wrap(fault.Environment, err, "ask the registry at %s about the credential", reg.Name()).WithHint("nothing was stored; is the host right, and the network there?")
}
