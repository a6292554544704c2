package lock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/archive"
	"github.com/gocodealone/wfctl/lock/release"
	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/store"
)

// parallel is how many archives are fetched at once.
const parallel = 4

// published is a release as its source has it: the list of checksums and the
// archives that it names.
type published struct {
	pin  Pin
	from *place
	// names are the files; listed is false where the source cannot tell.
	names  []string
	listed bool
	// list is the list of checksums, called listName; nil where the manifest
	// gave the checksums itself.
	list     []byte
	listName string
	// archives are keyed by platform.
	archives map[string]want
}

// has tells whether the release may have a file.
func (r *published) has(name string) bool { return !r.listed || slices.Contains(r.names, name) }

// find looks at a pin's release.
func (p *Project) find(ctx context.Context, m *Manifest, pin Pin) (*published, error) {
	from, err := p.open(m, pin)
	if err != nil {
		return nil, err
	}
	found, err := from.Release(ctx, pin.Version)
	if err != nil {
		return nil, failure(err, "plugin %q: find version %s at %s", pin.Name, pin.Version, from.address)
	}
	r := &published{pin: pin, from: from, names: found.Names, listed: found.Listed}
	sums, err := r.checksums(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.complete(sums); err != nil {
		return nil, err
	}
	r.archives = map[string]want{}
	for platform, file := range release.Archives(slices.Collect(maps.Keys(sums)), pin.Name, pin.Version) {
		r.archives[platform] = r.want(platform, file, sums[file])
	}
	if len(r.archives) == 0 {
		return nil, fault.New(fault.NotFound, "plugin %q: version %s at %s has no archive for any platform", pin.Name, pin.Version, from.address).
			WithHint("archives are called %s-OS-ARCH.tar.gz or .zip, and %s names them", pin.Name, cmpName(r.listName))
	}
	return r, nil
}

// complete refuses a release whose list of checksums and files do not agree on
// the archives.
func (r *published) complete(sums map[string]string) error {
	if !r.listed || r.list == nil {
		return nil
	}
	for _, name := range r.names {
		if _, ok := sums[name]; !ok && len(release.Platforms(name, r.pin.Name, r.pin.Version)) > 0 {
			return fault.New(fault.Integrity, "plugin %q: %s of version %s does not list %s", r.pin.Name, r.listName, r.pin.Version, name)
		}
	}
	for name := range sums {
		if !r.has(name) && len(release.Platforms(name, r.pin.Name, r.pin.Version)) > 0 {
			return fault.New(fault.Integrity, "plugin %q: version %s has no %s, which its %s lists", r.pin.Name, r.pin.Version, name, r.listName)
		}
	}
	return nil
}

func cmpName(list string) string {
	if list == "" {
		return "`checksums` in " + ManifestFile
	}
	return list
}

func (r *published) want(platform, file, sum string) want {
	return want{
		name: r.pin.Name, version: r.pin.Version, platform: platform, file: file, sha256: sum,
		url: r.from.origin.URL(r.pin.Version, file),
	}
}

// checksums gets the hashes of the release's files: from its own list, else
// from the manifest. There is no other way in.
func (r *published) checksums(ctx context.Context) (map[string]string, error) {
	for _, name := range release.ListNames(r.pin.Name, r.pin.Version) {
		if !r.has(name) {
			continue
		}
		data, err := r.small(ctx, name, release.MaxList)
		if errors.Is(err, source.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, failure(err, "plugin %q: read the checksums of version %s", r.pin.Name, r.pin.Version)
		}
		sums, err := release.Checksums(data)
		if err != nil {
			return nil, fault.Wrap(fault.Integrity, err, "plugin %q: %s of version %s", r.pin.Name, name, r.pin.Version)
		}
		r.list, r.listName = data, name
		return sums, r.contradiction(sums)
	}
	return r.given(ctx)
}

// contradiction is an error where the manifest's own checksums say otherwise.
func (r *published) contradiction(sums map[string]string) error {
	for platform, sum := range r.pin.Checksums {
		file, ok := release.Archives(slices.Collect(maps.Keys(sums)), r.pin.Name, r.pin.Version)[platform]
		if ok && sums[file] != sum {
			return failure(&store.MismatchError{Name: file, Want: sum, Got: sums[file]}, "plugin %q: `checksums` in %s", r.pin.Name, ManifestFile)
		}
	}
	return nil
}

// given takes the checksums of the manifest for a release without a list.
func (r *published) given(ctx context.Context) (map[string]string, error) {
	if len(r.pin.Checksums) == 0 {
		return nil, fault.New(fault.NotFound, "plugin %q: version %s at %s has no list of checksums", r.pin.Name, r.pin.Version, r.from.address).
			At(r.pin.Pos).WithHint("either it does not exist, or its publisher lacks checksums.txt: then give them yourself, `checksums: {%s: SHA256}`", HostPlatform())
	}
	sums := map[string]string{}
	for platform, sum := range r.pin.Checksums {
		name, err := r.archive(ctx, platform)
		if err != nil {
			return nil, failure(err, "plugin %q: look for the archive for %s", r.pin.Name, platform)
		}
		if name != "" {
			sums[name] = sum
		}
	}
	return sums, nil
}

// archive is the name of the archive for a platform, "" where there is none.
// Of a source that cannot list, the likely names are tried.
func (r *published) archive(ctx context.Context, platform string) (string, error) {
	if r.listed {
		return release.Archives(r.names, r.pin.Name, r.pin.Version)[platform], nil
	}
	for _, name := range release.ArchiveNames(r.pin.Name, r.pin.Version, platform) {
		body, err := r.from.Open(ctx, r.pin.Version, name, "")
		if err == nil {
			return name, body.Close()
		}
		if !errors.Is(err, source.ErrNotFound) {
			return "", err
		}
	}
	return "", nil
}

// small reads a document of the release.
func (r *published) small(ctx context.Context, name string, limit int64) ([]byte, error) {
	body, err := r.from.Open(ctx, r.pin.Version, name, "")
	if err != nil {
		return nil, err
	}
	return source.ReadAll(body, limit)
}

// resolve finds out all that the lockfile says of a pin. What is downloaded
// for this host is left in the store.
func (p *Project) resolve(ctx context.Context, m *Manifest, pin Pin, old *Locked, acceptSigner bool) (*Locked, error) {
	r, err := p.find(ctx, m, pin)
	if err != nil {
		return nil, err
	}
	now := &Locked{Version: pin.Version, Source: pin.Source, Checksums: r.listName, Platforms: map[string]Artifact{}}
	if r.list != nil {
		now.SHA256 = store.Sum(r.list)
	}
	if err := unchanged(pin, old, now); err != nil {
		return nil, err
	}
	proof, err := p.prove(ctx, r)
	if err != nil {
		return nil, err
	}
	proof.into(now)
	if err := signerChange(pin, old, now, acceptSigner); err != nil {
		return nil, err
	}
	if err := p.fill(ctx, r, old, now, proof); err != nil {
		return nil, err
	}
	if err := p.keep(r.list, proof); err != nil {
		return nil, failure(err, "plugin %q: keep the proofs", pin.Name)
	}
	return now, nil
}

// unchanged refuses a version that was published again with other content.
func unchanged(pin Pin, old, now *Locked) error {
	if old == nil || old.Version != now.Version || old.Source != now.Source || old.SHA256 == "" || old.SHA256 == now.SHA256 {
		return nil
	}
	return fault.New(fault.Integrity, "plugin %q: version %s was published again: its %s has the SHA-256 %s instead of %s",
		pin.Name, pin.Version, cmpName(now.Checksums), now.SHA256, old.SHA256).
		WithHint("a version never changes; ask its publisher. To take it anyway: `wfctl plugin remove %s`, then add it", pin.Name)
}

// fill completes the artifacts: those that the old lock knows are taken over,
// the others downloaded and looked into, each for its own platform.
func (p *Project) fill(ctx context.Context, r *published, old, now *Locked, proof *proof) error {
	found := make(map[string]*Artifact, len(r.archives))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, platform := range slices.Sorted(maps.Keys(r.archives)) {
		w := r.archives[platform]
		a := &Artifact{}
		found[platform] = a
		if old != nil && old.Platforms[platform].SHA256 == w.sha256 && old.Platforms[platform].FilesSHA256 != "" {
			*a = old.Platforms[platform]
			a.URL, a.Bundle = w.url, nil
			continue
		}
		g.Go(func() error { return p.look(gctx, r, w, a) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for platform, a := range found {
		a.Bundle = proof.archives[platform].bundle()
		now.Platforms[platform] = *a
	}
	if _, ok := now.Platforms[HostPlatform()]; !ok {
		p.o.Warn(fault.New(fault.NotFound, "plugin %q has no version %s for %s: it cannot run here", r.pin.Name, r.pin.Version, HostPlatform()))
	}
	return nil
}

// look downloads an archive, inspects it and, where it is for this host,
// installs it.
func (p *Project) look(ctx context.Context, r *published, w want, found *Artifact) error {
	unlock, err := p.store.Lock(ctx, w.sha256)
	if err != nil {
		return failure(err, "plugin %q: lock the store", w.name)
	}
	staged, err := p.store.Stage(ctx, p.request(r.from, w, found), unlock)
	if err != nil {
		return failure(err, "plugin %q: %s", w.name, w.file)
	}
	if w.platform != HostPlatform() {
		staged.Discard()
		return nil
	}
	return failure(staged.Install(ctx), "plugin %q: install %s", w.name, w.file)
}

// fileOf is the name of an artifact's archive, from its address.
func fileOf(a Artifact) string {
	if _, name, ok := strings.Cut(a.URL, "#"); ok {
		return name
	}
	return path.Base(a.URL)
}

// checkFile refuses a lockfile whose addresses lead elsewhere.
func checkFile(name string) error {
	if !release.SafeName(name) || !archive.Known(name) {
		return fmt.Errorf("%q is not the name of an archive", name)
	}
	return nil
}
