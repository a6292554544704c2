// Package fakegithub is GitHub's API for secrets and variables, stateful and
// held to GitHub's own description. It opens what was sealed for it, as
// GitHub's runners do.
package fakegithub

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/gocodealone/wfctl/internal/githubspec"
)

// Fault is an answer in place of the next one that its path and method fit.
type Fault struct {
	// Method and Path (a part of it) choose the request; "" is any.
	Method, Path string
	Status       int
	Header       http.Header
	// Message is what GitHub says.
	Message string
	// Drop ends the connection after the effect took place.
	Drop bool
}

// Server is a fake GitHub.
type Server struct {
	// Token is what requests must carry.
	Token string

	t    testing.TB
	http *httptest.Server
	spec *githubspec.Description

	mu       sync.Mutex
	now      time.Time
	scopes   map[string]*scope
	faults   []Fault
	requests []string
	bodies   [][]byte
}

// scope is a repository, an environment or an organisation, for Actions or for
// Dependabot: each has a key of its own.
type scope struct {
	generation      int
	public, private *[32]byte
	secrets         map[string]*entry
	variables       map[string]*entry
}

type entry struct {
	Name, Value, Visibility string
	Selected                []int64
	created, updated        time.Time
}

// New starts a server; the test ends it. Scopes are made by Repo, Environment
// and Org alone: any other is not found.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{Token: "ghp_fake0123456789", t: t, spec: githubspec.Load(t), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), scopes: map[string]*scope{}}
	free := []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusInternalServerError, http.StatusBadGateway}
	s.http = httptest.NewServer(http.StripPrefix("/api/v3", s.faulty(s.spec.Check(t, http.HandlerFunc(s.serve), free...))))
	t.Cleanup(s.http.Close)
	return s
}

// URL is the address of the API.
func (s *Server) URL() string { return s.http.URL + "/api/v3" }

// Repo makes a repository, OWNER/NAME, for Actions and Dependabot.
func (s *Server) Repo(name string) {
	s.scope("repos/" + name + "/actions")
	s.scope("repos/" + name + "/dependabot")
}

// Environment makes an environment of a repository.
func (s *Server) Environment(repo, name string) { s.scope("repos/" + repo + "/environments/" + name) }

// Org makes an organisation, for Actions and Dependabot.
func (s *Server) Org(name string) {
	s.scope("orgs/" + name + "/actions")
	s.scope("orgs/" + name + "/dependabot")
}

func (s *Server) scope(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := &scope{secrets: map[string]*entry{}, variables: map[string]*entry{}}
	sc.renew(s.t)
	s.scopes[path] = sc
}

func (sc *scope) renew(t testing.TB) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sc.public, sc.private = public, private
	sc.generation++
}

func (sc *scope) keyID() string { return fmt.Sprintf("56838952047657999%d", sc.generation) }

// RotateKeys gives every scope another key.
func (s *Server) RotateKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sc := range s.scopes {
		sc.renew(s.t)
	}
}

// Fail adds an answer for a request to come.
func (s *Server) Fail(f Fault) { s.mu.Lock(); defer s.mu.Unlock(); s.faults = append(s.faults, f) }

// Secret returns a secret in plain; path is a scope's, such as
// repos/acme/shop/actions.
func (s *Server) Secret(path, name string) (value, visibility string, selected []int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc := s.scopes[path]; sc != nil && sc.secrets[name] != nil {
		e := sc.secrets[name]
		return e.Value, e.Visibility, e.Selected, true
	}
	return "", "", nil, false
}

// Variable returns a variable.
func (s *Server) Variable(path, name string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc := s.scopes[path]; sc != nil && sc.variables[name] != nil {
		return sc.variables[name].Value, true
	}
	return "", false
}

// Writes are the requests that changed something, as "PUT path".
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r string) bool { return strings.HasPrefix(r, "GET ") })
}

// Requests are all requests.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Bodies are what requests carried, as it went over the network.
func (s *Server) Bodies() [][]byte { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.bodies) }

// Overwrite changes a secret as a person does.
func (s *Server) Overwrite(path, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(time.Minute)
	e := s.scopes[path].secrets[name]
	e.Value, e.updated = value, s.now
}

// RepositoryID is the number of a repository.
func RepositoryID(name string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return int64(h.Sum32())
}

func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/"))
		i := slices.IndexFunc(s.faults, func(f Fault) bool {
			return (f.Method == "" || f.Method == r.Method) && strings.Contains(r.URL.Path, f.Path)
		})
		var f *Fault
		if i >= 0 {
			f = &s.faults[i]
			one := *f
			f, s.faults = &one, slices.Delete(s.faults, i, i+1)
		}
		s.mu.Unlock()
		switch {
		case f == nil:
			next.ServeHTTP(w, r)
		case f.Drop:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			maps.Copy(w.Header(), f.Header)
			answer(w, f.Status, map[string]any{"message": f.Message, "documentation_url": "https://docs.github.com/rest"})
		}
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_ = json.NewEncoder(w).Encode(v)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest", "status": fmt.Sprint(status)})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+s.Token {
		refuse(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	for _, what := range []string{"/secrets", "/variables"} {
		before, after, ok := strings.Cut(path, what)
		if !ok {
			continue
		}
		sc := s.scopes[before]
		if sc == nil {
			refuse(w, http.StatusNotFound, "Not Found")
			return
		}
		name := strings.TrimPrefix(after, "/")
		if what == "/secrets" {
			s.secret(w, r, sc, before, name)
		} else {
			s.variable(w, r, sc, before, name)
		}
		return
	}
	if name, ok := strings.CutPrefix(path, "repos/"); ok && s.scopes[path+"/actions"] != nil {
		s.repository(w, name)
		return
	}
	refuse(w, http.StatusNotFound, "Not Found")
}

