// Package azure encrypts with an RSA key of Azure Key Vault, with the
// credentials that the Azure command line and managed identities give.
package azure

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state/kms"
)

// Scheme begins the URL of a key:
// azurekeyvault://VAULT.vault.azure.net/keys/NAME[/VERSION].
const Scheme = "azurekeyvault"

const (
	apiVersion = "7.4"
	algorithm  = "RSA-OAEP-256"
	// other names a server to use instead of the vault's: a test's.
	other = "WFCTL_AZURE_KEY_VAULT_ENDPOINT"
)

// New makes a keeper of a key's URL.
func New(address string, getenv func(string) (string, bool)) (kms.Keeper, error) {
	key, _, err := kms.ParseURL(address, Scheme)
	if err != nil {
		return nil, err
	}
	host, path, _ := strings.Cut(key, "/")
	parts := strings.Split(path, "/")
	if !strings.Contains(host, ".") || len(parts) < 2 || len(parts) > 3 || parts[0] != "keys" || parts[1] == "" {
		return nil, fault.New(fault.Config, "iac.state: %q names no key of Azure Key Vault", address).
			WithHint("it looks like azurekeyvault://VAULT.vault.azure.net/keys/NAME")
	}
	base, _ := getenv(other)
	return &keeper{host: host, path: path, base: strings.TrimSuffix(base, "/")}, nil
}

type keeper struct{ host, path, base string }

// envelope is what Encrypt returns: which version of the key it was, for a
// vault opens with that version alone.
type envelope struct {
	Key   string `json:"kid"`
	Value string `json:"value"`
}

func (k *keeper) ask(ctx context.Context, path, verb, value string) (out envelope, err error) {
	in := map[string]string{"alg": algorithm, "value": value}
	address := "/" + path + "/" + verb + "?api-version=" + apiVersion
	if k.base != "" {
		err = kms.Post(ctx, http.DefaultClient, http.MethodPost, k.base+address, in, &out, nil)
		return out, err
	}
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return out, err
	}
	// The vault's own cloud: vault.azure.net, vault.azure.cn …
	_, cloud, _ := strings.Cut(k.host, ".")
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://" + cloud + "/.default"}})
	if err != nil {
		return out, err
	}
	err = kms.Post(ctx, http.DefaultClient, http.MethodPost, "https://"+k.host+address, in, &out, func(req *http.Request, _ []byte) error {
		req.Header.Set("Authorization", "Bearer "+token.Token)
		return nil
	})
	return out, err
}

// Encrypt implements kms.Keeper.
func (k *keeper) Encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	out, err := k.ask(ctx, k.path, "encrypt", base64.RawURLEncoding.EncodeToString(plain))
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Decrypt implements kms.Keeper.
func (k *keeper) Decrypt(ctx context.Context, sealed []byte) ([]byte, error) {
	var in envelope
	if err := json.Unmarshal(sealed, &in); err != nil {
		return nil, err
	}
	kid, err := url.Parse(in.Key)
	if err != nil {
		return nil, err
	}
	path := strings.Trim(kid.Path, "/")
	name, _, _ := strings.Cut(strings.TrimPrefix(k.path, "keys/"), "/")
	if !strings.HasPrefix(path+"/", "keys/"+name+"/") {
		return nil, fault.New(fault.State, "it was sealed with the key %s and not with %s", path, k.path).
			WithHint("name the former key: `wfctl infra state rekey --former azurekeyvault://%s/%s`", k.host, path)
	}
	out, err := k.ask(ctx, path, "decrypt", in.Value)
	if err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.DecodeString(out.Value)
}
