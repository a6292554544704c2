package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/lock/archive"
)

// ChecksumOnly is the value of `trust` that accepts a plugin without a
// signature.
const ChecksumOnly = "checksum-only"

// Manifest is what wfctl.yaml says of plugins.
type Manifest struct {
	Path    string
	Pins    []Pin
	Mirrors []Mirror
	source  []byte
}

// Pin is one plugin that the project wants, at an exact version.
type Pin struct {
	Name, Version, Source string
	// TokenEnv names the variable that holds a token for a private source.
	TokenEnv string
	// Verify is whose signature is demanded; nil for anybody's or none.
	Verify *Identity
	// Trust is ChecksumOnly or "".
	Trust string
	// Checksums are SHA-256 of archives by platform, for a source that has no
	// list of them.
	Checksums map[string]string
	Pos       fault.Position
}

// Identity is who has to have signed.
type Identity struct {
	Identity, Issuer string
	// TrustedRoot is a file relative to the manifest; "" for Sigstore's public
	// instance.
	TrustedRoot string
}

// Mirror replaces the beginning of sources.
type Mirror struct{ From, To string }

// readManifest reads wfctl.yaml; one that does not exist is empty.
func readManifest(path string) (*Manifest, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Manifest{Path: path}, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the manifest")
	}
	return parseManifest(path, data)
}

func parseManifest(path string, data []byte) (*Manifest, error) {
	m := &Manifest{Path: path, source: data}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fault.Wrap(fault.Config, err, "the manifest is not YAML").At(fault.Position{File: shown(path)})
	}
	d := &manifestDecoder{m: m, lines: strings.Split(string(data), "\n")}
	if len(doc.Content) > 0 && doc.Content[0].Tag != "!!null" {
		d.root(doc.Content[0])
	}
	return m, d.faults.Err()
}

// shown is a path as people know it: relative to where they are, if below.
func shown(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return path
}

// pin finds a plugin by name.
func (m *Manifest) pin(name string) (Pin, int, bool) {
	i := slices.IndexFunc(m.Pins, func(p Pin) bool { return p.Name == name })
	if i < 0 {
		return Pin{}, -1, false
	}
	return m.Pins[i], i, true
}

func (m *Manifest) names() []string {
	names := make([]string, len(m.Pins))
	for i, p := range m.Pins {
		names[i] = p.Name
	}
	return names
}

// resolveSource applies the mirror whose prefix is the longest.
func (m *Manifest) resolveSource(source string) (address string, mirrored bool) {
	best := Mirror{}
	for _, r := range m.Mirrors {
		if strings.HasPrefix(source, r.From) && len(r.From) > len(best.From) {
			best = r
		}
	}
	if best.From == "" {
		return source, false
	}
	return best.To + strings.TrimPrefix(source, best.From), true
}

type manifestDecoder struct {
	m      *Manifest
	lines  []string
	faults fault.List
	// legacy accepts pins of the old shape, which may lack a version or source.
	legacy bool
}

func (d *manifestDecoder) at(n *yaml.Node) fault.Position {
	return fault.Position{File: shown(d.m.Path), Line: n.Line, Column: n.Column}
}

func (d *manifestDecoder) fault(n *yaml.Node, format string, args ...any) *fault.Error {
	f := fault.New(fault.Config, format, args...).At(d.at(n))
	if n.Line >= 1 && n.Line <= len(d.lines) {
		f.Source, f.Width = strings.TrimSuffix(d.lines[n.Line-1], "\r"), max(1, len([]rune(n.Value)))
	}
	d.faults = append(d.faults, f)
	return f
}

// fields visits the members of a mapping; an unknown or repeated key is a fault.
func (d *manifestDecoder) fields(n *yaml.Node, what string, visit map[string]func(*yaml.Node)) {
	if n = deref(n); n.Kind != yaml.MappingNode {
		d.fault(n, "%s is a mapping", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, known := visit[key.Value]
		switch {
		case !known:
			d.unknown(key, what, visit)
		case seen[key.Value]:
			d.fault(key, "%s has %q twice", what, key.Value)
		case f != nil:
			f(value)
		}
		seen[key.Value] = true
	}
}

func (d *manifestDecoder) unknown(key *yaml.Node, what string, visit map[string]func(*yaml.Node)) {
	var names []string
	for name := range visit {
		names = append(names, name)
	}
	slices.Sort(names)
	hint := "known are " + strings.Join(names, ", ")
	if s := kind.Nearest(key.Value, names); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	f := d.fault(key, "%s has no key %q", what, key.Value)
	d.faults[len(d.faults)-1] = f.WithHint("%s", hint)
}

func (d *manifestDecoder) text(into *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = deref(n); n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			d.fault(n, "%s is a string", what)
			return
		}
		*into = n.Value
	}
}

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func (d *manifestDecoder) items(n *yaml.Node, what string, visit func(*yaml.Node)) {
	if n = deref(n); n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fault(n, "%s is a list", what)
		return
	}
	for _, item := range n.Content {
		visit(item)
	}
}

