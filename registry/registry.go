// Package registry knows the container registries of a project: what images
// are called there, and how a credential for one is had. A [Driver] is one
// kind of registry; caching, renewal and the credentials that Docker keeps live
// here once. It moves no image, and it writes a credential nowhere but where
// [Login] is asked to.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/sdk"
)

// Spec is one entry of `registries:` in wfctl.yaml.
type Spec struct {
	Name, Type, Host, Namespace string
	// UsernameSource is an expression such as github.actor; UsernameEnv and
	// PasswordEnv name variables.
	UsernameSource, UsernameEnv, PasswordEnv string
	// Provider is the iac.provider module that lends credentials.
	Provider string
	// Optional: a push does not fail because of this registry.
	Optional bool
	// Options are the kind's own, a JSON object; nil for none.
	Options json.RawMessage
	Pos     fault.Position
}

// Kind is a type of registry.
type Kind struct {
	// Host is the host of an entry that says none.
	Host string
	// Check reports what is wrong with an entry, without I/O and whatever the
	// variables hold.
	Check func(Spec) error
	// Open makes the driver; nobody is asked yet.
	Open func(Spec, Host) Driver
}

// Driver is one registry.
type Driver interface {
	// Ready says what keeps a credential from being had, as far as that is
	// known without asking anybody: a variable that is unset.
	Ready() error
	// Ensure makes the registry exist and returns the prefix of the images'
	// names: host/namespace.
	Ensure(ctx context.Context) (string, error)
	// Credential returns a credential, or ErrNone where none is configured.
	Credential(ctx context.Context, w Want) (Credential, error)
}

// Want says what a credential is for. Lifetime is a wish; zero is the
// driver's own.
type Want struct {
	Write    bool
	Lifetime time.Duration
}

// Credential is what a registry is shown.
type Credential struct {
	Username string
	Password sdk.Sensitive
	// Expires is zero for one that does not.
	Expires time.Time
	// Source says where it came from, for people: "the variable GITHUB_TOKEN".
	Source string
}

// ErrNone says that no credential is configured: Docker's are used, else none.
var ErrNone = errors.New("no credential is configured")

// Host is what drivers may use.
type Host struct {
	Getenv func(string) (string, bool)
	// Lend returns the provider behind an iac.provider module, configured.
	Lend func(ctx context.Context, module string) (sdk.RegistryProvider, error)
	// Learn is told each password, so that it is masked wherever it shows.
	Learn func(string)
	Now   func() time.Time
}

var (
	hostForm      = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$|^\[[0-9a-fA-F:]+\](:[0-9]{1,5})?$`)
	namespaceForm = lazyregexp.New(`^[a-z0-9]+([._/-]+[a-z0-9]+)*$`)
)

// CheckNames reports a host or namespace that no registry can have.
func CheckNames(s Spec) error {
	if strings.Contains(s.Host, "://") || strings.Contains(s.Host, "/") {
		return fault.New(fault.Config, "registry %q: the host %q is not a host", s.Name, s.Host).
			At(s.Pos).WithHint("write it without scheme and path: ghcr.io; what follows it is `namespace`")
	}
	if s.Host != "" && !hostForm().MatchString(s.Host) {
		return fault.New(fault.Config, "registry %q: %q is not a host", s.Name, s.Host).At(s.Pos).WithHint("write it as ghcr.io or 127.0.0.1:5000")
	}
	if s.Namespace != "" && !namespaceForm().MatchString(s.Namespace) {
		return fault.New(fault.Config, "registry %q: %q cannot be part of an image's name", s.Name, s.Namespace).
			At(s.Pos).WithHint("use lower-case letters, digits, dots, dashes and underscores, with slashes between")
	}
	return nil
}

// CheckAuth reports an authentication that is half given.
func CheckAuth(s Spec) error {
	user := s.UsernameSource != "" || s.UsernameEnv != ""
	switch {
	case s.UsernameSource != "" && s.UsernameEnv != "":
		return fault.New(fault.Config, "registry %q names its user twice", s.Name).At(s.Pos).WithHint("keep one of username_source and username_env")
	case user && s.PasswordEnv == "":
		return fault.New(fault.Config, "registry %q has a user and no password_env", s.Name).At(s.Pos).WithHint("auth.password_env names the variable that holds the password or token")
	case !user && s.PasswordEnv != "":
		return fault.New(fault.Config, "registry %q has a password_env and no user", s.Name).At(s.Pos).WithHint("auth.username_env names the variable that holds the user, or username_source: github.actor says it")
	}
	_, err := sourceVariable(s)
	return err
}

// Join puts the parts of an image's name together.
func Join(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p = strings.Trim(p, "/"); p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "/")
}
