package fakedo_test

import (
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// emptied expects that nothing is left.
func emptied(t *testing.T, s *fakedo.Server) {
	t.Helper()
	if !s.Empty() {
		t.Errorf("left: %v", s.Remaining())
	}
}

func TestDomain(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	must[*godo.Domain](t)(c.Domains.Create(ctx, &godo.DomainCreateRequest{Name: "example.com"}))
	_, _, err := c.Domains.Create(ctx, &godo.DomainCreateRequest{Name: "example.com"})
	refusal(t, err, 422)
	r := must[*godo.DomainRecord](t)(c.Domains.CreateRecord(ctx, "example.com", &godo.DomainRecordEditRequest{Type: "A", Name: "www", Data: "192.0.2.1", TTL: 60}))
	_, _, err = c.Domains.CreateRecord(ctx, "example.com", &godo.DomainRecordEditRequest{Type: "CNAME", Name: "blog", Data: "www.example.com"})
	if m := refusal(t, err, 422); !strings.Contains(m, "dot") {
		t.Errorf("the message is %q", m)
	}
	must[*godo.DomainRecord](t)(c.Domains.EditRecord(ctx, "example.com", r.ID, &godo.DomainRecordEditRequest{Type: "A", Data: "192.0.2.2"}))
	if got := must[*godo.DomainRecord](t)(c.Domains.Record(ctx, "example.com", r.ID)); got.Data != "192.0.2.2" || got.TTL != 60 {
		t.Errorf("the record is %+v", got)
	}
	if all := must[[]godo.DomainRecord](t)(c.Domains.Records(ctx, "example.com", nil)); len(all) != 5 {
		t.Errorf("the zone has %d records", len(all))
	}
	if some := must[[]godo.DomainRecord](t)(c.Domains.RecordsByTypeAndName(ctx, "example.com", "A", "www.example.com", nil)); len(some) != 1 {
		t.Errorf("found %d", len(some))
	}
	done(t)(c.Domains.DeleteRecord(ctx, "example.com", r.ID))
	if z := must[*godo.Domain](t)(c.Domains.Get(ctx, "example.com")); !strings.Contains(z.ZoneFile, "ns1.digitalocean.com") {
		t.Errorf("the zone is %q", z.ZoneFile)
	}
	done(t)(c.Domains.Delete(ctx, "example.com"))
	emptied(t, s)
}

func TestCertificate(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{AutoAdvance: 20 * time.Second})
	_, _, err := c.Certificates.Create(ctx, &godo.CertificateRequest{Name: "web", Type: "lets_encrypt", DNSNames: []string{"www.example.com"}})
	refusal(t, err, 422)
	must[*godo.Domain](t)(c.Domains.Create(ctx, &godo.DomainCreateRequest{Name: "example.com"}))
	web := must[*godo.Certificate](t)(c.Certificates.Create(ctx, &godo.CertificateRequest{Name: "web", Type: "lets_encrypt", DNSNames: []string{"www.example.com"}}))
	for web.State != "verified" {
		web = must[*godo.Certificate](t)(c.Certificates.Get(ctx, web.ID))
	}
	block := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("not one in truth")}))
	}
	own := must[*godo.Certificate](t)(c.Certificates.Create(ctx, &godo.CertificateRequest{Name: "own", Type: "custom", LeafCertificate: block("CERTIFICATE"), PrivateKey: block("PRIVATE KEY")}))
	lb := must[*godo.LoadBalancer](t)(c.LoadBalancers.Create(ctx, &godo.LoadBalancerRequest{
		Name: "lb", Region: "fra1", Tag: "web", ForwardingRules: []godo.ForwardingRule{{EntryProtocol: "https", EntryPort: 443, TargetProtocol: "http", TargetPort: 80, CertificateID: web.ID}},
	}))
	_, err = c.Certificates.Delete(ctx, web.ID)
	refusal(t, err, 403)
	done(t)(c.LoadBalancers.Delete(ctx, lb.ID))
	if found := must[[]godo.Certificate](t)(c.Certificates.ListByName(ctx, "own", nil)); len(found) != 1 {
		t.Errorf("found %d", len(found))
	}
	done(t)(c.Certificates.Delete(ctx, web.ID))
	done(t)(c.Certificates.Delete(ctx, own.ID))
	done(t)(c.Domains.Delete(ctx, "example.com"))
	emptied(t, s)
}

