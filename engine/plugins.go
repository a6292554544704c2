package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/pluginhost"
	"github.com/gocodealone/wfctl/sdk"
)

// plugins makes the providers that do not ship in the binary: of the plugins
// that the project's lockfile names and the store has. Nothing is read before
// a file asks for such a provider, and nothing runs before it is used.
type plugins struct {
	built  kind.Set[ProviderFactory]
	getenv func(string) (string, bool)
	// dir is the folder of wfctl.yaml and its lock.
	dir  string
	host *pluginhost.Host

	read      sync.Once
	installed []lock.Installed
	// missing says what is pinned and could not be found.
	missing error
}

func newPlugins(kinds Kinds, dir string, o Options) *plugins {
	return &plugins{
		built: kinds.Providers, getenv: o.Getenv, dir: dir,
		host: pluginhost.New(pluginhost.Options{Getenv: o.Getenv, Version: kinds.Version, Log: func(plugin, line string) {
			o.Events.Emit(event.NodeLog{Address: "plugin " + plugin, Line: line})
		}}),
	}
}

// list returns what is installed; what is pinned and is not is in the error.
func (ps *plugins) list(ctx context.Context) ([]lock.Installed, error) {
	ps.read.Do(func() {
		project, err := lock.Open(lock.Options{Dir: ps.dir, Getenv: ps.getenv})
		if err != nil {
			ps.missing = err
			return
		}
		ps.installed, ps.missing = project.Installed(ctx)
	})
	return ps.installed, ps.missing
}

// provider makes a provider of a kind.
func (ps *plugins) provider(ctx context.Context, name string) (sdk.Provider, error) {
	list, missing := ps.list(ctx)
	var found []lock.Installed
	var kinds []string
	for _, i := range list {
		kinds = append(kinds, i.Providers()...)
		if slices.Contains(i.Providers(), name) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return ps.start(found[0]), nil
	case len(found) > 1:
		return nil, ambiguous(name, found)
	case missing != nil:
		return nil, ps.notThere(name, missing)
	}
	return nil, ps.unknown(name, kinds)
}

func (ps *plugins) start(i lock.Installed) sdk.Provider {
	return ps.host.Provider(pluginhost.Plugin{Name: i.Name, Version: i.Version, Executable: i.Executable, SHA256: i.SHA256})
}

func ambiguous(name string, found []lock.Installed) error {
	var names []string
	for _, i := range found {
		names = append(names, i.Name)
	}
	return fault.New(fault.Config, "several plugins have a provider %q: %s", name, strings.Join(names, ", ")).
		WithHint("keep one of them: wfctl plugin remove %s", names[len(names)-1])
}

// notThere says that a provider may be in a plugin that is not installed.
func (ps *plugins) notThere(name string, missing error) error {
	var list fault.List
	var first *fault.Error
	if errors.As(missing, &list) && len(list) > 0 {
		first = list[0]
	}
	if first == nil && !errors.As(missing, &first) {
		return fault.Wrap(fault.Config, missing, "no built-in provider is called %q, and the plugins cannot be read", name)
	}
	return fault.Wrap(fault.Config, missing, "no provider %q is built in or installed", name).WithHint("%s", first.Hint)
}

// unknown suggests the provider that may have been meant.
func (ps *plugins) unknown(name string, fromPlugins []string) error {
	known := append(ps.built.Names(), fromPlugins...)
	err := fault.New(fault.Config, "unknown provider %q", name)
	if near := kind.Nearest(name, known); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	slices.Sort(known)
	return err.WithHint("there are %s; a plugin that has it is pinned by `wfctl plugin add NAME --source SOURCE`", strings.Join(slices.Compact(known), ", "))
}

// schemas reads what every installed plugin has, by provider kind.
func (ps *plugins) schemas(ctx context.Context, each func(kind string, s *sdk.Schema)) error {
	list, err := ps.list(ctx)
	if err != nil {
		return err
	}
	for _, i := range list {
		schema, err := ps.start(i).Schema(ctx)
		if err != nil {
			return err
		}
		for _, k := range i.Providers() {
			each(k, schema)
		}
	}
	return nil
}

// close ends every plugin.
func (ps *plugins) close(ctx context.Context) error { return ps.host.Close(ctx) }
