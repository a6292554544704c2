package do

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// balancerConfig is the configuration of infra.load_balancer.
type balancerConfig struct {
	infra.LoadBalancer
	Specific balancerSpecific `json:"provider_specific,omitzero" doc:"what only DigitalOcean has"`
}

type balancerSpecific struct {
	SizeUnit      int    `json:"size_unit,omitempty" min:"1" max:"200" doc:"number of its nodes, in the place of xs to xl"`
	RedirectHTTPS bool   `json:"redirect_http_to_https,omitempty" doc:"send http on to https"`
	ProxyProtocol bool   `json:"enable_proxy_protocol,omitempty" doc:"tell targets the client's address by the PROXY protocol"`
	KeepAlive     bool   `json:"enable_backend_keepalive,omitempty"`
	IdleTimeout   int    `json:"http_idle_timeout_seconds,omitempty" min:"30" max:"600"`
	Network       string `json:"network,omitempty" wfctl:"immutable" enum:"EXTERNAL,INTERNAL" doc:"INTERNAL has no public address"`
	NoDNSRecords  bool   `json:"disable_lets_encrypt_dns_records,omitempty"`
	StickyCookie  string `json:"sticky_cookie,omitempty" doc:"send a client to the same target again, by a cookie of this name"`
	StickySeconds int    `json:"sticky_seconds,omitempty" min:"1" doc:"for how long; 300 by default"`
}

// units are the numbers of nodes of the portable sizes.
func units() map[string]int { return map[string]int{"xs": 1, "s": 2, "m": 4, "l": 8, "xl": 16} }

func (c balancerConfig) units() int { return cmp.Or(c.Specific.SizeUnit, units()[c.Size], 1) }

func balancers() kind {
	sizing := map[string]string{}
	for size, n := range units() {
		sizing[size] = fmt.Sprintf("%d nodes", n)
	}
	return &typed[balancerConfig, godo.LoadBalancer]{
		name: infra.TypeLoadBalancer, what: "load balancer", description: "Spreads connections over Droplets.",
		claim: "load_balancer", idFormat: uuidFormat, nameFormat: wordFormat, nameHint: wordHint, nameMax: 255,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("urn", "string", "uniform resource name"), changing("name", "string", "name"), output("region", "string", "where it is"),
			output("ip", "string", "its address"), changing("url", "string", "where the first rule answers"), output("vpc_id", "string", "identifier of its VPC"),
		},
		dependsOn: []string{infra.TypeCertificate, infra.TypeDroplet, infra.TypeVPC},
		sizing:    sizing,
		renames:   true,
		limits:    limits{15 * time.Minute, 10 * time.Minute, 10 * time.Minute},
		check:     checkBalancer,
		notes: func(c balancerConfig) []sdk.Diagnostic {
			if len(c.Targets) == 0 {
				return []sdk.Diagnostic{note("/targets", "targets is not set: nothing answers yet")}
			}
			return nil
		},
		canonical: canonicalBalancer,
		api:       balancerDriver{},
	}
}

func checkBalancer(_ string, c balancerConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if c.Size != "" && c.Specific.SizeUnit != 0 {
		list = append(list, wrong("/provider_specific/size_unit", "take one of the two away", "the size is given twice"))
	}
	for i, r := range c.Rules {
		at := sdk.Path("/rules").Index(i)
		ends := r.Protocol == "https" || r.Protocol == "http2"
		switch {
		case ends && r.Certificate == "" && !r.TLSPassthrough:
			list = append(list, wrong(at.Child("certificate"), "name an infra.certificate, or set tls_passthrough: true", "a rule for %s needs a certificate", r.Protocol))
		case r.Certificate != "" && r.TLSPassthrough:
			list = append(list, wrong(at.Child("certificate"), "take one of the two away", "TLS that is passed through needs no certificate here"))
		case (r.Protocol == "udp") != (targetProtocol(r) == "udp"):
			list = append(list, wrong(at.Child("target_protocol"), "", "udp goes to udp, and nothing else does"))
		}
	}
	if tags := only(pointers(slices.Clone(c.Targets)), func(t *string) bool { return strings.HasPrefix(*t, refTag+":") }); len(tags) > 0 && len(c.Targets) > 1 {
		list = append(list, wrong("/targets", "name one tag alone, or Droplets", "a load balancer finds its targets by one tag or by name, not by both"))
	}
	return list
}

