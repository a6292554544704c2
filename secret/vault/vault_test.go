package vault_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/secret/vault"
)

// server is Vault's HTTP API as far as its documentation describes it for the
// key-value engines (versions 1 at kv1/, 2 at secret/) and three auth methods.
type server struct {
	t  *testing.T
	mu sync.Mutex
	// v1 and v2 hold secrets by path; of v2 every version.
	v1     map[string]map[string]any
	v2     map[string][]map[string]any
	logins int
	// meanwhile is done once between a read and the write that follows.
	meanwhile func()
	down      bool
}

const rootToken = "hvs.root0123456789"

func newServer(t *testing.T) (*server, string) {
	t.Helper()
	s := &server{t: t, v1: map[string]map[string]any{}, v2: map[string][]map[string]any{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case s.down:
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
	case strings.HasPrefix(path, "auth/"):
		s.login(w, path, body)
	case r.Header.Get("X-Vault-Token") != rootToken && !strings.HasPrefix(r.Header.Get("X-Vault-Token"), "hvs.login"):
		refuse(w, http.StatusForbidden, "permission denied")
	case strings.HasPrefix(path, "kv1/"):
		s.one(w, r.Method, strings.TrimPrefix(path, "kv1/"), body)
	case strings.HasPrefix(path, "secret/data/"):
		s.two(w, r.Method, strings.TrimPrefix(path, "secret/data/"), body)
	case strings.HasPrefix(path, "secret/metadata/"):
		if n := len(s.v2[strings.TrimPrefix(path, "secret/metadata/")]); n > 0 {
			answer(w, map[string]any{"current_version": n})
			return
		}
		refuse(w, http.StatusNotFound)
	default:
		refuse(w, http.StatusNotFound, "no handler for route "+path)
	}
}

func (s *server) login(w http.ResponseWriter, path string, body map[string]any) {
	ok := path == "auth/approle/login" && body["role_id"] == "role-1" && body["secret_id"] == "secret-id-4711" ||
		path == "auth/kubernetes/login" && body["role"] == "shop" && body["jwt"] == "jwt-of-the-pod"
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	s.logins++
	_ = json.NewEncoder(w).Encode(map[string]any{"auth": map[string]any{"client_token": fmt.Sprintf("hvs.login%d", s.logins), "lease_duration": 3600}})
}

func (s *server) one(w http.ResponseWriter, method, path string, body map[string]any) {
	switch {
	case method == http.MethodPost:
		s.v1[path] = body
		w.WriteHeader(http.StatusNoContent)
	case method == http.MethodDelete:
		delete(s.v1, path)
		w.WriteHeader(http.StatusNoContent)
	case s.v1[path] == nil:
		refuse(w, http.StatusNotFound)
	default:
		answer(w, s.v1[path])
	}
}

func (s *server) two(w http.ResponseWriter, method, path string, body map[string]any) {
	versions := s.v2[path]
	switch {
	case method == http.MethodPost:
		if do := s.meanwhile; do != nil {
			s.meanwhile = nil
			do()
			versions = s.v2[path]
		}
		options, _ := body["options"].(map[string]any)
		if cas, ok := options["cas"].(float64); !ok || int(cas) != len(versions) {
			refuse(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
			return
		}
		data, _ := body["data"].(map[string]any)
		s.v2[path] = append(versions, data)
		answer(w, map[string]any{"version": len(versions) + 1, "created_time": "2026-01-02T03:04:05.678901234Z"})
	case method == http.MethodDelete:
		if len(versions) > 0 {
			versions[len(versions)-1] = nil
		}
		w.WriteHeader(http.StatusNoContent)
	case len(versions) == 0:
		refuse(w, http.StatusNotFound)
	case versions[len(versions)-1] == nil: // deleted: 404 with its metadata
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"data": nil, "metadata": map[string]any{"version": len(versions)}}})
	default:
		answer(w, map[string]any{"data": versions[len(versions)-1], "metadata": map[string]any{"version": len(versions), "created_time": "2026-01-02T03:04:05.678901234Z"}})
	}
}

func answer(w http.ResponseWriter, data any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "x", "data": data})
}

func refuse(w http.ResponseWriter, status int, errs ...string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": append([]string{}, errs...)})
}

