package local

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// How long certificates last, and how long before their end they count as
// broken, so that the next apply renews them.
const (
	caLife      = 10 * 365 * 24 * time.Hour
	leafLife    = 397 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
)

// certificates are signed by an authority of this project and environment.
func (p *provider) certificates() kind {
	return &typed[infra.Certificate]{
		name: infra.TypeCertificate, dir: "certificates", description: "A TLS certificate signed by a local authority.",
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("certificate_path", "string", "PEM file of the certificate"),
			output("private_key_path", "string", "PEM file of the key, readable by its owner alone"), output("ca_path", "string", "PEM file of the authority"),
			{Name: "certificate", Type: "string", Description: "the certificate in PEM"}, {Name: "not_after", Type: "string", Description: "its end, RFC 3339"},
		},
		ignored: map[string]string{"region": onOneMachine, "size": "certificates have none", "kind": "a local authority signs it", "chain": "the local authority is the chain"},
		make:    p.makeCertificate, find: p.findCertificate, report: p.reportCertificate, clear: p.clearCertificate,
	}
}

// clearCertificate takes the authority along with the last certificate.
func (p *provider) clearCertificate(context.Context, *thing) error {
	p.sharedCA.Lock()
	defer p.sharedCA.Unlock()
	left, err := p.things(p.kinds[infra.TypeCertificate])
	if err != nil || len(left) > 1 {
		return err
	}
	return os.RemoveAll(filepath.Join(p.work, "ca"))
}

func (p *provider) makeCertificate(_ context.Context, j *job, c infra.Certificate) error {
	if c.Cert != "" && c.Key != "" {
		if err := writeFile(j.thing.path("key.pem"), []byte(c.Key), 0o600); err != nil {
			return err
		}
		return writeFile(j.thing.path("cert.pem"), []byte(c.Cert), 0o644)
	}
	p.sharedCA.Lock()
	defer p.sharedCA.Unlock()
	ca, caKey, err := p.authority()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: c.Domains[0]}, NotBefore: p.opts.Now().Add(-time.Hour), NotAfter: p.opts.Now().Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, d := range c.Domains {
		if ip := net.ParseIP(d); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, d)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	return writePair(j.thing.path("cert.pem"), j.thing.path("key.pem"), der, key)
}

func writePair(certPath, keyPath string, der []byte, key *ecdsa.PrivateKey) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600); err != nil {
		return err
	}
	return writeFile(certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return big.NewInt(1) // crypto/rand does not fail
	}
	return n
}

// authority reads the project's own CA, or makes it. The caller holds
// sharedCA.
func (p *provider) authority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	dir := filepath.Join(p.work, "ca")
	cert, err := readCertificate(filepath.Join(dir, "cert.pem"))
	if err == nil && p.opts.Now().Add(leafLife).Before(cert.NotAfter) {
		key, err := readKey(filepath.Join(dir, "key.pem"))
		return cert, key, err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "wfctl local authority"}, NotBefore: p.opts.Now().Add(-time.Hour), NotAfter: p.opts.Now().Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	if err := writePair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), der, key); err != nil {
		return nil, nil, err
	}
	cert, err = x509.ParseCertificate(der)
	return cert, key, err
}

func readCertificate(path string) (*x509.Certificate, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, sdk.Errorf(sdk.CodeInternal, "%s holds no certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, sdk.Errorf(sdk.CodeInternal, "%s holds no key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, sdk.Errorf(sdk.CodeInternal, "%s holds a key of another kind", path)
	}
	return ec, nil
}

func (p *provider) findCertificate(_ context.Context, t *thing) (condition, error) {
	cert, err := readCertificate(t.path("cert.pem"))
	if err != nil || !exists(t.path("key.pem")) {
		return condition{gone: true}, nil
	}
	if p.opts.Now().Add(renewBefore).After(cert.NotAfter) {
		return sick("it ends on %s", cert.NotAfter.Format(time.DateOnly)), nil
	}
	return well, nil
}

func (p *provider) reportCertificate(_ context.Context, t *thing) (sdk.Outputs, error) {
	raw, err := os.ReadFile(t.path("cert.pem"))
	if err != nil {
		return nil, err
	}
	cert, err := readCertificate(t.path("cert.pem"))
	if err != nil {
		return nil, err
	}
	return sdk.Outputs{
		"id": sdk.Out(t.ID), "certificate_path": sdk.Out(t.path("cert.pem")), "private_key_path": sdk.Out(t.path("key.pem")),
		"ca_path": sdk.Out(filepath.Join(p.work, "ca", "cert.pem")), "certificate": sdk.Out(string(raw)), "not_after": sdk.Out(cert.NotAfter.UTC().Format(time.RFC3339)),
	}, nil
}
