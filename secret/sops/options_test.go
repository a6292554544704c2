package sops_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/secret/sops"
)

func TestOptions(t *testing.T) {
	for _, bad := range []string{`{}`, `{"path": "x", "key": 1}`, `[]`} {
		if _, err := sops.New(json.RawMessage(bad), secret.Host{}); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := exec.LookPath("sops"); err == nil {
		t.Fatal("sops is found on an empty path")
	}
	s, err := sops.New(json.RawMessage(`{"path": "x.yaml"}`), secret.Host{BaseDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Secret(t.Context(), "X"); err == nil || !strings.Contains(err.Error(), "`sops` is not installed") {
		t.Errorf("%v", err)
	}
}
