package do

import (
	"context"
	"crypto/sha1" //nolint:gosec // the platform tells certificates apart by it
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// certificateConfig is the configuration of infra.certificate.
type certificateConfig struct {
	infra.Certificate
	Specific *struct{} `json:"provider_specific,omitempty" doc:"a certificate has none"`
}

const (
	letsEncrypt = "lets_encrypt"
	managed     = "managed"
)

func (c certificateConfig) managed() bool { return c.Kind == managed || c.Kind == "" && c.Cert == "" }

func certificates() kind {
	return &typed[certificateConfig, godo.Certificate]{
		name: infra.TypeCertificate, what: "certificate", description: "A TLS certificate, by Let's Encrypt (kind: managed) or your own (kind: custom).",
		claim: "certificate", idFormat: uuidFormat, nameFormat: wordFormat, nameHint: wordHint, nameMax: 255,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("name", "string", "name"), changing("not_after", "string", "when it expires; a managed one is renewed before"),
			changing("sha1", "string", "fingerprint"),
		},
		dependsOn: []string{infra.TypeDNS},
		ignored:   map[string]string{"region": "a certificate is everywhere", "size": "a certificate has no size"},
		limits:    limits{20 * time.Minute, 20 * time.Minute, 10 * time.Minute},
		check:     checkCertificate,
		canonical: func(c *certificateConfig) {
			slices.Sort(c.Domains)
			if c.managed() {
				c.Kind = managed
			}
		},
		api: certificateDriver{},
	}
}

func checkCertificate(_ string, c certificateConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if c.managed() {
		for key, value := range map[string]string{"certificate": c.Cert, "private_key": c.Key, "chain": c.Chain} {
			if value != "" {
				list = append(list, wrong(sdk.Path("").Child(key), "use kind: custom, or take it away", "a managed certificate is made by Let's Encrypt and has no %s", key))
			}
		}
		return list
	}
	if block, _ := pem.Decode([]byte(c.Cert)); block == nil {
		list = append(list, wrong("/certificate", "the text of the PEM file, -----BEGIN CERTIFICATE----- and so on", "a custom certificate needs its certificate as PEM"))
	}
	if block, _ := pem.Decode([]byte(c.Key)); block == nil {
		list = append(list, wrong("/private_key", "the text of the PEM file", "a custom certificate needs its private key as PEM"))
	}
	return list
}

type certificateDriver struct{}

func (certificateDriver) get(ctx context.Context, a *account, id string) (*godo.Certificate, error) {
	c, _, err := a.api.Certificates.Get(ctx, id)
	return c, said(err, "read the certificate "+id)
}

func (certificateDriver) all(ctx context.Context, a *account, name string) ([]*godo.Certificate, error) {
	list, err := all(ctx, a.api.Certificates.List)
	return only(pointers(list), func(c *godo.Certificate) bool { return name == "" || c.Name == name }), said(err, "list certificates")
}

func (certificateDriver) create(ctx context.Context, w *work[certificateConfig]) (*godo.Certificate, error) {
	req := &godo.CertificateRequest{Name: w.name, Type: "custom", LeafCertificate: w.config.Cert, PrivateKey: w.config.Key, CertificateChain: w.config.Chain}
	if w.config.managed() {
		req = &godo.CertificateRequest{Name: w.name, Type: letsEncrypt, DNSNames: w.config.Domains}
	}
	c, _, err := w.api.Certificates.Create(ctx, req)
	return c, said(err, "create the certificate "+w.name)
}

func (r certificateDriver) converge(ctx context.Context, w *work[certificateConfig], have *godo.Certificate) (*godo.Certificate, error) {
	if err := r.mayBe(w, have); err != nil {
		return have, err
	}
	w.progress("wait for the certificate " + w.name)
	now := have
	err := w.await(ctx, "wait for the certificate "+w.name, w.limit, func(ctx context.Context) (done bool, err error) {
		if now, err = r.get(ctx, w.account, have.ID); err != nil {
			return false, err
		}
		if now.State == "error" {
			return false, sdk.Errorf(sdk.CodeInvalid, "Let's Encrypt did not issue the certificate %s", w.name).
				WithHint("the zones of its domains must be served by DigitalOcean's name servers: see infra.dns")
		}
		return now.State == "verified", nil
	})
	return now, err
}

// mayBe is an error where what is there is for other domains: a certificate
// cannot change.
func (certificateDriver) mayBe(w *work[certificateConfig], have *godo.Certificate) error {
	if (have.Type == letsEncrypt) != w.config.managed() {
		return stays(w, "/kind", kindOf(w.config.managed()), kindOf(have.Type == letsEncrypt))
	}
	if w.config.managed() {
		return stays(w, "/domains", joined(w.config.Domains), joined(have.DNSNames))
	}
	if !sameCertificate(w.config.Cert, have.SHA1Fingerprint) {
		return stays(w, "/certificate", "another", have.SHA1Fingerprint)
	}
	return nil
}

func kindOf(isManaged bool) string {
	if isManaged {
		return managed
	}
	return "custom"
}

func joined(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ", ") }

// sameCertificate compares a PEM text with the platform's fingerprint.
func sameCertificate(text, fingerprint string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	sum := sha1.Sum(block.Bytes) //nolint:gosec // see above
	return strings.EqualFold(hex.EncodeToString(sum[:]), strings.ReplaceAll(fingerprint, ":", ""))
}

func (certificateDriver) delete(ctx context.Context, a *account, have *godo.Certificate) error {
	_, err := a.api.Certificates.Delete(ctx, have.ID)
	err = said(err, "delete the certificate "+have.Name)
	if sdk.CodeOf(err) != sdk.CodeConflict {
		return err
	}
	list, listErr := all(ctx, a.api.LoadBalancers.List)
	if listErr != nil {
		return err
	}
	e := sdk.Errorf(sdk.CodeConflict, "the certificate %s is in use", have.Name)
	for _, lb := range list {
		if slices.ContainsFunc(lb.ForwardingRules, func(r godo.ForwardingRule) bool { return r.CertificateID == have.ID }) {
			e.Blockers = append(e.Blockers, lb.URN()+" "+lb.Name)
		}
	}
	return e.WithHint("the load balancer that uses it must go first, or get another one")
}

func (certificateDriver) facts(c *godo.Certificate) facts {
	f := facts{id: c.ID, name: c.Name, status: sdk.Healthy}
	switch c.State {
	case "pending":
		f.status, f.reason = sdk.Starting, "it is being issued"
	case "error":
		f.status, f.reason = sdk.Unhealthy, "it was not issued"
	}
	return f
}

func (certificateDriver) describe(_ context.Context, _ *account, _ sdk.Ownership, c *godo.Certificate, want *certificateConfig) (certificateConfig, error) {
	out := certificateConfig{Certificate: infra.Certificate{Kind: kindOf(c.Type == letsEncrypt), Domains: c.DNSNames}}
	if want == nil || c.Type == letsEncrypt {
		return out, nil
	}
	// The platform tells no names of a custom certificate, but which one it is.
	if sameCertificate(want.Cert, c.SHA1Fingerprint) {
		out.Domains, out.Cert, out.Chain = want.Domains, want.Cert, want.Chain
	}
	return out, nil
}

func (certificateDriver) outputs(_ context.Context, _ *account, c *godo.Certificate) (sdk.Outputs, error) {
	return sdk.Outputs{"id": sdk.Out(c.ID), "name": sdk.Out(c.Name), "not_after": sdk.Out(c.NotAfter), "sha1": sdk.Out(c.SHA1Fingerprint)}, nil
}
