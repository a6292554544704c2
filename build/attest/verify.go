package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sigstore"
)

// Prover proves that a bundle is a statement about a hash: a
// [sigstore.Verifier] or a [sigstore.KeyVerifier].
type Prover interface {
	Attested(bundleJSON []byte, artifact sigstore.Artifact) (*sigstore.Attestation, error)
}

// Policy says who must have signed.
type Policy struct {
	// Identity is the signer's, or Pattern matches the whole of it. Both are
	// left out where a key is what proves.
	Identity string
	Pattern  *regexp.Regexp
	// Issuer is who vouched for it.
	Issuer string
}

// Accepts explains why a signer is not the one that is wanted; nil where it
// is.
func (p Policy) Accepts(id sigstore.Identity) error {
	switch {
	case p.Identity == "" && p.Pattern == nil:
		return nil // a key
	case p.Identity != "" && id.Identity != p.Identity:
		return fmt.Errorf("it is signed by %s, not by %s", id, p.Identity)
	case p.Pattern != nil && !matchesWhole(p.Pattern, id.Identity):
		return fmt.Errorf("it is signed by %s, which %s does not match", id, p.Pattern)
	case id.Issuer != p.Issuer:
		return fmt.Errorf("it is signed by %s, not by anybody that %s vouches for", id, p.Issuer)
	}
	return nil
}

// matchesWhole keeps a pattern without anchors from matching a part: an
// identity that ends in the wanted one is another.
func matchesWhole(p *regexp.Regexp, text string) bool {
	whole, err := regexp.Compile(`^(?:` + p.String() + `)$`)
	return err == nil && whole.MatchString(text)
}

// Report is what was proved of an image.
type Report struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	// Statements are what the signer states, each once.
	Statements []Proved `json:"statements"`
	// SBOMs are the platforms with a signed bill of materials.
	SBOMs []string `json:"sboms,omitempty"`
	// Provenance is what the signer says of the build.
	Provenance *Provenance `json:"provenance,omitempty"`
}

