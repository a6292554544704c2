package lock

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/store"
	"github.com/gocodealone/wfctl/sigstore"
)

// Installed is a plugin in the store, as the lockfile has it.
type Installed struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Platform string `json:"platform"`
	// Dir is the plugin's folder, Executable the file to run and SHA256 what
	// it must hash to at every launch.
	Dir        string `json:"dir"`
	Executable string `json:"executable"`
	SHA256     string `json:"sha256"`
	// Provides is what plugin.json says that it provides.
	Provides json.RawMessage `json:"provides,omitempty"`
	// There is true where nothing had to be downloaded.
	There bool `json:"-"`
}

// Providers are the kinds of provider that the plugin has, as configurations
// name them: what plugin.json says, else the plugin's own name, also without
// the prefix that plugins carry by custom.
func (i Installed) Providers() []string {
	if names := providers(i.Provides); len(names) > 0 {
		return names
	}
	return customary(i.Name)
}

func customary(name string) []string {
	names := []string{name}
	for _, prefix := range []string{"workflow-plugin-", "wfctl-plugin-", "plugin-"} {
		if short, ok := strings.CutPrefix(name, prefix); ok && short != "" {
			return append(names, short)
		}
	}
	return names
}

// InstallOptions say what to install.
type InstallOptions struct {
	// Platforms are OS-ARCH; none means this host.
	Platforms []string
	// Offline forbids every download.
	Offline bool
}

// job is one archive to install.
type job struct {
	pin    Pin
	locked Locked
	want   want
	result Installed
	staged *store.Staged
}

// Install brings into the store what the lockfile names, and nothing else. It
// installs all of it or none.
func (p *Project) Install(ctx context.Context, o InstallOptions) ([]Installed, error) {
	m, l, err := p.agreed()
	if err != nil {
		return nil, err
	}
	jobs, err := p.jobs(m, l, o.Platforms)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, j := range jobs {
			if j.staged != nil {
				j.staged.Discard()
			}
		}
	}()
	if err := p.proofs(ctx, m, jobs, o.Offline); err != nil {
		return nil, err
	}
	if err := p.stage(ctx, m, jobs, o.Offline); err != nil {
		return nil, err
	}
	var done []Installed
	for _, j := range jobs {
		if err := j.staged.Install(ctx); err != nil {
			return nil, failure(err, "install plugin %q", j.pin.Name)
		}
		done = append(done, p.describe(j.result))
	}
	return done, nil
}

