package github

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/google/go-github/v88/github"
	"golang.org/x/crypto/nacl/box"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/secret"
)

// SecretSchema is the JSON Schema of the options of github_secret.
const SecretSchema = `{"type": "object", "additionalProperties": false, "oneOf": [{"required": ["repo"]}, {"required": ["org"]}], "properties": {` + scopeProperties + `,
	"kind": {"enum": ["actions", "dependabot"], "description": "whose secret it is; default actions"}}}`

// SecretKind is the sink `github_secret`.
func SecretKind(clock Clock) secret.Kind {
	a := newAPI(clock)
	return secret.Kind{Schema: json.RawMessage(SecretSchema), Open: func(h secret.Host) (secret.Sink, error) {
		return &secrets{api: a, host: h}, nil
	}}
}

// publicKey is what values of a scope are sealed for.
type publicKey struct {
	id  string
	key [32]byte
}

type secrets struct {
	*api
	host secret.Host
}

// maxSecret is GitHub's limit, in bytes.
const maxSecret = 48 << 10

var goodName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

func checkName(name string) error {
	if !goodName().MatchString(name) || strings.HasPrefix(strings.ToUpper(name), "GITHUB_") {
		return fault.New(fault.Config, "GitHub takes no name like %q", name).
			WithHint("letters, digits and _ only, no digit first, and not GITHUB_ at the beginning")
	}
	return nil
}

func (s *secrets) open(t secret.Target) (*caller, error) {
	if err := checkName(t.Name); err != nil {
		return nil, err
	}
	sc, err := scopeOf(t)
	if err != nil {
		return nil, err
	}
	return s.caller(s.host, sc)
}

// Write implements secret.Sink.
func (s *secrets) Write(ctx context.Context, req secret.Request) (secret.Receipt, error) {
	c, err := s.open(req.Target)
	if err != nil {
		return secret.Receipt{}, err
	}
	if n := req.Value.Len(); n > maxSecret {
		return secret.Receipt{}, fault.New(fault.Config, "%s has %d bytes, and GitHub takes %d", req.Source, n, maxSecret).
			WithHint("keep it in another store, and on GitHub the key to it")
	}
	ids, err := c.repositoryIDs(ctx)
	if err != nil {
		return secret.Receipt{}, err
	}
	key, cached, err := c.publicKey(ctx, false)
	if err != nil {
		return secret.Receipt{}, err
	}
	err = c.put(ctx, req, key, ids)
	var answer *github.ErrorResponse
	if cached && errors.As(err, &answer) && answer.Response.StatusCode == http.StatusUnprocessableEntity {
		// The key may have been another since it was fetched.
		if key, _, err = c.publicKey(ctx, true); err == nil {
			err = c.put(ctx, req, key, ids)
		}
	}
	return secret.Receipt{}, err
}

// sealed is the body of a request for Actions or Dependabot.
type sealed struct {
	KeyID      string  `json:"key_id"`
	Value      string  `json:"encrypted_value"`
	Visibility string  `json:"visibility,omitempty"`
	Selected   []int64 `json:"selected_repository_ids,omitempty"`
}

func (c *caller) put(ctx context.Context, req secret.Request, key publicKey, ids []int64) error {
	body := sealed{KeyID: key.id, Visibility: c.Visibility, Selected: ids}
	err := req.Value.Use(func(v []byte) error {
		b, err := box.SealAnonymous(nil, v, &key.key, rand.Reader)
		body.Value = base64.StdEncoding.EncodeToString(b)
		return err
	})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "seal the value")
	}
	_, err = c.call(ctx, http.MethodPut, c.path("secrets/"+req.Name), body, nil)
	return err
}

// publicKey fetches the key of the scope, once unless it is asked for anew.
func (c *caller) publicKey(ctx context.Context, anew bool) (key publicKey, cached bool, err error) {
	path := c.path("secrets/public-key")
	at := c.client.BaseURL() + path
	c.mu.Lock()
	key, cached = c.keys[at]
	c.mu.Unlock()
	if cached && !anew {
		return key, true, nil
	}
	var got github.PublicKey
	if _, err := c.call(ctx, http.MethodGet, path, nil, &got); err != nil {
		return key, false, err
	}
	raw, err := base64.StdEncoding.DecodeString(got.GetKey())
	if err != nil || len(raw) != len(key.key) || got.GetKeyID() == "" {
		return key, false, fault.New(fault.Provider, "GitHub gave a public key for %s that cannot be used", c.scope)
	}
	key = publicKey{id: got.GetKeyID(), key: [32]byte(raw)}
	c.mu.Lock()
	c.keys[at] = key
	c.mu.Unlock()
	return key, false, nil
}

// Status implements secret.Sink.
func (s *secrets) Status(ctx context.Context, t secret.Target) (secret.Status, error) {
	c, err := s.open(t)
	if err != nil {
		return secret.Status{}, err
	}
	var got github.Secret
	res, err := c.call(ctx, http.MethodGet, c.path("secrets/"+t.Name), nil, &got)
	if gone(res) {
		return secret.Status{}, nil
	}
	return secret.Status{Exists: err == nil, Receipt: secret.Receipt{UpdatedAt: got.UpdatedAt.Time}}, err
}

// Retire implements secret.Sink.
func (s *secrets) Retire(ctx context.Context, t secret.Target) error {
	c, err := s.open(t)
	if err != nil {
		return err
	}
	res, err := c.call(ctx, http.MethodDelete, c.path("secrets/"+t.Name), nil, nil)
	if gone(res) {
		return nil
	}
	return err
}
