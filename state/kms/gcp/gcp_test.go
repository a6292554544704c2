package gcp

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/state/kms/kmstest"
)

const key = "projects/p/locations/l/keyRings/r/cryptoKeys/k"

func TestKeeper(t *testing.T) {
	address := kmstest.Serve(t, func(r *http.Request, in map[string]any) (any, int) {
		switch r.URL.Path {
		case "/v1/" + key + ":encrypt":
			return map[string]any{"name": key, "ciphertext": "AAAA" + in["plaintext"].(string)}, 200
		case "/v1/" + key + ":decrypt":
			return map[string]any{"plaintext": strings.TrimPrefix(in["ciphertext"].(string), "AAAA")}, 200
		}
		return map[string]any{}, http.StatusNotFound
	})
	k, err := New("gcpkms://"+key, kmstest.Getenv(other, address))
	if err != nil {
		t.Fatal(err)
	}
	kmstest.Run(t, k, k)
	for _, bad := range []string{"gcpkms://projects/p", "gcpkms://", "gcpkms://" + key + "?x=y"} {
		if _, err := New(bad, kmstest.Getenv()); err == nil {
			t.Errorf("%s is taken for a key", bad)
		}
	}
}
