// Package vault encrypts with a key of HashiCorp Vault's or OpenBao's transit
// engine. VAULT_ADDR and VAULT_TOKEN say which server and who asks.
package vault

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state/kms"
)

// Scheme begins the URL of a key: hashivault://KEY, with ?engine=PATH where
// the engine is not at "transit".
const Scheme = "hashivault"

// New makes a keeper of a key's URL.
func New(address string, getenv func(string) (string, bool)) (kms.Keeper, error) {
	key, query, err := kms.ParseURL(address, Scheme, "engine")
	if err != nil {
		return nil, err
	}
	engine := strings.Trim(query.Get("engine"), "/")
	if engine == "" {
		engine = "transit"
	}
	return &keeper{key: url.PathEscape(key), engine: engine, getenv: getenv}, nil
}

type keeper struct {
	key, engine string
	getenv      func(string) (string, bool)
}

// variable is the first that is set; gocloud.dev's names come second.
func (k *keeper) variable(names ...string) string {
	for _, name := range names {
		if v, ok := k.getenv(name); ok && v != "" {
			return v
		}
	}
	return ""
}

// token is VAULT_TOKEN, else what `vault login` has left.
func (k *keeper) token() string {
	if t := k.variable("VAULT_TOKEN", "VAULT_SERVER_TOKEN"); t != "" {
		return t
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	raw, _ := os.ReadFile(filepath.Join(home, ".vault-token"))
	return strings.TrimSpace(string(raw))
}

func (k *keeper) ask(ctx context.Context, verb string, in map[string]string) (map[string]string, error) {
	server, token := k.variable("VAULT_ADDR", "VAULT_SERVER_URL"), k.token()
	if server == "" || token == "" {
		return nil, fault.New(fault.Environment, "the state is encrypted with a key of Vault, and VAULT_ADDR or VAULT_TOKEN is not set").
			WithHint("set both, or run `vault login`")
	}
	var out struct {
		Data map[string]any `json:"data"`
	}
	err := kms.Post(ctx, http.DefaultClient, http.MethodPut, strings.TrimSuffix(server, "/")+"/v1/"+k.engine+"/"+verb+"/"+k.key, in, &out,
		func(req *http.Request, _ []byte) error {
			req.Header.Set("X-Vault-Token", token)
			if ns := k.variable("VAULT_NAMESPACE"); ns != "" {
				req.Header.Set("X-Vault-Namespace", ns)
			}
			return nil
		})
	texts := map[string]string{}
	for name, v := range out.Data {
		if text, ok := v.(string); ok {
			texts[name] = text
		}
	}
	return texts, err
}

// Encrypt implements kms.Keeper.
func (k *keeper) Encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	out, err := k.ask(ctx, "encrypt", map[string]string{"plaintext": base64.StdEncoding.EncodeToString(plain)})
	if err == nil && out["ciphertext"] == "" {
		err = fault.New(fault.Environment, "Vault answered without a ciphertext").WithHint("is VAULT_ADDR the address of a Vault server?")
	}
	return []byte(out["ciphertext"]), err
}

// Decrypt implements kms.Keeper.
func (k *keeper) Decrypt(ctx context.Context, sealed []byte) ([]byte, error) {
	out, err := k.ask(ctx, "decrypt", map[string]string{"ciphertext": string(sealed)})
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(out["plaintext"])
}