func TestRegistryTakesImages(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	must[*godo.Registry](t)(c.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: "acme", Region: "fra1", SubscriptionTierSlug: "basic"}))
	_, _, err := c.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: "acme", Region: "fra1", SubscriptionTierSlug: "basic"})
	refusal(t, err, 409)
	_, _, err = c.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: "second", SubscriptionTierSlug: "basic"})
	refusal(t, err, 412)
	image, err := random.Image(200, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(fakedo.RealRegistryHost + "/acme/web:1")
	if err != nil {
		t.Fatal(err)
	}
	push := func(write bool, seconds int) error {
		t.Helper()
		creds := must[*godo.DockerCredentials](t)(c.Registries.DockerCredentials(ctx, "acme", &godo.RegistryDockerCredentialsRequest{ReadWrite: write, ExpirySeconds: &seconds}))
		user, password := fakedo.DockerLogin(t, creds.DockerConfigJSON, fakedo.RealRegistryHost)
		s.Advance(10 * time.Minute)
		auth := remote.WithAuth(&authn.Basic{Username: user, Password: password})
		return remote.Write(ref, image, auth, remote.WithTransport(s.RegistryTransport()), remote.WithContext(ctx))
	}
	if push(false, 3600) == nil {
		t.Error("read-only credentials have pushed")
	}
	if push(true, 60) == nil {
		t.Error("credentials have outlived their time")
	}
	if err := push(true, 3600); err != nil {
		t.Fatal(err)
	}
	repos := must[[]*godo.RepositoryV2](t)(c.Registries.ListRepositoriesV2(ctx, "acme", nil))
	if len(repos) != 1 || repos[0].Name != "web" || repos[0].TagCount != 1 {
		t.Errorf("the repositories are %+v", repos)
	}
	if tags := must[[]*godo.RepositoryTag](t)(c.Registries.ListRepositoryTags(ctx, "acme", "web", nil)); len(tags) != 1 || tags[0].Tag != "1" {
		t.Errorf("the tags are %+v", tags)
	}
	digests := must[[]*godo.RepositoryManifest](t)(c.Registries.ListRepositoryManifests(ctx, "acme", "web", nil))
	if len(digests) != 1 || len(digests[0].Tags) != 1 {
		t.Errorf("the manifests are %+v", digests)
	}
	done(t)(c.Registries.DeleteTag(ctx, "acme", "web", "1"))
	if left := must[[]*godo.RepositoryV2](t)(c.Registries.ListRepositoriesV2(ctx, "acme", nil)); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	must[*godo.Registry](t)(c.Registry.Get(ctx))
	done(t)(c.Registries.Delete(ctx, "acme"))
	emptied(t, s)
}

func dropletRequest(name string) *godo.DropletCreateRequest {
	return &godo.DropletCreateRequest{
		Name: name, Region: "fra1", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "ubuntu-24-04-x64"}, SSHKeys: []godo.DropletCreateSSHKey{}, Tags: []string{"web"},
	}
}

