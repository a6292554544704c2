package lock

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/lock/yamledit"
)

// DefaultOwner is where a plugin that is added by its name alone comes from.
const DefaultOwner = "github.com/GoCodeAlone/"

// Change is what a command did to one plugin.
type Change struct {
	Name string `json:"name"`
	// From and To are versions; "" for none.
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Source string `json:"source,omitempty"`
	Signer string `json:"signer,omitempty"`
}

// AddOptions say which plugin to add.
type AddOptions struct {
	// Name may be a source by itself: its last part is the name then.
	Name string
	// Version is "" for the newest.
	Version, Source string
	// TokenEnv names the variable that holds a token for a private source.
	TokenEnv           string
	Trust              string
	Identity, Issuer   string
	AcceptSignerChange bool
}

// pin completes the options.
func (o AddOptions) pin() (Pin, error) {
	p := Pin{Name: o.Name, Version: o.Version, Source: o.Source, TokenEnv: o.TokenEnv, Trust: o.Trust}
	if p.Source == "" && strings.ContainsAny(p.Name, "/:") {
		p.Source = strings.TrimRight(p.Name, "/")
		p.Name = p.Source[strings.LastIndexByte(p.Source, '/')+1:]
	}
	if p.Source == "" {
		p.Source = DefaultOwner + p.Name
	}
	if err := checkName(p.Name); err != nil {
		return p, err
	}
	if (o.Identity == "") != (o.Issuer == "") {
		return p, fault.New(fault.Usage, "an identity and its issuer are given together")
	}
	if o.Identity != "" {
		p.Verify = &Identity{Identity: o.Identity, Issuer: o.Issuer}
	}
	if p.Version == "" {
		return p, nil
	}
	v, err := canonicalVersion(p.Version)
	p.Version = v
	return p, err
}

