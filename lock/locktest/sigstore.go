package locktest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// The signer that tests use where they name none.
const (
	Workflow = "https://github.com/acme/plugins/.github/workflows/release.yml"
	Issuer   = "https://token.actions.githubusercontent.com"
)

// Signer is the identity of the release workflow at a tag.
func Signer(version string) string { return Workflow + "@refs/tags/" + version }

// Authority is a Sigstore of this process: a certificate authority, a
// transparency log and a timestamp authority.
type Authority struct {
	t  testing.TB
	vs *ca.VirtualSigstore
}

// NewAuthority makes one with fresh keys.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	vs, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{t, vs}
}

// TrustedRoot is what a verifier needs to trust it.
func (a *Authority) TrustedRoot() []byte {
	a.t.Helper()
	logs := map[string]*root.TransparencyLog{}
	for id, l := range a.vs.RekorLogs() {
		raw, err := hex.DecodeString(id)
		if err != nil {
			a.t.Fatal(err)
		}
		l.ID = raw
		logs[id] = l
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, a.vs.FulcioCertificateAuthorities(), nil, a.vs.TimestampingAuthorities(), logs)
	if err != nil {
		a.t.Fatal(err)
	}
	data, err := r.MarshalJSON()
	if err != nil {
		a.t.Fatal(err)
	}
	return data
}

// Sign makes a bundle with a signature of the artifact.
func (a *Authority) Sign(identity, issuer string, artifact []byte) []byte {
	return a.SignAt(identity, issuer, artifact, time.Now().Add(5*time.Minute))
}

// SignAt is Sign as the log says at another time; the certificate is valid for
// ten minutes from now.
func (a *Authority) SignAt(identity, issuer string, artifact []byte, at time.Time) []byte {
	a.t.Helper()
	e, err := a.vs.SignAtTime(identity, issuer, artifact, at)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.encode(e, "application/vnd.dev.sigstore.bundle+json;version=0.1")
}

// Attest makes a bundle with a build provenance of files: name to SHA-256.
func (a *Authority) Attest(identity, issuer string, subjects map[string]string) []byte {
	return a.AttestAs("https://slsa.dev/provenance/v1", identity, issuer, subjects)
}

// AttestAs makes a bundle with any statement about files.
func (a *Authority) AttestAs(predicate, identity, issuer string, subjects map[string]string) []byte {
	a.t.Helper()
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	statement := map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "predicate": map[string]any{},
	}
	var list []subject
	for name, sum := range subjects {
		list = append(list, subject{name, map[string]string{"sha256": sum}})
	}
	statement["subject"] = list
	body, err := json.Marshal(statement)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.AttestStatement(identity, issuer, body)
}

// AttestStatement makes a bundle with a statement as it is.
func (a *Authority) AttestStatement(identity, issuer string, body []byte) []byte {
	a.t.Helper()
	e, err := a.vs.AttestHashedRekordV2(identity, issuer, body)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.encode(e, "application/vnd.dev.sigstore.bundle.v0.3+json")
}

// encode writes what was signed as the JSON that signers publish.
func (a *Authority) encode(e *ca.TestEntity, mediaType string) []byte {
	a.t.Helper()
	b, err := a.bundle(e, mediaType)
	if err != nil {
		a.t.Fatal(err)
	}
	data, err := protojson.Marshal(b)
	if err != nil {
		a.t.Fatal(err)
	}
	return data
}

func (a *Authority) bundle(e *ca.TestEntity, mediaType string) (*protobundle.Bundle, error) {
	material, err := e.VerificationContent()
	if err != nil {
		return nil, err
	}
	cert := &protocommon.X509Certificate{RawBytes: material.Certificate().Raw}
	b := &protobundle.Bundle{MediaType: mediaType, VerificationMaterial: &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_X509CertificateChain{
			X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{cert}},
		},
	}}
	entries, err := e.TlogEntries()
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		tle, err := a.promised(entry.TransparencyLogEntry())
		if err != nil {
			return nil, err
		}
		b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, tle)
	}
	content, err := e.SignatureContent()
	if err != nil {
		return nil, err
	}
	switch c := content.(type) {
	case *bundle.MessageSignature:
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: c.Digest()},
			Signature:     c.Signature(),
		}}
	case *bundle.Envelope:
		return withEnvelope(b, e, c, cert)
	default:
		return nil, fmt.Errorf("cannot encode %T", content)
	}
	return b, nil
}

// promised completes an entry of the older kind of log, which the test
// authority leaves without its kind and the log's promise.
func (a *Authority) promised(e *protorekor.TransparencyLogEntry) (*protorekor.TransparencyLogEntry, error) {
	if e.GetKindVersion() != nil {
		return e, nil
	}
	var body struct{ Kind, APIVersion string }
	if err := json.Unmarshal(e.GetCanonicalizedBody(), &body); err != nil {
		return nil, err
	}
	promise, err := a.vs.RekorSignPayload(tlog.RekorPayload{
		Body:           base64.StdEncoding.EncodeToString(e.GetCanonicalizedBody()),
		IntegratedTime: e.GetIntegratedTime(), LogIndex: e.GetLogIndex(), LogID: hex.EncodeToString(e.GetLogId().GetKeyId()),
	})
	if err != nil {
		return nil, err
	}
	e.KindVersion = &protorekor.KindVersion{Kind: body.Kind, Version: body.APIVersion}
	e.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
	return e, nil
}

func withEnvelope(b *protobundle.Bundle, e *ca.TestEntity, c *bundle.Envelope, cert *protocommon.X509Certificate) (*protobundle.Bundle, error) {
	payload, err := c.DecodeB64Payload()
	if err != nil {
		return nil, err
	}
	b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		Payload: payload, PayloadType: c.PayloadType, Signatures: []*protodsse.Signature{{Sig: c.Signature()}},
	}}
	b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: cert}
	stamps, err := e.Timestamps()
	if err != nil {
		return nil, err
	}
	data := &protobundle.TimestampVerificationData{}
	for _, s := range stamps {
		data.Rfc3161Timestamps = append(data.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: s})
	}
	b.VerificationMaterial.TimestampVerificationData = data
	return b, nil
}

// SignWith adds a bundle for checksums.txt to a release.
func (r *Release) SignWith(a *Authority, identity string) *Release {
	r.Files["checksums.txt.sigstore.json"] = a.Sign(identity, Issuer, r.Files["checksums.txt"])
	return r
}
