package azure

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/state/kms/kmstest"
)

func TestKeeper(t *testing.T) {
	address := kmstest.Serve(t, func(r *http.Request, in map[string]any) (any, int) {
		value := kmstest.Reverse(in["value"].(string))
		if in["alg"] != algorithm || r.URL.Query().Get("api-version") != apiVersion {
			return nil, http.StatusBadRequest
		}
		switch r.URL.Path {
		case "/keys/state/encrypt":
			return map[string]any{"kid": "https://v.vault.azure.net/keys/state/77", "value": value}, 200
		case "/keys/state/77/decrypt": // the version that it was sealed with
			return map[string]any{"kid": "https://v.vault.azure.net/keys/state/77", "value": value}, 200
		}
		return nil, http.StatusNotFound
	})
	env := kmstest.Getenv(other, address)
	k, err := New("azurekeyvault://v.vault.azure.net/keys/state", env)
	if err != nil {
		t.Fatal(err)
	}
	kmstest.Run(t, k, k)
	sealed, err := k.Encrypt(t.Context(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	k, _ = New("azurekeyvault://v.vault.azure.net/keys/another", env)
	if _, err := k.Decrypt(t.Context(), sealed); err == nil || !strings.Contains(err.Error(), "keys/state/77") {
		t.Error(err)
	}
	for _, bad := range []string{"azurekeyvault://v.vault.azure.net", "azurekeyvault://vault/keys/a", "azurekeyvault://v.vault.azure.net/secrets/a"} {
		if _, err := New(bad, env); err == nil {
			t.Errorf("%s is taken for a key", bad)
		}
	}
}
