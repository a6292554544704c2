package locktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/internal/githubspec"
)

// GitHub is a server that answers like GitHub's releases and attestations. Each
// request to its API, and each answer, is checked against GitHub's own public
// description; what that rejects fails the test.
type GitHub struct {
	// Token is what a private repository asks for; "" makes it public.
	Token string

	t       testing.TB
	server  *httptest.Server
	storage *httptest.Server

	mu       sync.Mutex
	releases []*githubRelease
	bundles  map[string][][]byte
	requests []string
	down     bool
	limited  bool
}

type githubRelease struct {
	*Release
	prerelease bool
	names      []string
}

const owner, repo = "acme", "hello"

// NewGitHub starts a server with the repository acme/hello. It skips the test
// where the description is not there, and fails it under CI=true.
func NewGitHub(t testing.TB) *GitHub {
	t.Helper()
	g := &GitHub{t: t, bundles: map[string][][]byte{}}
	mux := http.NewServeMux()
	mux.Handle("GET /api/v3/", githubspec.Load(t).Check(t, http.HandlerFunc(g.api)))
	mux.HandleFunc("GET /acme/hello/releases/download/{tag}/{name}", g.download)
	g.server = httptest.NewServer(g.counted(mux))
	g.storage = httptest.NewServer(http.HandlerFunc(g.stored))
	t.Cleanup(g.server.Close)
	t.Cleanup(g.storage.Close)
	return g
}

// Source is the address of the repository for wfctl.yaml.
func (g *GitHub) Source() string { return "github+" + g.server.URL + "/" + owner + "/" + repo }

// URL is the server's address.
func (g *GitHub) URL() string { return g.server.URL }

// Publish adds a release.
func (g *GitHub) Publish(r *Release) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releases = append(g.releases, &githubRelease{Release: r, names: slices.Sorted(maps.Keys(r.Files)), prerelease: strings.Contains(r.Version, "-")})
}

// Attest adds an attestation of a file by its hash.
func (g *GitHub) Attest(sha256 string, bundle []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bundles["sha256:"+sha256] = append(g.bundles["sha256:"+sha256], bundle)
}

// Down makes every request fail with 503.
func (g *GitHub) Down(down bool) { g.mu.Lock(); defer g.mu.Unlock(); g.down = down }

// Limit makes the API answer that it was asked too often.
func (g *GitHub) Limit(limited bool) { g.mu.Lock(); defer g.mu.Unlock(); g.limited = limited }

// Requests are the paths that were asked for, in order.
func (g *GitHub) Requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.requests)
}

