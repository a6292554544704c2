//go:build services

package sigstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/internal/sigstoretest"
	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/sigstore"
)

func services(s *sigstoretest.Sigstore) sigstore.Services {
	return sigstore.Services{Fulcio: s.Fulcio, Timestamp: s.Timestamp}
}

func keyless(t *testing.T, s *sigstoretest.Sigstore, workflow string) *sigstore.Signer {
	t.Helper()
	signer, err := sigstore.Keyless(services(s), func(context.Context) (string, error) { return s.Issuer.Token(workflow), nil })
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func statementOf(hash, predicate string) []byte {
	return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"` + hash + `"}}],"predicateType":"` + predicate + `","predicate":{"a":1}}`)
}

// What the real certificate authority and timestamp authority gave proves who
// signed, after they are gone from the network.
func TestKeylessWithTheRealServers(t *testing.T) {
	s := sigstoretest.Start(t)
	signer := keyless(t, s, sigstoretest.Workflow)
	hash := locktest.Hash([]byte("an image"))
	bundle, err := signer.Sign(t.Context(), "application/vnd.in-toto+json", statementOf(hash, "https://slsa.dev/provenance/v1"))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := signer.SignBlob(t.Context(), []byte("the list"))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, s.TrustedRoot)
	who := sigstore.Identity{Identity: sigstoretest.Identity(sigstoretest.Workflow), Issuer: s.Issuer.URL}
	a, err := v.Attested(bundle, sigstore.Artifact{SHA256: hash})
	if err != nil {
		t.Fatal(err)
	}
	if a.Signer != who || a.Predicate != "https://slsa.dev/provenance/v1" || time.Since(a.Time).Abs() > time.Hour || !strings.Contains(string(a.Statement), `"a"`) {
		t.Errorf("%+v", a)
	}
	if got, err := v.Verify(blob, sigstore.Artifact{Content: []byte("the list")}, &who); err != nil || got != who {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := v.Verify(bundle, sigstore.Artifact{SHA256: hash}, &who); err != nil || got != who {
		t.Errorf("%v, %v", got, err)
	}
	var mismatch *sigstore.MismatchError
	for _, other := range []sigstore.Identity{{Identity: who.Identity + "x", Issuer: who.Issuer}, {Identity: who.Identity, Issuer: "https://token.actions.githubusercontent.com"}} {
		if _, err := v.Verify(blob, sigstore.Artifact{Content: []byte("the list")}, &other); !errors.As(err, &mismatch) {
			t.Errorf("%s: %v", other, err)
		}
	}
	refused(t, v, bundle, hash)
	if _, err := verifier(t, locktest.NewAuthority(t).TrustedRoot()).Attested(bundle, sigstore.Artifact{SHA256: hash}); err == nil {
		t.Error("another Sigstore's certificate is believed")
	}
}

// refused changes each part of a good bundle.
func refused(t *testing.T, v *sigstore.Verifier, bundle []byte, hash string) {
	t.Helper()
	if _, err := v.Attested(bundle, sigstore.Artifact{SHA256: locktest.Hash([]byte("another"))}); err == nil {
		t.Error("it proves another hash")
	}
	var parts map[string]any
	if err := json.Unmarshal(bundle, &parts); err != nil {
		t.Fatal(err)
	}
	envelope := parts["dsseEnvelope"].(map[string]any)
	signature := envelope["signatures"].([]any)[0].(map[string]any)
	change := map[string]func(){
		"payload":   func() { envelope["payload"] = swap(envelope["payload"].(string)) },
		"signature": func() { signature["sig"] = swap(signature["sig"].(string)) },
		"timestamp": func() {
			delete(parts["verificationMaterial"].(map[string]any), "timestampVerificationData")
		},
	}
	for name, do := range change {
		if err := json.Unmarshal(bundle, &parts); err != nil {
			t.Fatal(err)
		}
		envelope = parts["dsseEnvelope"].(map[string]any)
		signature = envelope["signatures"].([]any)[0].(map[string]any)
		do()
		changed, err := json.Marshal(parts)
		if err != nil || bytes.Equal(changed, bundle) {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := v.Attested(changed, sigstore.Artifact{SHA256: hash}); err == nil {
			t.Errorf("a changed %s is accepted", name)
		}
	}
}

// swap changes one character of base64 in its middle.
func swap(s string) string {
	b := []byte(s)
	i := len(b) / 2
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// Fulcio gives nobody a certificate whom its issuer does not vouch for.
func TestTokenOfAStranger(t *testing.T) {
	s := sigstoretest.Start(t)
	stranger := sigstoretest.NewIssuer(t)
	signer, err := sigstore.Keyless(services(s), func(context.Context) (string, error) { return stranger.Token(sigstoretest.Workflow), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(t.Context(), "x", []byte("{}")); err == nil || !strings.Contains(err.Error(), "Fulcio returned 4") {
		t.Errorf("got %v", err)
	}
}

// A job of GitHub Actions gets its token by itself.
func TestTokenOfAJob(t *testing.T) {
	s := sigstoretest.Start(t)
	job := s.Issuer.Job()
	signer, err := sigstore.Keyless(services(s), func(ctx context.Context) (string, error) {
		return sigstore.Token(ctx, func(name string) string { return job[name] })
	})
	if err != nil {
		t.Fatal(err)
	}
	blob, err := signer.SignBlob(t.Context(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := verifier(t, s.TrustedRoot).Verify(blob, sigstore.Artifact{Content: []byte("x")}, nil)
	if err != nil || got.Identity != sigstoretest.Identity(sigstoretest.Workflow) {
		t.Errorf("%v, %v", got, err)
	}
}