// Add pins a plugin in the manifest and locks it. One that is pinned already
// takes the version or source that is given.
func (p *Project) Add(ctx context.Context, o AddOptions) (*Change, error) {
	pin, err := o.pin()
	if err != nil {
		return nil, err
	}
	unlock, err := p.exclusive(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m, l, err := p.read()
	if err != nil {
		return nil, err
	}
	have, _, ok := m.pin(pin.Name)
	if ok {
		pin = merge(have, pin, o)
	}
	if pin.Version == "" {
		if pin.Version, err = p.newest(ctx, m, pin, have.Version); err != nil {
			return nil, err
		}
	}
	if ok && o.Identity == "" {
		pin.Verify = retag(pin.Verify, have.Version, pin.Version)
	}
	return p.change(ctx, m, l, pin, o.AcceptSignerChange)
}

// merge keeps what a pin says already and the options do not.
func merge(have, want Pin, o AddOptions) Pin {
	if o.Source != "" || strings.ContainsAny(o.Name, "/:") {
		have.Source = want.Source
	}
	have.Version = want.Version
	if want.TokenEnv != "" {
		have.TokenEnv = want.TokenEnv
	}
	if want.Trust != "" {
		have.Trust, have.Verify = want.Trust, nil
	}
	if want.Verify != nil {
		if have.Verify != nil {
			want.Verify.TrustedRoot = have.Verify.TrustedRoot
		}
		have.Verify, have.Trust = want.Verify, ""
	}
	return have
}

// retag moves an identity that names the tag of a version to another version.
func retag(id *Identity, from, to string) *Identity {
	if id == nil {
		return nil
	}
	c := *id
	if rest, ok := strings.CutSuffix(c.Identity, "@refs/tags/"+from); ok {
		c.Identity = rest + "@refs/tags/" + to
	}
	return &c
}

// change resolves a pin and writes both files.
func (p *Project) change(ctx context.Context, m *Manifest, l *Lock, pin Pin, accept bool) (*Change, error) {
	old, locked := l.Plugins[pin.Name]
	var before *Locked
	c := &Change{Name: pin.Name, To: pin.Version, Source: pin.Source}
	if locked {
		before, c.From = &old, old.Version
	}
	now, err := p.resolve(ctx, m, pin, before, accept)
	if err != nil {
		return nil, err
	}
	if now.Signer != nil {
		c.Signer = now.Signer.Identity
	}
	manifest, err := m.edit(pin)
	if err != nil {
		return nil, err
	}
	return c, p.write(m, manifest, l, l.with(pin.Name, now))
}

// with copies the lock with one plugin replaced, or removed by nil.
func (l *Lock) with(name string, p *Locked) *Lock {
	c := &Lock{Version: 1, GeneratedAt: l.GeneratedAt, Plugins: map[string]Locked{}}
	for n, v := range l.Plugins {
		c.Plugins[n] = v
	}
	delete(c.Plugins, name)
	if p != nil {
		c.Plugins[name] = *p
	}
	return c
}

// newest is the highest version at the source. Prereleases count only where
// the version before is one.
func (p *Project) newest(ctx context.Context, m *Manifest, pin Pin, before string) (string, error) {
	from, err := p.open(m, pin)
	if err != nil {
		return "", err
	}
	versions, err := from.Versions(ctx)
	if err != nil {
		return "", failure(err, "plugin %q: look for versions at %s", pin.Name, from.address)
	}
	best := ""
	for _, v := range versions {
		if c, err := canonicalVersion(v); err != nil || c != v || semver.Prerelease(v) != "" && semver.Prerelease(before) == "" {
			continue
		}
		if best == "" || semver.Compare(v, best) > 0 {
			best = v
		}
	}
	if best == "" {
		return "", fault.New(fault.NotFound, "plugin %q: %s has no released version", pin.Name, from.address).WithHint("name a version: %s@VERSION", pin.Name)
	}
	return best, nil
}

// Remove takes plugins out of the manifest and the lockfile. The store keeps
// them for other projects.
func (p *Project) Remove(ctx context.Context, names ...string) ([]Change, error) {
	unlock, err := p.exclusive(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m, l, err := p.read()
	if err != nil {
		return nil, err
	}
	doc, err := m.document()
	if err != nil {
		return nil, err
	}
	now := l
	var changes []Change
	for _, name := range names {
		pin, _, pinned := m.pin(name)
		old, locked := l.Plugins[name]
		if !pinned && !locked {
			return nil, m.unknown(name)
		}
		if i := indexOf(doc, name); i >= 0 {
			if err := doc.Delete(yamledit.Path{"plugins", i}, false); err != nil {
				return nil, cannotEdit(m.Path, err)
			}
		}
		now = now.with(name, nil)
		changes = append(changes, Change{Name: name, From: cmpVersion(old.Version, pin.Version)})
	}
	return changes, p.write(m, doc.Bytes(), l, now)
}

func cmpVersion(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// unknown is the error for a name that is not in the manifest.
func (m *Manifest) unknown(name string) error {
	err := fault.New(fault.NotFound, "%s names no plugin %q", ManifestFile, name)
	if s := kind.Nearest(name, m.names()); s != "" {
		return err.WithHint("did you mean %q?", s)
	}
	if len(m.Pins) == 0 {
		return err.WithHint("it names none; `wfctl plugin add` adds one")
	}
	return err.WithHint("it names %s", strings.Join(m.names(), ", "))
}

// UpdateOptions say what to update.
type UpdateOptions struct {
	// Plugins are NAME or NAME@VERSION; none means all, to the newest.
	Plugins            []string
	AcceptSignerChange bool
}

// Update raises pins to the newest version, or to the one that is named.
func (p *Project) Update(ctx context.Context, o UpdateOptions) ([]Change, error) {
	unlock, err := p.exclusive(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m, l, err := p.read()
	if err != nil {
		return nil, err
	}
	targets := o.Plugins
	if len(targets) == 0 {
		targets = m.names()
	}
	pins, err := p.targets(ctx, m, targets)
	if err != nil {
		return nil, err
	}
	var changes []Change
	manifest, now := m.source, l
	for _, pin := range pins {
		var c *Change
		if c, manifest, now, err = p.update(ctx, m, manifest, now, pin, o.AcceptSignerChange); err != nil {
			return nil, err
		}
		changes = append(changes, *c)
	}
	return changes, p.write(m, manifest, l, now)
}

// targets finds the version for each plugin before anything is fetched.
func (p *Project) targets(ctx context.Context, m *Manifest, names []string) ([]Pin, error) {
	var pins []Pin
	for _, target := range names {
		name, version, named := strings.Cut(target, "@")
		pin, _, ok := m.pin(name)
		if !ok {
			return nil, m.unknown(name)
		}
		var err error
		if named {
			version, err = canonicalVersion(version)
		} else if version, err = p.newest(ctx, m, pin, pin.Version); err == nil && semver.Compare(version, pin.Version) < 0 {
			version = pin.Version // never back unless named
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(pins, func(q Pin) bool { return q.Name == name }) {
			return nil, fault.New(fault.Usage, "plugin %q is named twice", name)
		}
		pin.Verify = retag(pin.Verify, pin.Version, version)
		pin.Version = version
		pins = append(pins, pin)
	}
	return pins, nil
}

func (p *Project) update(ctx context.Context, m *Manifest, manifest []byte, l *Lock, pin Pin, accept bool) (*Change, []byte, *Lock, error) {
	var before *Locked
	c := &Change{Name: pin.Name, To: pin.Version, Source: pin.Source}
	if old, ok := l.Plugins[pin.Name]; ok {
		before, c.From = &old, old.Version
	}
	now, err := p.resolve(ctx, m, pin, before, accept)
	if err != nil {
		return nil, nil, nil, err
	}
	edited, err := (&Manifest{Path: m.Path, source: manifest}).edit(pin)
	return c, edited, l.with(pin.Name, now), err
}

// LockOptions say how to lock.
type LockOptions struct{ AcceptSignerChange bool }

// Lock makes the lockfile fit the manifest. Each source is asked; where one
// does not answer, the lockfile stays as it is.
func (p *Project) Lock(ctx context.Context, o LockOptions) ([]Change, error) {
	unlock, err := p.exclusive(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m, l, err := p.read()
	if err != nil {
		return nil, err
	}
	if len(m.Pins) == 0 && len(l.Plugins) == 0 {
		return nil, nil
	}
	now := &Lock{Version: 1, GeneratedAt: l.GeneratedAt, Plugins: map[string]Locked{}}
	var changes []Change
	for _, pin := range m.Pins {
		c, _, next, err := p.update(ctx, m, m.source, &Lock{Version: 1, Plugins: only(l.Plugins, pin.Name)}, pin, o.AcceptSignerChange)
		if err != nil {
			return nil, err
		}
		now.Plugins[pin.Name] = next.Plugins[pin.Name]
		changes = append(changes, *c)
	}
	for name, old := range l.Plugins {
		if _, ok := now.Plugins[name]; !ok {
			changes = append(changes, Change{Name: name, From: old.Version})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return changes, p.write(m, nil, l, now)
}

func only(plugins map[string]Locked, name string) map[string]Locked {
	if l, ok := plugins[name]; ok {
		return map[string]Locked{name: l}
	}
	return nil
}

// document parses the manifest for editing.
func (m *Manifest) document() (*yamledit.Document, error) {
	doc, err := yamledit.Parse(m.source)
	if err != nil {
		return nil, cannotEdit(m.Path, err)
	}
	return doc, nil
}

func cannotEdit(path string, err error) error {
	return fault.Wrap(fault.Config, err, "%s cannot be changed", shown(path)).WithHint("change it by hand, then run `wfctl plugin lock`")
}

// indexOf finds a plugin in the manifest as it stands in the document.
func indexOf(doc *yamledit.Document, name string) int {
	for i := range doc.Len(yamledit.Path{"plugins"}) {
		if n, _ := doc.Text(yamledit.Path{"plugins", i, "name"}); n == name {
			return i
		}
	}
	return -1
}

// edit writes a pin into the manifest: a new item, or the fields that differ.
func (m *Manifest) edit(pin Pin) ([]byte, error) {
	doc, err := m.document()
	if err != nil {
		return nil, err
	}
	if !doc.Has(nil) {
		if err := doc.AddField(nil, yamledit.Field{Key: "version", Value: yamledit.Int(1)}); err != nil {
			return nil, cannotEdit(m.Path, err)
		}
	}
	i := indexOf(doc, pin.Name)
	if i < 0 {
		if err := doc.Append("plugins", pin.fields()...); err != nil {
			return nil, cannotEdit(m.Path, err)
		}
		return doc.Bytes(), nil
	}
	if err := editPin(doc, yamledit.Path{"plugins", i}, pin); err != nil {
		return nil, cannotEdit(m.Path, err)
	}
	return doc.Bytes(), nil
}

// fields are a pin as the manifest has it.
func (p Pin) fields() []yamledit.Field {
	fields := []yamledit.Field{{Key: "name", Value: p.Name}, {Key: "version", Value: p.Version}, {Key: "source", Value: p.Source}}
	if p.TokenEnv != "" {
		fields = append(fields, yamledit.Field{Key: "auth", Value: []yamledit.Field{{Key: "env", Value: p.TokenEnv}}})
	}
	if p.Verify != nil {
		fields = append(fields, yamledit.Field{Key: "verify", Value: p.Verify.fields()})
	}
	if p.Trust != "" {
		fields = append(fields, yamledit.Field{Key: "trust", Value: p.Trust})
	}
	return fields
}

func (id *Identity) fields() []yamledit.Field {
	fields := []yamledit.Field{{Key: "identity", Value: id.Identity}, {Key: "issuer", Value: id.Issuer}}
	if id.TrustedRoot != "" {
		fields = append(fields, yamledit.Field{Key: "trusted_root", Value: id.TrustedRoot})
	}
	return fields
}

// editPin changes the fields of an item that differ and adds those it lacks.
func editPin(doc *yamledit.Document, at yamledit.Path, pin Pin) error {
	have := map[string]bool{"auth": pin.TokenEnv != "", "verify": pin.Verify != nil, "trust": pin.Trust != ""}
	for _, key := range []string{"auth", "verify", "trust"} {
		path := append(slices.Clone(at), key)
		if !have[key] && doc.Has(path) {
			if err := doc.Delete(path, true); err != nil {
				return err
			}
		}
	}
	return editFields(doc, at, pin.fields())
}

func editFields(doc *yamledit.Document, at yamledit.Path, fields []yamledit.Field) error {
	for _, f := range fields {
		path := append(slices.Clone(at), f.Key)
		var err error
		switch value := f.Value.(type) {
		case []yamledit.Field:
			if doc.Has(path) {
				err = editFields(doc, path, value)
			} else {
				err = doc.AddField(at, f)
			}
		case string:
			if !doc.Has(path) {
				err = doc.AddField(at, f)
			} else if same, _ := doc.Text(path); !sameValue(f.Key, same, value) {
				err = doc.SetScalar(path, value)
			}
		default:
			err = fmt.Errorf("cannot write %T", value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameValue lets a version stay as it was written: "1.2.0" is v1.2.0.
func sameValue(key, have, want string) bool {
	if key != "version" {
		return have == want
	}
	v, err := canonicalVersion(have)
	return err == nil && v == want
}