// targetProtocol is that of the target, by default the same without the
// encryption that ends at the load balancer.
func targetProtocol(r infra.ForwardingRule) string {
	if r.TargetProtocol != "" {
		return r.TargetProtocol
	}
	if (r.Protocol == "https" || r.Protocol == "http2") && !r.TLSPassthrough {
		return "http"
	}
	return r.Protocol
}

func canonicalBalancer(c *balancerConfig) {
	slices.Sort(c.Targets)
	for i := range c.Rules {
		c.Rules[i].TargetProtocol = targetProtocol(c.Rules[i])
	}
	slices.SortFunc(c.Rules, func(a, b infra.ForwardingRule) int {
		return cmp.Or(a.Port-b.Port, strings.Compare(a.Protocol, b.Protocol))
	})
	check := checkOf(*c)
	c.HealthCheck = &check
	if c.Specific.Network == "EXTERNAL" {
		c.Specific.Network = ""
	}
	if c.Specific.IdleTimeout == 60 {
		c.Specific.IdleTimeout = 0
	}
	if c.Specific.StickyCookie != "" {
		c.Specific.StickySeconds = cmp.Or(c.Specific.StickySeconds, 300)
	}
}

// checkOf is the health check with the platform's defaults filled in.
func checkOf(c balancerConfig) infra.Check {
	var h infra.Check
	if c.HealthCheck != nil {
		h = *c.HealthCheck
	}
	if h.Port == 0 && len(c.Rules) > 0 {
		h.Port = c.Rules[0].TargetPort
	}
	h.Delay = 0 // it has none
	h.Interval = sdk.Duration(cmp.Or(time.Duration(h.Interval), 10*time.Second))
	h.Timeout = sdk.Duration(cmp.Or(time.Duration(h.Timeout), 5*time.Second))
	h.Success, h.Failure = cmp.Or(h.Success, 3), cmp.Or(h.Failure, 5)
	return h
}

type balancerDriver struct{}

func (balancerDriver) get(ctx context.Context, a *account, id string) (*godo.LoadBalancer, error) {
	lb, _, err := a.api.LoadBalancers.Get(ctx, id)
	return lb, said(err, "read the load balancer "+id)
}

func (balancerDriver) all(ctx context.Context, a *account, name string) ([]*godo.LoadBalancer, error) {
	list, err := all(ctx, a.api.LoadBalancers.List)
	return only(pointers(list), func(lb *godo.LoadBalancer) bool { return name == "" || lb.Name == name }), said(err, "list load balancers")
}

// balancerRequest is the body of a create and of an update; godo leaves an
// empty list of Droplets out, which the API requires.
type balancerRequest struct {
	Name            string                `json:"name"`
	Region          string                `json:"region"`
	SizeUnit        int                   `json:"size_unit"`
	VPC             string                `json:"vpc_uuid,omitempty"`
	Droplets        *[]int                `json:"droplet_ids,omitempty"`
	Tag             string                `json:"tag,omitempty"`
	Rules           []godo.ForwardingRule `json:"forwarding_rules"`
	HealthCheck     *godo.HealthCheck     `json:"health_check"`
	Sticky          *godo.StickySessions  `json:"sticky_sessions"`
	RedirectHTTPS   bool                  `json:"redirect_http_to_https"`
	ProxyProtocol   bool                  `json:"enable_proxy_protocol"`
	KeepAlive       bool                  `json:"enable_backend_keepalive"`
	NoDNSRecords    bool                  `json:"disable_lets_encrypt_dns_records"`
	IdleTimeout     int                   `json:"http_idle_timeout_seconds"`
	Network         string                `json:"network,omitempty"`
	TLSCipherPolicy string                `json:"tls_cipher_policy,omitempty"`
}

func (r balancerDriver) request(ctx context.Context, w *work[balancerConfig], region string) (*balancerRequest, error) {
	dir, c := w.directory(w.owner), w.config
	vpc, err := dir.vpc(ctx, c.VPCRef)
	if err != nil {
		return nil, err
	}
	rules, err := r.rules(ctx, dir, c.Rules)
	if err != nil {
		return nil, err
	}
	check := checkOf(c)
	seconds := func(d sdk.Duration) int { return int(time.Duration(d) / time.Second) }
	req := &balancerRequest{
		Name: w.name, Region: region, SizeUnit: c.units(), VPC: vpc, Rules: rules,
		HealthCheck: &godo.HealthCheck{
			Protocol: "tcp", Port: check.Port, CheckIntervalSeconds: seconds(check.Interval), ResponseTimeoutSeconds: seconds(check.Timeout),
			HealthyThreshold: check.Success, UnhealthyThreshold: check.Failure,
		},
		Sticky: &godo.StickySessions{Type: "none"}, RedirectHTTPS: c.Specific.RedirectHTTPS, ProxyProtocol: c.Specific.ProxyProtocol, KeepAlive: c.Specific.KeepAlive,
		NoDNSRecords: c.Specific.NoDNSRecords, IdleTimeout: cmp.Or(c.Specific.IdleTimeout, 60), Network: c.Specific.Network,
	}
	if check.Path != "" {
		req.HealthCheck.Protocol, req.HealthCheck.Path = "http", check.Path
	}
	if c.Specific.StickyCookie != "" {
		req.Sticky = &godo.StickySessions{Type: "cookies", CookieName: c.Specific.StickyCookie, CookieTtlSeconds: cmp.Or(c.Specific.StickySeconds, 300)}
	}
	return req, r.aim(ctx, dir, c.Targets, req)
}