func TestDropletWithVolumeAndFirewall(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{AutoAdvance: 10 * time.Second})
	key := must[*godo.Key](t)(c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "me", PublicKey: "ssh-ed25519 AAAA me"}))
	req := dropletRequest("web-1")
	req.SSHKeys = []godo.DropletCreateSSHKey{{ID: key.ID}}
	d := must[*godo.Droplet](t)(c.Droplets.Create(ctx, req))
	if _, _, err := c.DropletActions.PowerOff(ctx, d.ID); err == nil {
		t.Error("a Droplet that is being made has been switched off")
	}
	for d.Status != "active" {
		d = must[*godo.Droplet](t)(c.Droplets.Get(ctx, d.ID))
	}
	if ip, err := d.PublicIPv4(); err != nil || ip == "" {
		t.Errorf("its address is %q, %v", ip, err)
	}
	v := must[*godo.Volume](t)(c.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: "data", Region: "fra1", SizeGigaBytes: 10, FilesystemType: "ext4", Tags: []string{"web"}}))
	finished := func(a *godo.Action, r *godo.Response, err error) {
		t.Helper()
		a = must[*godo.Action](t)(a, r, err)
		for a.Status != "completed" {
			a = must[*godo.Action](t)(c.Actions.Get(ctx, a.ID))
		}
	}
	finished(c.StorageActions.Attach(ctx, v.ID, d.ID))
	_, err := c.Storage.DeleteVolume(ctx, v.ID)
	refusal(t, err, 409)
	finished(c.StorageActions.Resize(ctx, v.ID, 20, "fra1"))
	finished(c.DropletActions.PowerOff(ctx, d.ID))
	finished(c.DropletActions.Resize(ctx, d.ID, "s-2vcpu-4gb", true))
	finished(c.DropletActions.Rename(ctx, d.ID, "web-2"))
	if d = must[*godo.Droplet](t)(c.Droplets.Get(ctx, d.ID)); d.SizeSlug != "s-2vcpu-4gb" || d.Name != "web-2" || !slices.Contains(d.VolumeIDs, v.ID) {
		t.Errorf("it is now %+v", d)
	}
	fw := must[*godo.Firewall](t)(c.Firewalls.Create(ctx, &godo.FirewallRequest{
		Name: "web", Tags: []string{"web"}, DropletIDs: []int{d.ID},
		InboundRules:  []godo.InboundRule{{Protocol: "tcp", PortRange: "443", Sources: &godo.Sources{Addresses: []string{"0.0.0.0/0"}}}},
		OutboundRules: []godo.OutboundRule{{Protocol: "tcp", PortRange: "all", Destinations: &godo.Destinations{Addresses: []string{"0.0.0.0/0"}}}},
	}))
	for fw.Status != "succeeded" {
		fw = must[*godo.Firewall](t)(c.Firewalls.Get(ctx, fw.ID))
	}
	if fw.OutboundRules[0].PortRange != "0" {
		t.Errorf("all ports are shown as %q", fw.OutboundRules[0].PortRange)
	}
	if by := must[[]godo.Firewall](t)(c.Firewalls.ListByDroplet(ctx, d.ID, nil)); len(by) != 1 {
		t.Errorf("%d firewalls guard it", len(by))
	}
	if all := must[[]godo.Droplet](t)(c.Droplets.ListByTag(ctx, "web", nil)); len(all) != 1 {
		t.Errorf("%d Droplets have the tag", len(all))
	}
	done(t)(c.Droplets.Delete(ctx, d.ID))
	if fw = must[*godo.Firewall](t)(c.Firewalls.Get(ctx, fw.ID)); len(fw.DropletIDs) != 0 {
		t.Errorf("the firewall still names %v", fw.DropletIDs)
	}
	done(t)(c.Firewalls.Delete(ctx, fw.ID))
	done(t)(c.Storage.DeleteVolume(ctx, v.ID))
	done(t)(c.Keys.DeleteByID(ctx, key.ID))
	emptied(t, s)
}

func TestFirewallNamesWhatIsThere(t *testing.T) {
	_, c, ctx := start(t, fakedo.Options{})
	_, _, err := c.Firewalls.Create(ctx, &godo.FirewallRequest{
		Name: "web", Tags: []string{"nobody"}, InboundRules: []godo.InboundRule{{Protocol: "tcp", PortRange: "80", Sources: &godo.Sources{Addresses: []string{"0.0.0.0/0"}}}},
	})
	if m := refusal(t, err, 422); !strings.Contains(m, "nobody") {
		t.Errorf("the message is %q", m)
	}
}

