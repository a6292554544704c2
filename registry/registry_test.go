package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/registry/docker"
	"github.com/gocodealone/wfctl/registry/github"
	"github.com/gocodealone/wfctl/registry/provider"
	"github.com/gocodealone/wfctl/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kinds = kind.NewSet("type of registry", map[string]registry.Kind{
	"docker": docker.Kind, "github": github.Kind, "digitalocean": provider.Kind("registry.digitalocean.com"), "aws-ecr": provider.Kind(""),
})

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func set(vars map[string]string, specs ...registry.Spec) *registry.Set {
	return registry.NewSet(kinds, specs, registry.Host{Getenv: env(vars)})
}

func TestWhatAnEntryMayNotSay(t *testing.T) {
	for want, s := range map[string]registry.Spec{
		"is not a host":                  {Type: "docker", Host: "https://ghcr.io"},
		"`namespace`":                    {Type: "docker", Host: "ghcr.io/acme"},
		"cannot be part of":              {Type: "docker", Host: "ghcr.io", Namespace: "Acme"},
		"a user and no password_env":     {Type: "docker", UsernameEnv: "U"},
		"a password_env and no user":     {Type: "docker", PasswordEnv: "P"},
		"names its user twice":           {Type: "docker", UsernameEnv: "U", UsernameSource: "github.actor", PasswordEnv: "P"},
		"names no user":                  {Type: "github", UsernameSource: "github.sha", PasswordEnv: "P"},
		"names no provider":              {Type: "aws-ecr"},
		"lends credentials":              {Type: "aws-ecr", Provider: "cloud", PasswordEnv: "P"},
		`did you mean "docker"?`:         {Type: "doker"},
		"did you mean \"digitalocean\"?": {Type: "digitalocan", Provider: "cloud"},
	} {
		s.Name = "r"
		err := set(nil, s).Check()
		if err == nil {
			t.Errorf("%+v: no error; want %q", s, want)
			continue
		}
		text := err.Error()
		var list fault.List
		if errors.As(err, &list) {
			text += list[0].Hint
		}
		if !strings.Contains(text, want) {
			t.Errorf("%+v:\n got %s\nwant %s", s, text, want)
		}
	}
}

