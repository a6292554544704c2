package registry

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gocodealone/wfctl/fault"
)

// renewBefore is how long before its end a credential is renewed: a request
// that is under way must not outlive it.
const renewBefore = 2 * time.Minute

// held is a credential that was handed out; a zero renew holds for ever.
type held struct {
	Credential
	renew time.Time
}

// Entry is an opened registry.
type Entry struct {
	Spec   Spec
	driver Driver
	now    func() time.Time

	mu         sync.Mutex
	repository string
	held       map[bool]held // by whether it may write
	docker     authn.Authenticator
}

// Ready says what keeps a credential from being had, without asking anybody.
func (e *Entry) Ready() error { return e.driver.Ready() }

// Repository makes sure that the registry exists and returns the prefix of the
// images' names: host/namespace. It asks once.
func (e *Entry) Repository(ctx context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.repository != "" {
		return e.repository, nil
	}
	repository, err := e.driver.Ensure(ctx)
	if err != nil {
		return "", fault.Wrap(fault.Provider, err, "registry %q", e.Spec.Name).At(e.Spec.Pos)
	}
	e.repository = repository
	return repository, nil
}

// Credential returns one that holds for a while yet: the one that was used
// last, or another shortly before that one ends. ErrNone says that none is
// configured.
func (e *Entry) Credential(ctx context.Context, w Want) (Credential, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, ok := e.held[w.Write]
	if ok && w.Lifetime == 0 && (h.renew.IsZero() || e.now().Before(h.renew)) {
		return h.Credential, nil
	}
	c, err := e.driver.Credential(ctx, w)
	if err == nil && w.Lifetime == 0 {
		e.held[w.Write] = held{c, renewal(c, e.now())}
	}
	return c, err
}

// renewal is when a credential is renewed: some time before its end; one that
// lives shorter than that is used for half of its life.
func renewal(c Credential, now time.Time) time.Time {
	if c.Expires.IsZero() {
		return time.Time{}
	}
	return c.Expires.Add(-min(renewBefore, c.Expires.Sub(now)/2))
}

// Drop forgets the credentials that were handed out: the registry refuses them.
func (e *Entry) Drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held, e.docker = map[bool]held{}, nil
}

// Authenticator shows the registry what Credential gives, asked for anew with
// each request, or what Docker's configuration has.
func (e *Entry) Authenticator(write bool) authn.Authenticator { return &authenticator{e, write} }

type authenticator struct {
	entry *Entry
	write bool
}

// Authorization implements authn.Authenticator.
func (a *authenticator) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext implements authn.ContextAuthenticator.
func (a *authenticator) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	c, err := a.entry.Credential(ctx, Want{Write: a.write})
	if errors.Is(err, ErrNone) {
		return a.entry.fromDocker(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &authn.AuthConfig{Username: c.Username, Password: c.Password.Reveal()}, nil
}

// fromDocker looks into Docker's configuration, once: a helper is a process.
func (e *Entry) fromDocker(ctx context.Context) (*authn.AuthConfig, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.docker == nil {
		host, err := name.NewRegistry(Canonical(e.Spec.Host))
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "registry %q", e.Spec.Name).At(e.Spec.Pos)
		}
		if e.docker, err = authn.Resolve(ctx, authn.DefaultKeychain, host); err != nil {
			return nil, fault.Wrap(fault.Environment, err, "registry %q: read Docker's credentials", e.Spec.Name)
		}
	}
	return authn.Authorization(ctx, e.docker)
}

// Source says for people where the credentials come from.
func (e *Entry) Source(ctx context.Context) (user, source string) {
	c, err := e.Credential(ctx, Want{Write: true})
	switch {
	case err == nil:
		return c.Username, c.Source
	case !errors.Is(err, ErrNone):
		return "", ""
	}
	if auth, err := e.fromDocker(ctx); err == nil && *auth != (authn.AuthConfig{}) {
		return auth.Username, "Docker's configuration"
	}
	return "", ""
}
