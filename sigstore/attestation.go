package sigstore

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// Attestation is a proved in-toto statement about an artifact.
type Attestation struct {
	// Predicate is the type of what it says: https://slsa.dev/provenance/v1.
	Predicate string
	// Statement is the whole statement as JSON.
	Statement []byte
	// Signer is who signed; of a signature by a key, its Identity is "".
	Signer Identity
	// Time is when it was signed, as a log or a timestamp authority says; zero
	// for a key, which needs none.
	Time time.Time
}

// Attested proves that a bundle holds a statement about the artifact. It does
// not judge who signed it: the caller compares Signer.
func (v *Verifier) Attested(bundleJSON []byte, artifact Artifact) (*Attestation, error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(bundleJSON); err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	var errs []error
	for _, r := range v.roots {
		result, err := prove(r, b, artifact)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		id, err := signerOf(result)
		if err != nil {
			return nil, err
		}
		return attestation(result, id)
	}
	return nil, errors.Join(errs...)
}

func attestation(result *verify.VerificationResult, id Identity) (*Attestation, error) {
	if result.Statement == nil {
		return nil, errors.New("it signs a file and states nothing")
	}
	raw, err := protojson.Marshal(result.Statement)
	if err != nil {
		return nil, fmt.Errorf("the statement cannot be read: %w", err)
	}
	a := &Attestation{Predicate: result.Statement.GetPredicateType(), Statement: raw, Signer: id}
	for _, t := range result.VerifiedTimestamps {
		if a.Time.IsZero() || t.Timestamp.Before(a.Time) {
			a.Time = t.Timestamp
		}
	}
	return a, nil
}

// KeyVerifier checks bundles against one public key.
type KeyVerifier struct{ material root.TrustedMaterial }

// NewKeyVerifier makes a verifier of a public key as PEM.
func NewKeyVerifier(publicKey []byte) (*KeyVerifier, error) {
	block, _ := pem.Decode(publicKey)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("it is no public key as PEM: it begins with -----BEGIN PUBLIC KEY-----")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the public key cannot be read: %w", err)
	}
	v, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("the public key cannot be used: %w", err)
	}
	always := root.NewExpiringKey(v, time.Time{}, time.Time{})
	// The hint in a bundle is a name that the signer chose: whatever it is, the
	// signature must be good for this key.
	return &KeyVerifier{root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return always, nil })}, nil
}

// Attested proves that a bundle holds a statement about the artifact that is
// signed with the key.
func (v *KeyVerifier) Attested(bundleJSON []byte, artifact Artifact) (*Attestation, error) {
	result, err := v.prove(bundleJSON, artifact)
	if err != nil {
		return nil, err
	}
	return attestation(result, Identity{})
}

// Verify proves that a bundle is a signature of the artifact with the key.
func (v *KeyVerifier) Verify(bundleJSON []byte, artifact Artifact) error {
	_, err := v.prove(bundleJSON, artifact)
	return err
}

func (v *KeyVerifier) prove(bundleJSON []byte, artifact Artifact) (*verify.VerificationResult, error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(bundleJSON); err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	subject, err := artifact.option()
	if err != nil {
		return nil, err
	}
	verifier, err := verify.NewVerifier(v.material, verify.WithNoObserverTimestamps())
	if err != nil {
		return nil, err
	}
	return verifier.Verify(b, verify.NewPolicy(subject, verify.WithKey()))
}
