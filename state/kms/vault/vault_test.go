package vault

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/state/kms/kmstest"
)

func TestKeeper(t *testing.T) {
	address := kmstest.Serve(t, func(r *http.Request, in map[string]any) (any, int) {
		if r.Header.Get("X-Vault-Token") != "root" {
			return map[string]any{"errors": []string{"permission denied"}}, http.StatusForbidden
		}
		switch r.URL.Path {
		case "/v1/transit/encrypt/state":
			return map[string]any{"data": map[string]any{"ciphertext": "vault:v1:" + kmstest.Reverse(in["plaintext"].(string)), "key_version": 1}}, 200
		case "/v1/transit/decrypt/state":
			text, _ := strings.CutPrefix(in["ciphertext"].(string), "vault:v1:")
			return map[string]any{"data": map[string]any{"plaintext": kmstest.Reverse(text)}}, 200
		}
		return map[string]any{"errors": []string{}}, http.StatusNotFound
	})
	k, err := New("hashivault://state", kmstest.Getenv("VAULT_ADDR", address+"/", "VAULT_TOKEN", "root"))
	if err != nil {
		t.Fatal(err)
	}
	kmstest.Run(t, k, k)
	k, _ = New("hashivault://state", kmstest.Getenv("VAULT_ADDR", address, "VAULT_TOKEN", "wrong"))
	if _, err := k.Encrypt(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Error(err)
	}
	t.Setenv("HOME", t.TempDir())
	k, _ = New("hashivault://state?engine=other", kmstest.Getenv("VAULT_ADDR", address))
	if _, err := k.Encrypt(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "VAULT_TOKEN is not set") {
		t.Error(err)
	}
}
