//go:build services

package shipping_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
)

// TestMain is wfctl itself where the arguments are not a test's: the processes
// that it leaves behind are this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main(kinds(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// kinds are those of wfctl, and a provider that lends credentials of the fake
// DigitalOcean's registry as the plugin does.
func kinds() engine.Kinds {
	k := builtin.Kinds()
	all := map[string]engine.ProviderFactory{"digitalocean": func(engine.Host) sdk.Provider { return &ocean{} }}
	for _, name := range k.Providers.Names() {
		all[name], _ = k.Providers.Get(name) // it is listed
	}
	k.Providers = kind.NewSet("provider", all)
	return k
}

// ocean is the part of the DigitalOcean plugin that registries need.
type ocean struct {
	sdk.Provider
	settings oceanSettings
}

type oceanSettings struct {
	API   string `json:"api" wfctl:"required"`
	Token string `json:"token" wfctl:"required,sensitive"`
}

func (*ocean) Schema(context.Context) (*sdk.Schema, error) {
	return &sdk.Schema{Name: "digitalocean", Version: "v0", Config: sdk.MustSchema[oceanSettings]()}, nil
}

func (o *ocean) Configure(_ context.Context, req *sdk.ConfigureRequest) (res *sdk.ConfigureResponse, err error) {
	o.settings, err = sdk.Decode[oceanSettings](req.Config)
	return &sdk.ConfigureResponse{}, err
}

func (o *ocean) call(ctx context.Context, method, path string, body, into any) (int, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, o.settings.API+path, r)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+o.settings.Token)
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close() //nolint:errcheck // it is read
	if into != nil {
		err = json.NewDecoder(answer.Body).Decode(into)
	}
	return answer.StatusCode, err
}

func (o *ocean) EnsureRegistry(ctx context.Context, req *sdk.EnsureRegistryRequest, _ sdk.Reporter) (*sdk.EnsureRegistryResponse, error) {
	status, err := o.call(ctx, http.MethodGet, "/v2/registries/shop", nil, nil)
	if err == nil && status == http.StatusNotFound {
		status, err = o.call(ctx, http.MethodPost, "/v2/registries", map[string]any{"name": "shop", "subscription_tier_slug": "professional"}, nil)
	}
	if err != nil || status >= 300 {
		return nil, sdk.Errorf(sdk.CodeInternal, "ensure the registry: %d %v", status, err)
	}
	return &sdk.EnsureRegistryResponse{Repository: req.Host + "/shop"}, nil
}

func (o *ocean) RegistryCredential(ctx context.Context, req *sdk.RegistryCredentialRequest) (*sdk.RegistryCredentialResponse, error) {
	var doc struct {
		Auths map[string]struct{ Auth string }
	}
	status, err := o.call(ctx, http.MethodGet, fmt.Sprintf("/v2/registries/shop/docker-credentials?expiry_seconds=%d&read_write=%t", int(req.Lifetime.Seconds()), req.Write), nil, &doc)
	if err != nil || status != http.StatusOK {
		return nil, sdk.Errorf(sdk.CodeInternal, "lend a credential: %d %v", status, err)
	}
	plain, err := base64.StdEncoding.DecodeString(doc.Auths[req.Host].Auth)
	user, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return nil, sdk.Errorf(sdk.CodeInternal, "there is no credential for %s", req.Host)
	}
	return &sdk.RegistryCredentialResponse{Username: user, Password: sdk.NewSensitive(password), Expires: time.Now().Add(req.Lifetime)}, nil
}

// A site is a project in a folder of its own, with registries to push to.
type site struct {
	t   *testing.T
	dir string
	env []string
	// one and two are the hosts of the registries, secrets what no file may hold.
	one, two string
	secrets  []string
	docr     string
}

func variable(t testing.TB, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not set: run make test-services", name)
		}
		t.Skipf("%s is not set: run make test-services", name)
	}
	return v
}

const manifest = `version: 1
registries:
  - {name: one, type: docker, host: "%s", namespace: acme/%s, auth: {username_env: ONE_USER, password_env: ONE_PASSWORD}}
  - {name: two, type: docker, host: "%s", namespace: %s, auth: {username_env: TWO_USER, password_env: TWO_PASSWORD}}
  - {name: docr, type: digitalocean, host: "%s", provider: cloud}
`

