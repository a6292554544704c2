package do

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// What somebody changed by hand, and what no configuration speaks of, is not
// undone by a change of something else: no plan has shown that.
func TestChangesThatNoPlanShowed(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	t.Run("nodes and size of a database", func(t *testing.T) {
		db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres","users":["a"]}`)
		if _, err := c.api.Databases.Resize(t.Context(), db.id, &godo.DatabaseResizeRequest{SizeSlug: "db-s-1vcpu-2gb", NumNodes: 2}); err != nil {
			t.Fatal(err)
		}
		movingClock{c.fake}.Sleep(t.Context(), 1e12)
		db.change(`{"engine":"postgres","users":["a","b"]}`)
		d, _, err := c.api.Databases.Get(t.Context(), db.id)
		if err != nil || d.NumNodes != 2 || d.SizeSlug != "db-s-1vcpu-2gb" {
			t.Errorf("%d nodes of %s, %v", d.NumNodes, d.SizeSlug, err)
		}
		// Said, it is so; not said any more, it is the default again.
		db.change(`{"engine":"postgres","node_count":3,"users":["a","b"]}`)
		db.change(`{"engine":"postgres","users":["a","b"]}`)
		if d, _, err := c.api.Databases.Get(t.Context(), db.id); err != nil || d.NumNodes != 1 || d.SizeSlug != "db-s-1vcpu-2gb" {
			t.Errorf("%d nodes of %s, %v", d.NumNodes, d.SizeSlug, err)
		}
		db.remove()
	})
	t.Run("a pool of nodes", func(t *testing.T) {
		k := c.make(infra.TypeK8sCluster, "k", `{"node_pools":[{"name":"web","count":2},{"name":"batch","count":1}]}`)
		byHand, _, err := c.api.Kubernetes.CreateNodePool(t.Context(), k.id, &godo.KubernetesNodePoolCreateRequest{Name: "byhand", Size: "s-1vcpu-2gb", Count: 2})
		if err != nil {
			t.Fatal(err)
		}
		movingClock{c.fake}.Sleep(t.Context(), 1e12)
		k.change(`{"node_pools":[{"name":"web","count":3}]}`)
		pools, _, err := c.api.Kubernetes.ListNodePools(t.Context(), k.id, nil)
		var names []string
		for _, p := range pools {
			names = append(names, fmt.Sprint(p.Name, p.Count))
		}
		if slices.Sort(names); err != nil || fmt.Sprint(names) != "[byhand2 web3]" {
			t.Errorf("pools %v, %v (%s was made by hand)", names, err, byHand.ID)
		}
		k.remove()
	})
	t.Run("size and backups of a Droplet", func(t *testing.T) {
		vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64"}`)
		n, _ := strconv.Atoi(vm.id)
		for _, do := range []func() (*godo.Action, *godo.Response, error){
			func() (*godo.Action, *godo.Response, error) {
				return c.api.DropletActions.EnableBackups(t.Context(), n)
			},
			func() (*godo.Action, *godo.Response, error) { return c.api.DropletActions.PowerOff(t.Context(), n) },
			func() (*godo.Action, *godo.Response, error) {
				return c.api.DropletActions.Resize(t.Context(), n, "s-4vcpu-8gb", false)
			},
		} {
			if _, _, err := do(); err != nil {
				t.Fatal(err)
			}
			movingClock{c.fake}.Sleep(t.Context(), 1e12)
		}
		vm.change(`{"image":"debian-12-x64","provider_specific":{"tags":["x"]}}`)
		d, _, err := c.api.Droplets.Get(t.Context(), n)
		if err != nil || d.SizeSlug != "s-4vcpu-8gb" || !slices.Contains(d.Features, "backups") || d.Status != "active" {
			t.Errorf("%s %v %s, %v", d.SizeSlug, d.Features, d.Status, err)
		}
		vm.remove()
	})
}