// rules resolves the certificates that rules name.
func (balancerDriver) rules(ctx context.Context, dir *directory, list []infra.ForwardingRule) ([]godo.ForwardingRule, error) {
	var out []godo.ForwardingRule
	for i, rule := range list {
		var certificate string
		if rule.Certificate != "" {
			e, err := dir.find(ctx, sdk.Path("/rules").Index(i).Child("certificate"), rule.Certificate, refCertificate)
			if err != nil {
				return nil, err
			}
			certificate = e.id
		}
		out = append(out, godo.ForwardingRule{
			EntryProtocol: rule.Protocol, EntryPort: rule.Port, TargetProtocol: targetProtocol(rule), TargetPort: rule.TargetPort,
			CertificateID: certificate, TlsPassthrough: rule.TLSPassthrough,
		})
	}
	return out, nil
}

// aim sets what the load balancer sends to.
func (balancerDriver) aim(ctx context.Context, dir *directory, targets []string, req *balancerRequest) error {
	ids := []int{}
	for i, target := range targets {
		e, err := dir.find(ctx, sdk.Path("/targets").Index(i), target, refDroplet, refTag)
		if err != nil {
			return err
		}
		if e.kind == refTag {
			req.Tag = e.id
			return nil
		}
		n, err := dropletID(e.id)
		if err != nil {
			return err
		}
		ids = append(ids, n)
	}
	req.Droplets = &ids
	return nil
}

type balancerRoot struct {
	LoadBalancer *godo.LoadBalancer `json:"load_balancer"`
}

func (r balancerDriver) create(ctx context.Context, w *work[balancerConfig]) (*godo.LoadBalancer, error) {
	region, err := w.place(w.config.Region)
	if err != nil {
		return nil, err
	}
	req, err := r.request(ctx, w, region)
	if err != nil {
		return nil, err
	}
	var root balancerRoot
	err = w.send(ctx, http.MethodPost, "v2/load_balancers", req, &root, "create the load balancer "+w.name)
	return root.LoadBalancer, err
}

func (r balancerDriver) converge(ctx context.Context, w *work[balancerConfig], have *godo.LoadBalancer) (*godo.LoadBalancer, error) {
	w.progress("wait until the load balancer " + w.name + " is active")
	if !w.fresh {
		if err := stays(w, "/region", w.config.Region, have.Region.Slug); err != nil {
			return have, err
		}
		if err := inNetwork(ctx, w, w.config.VPCRef, have.VPCUUID); err != nil {
			return have, err
		}
		req, err := r.request(ctx, w, have.Region.Slug)
		if err != nil {
			return have, err
		}
		if err := w.send(ctx, http.MethodPut, "v2/load_balancers/"+have.ID, req, nil, "change the load balancer "+w.name); err != nil {
			return have, err
		}
	}
	now := have
	err := w.await(ctx, "wait for the load balancer "+w.name, w.limit, func(ctx context.Context) (done bool, err error) {
		if now, err = r.get(ctx, w.account, have.ID); err != nil {
			return false, err
		}
		if now.Status == "errored" {
			return false, sdk.Errorf(sdk.CodeInternal, "DigitalOcean could not start the load balancer %s", w.name)
		}
		return now.Status == "active", nil
	})
	return now, err
}

func (balancerDriver) delete(ctx context.Context, a *account, have *godo.LoadBalancer) error {
	_, err := a.api.LoadBalancers.Delete(ctx, have.ID)
	return said(err, "delete the load balancer "+have.Name)
}

