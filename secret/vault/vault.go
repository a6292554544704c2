// Package vault keeps secrets in the key-value engines of HashiCorp Vault and
// OpenBao, versions 1 and 2. VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT and
// VAULT_TOKEN are what their own tools read.
package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// Schema is the JSON Schema of the options.
const Schema = `{"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
	"path": {"type": "string", "pattern": "^[^/].*[^/]$", "description": "the secret within the engine; the value becomes one of its fields"},
	"mount": {"type": "string", "minLength": 1, "description": "where the engine is; default secret"},
	"version": {"enum": [1, 2], "description": "of the key-value engine; default 2"},
	"address": {"type": "string", "format": "uri", "description": "default VAULT_ADDR"},
	"namespace": {"type": "string", "description": "default VAULT_NAMESPACE"},
	"auth": {"enum": ["token", "approle", "kubernetes"], "description": "token: VAULT_TOKEN or ~/.vault-token; approle: VAULT_ROLE_ID and VAULT_SECRET_ID; kubernetes: the pod's account; default token"},
	"auth_mount": {"type": "string", "minLength": 1, "description": "where the auth method is; default its name"},
	"role": {"type": "string", "description": "for kubernetes"}}}`

type options struct {
	Path      string `json:"path"`
	Mount     string `json:"mount"`
	Version   int    `json:"version"`
	Address   string `json:"address"`
	Namespace string `json:"namespace"`
	Auth      string `json:"auth"`
	AuthMount string `json:"auth_mount"`
	Role      string `json:"role"`
}

// Kind is the sink `vault_kv`.
func Kind() secret.Kind {
	shared := &logins{tokens: map[string]string{}}
	return secret.Kind{Schema: json.RawMessage(Schema), Open: func(h secret.Host) (secret.Sink, error) {
		return &Sink{host: h, logins: shared}, nil
	}}
}

// New makes a sink that logs in by itself.
func New(h secret.Host) *Sink { return &Sink{host: h, logins: &logins{tokens: map[string]string{}}} }

// logins are the tokens that this process was given, by server and method.
type logins struct {
	mu     sync.Mutex
	tokens map[string]string
}

// Sink writes fields of secrets.
type Sink struct {
	host secret.Host
	*logins
}

var _ secret.Reader = (*Sink)(nil)

// session is a server with a token for it.
type session struct {
	options
	name  string
	http  *http.Client
	token string
}

func (s *Sink) open(ctx context.Context, t secret.Target) (*session, error) {
	se := &session{name: t.Name}
	if err := json.Unmarshal(t.Options, &se.options); err != nil || se.Path == "" {
		return nil, fault.New(fault.Config, "the sink vault_kv needs a `path`")
	}
	se.Address = strings.TrimSuffix(cmp.Or(se.Address, s.env("VAULT_ADDR")), "/")
	se.Namespace = cmp.Or(se.Namespace, s.env("VAULT_NAMESPACE"))
	se.Mount, se.Auth, se.Version = cmp.Or(se.Mount, "secret"), cmp.Or(se.Auth, "token"), cmp.Or(se.Version, 2)
	if se.Address == "" {
		return nil, fault.New(fault.Environment, "the address of Vault is not known").WithHint("set VAULT_ADDR, or `address` of the sink")
	}
	var err error
	if se.http, err = s.client(); err != nil {
		return nil, err
	}
	se.token, err = s.login(ctx, se)
	return se, err
}

func (s *Sink) env(name string) string {
	v, _ := s.host.Getenv(name)
	return v
}

// client trusts the system's authorities and that of VAULT_CACERT.
func (s *Sink) client() (*http.Client, error) {
	c := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	path := s.env("VAULT_CACERT")
	if path == "" {
		return c, nil
	}
	raw, err := os.ReadFile(path)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(raw) {
		return nil, fault.New(fault.Environment, "VAULT_CACERT names no file with certificates: %s", path)
	}
	c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return c, nil
}

