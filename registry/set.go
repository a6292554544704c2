package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
)

// Set is the registries of one project, opened on demand.
type Set struct {
	kinds kind.Set[Kind]
	host  Host
	specs []Spec

	mu      sync.Mutex
	entries map[string]*Entry
}

// NewSet makes a set. Nothing is looked at before an entry is asked for.
func NewSet(kinds kind.Set[Kind], specs []Spec, h Host) *Set {
	if h.Now == nil {
		h.Now = time.Now
	}
	specs = slices.Clone(specs)
	for i, spec := range specs {
		if k, err := kinds.Get(spec.Type); err == nil && spec.Host == "" {
			specs[i].Host = k.Host
		}
	}
	return &Set{kinds: kinds, host: h, specs: specs, entries: map[string]*Entry{}}
}

// Specs are the entries as declared.
func (s *Set) Specs() []Spec { return s.specs }

// Check reports what is wrong with all entries.
func (s *Set) Check() error {
	var faults fault.List
	for _, spec := range s.specs {
		if _, err := s.Get(spec.Name); err != nil {
			faults = append(faults, asFault(err, spec))
		}
	}
	return faults.Err()
}

func asFault(err error, s Spec) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return fault.Wrap(fault.Config, err, "registry %q", s.Name).At(s.Pos)
}

// Get opens the registry called name.
func (s *Set) Get(name string) (*Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[name]; ok {
		return e, nil
	}
	var known []string
	for _, spec := range s.specs {
		if spec.Name != name {
			known = append(known, spec.Name)
			continue
		}
		k, err := s.kinds.Get(spec.Type)
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "registry %q", name).At(spec.Pos)
		}
		if err := k.Check(spec); err != nil {
			return nil, err
		}
		e := &Entry{Spec: spec, driver: k.Open(spec, s.host), now: s.host.Now, held: map[bool]held{}}
		s.entries[name] = e
		return e, nil
	}
	return nil, Unknown(name, known)
}

// Unknown is the error of a name that no registry has.
func Unknown(name string, known []string) *fault.Error {
	err := fault.New(fault.Config, "there is no registry %q", name)
	if near := kind.Nearest(name, known); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	if len(known) == 0 {
		return err.WithHint("declare it in wfctl.yaml: registries: [{name: %s, type: docker, host: …, namespace: …}]", name)
	}
	return err.WithHint("wfctl.yaml has %s", strings.Join(known, ", "))
}

// Keychain answers for the hosts of the set, and for all others with what
// Docker's configuration of the user has, credential helpers and all.
func (s *Set) Keychain() authn.Keychain { return keychain{s} }

type keychain struct{ set *Set }

// Resolve implements authn.Keychain.
func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain. Where several entries are of
// one host, the one whose namespace is the target's wins.
func (k keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	var best *Spec
	for i := range k.set.specs {
		spec := &k.set.specs[i]
		if spec.Host == "" && spec.Provider != "" || Canonical(spec.Host) != target.RegistryStr() {
			continue
		}
		inside := spec.Namespace != "" && strings.HasPrefix(target.String()+"/", Join(target.RegistryStr(), spec.Namespace)+"/")
		if best == nil || inside {
			best = spec
		}
	}
	if best == nil {
		return authn.Resolve(ctx, authn.DefaultKeychain, target)
	}
	e, err := k.set.Get(best.Name)
	if err != nil {
		return nil, err
	}
	if e.Ready() != nil { // somebody only reads, and may need nothing
		return authn.Resolve(ctx, authn.DefaultKeychain, target)
	}
	return e.Authenticator(false), nil
}

// IsHub tells whether a host is one of Docker Hub's names; none at all is one.
func IsHub(host string) bool {
	switch host {
	case "", "docker.io", "registry-1.docker.io", "index.docker.io", "registry.hub.docker.com":
		return true
	}
	return false
}

// Canonical is the host as images' names have it: Docker Hub has several.
func Canonical(host string) string {
	if IsHub(host) {
		return name.DefaultRegistry
	}
	return host
}