func (balancerDriver) facts(lb *godo.LoadBalancer) facts {
	f := facts{id: lb.ID, name: lb.Name, status: sdk.Healthy}
	switch lb.Status {
	case "new":
		f.status, f.reason = sdk.Starting, "it is being made"
	case "errored":
		f.status, f.reason = sdk.Unhealthy, "it is errored"
	}
	return f
}

func (balancerDriver) describe(ctx context.Context, a *account, owner sdk.Ownership, lb *godo.LoadBalancer, want *balancerConfig) (balancerConfig, error) {
	var c, asked balancerConfig
	if want != nil {
		asked = *want
	}
	dir := a.directory(owner)
	vpc, err := dir.word(ctx, words(asked.VPCRef), refVPC, lb.VPCUUID)
	if err != nil {
		return c, err
	}
	c.Region, c.VPCRef, c.Size, c.Specific.SizeUnit = lb.Region.Slug, vpc, asked.Size, asked.Specific.SizeUnit
	if have := int(lb.SizeUnit); have != asked.units() {
		c.Size, c.Specific.SizeUnit = "", have
	}
	for _, id := range lb.DropletIDs {
		word, err := dir.word(ctx, asked.Targets, refDroplet, strconv.Itoa(id))
		if err != nil {
			return c, err
		}
		c.Targets = append(c.Targets, word)
	}
	if lb.Tag != "" {
		c.Targets = []string{refTag + ":" + lb.Tag}
	}
	var certificates []string
	for _, rule := range asked.Rules {
		certificates = append(certificates, rule.Certificate)
	}
	for _, rule := range lb.ForwardingRules {
		var word string
		if rule.CertificateID != "" {
			if word, err = dir.word(ctx, certificates, refCertificate, rule.CertificateID); err != nil {
				return c, err
			}
		}
		c.Rules = append(c.Rules, infra.ForwardingRule{
			Protocol: rule.EntryProtocol, Port: rule.EntryPort, TargetProtocol: rule.TargetProtocol, TargetPort: rule.TargetPort, Certificate: word, TLSPassthrough: rule.TlsPassthrough,
		})
	}
	return describeBalancer(c, lb), nil
}

// describeBalancer adds what needs no question.
func describeBalancer(c balancerConfig, lb *godo.LoadBalancer) balancerConfig {
	c.Specific.RedirectHTTPS, c.Specific.ProxyProtocol, c.Specific.KeepAlive = lb.RedirectHttpToHttps, lb.EnableProxyProtocol, lb.EnableBackendKeepalive
	c.Specific.Network = lb.Network
	if lb.DisableLetsEncryptDNSRecords != nil {
		c.Specific.NoDNSRecords = *lb.DisableLetsEncryptDNSRecords
	}
	if lb.HTTPIdleTimeoutSeconds != nil {
		c.Specific.IdleTimeout = int(*lb.HTTPIdleTimeoutSeconds)
	}
	if s := lb.StickySessions; s != nil && s.Type == "cookies" {
		c.Specific.StickyCookie, c.Specific.StickySeconds = s.CookieName, s.CookieTtlSeconds
	}
	if h := lb.HealthCheck; h != nil {
		c.HealthCheck = &infra.Check{
			Port: h.Port, Interval: sdk.Duration(time.Duration(h.CheckIntervalSeconds) * time.Second), Timeout: sdk.Duration(time.Duration(h.ResponseTimeoutSeconds) * time.Second),
			Success: h.HealthyThreshold, Failure: h.UnhealthyThreshold,
		}
		if h.Protocol != "tcp" {
			c.HealthCheck.Path = cmp.Or(h.Path, "/")
		}
	}
	return c
}

func (balancerDriver) outputs(_ context.Context, _ *account, lb *godo.LoadBalancer) (sdk.Outputs, error) {
	var url string
	if len(lb.ForwardingRules) > 0 && lb.IP != "" {
		r := lb.ForwardingRules[0]
		scheme := map[string]string{"http": "http", "https": "https", "http2": "https"}[r.EntryProtocol]
		url = fmt.Sprintf("%s://%s:%d", cmp.Or(scheme, r.EntryProtocol), lb.IP, r.EntryPort)
		if scheme == "http" && r.EntryPort == 80 || scheme == "https" && r.EntryPort == 443 {
			url = scheme + "://" + lb.IP
		}
	}
	return sdk.Outputs{
		"id": sdk.Out(lb.ID), "urn": sdk.Out(lb.URN()), "name": sdk.Out(lb.Name), "region": sdk.Out(lb.Region.Slug), "ip": sdk.Out(lb.IP), "url": sdk.Out(url),
		"vpc_id": sdk.Out(lb.VPCUUID),
	}, nil
}