// login finds or gets a token.
func (s *Sink) login(ctx context.Context, se *session) (string, error) {
	if se.Auth == "token" {
		return s.given()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := se.Address + " " + se.Namespace + " " + se.Auth + " " + se.AuthMount + " " + se.Role
	if token := s.tokens[key]; token != "" {
		return token, nil
	}
	body, err := s.credentials(se)
	if err != nil {
		return "", err
	}
	var answer struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	if _, err := se.ask(ctx, http.MethodPost, "auth/"+cmp.Or(se.AuthMount, se.Auth)+"/login", body, &answer); err != nil {
		return "", err
	}
	s.learn(answer.Auth.Token)
	s.tokens[key] = answer.Auth.Token
	return answer.Auth.Token, nil
}

func (s *Sink) learn(text string) {
	if s.host.Redactor != nil && text != "" {
		s.host.Redactor.Add(secret.FromString(text))
	}
}

// given is the token that Vault's own tools would use.
func (s *Sink) given() (string, error) {
	token := s.env("VAULT_TOKEN")
	if token == "" {
		raw, _ := os.ReadFile(filepath.Join(s.env("HOME"), ".vault-token"))
		token = strings.TrimSpace(string(raw))
	}
	if token == "" {
		return "", fault.New(fault.Environment, "there is no token for Vault: VAULT_TOKEN is not set").
			WithHint("set it, log in with `vault login`, or choose `auth: approle` or `auth: kubernetes`")
	}
	s.learn(token)
	return token, nil
}

// tokenFile is where Kubernetes puts the token of a pod's account.
const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

func (s *Sink) credentials(se *session) (map[string]string, error) {
	if se.Auth == "kubernetes" {
		path := cmp.Or(s.env("VAULT_K8S_TOKEN_PATH"), tokenFile)
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fault.Wrap(fault.Environment, err, "log in to Vault with the account of the pod").WithHint("the token of the account is expected at %s", path)
		}
		s.learn(strings.TrimSpace(string(raw)))
		return map[string]string{"role": se.Role, "jwt": strings.TrimSpace(string(raw))}, nil
	}
	id, key := s.env("VAULT_ROLE_ID"), s.env("VAULT_SECRET_ID")
	if id == "" || key == "" {
		return nil, fault.New(fault.Environment, "`auth: approle` needs VAULT_ROLE_ID and VAULT_SECRET_ID")
	}
	s.learn(key)
	return map[string]string{"role_id": id, "secret_id": key}, nil
}

// ask makes a request; status is 404 without an error where there is nothing.
func (se *session) ask(ctx context.Context, method, path string, body, into any) (status int, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "ask Vault")
	}
	if body == nil {
		raw = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, se.Address+"/v1/"+path, bytes.NewReader(raw))
	if err != nil {
		return 0, fault.New(fault.Config, "%q is no address of a Vault", se.Address)
	}
	req.Header.Set("X-Vault-Request", "true")
	if se.token != "" {
		req.Header.Set("X-Vault-Token", se.token)
	}
	if se.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", se.Namespace)
	}
	res, err := se.http.Do(req)
	if err != nil {
		return 0, fault.Wrap(fault.Provider, err, "ask Vault at %s", se.Address)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	switch {
	case err != nil:
		return 0, fault.Wrap(fault.Provider, err, "ask Vault at %s", se.Address)
	case res.StatusCode == http.StatusNotFound:
		return res.StatusCode, nil
	case res.StatusCode >= 300:
		return res.StatusCode, se.refused(res.StatusCode, path, answer)
	case into != nil && len(answer) > 0:
		if json.Unmarshal(answer, into) != nil {
			return 0, fault.New(fault.Provider, "Vault at %s answered what is no JSON", se.Address)
		}
	}
	return res.StatusCode, nil
}

// errCAS says that somebody else wrote between our reading and writing.
var errCAS = errors.New("the secret has changed meanwhile")

func (se *session) refused(status int, path string, answer []byte) error {
	var doc struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(answer, &doc)
	why := cmp.Or(strings.Join(doc.Errors, "; "), http.StatusText(status))
	switch {
	case status == http.StatusBadRequest && strings.Contains(why, "check-and-set"):
		return errCAS
	case status == http.StatusForbidden:
		return fault.New(fault.Config, "Vault does not let us use %s: %s", path, why).WithHint("the token's policy needs create, read, update and delete there")
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return fault.New(fault.Provider, "Vault at %s does not answer: %s", se.Address, why)
	}
	return fault.New(fault.Config, "Vault refuses %s: %s", path, why)
}

// fields are what the secret holds, with its version; 0 is one that is not
// there.
type fields struct {
	values  map[string]any
	version int
}

