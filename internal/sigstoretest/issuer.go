// Package sigstoretest runs a whole Sigstore on the loopback interface for
// tests: an issuer of identity tokens in this process, the real certificate
// authority Fulcio, and the real timestamp authority. Nothing of it is known
// to anybody outside the test.
package sigstoretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Workflow is the workflow that the issuer's tokens are of, where a test names
// no other.
const Workflow = "acme/shop/.github/workflows/release.yml@refs/tags/v1.0.0"

// Identity is how a certificate names a workflow.
func Identity(workflow string) string { return "https://github.com/" + workflow }

// bearer is what the job that asks for a token must show.
const bearer = "the-token-of-the-job"

// Issuer vouches for workflows, as GitHub Actions does: it gives tokens to
// jobs, and its key to who checks them.
type Issuer struct {
	// URL names it in certificates.
	URL string
	t   testing.TB
	key *ecdsa.PrivateKey
}

// NewIssuer starts one. It ends with the test.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{t: t, key: key}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.URL = server.URL
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token",
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { answer(w, i.keys()) })
	mux.HandleFunc("GET /job", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+bearer {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		answer(w, map[string]any{"count": 1, "value": i.token(Workflow, r.URL.Query().Get("audience"))})
	})
	return i
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (i *Issuer) keys() map[string]any {
	point, err := i.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		i.t.Error(err)
		return nil
	}
	return map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": encode(point[1:33]), "y": encode(point[33:]),
	}}}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Token is one for a workflow.
func (i *Issuer) Token(workflow string) string { return i.token(workflow, "sigstore") }

func (i *Issuer) token(workflow, audience string) string {
	repository := strings.Join(strings.SplitN(workflow, "/", 3)[:2], "/")
	_, ref, _ := strings.Cut(workflow, "@")
	sha := strings.Repeat("0a", 20)
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "aud": audience, "sub": "repo:" + repository + ":ref:" + ref, "iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"job_workflow_ref": workflow, "job_workflow_sha": sha, "workflow_ref": workflow, "workflow_sha": sha, "sha": sha, "ref": ref, "workflow": "release", "event_name": "push",
		"repository": repository, "repository_id": "1", "repository_owner": strings.Split(repository, "/")[0], "repository_owner_id": "2", "repository_visibility": "public",
		"runner_environment": "github-hosted", "run_id": "42", "run_attempt": "1",
	})
	if err != nil {
		i.t.Error(err)
		return ""
	}
	text := encode([]byte(`{"alg":"ES256","kid":"1","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		i.t.Error(err)
		return ""
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + encode(signature)
}

// Job are the variables that a job with `id-token: write` has.
func (i *Issuer) Job() map[string]string {
	return map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": i.URL + "/job?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer}
}
