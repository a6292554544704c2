package deliver_test

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/deliver"
)

func TestText(t *testing.T) {
	for raw, want := range map[string]string{`"a\nb"`: "a\nb", ` {"a": [1, 2]} `: `{"a":[1,2]}`, `5432`: "5432", `true`: "true", `null`: "", ``: ""} {
		if v, err := deliver.Text(json.RawMessage(raw)); err != nil || v.Reveal() != want {
			t.Errorf("%q is %q, %v", raw, v.Reveal(), err)
		}
	}
	if _, err := deliver.Text(json.RawMessage(`{"a": s3cret`)); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		raw, _ := json.Marshal(s)
		if v, err := deliver.Text(raw); err != nil || v.Reveal() != strings.ToValidUTF8(s, "\ufffd") {
			t.Fatalf("%q is %q, %v", s, v.Reveal(), err)
		}
	})
}

func TestGenerate(t *testing.T) {
	make := func(kind string, length int) string {
		t.Helper()
		v, err := deliver.Generate(kind, length)
		if err != nil {
			t.Fatal(err)
		}
		return v.Reveal()
	}
	if b, err := hex.DecodeString(make("random_hex", 20)); err != nil || len(b) != 20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := base64.StdEncoding.DecodeString(make("random_base64", 0)); err != nil || len(b) != 32 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if s := make("random_alphanumeric", 1000); !regexp.MustCompile(`^[A-Za-z0-9]{1000}$`).MatchString(s) || !strings.ContainsAny(s, "9") || !strings.ContainsAny(s, "A") {
		t.Errorf("%d characters", len(s))
	}
	if s := make("uuid", 0); !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(s) {
		t.Errorf("%q", s)
	}
	key := func(text string) any {
		t.Helper()
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(rest) > 0 {
			t.Fatal("no PEM")
		}
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if k, ok := key(make("rsa_key", 2048)).(*rsa.PrivateKey); !ok || k.N.BitLen() != 2048 {
		t.Error("no RSA key of 2048 bits")
	}
	if _, ok := key(make("ed25519_key", 0)).(ed25519.PrivateKey); !ok {
		t.Error("no Ed25519 key")
	}
	if _, err := deliver.Generate("random_hexx", 1); err == nil || !strings.Contains(err.Error(), "random_hexx") {
		t.Errorf("%v", err)
	}
}