// root leaves the registries to package config.
func (d *manifestDecoder) root(n *yaml.Node) {
	d.fields(n, "the manifest", map[string]func(*yaml.Node){
		"version": func(n *yaml.Node) {
			if n.Value != "1" {
				d.fault(n, "the manifest has version %q; this wfctl reads version 1", n.Value)
			}
		},
		"plugins":    func(n *yaml.Node) { d.items(n, "`plugins`", d.plugin) },
		"mirrors":    func(n *yaml.Node) { d.items(n, "`mirrors`", d.mirror) },
		"registries": nil,
	})
}

func (d *manifestDecoder) plugin(n *yaml.Node) {
	p := Pin{Pos: d.at(n)}
	before := len(d.faults)
	d.fields(n, "a plugin", map[string]func(*yaml.Node){
		"name": d.text(&p.Name, "`name`"), "version": d.text(&p.Version, "`version`"), "source": d.text(&p.Source, "`source`"),
		"trust": func(n *yaml.Node) {
			if d.text(&p.Trust, "`trust`")(n); p.Trust != ChecksumOnly {
				d.fault(n, "`trust` is %q or absent", ChecksumOnly)
			}
		},
		"auth": func(n *yaml.Node) {
			d.fields(n, "`auth`", map[string]func(*yaml.Node){"env": d.text(&p.TokenEnv, "`env`")})
		},
		"verify": func(n *yaml.Node) {
			p.Verify = &Identity{}
			d.fields(n, "`verify`", map[string]func(*yaml.Node){
				"identity": d.text(&p.Verify.Identity, "`identity`"), "issuer": d.text(&p.Verify.Issuer, "`issuer`"),
				"trusted_root": d.text(&p.Verify.TrustedRoot, "`trusted_root`"),
			})
			if p.Verify.Identity == "" || p.Verify.Issuer == "" {
				d.fault(n, "`verify` has both an identity and an issuer")
			}
		},
		"checksums": func(n *yaml.Node) { p.Checksums = d.checksums(n) },
	})
	if len(d.faults) == before {
		d.check(n, p)
	}
}

// check judges a pin as a whole.
func (d *manifestDecoder) check(n *yaml.Node, p Pin) {
	before := len(d.faults)
	if d.legacy && p.Source == "" && p.Name != "" {
		p.Source = DefaultOwner + p.Name
	}
	for _, need := range []struct{ key, value string }{{"name", p.Name}, {"version", p.Version}, {"source", p.Source}} {
		if need.value == "" && (!d.legacy || need.key != "version") {
			d.fault(n, "plugin %q lacks `%s`", p.Name, need.key)
		}
	}
	if len(d.faults) > before {
		return
	}
	if checkName(p.Name) != nil {
		d.fault(n, "%q is not a name for a plugin", p.Name)
	}
	if p.Version != "" {
		v, err := canonicalVersion(p.Version)
		if err != nil {
			d.fault(n, "plugin %q: %v", p.Name, err)
		}
		p.Version = v
	}
	if p.Verify != nil && p.Trust == ChecksumOnly {
		d.fault(n, "plugin %q has `verify` and `trust: %s`: one excludes the other", p.Name, ChecksumOnly)
	}
	if _, _, twice := d.m.pin(p.Name); twice {
		d.fault(n, "plugin %q is declared twice", p.Name)
	}
	d.m.Pins = append(d.m.Pins, p)
}

func (d *manifestDecoder) checksums(n *yaml.Node) map[string]string {
	sums := map[string]string{}
	if n.Kind != yaml.MappingNode {
		d.fault(n, "`checksums` is a mapping of platforms to SHA-256")
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		platform, sum := n.Content[i], n.Content[i+1]
		if checkPlatform(platform.Value) != nil || !archive.IsSum(sum.Value) {
			d.fault(platform, "`checksums` maps platforms, such as linux-amd64, to SHA-256 in hex")
		}
		sums[platform.Value] = sum.Value
	}
	return sums
}

func (d *manifestDecoder) mirror(n *yaml.Node) {
	var r Mirror
	d.fields(n, "a mirror", map[string]func(*yaml.Node){"from": d.text(&r.From, "`from`"), "to": d.text(&r.To, "`to`")})
	if r.From == "" || r.To == "" {
		d.fault(n, "a mirror has `from` and `to`, the beginnings of sources")
		return
	}
	d.m.Mirrors = append(d.m.Mirrors, r)
}