const application = `version: 1
project: shipped
environments: {local: {}, staging: {}}
modules:
  - name: cloud
    type: iac.provider
    config: {provider: digitalocean, api: "http://${DOCR}", token: "${DO_TOKEN}"}
    environments: {local: {config: {provider: local}}}
  - name: web
    type: infra.container_service
    config: {provider: cloud, image: "${{ images.web }}", http_port: 8080, health_check: {path: /}}
    environments: {staging: {enabled: false}}
    outputs: {url: {sensitive: false}}
images:
  web: {builder: go, package: ., platforms: [linux/amd64, linux/arm64], files: {/data: data}, registries: [one, two, docr], tags: ["${TAG:-latest}"]}
`

const program = `package main

import (
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello from VERSION")) })
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
`

func newSite(t *testing.T, ocean bool) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), docr: "127.0.0.1:1"}
	if ocean {
		s.docr = startOcean(t)
	}
	home := filepath.Join(s.dir, ".home")
	s.env = append(os.Environ(), "HOME="+home, "XDG_STATE_HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"), "DOCKER_CONFIG="+filepath.Join(home, ".docker"),
		"TMPDIR="+filepath.Join(s.dir, ".tmp"), "NO_COLOR=1", "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "DO_TOKEN="+oceanToken, "DOCR="+s.docr)
	hosts := strings.Fields(variable(t, "WFCTL_TEST_REGISTRIES"))
	for i, name := range []string{"ONE", "TWO"} {
		u, err := url.Parse(hosts[i])
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		s.env, s.secrets = append(s.env, name+"_USER="+u.User.Username(), name+"_PASSWORD="+password), append(s.secrets, password)
		*[]*string{&s.one, &s.two}[i] = u.Host
	}
	ns := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + fmt.Sprint(time.Now().UnixNano())
	s.write("wfctl.yaml", fmt.Sprintf(manifest, s.one, ns, s.two, ns, s.docr))
	s.write("app.yaml", application)
	s.write("go.mod", "module example.com/web\n\ngo 1.24\n")
	s.write("data/text", "a file of the image")
	s.version("one")
	for _, dir := range []string{home, filepath.Join(s.dir, ".tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (s *site) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) version(v string) { s.write("main.go", strings.Replace(program, "VERSION", v, 1)) }

func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// wfctl runs it and returns what it printed as its result.
func (s *site) wfctl(args ...string) string {
	s.t.Helper()
	cmd := s.command(args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("wfctl %s: %v\n%s%s", strings.Join(args, " "), err, said.String(), out.String())
	}
	return out.String()
}

// refs are what the image is called in each registry.
func (s *site) refs(built string) map[string]string {
	s.t.Helper()
	for dec := json.NewDecoder(strings.NewReader(built)); ; { // events come before the result
		var doc map[string]json.RawMessage
		if err := dec.Decode(&doc); err != nil {
			s.t.Fatalf("%v: %s", err, built)
		}
		var image struct{ Refs map[string]string }
		if raw, ok := doc["image.web"]; ok {
			if err := json.Unmarshal(raw, &image); err != nil {
				s.t.Fatal(err)
			}
			return image.Refs
		}
	}
}

const oceanToken = "dop_v1_of_the_test"

// startOcean runs the program fakedo, which is a module of its own.
func startOcean(t *testing.T) string {
	t.Helper()
	module, err := filepath.Abs("../../plugins/digitalocean")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "fakedo")
	build := exec.Command("go", "build", "-o", program, "./fakedo/cmd/fakedo")
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--addr", addr, "--token", oceanToken, "--quiet", "--speed", "1")
	cmd.Dir = filepath.Join(module, "fakedo")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	until(t, "fakedo answers", func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	return addr
}

// until waits for something that another process does.
func until(t *testing.T, what string, ok func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// noSecrets looks for a password in every file that is left.
func (s *site) noSecrets() {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the compiler outlives who is killed for a moment
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, secret := range s.secrets {
			if bytes.Contains(raw, []byte(secret)) || bytes.Contains(raw, []byte(base64.StdEncoding.EncodeToString([]byte(":" + secret))[2:8])) && strings.HasSuffix(path, "config.json") {
				s.t.Errorf("%s holds a password", path)
			}
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}
