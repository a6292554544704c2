package age

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/gocodealone/wfctl/fault"
)

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func env(vars ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(vars); i += 2 {
			if vars[i] == name {
				return vars[i+1], true
			}
		}
		return "", false
	}
}

func TestSealAndOpen(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	a, b, stranger := identity(t), identity(t), identity(t)
	o := Options{Recipients: []string{a.Recipient().String(), b.Recipient().String()}}
	file := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte("# mine\n"+b.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := New(o, env())
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("s3cret-value")
	sealed, err := writer.Seal(t.Context(), secret)
	if err != nil || bytes.Contains(sealed, secret) {
		t.Fatalf("sealed as %q, %v", sealed, err)
	}
	for name, c := range map[string]struct {
		getenv func(string) (string, bool)
		code   fault.Code
	}{
		"key":      {env("WFCTL_AGE_KEY", a.String()), ""},
		"file":     {env("WFCTL_AGE_KEY_FILE", file), ""},
		"stranger": {env("WFCTL_AGE_KEY", stranger.String()), fault.State},
		"none":     {env(), fault.Environment},
		"garbage":  {env("WFCTL_AGE_KEY", "AGE-SECRET-KEY-1GARBAGE"), fault.Environment},
		"no file":  {env("WFCTL_AGE_KEY_FILE", file+".gone"), fault.Environment},
	} {
		s, err := New(o, c.getenv)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := s.Open(t.Context(), sealed)
		if fault.CodeOf(err) != c.code || err == nil && !bytes.Equal(plain, secret) {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
		if err != nil && strings.Contains(err.Error(), "GARBAGE") {
			t.Errorf("%s: the error quotes the key", name)
		}
		if _, err := s.Open(t.Context(), sealed[:len(sealed)-3]); err == nil {
			t.Errorf("%s: a cut value was opened", name)
		}
	}
}

func TestRecipients(t *testing.T) {
	for _, list := range [][]string{nil, {""}, {"age1nonsense"}, {"AGE-SECRET-KEY-1X"}} {
		if _, err := New(Options{Recipients: list}, env()); fault.CodeOf(err) != fault.Config {
			t.Errorf("%q: %v", list, err)
		}
	}
}
