package fakedo

import (
	"io"
	"log"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// dataPlane is a real container registry, in memory, behind the credentials
// that the API mints.
type dataPlane struct {
	images http.Handler
	grants map[string]grant // by the password
}

// A grant is what one docker credential allows.
type grant struct {
	registry string
	write    bool
	until    time.Time // zero: for good
}

func newDataPlane() *dataPlane {
	return &dataPlane{
		images: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		grants: map[string]grant{},
	}
}

var dataPath = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|referrers|tags/list)(/|$)`)

// isDataPlane tells a docker client from a client of the API: both begin
// with /v2/, but the API's carry a bearer token.
func isDataPlane(r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		return false
	}
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		return true
	}
	_, _, basic := r.BasicAuth()
	return strings.HasPrefix(r.URL.Path, "/v2/") && (basic || dataPath.MatchString(r.URL.Path))
}

func (s *Server) serveDataPlane(w http.ResponseWriter, r *http.Request) {
	if status, why := s.allowed(r); status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="fakedo"`)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		code := map[int]string{http.StatusUnauthorized: "UNAUTHORIZED", http.StatusForbidden: "DENIED", http.StatusNotFound: "NAME_UNKNOWN"}[status]
		_, _ = io.WriteString(w, `{"errors":[{"code":"`+code+`","message":"`+why+`"}]}`)
		return
	}
	s.registry.images.ServeHTTP(w, r)
}

// allowed answers 0, or the status to refuse with.
func (s *Server) allowed(r *http.Request) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	_, password, _ := r.BasicAuth()
	g, known := s.registry.grants[password]
	if scopes, isToken := s.opts.Tokens[password]; isToken && scopes == nil {
		g, known = grant{write: true}, true
	}
	if !known {
		return http.StatusUnauthorized, "authentication required"
	}
	if !g.until.IsZero() && s.now.After(g.until) {
		return http.StatusUnauthorized, "the credentials have expired"
	}
	m := dataPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return 0, ""
	}
	name, _, _ := strings.Cut(m[1], "/")
	if s.find("registry", name) == nil {
		return http.StatusNotFound, "registry " + name + " does not exist"
	}
	if g.registry != "" && g.registry != name {
		return http.StatusForbidden, "the credentials are for another registry"
	}
	if !g.write && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return http.StatusForbidden, "the credentials are read-only"
	}
	return 0, ""
}

// RegistryTransport carries requests for the real registry's host to the fake.
func (s *Server) RegistryTransport() http.RoundTripper { return toFake{s} }

type toFake struct{ s *Server }

func (t toFake) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != RealRegistryHost {
		return http.DefaultTransport.RoundTrip(r)
	}
	to, err := url.Parse(t.s.URL)
	if err != nil {
		return nil, err
	}
	sent := r.Clone(r.Context())
	sent.URL.Scheme, sent.URL.Host, sent.Host = to.Scheme, to.Host, RealRegistryHost
	answer, err := http.DefaultTransport.RoundTrip(sent)
	if answer != nil {
		answer.Request = r // what a relative Location is relative to
	}
	return answer, err
}

// hasImage asks the registry for a manifest.
func (s *Server) hasImage(repository, reference string) bool {
	r, err := http.NewRequest(http.MethodHead, "http://registry/v2/"+repository+"/manifests/"+reference, http.NoBody)
	if err != nil {
		return false
	}
	rec := &memoryAnswer{header: http.Header{}}
	s.registry.images.ServeHTTP(rec, r)
	return rec.status == http.StatusOK || rec.status == 0
}

// memoryAnswer keeps an answer of the registry for the fake itself.
type memoryAnswer struct {
	header http.Header
	status int
	body   strings.Builder
}

func (m *memoryAnswer) Header() http.Header         { return m.header }
func (m *memoryAnswer) WriteHeader(status int)      { m.status = status }
func (m *memoryAnswer) Write(b []byte) (int, error) { return m.body.Write(b) }
