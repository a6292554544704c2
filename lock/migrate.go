package lock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/yamledit"
)

// MigrateOptions say how to bring pins of the old shape into the manifest.
type MigrateOptions struct {
	// Application is the application file.
	Application string
	// Remove is asked, once the manifest and the lockfile are written, whether
	// the inline fields go from the application file. nil means no.
	Remove             func(*Migration) (bool, error)
	AcceptSignerChange bool
}

// Migration is what Migrate did or found.
type Migration struct {
	Application string `json:"application"`
	// Moved are plugins that the manifest did not have, Kept those that it had:
	// the manifest wins.
	Moved []Change `json:"moved"`
	Kept  []string `json:"kept"`
	// Registries are the registries that were moved.
	Registries []string `json:"registries"`
	// Inline are the plugins that still have, or had, inline fields.
	Inline []string `json:"inline"`
	// Removed is true where the application file was cleared of them.
	Removed bool `json:"removed"`
}

// Nothing tells whether there was nothing to migrate.
func (m *Migration) Nothing() bool {
	return len(m.Moved) == 0 && len(m.Inline) == 0 && len(m.Registries) == 0
}

// inlineKeys are the fields of a plugin in the application file that belong
// into the manifest.
var inlineKeys = [...]string{"version", "source", "auth", "verify", "trust", "checksums"}

// legacyFile is an application file with pins of the old shape.
type legacyFile struct {
	path       string
	doc        *yamledit.Document
	pins       []Pin
	inline     []string
	registries []*yaml.Node
}

// Migrate moves plugins and registries from the application file into the
// manifest, locks them, and clears the application file when Remove says so.
// Run twice it changes nothing the second time.
func (p *Project) Migrate(ctx context.Context, o MigrateOptions) (*Migration, error) {
	unlock, err := p.exclusive(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	old, err := readLegacy(o.Application)
	if err != nil {
		return nil, err
	}
	result := &Migration{Application: shown(o.Application), Inline: old.inline}
	if err := p.merge(ctx, old, result, o.AcceptSignerChange); err != nil {
		return nil, err
	}
	if (len(old.inline) == 0 && len(old.registries) == 0) || o.Remove == nil {
		return result, nil
	}
	yes, err := o.Remove(result)
	if err != nil || !yes {
		return result, err
	}
	result.Removed = true
	return result, old.clear()
}

// readLegacy finds what is of the old shape in an application file.
func readLegacy(path string) (*legacyFile, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "there is no application file %s", shown(path)).WithHint("name it with --config")
	}
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the application file")
	}
	old := &legacyFile{path: path}
	if old.doc, err = yamledit.Parse(data); err != nil {
		return nil, fault.Wrap(fault.Config, err, "the application file is not YAML").At(fault.Position{File: shown(path)})
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil || len(root.Content) == 0 {
		return old, nil
	}
	old.registries = sequence(member(root.Content[0], "registries"))
	d := &manifestDecoder{m: &Manifest{Path: path}, lines: strings.Split(string(data), "\n"), legacy: true}
	for _, item := range sequence(member(member(root.Content[0], "requires"), "plugins")) {
		d.plugin(item)
		if slices.ContainsFunc(inlineKeys[:], func(key string) bool { return member(item, key) != nil }) {
			old.inline = append(old.inline, text(member(item, "name")))
		}
	}
	for _, pin := range d.m.Pins {
		if slices.Contains(old.inline, pin.Name) {
			old.pins = append(old.pins, pin)
		}
	}
	return old, d.faults.Err()
}

// merge writes the manifest and the lockfile.
func (p *Project) merge(ctx context.Context, old *legacyFile, result *Migration, accept bool) error {
	m, l, err := p.read()
	if err != nil {
		return err
	}
	manifest, now := m.source, l
	for _, pin := range old.pins {
		if have, _, ok := m.pin(pin.Name); ok {
			p.differs(have, pin)
			result.Kept = append(result.Kept, pin.Name)
			continue
		}
		if pin.Version == "" {
			if pin.Version, err = p.newest(ctx, m, pin, ""); err != nil {
				return err
			}
		}
		var c *Change
		if c, manifest, now, err = p.update(ctx, m, manifest, now, pin, accept); err != nil {
			return err
		}
		result.Moved = append(result.Moved, *c)
	}
	if manifest, result.Registries, err = moveRegistries(m.Path, manifest, old.registries); err != nil {
		return err
	}
	if len(result.Moved) == 0 && len(result.Registries) == 0 {
		return nil
	}
	return p.write(m, manifest, l, now)
}

// differs warns of a pin that the manifest has otherwise.
func (p *Project) differs(have, inline Pin) {
	if inline.Version != "" && inline.Version != have.Version || inline.Source != have.Source {
		p.o.Warn(fault.New(fault.Config, "plugin %q is %s from %s here, and %s from %s in %s, which wins",
			have.Name, inline.Version, inline.Source, have.Version, have.Source, ManifestFile).At(inline.Pos))
	}
}

// moveRegistries appends the registries that the manifest does not have.
func moveRegistries(path string, manifest []byte, registries []*yaml.Node) ([]byte, []string, error) {
	doc, err := yamledit.Parse(manifest)
	if err != nil {
		return nil, nil, cannotEdit(path, err)
	}
	have := map[string]bool{}
	for i := range doc.Len(yamledit.Path{"registries"}) {
		name, _ := doc.Text(yamledit.Path{"registries", i, "name"})
		have[name] = true
	}
	var moved []string
	for _, r := range registries {
		name := text(member(r, "name"))
		if name == "" || have[name] {
			continue
		}
		if hasAlias(r) {
			return nil, nil, cannotEdit(path, errors.New("a registry of the application file has an alias"))
		}
		if !doc.Has(nil) {
			if err := doc.AddField(nil, yamledit.Field{Key: "version", Value: yamledit.Int(1)}); err != nil {
				return nil, nil, cannotEdit(path, err)
			}
		}
		if err := doc.Append("registries", yamledit.FieldsOf(r)...); err != nil {
			return nil, nil, cannotEdit(path, err)
		}
		have[name] = true
		moved = append(moved, name)
	}
	return doc.Bytes(), moved, nil
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// clear removes the inline fields from the application file. The names stay:
// they say what the application needs.
func (f *legacyFile) clear() error {
	plugins := yamledit.Path{"requires", "plugins"}
	for i := range f.doc.Len(plugins) {
		for _, key := range inlineKeys {
			path := append(slices.Clone(plugins), i, key)
			if !f.doc.Has(path) {
				continue
			}
			if err := f.doc.Delete(path, true); err != nil {
				return f.cannotClear(err)
			}
		}
	}
	if len(f.registries) > 0 {
		if err := f.doc.Delete(yamledit.Path{"registries"}, true); err != nil {
			return f.cannotClear(err)
		}
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write the application file")
	}
	target, err := filepath.EvalSymlinks(f.path) // a link stays a link
	if err == nil {
		err = atomicfile.Write(target, f.doc.Bytes(), info.Mode().Perm())
	}
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write the application file")
	}
	return nil
}

func (f *legacyFile) cannotClear(err error) error {
	return fault.Wrap(fault.Config, err, "%s and %s are written, and %s is as it was: it cannot be changed", ManifestFile, LockFile, shown(f.path)).
		WithHint("remove the inline fields by hand; %s has them now", ManifestFile)
}
