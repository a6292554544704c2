//go:build unix

package local_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gocodealone/wfctl/sdk"
)

func text(t *testing.T, outputs sdk.Outputs, name string) string {
	t.Helper()
	out, ok := outputs[name]
	if !ok {
		t.Fatalf("there is no output %q", name)
	}
	var s string
	if err := json.Unmarshal(out.Reveal(), &s); err != nil {
		return string(out.Reveal())
	}
	return s
}

func TestSchemasAreWhole(t *testing.T) {
	m := newMachine(t)
	s, err := m.p.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, rs := range s.Types {
		if !rs.Volatile || len(rs.Outputs) == 0 || len(rs.Config) == 0 {
			t.Errorf("%s: %+v", rs.Name, rs)
		}
	}
	if len(s.Types) != 11 || s.Unsupported["infra.iam_role"] == "" {
		t.Errorf("%d types, unsupported %v", len(s.Types), s.Unsupported)
	}
}

func TestStorageIsAFolder(t *testing.T) {
	m := newMachine(t)
	outputs := m.create("infra.storage", "files", `{}`)
	path := text(t, outputs, "path")
	if err := os.WriteFile(filepath.Join(path, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if res, err := m.read("infra.storage", "files"); err != nil || !res.Healthy || res.ID != "storage/files" {
		t.Fatalf("%+v, %v", res, err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if _, err := m.read("infra.storage", "files"); !sdk.IsNotFound(err) {
		t.Errorf("a folder that is gone reads as %v", err)
	}
}

func TestCreateTwiceWithOneKeyIsOne(t *testing.T) {
	m := newMachine(t)
	m.create("infra.storage", "files", `{}`)
	again, err := m.p.Create(t.Context(), &sdk.CreateRequest{Type: "infra.storage", Name: "files", Ownership: owner("files"), IdempotencyKey: "key-files"}, reporter{t})
	if err != nil || again.ID != "storage/files" {
		t.Fatalf("%+v, %v", again, err)
	}
	_, err = m.p.Create(t.Context(), &sdk.CreateRequest{Type: "infra.storage", Name: "files", Ownership: owner("files"), IdempotencyKey: "another"}, reporter{t})
	if sdk.CodeOf(err) != sdk.CodeAlreadyExists {
		t.Errorf("another creation of what is there: %v", err)
	}
	_, err = m.p.Create(t.Context(), &sdk.CreateRequest{Type: "infra.storage", Name: "files", Ownership: owner("other"), IdempotencyKey: "key-files"}, reporter{t})
	if sdk.CodeOf(err) != sdk.CodeAlreadyExists {
		t.Errorf("another module's creation: %v", err)
	}
}

func TestSQLite(t *testing.T) {
	m := newMachine(t)
	outputs := m.create("infra.database", "db", `{"engine": "sqlite"}`)
	if !outputs["connection_url"].Sensitive() {
		t.Error("the connection URL is not sensitive")
	}
	u, err := url.Parse(text(t, outputs, "connection_url"))
	if err != nil || u.Scheme != "sqlite" {
		t.Fatalf("%v, %v", u, err)
	}
	info, err := os.Stat(u.Path)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestUnknownEngineIsFoundAtValidate(t *testing.T) {
	m := newMachine(t)
	res, err := m.p.Validate(t.Context(), &sdk.ValidateRequest{Type: "infra.database", Name: "db", Config: config(`{"engine": "mongodb"}`)})
	if err != nil || len(res.Diagnostics) != 1 || res.Diagnostics[0].Path != "/engine" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestCertificateIsTrustedByItsAuthority(t *testing.T) {
	m := newMachine(t)
	outputs := m.create("infra.certificate", "tls", `{"domains": ["localhost", "127.0.0.1"]}`)
	pair, err := tls.LoadX509KeyPair(text(t, outputs, "certificate_path"), text(t, outputs, "private_key_path"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(text(t, outputs, "ca_path"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := os.Stat(text(t, outputs, "private_key_path"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", info, err)
	}
}

func TestCacheAndRegistryAnswer(t *testing.T) {
	m := newMachine(t)
	cache := m.create("infra.cache", "cache", `{}`)
	conn, err := net.Dial("tcp", "127.0.0.1:"+text(t, cache, "port"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "*1\r\n$4\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 7)
	if n, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer[:n]), "+PONG") {
		t.Errorf("%q, %v", answer[:n], err)
	}
	registry := m.create("infra.registry", "images", `{}`)
	if status, body := get(t, text(t, registry, "url")+"/v2/"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

const web = `{"image": %q, "http_port": 0, "instance_count": 2, "env_vars": {"VERSION": %q}, "env_vars_secret": {"SECRET": "canary-5d8c1f"}, "health_check": {"path": "/"}}`

func webConfig(image, version string) string {
	return strings.Replace(fmt.Sprintf(web, image, version), `"http_port": 0, `, "", 1)
}

// A service is kept up, rolls to a new version without a failed request, and
// its secret is on no disk.
func TestServiceRollsWithoutAFailedRequest(t *testing.T) {
	m := newMachine(t)
	ref := image(t)
	outputs := m.create("infra.container_service", "web", webConfig(ref, "1"))
	address := text(t, outputs, "url")
	if status, body := get(t, address); status != 200 || body != "version 1, secret of 13" {
		t.Fatalf("%d %s", status, body)
	}
	stop, failed := make(chan struct{}), make(chan string, 1)
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, body := get(t, address); status != 200 {
					select {
					case failed <- fmt.Sprintf("%d %s", status, body):
					default:
					}
				}
			}
		})
	}
	updated, err := m.p.Update(t.Context(), &sdk.UpdateRequest{Type: "infra.container_service", ID: "services/web", Name: "web", Ownership: owner("web"), Config: config(webConfig(ref, "2"))}, reporter{t})
	close(stop)
	load.Wait()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case f := <-failed:
		t.Errorf("a request failed during the update: %s", f)
	default:
	}
	if got := text(t, updated.Outputs, "url"); got != address {
		t.Errorf("it moved from %s to %s", address, got)
	}
	if _, body := get(t, address); body != "version 2, secret of 13" {
		t.Error(body)
	}
	noSecret(t, m.work)
}

func noSecret(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), "canary-5d8c1f") {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestServiceThatEndsAtOnceIsExplained(t *testing.T) {
	m := newMachine(t)
	ref := image(t)
	_, err := m.p.Create(t.Context(), &sdk.CreateRequest{
		Type: "infra.container_service", Name: "bad", Ownership: owner("bad"), IdempotencyKey: "k",
		Config: config(fmt.Sprintf(`{"image": %q, "env_vars": {"FAIL": "1"}}`, ref)),
	}, reporter{t})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "it cannot start: FAIL is set") {
		t.Errorf("%v", err)
	}
	res, err := m.read("infra.container_service", "bad")
	if err != nil || res.Healthy {
		t.Errorf("it reads as %+v, %v", res, err)
	}
	m.remove("infra.container_service", "bad", "services/bad")
	if _, err := m.read("infra.container_service", "bad"); !sdk.IsNotFound(err) {
		t.Errorf("deleted, it reads as %v", err)
	}
}

func TestPortInUseIsNamed(t *testing.T) {
	m := newMachine(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	_, err = m.p.Create(t.Context(), &sdk.CreateRequest{
		Type: "infra.container_service", Name: "web", Ownership: owner("web"), IdempotencyKey: "k",
		Config: config(fmt.Sprintf(`{"image": %q, "http_port": %d}`, image(t), port)),
	}, reporter{t})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d is in use", port)) {
		t.Errorf("%v", err)
	}
	m.remove("infra.container_service", "web", "services/web")
}

func TestLoadBalancerForwards(t *testing.T) {
	m := newMachine(t)
	service := m.create("infra.container_service", "web", webConfig(image(t), "1"))
	lb := m.create("infra.load_balancer", "lb", fmt.Sprintf(`{"rules": [{"protocol": "http", "port": 80, "target_port": 80}], "targets": [%q]}`, text(t, service, "url")))
	if status, body := get(t, text(t, lb, "url")); status != 200 || !strings.HasPrefix(body, "version 1") {
		t.Errorf("%d %s", status, body)
	}
}

// With state lost, everything is found by its tags.
func TestListFindsByOwnership(t *testing.T) {
	m := newMachine(t)
	m.create("infra.storage", "a", `{}`)
	m.create("infra.storage", "b", `{}`)
	lister := m.p.(sdk.Lister)
	res, err := lister.List(t.Context(), &sdk.ListRequest{Type: "infra.storage", Project: "shop", Environment: "test"})
	if err != nil || len(res.Resources) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = lister.List(t.Context(), &sdk.ListRequest{Type: "infra.storage", Project: "other"})
	if err != nil || len(res.Resources) != 0 {
		t.Errorf("somebody else's: %+v, %v", res, err)
	}
}

func TestWhatCannotBeHonouredIsNoted(t *testing.T) {
	m := newMachine(t)
	res, err := m.p.Diff(t.Context(), &sdk.DiffRequest{Type: "infra.database", Name: "db", Config: config(`{"engine": "sqlite", "size": "s", "region": "nyc3"}`)})
	if err != nil || len(res.Notes) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}
