package fakedo_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// Whoever has the fake as a proxy finds it under the real names, and nothing
// else.
func TestProxy(t *testing.T) {
	s := fakedo.Start(t, fakedo.Options{})
	ca, err := s.Authority()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("no certificate: %s", ca)
	}
	through, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(through), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	get := func(address, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get("https://api.digitalocean.com/v2/account", fakedo.Token); status != http.StatusOK || !strings.Contains(body, "account") {
		t.Errorf("the API answers %d %s", status, body)
	}
	if status, _ := get("https://registry.digitalocean.com/v2/", ""); status != http.StatusUnauthorized {
		t.Errorf("the registry answers %d", status)
	}
	if status, body := get("https://bucket.nyc3.digitaloceanspaces.com/key", ""); status != http.StatusForbidden || !strings.Contains(body, "AccessDenied") {
		t.Errorf("Spaces answer %d %s", status, body)
	}
	if status, what := get("https://example.com/", ""); status != 0 || !strings.Contains(what, "Forbidden") {
		t.Errorf("it leads elsewhere: %d %s", status, what)
	}
	if status, what := get("https://notdigitaloceanspaces.com/", ""); status != 0 {
		t.Errorf("it leads elsewhere: %d %s", status, what)
	}
}
