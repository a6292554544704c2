package lock

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/release"
	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/store"
	"github.com/gocodealone/wfctl/sigstore"
)

// maxBundle bounds a signature bundle, in bytes.
const maxBundle = 8 << 20

// attestationMark is in the address of a bundle that the source's API keeps,
// instead of the name of a file.
const attestationMark = "attestation:sha256:"

// A proof says who signed a release: by one bundle for the list of checksums,
// or one for each archive.
type proof struct {
	signer   *sigstore.Identity
	list     *evidence
	archives map[string]*evidence
}

// evidence is a bundle and where it was found.
type evidence struct {
	url  string
	data []byte
}

func (e *evidence) bundle() *Bundle {
	if e == nil {
		return nil
	}
	return &Bundle{URL: e.url, SHA256: store.Sum(e.data)}
}

// into writes the proof into what is locked.
func (pr *proof) into(l *Locked) {
	if pr.signer == nil {
		return
	}
	l.Signer = &Signer{Identity: pr.signer.Identity, Issuer: pr.signer.Issuer, Bundle: pr.list.bundle()}
}

// prove finds out who signed a release. A pin with `verify` needs a good
// signature of that identity; one without takes any signature that there is,
// and remembers whose it was; `trust: checksum-only` looks for none.
func (p *Project) prove(ctx context.Context, r *published) (*proof, error) {
	none := &proof{}
	if r.pin.Trust == ChecksumOnly {
		return none, nil
	}
	v, err := p.verifier(r.pin.Verify)
	if err != nil {
		return nil, err
	}
	pr := &prover{r: r, verifier: v, want: identity(r.pin.Verify)}
	if r.list != nil {
		if e, err := pr.bundle(ctx, r.listName, sigstore.Artifact{Content: r.list}, store.Sum(r.list)); err != nil || e != nil {
			return &proof{signer: pr.signer, list: e}, err
		}
	}
	archives, err := pr.each(ctx)
	if err != nil || archives != nil {
		return &proof{signer: pr.signer, archives: archives}, err
	}
	if r.pin.Verify != nil {
		return nil, fault.New(fault.Integrity, "plugin %q: version %s at %s is not signed", r.pin.Name, r.pin.Version, r.from.address).
			At(r.pin.Pos).WithHint("`verify` demands a signature by %s: a bundle %s beside the files, or an attestation",
			r.pin.Verify.Identity, release.BundleNames("checksums.txt")[0])
	}
	p.o.Warn(fault.New(fault.Integrity, "plugin %q is not signed: its checksums alone are verified", r.pin.Name).
		At(r.pin.Pos).WithHint("`trust: %s` says that this is known", ChecksumOnly))
	return none, nil
}

func identity(id *Identity) *sigstore.Identity {
	if id == nil {
		return nil
	}
	return &sigstore.Identity{Identity: id.Identity, Issuer: id.Issuer}
}

// prover collects the evidence for one release.
type prover struct {
	r        *published
	verifier *sigstore.Verifier
	want     *sigstore.Identity
	// signer is who signed what was proved so far.
	signer *sigstore.Identity
}

// each proves every archive by itself. None signed is nil; some signed and
// some not is an error.
func (pr *prover) each(ctx context.Context) (map[string]*evidence, error) {
	if !pr.r.listed && pr.want == nil {
		return nil, nil // trying every name at a source that lists nothing takes long
	}
	found := map[string]*evidence{}
	var without []string
	for _, platform := range slices.Sorted(maps.Keys(pr.r.archives)) {
		w := pr.r.archives[platform]
		e, err := pr.bundle(ctx, w.file, sigstore.Artifact{SHA256: w.sha256}, w.sha256)
		if err != nil {
			return nil, err
		}
		if e == nil {
			without = append(without, w.file)
			continue
		}
		found[platform] = e
	}
	if len(found) == 0 {
		return nil, nil
	}
	if len(without) > 0 {
		return nil, fault.New(fault.Integrity, "plugin %q: %s of version %s is not signed, and others are", pr.r.pin.Name, without[0], pr.r.pin.Version)
	}
	return found, nil
}

// bundle finds and verifies the bundle of one file; nil where there is none.
func (pr *prover) bundle(ctx context.Context, file string, a sigstore.Artifact, sha256 string) (*evidence, error) {
	for _, name := range release.BundleNames(file) {
		if !pr.r.has(name) {
			continue
		}
		data, err := pr.r.small(ctx, name, maxBundle)
		if errors.Is(err, source.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, failure(err, "plugin %q: read %s", pr.r.pin.Name, name)
		}
		return &evidence{pr.r.from.origin.URL(pr.r.pin.Version, name), data}, pr.judge(name, data, a)
	}
	return pr.attestation(ctx, file, a, sha256)
}

// attestation asks a source that keeps attestations; it is asked only where a
// signature is demanded.
func (pr *prover) attestation(ctx context.Context, file string, a sigstore.Artifact, sha256 string) (*evidence, error) {
	api, ok := pr.r.from.Source.(source.Attester)
	if !ok || pr.want == nil {
		return nil, nil
	}
	bundles, err := api.Attestations(ctx, sha256)
	if err != nil {
		return nil, failure(err, "plugin %q: ask for the attestations of %s", pr.r.pin.Name, file)
	}
	var refused error
	for _, b := range bundles {
		data, err := sigstore.Canonical(b)
		if err == nil {
			err = pr.judge("the attestation of "+file, data, a)
		}
		if err == nil {
			return &evidence{attestationMark + sha256, data}, nil
		}
		refused = err
	}
	return nil, refused // nil where there was none
}

