package github_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/fakegithub"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/secret/github"
)

// clock is one that a sleep sets forward.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *clock) Clock() github.Clock {
	return github.Clock{
		Now: func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now, c.slept = c.now.Add(d), append(c.slept, d)
			return ctx.Err()
		},
	}
}

type bench struct {
	*testing.T
	*fakegithub.Server
	clock *clock
	sink  secret.Sink
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, Server: fakegithub.New(t), clock: &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	b.Repo("acme/shop")
	b.Repo("acme/docs")
	b.Environment("acme/shop", "staging")
	b.Org("acme")
	b.sink = b.open(github.SecretKind(b.clock.Clock()), map[string]string{"GH_TOKEN": b.Token})
	return b
}

func (b *bench) open(k secret.Kind, env map[string]string) secret.Sink {
	b.Helper()
	env["GITHUB_API_URL"] = b.URL()
	sink, err := k.Open(secret.Host{Redactor: secret.NewRedactor(), Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		b.Fatal(err)
	}
	return sink
}

func request(name, options, value string) secret.Request {
	return secret.Request{Target: secret.Target{Name: name, Options: json.RawMessage(options)}, Value: secret.FromString(value), Source: "db.connection_url"}
}

// shapes are values that are easy to get wrong.
func shapes() map[string]string {
	return map[string]string{
		"pem": "-----BEGIN KEY-----\nMIIB+/=\n-----END KEY-----\n", "url": "postgres://u:p%40ss@host:5432/db?sslmode=require", "json": `{"a": ["b", 1, null]}`,
		"unicode": "pässwörd-☃-𝄞", "short": "a1b2", "huge": strings.Repeat("x7/", 16<<10), "prefix": "postgres://u", "quotes": `it's "so"`, "spaces": "  two  ",
		"percent": "100%25%0A", "control": "a\tb\r\nc\x01", "base64": "c2VjcmV0LXZhbHVl",
	}
}

// Every shape arrives as it is, and is nowhere in what was sent.
func TestShapes(t *testing.T) {
	b := newBench(t)
	for name, value := range shapes() {
		if _, err := b.sink.Write(t.Context(), request("S_"+strings.ToUpper(name), `{"repo": "acme/shop"}`, value)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, _, _, _ := b.Secret("repos/acme/shop/actions", "S_"+strings.ToUpper(name)); got != value {
			t.Errorf("%s arrived as %d bytes %.40q", name, len(got), got)
		}
		for _, body := range b.Bodies() {
			if bytes.Contains(body, []byte(value)) {
				t.Errorf("%s was sent in plain", name)
			}
		}
	}
	keys := slices.DeleteFunc(b.Requests(), func(r string) bool { return !strings.HasSuffix(r, "public-key") })
	if len(keys) != 1 {
		t.Errorf("the key was fetched %d times", len(keys))
	}
}

func TestScopes(t *testing.T) {
	b := newBench(t)
	for options, path := range map[string]string{
		`{"repo": "acme/shop"}`:                           "repos/acme/shop/actions",
		`{"repo": "acme/shop", "kind": "dependabot"}`:     "repos/acme/shop/dependabot",
		`{"repo": "acme/shop", "environment": "staging"}`: "repos/acme/shop/environments/staging",
		`{"org": "acme"}`:                                 "orgs/acme/actions",
		`{"org": "acme", "kind": "dependabot"}`:           "orgs/acme/dependabot",
	} {
		req := request("DATABASE_URL", options, options)
		st, err := b.sink.Status(t.Context(), req.Target)
		if err != nil || st.Exists {
			t.Errorf("%s, before: %+v, %v", options, st, err)
		}
		if _, err := b.sink.Write(t.Context(), req); err != nil {
			t.Errorf("%s: %v", options, err)
		}
		if got, _, _, _ := b.Secret(path, "DATABASE_URL"); got != options {
			t.Errorf("%s has %q", path, got)
		}
		if st, err = b.sink.Status(t.Context(), req.Target); err != nil || !st.Exists || st.UpdatedAt.IsZero() {
			t.Errorf("%s, after: %+v, %v", options, st, err)
		}
		for range 2 { // the second time it is gone already
			if err := b.sink.Retire(t.Context(), req.Target); err != nil {
				t.Errorf("%s: %v", options, err)
			}
		}
		if _, _, _, ok := b.Secret(path, "DATABASE_URL"); ok {
			t.Errorf("%s still has it", path)
		}
	}
}

func TestOrganisationVisibility(t *testing.T) {
	b := newBench(t)
	write := func(options string) {
		t.Helper()
		if _, err := b.sink.Write(t.Context(), request("KEY", options, "value-one")); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"org": "acme"}`)
	if _, visibility, _, _ := b.Secret("orgs/acme/actions", "KEY"); visibility != "private" {
		t.Errorf("by default %s", visibility)
	}
	write(`{"org": "acme", "visibility": "all"}`)
	if _, visibility, _, _ := b.Secret("orgs/acme/actions", "KEY"); visibility != "all" {
		t.Errorf("not all, but %s", visibility)
	}
	write(`{"org": "acme", "selected_repositories": ["shop", "acme/docs"]}`)
	_, visibility, ids, _ := b.Secret("orgs/acme/actions", "KEY")
	if want := []int64{fakegithub.RepositoryID("acme/shop"), fakegithub.RepositoryID("acme/docs")}; visibility != "selected" || !slices.Equal(ids, want) {
		t.Errorf("%s %v, want %v", visibility, ids, want)
	}
}

// A key that GitHub changed meanwhile is fetched again.
func TestKeyRotates(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		value := fmt.Sprintf("value-%d", i)
		if _, err := b.sink.Write(t.Context(), request("KEY", `{"repo": "acme/shop"}`, value)); err != nil {
			t.Fatal(err)
		}
		if got, _, _, _ := b.Secret("repos/acme/shop/actions", "KEY"); got != value {
			t.Errorf("%q", got)
		}
		b.RotateKeys()
	}
}

func TestLimits(t *testing.T) {
	const options = `{"repo": "acme/shop"}`
	for name, c := range map[string]struct {
		fault fakegithub.Fault
		waits time.Duration
	}{
		"primary": {fakegithub.Fault{Status: http.StatusForbidden, Message: "API rate limit exceeded", Header: http.Header{
			"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Limit": {"5000"}, "X-Ratelimit-Reset": {fmt.Sprint(time.Date(2026, 1, 1, 0, 5, 0, 0, time.UTC).Unix())},
		}}, 5*time.Minute + time.Second},
		"secondary": {fakegithub.Fault{Status: http.StatusForbidden, Message: "You have exceeded a secondary rate limit", Header: http.Header{"Retry-After": {"7"}}}, 7 * time.Second},
		"429":       {fakegithub.Fault{Status: http.StatusTooManyRequests, Message: "too many", Header: http.Header{"Retry-After": {"3"}}}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.Fail(c.fault)
			if _, err := b.sink.Write(t.Context(), request("KEY", options, "value-one")); err != nil {
				t.Fatal(err)
			}
			var slept time.Duration
			for _, d := range b.clock.slept {
				slept += d
			}
			if slept != c.waits {
				t.Errorf("waited %v, want %v", slept, c.waits)
			}
			if got, _, _, _ := b.Secret("repos/acme/shop/actions", "KEY"); got != "value-one" {
				t.Errorf("%q", got)
			}
		})
	}
	b := newBench(t)
	b.Fail(fakegithub.Fault{Status: http.StatusForbidden, Message: "API rate limit exceeded", Header: http.Header{
		"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {fmt.Sprint(time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC).Unix())},
	}})
	if _, err := b.sink.Write(t.Context(), request("KEY", options, "value-one")); fault.CodeOf(err) != fault.Provider || !strings.Contains(err.Error(), "no more requests for 1h0m1s") {
		t.Errorf("an hour: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		fault   *fakegithub.Fault
		options string
		says    []string
	}{
		"no repository":                  {nil, `{"repo": "acme/nope"}`, []string{"knows no acme/nope", "GH_TOKEN"}},
		"no environment":                 {nil, `{"repo": "acme/shop", "environment": "prod"}`, []string{"the environment prod of acme/shop"}},
		"forbidden":                      {&fakegithub.Fault{Method: "PUT", Status: http.StatusForbidden, Message: "Resource not accessible by personal access token"}, `{"repo": "acme/shop"}`, []string{"may not do this with acme/shop", "not accessible"}},
		"unprocessable":                  {&fakegithub.Fault{Method: "PUT", Status: http.StatusUnprocessableEntity, Message: "name is reserved"}, `{"repo": "acme/shop"}`, []string{"refuses", "reserved"}},
		"server":                         {&fakegithub.Fault{Method: "PUT", Status: http.StatusBadGateway, Message: "oops"}, `{"repo": "acme/shop"}`, []string{"does not answer"}},
		"dropped":                        {&fakegithub.Fault{Method: "PUT", Drop: true}, `{"repo": "acme/shop"}`, []string{"ask GitHub about acme/shop"}},
		"both":                           {nil, `{"repo": "acme/shop", "org": "acme"}`, []string{"neither a repository nor"}},
		"environment of an organisation": {nil, `{"org": "acme", "environment": "x"}`, []string{"is a repository's"}},
	} {
		if c.fault != nil {
			b.Fail(*c.fault)
		}
		if name == "unprocessable" { // once more after the key was fetched again
			b.Fail(*c.fault)
		}
		_, err := b.sink.Write(t.Context(), request("KEY", c.options, "value-not-shown"))
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error()+f.Hint, s) {
				t.Errorf("%s says %q, not %q", name, err, s)
			}
		}
		if strings.Contains(err.Error(), "value-not-shown") {
			t.Errorf("%s shows the value", name)
		}
	}
	for _, name := range []string{"GITHUB_X", "1A", "A-B", ""} {
		if _, err := b.sink.Write(t.Context(), request(name, `{"repo": "acme/shop"}`, "x")); err == nil {
			t.Errorf("%q is accepted as a name", name)
		}
	}
	if _, err := b.sink.Write(t.Context(), request("KEY", `{"repo": "acme/shop"}`, strings.Repeat("x", 49<<10))); err == nil || !strings.Contains(err.Error(), "GitHub takes 49152") {
		t.Errorf("too large: %v", err)
	}
	none := b.open(github.SecretKind(github.Clock{}), map[string]string{})
	if _, err := none.Write(t.Context(), request("KEY", `{"repo": "acme/shop"}`, "x")); err == nil || !strings.Contains(err.Error(), "GH_TOKEN or GITHUB_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
	wrong := b.open(github.SecretKind(github.Clock{}), map[string]string{"GITHUB_TOKEN": "ghs_other"})
	if _, err := wrong.Write(t.Context(), request("KEY", `{"repo": "acme/shop"}`, "x")); err == nil || !strings.Contains(err.Error(), "does not accept the token of GITHUB_TOKEN") {
		t.Errorf("with a wrong token: %v", err)
	}
}

func TestVariables(t *testing.T) {
	b := newBench(t)
	sink := b.open(github.VariableKind(b.clock.Clock()), map[string]string{"GH_TOKEN": b.Token})
	for options, path := range map[string]string{
		`{"repo": "acme/shop"}`: "repos/acme/shop/actions", `{"repo": "acme/shop", "environment": "staging"}`: "repos/acme/shop/environments/staging", `{"org": "acme"}`: "orgs/acme/actions",
	} {
		for _, value := range []string{"one", "two"} {
			if _, err := sink.Write(t.Context(), request("HOST", options, value)); err != nil {
				t.Fatalf("%s: %v", options, err)
			}
			if got, _ := b.Variable(path, "HOST"); got != value {
				t.Errorf("%s has %q", path, got)
			}
		}
		target := request("HOST", options, "").Target
		if st, err := sink.Status(t.Context(), target); err != nil || !st.Exists || st.UpdatedAt.IsZero() {
			t.Errorf("%+v %v", st, err)
		}
		for range 2 {
			if err := sink.Retire(t.Context(), target); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	var log bytes.Buffer
	env := map[string]string{"GITHUB_ENV": file}
	sink, err := github.EnvKind().Open(secret.Host{Stdout: &log, Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	req := request("KEY", `{}`, "line one\n100%\nEOF\n")
	if st, err := sink.Status(t.Context(), req.Target); err != nil || st.Exists {
		t.Errorf("%+v %v", st, err)
	}
	if _, err := sink.Write(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	name, rest, _ := strings.Cut(string(raw), "<<")
	end, rest, _ := strings.Cut(rest, "\n")
	if err != nil || name != "KEY" || len(end) < 20 || rest != "line one\n100%\nEOF\n\n"+end+"\n" {
		t.Errorf("%v %q", err, raw)
	}
	if log.String() != "::add-mask::line one\n::add-mask::100%25\n::add-mask::EOF\n" {
		t.Errorf("masked %q", log.String())
	}
	if st, err := sink.Status(t.Context(), req.Target); err != nil || !st.Exists {
		t.Errorf("%+v %v", st, err)
	}
	delete(env, "GITHUB_ENV")
	if _, err := sink.Write(t.Context(), req); fault.CodeOf(err) != fault.Environment {
		t.Errorf("outside of a job: %v", err)
	}
}