func (se *session) dataPath(kind string) string {
	path := (&url.URL{Path: se.Path}).EscapedPath()
	if se.Version == 1 {
		return se.Mount + "/" + path
	}
	return se.Mount + "/" + kind + "/" + path
}

func (se *session) get(ctx context.Context) (f fields, err error) {
	f.values = map[string]any{}
	if se.Version == 1 {
		var doc struct {
			Data map[string]any `json:"data"`
		}
		_, err := se.ask(ctx, http.MethodGet, se.dataPath(""), nil, &doc)
		maps.Copy(f.values, doc.Data)
		return f, err
	}
	var doc struct {
		Data struct {
			Data     map[string]any `json:"data"`
			Metadata struct {
				Version int `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	status, err := se.ask(ctx, http.MethodGet, se.dataPath("data"), nil, &doc)
	if err == nil && status == http.StatusNotFound {
		return f, se.deletedVersion(ctx, &f)
	}
	maps.Copy(f.values, doc.Data.Data)
	f.version = doc.Data.Metadata.Version
	return f, err
}

// deletedVersion finds the version of a secret whose newest version was
// deleted: a write must name it.
func (se *session) deletedVersion(ctx context.Context, f *fields) error {
	var doc struct {
		Data struct {
			Current int `json:"current_version"`
		} `json:"data"`
	}
	_, err := se.ask(ctx, http.MethodGet, se.dataPath("metadata"), nil, &doc)
	f.version = doc.Data.Current
	return err
}

func (se *session) set(ctx context.Context, f fields) error {
	if se.Version == 1 {
		_, err := se.ask(ctx, http.MethodPost, se.dataPath(""), f.values, nil)
		return err
	}
	body := map[string]any{"data": f.values, "options": map[string]any{"cas": f.version}}
	status, err := se.ask(ctx, http.MethodPost, se.dataPath("data"), body, nil)
	if err == nil && status == http.StatusNotFound {
		return fault.New(fault.Config, "Vault has no key-value engine of version 2 at %q", se.Mount).WithHint("name it with `mount`, and its `version`")
	}
	return err
}

// change reads, changes and writes, again where somebody else was quicker.
func (s *Sink) change(ctx context.Context, t secret.Target, do func(map[string]any)) error {
	se, err := s.open(ctx, t)
	if err != nil {
		return err
	}
	for range 10 {
		f, err := se.get(ctx)
		if err != nil {
			return err
		}
		do(f.values)
		if len(f.values) == 0 {
			return se.remove(ctx, f)
		}
		if err = se.set(ctx, f); !errors.Is(err, errCAS) {
			return err
		}
	}
	return fault.New(fault.Provider, "others keep writing %s in Vault", se.Path)
}

// remove takes the secret away with its last field.
func (se *session) remove(ctx context.Context, f fields) error {
	if se.Version == 2 && f.version == 0 {
		return nil
	}
	_, err := se.ask(ctx, http.MethodDelete, se.dataPath("data"), nil, nil)
	return err
}

// Write implements secret.Sink. Other fields of the secret stay.
func (s *Sink) Write(ctx context.Context, req secret.Request) (secret.Receipt, error) {
	err := req.Value.Use(func(v []byte) error {
		return s.change(ctx, req.Target, func(values map[string]any) { values[req.Name] = string(v) })
	})
	return secret.Receipt{}, err
}

// Status implements secret.Sink.
func (s *Sink) Status(ctx context.Context, t secret.Target) (secret.Status, error) {
	se, err := s.open(ctx, t)
	if err != nil {
		return secret.Status{}, err
	}
	f, err := se.get(ctx)
	if err != nil {
		return secret.Status{}, err
	}
	_, ok := f.values[se.name]
	return secret.Status{Exists: ok}, nil // its version is that of all fields
}

// Read implements secret.Reader.
func (s *Sink) Read(ctx context.Context, t secret.Target) (secret.Value, bool, error) {
	se, err := s.open(ctx, t)
	if err != nil {
		return secret.Value{}, false, err
	}
	f, err := se.get(ctx)
	if err != nil {
		return secret.Value{}, false, err
	}
	text, ok := f.values[se.name].(string)
	return secret.FromString(text), ok, nil
}

// Retire implements secret.Sink.
func (s *Sink) Retire(ctx context.Context, t secret.Target) error {
	return s.change(ctx, t, func(values map[string]any) { delete(values, t.Name) })
}
