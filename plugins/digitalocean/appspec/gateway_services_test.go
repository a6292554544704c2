//go:build services

package appspec

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/sdk/infra"
)

// The configuration of a gateway does on a real Caddy what its routes say.
func TestGatewayOnARealServer(t *testing.T) {
	program := os.Getenv("WFCTL_TEST_CADDY")
	if program == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("WFCTL_TEST_CADDY is not set")
		}
		t.Skip("WFCTL_TEST_CADDY is not set: make services")
	}
	target := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s for %s", name, r.URL.RequestURI(), map[bool]string{true: "me", false: r.Host}[r.Host == r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()])
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	g := Gateway{APIGateway: infra.APIGateway{Routes: []infra.GatewayRoute{
		{Path: "/", Target: target("site") + "/base/"}, {Path: "/api/", Target: "shop"}, {Path: "/api/v2", Target: target("next"), PreservePathPrefix: true},
	}}}
	spec, err := ToGateway("edge", g, "", Targets{"shop": target("shop")})
	if err != nil {
		t.Fatal(err)
	}
	address := serveCaddy(t, program, spec.Services[0].Envs[0].Value)
	for path, want := range map[string]string{
		"/": "site /base/ for me", "/x?y=1": "site /base/x?y=1 for me", "/api": "shop / for me", "/api/list?a=b": "shop /list?a=b for me",
		"/apix": "site /base/apix for me", "/api/v2": "next /api/v2 for me", "/api/v2/z%20z": "next /api/v2/z%20z for me",
	} {
		if got := get(t, "http://"+address+path); got != want {
			t.Errorf("%s is answered by %q, want %q", path, got, want)
		}
	}
}

func serveCaddy(t *testing.T, program, config string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "caddy.json")
	if err := os.WriteFile(file, []byte(strings.Replace(config, ":8080", address, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "run", "--config", file)
	cmd.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return address
		}
		select {
		case <-tick.C:
		case <-deadline:
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("Caddy does not answer: %s", said.String())
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url) //nolint:noctx // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
