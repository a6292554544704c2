package lock

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/fault"
)

// Row is a plugin in the manifest and the lockfile, side by side.
type Row struct {
	Name string `json:"name"`
	// Pinned and Locked are versions; "" for none.
	Pinned string `json:"pinned"`
	Locked string `json:"locked"`
	Source string `json:"source"`
	// Trust is "signed", "checksum-only" (said so), or "checksums" (not signed,
	// and nothing said).
	Trust     string   `json:"trust"`
	Signer    string   `json:"signer,omitempty"`
	Installed bool     `json:"installed"`
	Platforms []string `json:"platforms"`
	// Note says what to do where the two disagree.
	Note string `json:"note,omitempty"`
}

// List shows what is pinned, locked and installed. It uses no network.
func (p *Project) List(ctx context.Context) ([]Row, error) {
	m, l, err := p.read()
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(slices.Values(slices.AppendSeq(m.names(), maps.Keys(l.Plugins))))
	var rows []Row
	for _, name := range slices.Compact(names) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows = append(rows, p.row(name, m, l))
	}
	return rows, nil
}

func (p *Project) row(name string, m *Manifest, l *Lock) Row {
	pin, _, pinned := m.pin(name)
	locked := l.Plugins[name]
	r := Row{
		Name: name, Pinned: pin.Version, Locked: locked.Version, Source: cmpVersion(pin.Source, locked.Source),
		Platforms: slices.Sorted(maps.Keys(locked.Platforms)), Trust: trust(pin, locked),
	}
	if locked.Signer != nil {
		r.Signer = locked.Signer.Identity
	}
	a, here := locked.Platforms[HostPlatform()]
	r.Installed = here && p.store.Has(a.SHA256)
	switch f := disagree(pin, l); {
	case !pinned:
		r.Note = "not in " + ManifestFile + ": run `wfctl plugin lock`"
	case f != nil:
		r.Note = "run `wfctl plugin lock`"
	case !here:
		r.Note = "not published for " + HostPlatform()
	case !r.Installed:
		r.Note = "run `wfctl plugin install`"
	}
	return r
}

func trust(pin Pin, l Locked) string {
	switch {
	case pin.Trust == ChecksumOnly:
		return ChecksumOnly
	case l.Signer != nil:
		return "signed"
	}
	return "checksums"
}

// Verdict is what Verify found of one plugin.
type Verdict struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Trust   string `json:"trust"`
	Signer  string `json:"signer,omitempty"`
	// Problem is empty where all is as it was locked.
	Problem string `json:"problem,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// Verify hashes every file of every installed plugin again and proves its
// signature again, from the store alone. The error counts the failures.
func (p *Project) Verify(ctx context.Context) ([]Verdict, error) {
	m, l, err := p.agreed()
	if err != nil {
		return nil, err
	}
	var verdicts []Verdict
	var faults fault.List
	for _, pin := range m.Pins {
		locked := l.Plugins[pin.Name]
		v := Verdict{Name: pin.Name, Version: pin.Version, Trust: trust(pin, locked)}
		if locked.Signer != nil {
			v.Signer = locked.Signer.Identity
		}
		if err := p.verify(ctx, pin, locked); err != nil {
			f := asFault(err)
			v.Problem, v.Hint = f.Error(), f.Hint
			faults = append(faults, f)
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, faults.Err()
}

func (p *Project) verify(ctx context.Context, pin Pin, l Locked) error {
	host := HostPlatform()
	a, ok := l.Platforms[host]
	if !ok {
		return fault.New(fault.NotFound, "plugin %q %s is not published for %s", pin.Name, pin.Version, host)
	}
	if !p.store.Has(a.SHA256) {
		return fault.New(fault.NotFound, "plugin %q %s is not installed", pin.Name, pin.Version).WithHint("run `wfctl plugin install`")
	}
	exe := executableName(pin.Name, host)
	if err := p.store.Verify(ctx, a.SHA256, exe, a.ExecutableSHA256, a.FilesSHA256); err != nil {
		return failure(err, "plugin %q", pin.Name)
	}
	return p.reprove(ctx, pin, l, []string{host}, nil)
}

func asFault(err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return fault.Wrap(fault.Internal, err, "verify")
}

// Reason is why a plugin is there.
type Reason struct {
	Row
	// Pos is where the manifest names it.
	Pos fault.Position `json:"pos"`
	// UsedBy are the places of the application file that use what it provides,
	// or where that is not known, that name a provider like it.
	UsedBy      []Use     `json:"used_by"`
	GeneratedAt string    `json:"locked_at,omitempty"`
	Artifact    *Artifact `json:"artifact,omitempty"`
	Dir         string    `json:"dir,omitempty"`
}

// Use is a module that uses a plugin.
type Use struct {
	Module   string         `json:"module"`
	Provider string         `json:"provider"`
	Pos      fault.Position `json:"pos"`
}

// Why explains a plugin: where it is pinned, what it is locked to, and which
// modules of the application files need it.
func (p *Project) Why(ctx context.Context, name string, applications ...string) (*Reason, error) {
	m, l, err := p.read()
	if err != nil {
		return nil, err
	}
	pin, _, pinned := m.pin(name)
	locked, isLocked := l.Plugins[name]
	if !pinned && !isLocked {
		return nil, m.unknown(name)
	}
	r := &Reason{Row: p.row(name, m, l), Pos: pin.Pos}
	var provides []string
	if a, ok := locked.Platforms[HostPlatform()]; ok {
		r.Artifact = &a
		if r.Installed {
			r.Dir = p.store.Tree(a.SHA256)
			if d, err := readDescriptor(r.Dir); err == nil {
				provides = d.providers()
			}
		}
	}
	if isLocked {
		r.GeneratedAt = l.GeneratedAt.UTC().Format("2006-01-02T15:04:05Z")
	}
	for _, app := range applications {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		uses, err := uses(app, name, provides)
		if err != nil {
			return nil, err
		}
		r.UsedBy = append(r.UsedBy, uses...)
	}
	return r, nil
}

// uses scans an application file, without resolving it, for iac.provider
// modules that a plugin serves; overlays of environments count.
func uses(path, plugin string, provides []string) ([]Use, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "read the application file")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fault.Wrap(fault.Config, err, "the application file is not YAML").At(fault.Position{File: shown(path)})
	}
	var found []Use
	if len(doc.Content) == 0 {
		return nil, nil
	}
	for _, module := range sequence(member(doc.Content[0], "modules")) {
		if text(member(module, "type")) != "iac.provider" {
			continue
		}
		configs := []*yaml.Node{member(module, "config")}
		for _, overlay := range values(member(module, "environments")) {
			configs = append(configs, member(overlay, "config"))
		}
		for _, c := range configs {
			n := member(c, "provider")
			if provider := text(n); provider != "" && serves(plugin, provides, provider) {
				found = append(found, Use{
					Module: text(member(module, "name")), Provider: provider,
					Pos: fault.Position{File: shown(path), Line: n.Line, Column: n.Column},
				})
			}
		}
	}
	return found, nil
}

func serves(plugin string, provides []string, provider string) bool {
	if len(provides) == 0 {
		provides = customary(plugin)
	}
	return slices.Contains(provides, provider)
}

func member(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func sequence(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func values(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var list []*yaml.Node
	for i := 1; i < len(n.Content); i += 2 {
		list = append(list, n.Content[i])
	}
	return list
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}
