package fakedo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The fake is also a proxy: a client that has it as HTTPS_PROXY, and its
// authority in SSL_CERT_FILE, reaches the fake under the names of the real
// service, without a word in its configuration. It leads nowhere else.

// authority signs certificates for the names of the real service. Its key
// lives as long as the server and is nowhere but in memory.
type authority struct {
	once sync.Once
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	err  error
}

func (a *authority) make() error {
	a.once.Do(func() {
		a.key, a.cert, a.err = signed(&x509.Certificate{
			Subject: pkix.Name{CommonName: "fakedo"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}, nil, nil)
	})
	return a.err
}

// signed makes a key with a certificate, signed by a parent or by itself.
func signed(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return key, cert, err
}

func (a *authority) certify(host string) (*tls.Certificate, error) {
	key, cert, err := signed(&x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}, nil
}

// Authority is the certificate, in PEM, that clients of the proxy have to
// trust.
func (s *Server) Authority() ([]byte, error) {
	if err := s.authority.make(); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.cert.Raw}), nil
}

// hosts of the real service that lead to the fake.
func isReal(host string) bool {
	return host == "api.digitalocean.com" || host == RealRegistryHost || isSpaces(host)
}

const spacesDomain = ".digitaloceanspaces.com"

func isSpaces(host string) bool { return strings.HasSuffix(host, spacesDomain) }

// serveProxy takes a connection that a client wants to a host of the service.
func (s *Server) serveProxy(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil || !isReal(host) {
		http.Error(w, "fakedo leads to the hosts of DigitalOcean only, not to "+r.Host, http.StatusForbidden)
		return
	}
	err = s.authority.make()
	var cert *tls.Certificate
	if err == nil {
		cert, err = s.authority.certify(host)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = conn.Close() // the client is gone
		return
	}
	inner := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isSpaces(host) {
			s.serveSpaces(w, r, spacesTarget(r, host))
			return
		}
		s.ServeHTTP(w, r)
	})}
	secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})
	one := &oneConn{conn: secure, done: make(chan struct{})}
	inner.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			one.end.Do(func() { close(one.done) })
		}
	}
	_ = inner.Serve(one) // it ends with the connection
}

// spacesTarget is BUCKET/KEY of a request: a bucket may have a host of its own.
func spacesTarget(r *http.Request, host string) string {
	if labels := strings.Split(strings.TrimSuffix(host, spacesDomain), "."); len(labels) == 2 {
		return labels[0] + r.URL.Path
	}
	return r.URL.Path
}

// oneConn is a listener that accepts one connection and ends with it.
type oneConn struct {
	conn net.Conn
	took sync.Once
	end  sync.Once
	done chan struct{}
}

var errEnded = errors.New("the connection has ended")

// Accept implements net.Listener.
func (o *oneConn) Accept() (c net.Conn, err error) {
	o.took.Do(func() { c = o.conn })
	if c != nil {
		return c, nil
	}
	<-o.done
	return nil, errEnded
}

// Close implements net.Listener.
func (o *oneConn) Close() error { return nil }

// Addr implements net.Listener.
func (o *oneConn) Addr() net.Addr { return o.conn.LocalAddr() }
