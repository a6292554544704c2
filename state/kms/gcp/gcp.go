// Package gcp encrypts with a key of Google Cloud KMS, with the application
// default credentials.
package gcp

import (
	"context"
	"net/http"
	"strings"

	"golang.org/x/oauth2/google"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state/kms"
)

// Scheme begins the URL of a key:
// gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K.
const Scheme = "gcpkms"

const (
	service = "https://cloudkms.googleapis.com"
	scope   = "https://www.googleapis.com/auth/cloudkms"
	// other names a server to use instead: a private endpoint, or a test's.
	other = "WFCTL_GCP_KMS_ENDPOINT"
)

// New makes a keeper of a key's URL.
func New(address string, getenv func(string) (string, bool)) (kms.Keeper, error) {
	key, _, err := kms.ParseURL(address, Scheme)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(key, "/")
	if len(parts) != 8 || parts[0] != "projects" || parts[2] != "locations" || parts[4] != "keyRings" || parts[6] != "cryptoKeys" {
		return nil, fault.New(fault.Config, "iac.state: %q names no key of Google Cloud KMS", address).
			WithHint("it looks like gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K")
	}
	base, _ := getenv(other)
	return &keeper{key: key, base: strings.TrimSuffix(base, "/")}, nil
}

type keeper struct{ key, base string }

// message is what both requests and both answers consist of; JSON carries
// bytes in base64.
type message struct {
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext []byte `json:"ciphertext,omitempty"`
}

func (k *keeper) ask(ctx context.Context, verb string, in message) (out message, err error) {
	if k.base != "" { // what stands in front of the service knows who asks
		err = kms.Post(ctx, http.DefaultClient, http.MethodPost, k.base+"/v1/"+k.key+":"+verb, in, &out, nil)
		return out, err
	}
	creds, err := google.FindDefaultCredentials(ctx, scope)
	if err != nil {
		return out, fault.Wrap(fault.Environment, err, "find the credentials of Google Cloud").
			WithHint("run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS")
	}
	token, err := creds.TokenSource.Token()
	if err != nil {
		return out, err
	}
	err = kms.Post(ctx, http.DefaultClient, http.MethodPost, service+"/v1/"+k.key+":"+verb, in, &out, func(req *http.Request, _ []byte) error {
		token.SetAuthHeader(req)
		return nil
	})
	return out, err
}

// Encrypt implements kms.Keeper.
func (k *keeper) Encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	out, err := k.ask(ctx, "encrypt", message{Plaintext: plain})
	return out.Ciphertext, err
}

// Decrypt implements kms.Keeper.
func (k *keeper) Decrypt(ctx context.Context, sealed []byte) ([]byte, error) {
	out, err := k.ask(ctx, "decrypt", message{Ciphertext: sealed})
	return out.Plaintext, err
}
