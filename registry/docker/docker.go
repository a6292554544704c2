// Package docker is any registry that takes a user and a password: Docker Hub,
// a Harbor, a registry of one's own.
package docker

import (
	"context"
	"errors"

	"github.com/gocodealone/wfctl/registry"
)

// Kind is the type `docker`.
var Kind = registry.Kind{Check: check, Open: open}

func check(s registry.Spec) error {
	return errors.Join(registry.CheckNames(s), registry.CheckAuth(s))
}

func open(s registry.Spec, h registry.Host) registry.Driver { return &driver{s, h} }

type driver struct {
	spec registry.Spec
	host registry.Host
}

// Ready implements registry.Driver.
func (d *driver) Ready() error {
	_, err := registry.EnvironmentCredential(d.spec, d.host)
	if errors.Is(err, registry.ErrNone) {
		return nil
	}
	return err
}

// Ensure implements registry.Driver: such a registry makes a repository with
// the first push.
func (d *driver) Ensure(context.Context) (string, error) {
	host := d.spec.Host
	if registry.IsHub(host) {
		host = "docker.io"
	}
	return registry.Join(host, d.spec.Namespace), nil
}

// Credential implements registry.Driver.
func (d *driver) Credential(context.Context, registry.Want) (registry.Credential, error) {
	return registry.EnvironmentCredential(d.spec, d.host)
}
