// Package github keeps secrets and variables on GitHub: those of repositories,
// environments and organisations, for Actions and for Dependabot, and those of
// the job that runs now. Values are sealed for GitHub's public key before they
// leave the process.
package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v88/github"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// The options that secrets and variables have in common, as JSON Schema.
const scopeProperties = `
	"repo": {"type": "string", "pattern": "^[^/ ]+/[^/ ]+$", "description": "OWNER/NAME of the repository"},
	"org": {"type": "string", "minLength": 1, "description": "the organisation"},
	"environment": {"type": "string", "minLength": 1, "description": "the repository's environment"},
	"visibility": {"enum": ["all", "private", "selected"], "description": "which repositories of the organisation see it; default private, selected where selected_repositories names some"},
	"selected_repositories": {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "names of repositories of the organisation"},
	"api_url": {"type": "string", "format": "uri", "description": "the API of a GitHub Enterprise Server, such as https://github.example.com/api/v3; default GITHUB_API_URL"},
	"token_env": {"type": "string", "minLength": 1, "description": "the variable that holds the token; default GH_TOKEN, then GITHUB_TOKEN"}`

// Clock lets tests wait without waiting; the zero value is the system's.
type Clock struct {
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

func (c Clock) withDefaults() Clock {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = func(ctx context.Context, d time.Duration) error {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return c
}

// scope is whose secrets or variables are meant.
type scope struct {
	Repo        string   `json:"repo"`
	Org         string   `json:"org"`
	Environment string   `json:"environment"`
	Kind        string   `json:"kind"`
	Visibility  string   `json:"visibility"`
	Selected    []string `json:"selected_repositories"`
	APIURL      string   `json:"api_url"`
	TokenEnv    string   `json:"token_env"`
}

func scopeOf(t secret.Target) (s scope, err error) {
	if err := json.Unmarshal(t.Options, &s); err != nil {
		return s, fault.New(fault.Config, "the options of the sink cannot be used")
	}
	switch {
	case (s.Repo == "") == (s.Org == ""):
		return s, fault.New(fault.Config, "the sink names neither a repository nor an organisation, or both").
			WithHint("write one of `repo: OWNER/NAME` and `org: NAME`")
	case s.Environment != "" && s.Repo == "":
		return s, fault.New(fault.Config, "`environment` is a repository's, and the sink names an organisation")
	case s.Environment != "" && s.Kind == "dependabot":
		return s, fault.New(fault.Config, "environments have no secrets for Dependabot").WithHint("leave out one of `environment` and `kind: dependabot`")
	case s.Org == "" && (s.Visibility != "" || s.Selected != nil):
		return s, fault.New(fault.Config, "`visibility` and `selected_repositories` are an organisation's, and the sink names a repository")
	case s.Visibility != "" && s.Visibility != "selected" && s.Selected != nil:
		return s, fault.New(fault.Config, "`selected_repositories` needs `visibility: selected`")
	}
	if s.Org != "" && s.Visibility == "" {
		s.Visibility = "private"
		if s.Selected != nil {
			s.Visibility = "selected"
		}
	}
	return s, nil
}

// path is where the API has the scope's secrets or variables.
func (s scope) path(what string) string {
	feature := "actions"
	if s.Kind == "dependabot" {
		feature = "dependabot"
	}
	switch {
	case s.Org != "":
		return fmt.Sprintf("orgs/%s/%s/%s", url.PathEscape(s.Org), feature, what)
	case s.Environment != "":
		return fmt.Sprintf("repos/%s/environments/%s/%s", s.Repo, url.PathEscape(s.Environment), what)
	}
	return fmt.Sprintf("repos/%s/%s/%s", s.Repo, feature, what)
}

// String names the scope to a person.
func (s scope) String() string {
	switch {
	case s.Org != "":
		return "the organisation " + s.Org
	case s.Environment != "":
		return "the environment " + s.Environment + " of " + s.Repo
	}
	return s.Repo
}

// api is what the sinks of one process share: connections and public keys.
type api struct {
	clock     Clock
	transport http.RoundTripper

	mu   sync.Mutex
	keys map[string]publicKey
	// pause is when GitHub lets requests through again.
	pause time.Time
}

func newAPI(clock Clock) *api {
	return &api{clock: clock.withDefaults(), keys: map[string]publicKey{}}
}

// caller asks one scope's API with its token.
type caller struct {
	*api
	scope
	client *github.Client
	token  string // the name of its variable
}

func (a *api) caller(h secret.Host, s scope) (*caller, error) {
	c := &caller{api: a, scope: s}
	names := []string{"GH_TOKEN", "GITHUB_TOKEN"}
	if s.TokenEnv != "" {
		names = []string{s.TokenEnv}
	}
	var token string
	for _, name := range names {
		if v, ok := h.Getenv(name); ok && v != "" {
			c.token, token = name, v
			break
		}
	}
	if token == "" {
		return nil, fault.New(fault.Environment, "there is no token for GitHub: %s is not set", strings.Join(names, " or ")).
			WithHint("a fine-grained token needs the permission to write secrets or variables of %s", s)
	}
	if h.Redactor != nil {
		h.Redactor.Add(secret.FromString(token))
	}
	address := s.APIURL
	if address == "" {
		address, _ = h.Getenv("GITHUB_API_URL")
	}
	o := []github.ClientOptionsFunc{github.WithAuthToken(token), github.WithUserAgent("wfctl")}
	if address != "" {
		address = strings.TrimSuffix(address, "/") + "/"
		o = append(o, github.WithURLs(&address, nil))
	}
	if a.transport != nil {
		o = append(o, github.WithTransport(a.transport))
	}
	var err error
	if c.client, err = github.NewClient(o...); err != nil {
		return nil, fault.Wrap(fault.Config, err, "use the API of GitHub at %s", address)
	}
	return c, nil
}

// patience bounds how long a limit of GitHub's is waited for.
const patience = 10 * time.Minute

// call makes a request; a limit is waited for.
func (c *caller) call(ctx context.Context, method, path string, body, into any) (*github.Response, error) {
	for {
		if err := c.rest(ctx); err != nil {
			return nil, err
		}
		req, err := c.client.NewRequest(context.WithValue(ctx, github.BypassRateLimitCheck, true), method, path, body)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "ask GitHub")
		}
		res, err := c.client.Do(req, into)
		wait, limited := c.limit(err)
		if !limited {
			return res, c.explain(err, res)
		}
		if wait > patience {
			return res, fault.Wrap(fault.Provider, err, "GitHub takes no more requests for %s", wait.Round(time.Second)).WithHint("`wfctl infra secrets sync` goes on when it does")
		}
		c.mu.Lock()
		if until := c.clock.Now().Add(wait); until.After(c.pause) {
			c.pause = until
		}
		c.mu.Unlock()
	}
}

