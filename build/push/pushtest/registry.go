// Package pushtest is a container registry for tests, in memory. It is strict:
// blobs belong to repositories, a manifest is taken only with all that it
// names, and an upload that broke off can go on where it did. It counts what
// it is sent, and fails as it is told to.
package pushtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Registry is a registry. Its fields are set before it is used.
type Registry struct {
	// User and Password are asked for where they are set.
	User, Password string
	// ReadOnly refuses pushes of a known user.
	ReadOnly bool
	// NoResume forgets an upload that broke off.
	NoResume bool
	// Referrers lists referrers by itself.
	Referrers bool
	// Before is asked before a request is served; true means that it has
	// answered. After is asked before a request's answer goes out.
	Before, After func(w http.ResponseWriter, r *http.Request) bool

	URL, Host string

	mu        sync.Mutex
	blobs     map[string][]byte // by repository and digest
	uploads   map[string][]byte
	manifests map[string]manifest
	next      int
	received  int64
	requests  []string
}

type manifest struct {
	media string
	raw   []byte
}

// Start serves r on loopback until the test ends.
func Start(t testing.TB, r *Registry) *Registry {
	r.blobs, r.uploads, r.manifests = map[string][]byte{}, map[string][]byte{}, map[string]manifest{}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL, r.Host = s.URL, strings.TrimPrefix(s.URL, "http://")
	return r
}

// Received is how many bytes of blobs came in since the last time it was asked.
func (r *Registry) Received() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.received
	r.received = 0
	return n
}

// Count is how many requests with a method had a part in their path.
func (r *Registry) Count(method, part string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.requests {
		if strings.HasPrefix(q, method+" ") && strings.Contains(q, part) {
			n++
		}
	}
	return n
}

// Tags lists REPOSITORY:TAG of all repositories, sorted.
func (r *Registry) Tags() (tags []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.manifests {
		if repo, ref, _ := strings.Cut(key, " "); !strings.HasPrefix(ref, "sha256:") {
			tags = append(tags, repo+":"+ref)
		}
	}
	slices.Sort(tags)
	return tags
}

// Digest is what a tag points to; "" for a tag that is not there.
func (r *Registry) Digest(repo, tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.manifests[repo+" "+tag]
	if !ok {
		return ""
	}
	return digest(m.raw)
}