func TestCredentialsOfTheEnvironment(t *testing.T) {
	ghcr := registry.Spec{Name: "ghcr", Type: "github", Namespace: "acme", UsernameSource: "github.actor", PasswordEnv: "GITHUB_TOKEN"}
	var learnt []string
	s := registry.NewSet(kinds, []registry.Spec{ghcr}, registry.Host{
		Getenv: env(map[string]string{"GITHUB_ACTOR": "octocat", "GITHUB_TOKEN": " t0ken\n"}), Learn: func(p string) { learnt = append(learnt, p) },
	})
	e, err := s.Get("ghcr")
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Credential(t.Context(), registry.Want{Write: true})
	if err != nil || c.Username != "octocat" || c.Password.Reveal() != "t0ken" || c.Source != "the variable GITHUB_TOKEN" {
		t.Errorf("got %v %v %v", c, c.Source, err)
	}
	if len(learnt) == 0 || learnt[0] != "t0ken" {
		t.Error("the password was not made known to who masks it")
	}
	if repo, err := e.Repository(t.Context()); repo != "ghcr.io/acme" || err != nil {
		t.Errorf("repository %q, %v", repo, err)
	}
	for missing, vars := range map[string]map[string]string{
		"GITHUB_TOKEN": {"GITHUB_ACTOR": "octocat"}, "GITHUB_ACTOR": {"GITHUB_TOKEN": "x"},
	} {
		e, err := set(vars, ghcr).Get("ghcr")
		if err != nil {
			t.Fatal(err)
		}
		var f *fault.Error
		if err := e.Ready(); !errors.As(err, &f) || !strings.Contains(f.Message, missing) || !strings.Contains(f.Message, `"ghcr"`) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// lender is a provider whose credentials live for a while.
type lender struct {
	now    *time.Time
	asked  []sdk.RegistryCredentialRequest
	life   time.Duration
	failed error
}

func (l *lender) EnsureRegistry(context.Context, *sdk.EnsureRegistryRequest, sdk.Reporter) (*sdk.EnsureRegistryResponse, error) {
	return &sdk.EnsureRegistryResponse{Repository: "registry.example/shop", Created: true}, l.failed
}

func (l *lender) RegistryCredential(_ context.Context, req *sdk.RegistryCredentialRequest) (*sdk.RegistryCredentialResponse, error) {
	l.asked = append(l.asked, *req)
	return &sdk.RegistryCredentialResponse{Username: "lent", Password: sdk.NewSensitive("p"), Expires: l.now.Add(l.life)}, l.failed
}

func TestALentCredentialIsRenewedBeforeItEnds(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := &lender{now: &now, life: 10 * time.Minute}
	s := registry.NewSet(kinds, []registry.Spec{{Name: "docr", Type: "digitalocean", Provider: "cloud"}}, registry.Host{
		Getenv: env(nil), Now: func() time.Time { return now },
		Lend: func(_ context.Context, module string) (sdk.RegistryProvider, error) {
			if module != "cloud" {
				t.Errorf("asked for provider %q", module)
			}
			return l, nil
		},
	})
	e, err := s.Get("docr")
	if err != nil {
		t.Fatal(err)
	}
	if repo, err := e.Repository(t.Context()); repo != "registry.example/shop" || err != nil {
		t.Errorf("repository %q, %v", repo, err)
	}
	auth := e.Authenticator(true)
	steps := []struct {
		after time.Duration
		asked int
	}{{0, 1}, {7 * time.Minute, 1}, {90 * time.Second, 2}, {time.Minute, 2}, {time.Hour, 3}}
	for i, step := range steps {
		now = now.Add(step.after)
		got, err := authn.Authorization(t.Context(), auth)
		if err != nil || got.Username != "lent" || got.Password != "p" {
			t.Fatalf("step %d: %v %v", i, got, err)
		}
		if len(l.asked) != step.asked {
			t.Errorf("step %d: asked %d times, want %d", i, len(l.asked), step.asked)
		}
	}
	if r := l.asked[0]; !r.Write || r.Host != "registry.digitalocean.com" || r.Lifetime <= 0 {
		t.Errorf("asked for %+v", r)
	}
	e.Drop()
	if _, err := authn.Authorization(t.Context(), auth); err != nil || len(l.asked) != 4 {
		t.Errorf("after Drop asked %d times, %v", len(l.asked), err)
	}
}

// A credential that lives shorter than the margin must not be asked for with
// each request.
func TestAShortCredentialIsUsedForAWhile(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := &lender{now: &now, life: time.Minute}
	s := registry.NewSet(kinds, []registry.Spec{{Name: "ecr", Type: "aws-ecr", Provider: "cloud"}}, registry.Host{
		Now: func() time.Time { return now }, Lend: func(context.Context, string) (sdk.RegistryProvider, error) { return l, nil },
	})
	e, err := s.Get("ecr")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := e.Credential(t.Context(), registry.Want{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.asked) != 1 {
		t.Errorf("asked %d times within a second", len(l.asked))
	}
}

// dockerHome gives Docker's configuration a folder of the test.
func dockerHome(t *testing.T, config string) string {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("DOCKER_CONFIG", filepath.Join(dir, ".docker"))
	file := filepath.Join(dir, ".docker", "config.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func resolve(t *testing.T, s *registry.Set, repository string) *authn.AuthConfig {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authn.Resolve(t.Context(), s.Keychain(), repo)
	if err != nil {
		t.Fatal(err)
	}
	c, err := authn.Authorization(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeychain(t *testing.T) {
	// user:docker, as Docker writes it.
	dockerHome(t, `{"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpkb2NrZXI="}, "quay.example": {"auth": "dXNlcjpkb2NrZXI="}}}`)
	s := set(map[string]string{"U": "one", "P": "pw1", "V": "two", "Q": "pw2"},
		registry.Spec{Name: "a", Type: "docker", Host: "r.example", Namespace: "first", UsernameEnv: "U", PasswordEnv: "P"},
		registry.Spec{Name: "b", Type: "docker", Host: "r.example", Namespace: "second", UsernameEnv: "V", PasswordEnv: "Q"},
		registry.Spec{Name: "unset", Type: "docker", Host: "quay.example", UsernameEnv: "NO", PasswordEnv: "NONE"},
		registry.Spec{Name: "hub", Type: "docker"},
	)
	for repository, user := range map[string]string{
		"r.example/first/app": "one", "r.example/second/app": "two", "r.example/third": "one", "quay.example/x": "user", "docker.io/acme/x": "user", "other.example/x": "",
	} {
		if c := resolve(t, s, repository); c.Username != user {
			t.Errorf("%s: user %q, want %q", repository, c.Username, user)
		}
	}
}

func TestLoginAndLogout(t *testing.T) {
	file := dockerHome(t, `{"auths": {"quay.example": {"auth": "dXNlcjpkb2NrZXI="}}, "proxies": {"default": {"httpProxy": "http://p.example"}}}`)
	c := registry.Credential{Username: "octocat", Password: sdk.NewSensitive("t0ken")}
	where, err := registry.Login("registry-1.docker.io", c, os.LookupEnv)
	if err != nil || where != file {
		t.Fatalf("login: %q, %v", where, err)
	}
	var doc struct {
		Auths   map[string]struct{ Auth string }
		Proxies map[string]any
	}
	read := func() {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc.Auths = nil
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if doc.Auths["https://index.docker.io/v1/"].Auth == "" || doc.Auths["quay.example"].Auth == "" || doc.Proxies == nil {
		t.Errorf("after login: %+v", doc)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := resolve(t, set(nil), "docker.io/acme/x"); got.Username != "octocat" || got.Password != "t0ken" {
		t.Error("what login wrote is not found again")
	}
	if _, err := registry.Logout("docker.io", os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	read()
	if len(doc.Auths) != 1 {
		t.Errorf("after logout: %+v", doc.Auths)
	}
}
