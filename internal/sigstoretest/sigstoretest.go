package sigstoretest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// Sigstore is a running instance.
type Sigstore struct {
	// Issuer is the one that Fulcio believes.
	Issuer *Issuer
	// Fulcio and Timestamp are where the servers answer.
	Fulcio, Timestamp string
	// TrustedRoot is what a verifier needs to trust it, as JSON.
	TrustedRoot []byte
}

// Start runs an instance until the end of the test. WFCTL_TEST_FULCIO and
// WFCTL_TEST_TSA name the programs: make services.
func Start(t testing.TB) *Sigstore {
	t.Helper()
	fulcio, tsa := program(t, "WFCTL_TEST_FULCIO"), program(t, "WFCTL_TEST_TSA")
	s := &Sigstore{Issuer: NewIssuer(t)}
	s.Fulcio = s.startFulcio(t, fulcio)
	alone(t)
	port := freePort(t)
	base := "http://127.0.0.1:" + port
	run(t, base+"/ping", tsa, "serve", "--host", "127.0.0.1", "--port", port, "--timestamp-signer", "memory", "--disable-ntp-monitoring")
	s.Timestamp = base + "/api/v1/timestamp"
	s.TrustedRoot = trustedRoot(t, s.Fulcio, base)
	return s
}

// alone waits until no other test of this machine runs a timestamp authority:
// each serves its metrics on one and the same port.
func alone(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	lock := flock.New(filepath.Join(os.TempDir(), "wfctl-test-timestamp-authority.lock"))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		t.Fatalf("wait for another timestamp authority: %v", err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
}

func program(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not set", variable)
	}
	if path == "" {
		t.Skipf("%s is not set: make services", variable)
	}
	return path
}

func (s *Sigstore) startFulcio(t testing.TB, program string) string {
	t.Helper()
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{"OIDCIssuers": map[string]any{
		s.Issuer.URL: map[string]string{"IssuerURL": s.Issuer.URL, "ClientID": "sigstore", "Type": "github-workflow"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	base := "http://127.0.0.1:" + port
	run(t, base+"/api/v2/trustBundle", program, "serve", "--host", "127.0.0.1", "--port", port, "--grpc-host", "127.0.0.1", "--grpc-port", freePort(t), "--metrics-port", freePort(t),
		"--legacy-unix-domain-socket", filepath.Join(dir, "socket"), "--ca", "ephemeralca", "--ct-log-url", "", "--config-path", file)
	return base
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// run starts a server and waits until it answers.
func run(t testing.TB, address, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // a server of make services; it ends with the test
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended //nolint:errcheck // it was killed
	})
	for {
		if _, err := get(ctx, address); err == nil {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", program, err, log.String())
		case <-ctx.Done():
			t.Fatalf("%s does not answer at %s", program, address)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", res.Status)
	}
	return raw, err
}

// trustedRoot asks the servers for their certificates.
func trustedRoot(t testing.TB, fulcio, tsa string) []byte {
	t.Helper()
	var bundle struct {
		Chains []struct {
			Certificates []string `json:"certificates"`
		} `json:"chains"`
	}
	if err := json.Unmarshal(fetch(t, fulcio+"/api/v2/trustBundle"), &bundle); err != nil {
		t.Fatal(err)
	}
	var authorities []root.CertificateAuthority
	for _, c := range bundle.Chains {
		var chain []*x509.Certificate
		for _, text := range c.Certificates {
			chain = append(chain, certificates(t, []byte(text))...)
		}
		last := len(chain) - 1
		authorities = append(authorities, &root.FulcioCertificateAuthority{
			Root: chain[last], Intermediates: chain[:last], ValidityPeriodStart: chain[last].NotBefore, ValidityPeriodEnd: chain[last].NotAfter, URI: fulcio,
		})
	}
	chain := certificates(t, fetch(t, tsa+"/api/v1/timestamp/certchain"))
	last := len(chain) - 1
	stamps := []root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
		Leaf: chain[0], Intermediates: chain[1:last], Root: chain[last], ValidityPeriodStart: chain[last].NotBefore, ValidityPeriodEnd: chain[last].NotAfter, URI: tsa,
	}}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, nil, stamps, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func fetch(t testing.TB, address string) []byte {
	t.Helper()
	raw, err := get(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func certificates(t testing.TB, raw []byte) []*x509.Certificate {
	t.Helper()
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			return list
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
}