func TestLoadBalancer(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{AutoAdvance: 15 * time.Second})
	req := &godo.LoadBalancerRequest{Name: "lb", Region: "fra1", Tag: "web", ForwardingRules: []godo.ForwardingRule{{EntryProtocol: "http", EntryPort: 80, TargetProtocol: "http", TargetPort: 8080}}}
	lb := must[*godo.LoadBalancer](t)(c.LoadBalancers.Create(ctx, req))
	if lb.IP != "" || lb.Status != "new" {
		t.Errorf("it begins %+v", lb)
	}
	for lb.Status != "active" {
		lb = must[*godo.LoadBalancer](t)(c.LoadBalancers.Get(ctx, lb.ID))
	}
	done(t)(c.LoadBalancers.AddForwardingRules(ctx, lb.ID, godo.ForwardingRule{EntryProtocol: "tcp", EntryPort: 90, TargetProtocol: "tcp", TargetPort: 90}))
	req.Name = "renamed"
	if lb = must[*godo.LoadBalancer](t)(c.LoadBalancers.Update(ctx, lb.ID, req)); lb.IP == "" || len(lb.ForwardingRules) != 1 || lb.Name != "renamed" {
		t.Errorf("it is now %+v", lb)
	}
	if all := must[[]godo.LoadBalancer](t)(c.LoadBalancers.List(ctx, nil)); len(all) != 1 {
		t.Errorf("lists %d", len(all))
	}
	done(t)(c.LoadBalancers.Delete(ctx, lb.ID))
	emptied(t, s)
}

func TestSpacesKeyShowsItsSecretOnce(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	k := must[*godo.SpacesKey](t)(c.SpacesKeys.Create(ctx, &godo.SpacesKeyCreateRequest{Name: "backups", Grants: []*godo.Grant{{Bucket: "b", Permission: "readwrite"}}}))
	if k.SecretKey == "" || k.SecretKey != s.SpacesSecret(k.AccessKey) {
		t.Errorf("the key is %+v", k)
	}
	all := must[[]*godo.SpacesKey](t)(c.SpacesKeys.List(ctx, nil))
	if len(all) != 1 || all[0].SecretKey != "" {
		t.Errorf("lists %+v", all)
	}
	k = must[*godo.SpacesKey](t)(c.SpacesKeys.Update(ctx, k.AccessKey, &godo.SpacesKeyUpdateRequest{Name: "renamed", Grants: []*godo.Grant{{Permission: "fullaccess"}}}))
	if k.Name != "renamed" {
		t.Errorf("it is now %+v", k)
	}
	done(t)(c.SpacesKeys.Delete(ctx, k.AccessKey))
	emptied(t, s)
}

