package do

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

func firewallFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type:   infra.TypeFirewall,
		Config: []byte(`{"inbound":[{"protocol":"tcp","ports":"443"},{"protocol":"icmp"}],"provider_specific":{"tags":["web"]}}`),
		Update: []byte(`{"inbound":[{"protocol":"tcp","ports":"443","sources":["10.0.0.0/8"]}],"outbound":[{"protocol":"udp","ports":"53","targets":["1.1.1.1"]}]}`),
	}}
}

func balancerFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type:   infra.TypeLoadBalancer,
		Config: []byte(`{"rules":[{"protocol":"http","port":80,"target_port":8080}],"health_check":{"path":"/healthz"}}`),
		Update: []byte(`{"size":"m","rules":[{"protocol":"http","port":80,"target_port":8081}],"targets":["tag:web"],"provider_specific":{"redirect_http_to_https":true}}`),
	}}
}

func dnsFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type:   infra.TypeDNS,
		Config: []byte(`{"zone":"Conform.example","records":[{"type":"A","name":"@","value":"203.0.113.5","ttl":300},{"type":"MX","name":"@","value":"mail.conform.example","priority":10}]}`),
		Update: []byte(`{"zone":"Conform.example","records":[{"type":"CNAME","name":"www","value":"@"}]}`),
		Skip:   map[string]string{"at the same time": "there is one zone of a name"},
	}}
}

func certificateFixture() fixture {
	return fixture{
		Resource: sdktest.Resource{Type: infra.TypeCertificate, Config: []byte(`{"domains":["www.tls.example"]}`)},
		around: func(c *cloud) {
			if _, _, err := c.api.Domains.Create(c.t.Context(), &godo.DomainCreateRequest{Name: "tls.example"}); err != nil {
				c.t.Fatal(err)
			}
		},
	}
}

func TestFirewall(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64"}`)
	lb := c.make(infra.TypeLoadBalancer, "lb", `{"rules":[{"protocol":"tcp","port":22,"target_port":22}],"targets":["vm"]}`)
	lb.noDrift()
	fw := c.make(infra.TypeFirewall, "fw", `{"targets":["vm"],"inbound":[
		{"protocol":"tcp","ports":"8000-9000","sources":["lb","192.168.0.0/16"]},
		{"protocol":"tcp","ports":"22","sources":["droplet:vm","tag:bastion"]},
		{"protocol":"udp","ports":"all","sources":["::/0","0.0.0.0/0"]}]}`)
	fw.noDrift()
	f, _, err := c.api.Firewalls.Get(t.Context(), fw.id)
	if err != nil || len(f.OutboundRules) != 3 || len(f.DropletIDs) != 1 {
		t.Errorf("%+v %v", f, err)
	}
	if _, err := c.api.Firewalls.RemoveRules(t.Context(), fw.id, &godo.FirewallRulesRequest{InboundRules: f.InboundRules[:1], OutboundRules: []godo.OutboundRule{}}); err != nil {
		t.Fatal(err)
	}
	fw.drifts("inbound")
	fw.change(fw.config)
	fw.noDrift()
	fw.name = "fw-2"
	fw.change(`{"targets":["` + vm.id + `"],"provider_specific":{"block_outbound":true}}`)
	fw.noDrift()
	fw.remove()
	lb.remove()
	vm.remove()
	c.empty()
}

