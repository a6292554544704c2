package aws

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/state/kms/kmstest"
)

func TestKeeper(t *testing.T) {
	address := kmstest.Serve(t, func(r *http.Request, in map[string]any) (any, int) {
		signed := strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/kms/aws4_request")
		if !signed || in["KeyId"] != "alias/state" || in["EncryptionContext"].(map[string]any)["app"] != "shop" {
			return map[string]any{"__type": "AccessDeniedException"}, http.StatusBadRequest
		}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.Encrypt":
			return map[string]any{"CiphertextBlob": "AAAA" + in["Plaintext"].(string)}, 200
		case "TrentService.Decrypt":
			return map[string]any{"Plaintext": strings.TrimPrefix(in["CiphertextBlob"].(string), "AAAA")}, 200
		}
		return nil, http.StatusNotFound
	})
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	t.Setenv("AWS_CONFIG_FILE", "none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
	env := kmstest.Getenv("AWS_ENDPOINT_URL_KMS", address)
	k, err := New("awskms://alias/state?region=eu-west-1&context_app=shop", env)
	if err != nil {
		t.Fatal(err)
	}
	kmstest.Run(t, k, k)
	k, _ = New("awskms://alias/state?region=eu-west-1&context_app=other", env)
	if _, err := k.Encrypt(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Error(err)
	}
	arn, err := New("awskms:///arn:aws:kms:us-east-2:1:key/2", env)
	if err != nil || arn.(*keeper).region != "us-east-2" {
		t.Error(arn, err)
	}
}