// A Droplet is not left off by a size that it cannot have, nor powered off for
// one whose disk is known to be too small.
func TestSizeThatADropletCannotHave(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64","size":"m"}`)
	n, _ := strconv.Atoi(vm.id)
	runs := func() {
		t.Helper()
		if d, _, err := c.api.Droplets.Get(t.Context(), n); err != nil || d.Status != "active" {
			t.Errorf("it is %s, %v", d.Status, err)
		}
	}
	const small = `{"image":"debian-12-x64","provider_specific":{"size":"s-1vcpu-512mb-10gb"}}`
	res, err := c.p.Diff(t.Context(), &sdk.DiffRequest{
		Type: infra.TypeDroplet, Name: "vm", Ownership: owner("vm"), Prior: vm.prior(), Config: c.config(infra.TypeDroplet, small), Changed: []sdk.Path{"/size", "/provider_specific"},
	})
	if err != nil || !slices.ContainsFunc(res.Changes, func(f sdk.FieldChange) bool {
		return f.Action == sdk.ActionReplace && strings.Contains(f.Reason, "80 GiB")
	}) {
		t.Errorf("%+v %v", res, err)
	}
	before := len(c.fake.Log())
	if err := vm.tryChange(small); sdk.CodeOf(err) != sdk.CodeConflict || !strings.Contains(err.Error(), "disk of 80 GiB") {
		t.Errorf("%v", err)
	}
	for _, e := range c.fake.Log()[before:] {
		if e.Method == http.MethodPost {
			t.Errorf("it was touched: %s %s", e.Method, e.Path)
		}
	}
	runs()
	c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultError, Status: 422, Method: "POST", Path: "/v2/droplets/" + vm.id + "/actions", Skip: 1})
	if err := vm.tryChange(`{"image":"debian-12-x64","size":"l"}`); err == nil {
		t.Error("the resize was not refused")
	}
	runs()
	vm.remove()
	c.empty()
}