// judge verifies a bundle; all bundles of a release are by one signer.
func (pr *prover) judge(name string, data []byte, a sigstore.Artifact) error {
	want := pr.want
	if want == nil {
		want = pr.signer
	}
	got, err := pr.verifier.Verify(data, a, want)
	if err != nil {
		return notProved(pr.r.pin, name, err)
	}
	pr.signer = &got
	return nil
}

func notProved(pin Pin, name string, err error) error {
	f := fault.Wrap(fault.Integrity, err, "plugin %q: %s of version %s proves nothing", pin.Name, name, pin.Version).At(pin.Pos)
	var mismatch *sigstore.MismatchError
	if errors.As(err, &mismatch) {
		return f.WithHint("if that is who should sign it now, say so under `verify` in %s", ManifestFile)
	}
	if pin.Verify == nil {
		return f.WithHint("to accept it without: `trust: %s`; for another Sigstore than the public one: `verify: {identity, issuer, trusted_root: FILE}`", ChecksumOnly)
	}
	return f
}

// signerChange refuses another signer than before, unless that is accepted.
func signerChange(pin Pin, old, now *Locked, accept bool) error {
	if old == nil || old.Signer == nil || accept {
		return nil
	}
	hint := "if this is right, run the command again with --accept-signer-change"
	if now.Signer == nil {
		return fault.New(fault.Refused, "plugin %q was signed by %s, and version %s is accepted without a signature", pin.Name, old.Signer.Identity, now.Version).
			At(pin.Pos).WithHint("%s", hint)
	}
	if now.Signer.Issuer == old.Signer.Issuer && withoutRef(now.Signer.Identity) == withoutRef(old.Signer.Identity) {
		return nil
	}
	return fault.New(fault.Refused, "plugin %q was signed by %s, and version %s is signed by %s", pin.Name, old.Signer.Identity, now.Version, now.Signer.Identity).
		At(pin.Pos).WithHint("%s", hint)
}

// withoutRef drops the tag or branch that a workflow ran for: it changes with
// each release.
func withoutRef(identity string) string {
	workflow, _, _ := strings.Cut(identity, "@refs/")
	return workflow
}

// keep stores what proves the release, so that it is proved again without a
// network.
func (p *Project) keep(list []byte, pr *proof) error {
	documents := [][]byte{list}
	if pr.list != nil {
		documents = append(documents, pr.list.data)
	}
	for _, e := range pr.archives {
		documents = append(documents, e.data)
	}
	for _, d := range documents {
		if d == nil {
			continue
		}
		if _, err := p.store.PutBlob(d); err != nil {
			return err
		}
	}
	return nil
}

// reprove proves a locked plugin from the store. What is missing there is
// fetched with get, where that is not nil.
func (p *Project) reprove(ctx context.Context, pin Pin, l Locked, platforms []string, get func(ctx context.Context, b Bundle) ([]byte, error)) error {
	document := func(b Bundle) ([]byte, error) {
		data, err := p.store.Blob(b.SHA256)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, failure(err, "plugin %q", pin.Name)
		}
		if get == nil {
			return nil, fault.New(fault.Environment, "plugin %q: the proof %s is not in the store", pin.Name, b.URL).WithHint("run `wfctl plugin install`")
		}
		return get(ctx, b)
	}
	list, err := p.provedList(l, platforms, pin, document)
	if err != nil || l.Signer == nil {
		return err
	}
	v, err := p.verifier(pin.Verify)
	if err != nil {
		return err
	}
	signer := &sigstore.Identity{Identity: l.Signer.Identity, Issuer: l.Signer.Issuer}
	check := func(b Bundle, a sigstore.Artifact) error {
		data, err := document(b)
		if err != nil {
			return err
		}
		if _, err := v.Verify(data, a, signer); err != nil {
			return notProved(pin, b.URL, err)
		}
		return nil
	}
	if l.Signer.Bundle != nil {
		return check(*l.Signer.Bundle, sigstore.Artifact{Content: list})
	}
	for _, platform := range platforms {
		a := l.Platforms[platform]
		if a.Bundle == nil {
			return fault.New(fault.Integrity, "plugin %q: the lockfile names a signer and no bundle for %s", pin.Name, platform).WithHint("run `wfctl plugin lock`")
		}
		if err := check(*a.Bundle, sigstore.Artifact{SHA256: a.SHA256}); err != nil {
			return err
		}
	}
	return nil
}

// provedList reads the list of checksums again and compares the archives with
// it. It is needed only to prove a signature of the list.
func (p *Project) provedList(l Locked, platforms []string, pin Pin, document func(Bundle) ([]byte, error)) ([]byte, error) {
	if l.SHA256 == "" || l.Signer == nil || l.Signer.Bundle == nil {
		return nil, nil
	}
	list, err := document(Bundle{URL: l.Checksums, SHA256: l.SHA256})
	if err != nil {
		return nil, err
	}
	sums, err := release.Checksums(list)
	if err != nil {
		return nil, fault.Wrap(fault.Integrity, err, "plugin %q: %s", pin.Name, l.Checksums)
	}
	for _, platform := range platforms {
		a := l.Platforms[platform]
		if sums[fileOf(a)] != a.SHA256 {
			return nil, fault.New(fault.Integrity, "plugin %q: the lockfile and %s differ about %s", pin.Name, l.Checksums, fileOf(a))
		}
	}
	return list, nil
}