func TestLoadBalancer(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	certificateFixture().around(c)
	cert := c.make(infra.TypeCertificate, "cert", `{"domains":["tls.example","www.tls.example"]}`)
	cert.noDrift()
	lb := c.make(infra.TypeLoadBalancer, "lb", `{"rules":[{"protocol":"https","port":443,"target_port":8080,"certificate":"cert"}],"targets":["tag:web"],
		"health_check":{"path":"/healthz","interval":"15s"},"provider_specific":{"sticky_cookie":"lb"}}`)
	lb.noDrift()
	if got := lb.text("url"); got != "https://"+lb.text("ip") || lb.text("ip") == "" {
		t.Errorf("url %s", got)
	}
	if err := cert.tryRemove(); sdk.CodeOf(err) != sdk.CodeConflict || len(blockersOf(err)) != 1 || !strings.HasSuffix(blockersOf(err)[0], " lb") {
		t.Errorf("%v %v", err, blockersOf(err))
	}
	if _, err := c.api.LoadBalancers.AddForwardingRules(t.Context(), lb.id, godo.ForwardingRule{EntryProtocol: "http", EntryPort: 80, TargetProtocol: "http", TargetPort: 80}); err != nil {
		t.Fatal(err)
	}
	lb.drifts("rules")
	lb.name = "lb-2"
	lb.change(`{"size":"s","rules":[{"protocol":"tcp","port":443,"target_port":8080}]}`)
	lb.noDrift()
	if got := lb.text("name"); got != "lb-2" {
		t.Errorf("name %s", got)
	}
	// The claim has moved with the name: the old one is free again.
	if _, _, err := c.api.LoadBalancers.Create(t.Context(), &godo.LoadBalancerRequest{Name: "lb", Region: region, Tag: "web", ForwardingRules: []godo.ForwardingRule{{EntryProtocol: "tcp", EntryPort: 22, TargetProtocol: "tcp", TargetPort: 22}}}); err != nil {
		t.Fatal(err)
	}
	listed, err := c.p.(sdk.Lister).List(t.Context(), &sdk.ListRequest{Type: infra.TypeLoadBalancer, Project: "shop"})
	if err != nil || len(listed.Resources) != 1 || listed.Resources[0].Name != "lb-2" {
		t.Errorf("listed: %+v %v", listed, err)
	}
	lb.remove()
	cert.remove()
	if left := c.fake.Remaining(); !slices.Equal(left, []string{"domain tls.example", "load_balancer lb"}) {
		t.Errorf("left over: %v", left)
	}
}

func pemPair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "own.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", secret)
}

func TestCustomCertificate(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	certificate, key := pemPair(t)
	config := string(raw(map[string]any{"kind": "custom", "domains": []string{"own.example"}, "certificate": certificate, "private_key": key}))
	own := c.make(infra.TypeCertificate, "own", config)
	own.noDrift()
	if found := string(own.read().Config.JSON); strings.Contains(found, "PRIVATE") {
		t.Error("the private key is read back")
	}
	certificate, key = pemPair(t)
	other := string(raw(map[string]any{"kind": "custom", "domains": []string{"own.example"}, "certificate": certificate, "private_key": key}))
	if _, err := c.try(infra.TypeCertificate, "own", other); sdk.CodeOf(err) != sdk.CodeConflict {
		t.Errorf("another certificate of the name: %v", err)
	}
	own.remove()
	c.empty()
}

func TestDNS(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	zone := c.make(infra.TypeDNS, "names", `{"zone":"shop.example","records":[
		{"type":"A","name":"www.shop.example","value":"203.0.113.5"},{"type":"TXT","name":"@","value":"hello"},
		{"type":"SRV","name":"_sip._tcp","value":"5 5060 sip.shop.example","priority":1},{"type":"CAA","name":"@","value":"0 issue letsencrypt.org"}]}`)
	zone.noDrift()
	by := func(kind string) (found []godo.DomainRecord) {
		records, _, err := c.api.Domains.RecordsByType(t.Context(), "shop.example", kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		return records
	}
	t.Run("records of others are left alone", func(t *testing.T) {
		body := recordBody{Type: "TXT", Name: "@", Data: "somebody else", TTL: 600}
		a := &account{api: c.api, clock: movingClock{c.fake}}
		if err := a.send(t.Context(), "POST", "v2/domains/shop.example/records", body, nil, "write a record"); err != nil {
			t.Fatal(err)
		}
		zone.noDrift()
		zone.change(`{"zone":"shop.example","records":[{"type":"A","name":"www","value":"203.0.113.6","ttl":60}]}`)
		zone.noDrift()
		if got := by("TXT"); len(got) != 1 || got[0].Data != "somebody else" {
			t.Errorf("%+v", got)
		}
		if got := by("A"); len(got) != 1 || got[0].Data != "203.0.113.6" || got[0].TTL != 60 {
			t.Errorf("%+v", got)
		}
		if len(by("SRV"))+len(by("CAA")) != 0 {
			t.Error("records that the configuration lost are still there")
		}
	})
	t.Run("a change by hand is seen and mended", func(t *testing.T) {
		a := by("A")[0]
		if _, _, err := c.api.Domains.EditRecord(t.Context(), "shop.example", a.ID, &godo.DomainRecordEditRequest{Type: "A", Name: "www", Data: "203.0.113.9", TTL: 60}); err != nil {
			t.Fatal(err)
		}
		zone.drifts("records")
		zone.change(zone.config)
		zone.noDrift()
		if got := by("A"); len(got) != 1 {
			t.Errorf("%+v", got)
		}
	})
	res, err := c.p.Read(t.Context(), &sdk.ReadRequest{Type: infra.TypeDNS, Name: "names", Ownership: owner("names")})
	if err != nil || res.ID != "shop.example" || res.Name != "names" {
		t.Errorf("by name: %+v %v", res, err)
	}
	zone.remove()
	c.empty()
}

// A record means the same in each of its forms.
func TestCanonicalRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.StringMatching(`[a-z]{1,8}\.(example|test)`).Draw(t, "zone")
		name := rapid.StringMatching(`[a-z]{1,6}(\.[a-z]{1,6})?`).Draw(t, "name")
		rec := infra.Record{Type: rapid.SampledFrom([]string{"A", "CNAME", "MX", "TXT"}).Draw(t, "type"), Name: name, Value: rapid.StringMatching(`[a-z]{1,9}\.net`).Draw(t, "value")}
		once := canonicalRecord(zone, rec)
		if again := canonicalRecord(zone, once); again != once {
			t.Fatalf("%+v became %+v", once, again)
		}
		for _, form := range []string{name + "." + zone, name + "." + zone + ".", strings.ToUpper(name)} {
			other := rec
			other.Name = form
			if got := canonicalRecord(zone, other); got != once {
				t.Fatalf("%s: %+v, not %+v", form, got, once)
			}
		}
		body, err := bodyOf(once)
		if err != nil {
			t.Fatal(err)
		}
		back := recordOf(zone, godo.DomainRecord{Type: body.Type, Name: body.Name, Data: body.Data, TTL: body.TTL, Priority: rec.Priority})
		if back != once {
			t.Fatalf("%+v comes back as %+v", once, back)
		}
	})
}

