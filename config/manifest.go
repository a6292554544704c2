package config

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/gocodealone/wfctl/fault"
)

var (
	manifestKeys = []string{"version", "plugins", "registries", "mirrors"}
	pluginKeys   = []string{"name", "version", "source", "auth", "verify", "trust"}
	verifyKeys   = []string{"identity", "issuer"}
	registryKeys = []string{"name", "type", "host", "namespace", "auth", "provider", "optional", "options"}
	authKeys     = []string{"username_source", "username_env", "password_env"}
	mirrorKeys   = []string{"from", "to"}
)

// Manifest is wfctl.yaml: the plugins and registries of a project.
type Manifest struct {
	Path       string
	Plugins    []Plugin
	Registries []Registry
	Mirrors    []Mirror
	// Exists is false where there is no such file: an empty manifest.
	Exists bool
}

// Plugin is one pinned plugin.
type Plugin struct {
	Name, Version, Source string
	// AuthEnv names the variable that holds a token for a private source.
	AuthEnv string
	// Identity and Issuer are whose signature is asked for.
	Identity, Issuer string
	// Trust is "checksum-only" for a plugin without a signature, else "".
	Trust string
	Pos   fault.Position
}

// Registry is one container registry.
type Registry struct {
	Name, Type, Host, Namespace string
	// UsernameSource is an expression such as github.actor; UsernameEnv and
	// PasswordEnv name variables.
	UsernameSource, UsernameEnv, PasswordEnv string
	// Provider is the iac.provider module that lends credentials.
	Provider string
	Optional bool
	// Options are the kind's own.
	Options *Node
	Pos     fault.Position
}

// Mirror rewrites the sources of plugins that begin with From.
type Mirror struct {
	From, To string
	Pos      fault.Position
}

// LoadManifest reads wfctl.yaml. A file that does not exist is an empty one.
func LoadManifest(ctx context.Context, path string, read func(name string) ([]byte, error)) (*Manifest, error) {
	if read == nil {
		read = os.ReadFile
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := &Manifest{Path: path}
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the manifest")
	}
	m.Exists = true
	root, faults := parse(relativeTo(here())(path), data)
	if root == nil {
		return nil, faults.Err()
	}
	d := &decoder{faults: faults}
	d.manifest(root, m)
	return m, d.faults.Err()
}

func (d *decoder) manifest(root *Node, m *Manifest) {
	o := owner{"the manifest", ""}
	d.fields(root, o, manifestKeys, func(f Field) bool {
		switch f.Name {
		case "version":
			d.version(f)
		case "plugins":
			m.Plugins = d.plugins(f, o)
		case "registries":
			m.Registries = d.registries(f, o)
		case "mirrors":
			d.items(f, o, func(_ int, n *Node) { m.Mirrors = append(m.Mirrors, d.mirror(n)) })
		default:
			return false
		}
		return true
	})
}

func (d *decoder) plugins(f Field, o owner) []Plugin {
	var list []Plugin
	d.items(f, o, func(_ int, n *Node) {
		p := d.plugin(n)
		if p.Name == "" || d.declare("plugin", p.Name, n.Get("name")) {
			list = append(list, p)
		}
	})
	return list
}

func (d *decoder) plugin(n *Node) Plugin {
	p := Plugin{Pos: n.Pos()}
	o := named("plugin", n)
	d.fields(n, o, pluginKeys, func(f Field) bool {
		switch f.Name {
		case "name":
			p.Name = d.text(f, o)
		case "version":
			p.Version = d.text(f, o)
		case "source":
			p.Source = d.text(f, o)
		case "trust":
			p.Trust = d.word(f, o, "checksum-only")
		case "auth":
			d.strings(f, o, map[string]*string{"env": &p.AuthEnv}, []string{"env"})
		case "verify":
			d.strings(f, o, map[string]*string{"identity": &p.Identity, "issuer": &p.Issuer}, verifyKeys)
		default:
			return false
		}
		return true
	})
	d.required(n, o, n.Get("name") != nil, "name")
	return p
}