// agreed reads the manifest and the lockfile and refuses where they disagree:
// what was reviewed is what runs.
func (p *Project) agreed() (*Manifest, *Lock, error) {
	m, l, err := p.read()
	if err != nil {
		return nil, nil, err
	}
	var faults fault.List
	for _, pin := range m.Pins {
		if f := disagree(pin, l); f != nil {
			faults = append(faults, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		if _, _, ok := m.pin(name); !ok {
			faults = append(faults, fault.New(fault.Config, "%s has plugin %q, which %s does not name", LockFile, name, ManifestFile).
				WithHint("run `wfctl plugin lock`"))
		}
	}
	return m, l, faults.Err()
}

func disagree(pin Pin, l *Lock) *fault.Error {
	locked, ok := l.Plugins[pin.Name]
	var what string
	switch {
	case !ok:
		what = "is not in " + LockFile
	case locked.Version != pin.Version:
		what = "is pinned at " + pin.Version + ", and " + LockFile + " has " + locked.Version
	case locked.Source != pin.Source:
		what = "comes from " + pin.Source + ", and " + LockFile + " has " + locked.Source
	case pin.Verify != nil && !signedBy(locked.Signer, pin.Verify):
		what = "demands a signature by " + pin.Verify.Identity + ", which " + LockFile + " does not have"
	default:
		return nil
	}
	return fault.New(fault.Config, "plugin %q %s", pin.Name, what).At(pin.Pos).WithHint("run `wfctl plugin lock` and commit %s", LockFile)
}

func signedBy(s *Signer, id *Identity) bool {
	return s != nil && s.Identity == id.Identity && s.Issuer == id.Issuer
}

// jobs lists what to install, in the order of the archives' hashes: locks are
// taken in that order by everybody.
func (p *Project) jobs(m *Manifest, l *Lock, platforms []string) ([]*job, error) {
	if len(platforms) == 0 {
		platforms = []string{HostPlatform()}
	}
	var jobs []*job
	seen := map[string]bool{}
	for _, pin := range m.Pins {
		locked := l.Plugins[pin.Name]
		for _, platform := range platforms {
			if err := checkPlatform(platform); err != nil {
				return nil, err
			}
			a, ok := locked.Platforms[platform]
			if !ok {
				return nil, fault.New(fault.NotFound, "plugin %q %s is not published for %s", pin.Name, pin.Version, platform).
					At(pin.Pos).WithHint("it is for %s", strings.Join(slices.Sorted(maps.Keys(locked.Platforms)), ", "))
			}
			j, err := p.job(pin, locked, platform, a)
			if err != nil {
				return nil, err
			}
			if !seen[a.SHA256] {
				jobs = append(jobs, j)
			}
			seen[a.SHA256] = true
		}
	}
	slices.SortFunc(jobs, func(a, b *job) int { return strings.Compare(a.want.sha256, b.want.sha256) })
	return jobs, nil
}

func (p *Project) job(pin Pin, locked Locked, platform string, a Artifact) (*job, error) {
	file := fileOf(a)
	if err := checkFile(file); err != nil {
		return nil, fault.Wrap(fault.Integrity, err, "%s: plugin %q", LockFile, pin.Name)
	}
	dir := p.store.Tree(a.SHA256)
	return &job{
		pin: pin, locked: locked,
		want: want{
			name: pin.Name, version: pin.Version, platform: platform, file: file, sha256: a.SHA256, url: a.URL,
			executable: a.ExecutableSHA256, files: a.FilesSHA256,
		},
		result: Installed{
			Name: pin.Name, Version: pin.Version, Platform: platform, Dir: dir,
			Executable: filepath.Join(dir, executableName(pin.Name, platform)), SHA256: a.ExecutableSHA256, There: p.store.Has(a.SHA256),
		},
	}, nil
}

// describe adds what the plugin says of itself.
func (p *Project) describe(i Installed) Installed {
	if d, err := readDescriptor(i.Dir); err == nil {
		i.Provides = d.Provides
	}
	return i
}

// proofs proves the signatures before anything is downloaded that they are of.
func (p *Project) proofs(ctx context.Context, m *Manifest, jobs []*job, offline bool) error {
	for _, j := range jobs {
		if j.locked.Signer == nil {
			continue
		}
		var get func(context.Context, Bundle) ([]byte, error)
		if !offline {
			get = p.fetchProof(m, j.pin)
		}
		if err := p.reprove(ctx, j.pin, j.locked, []string{j.want.platform}, get); err != nil {
			return err
		}
	}
	return nil
}

// fetchProof gets a document that the lockfile names by its hash from the
// plugin's source, and keeps it in the store.
func (p *Project) fetchProof(m *Manifest, pin Pin) func(context.Context, Bundle) ([]byte, error) {
	return func(ctx context.Context, b Bundle) ([]byte, error) {
		from, err := p.open(m, pin)
		if err != nil {
			return nil, err
		}
		r := &published{pin: pin, from: from}
		data, err := r.document(ctx, b)
		if err != nil {
			return nil, failure(err, "plugin %q: fetch %s", pin.Name, b.URL)
		}
		if _, err := p.store.PutBlob(data); err != nil {
			return nil, failure(err, "plugin %q: keep %s", pin.Name, b.URL)
		}
		return data, nil
	}
}

// document gets a list or a bundle, and compares its hash.
func (r *published) document(ctx context.Context, b Bundle) ([]byte, error) {
	name := fileOf(Artifact{URL: b.URL})
	if subject, ok := strings.CutPrefix(b.URL, attestationMark); ok {
		return r.attestation(ctx, subject, b)
	}
	body, err := r.from.Open(ctx, r.pin.Version, name, b.SHA256)
	if err != nil {
		return nil, err
	}
	data, err := source.ReadAll(body, maxBundle)
	if err != nil {
		return nil, err
	}
	if got := store.Sum(data); got != b.SHA256 {
		return nil, &store.MismatchError{Name: name, Want: b.SHA256, Got: got}
	}
	return data, nil
}

func (r *published) attestation(ctx context.Context, subject string, b Bundle) ([]byte, error) {
	api, ok := r.from.Source.(source.Attester)
	if !ok {
		return nil, source.NotFound("%s keeps no attestations", r.from.address)
	}
	bundles, err := api.Attestations(ctx, subject)
	if err != nil {
		return nil, err
	}
	for _, raw := range bundles {
		if data, err := sigstore.Canonical(raw); err == nil && store.Sum(data) == b.SHA256 {
			return data, nil
		}
	}
	return nil, source.NotFound("the attestation that was locked is not at %s any more", r.from.address)
}

// stage downloads and verifies all archives; none appears in the store yet.
func (p *Project) stage(ctx context.Context, m *Manifest, jobs []*job, offline bool) error {
	unlocks := make([]func(), len(jobs))
	for i, j := range jobs {
		unlock, err := p.store.Lock(ctx, j.want.sha256)
		if err != nil {
			for _, u := range unlocks[:i] {
				u()
			}
			return failure(err, "plugin %q: lock the store", j.pin.Name)
		}
		unlocks[i] = unlock
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	errs := make([]error, len(jobs))
	for i, j := range jobs {
		g.Go(func() error {
			errs[i] = p.stageOne(gctx, m, j, offline, unlocks[i])
			return errs[i]
		})
	}
	err := g.Wait()
	// The first error cancels the others; say what went wrong, not that they
	// were cancelled.
	for _, e := range errs {
		if e != nil && !errors.Is(e, context.Canceled) {
			return e
		}
	}
	return err
}

func (p *Project) stageOne(ctx context.Context, m *Manifest, j *job, offline bool, unlock func()) error {
	var from *place
	if !offline {
		var err error
		if from, err = p.open(m, j.pin); err != nil {
			unlock()
			return err
		}
	}
	var found Artifact
	staged, err := p.store.Stage(ctx, p.request(from, j.want, &found), unlock)
	if err != nil {
		return failure(err, "plugin %q: %s", j.pin.Name, j.want.file)
	}
	j.staged = staged
	return nil
}

// Installed returns what the lockfile names for this host, all of it in the
// store. It uses no network and does not hash the executables: who launches
// one compares SHA256.
func (p *Project) Installed(ctx context.Context) ([]Installed, error) {
	m, l, err := p.agreed()
	if err != nil {
		return nil, err
	}
	jobs, err := p.jobs(m, l, nil)
	if err != nil {
		return nil, err
	}
	var list []Installed
	var faults fault.List
	for _, j := range jobs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !j.result.There {
			faults = append(faults, fault.New(fault.NotFound, "plugin %q %s is not installed", j.pin.Name, j.pin.Version).
				At(j.pin.Pos).WithHint("run `wfctl plugin install`"))
			continue
		}
		list = append(list, p.describe(j.result))
	}
	slices.SortFunc(list, func(a, b Installed) int { return strings.Compare(a.Name, b.Name) })
	return list, faults.Err()
}