// rest waits until GitHub takes requests again.
func (c *caller) rest(ctx context.Context) error {
	c.mu.Lock()
	wait := c.pause.Sub(c.clock.Now())
	c.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	return c.clock.Sleep(ctx, wait)
}

// secondary is how long to wait where GitHub does not say.
const secondary = time.Minute

// limit tells how long to wait before the next request.
func (c *caller) limit(err error) (time.Duration, bool) {
	var primary *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var answer *github.ErrorResponse
	switch {
	case errors.As(err, &primary):
		return max(time.Second, primary.Rate.Reset.Sub(c.clock.Now())+time.Second), true
	case errors.As(err, &abuse) && abuse.RetryAfter != nil:
		return *abuse.RetryAfter, true
	case errors.As(err, &abuse):
		return secondary, true
	case !errors.As(err, &answer):
		return 0, false
	}
	after, err := time.ParseDuration(answer.Response.Header.Get("Retry-After") + "s")
	switch code := answer.Response.StatusCode; {
	case err == nil && (code == http.StatusForbidden || code == http.StatusTooManyRequests):
		return after, true
	case code == http.StatusTooManyRequests:
		return secondary, true
	}
	return 0, false
}

// explain says what an answer means for the user.
func (c *caller) explain(err error, res *github.Response) error {
	if err == nil {
		return nil
	}
	if res == nil || res.Response == nil {
		return fault.Wrap(fault.Provider, err, "ask GitHub about %s", c.scope)
	}
	switch code := res.StatusCode; {
	case code == http.StatusUnauthorized:
		return fault.Wrap(fault.Config, err, "GitHub does not accept the token of %s", c.token).WithHint("is it still valid, and for this GitHub?")
	case code == http.StatusForbidden:
		return fault.Wrap(fault.Config, err, "the token of %s may not do this with %s", c.token, c.scope).
			WithHint("a fine-grained token needs the permission Secrets, Variables or Dependabot secrets: write; for an environment Environments: write")
	case code == http.StatusNotFound:
		return fault.Wrap(fault.NotFound, err, "GitHub knows no %s, or the token of %s may not see it", c.scope, c.token).
			WithHint("check its name; an environment is made in the repository's settings")
	case code >= http.StatusInternalServerError:
		return fault.Wrap(fault.Provider, err, "GitHub does not answer about %s", c.scope)
	}
	return fault.Wrap(fault.Config, err, "GitHub refuses this for %s", c.scope)
}

// gone tells whether an answer means that a name is not there.
func gone(res *github.Response) bool {
	return res != nil && res.Response != nil && res.StatusCode == http.StatusNotFound
}

// repositoryIDs looks up the repositories that are selected.
func (c *caller) repositoryIDs(ctx context.Context) ([]int64, error) {
	ids := make([]int64, 0, len(c.Selected))
	for _, name := range c.Selected {
		var repo github.Repository
		if _, err := c.call(ctx, http.MethodGet, "repos/"+url.PathEscape(c.Org)+"/"+url.PathEscape(strings.TrimPrefix(name, c.Org+"/")), nil, &repo); err != nil {
			return nil, err
		}
		ids = append(ids, repo.GetID())
	}
	return ids, nil
}

// appendTo adds to a file of the runner's.
func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write to the job's environment")
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fault.Wrap(fault.Environment, err, "write to the job's environment")
	}
	return nil
}