// Whole reports a tag that leads to something that is not there.
func (r *Registry) Whole() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, m := range r.manifests {
		repo, _, _ := strings.Cut(key, " ")
		if lost := r.lacks(repo, m.raw); lost != "" {
			return fmt.Errorf("%s leads to %s, which is not there", key, lost)
		}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, q.Method+" "+q.URL.Path)
	r.mu.Unlock()
	if r.Before != nil && r.Before(w, q) {
		return
	}
	if r.User != "" {
		user, password, _ := q.BasicAuth()
		if user != r.User || password != r.Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="pushtest"`)
			fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		if r.ReadOnly && q.Method != http.MethodGet && q.Method != http.MethodHead {
			fail(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
			return
		}
	}
	if r.After != nil {
		kept := httptest.NewRecorder()
		r.route(kept, q)
		if r.After(w, q) {
			return
		}
		for k, v := range kept.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes())
		return
	}
	r.route(w, q)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func (r *Registry) route(w http.ResponseWriter, q *http.Request) {
	path := strings.TrimPrefix(q.URL.Path, "/v2/")
	if path == "" {
		return
	}
	for _, part := range []struct {
		name  string
		serve func(http.ResponseWriter, *http.Request, string, string)
	}{{"/blobs/uploads/", r.upload}, {"/blobs/", r.blob}, {"/manifests/", r.manifest}, {"/referrers/", r.referrers}} {
		if repo, rest, ok := strings.Cut(path, part.name); ok {
			part.serve(w, q, repo, rest)
			return
		}
	}
	fail(w, http.StatusNotFound, "NAME_UNKNOWN", "no such thing: "+q.URL.Path)
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (r *Registry) blob(w http.ResponseWriter, q *http.Request, repo, d string) {
	r.mu.Lock()
	content, ok := r.blobs[repo+" "+d]
	r.mu.Unlock()
	if !ok {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown")
		return
	}
	if at, partial := strings.CutPrefix(q.Header.Get("Range"), "bytes="); partial {
		from, _, _ := strings.Cut(at, "-")
		if n, err := strconv.Atoi(from); err == nil && n <= len(content) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", n, len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(content[n:])
			return
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if q.Method == http.MethodGet {
		_, _ = w.Write(content)
	}
}

func (r *Registry) upload(w http.ResponseWriter, q *http.Request, repo, id string) {
	if q.Method == http.MethodPost {
		r.begin(w, q, repo)
		return
	}
	r.mu.Lock()
	have, ok := r.uploads[id]
	r.mu.Unlock()
	if !ok {
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "upload unknown")
		return
	}
	if at := q.Header.Get("Content-Range"); at != "" && !strings.HasPrefix(at, strconv.Itoa(len(have))+"-") {
		fail(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "the upload is elsewhere")
		return
	}
	body, err := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received += int64(len(body))
	have = append(have[:len(have):len(have)], body...)
	r.uploads[id] = have
	if err != nil {
		if r.NoResume {
			delete(r.uploads, id)
		}
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, len(have)-1)))
	switch q.Method {
	case http.MethodGet:
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		want := q.URL.Query().Get("digest")
		delete(r.uploads, id)
		if digest(have) != want {
			fail(w, http.StatusBadRequest, "DIGEST_INVALID", "the content is not what its digest says")
			return
		}
		r.blobs[repo+" "+want] = have
		w.WriteHeader(http.StatusCreated)
	}
}

func (r *Registry) begin(w http.ResponseWriter, q *http.Request, repo string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := q.URL.Query().Get("mount"); d != "" {
		if content, ok := r.blobs[q.URL.Query().Get("from")+" "+d]; ok {
			r.blobs[repo+" "+d] = content
			w.Header().Set("Location", "/v2/"+repo+"/blobs/"+d)
			w.WriteHeader(http.StatusCreated)
			return
		}
	}
	r.next++
	id := strconv.Itoa(r.next)
	r.uploads[id] = nil
	w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id)
	w.WriteHeader(http.StatusAccepted)
}

// named is what a manifest leads to.
type named struct {
	Subject   *struct{ Digest string }
	Config    *struct{ Digest string }
	Layers    []struct{ Digest string }
	Manifests []struct{ Digest string }
}

// lacks is the digest of something that a manifest names and that is not there.
func (r *Registry) lacks(repo string, raw []byte) string {
	var m named
	if err := json.Unmarshal(raw, &m); err != nil {
		return err.Error()
	}
	for _, c := range m.Manifests {
		if _, ok := r.manifests[repo+" "+c.Digest]; !ok {
			return c.Digest
		}
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		if _, ok := r.blobs[repo+" "+l.Digest]; !ok {
			return l.Digest
		}
	}
	return ""
}

func (r *Registry) manifest(w http.ResponseWriter, q *http.Request, repo, reference string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Method == http.MethodPut {
		raw, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		if lost := r.lacks(repo, raw); lost != "" {
			fail(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", lost+" is not there")
			return
		}
		var m named
		_ = json.Unmarshal(raw, &m) // lacks has read it
		if r.Referrers && m.Subject != nil {
			w.Header().Set("OCI-Subject", m.Subject.Digest)
		}
		kept := manifest{q.Header.Get("Content-Type"), raw}
		r.manifests[repo+" "+digest(raw)], r.manifests[repo+" "+reference] = kept, kept
		w.WriteHeader(http.StatusCreated)
		return
	}
	m, ok := r.manifests[repo+" "+reference]
	if !ok {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", m.media)
	w.Header().Set("Docker-Content-Digest", digest(m.raw))
	w.Header().Set("Content-Length", strconv.Itoa(len(m.raw)))
	if q.Method == http.MethodGet {
		_, _ = io.Copy(w, bytes.NewReader(m.raw))
	}
}

func (r *Registry) referrers(w http.ResponseWriter, _ *http.Request, _, _ string) {
	if !r.Referrers {
		fail(w, http.StatusNotFound, "UNSUPPORTED", "there is no list of referrers")
		return
	}
	_, _ = io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
}
