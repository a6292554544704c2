// Package sigstore proves who signed a file, without a network, and signs. A
// Sigstore bundle carries the signature (or an attestation that names the
// file's hash), the short-lived certificate of the signer and the proof that
// it was made while the certificate was valid; or the signature of a key. It
// is the one package that imports sigstore-go, which brings many modules.
//
// What the proofs are checked against is the trust root: the pinned one of
// Sigstore's public instance, or one that the caller gives.
package sigstore

import (
	"bytes"
	_ "embed" // the pinned trust root
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// publicGood is the trust root of Sigstore's public instance as sigstore-go
// v1.3.0 ships it; a test compares the two.
//
//go:embed public-good.json
var publicGood []byte

// Identity is who signed: a certificate's subject alternative name, such as
// the address of a workflow at a tag, and who vouched for it.
type Identity struct {
	Identity string
	Issuer   string
}

// String shows both.
func (id Identity) String() string { return fmt.Sprintf("%s (issued by %s)", id.Identity, id.Issuer) }

// Artifact is what was signed: its content, or where that is not at hand its
// SHA-256 in hex.
type Artifact struct {
	Content []byte
	SHA256  string
}

// MismatchError says that a signature is good but somebody else's.
type MismatchError struct{ Want, Got Identity }

// Error names both.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("it is signed by %s, not by %s", e.Got, e.Want)
}

// Verifier checks bundles against a trust root.
type Verifier struct{ roots []root.TrustedMaterial }

// NewVerifier makes a verifier. The trust root is JSON as Sigstore publishes
// it, or several of them one after the other, as `gh attestation trusted-root`
// prints them; nil stands for the pinned one.
func NewVerifier(trustedRoot []byte) (*Verifier, error) {
	if trustedRoot == nil {
		trustedRoot = publicGood
	}
	v := &Verifier{}
	dec := json.NewDecoder(bytes.NewReader(trustedRoot))
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("the trust root cannot be read: %w", err)
		}
		r, err := root.NewTrustedRootFromJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("the trust root cannot be read: %w", err)
		}
		v.roots = append(v.roots, r)
	}
	if len(v.roots) == 0 {
		return nil, errors.New("the trust root is empty")
	}
	return v, nil
}

// Verify checks that the bundle is a signature or a build provenance of the
// artifact. Where want is not nil it must be by that identity. It returns who
// signed.
func (v *Verifier) Verify(bundleJSON []byte, artifact Artifact, want *Identity) (Identity, error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(bundleJSON); err != nil {
		return Identity{}, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	var errs []error
	for _, r := range v.roots {
		got, err := verifyWith(r, b, artifact)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if want != nil && got != *want {
			return got, &MismatchError{Want: *want, Got: got}
		}
		return got, nil
	}
	return Identity{}, errors.Join(errs...)
}

func (a Artifact) option() (verify.ArtifactPolicyOption, error) {
	if a.Content != nil {
		return verify.WithArtifact(bytes.NewReader(a.Content)), nil
	}
	digest, err := hex.DecodeString(a.SHA256)
	if err != nil || len(digest) != 32 {
		return nil, fmt.Errorf("%q is not a SHA-256", a.SHA256)
	}
	return verify.WithArtifactDigest("sha256", digest), nil
}

// requirements is what a trust root is able to prove: all of it is asked for.
func requirements(r root.TrustedMaterial) []verify.VerifierOption {
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(r.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(r.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return options
}

// verifyWith proves the signature first and reads from the proved result who
// it is by; Verify compares that with who is wanted.
func verifyWith(r root.TrustedMaterial, b *bundle.Bundle, artifact Artifact) (Identity, error) {
	result, err := prove(r, b, artifact)
	if err != nil {
		return Identity{}, err
	}
	if s := result.Statement; s != nil && !strings.HasPrefix(s.GetPredicateType(), provenancePrefix) {
		return Identity{}, fmt.Errorf("it attests %q, not how the file was built", s.GetPredicateType())
	}
	return signerOf(result)
}

// provenancePrefix begins the predicate types of build provenance.
const provenancePrefix = "https://slsa.dev/provenance/"

func prove(r root.TrustedMaterial, b *bundle.Bundle, artifact Artifact) (*verify.VerificationResult, error) {
	subject, err := artifact.option()
	if err != nil {
		return nil, err
	}
	verifier, err := verify.NewVerifier(r, requirements(r)...)
	if err != nil {
		return nil, err
	}
	return verifier.Verify(b, verify.NewPolicy(subject, verify.WithoutIdentitiesUnsafe()))
}

// signerOf reads who a proved certificate is of.
func signerOf(result *verify.VerificationResult) (Identity, error) {
	if result.Signature == nil || result.Signature.Certificate == nil {
		return Identity{}, errors.New("it is signed with a key, not with a certificate that says who signed")
	}
	cert := result.Signature.Certificate
	id := Identity{Identity: cert.SubjectAlternativeName, Issuer: cert.Issuer}
	if id.Identity == "" || id.Issuer == "" {
		return Identity{}, errors.New("its certificate does not say who signed")
	}
	return id, nil
}

// Canonical writes a bundle with sorted keys and without spaces, so that one
// that an API formats anew keeps its hash.
func Canonical(bundleJSON []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(bundleJSON))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	return json.Marshal(v)
}