// repository answers with the description's example, under another name.
func (s *Server) repository(w http.ResponseWriter, name string) {
	raw, err := json.Marshal(s.spec.Example("full-repository"))
	if err != nil {
		s.t.Error(err)
	}
	doc := map[string]any{}
	_ = json.Unmarshal(raw, &doc)
	doc["id"], doc["full_name"] = RepositoryID(name), name
	doc["has_discussions"] = false // the example lacks it, and the description requires it
	answer(w, http.StatusOK, doc)
}

func (s *Server) secret(w http.ResponseWriter, r *http.Request, sc *scope, path, name string) {
	switch {
	case name == "public-key":
		answer(w, http.StatusOK, map[string]string{"key_id": sc.keyID(), "key": base64.StdEncoding.EncodeToString(sc.public[:])})
	case r.Method == http.MethodPut:
		s.putSecret(w, r, sc, name)
	case sc.secrets[name] == nil:
		refuse(w, http.StatusNotFound, "Not Found")
	case r.Method == http.MethodDelete:
		delete(sc.secrets, name)
		answer(w, http.StatusNoContent, nil)
	default:
		e := sc.secrets[name]
		answer(w, http.StatusOK, e.doc(path, strings.HasPrefix(path, "orgs/")))
	}
}

func (e *entry) doc(path string, org bool) map[string]any {
	doc := map[string]any{"name": e.Name, "created_at": e.created.Format(time.RFC3339), "updated_at": e.updated.Format(time.RFC3339)}
	if org {
		doc["visibility"] = e.Visibility
		if e.Visibility == "selected" {
			doc["selected_repositories_url"] = "https://api.github.com/" + path + "/secrets/" + e.Name + "/repositories"
		}
	}
	return doc
}

func (s *Server) putSecret(w http.ResponseWriter, r *http.Request, sc *scope, name string) {
	var body struct {
		KeyID      string  `json:"key_id"`
		Value      string  `json:"encrypted_value"`
		Visibility string  `json:"visibility"`
		Selected   []int64 `json:"selected_repository_ids"`
	}
	raw := s.body(r)
	if err := json.Unmarshal(raw, &body); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	sealed, err := base64.StdEncoding.DecodeString(body.Value)
	if err != nil || body.KeyID != sc.keyID() {
		refuse(w, http.StatusUnprocessableEntity, "Bad request - key_id is not the current key")
		return
	}
	value, ok := box.OpenAnonymous(nil, sealed, sc.public, sc.private)
	if !ok {
		refuse(w, http.StatusUnprocessableEntity, "Improperly encrypted secret")
		return
	}
	s.now = s.now.Add(time.Second)
	status := http.StatusNoContent
	e := sc.secrets[name]
	if e == nil {
		e, status = &entry{Name: name, created: s.now}, http.StatusCreated
		sc.secrets[name] = e
	}
	e.Value, e.Visibility, e.Selected, e.updated = string(value), body.Visibility, body.Selected, s.now
	answer(w, status, map[string]any{})
}

// body reads and remembers what a request carries.
func (s *Server) body(r *http.Request) []byte {
	var raw json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&raw)
	s.bodies = append(s.bodies, raw)
	return raw
}

func (s *Server) variable(w http.ResponseWriter, r *http.Request, sc *scope, path, name string) {
	switch {
	case r.Method == http.MethodPost:
		s.putVariable(w, r, sc, "", http.StatusCreated)
	case sc.variables[name] == nil:
		refuse(w, http.StatusNotFound, "Not Found")
	case r.Method == http.MethodPatch:
		s.putVariable(w, r, sc, name, http.StatusNoContent)
	case r.Method == http.MethodDelete:
		delete(sc.variables, name)
		answer(w, http.StatusNoContent, nil)
	default:
		doc := sc.variables[name].doc(path, strings.HasPrefix(path, "orgs/"))
		doc["value"] = sc.variables[name].Value
		answer(w, http.StatusOK, doc)
	}
}

func (s *Server) putVariable(w http.ResponseWriter, r *http.Request, sc *scope, name string, status int) {
	var body struct {
		Name       string  `json:"name"`
		Value      string  `json:"value"`
		Visibility string  `json:"visibility"`
		Selected   []int64 `json:"selected_repository_ids"`
	}
	if err := json.Unmarshal(s.body(r), &body); err != nil || body.Name == "" && name == "" {
		refuse(w, http.StatusUnprocessableEntity, "Invalid request")
		return
	}
	if name == "" {
		name = body.Name
	}
	s.now = s.now.Add(time.Second)
	e := sc.variables[name]
	if e == nil {
		e = &entry{Name: name, created: s.now}
		sc.variables[name] = e
	}
	e.Value, e.Visibility, e.Selected, e.updated = body.Value, body.Visibility, body.Selected, s.now
	answer(w, status, map[string]any{})
}
