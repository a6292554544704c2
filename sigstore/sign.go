package sigstore

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// Services are the servers that a signature is made with; "" leaves one out.
type Services struct {
	// Fulcio gives a certificate for a token: https://fulcio.sigstore.dev.
	Fulcio string
	// Rekor is the transparency log: https://rekor.sigstore.dev.
	Rekor string
	// Timestamp is the whole address of a timestamp authority:
	// https://timestamp.sigstore.dev/api/v1/timestamp.
	Timestamp string
}

// PublicGood are the servers of Sigstore's public instance.
func PublicGood() Services {
	return Services{
		Fulcio: "https://fulcio.sigstore.dev", Rekor: "https://rekor.sigstore.dev",
		Timestamp: "https://timestamp.sigstore.dev/api/v1/timestamp",
	}
}

// Signer makes bundles.
type Signer struct {
	services Services
	// token is asked for each time: it lives for minutes. Nil for a key.
	token func(context.Context) (string, error)
	key   sign.Keypair
}

// Keyless makes a signer that signs as whoever the token is of, with a key
// that is thrown away. What it made holds only with a proof of the time: a
// log or a timestamp authority.
func Keyless(services Services, token func(context.Context) (string, error)) (*Signer, error) {
	switch {
	case services.Fulcio == "":
		return nil, errors.New("a signature without a key needs a certificate authority")
	case services.Rekor == "" && services.Timestamp == "":
		return nil, errors.New("a signature without a key needs a transparency log or a timestamp authority: its certificate ends after minutes")
	}
	return &Signer{services: services, token: token}, nil
}

// WithKey makes a signer of a private key as PEM: PKCS #8, or encrypted as
// `cosign generate-key-pair` writes it. The servers may all be left out.
func WithKey(services Services, privateKey, password []byte) (*Signer, error) {
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(privateKey, func(bool) ([]byte, error) { return password, nil })
	if err != nil {
		return nil, fmt.Errorf("the private key cannot be read: %w", err)
	}
	pair, err := newKeypair(key)
	if err != nil {
		return nil, err
	}
	return &Signer{services: services, key: pair}, nil
}

// Sign signs a document of a type, such as a statement of in-toto
// (application/vnd.in-toto+json), and returns the bundle as JSON.
func (s *Signer) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	return s.sign(ctx, &sign.DSSEData{Data: payload, PayloadType: payloadType})
}

// SignBlob signs a file's content and returns the bundle as JSON.
func (s *Signer) SignBlob(ctx context.Context, content []byte) ([]byte, error) {
	return s.sign(ctx, &sign.PlainData{Data: content})
}

func (s *Signer) sign(ctx context.Context, content sign.Content) ([]byte, error) {
	o := sign.BundleOptions{Context: ctx}
	pair := s.key
	if s.token != nil {
		var err error
		if pair, err = sign.NewEphemeralKeypair(nil); err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		token, err := s.token(ctx)
		if err != nil {
			return nil, err
		}
		o.CertificateProvider = sign.NewFulcio(&sign.FulcioOptions{BaseURL: s.services.Fulcio, Retries: retries, Transport: within{ctx}})
		o.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: token}
	}
	if s.services.Timestamp != "" {
		o.TimestampAuthorities = append(o.TimestampAuthorities,
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: s.services.Timestamp, Retries: retries, Transport: within{ctx}}))
	}
	if s.services.Rekor != "" {
		o.TransparencyLogs = append(o.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{BaseURL: s.services.Rekor, Retries: retries}))
	}
	b, err := sign.Bundle(content, pair, o)
	if err != nil {
		return nil, err
	}
	return encode(b)
}

// retries is how often a request is made again that a server was not ready
// for.
const retries = 3

func encode(b *protobundle.Bundle) ([]byte, error) {
	raw, err := protojson.Marshal(b)
	if err != nil {
		return nil, err
	}
	return Canonical(raw) // protojson varies its spaces on purpose
}

// within ends requests with a context: sigstore-go's own clients are asked
// without one.
type within struct {
	ctx context.Context //nolint:containedctx // for one signature
}

// RoundTrip implements http.RoundTripper.
func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(w.ctx, cancel)
	end := func() { stop(); cancel() }
	res, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		end()
		return nil, err
	}
	res.Body = &ending{res.Body, end}
	return res, nil
}

// ending is a body that lets go of a context when it is closed.
type ending struct {
	io.ReadCloser
	end func()
}

// Close implements io.Closer.
func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}

// keypair signs with a key that is kept.
type keypair struct {
	key     crypto.Signer
	details signature.AlgorithmDetails
	pem     string
	hint    []byte
}

func newKeypair(key crypto.PrivateKey) (*keypair, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of kind %T cannot sign", key)
	}
	details, err := signature.GetDefaultAlgorithmDetails(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("the private key cannot be used: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("the private key cannot be used: %w", err)
	}
	sum := sha256.Sum256(der)
	return &keypair{
		key: signer, details: details, pem: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		hint: []byte(base64.StdEncoding.EncodeToString(sum[:])),
	}, nil
}

// PublicKey is the signer's public key as PEM, "" for one without a key.
func (s *Signer) PublicKey() string {
	if k, ok := s.key.(*keypair); ok {
		return k.pem
	}
	return ""
}

// GetHashAlgorithm implements sign.Keypair.
func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.details.GetProtoHashType() }

// GetSigningAlgorithm implements sign.Keypair.
func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.details.GetSignatureAlgorithm()
}

// GetHint implements sign.Keypair.
func (k *keypair) GetHint() []byte { return k.hint }

// GetKeyAlgorithm implements sign.Keypair.
func (k *keypair) GetKeyAlgorithm() string {
	switch k.details.GetKeyType() {
	case signature.RSA:
		return "RSA"
	case signature.ED25519:
		return "ED25519"
	}
	return "ECDSA"
}

// GetPublicKey implements sign.Keypair.
func (k *keypair) GetPublicKey() crypto.PublicKey { return k.key.Public() }

// GetPublicKeyPem implements sign.Keypair.
func (k *keypair) GetPublicKeyPem() (string, error) { return k.pem, nil }

// SignData implements sign.Keypair: the signature, and what was signed.
func (k *keypair) SignData(_ context.Context, data []byte) ([]byte, []byte, error) {
	hash := k.details.GetHashType()
	if hash != crypto.Hash(0) { // ed25519 hashes by itself
		h := hash.New()
		h.Write(data)
		data = h.Sum(nil)
	}
	signed, err := k.key.Sign(rand.Reader, data, hash)
	return signed, data, err
}
