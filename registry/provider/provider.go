// Package provider is a registry of a cloud: the plugin that manages the cloud
// makes it, and lends credentials for it that end soon.
package provider

import (
	"context"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/sdk"
)

// lifetime is asked for where nothing else is wished: longer than most pushes,
// and no longer; one that ends during a push is renewed.
const lifetime = 30 * time.Minute

// Kind makes a type; host is that of an entry that says none, "" where only the
// provider knows it.
func Kind(host string) registry.Kind {
	return registry.Kind{Host: host, Check: check, Open: func(s registry.Spec, h registry.Host) registry.Driver { return &driver{s, h} }}
}

func check(s registry.Spec) error {
	if s.Provider == "" {
		return fault.New(fault.Config, "registry %q is of type %s and names no provider", s.Name, s.Type).
			At(s.Pos).WithHint("`provider:` names the module of type iac.provider that lends credentials for it")
	}
	if s.UsernameEnv != "" || s.UsernameSource != "" || s.PasswordEnv != "" {
		return fault.New(fault.Config, "registry %q has `auth`, and its provider %q lends credentials", s.Name, s.Provider).
			At(s.Pos).WithHint("remove `auth`, or make it a registry of type docker")
	}
	return registry.CheckNames(s)
}

type driver struct {
	spec registry.Spec
	host registry.Host
}

// Ready implements registry.Driver: what the provider needs it says itself.
func (*driver) Ready() error { return nil }

// Ensure implements registry.Driver.
func (d *driver) Ensure(ctx context.Context) (string, error) {
	p, err := d.host.Lend(ctx, d.spec.Provider)
	if err != nil {
		return "", err
	}
	res, err := p.EnsureRegistry(ctx, &sdk.EnsureRegistryRequest{
		Host: d.spec.Host, Namespace: d.spec.Namespace, Options: sdk.Config{JSON: d.spec.Options},
	}, silent{})
	if err != nil {
		return "", err
	}
	if res.Repository == "" {
		return "", fault.New(fault.Provider, "provider %q does not say where images go", d.spec.Provider)
	}
	return res.Repository, nil
}

// Credential implements registry.Driver.
func (d *driver) Credential(ctx context.Context, w registry.Want) (registry.Credential, error) {
	p, err := d.host.Lend(ctx, d.spec.Provider)
	if err != nil {
		return registry.Credential{}, err
	}
	if w.Lifetime == 0 {
		w.Lifetime = lifetime
	}
	res, err := p.RegistryCredential(ctx, &sdk.RegistryCredentialRequest{
		Host: d.spec.Host, Namespace: d.spec.Namespace, Write: w.Write, Lifetime: w.Lifetime,
	})
	if err != nil {
		return registry.Credential{}, fault.Wrap(fault.Provider, err, "registry %q: borrow a credential from provider %q", d.spec.Name, d.spec.Provider)
	}
	if d.host.Learn != nil {
		d.host.Learn(res.Password.Reveal())
	}
	return registry.Credential{Username: res.Username, Password: res.Password, Expires: res.Expires, Source: "the provider " + d.spec.Provider}, nil
}

// silent takes what a provider tells on the way: it is done in a moment.
type silent struct{}

// Assigned implements sdk.Reporter.
func (silent) Assigned(string) error { return nil }

// Progress implements sdk.Reporter.
func (silent) Progress(string, float64) {}

// Log implements sdk.Reporter.
func (silent) Log(string) {}

// Warn implements sdk.Reporter.
func (silent) Warn(sdk.Diagnostic) {}
