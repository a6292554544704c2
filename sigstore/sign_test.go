package sigstore_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/sigstore"
)

func pkcs8(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func keys(t *testing.T) map[string][]byte {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"ecdsa": pkcs8(t, ec), "ed25519": pkcs8(t, ed), "rsa": pkcs8(t, long)}
}

// A signature with a key needs no server at all, to make and to prove.
func TestSignWithAKey(t *testing.T) {
	hash := locktest.Hash([]byte("an image"))
	statement := []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"` + hash + `"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`)
	for kind, private := range keys(t) {
		signer, err := sigstore.WithKey(sigstore.Services{}, private, nil)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		bundle, err := signer.Sign(t.Context(), "application/vnd.in-toto+json", statement)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		v, err := sigstore.NewKeyVerifier([]byte(signer.PublicKey()))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if a, err := v.Attested(bundle, sigstore.Artifact{SHA256: hash}); err != nil || a.Predicate != "https://slsa.dev/provenance/v1" {
			t.Errorf("%s: %+v, %v", kind, a, err)
		}
		if _, err := v.Attested(bundle, sigstore.Artifact{SHA256: locktest.Hash([]byte("another"))}); err == nil {
			t.Errorf("%s: it proves another hash", kind)
		}
		other, err := sigstore.WithKey(sigstore.Services{}, keys(t)[kind], nil)
		if err != nil {
			t.Fatal(err)
		}
		wrong, err := sigstore.NewKeyVerifier([]byte(other.PublicKey()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wrong.Attested(bundle, sigstore.Artifact{SHA256: hash}); err == nil {
			t.Errorf("%s: another key proves it", kind)
		}
		if _, err := verifier(t, locktest.NewAuthority(t).TrustedRoot()).Attested(bundle, sigstore.Artifact{SHA256: hash}); err == nil {
			t.Errorf("%s: a key counts as an identity", kind)
		}
	}
}

// A key as `cosign generate-key-pair` writes it.
func TestEncryptedKey(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := cryptoutils.MarshalPrivateKeyToEncryptedDER(ec, cryptoutils.StaticPasswordFunc([]byte("sesame-opens")))
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: der})
	if _, err := sigstore.WithKey(sigstore.Services{}, private, []byte("sesame-opens")); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "sesame"} {
		if _, err := sigstore.WithKey(sigstore.Services{}, private, []byte(wrong)); err == nil {
			t.Errorf("the password %q opens it", wrong)
		}
	}
	if _, err := sigstore.WithKey(sigstore.Services{}, []byte("nothing"), nil); err == nil {
		t.Error("anything is a key")
	}
	if _, err := sigstore.NewKeyVerifier(private); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a private key is taken for a public one: %v", err)
	}
}

// What nothing could be proved with later is refused at once.
func TestKeylessNeedsAProofOfTheTime(t *testing.T) {
	token := func(context.Context) (string, error) { return "", errors.New("asked") }
	for _, s := range []sigstore.Services{{}, {Rekor: "https://x"}, {Fulcio: "https://x"}} {
		if _, err := sigstore.Keyless(s, token); err == nil {
			t.Errorf("%+v is enough", s)
		}
	}
	signer, err := sigstore.Keyless(sigstore.PublicGood(), token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(t.Context(), "x", []byte("{}")); err == nil || err.Error() != "asked" {
		t.Errorf("got %v", err)
	}
}

func TestToken(t *testing.T) {
	status, body := http.StatusOK, `{"value": "abc"}`
	var asked *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	vars := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": server.URL + "/?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-canary"}
	getenv := func(name string) string { return vars[name] }
	if got, err := sigstore.Token(t.Context(), getenv); err != nil || got != "abc" || asked.URL.Query().Get("audience") != "sigstore" || asked.URL.Query().Get("api-version") != "2.0" {
		t.Errorf("%q, %v, %v", got, err, asked)
	}
	for _, s := range []struct {
		status int
		body   string
	}{{http.StatusForbidden, "no"}, {http.StatusOK, "{}"}, {http.StatusOK, "<html>"}} {
		status, body = s.status, s.body
		if _, err := sigstore.Token(t.Context(), getenv); err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), server.URL) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	vars["SIGSTORE_ID_TOKEN"] = " given\n"
	if got, err := sigstore.Token(t.Context(), getenv); err != nil || got != "given" {
		t.Errorf("%q, %v", got, err)
	}
	clear(vars)
	if _, err := sigstore.Token(t.Context(), getenv); !errors.Is(err, sigstore.ErrNoToken) || !errors.Is(sigstore.CanToken(getenv), sigstore.ErrNoToken) {
		t.Errorf("got %v", err)
	}
}
