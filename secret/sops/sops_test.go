//go:build services

package sops_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/secret/sops"
)

// program puts the real sops on PATH.
func program(t *testing.T) {
	t.Helper()
	path := os.Getenv("WFCTL_TEST_SOPS")
	if path == "" && os.Getenv("CI") == "true" {
		t.Fatal("WFCTL_TEST_SOPS is not set")
	}
	if path == "" {
		t.Skip("WFCTL_TEST_SOPS is not set: make services")
	}
	t.Setenv("PATH", filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// encrypted is a file that sops has encrypted for a fresh age key, and the key.
func encrypted(t *testing.T, name, plain string) (dir string, key *age.X25519Identity) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sops", "--encrypt", "--age", key.Recipient().String(), "--in-place", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(path)
	if err != nil || bytes.Contains(raw, []byte("s3cret")) {
		t.Fatalf("%v\n%s", err, raw)
	}
	return dir, key
}

func open(t *testing.T, dir, name string) *sops.Store {
	t.Helper()
	s, err := sops.New(json.RawMessage(`{"path": "`+name+`"}`), secret.Host{BaseDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFiles(t *testing.T) {
	program(t)
	for name, plain := range map[string]string{
		"a.yaml": "TOKEN: s3cret-one\nPORT: 5432\ndb: {password: s3cret two}\n",
		"b.json": `{"TOKEN": "s3cret-one", "PORT": 5432, "db": {"password": "s3cret two"}}`,
	} {
		dir, key := encrypted(t, name, plain)
		t.Setenv("SOPS_AGE_KEY", key.String())
		s := open(t, dir, name)
		for want, value := range map[string]string{"TOKEN": "s3cret-one", "PORT": "5432", "db.password": "s3cret two", "db": `{"password":"s3cret two"}`} {
			if v, found, err := s.Secret(t.Context(), want); err != nil || !found || v.Reveal() != value {
				t.Errorf("%s %s: %v %v, %d characters", name, want, found, err, v.Len())
			}
		}
		if _, found, err := s.Secret(t.Context(), "OTHER"); err != nil || found {
			t.Errorf("%v %v", found, err)
		}
	}
	dir, key := encrypted(t, "c.env", "TOKEN=s3cret-three\n")
	t.Setenv("SOPS_AGE_KEY", key.String())
	if v, found, err := open(t, dir, "c.env").Secret(t.Context(), "TOKEN"); err != nil || !found || v.Reveal() != "s3cret-three" {
		t.Errorf("%v %v", found, err)
	}
}

func TestNoKey(t *testing.T) {
	program(t)
	dir, _ := encrypted(t, "a.yaml", "TOKEN: s3cret-one\n")
	t.Setenv("HOME", dir)
	_, _, err := open(t, dir, "a.yaml").Secret(t.Context(), "TOKEN")
	var f *fault.Error
	if !errors.As(err, &f) || !strings.Contains(err.Error(), "sops cannot decrypt") || len(f.Detail) == 0 {
		t.Errorf("%v", err)
	}
}