func TestKubernetes(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{AutoAdvance: 30 * time.Second})
	k := must[*godo.KubernetesCluster](t)(c.Kubernetes.Create(ctx, &godo.KubernetesClusterCreateRequest{
		Name: "main", RegionSlug: "fra1", VersionSlug: "1.33", NodePools: []*godo.KubernetesNodePoolCreateRequest{{Name: "pool", Size: "s-2vcpu-4gb", Count: 2, Tags: []string{"wfctl"}}},
	}))
	if k.Status.State != "provisioning" || !strings.HasPrefix(k.VersionSlug, "1.33.") {
		t.Errorf("it begins %+v", k)
	}
	for k.Status.State != "running" {
		k = must[*godo.KubernetesCluster](t)(c.Kubernetes.Get(ctx, k.ID))
	}
	if conf := must[*godo.KubernetesClusterConfig](t)(c.Kubernetes.GetKubeConfig(ctx, k.ID, nil)); !strings.Contains(string(conf.KubeconfigYAML), k.Endpoint) {
		t.Errorf("the kubeconfig is %s", conf.KubeconfigYAML)
	}
	if nodes := must[[]godo.Droplet](t)(c.Droplets.ListByTag(ctx, "k8s:"+k.ID, nil)); len(nodes) != 2 {
		t.Errorf("%d Droplets are its nodes", len(nodes))
	}
	must[*godo.KubernetesCluster](t)(c.Kubernetes.Update(ctx, k.ID, &godo.KubernetesClusterUpdateRequest{Name: "renamed"}))
	one := 1
	must[*godo.KubernetesNodePool](t)(c.Kubernetes.UpdateNodePool(ctx, k.ID, k.NodePools[0].ID, &godo.KubernetesNodePoolUpdateRequest{Name: "pool", Count: &one}))
	extra := must[*godo.KubernetesNodePool](t)(c.Kubernetes.CreateNodePool(ctx, k.ID, &godo.KubernetesNodePoolCreateRequest{Name: "extra", Size: "s-2vcpu-4gb", Count: 1}))
	done(t)(c.Kubernetes.DeleteNodePool(ctx, k.ID, extra.ID))
	_, err := c.Kubernetes.DeleteNodePool(ctx, k.ID, k.NodePools[0].ID)
	refusal(t, err, 422)
	ups := must[[]*godo.KubernetesVersion](t)(c.Kubernetes.GetUpgrades(ctx, k.ID))
	if len(ups) != 1 {
		t.Fatalf("it can be upgraded to %+v", ups)
	}
	done(t)(c.Kubernetes.Upgrade(ctx, k.ID, &godo.KubernetesClusterUpgradeRequest{VersionSlug: ups[0].Slug}))
	must[*godo.KubernetesOptions](t)(c.Kubernetes.GetOptions(ctx))
	done(t)(c.Kubernetes.Delete(ctx, k.ID))
	if nodes := must[[]godo.Droplet](t)(c.Droplets.List(ctx, nil)); len(nodes) != 0 {
		t.Errorf("%d nodes are left", len(nodes))
	}
	emptied(t, s)
}

func TestProject(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	p := must[*godo.Project](t)(c.Projects.Create(ctx, &godo.CreateProjectRequest{Name: "guestbook", Purpose: "Web Application", Environment: "Staging"}))
	db := must[*godo.Database](t)(c.Databases.Create(ctx, databaseRequest("main", "pg")))
	must[[]godo.ProjectResource](t)(c.Projects.AssignResources(ctx, p.ID, db))
	if in := must[[]godo.ProjectResource](t)(c.Projects.ListResources(ctx, p.ID, nil)); len(in) != 1 || in[0].URN != db.URN() {
		t.Errorf("it has %+v", in)
	}
	_, err := c.Projects.Delete(ctx, p.ID)
	refusal(t, err, 412)
	_, err = c.Databases.Delete(ctx, db.ID)
	done(t)(nil, err)
	must[*godo.Project](t)(c.Projects.Update(ctx, p.ID, &godo.UpdateProjectRequest{Name: "renamed", Description: "", Purpose: "Web Application", Environment: "Staging", IsDefault: false}))
	done(t)(c.Projects.Delete(ctx, p.ID))
	if d := must[*godo.Project](t)(c.Projects.GetDefault(ctx)); !d.IsDefault {
		t.Errorf("the default project is %+v", d)
	}
	emptied(t, s)
}

func TestAccountAndCatalogue(t *testing.T) {
	_, c, ctx := start(t, fakedo.Options{})
	must[*godo.Account](t)(c.Account.Get(ctx))
	must[[]godo.Region](t)(c.Regions.List(ctx, nil))
	must[[]godo.Size](t)(c.Sizes.List(ctx, &godo.ListOptions{PerPage: 200}))
	must[[]godo.Image](t)(c.Images.List(ctx, nil))
	must[*godo.DatabaseOptions](t)(c.Databases.ListOptions(ctx))
	must[*godo.RegistryOptions](t)(c.Registry.GetOptions(ctx))
	must[[]*godo.AppRegion](t)(c.Apps.ListRegions(ctx))
	if sizes := must[[]*godo.AppInstanceSize](t)(c.Apps.ListInstanceSizes(ctx)); len(sizes) < 5 {
		t.Errorf("%d sizes", len(sizes))
	}
	if _, r, err := c.Apps.GetInstanceSize(ctx, "nothing"); err == nil || r.StatusCode != http.StatusNotFound {
		t.Errorf("a size that is not there: %v", err)
	}
}