// Proved is one statement.
type Proved struct {
	Predicate string    `json:"predicate"`
	Identity  string    `json:"identity,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	SignedAt  time.Time `json:"signed_at,omitzero"`
}

// Provenance is the part of a build's provenance that people read.
type Provenance struct {
	Builder    string `json:"builder"`
	Source     string `json:"source,omitempty"`
	Commit     string `json:"commit,omitempty"`
	Invocation string `json:"invocation,omitempty"`
}

// Verify proves that an image of a registry was signed by who the policy
// wants. The registry alone is asked.
func Verify(ctx context.Context, ref name.Reference, prover Prover, policy Policy, options ...remote.Option) (*Report, error) {
	options = append(options, remote.WithContext(ctx))
	desc, err := remote.Get(ref, options...)
	if err != nil {
		return nil, unreachable(ctx, err, ref)
	}
	v := &verification{prover: prover, policy: policy, options: options, repository: ref.Context()}
	v.report = Report{Image: ref.Name(), Digest: desc.Digest.String()}
	refused, err := v.gather(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	if len(v.report.Statements) == 0 {
		return nil, unproved(ref, desc.Digest, refused)
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		if err != nil {
			return nil, unreachable(ctx, err, ref)
		}
		if err := v.platforms(ctx, index); err != nil {
			return nil, err
		}
	}
	return &v.report, nil
}

func unproved(ref name.Reference, digest v1.Hash, refused []error) error {
	if len(refused) == 0 {
		return fault.New(fault.Integrity, "%s (%s) is not signed", ref, digest).
			WithHint("`sign` of the image in the application file signs it when it is pushed")
	}
	return fault.Wrap(fault.Integrity, errors.Join(refused...), "%s (%s) is not signed by who it should be", ref, digest).
		WithHint("do not run it before you know why")
}

func unreachable(ctx context.Context, err error, ref name.Reference) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "read %s", ref)
	}
	return fault.Wrap(fault.Provider, err, "read %s", ref).WithHint("is it pushed, and may this user read it?")
}

type verification struct {
	prover     Prover
	policy     Policy
	options    []remote.Option
	repository name.Repository
	report     Report
}

// gather proves every bundle that refers to an image itself. What does not
// prove anything of it is returned: it matters where nothing does.
func (v *verification) gather(ctx context.Context, digest v1.Hash) ([]error, error) {
	var refused []error
	err := v.bundles(ctx, digest, func(raw []byte) {
		a, err := v.judge(raw, digest)
		switch {
		case err != nil:
			refused = append(refused, err)
		case a.Predicate == PredicateSBOM: // of an image with one platform; it says what is in it, not who made it
			v.report.SBOMs = append(v.report.SBOMs, "the image")
		case a.Predicate == PredicateSignature, strings.HasPrefix(a.Predicate, "https://slsa.dev/provenance/"):
			v.add(a)
		}
	})
	return refused, err
}

// judge proves one bundle and who it is by.
func (v *verification) judge(raw []byte, digest v1.Hash) (*sigstore.Attestation, error) {
	a, err := v.prover.Attested(raw, sigstore.Artifact{SHA256: digest.Hex})
	if err != nil {
		return nil, err
	}
	return a, v.policy.Accepts(a.Signer)
}

func (v *verification) add(a *sigstore.Attestation) {
	v.report.Statements = append(v.report.Statements, Proved{a.Predicate, a.Signer.Identity, a.Signer.Issuer, a.Time})
	if a.Predicate == PredicateProvenance && v.report.Provenance == nil {
		v.report.Provenance = readProvenance(a.Statement)
	}
}

func readProvenance(raw []byte) *Provenance {
	var st struct{ Predicate provenance }
	if json.Unmarshal(raw, &st) != nil {
		return nil // somebody else's, of another shape
	}
	p := &Provenance{Builder: st.Predicate.RunDetails.Builder.ID, Invocation: st.Predicate.RunDetails.Metadata.InvocationID}
	for _, d := range st.Predicate.BuildDefinition.ResolvedDependencies {
		if commit := d.Digest["gitCommit"]; commit != "" {
			p.Source, p.Commit = d.URI, commit
		}
	}
	return p
}

// platforms looks for the signed bills of materials of an index's images.
func (v *verification) platforms(ctx context.Context, index v1.ImageIndex) error {
	list, err := children(index)
	if err != nil {
		return err
	}
	for _, p := range list {
		found := false
		err := v.bundles(ctx, p.desc.Digest, func(raw []byte) {
			a, err := v.judge(raw, p.desc.Digest)
			found = found || err == nil && a.Predicate == PredicateSBOM
		})
		if err != nil {
			return err
		}
		if found {
			v.report.SBOMs = append(v.report.SBOMs, p.name)
		}
	}
	return nil
}

// maxBundle bounds what is read of one bundle, in bytes: the largest hold a
// bill of materials.
const maxBundle = 64 << 20

// bundles calls f with each Sigstore bundle that refers to a digest.
func (v *verification) bundles(ctx context.Context, digest v1.Hash, f func([]byte)) error {
	subject := v.repository.Digest(digest.String())
	index, err := remote.Referrers(subject, v.options...)
	if err != nil {
		return unreachable(ctx, err, subject)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return unreachable(ctx, err, subject)
	}
	for _, d := range manifest.Manifests {
		// A list that a registry without the API keeps may lack the type.
		if d.ArtifactType != "" && !strings.HasPrefix(d.ArtifactType, "application/vnd.dev.sigstore.bundle") && !strings.HasPrefix(d.ArtifactType, "application/vnd.oci.") {
			continue
		}
		raw, err := v.bundle(d)
		if err != nil {
			return unreachable(ctx, err, subject)
		}
		if raw != nil {
			f(raw)
		}
	}
	return nil
}

// bundle reads an artifact; nil where it is no bundle.
func (v *verification) bundle(d v1.Descriptor) ([]byte, error) {
	img, err := remote.Image(v.repository.Digest(d.Digest.String()), v.options...)
	if err != nil {
		return nil, err
	}
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	if len(m.Layers) != 1 || !strings.HasPrefix(string(m.Layers[0].MediaType), "application/vnd.dev.sigstore.bundle") {
		return nil, nil
	}
	if m.Layers[0].Size > maxBundle {
		return nil, fmt.Errorf("the bundle %s is larger than %d bytes", d.Digest, maxBundle)
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	content, err := layers[0].Compressed()
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	return io.ReadAll(io.LimitReader(content, maxBundle))
}