// What a tag is made of can be read again, whatever the names are.
func TestOwnerTags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := sdk.Ownership{Project: rapid.String().Draw(t, "project"), Environment: rapid.String().Draw(t, "environment"), Module: rapid.String().Draw(t, "module")}
		tags := append(ownerTags(o), "another", "k8s:worker")
		for _, tag := range tags {
			if strings.ContainsFunc(tag, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_:", r) }) {
				t.Fatalf("the platform does not take the tag %q", tag)
			}
		}
		if got := ownerIn(tags); got == nil || *got != o {
			t.Fatalf("%+v came back as %+v", o, got)
		}
		if got := freeTags(tags); !slices.Equal(got, []string{"another", "k8s:worker"}) {
			t.Fatalf("free tags %v", got)
		}
		c := claim{kind: "firewall", key: rapid.String().Draw(t, "key"), owner: o, name: rapid.String().Draw(t, "name")}
		if got, ok := parseClaim(c.tag()); !ok || got != c {
			t.Fatalf("%+v came back as %+v", c, got)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add("a:2eb")
	f.Add(":")
	f.Fuzz(func(t *testing.T, s string) {
		if text, ok := unescape(s); ok {
			if back, ok := unescape(escape(text)); !ok || back != text {
				t.Errorf("%q", s)
			}
		}
	})
}

// What could not be deleted keeps its owner, so that a teardown without state
// finds it the next time.
func TestWhatStaysKeepsItsOwner(t *testing.T) {
	c := newCloud(t, fakedo.Options{AutoAdvance: time.Minute})
	certificateFixture().around(c)
	cert := c.make(infra.TypeCertificate, "cert", `{"domains":["www.tls.example"]}`)
	c.make(infra.TypeLoadBalancer, "lb", `{"rules":[{"protocol":"https","port":443,"target_port":8080,"certificate":"cert"}]}`)
	remove := &sdk.DeleteRequest{Type: infra.TypeCertificate, Name: "cert", ID: cert.id, Ownership: owner("cert"), Deadline: time.Now().Add(time.Minute)}
	if _, err := c.p.Delete(t.Context(), remove, cert.heard); sdk.CodeOf(err) != sdk.CodeConflict {
		t.Fatalf("a certificate in use: %v", err)
	}
	res, err := c.p.Read(t.Context(), &sdk.ReadRequest{Type: infra.TypeCertificate, Name: "cert", Ownership: owner("cert")})
	if err != nil || res.ID != cert.id {
		t.Errorf("it is not found any more: %v", err)
	}
}
