package deliver

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/secret"
)

// generators make secrets of a length; 0 is the kind's default. Lengths are
// of bytes for random_hex and random_base64, of characters for
// random_alphanumeric, of bits for rsa_key.
var generators = kind.NewSet("kind of secret", map[string]func(r io.Reader, length int) ([]byte, error){
	"random_hex":          randomHex,
	"random_base64":       randomBase64,
	"random_alphanumeric": randomAlphanumeric,
	"uuid":                func(r io.Reader, _ int) ([]byte, error) { return randomUUID(r) },
	"rsa_key":             rsaKey,
	"ed25519_key":         func(r io.Reader, _ int) ([]byte, error) { return ed25519Key(r) },
})

// GeneratorKinds are the kinds of secret that can be made.
func GeneratorKinds() []string { return generators.Names() }

// Generate makes a secret of a kind.
func Generate(kind string, length int) (secret.Value, error) {
	make, err := generators.Get(kind)
	if err != nil {
		return secret.Value{}, err
	}
	b, err := make(rand.Reader, length)
	if err != nil {
		return secret.Value{}, fault.Wrap(fault.Config, err, "make a secret of kind %s", kind)
	}
	return secret.New(b), nil
}

func randomBytes(r io.Reader, length, otherwise int) ([]byte, error) {
	if length == 0 {
		length = otherwise
	}
	b := make([]byte, length)
	_, err := io.ReadFull(r, b)
	return b, err
}

func randomHex(r io.Reader, length int) ([]byte, error) {
	b, err := randomBytes(r, length, 32)
	return hex.AppendEncode(nil, b), err
}

func randomBase64(r io.Reader, length int) ([]byte, error) {
	b, err := randomBytes(r, length, 32)
	return base64.StdEncoding.AppendEncode(nil, b), err
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomAlphanumeric draws each character with the same chance: bytes beyond
// the last whole multiple of the alphabet are drawn again.
func randomAlphanumeric(r io.Reader, length int) ([]byte, error) {
	if length == 0 {
		length = 32
	}
	out := make([]byte, 0, length)
	const limit = 256 / len(alphanumeric) * len(alphanumeric)
	for len(out) < length {
		b, err := randomBytes(r, length-len(out)+8, 0)
		if err != nil {
			return nil, err
		}
		for _, c := range b {
			if int(c) < limit && len(out) < length {
				out = append(out, alphanumeric[int(c)%len(alphanumeric)])
			}
		}
	}
	return out, nil
}

// randomUUID makes a UUID of version 4 (RFC 9562).
func randomUUID(r io.Reader) ([]byte, error) {
	b, err := randomBytes(r, 16, 16)
	if err != nil {
		return nil, err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Appendf(nil, "%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// rsaKey is a private key as PKCS #8 in PEM.
func rsaKey(r io.Reader, length int) ([]byte, error) {
	if length == 0 {
		length = 3072
	}
	if length < 2048 || length > 8192 {
		return nil, fmt.Errorf("an RSA key has 2048 to 8192 bits, not %d", length)
	}
	k, err := rsa.GenerateKey(r, length)
	if err != nil {
		return nil, err
	}
	return privatePEM(k)
}

// ed25519Key is a private key as PKCS #8 in PEM.
func ed25519Key(r io.Reader) ([]byte, error) {
	_, k, err := ed25519.GenerateKey(r)
	if err != nil {
		return nil, err
	}
	return privatePEM(k)
}

func privatePEM(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
