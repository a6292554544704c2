package sigstore_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/sigstore"
)

const (
	identity = "https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/v1.0.0"
	issuer   = "https://token.actions.githubusercontent.com"
)

var signer = sigstore.Identity{Identity: identity, Issuer: issuer}

func verifier(t *testing.T, roots ...[]byte) *sigstore.Verifier {
	t.Helper()
	v, err := sigstore.NewVerifier(bytes.Join(roots, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	a, other := locktest.NewAuthority(t), locktest.NewAuthority(t)
	list := []byte("the list of checksums")
	hash := locktest.Hash(list)
	signed := a.Sign(identity, issuer, list)
	attested := a.Attest(identity, issuer, map[string]string{"x.tar.gz": locktest.Hash([]byte("x")), "list": hash})
	content, digest := sigstore.Artifact{Content: list}, sigstore.Artifact{SHA256: hash}
	tests := []struct {
		name     string
		bundle   []byte
		artifact sigstore.Artifact
		want     *sigstore.Identity
		problem  string // "" for acceptance
	}{
		{"signature", signed, content, &signer, ""},
		{"signature of a hash", signed, digest, &signer, ""},
		{"signature of anybody", signed, content, nil, ""},
		{"attestation", attested, digest, &signer, ""},
		{"attestation of content", attested, content, &signer, ""},
		{"wrong identity", signed, content, &sigstore.Identity{Identity: "https://github.com/mallory", Issuer: issuer}, "signed by " + identity},
		{"identity of another tag", signed, content, &sigstore.Identity{Identity: identity + ".1", Issuer: issuer}, "signed by " + identity},
		{"wrong issuer", attested, digest, &sigstore.Identity{Identity: identity, Issuer: "https://accounts.example.com"}, "signed by " + identity},
		{"tampered artifact", signed, sigstore.Artifact{Content: append([]byte("x"), list...)}, &signer, "verify"},
		{"tampered hash", attested, sigstore.Artifact{SHA256: locktest.Hash([]byte("y"))}, &signer, "digest"},
		{"expired certificate", a.SignAt(identity, issuer, list, time.Now().Add(30*time.Minute)), content, &signer, "certificate"},
		{"certificate not valid yet", a.SignAt(identity, issuer, list, time.Now().Add(-30*time.Minute)), content, &signer, "certificate"},
		{"another authority", other.Sign(identity, issuer, list), content, &signer, "verify"},
		{"another statement", a.AttestAs("https://spdx.dev/Document", identity, issuer, map[string]string{"list": hash}), digest, &signer, "not how the file was built"},
		{"no bundle", []byte("{}"), content, &signer, "cannot be read"},
		{"not JSON", []byte("x"), content, &signer, "cannot be read"},
		{"no hash", attested, sigstore.Artifact{SHA256: "abc"}, &signer, "not a SHA-256"},
	}
	v := verifier(t, a.TrustedRoot())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := v.Verify(tt.bundle, tt.artifact, tt.want)
			if tt.problem == "" {
				if err != nil || got != signer {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("got %v, want an error with %q", err, tt.problem)
			}
		})
	}
}

func TestMismatchNamesBoth(t *testing.T) {
	a := locktest.NewAuthority(t)
	want := sigstore.Identity{Identity: "somebody", Issuer: issuer}
	_, err := verifier(t, a.TrustedRoot()).Verify(a.Sign(identity, issuer, []byte("x")), sigstore.Artifact{Content: []byte("x")}, &want)
	var m *sigstore.MismatchError
	if !errors.As(err, &m) || m.Got != signer || m.Want != want {
		t.Errorf("got %v", err)
	}
}

// No byte of a bundle that matters can change: either it does not verify, or
// it says the same.
func TestFlippedBytes(t *testing.T) {
	a := locktest.NewAuthority(t)
	list := []byte("the list of checksums")
	v := verifier(t, a.TrustedRoot())
	for name, b := range map[string][]byte{
		"signature":   a.Sign(identity, issuer, list),
		"attestation": a.Attest(identity, issuer, map[string]string{"list": locktest.Hash(list)}),
	} {
		for i := 0; i < len(b); i += 7 {
			c := bytes.Clone(b)
			c[i] ^= 1
			if got, err := v.Verify(c, sigstore.Artifact{Content: list}, nil); err == nil && got != signer {
				t.Fatalf("%s: byte %d flipped: verified as %v", name, i, got)
			}
		}
	}
}

func TestSeveralRoots(t *testing.T) {
	a, b := locktest.NewAuthority(t), locktest.NewAuthority(t)
	v := verifier(t, b.TrustedRoot(), a.TrustedRoot())
	for _, s := range []*locktest.Authority{a, b} {
		if _, err := v.Verify(s.Sign(identity, issuer, []byte("x")), sigstore.Artifact{Content: []byte("x")}, &signer); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "{", `{"mediaType":"x"}`} {
		if _, err := sigstore.NewVerifier([]byte(bad)); err == nil {
			t.Errorf("the trust root %q was accepted", bad)
		}
	}
}

// The pinned root proves a real attestation of the public instance, and is the
// one that sigstore-go ships.
func TestPublicGood(t *testing.T) {
	v, err := sigstore.NewVerifier(nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	// The subject has a SHA-512 alone, as npm's do: the right signer, and still
	// no proof for a SHA-256.
	if _, err := v.Verify(raw, sigstore.Artifact{SHA256: strings.Repeat("0", 64)}, nil); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("got %v, want everything to be proved but the artifact", err)
	}
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "examples", "trusted-root-public-good.json"))
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := os.ReadFile("public-good.json")
	if err != nil || !bytes.Equal(pinned, shipped) {
		t.Errorf("public-good.json is not what sigstore-go ships (%v)", err)
	}
}

func TestCanonical(t *testing.T) {
	a, errA := sigstore.Canonical([]byte(`{"b": 12345678901234567890, "a": [1, {"d":1,"c":"<"}]}`))
	b, errB := sigstore.Canonical([]byte("{\"a\":[1,{\"c\":\"\\u003c\",\"d\":1}],\n\"b\":12345678901234567890}"))
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("%s (%v) and %s (%v)", a, errA, b, errB)
	}
	if _, err := sigstore.Canonical([]byte("[")); err == nil {
		t.Error("an array was taken for a bundle")
	}
}