func (g *GitHub) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.requests = append(g.requests, r.URL.Path)
		down := g.down
		g.mu.Unlock()
		if down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *GitHub) allowed(r *http.Request) bool {
	return g.Token == "" || r.Header.Get("Authorization") == "Bearer "+g.Token
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func notFound(w http.ResponseWriter) {
	answer(w, http.StatusNotFound, map[string]any{"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"})
}

// api answers below /api/v3/repos/acme/hello.
func (g *GitHub) api(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rest, ok := strings.CutPrefix(r.URL.Path, "/api/v3/repos/"+owner+"/"+repo+"/")
	parts := strings.Split(rest, "/")
	switch {
	case g.limited:
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", "1893456000")
		answer(w, http.StatusForbidden, map[string]any{"message": "API rate limit exceeded"})
	case !ok || !g.allowed(r):
		notFound(w)
	case rest == "releases":
		g.list(w, r)
	case strings.HasPrefix(rest, "releases/tags/"):
		g.tag(w, strings.TrimPrefix(rest, "releases/tags/"))
	case strings.HasPrefix(rest, "releases/assets/"):
		g.asset(w, parts[len(parts)-1])
	case strings.HasPrefix(rest, "attestations/"):
		g.attestations(w, parts[len(parts)-1])
	default:
		notFound(w)
	}
}

func (g *GitHub) list(w http.ResponseWriter, r *http.Request) {
	per, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	list := []any{}
	for i := range g.releases {
		newest := len(g.releases) - 1 - i // newest first
		if i >= (page-1)*per && i < page*per {
			list = append(list, g.object(newest))
		}
	}
	answer(w, http.StatusOK, list)
}

func (g *GitHub) tag(w http.ResponseWriter, tag string) {
	for i, r := range g.releases {
		if r.Version == tag {
			answer(w, http.StatusOK, g.object(i))
			return
		}
	}
	notFound(w)
}

// object is a release as the API has it; an asset's number is made of the
// release's and its own.
func (g *GitHub) object(i int) map[string]any {
	r := g.releases[i]
	api := g.server.URL + "/api/v3/repos/" + owner + "/" + repo + "/releases"
	web := g.server.URL + "/" + owner + "/" + repo + "/releases"
	assets := []any{}
	for k, name := range r.names {
		id := (i+1)*1000 + k
		assets = append(assets, map[string]any{
			"url": fmt.Sprintf("%s/assets/%d", api, id), "browser_download_url": web + "/download/" + r.Version + "/" + name,
			"id": id, "node_id": "x", "name": name, "label": nil, "state": "uploaded", "content_type": "application/octet-stream",
			"size": len(r.Files[name]), "digest": "sha256:" + Hash(r.Files[name]), "download_count": 1,
			"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z", "uploader": g.user(),
		})
	}
	return map[string]any{
		"url": fmt.Sprintf("%s/%d", api, i+1), "assets_url": fmt.Sprintf("%s/%d/assets", api, i+1),
		"upload_url": "https://uploads.github.com/x{?name,label}", "html_url": web + "/tag/" + r.Version, "id": i + 1, "node_id": "x",
		"tag_name": r.Version, "target_commitish": "main", "name": r.Version, "draft": false, "prerelease": r.prerelease,
		"created_at": "2026-01-02T03:04:05Z", "published_at": "2026-01-02T03:04:05Z", "author": g.user(), "assets": assets,
		"tarball_url": api + "/tarball", "zipball_url": api + "/zipball",
	}
}

func (g *GitHub) user() map[string]any {
	u := map[string]any{"login": "acme", "id": 1, "node_id": "x", "gravatar_id": "", "type": "User", "site_admin": false}
	for _, key := range []string{
		"avatar_url", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url", "subscriptions_url",
		"organizations_url", "repos_url", "events_url", "received_events_url",
	} {
		u[key] = g.server.URL + "/" + key
	}
	return u
}

// file finds an asset by its number.
func (g *GitHub) file(number string) ([]byte, bool) {
	id, err := strconv.Atoi(number)
	if err != nil || id/1000 < 1 || id/1000 > len(g.releases) {
		return nil, false
	}
	r := g.releases[id/1000-1]
	if k := id % 1000; k < len(r.names) {
		return r.Files[r.names[k]], true
	}
	return nil, false
}

// asset sends to the storage, which is another host.
func (g *GitHub) asset(w http.ResponseWriter, number string) {
	if _, ok := g.file(number); !ok {
		notFound(w)
		return
	}
	w.Header().Set("Location", g.storage.URL+"/"+number)
	w.WriteHeader(http.StatusFound)
}

// stored is the storage: it must never see the token.
func (g *GitHub) stored(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		g.t.Error("the token was sent to the storage")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	data, ok := g.file(strings.TrimPrefix(r.URL.Path, "/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(data)
}

// download is the address that browsers use.
func (g *GitHub) download(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, rel := range g.releases {
		if data, ok := rel.Files[r.PathValue("name")]; ok && rel.Version == r.PathValue("tag") && g.Token == "" {
			_, _ = w.Write(data)
			return
		}
	}
	http.NotFound(w, r)
}

func (g *GitHub) attestations(w http.ResponseWriter, digest string) {
	list := []any{}
	for _, b := range g.bundles[digest] {
		list = append(list, map[string]any{"bundle": json.RawMessage(b), "repository_id": 1, "bundle_url": g.storage.URL + "/x"})
	}
	answer(w, http.StatusOK, map[string]any{"attestations": list})
}