func host(env map[string]string) secret.Host {
	return secret.Host{Redactor: secret.NewRedactor(), Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func target(name, options string) secret.Target {
	return secret.Target{Name: name, Options: json.RawMessage(options)}
}

func TestFieldsOfASecret(t *testing.T) {
	s, url := newServer(t)
	for _, options := range []string{`{"path": "shop/db"}`, `{"path": "shop/db", "mount": "kv1", "version": 1}`} {
		sink := vault.New(host(map[string]string{"VAULT_ADDR": url, "VAULT_TOKEN": rootToken}))
		url, key := target("url", options), target("key", options)
		if st, err := sink.Status(t.Context(), url); err != nil || st.Exists {
			t.Fatalf("%s, before: %+v %v", options, st, err)
		}
		for _, value := range []string{"one", "line\n\"two\" ☃"} {
			if _, err := sink.Write(t.Context(), secret.Request{Target: url, Value: secret.FromString(value)}); err != nil {
				t.Fatal(err)
			}
			if got, found, err := sink.Read(t.Context(), url); err != nil || !found || got.Reveal() != value {
				t.Errorf("%s: read %d characters, %v, %v", options, got.Len(), found, err)
			}
		}
		if _, err := sink.Write(t.Context(), secret.Request{Target: key, Value: secret.FromString("k")}); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []secret.Target{url, url, key} { // the last takes the secret along
			if err := sink.Retire(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			if st, err := sink.Status(t.Context(), gone); err != nil || st.Exists {
				t.Errorf("%s: %+v %v", options, st, err)
			}
		}
		if _, err := sink.Write(t.Context(), secret.Request{Target: key, Value: secret.FromString("again")}); err != nil {
			t.Errorf("%s: after it was deleted: %v", options, err)
		}
	}
	if len(s.v1) != 1 || len(s.v2) != 1 {
		t.Errorf("%v %v", s.v1, s.v2)
	}
}

// What another writes between our reading and writing is not lost.
func TestTwoWriters(t *testing.T) {
	s, url := newServer(t)
	sink := vault.New(host(map[string]string{"VAULT_ADDR": url, "VAULT_TOKEN": rootToken}))
	s.meanwhile = func() { s.v2["p"] = append(s.v2["p"], map[string]any{"theirs": "x"}) }
	if _, err := sink.Write(t.Context(), secret.Request{Target: target("ours", `{"path": "p"}`), Value: secret.FromString("y")}); err != nil {
		t.Fatal(err)
	}
	if last := s.v2["p"][1]; last["theirs"] != "x" || last["ours"] != "y" {
		t.Errorf("%v", last)
	}
}

func TestLogins(t *testing.T) {
	s, url := newServer(t)
	jwt := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(jwt, []byte("jwt-of-the-pod\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := host(map[string]string{"VAULT_ADDR": url, "VAULT_ROLE_ID": "role-1", "VAULT_SECRET_ID": "secret-id-4711", "VAULT_K8S_TOKEN_PATH": jwt})
	sink, err := vault.Kind().Open(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, auth := range []string{`"approle"`, `"kubernetes", "role": "shop"`} {
		for range 3 {
			if _, err := sink.Write(t.Context(), secret.Request{Target: target("k", `{"path": "p", "auth": `+auth+`}`), Value: secret.FromString("v")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.logins != 2 {
		t.Errorf("%d logins", s.logins)
	}
	if text := h.Redactor.Text("say secret-id-4711 jwt-of-the-pod hvs.login1"); strings.Contains(text, "4711") || strings.Contains(text, "jwt-of") || strings.Contains(text, "login1") {
		t.Errorf("not masked: %s", text)
	}
}

func TestRefusals(t *testing.T) {
	s, url := newServer(t)
	for name, c := range map[string]struct {
		env     map[string]string
		options string
		says    string
	}{
		"no address":     {map[string]string{"VAULT_TOKEN": rootToken}, `{"path": "p"}`, "the address of Vault is not known"},
		"no token":       {map[string]string{"VAULT_ADDR": url}, `{"path": "p"}`, "VAULT_TOKEN is not set"},
		"wrong token":    {map[string]string{"VAULT_ADDR": url, "VAULT_TOKEN": "hvs.other"}, `{"path": "p"}`, "does not let us use secret/data/p: permission denied"},
		"no engine":      {map[string]string{"VAULT_ADDR": url, "VAULT_TOKEN": rootToken}, `{"path": "p", "mount": "nope"}`, `no key-value engine of version 2 at "nope"`},
		"no role":        {map[string]string{"VAULT_ADDR": url}, `{"path": "p", "auth": "approle"}`, "needs VAULT_ROLE_ID"},
		"wrong role":     {map[string]string{"VAULT_ADDR": url, "VAULT_ROLE_ID": "x", "VAULT_SECRET_ID": "y"}, `{"path": "p", "auth": "approle"}`, "invalid role"},
		"not in a pod":   {map[string]string{"VAULT_ADDR": url}, `{"path": "p", "auth": "kubernetes"}`, "the account of the pod"},
		"bad authority":  {map[string]string{"VAULT_ADDR": url, "VAULT_TOKEN": rootToken, "VAULT_CACERT": "/nowhere"}, `{"path": "p"}`, "VAULT_CACERT"},
		"nobody listens": {map[string]string{"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": rootToken}, `{"path": "p"}`, "ask Vault at http://127.0.0.1:1"},
	} {
		_, err := vault.New(host(c.env)).Write(t.Context(), secret.Request{Target: target("k", c.options), Value: secret.FromString("not-shown")})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "not-shown") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.down = true
	_, err := vault.New(host(map[string]string{"VAULT_ADDR": url, "VAULT_TOKEN": rootToken})).Status(t.Context(), target("k", `{"path": "p"}`))
	if err == nil || !strings.Contains(err.Error(), "Vault is sealed") {
		t.Errorf("sealed: %v", err)
	}
}