// Several that a database waits for are let in at once: the API knows the whole
// list of its sources only.
func TestSeveralAreLetInAtOnce(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	var sources []string
	for i := range 12 {
		sources = append(sources, fmt.Sprintf(`"vm-%d"`, i))
	}
	db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres","trusted_sources":[`+strings.Join(sources, ",")+`]}`)
	var wg sync.WaitGroup
	for i := range sources {
		wg.Go(func() {
			if _, err := c.try(infra.TypeDroplet, fmt.Sprintf("vm-%d", i), `{"image":"debian-12-x64"}`); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rules, _, err := c.api.Databases.GetFirewallRules(t.Context(), db.id)
	if err != nil || len(rules) != len(sources) {
		t.Errorf("%d of %d are let in, %v", len(rules), len(sources), err)
	}
	db.noDrift()
}

// The words of a configuration that mean what they meant are no change, and
// no drift.
func TestReferencesInOtherWords(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	named := func(typ, module, name, config string) *made {
		m := &made{c: c, typ: typ, name: name, module: module, config: config, heard: &heard{}}
		req := c.createRequest(typ, name, config)
		req.Ownership = owner(module)
		res, err := c.p.Create(t.Context(), req, m.heard)
		if err != nil {
			t.Fatal(err)
		}
		m.id, m.outputs = res.ID, res.Outputs
		return m
	}
	net := named(infra.TypeVPC, "net", "shop-net", `{}`)
	web := named(infra.TypeDroplet, "web", "shop-web", `{"image":"debian-12-x64","vpc_ref":"net"}`)
	lb := named(infra.TypeLoadBalancer, "edge", "shop-edge", `{"targets":["web"],"rules":[{"protocol":"http","port":80,"target_port":8080}]}`)
	wall := named(infra.TypeFirewall, "wall", "shop-wall", `{"targets":["web"],"inbound":[{"protocol":"tcp","ports":"8080","sources":["edge"]}]}`)
	for _, m := range []*made{net, web, lb, wall} {
		m.noDrift()
	}
	for _, ref := range []string{"net", "shop-net", net.id} {
		res, err := c.p.Diff(t.Context(), &sdk.DiffRequest{
			Type: infra.TypeDroplet, Name: "shop-web", Ownership: owner("web"), Prior: web.prior(),
			Config: c.config(infra.TypeDroplet, `{"image":"debian-12-x64","vpc_ref":"`+ref+`"}`), Changed: []sdk.Path{"/vpc_ref"},
		})
		if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != sdk.ActionIgnore {
			t.Errorf("%s: %+v %v", ref, res, err)
		}
	}
	other := named(infra.TypeVPC, "other", "other", `{}`)
	for _, ref := range []string{other.id, "other", "not-there"} {
		res, err := c.p.Diff(t.Context(), &sdk.DiffRequest{
			Type: infra.TypeDroplet, Name: "shop-web", Ownership: owner("web"), Prior: web.prior(),
			Config: c.config(infra.TypeDroplet, `{"image":"debian-12-x64","vpc_ref":"`+ref+`"}`), Changed: []sdk.Path{"/vpc_ref"},
		})
		if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != "" {
			t.Errorf("%s: %+v %v", ref, res, err)
		}
	}
}

// A plan and a teardown without state read by name: they are told of what is
// somebody else's, or nobody's. Who looks for what it made itself is not.
func TestReadOfWhatIsSomebodyElses(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64"}`)
	lb := c.make(infra.TypeLoadBalancer, "edge", `{"targets":["vm"],"rules":[{"protocol":"http","port":80,"target_port":8080}]}`)
	for _, m := range []*made{vm, lb} {
		req := &sdk.ReadRequest{Type: m.typ, Name: m.name, Ownership: sdk.Ownership{Project: "shop", Environment: "prod", Module: m.name}}
		res, err := c.p.Read(t.Context(), req)
		if err != nil || res.ID != m.id || res.Owner == nil || *res.Owner != owner(m.name) {
			t.Errorf("%s: %+v %v", m.typ, res, err)
		}
		req.IdempotencyKey = "what a create had"
		if _, err := c.p.Read(t.Context(), req); !sdk.IsNotFound(err) {
			t.Errorf("%s: %v", m.typ, err)
		}
	}
	n, _ := strconv.Atoi(vm.id)
	d, _, err := c.api.Droplets.Get(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range d.Tags {
		if _, err := c.api.Tags.UntagResources(t.Context(), tag, &godo.UntagResourcesRequest{Resources: []godo.Resource{{ID: vm.id, Type: godo.DropletResourceType}}}); err != nil {
			t.Fatal(err)
		}
	}
	res, err := c.p.Read(t.Context(), &sdk.ReadRequest{Type: vm.typ, Name: vm.name, Ownership: owner(vm.name)})
	if err != nil || res.ID != vm.id || res.Owner != nil {
		t.Errorf("%+v %v", res, err)
	}
}

// The token goes to the API, and not to where that sends somebody.
func TestTokenStaysWithTheAPI(t *testing.T) {
	told := make(chan string, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{}`))
	}))
	defer elsewhere.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("the API gets %q", r.Header.Get("Authorization"))
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer api.Close()
	a, err := open(settings{Token: "secret", APIURL: api.URL}, Options{Clock: wallClock{}, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if _, _, err := a.api.Account.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != "" {
		t.Errorf("elsewhere it is told %q", got)
	}
}

// A gateway's target may be a module whose app has another name.
func TestGatewayToAModule(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	req := c.createRequest(infra.TypeContainerService, "shop-api", `{"image":"docker.io/library/nginx:1","http_port":8080}`)
	req.Ownership = owner("api")
	if _, err := c.p.Create(t.Context(), req, &heard{}); err != nil {
		t.Fatal(err)
	}
	edge := c.make(infra.TypeAPIGateway, "edge", `{"routes":[{"path":"/","target":"api"}]}`)
	edge.noDrift()
}

// An identifier that cannot be one is not asked for.
func TestImportOfWhatIsNoIdentifier(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	before := len(c.fake.Log())
	_, err := c.p.(sdk.Importer).Import(t.Context(), &sdk.ImportRequest{Type: infra.TypeVPC, ID: "42", Ownership: owner("net")})
	if sdk.CodeOf(err) != sdk.CodeInvalid || !strings.Contains(err.Error(), `"42" is no identifier of a VPC`) || len(c.fake.Log()) != before {
		t.Errorf("%v", err)
	}
}

// A refusal says which key it is about, and what that can be.
func TestRefusalNamesTheKey(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	for config, want := range map[string][2]string{
		`{"image":"debian-12-x64","region":"mars1"}`:                       {"/region", "the regions are ams3"},
		`{"image":"debian-12-x64","provider_specific":{"size":"s-9vcpu"}}`: {"/provider_specific/size", "doctl"},
		`{"image":"no-such-image"}`:                                        {"/image", "doctl"},
	} {
		_, err := c.try(infra.TypeDroplet, "vm", config)
		var e *sdk.Error
		if !errors.As(err, &e) || string(e.Path) != want[0] || !strings.Contains(e.Hint, want[1]) {
			t.Errorf("%s: %v, at %s, hint %s", config, err, e.Path, e.Hint)
		}
	}
}

// What somebody else makes between the look and the request is theirs.
func TestSomebodyElseIsFaster(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64"}`)
	n, _ := strconv.Atoi(vm.id)
	var theirs string
	c.tamper(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPost && r.URL.Path == "/v2/load_balancers" && theirs == "" {
			lb, _, err := c.api.LoadBalancers.Create(t.Context(), &godo.LoadBalancerRequest{
				Name: "edge", Region: region, DropletIDs: []int{n}, ForwardingRules: []godo.ForwardingRule{{EntryProtocol: "http", EntryPort: 80, TargetProtocol: "http", TargetPort: 80}},
			})
			if err != nil {
				t.Error(err)
			}
			theirs = lb.ID
		}
		return next.RoundTrip(r)
	})
	m, err := c.try(infra.TypeLoadBalancer, "edge", `{"targets":["vm"],"rules":[{"protocol":"http","port":80,"target_port":8080}]}`)
	if sdk.CodeOf(err) != sdk.CodeAlreadyExists || m.id != "" {
		t.Errorf("%q %v", m.id, err)
	}
	res, err := c.p.Read(t.Context(), &sdk.ReadRequest{Type: infra.TypeLoadBalancer, Name: "edge", Ownership: owner("edge")})
	if err != nil || res.ID != theirs || res.Owner != nil {
		t.Errorf("%+v %v", res, err)
	}
}

// The answer to an update need not name the deployment that it begins: the one
// before is not taken for it.
func TestDeploymentThatNoAnswerNames(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	app := c.make(infra.TypeContainerService, "web", `{"image":"docker.io/library/nginx:1","http_port":8080}`)
	before, _, err := c.api.Apps.Get(t.Context(), app.id)
	if err != nil {
		t.Fatal(err)
	}
	c.tamper(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		res, err := next.RoundTrip(r)
		if err != nil || r.Method != http.MethodPut || r.URL.Path != "/v2/apps/"+app.id {
			return res, err
		}
		var doc map[string]map[string]any
		err = json.NewDecoder(res.Body).Decode(&doc)
		err = errors.Join(err, res.Body.Close())
		delete(doc["app"], "pending_deployment")
		delete(doc["app"], "in_progress_deployment")
		text := raw(doc)
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		return res, err
	})
	app.change(`{"image":"docker.io/library/nginx:2","http_port":8080}`)
	after, _, err := c.api.Apps.Get(t.Context(), app.id)
	if err != nil || after.ActiveDeployment == nil || after.ActiveDeployment.ID == before.ActiveDeployment.ID {
		t.Errorf("it did not wait: %v", err)
	}
}

// A platform that takes a request again and again and does nothing is given up.
func TestRequestsWithoutEffect(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	k := c.make(infra.TypeK8sCluster, "k", `{"version":"1.33","node_pools":[{"name":"web","count":1}]}`)
	db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres","size":"xs"}`)
	asked := map[string]int{}
	c.tamper(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		for _, path := range []string{"/v2/kubernetes/clusters/" + k.id + "/upgrade", "/v2/databases/" + db.id + "/resize"} {
			if r.URL.Path == path && r.Method != http.MethodGet {
				asked[path]++
				return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
			}
		}
		return next.RoundTrip(r)
	})
	if err := k.tryChange(`{"version":"1.34","node_pools":[{"name":"web","count":1}]}`); err == nil || !strings.Contains(err.Error(), "upgrades of the Kubernetes cluster k") {
		t.Errorf("%v", err)
	}
	if err := db.tryChange(`{"engine":"postgres","size":"m"}`); err == nil || !strings.Contains(err.Error(), "it is as it was") {
		t.Errorf("%v", err)
	}
	if len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
}

// A diagnosis by name is not of somebody else's cluster.
func TestDiagnosisOfOnesOwn(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	if _, _, err := c.api.Databases.Create(t.Context(), &godo.DatabaseCreateRequest{
		Name: "db", EngineSlug: "pg", Version: "17", SizeSlug: "db-s-1vcpu-1gb", Region: region, NumNodes: 1,
		Rules: []*godo.DatabaseCreateFirewallRule{{Type: "ip_addr", Value: "203.0.113.9"}},
	}); err != nil {
		t.Fatal(err)
	}
	res, err := c.p.(sdk.Diagnoser).Diagnose(t.Context(), &sdk.DiagnoseRequest{Type: infra.TypeDatabase, Name: "db", Operation: "create"})
	if err == nil || res != nil && len(res.Diagnostics) > 0 {
		t.Errorf("%+v %v", res, err)
	}
}