func (d *decoder) registries(f Field, o owner) []Registry {
	var list []Registry
	d.items(f, o, func(_ int, n *Node) {
		r := d.registry(n)
		if r.Name == "" || d.declare("registry", r.Name, n.Get("name")) {
			list = append(list, r)
		}
	})
	return list
}

func (d *decoder) registry(n *Node) Registry {
	r := Registry{Pos: n.Pos()}
	o := named("registry", n)
	d.fields(n, o, registryKeys, func(f Field) bool {
		switch f.Name {
		case "name":
			r.Name = d.name(f, o)
		case "type":
			r.Type = d.text(f, o)
		case "host":
			r.Host = d.text(f, o)
		case "namespace":
			r.Namespace = d.text(f, o)
		case "provider":
			r.Provider = d.text(f, o)
		case "optional":
			r.Optional = d.yes(f, o)
		case "options":
			d.is(f, o, Map)
			r.Options = mapOnly(f.Value)
		case "auth":
			d.strings(f, o, map[string]*string{
				"username_source": &r.UsernameSource, "username_env": &r.UsernameEnv, "password_env": &r.PasswordEnv,
			}, authKeys)
		default:
			return false
		}
		return true
	})
	d.required(n, o, n.Get("name") != nil, "name")
	d.required(n, o, n.Get("type") != nil, "type")
	return r
}

func (d *decoder) mirror(n *Node) Mirror {
	m := Mirror{Pos: n.Pos()}
	o := owner{"a mirror", ""}
	d.fields(n, o, mirrorKeys, func(f Field) bool {
		switch f.Name {
		case "from":
			m.From = d.text(f, o)
		case "to":
			m.To = d.text(f, o)
		default:
			return false
		}
		return true
	})
	d.required(n, o, n.Get("from") != nil, "from")
	d.required(n, o, n.Get("to") != nil, "to")
	return m
}

// strings decodes a mapping of strings.
func (d *decoder) strings(f Field, o owner, to map[string]*string, known []string) {
	o = owner{"`" + f.Name + "` of " + o.String(), ""}
	d.fields(f.Value, o, known, func(f Field) bool {
		p, ok := to[f.Name]
		if ok {
			*p = d.text(f, o)
		}
		return ok
	})
}

// named is an owner called as its node says.
func named(noun string, n *Node) owner {
	if name := n.Get("name"); name != nil && name.Kind == String && name.Text != "" {
		return owner{noun, name.Text}
	}
	return owner{"a " + noun, ""}
}

// requires decodes plugins of the old shape.
func (l *loader) requires(f Field) {
	o := owner{"`requires`", ""}
	l.fields(f.Value, o, []string{"plugins"}, func(f Field) bool {
		if f.Name != "plugins" {
			return false
		}
		l.file.Requires = append(l.file.Requires, l.plugins(f, o)...)
		return true
	})
	l.legacy(f, "`requires.plugins` in the application file is deprecated: plugins belong into wfctl.yaml",
		"run `wfctl migrate plugins`, which moves them there")
}

// WithLegacy returns the manifest with the plugins and registries that the
// application file has in the old shape; the manifest wins.
func (m *Manifest) WithLegacy(f *File) *Manifest {
	c := *m
	have := map[string]bool{}
	for _, p := range m.Plugins {
		have["p"+p.Name] = true
	}
	for _, r := range m.Registries {
		have["r"+r.Name] = true
	}
	for _, p := range f.Requires {
		if !have["p"+p.Name] {
			c.Plugins = append(c.Plugins[:len(c.Plugins):len(c.Plugins)], p)
		}
	}
	for _, r := range f.Registries {
		if !have["r"+r.Name] {
			c.Registries = append(c.Registries[:len(c.Registries):len(c.Registries)], r)
		}
	}
	return &c
}
