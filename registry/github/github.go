// Package github is the container registry of GitHub. What an entry leaves out
// is what GitHub Actions has.
package github

import (
	"context"
	"errors"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/registry"
)

// Kind is the type `github`.
var Kind = registry.Kind{
	Host: "ghcr.io",
	Check: func(s registry.Spec) error {
		return errors.Join(registry.CheckNames(s), registry.CheckAuth(complete(s)))
	},
	Open: func(s registry.Spec, h registry.Host) registry.Driver { return &driver{complete(s), h} },
}

// complete fills in what a workflow of GitHub has.
func complete(s registry.Spec) registry.Spec {
	if s.PasswordEnv == "" {
		s.PasswordEnv = "GITHUB_TOKEN"
	}
	if s.UsernameSource == "" && s.UsernameEnv == "" {
		s.UsernameSource = "github.actor"
	}
	return s
}

type driver struct {
	spec registry.Spec
	host registry.Host
}

// Ready implements registry.Driver.
func (d *driver) Ready() error {
	_, credential := registry.EnvironmentCredential(d.spec, d.host)
	_, namespace := d.namespace()
	return errors.Join(credential, namespace)
}

// namespace is the entry's, else the owner of the repository that a workflow
// runs in.
func (d *driver) namespace() (string, error) {
	if d.spec.Namespace != "" {
		return d.spec.Namespace, nil
	}
	owner, _ := d.host.Getenv("GITHUB_REPOSITORY_OWNER")
	if owner == "" {
		return "", fault.New(fault.Config, "registry %q says no namespace", d.spec.Name).
			At(d.spec.Pos).WithHint("namespace is the user or organisation that owns the images; in GitHub Actions the repository's owner stands in for it")
	}
	return strings.ToLower(owner), nil
}

// Ensure implements registry.Driver: GitHub makes a package with the first push.
func (d *driver) Ensure(context.Context) (string, error) {
	namespace, err := d.namespace()
	return registry.Join(d.spec.Host, namespace), err
}

// Credential implements registry.Driver.
func (d *driver) Credential(context.Context, registry.Want) (registry.Credential, error) {
	return registry.EnvironmentCredential(d.spec, d.host)
}
