//go:build services

package temporal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// A gateway stands before the real server as one does in a company: it speaks
// TLS, asks for a certificate of its own authority and for an API key.
type gateway struct {
	pipeline.ClusterOptions // how to get in
}

const gatewayKey = "the key to the gateway"

func newGateway(t *testing.T) *gateway {
	t.Helper()
	address := os.Getenv("WFCTL_TEST_TEMPORAL")
	if address == "" {
		t.Fatal("WFCTL_TEST_TEMPORAL is not set: make services")
	}
	dir := t.TempDir()
	authority := newAuthority(t)
	authority.issue(t, dir, "server", "temporal.example.com")
	authority.issue(t, dir, "client", "worker")
	file := func(name string) string { return filepath.Join(dir, name) }

	plain := &http.Transport{Protocols: new(http.Protocols)}
	plain.Protocols.SetUnencryptedHTTP2(true)
	// A stream that is being cancelled keeps a connection from being idle: they
	// are closed, not left.
	var mu sync.Mutex
	var open []net.Conn
	plain.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			open = append(open, conn)
		}
		return conn, err
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.Close() // it may be closed already
		}
	})
	proxy := &httputil.ReverseProxy{
		Transport: plain, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // a caller that leaves is no error
		// An error without a body has its status among the headers, which are
		// flushed by themselves here: gRPC then wants it as a trailer.
		ModifyResponse: func(res *http.Response) error {
			for name, values := range res.Header {
				if strings.HasPrefix(name, "Grpc-Status") || name == "Grpc-Message" {
					if res.Trailer == nil {
						res.Trailer = http.Header{}
					}
					res.Trailer[name] = values
					delete(res.Header, name)
				}
			}
			return nil
		},
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: address}) },
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+gatewayKey {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "16")
			w.Header().Set("Grpc-Message", "no such key")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	pair, err := tls.LoadX509KeyPair(file("server.pem"), file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.pool()}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the refusals are the test's
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	if err := os.WriteFile(file("ca.pem"), authority.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	return &gateway{pipeline.ClusterOptions{
		Address: s.Listener.Addr().String(), Namespace: "default", CA: file("ca.pem"), Certificate: file("client.pem"), KeyFile: file("client.key"),
		ServerName: "temporal.example.com", APIKey: gatewayKey, Keys: [][]byte{testKey}, Identity: "suite", Log: os.Stderr,
	}}
}

type authority struct {
	der  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{cert: &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
		a.der, err = x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.pem())
	return pool
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(t *testing.T, dir, name, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Who lacks one of the three is told which.
func TestGatewayRefuses(t *testing.T) {
	g := newGateway(t)
	other := newAuthority(t)
	elsewhere := t.TempDir()
	other.issue(t, elsewhere, "client", "worker")
	if err := os.WriteFile(filepath.Join(elsewhere, "ca.pem"), other.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change     func(*pipeline.ClusterOptions)
		want, hint string
	}{
		"no certificate": {func(o *pipeline.ClusterOptions) { o.Certificate, o.KeyFile = "", "" }, "reach Temporal", "--tls-cert"},
		"another's": {func(o *pipeline.ClusterOptions) {
			o.Certificate, o.KeyFile = filepath.Join(elsewhere, "client.pem"), filepath.Join(elsewhere, "client.key")
		}, "reach Temporal", "--tls-cert"},
		"another authority": {func(o *pipeline.ClusterOptions) { o.CA = filepath.Join(elsewhere, "ca.pem") }, "unknown authority", "--tls-ca"},
		"another name":      {func(o *pipeline.ClusterOptions) { o.ServerName = "" }, "cannot validate certificate", "--tls-server-name"},
		"no key":            {func(o *pipeline.ClusterOptions) { o.APIKey = "" }, "no such key", "--api-key-file"},
		"another key":       {func(o *pipeline.ClusterOptions) { o.APIKey = "guess" }, "no such key", "--api-key-file"},
		"another namespace": {func(o *pipeline.ClusterOptions) { o.Namespace = "elsewhere" }, "elsewhere", "namespace create -n elsewhere"},
		"no TLS": {func(o *pipeline.ClusterOptions) {
			*o = pipeline.ClusterOptions{Address: o.Address, Namespace: "default", Keys: o.Keys}
		}, "reach Temporal", "--tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := g.ClusterOptions
			c.change(&o)
			cl, err := Open(t.Context(), o)
			if err == nil { // the namespace is asked for with the first call that needs it
				defer cl.Close()
				err = cl.Start(t.Context(), pipeline.Job{Run: "r1"}, (&pipeline.Pipeline{Name: "p"}).Spec(), pipeline.StartOptions{})
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != fault.Environment || !strings.Contains(err.Error(), c.want) || !strings.Contains(f.Hint, c.hint) {
				t.Errorf("%v, want %q and a hint of %q", err, c.want, c.hint)
			}
		})
	}
}
