package engine

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// registries are those of the project's manifest, which is read when somebody
// asks for one.
type registries struct {
	project  *Project
	once     sync.Once
	declared []config.Registry
	set      *registry.Set
	err      error
}

func (r *registries) read() {
	r.once.Do(func() {
		p := r.project
		m, err := config.LoadManifest(context.Background(), filepath.Join(p.Dir, "wfctl.yaml"), nil)
		if r.err = err; err != nil {
			return
		}
		if p.File != nil {
			m = m.WithLegacy(p.File)
		}
		r.declared = m.Registries
		r.set = registry.NewSet(p.kinds.Registries, specs(m.Registries), registry.Host{
			Getenv: p.options.Getenv, Lend: p.lend, Now: p.options.Now,
			Learn: func(password string) { p.secrets.redactor.Add(secret.FromString(password)) },
		})
	})
}

func (r *registries) list() ([]config.Registry, error) {
	r.read()
	return r.declared, r.err
}

// specs are the entries as package registry wants them.
func specs(declared []config.Registry) []registry.Spec {
	list := make([]registry.Spec, len(declared))
	for i, d := range declared {
		list[i] = registry.Spec{
			Name: d.Name, Type: d.Type, Host: d.Host, Namespace: d.Namespace, Provider: d.Provider, Optional: d.Optional, Pos: d.Pos,
			UsernameSource: d.UsernameSource, UsernameEnv: d.UsernameEnv, PasswordEnv: d.PasswordEnv,
		}
		if d.Options != nil {
			list[i].Options = d.Options.AppendJSON(nil)
		}
	}
	return list
}

// Registries are the container registries of the project.
func (p *Project) Registries() (*registry.Set, error) {
	p.registries.read()
	return p.registries.set, p.registries.err
}

// lend finds the provider behind a module that lends credentials.
func (p *Project) lend(ctx context.Context, module string) (sdk.RegistryProvider, error) {
	for _, m := range p.Set.Providers {
		if string(m.Address) != module {
			continue
		}
		provider, err := p.pool.Provider(ctx, resource.Provider{Address: m.Address, Kind: m.Kind})
		if err != nil {
			return nil, err
		}
		lender, ok := sdk.As[sdk.RegistryProvider](provider)
		if !ok {
			return nil, fault.New(fault.Config, "provider %q (%s) has no container registry", module, m.Kind).
				At(m.Pos).WithHint("take a registry of type docker or github for environment %q", p.Environment().Name())
		}
		return lender, nil
	}
	return nil, fault.New(fault.Config, "environment %q has no provider %q", p.Environment().Name(), module).
		WithHint("`provider` of a registry names a module of type iac.provider")
}

// heldElsewhere tells whether an image's registries have it, as far as the
// record says: then it need not be on this machine.
func (p *Project) heldElsewhere(image, digest string) bool {
	if p.layouts || p.recorded == nil {
		return false
	}
	if _, desired := p.Set.Node(resource.Address(resource.PushPrefix + image)); !desired {
		return false
	}
	rec, ok := p.recorded(resource.Key{Address: resource.Address(resource.PushPrefix + image)})
	if !ok || rec.Status != resource.Ready {
		return false
	}
	var pushed string
	return json.Unmarshal(rec.Outputs["digest"].Value, &pushed) == nil && pushed == digest
}

// pushes tells whether something is to be known of a push: it is desired, or
// the image itself is gone from the file.
func (p *Project) pushes(push resource.Address) bool {
	if _, ok := p.Set.Node(push); ok {
		return true
	}
	_, image := p.Set.Node(resource.ImagePrefix + push[len(resource.PushPrefix):])
	return !image
}

// Registries are those of a project's manifest, without an environment:
// nothing lends a credential.
func Registries(kinds Kinds, o Options) (*registry.Set, error) {
	o.setDefaults()
	dir, err := ProjectDir(o)
	if err != nil {
		return nil, err
	}
	p := &Project{Dir: dir, kinds: kinds, options: o, events: o.Events, Set: &resolve.Set{}}
	p.secrets, p.registries = newKnowledge(o.Secrets, p.events), &registries{project: p}
	return p.Registries()
}

// pushVariables are the variables that hold the credentials of the registries
// that images go to.
func (p *Project) pushVariables() (names []string) {
	for _, d := range p.Set.Nodes {
		if nodeKind(d.Address()) != resource.PushPrefix {
			continue
		}
		var doc struct{ Registries []struct{ Name string } }
		resolved, err := d.Config().Resolve(unknownScope{})
		if err != nil || json.Unmarshal(resolved.Config.Bytes(), &doc) != nil {
			continue // said by who resolves it
		}
		for _, used := range doc.Registries {
			for _, r := range p.registries.declared {
				if r.Name == used.Name {
					names = append(names, r.UsernameEnv, r.PasswordEnv)
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}
