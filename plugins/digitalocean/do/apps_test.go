package do

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

const shopApp = `{"image":"ghcr.io/acme/shop:v1","http_port":8080,"size":"s","instance_count":2,"env_vars":{"LOG":"info","DATABASE_URL":"postgres://u:p@db"},
	"env_vars_secret":{"API_KEY":"top-s3cr3t"},"health_check":{"path":"/healthz","interval":"10s"},"routes":[{"path":"/"},{"path":"/v1","preserve_path_prefix":true}],
	"cors":{"origins":["https://*.acme.example"]},"jobs":[{"name":"migrate","kind":"pre_deploy","run_command":"migrate up"}],
	"workers":[{"name":"mailer","image":"registry.digitalocean.com/acme/mailer:v1","autoscaling":{"min":1,"max":3}}],
	"static_sites":[{"name":"docs","build_command":"make docs","routes":[{"path":"/docs"}]}],
	"domains":[{"name":"shop.example.com","primary":true,"zone":"example.com"}],"alerts":[{"rule":"deployment_failed"},{"rule":"cpu_utilization","operator":">","value":80,"window":"5m"}],
	"log_destinations":[{"name":"tail","token":"logtail-t0ken"},{"name":"papers","endpoint":"logs.example.com:4711"}],"termination":{"grace_period":"30s"},
	"provider_specific":{"registry_credentials":"bot:ghcr-t0ken","components":{"docs":{"github":{"repo":"acme/docs","branch":"main"}}},"app":{"egress":"DEDICATED_IP"}}}`

// sensitiveEnv is a create request in which an ordinary variable is a secret,
// as a reference to a password makes it.
func (c *cloud) withSecretEnv(typ, text string, paths ...sdk.Path) sdk.Config {
	cfg := c.config(typ, text)
	cfg.Sensitive = append(cfg.Sensitive, paths...)
	return cfg
}

// specOf is the spec that the platform has.
func (c *cloud) specOf(id string) *godo.AppSpec {
	c.t.Helper()
	got, _, err := c.api.Apps.Get(c.t.Context(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	return got.Spec
}

func TestApp(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	req := c.createRequest(infra.TypeContainerService, "shop", shopApp)
	req.Config = c.withSecretEnv(infra.TypeContainerService, shopApp, "/env_vars/DATABASE_URL")
	m := &made{c: c, typ: infra.TypeContainerService, name: "shop", config: shopApp, heard: &heard{}}
	res, err := c.p.Create(t.Context(), req, m.heard)
	if err != nil {
		t.Fatal(err)
	}
	m.id, m.outputs = res.ID, res.Outputs
	for _, phase := range []string{"deployment: pending build", "deployment: building", "deployment: deploying", "deployment: active"} {
		if !slices.Contains(m.heard.progress, phase) {
			t.Errorf("%q was not told: %q", phase, m.heard.progress)
		}
	}
	if m.text("url") != "https://shop.example.com" || !strings.HasSuffix(m.text("default_url"), ".ondigitalocean.app") || m.text("image") != "acme/shop:v1" {
		t.Errorf("outputs %v", m.outputs)
	}
	for _, e := range c.specOf(m.id).Services[0].Envs {
		if secret := e.Key != "LOG"; secret != (e.Type == godo.AppVariableType_Secret) || secret != strings.HasPrefix(e.Value, "EV[") {
			t.Errorf("variable %s is a %s", e.Key, e.Type)
		}
	}
	m.noDrift()
	if n := c.fake.Made()["app shop"]; n != 1 {
		t.Errorf("made %d times", n)
	}
	m.remove()
	c.empty()
}

// What somebody changes by hand is seen, and an update mends it.
func TestAppDrift(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	m := c.make(infra.TypeContainerService, "shop", shopApp)
	spec := c.specOf(m.id)
	spec.Services[0].HTTPPort = 9999
	spec.Services[0].Envs = slices.DeleteFunc(spec.Services[0].Envs, func(e *godo.AppVariableDefinition) bool { return e.Key == "LOG" })
	spec.Services[0].InstanceSizeSlug = "apps-d-8vcpu-32gb"
	spec.Ingress.Rules = spec.Ingress.Rules[1:]
	if _, _, err := c.api.Apps.Update(t.Context(), m.id, &godo.AppUpdateRequest{Spec: spec}); err != nil {
		t.Fatal(err)
	}
	m.drifts("env_vars", "http_port", "size", "static_sites")
	m.change(shopApp)
	m.noDrift()
}

// What follows from an update of something else and comes out the same is not
// deployed again; what is not said any more is.
func TestAppIsNotDeployedInVain(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop:v1","health_check":{"path":"/healthz"}}`)
	puts := func() int { return c.fake.Count("PUT /v2/apps/{id}") }
	m.change(m.config)
	if puts() != 0 {
		t.Error("what was the same was sent")
	}
	m.change(`{"image":"acme/shop:v1"}`)
	if spec := c.specOf(m.id); puts() != 1 || spec.Services[0].HealthCheck != nil {
		t.Errorf("the health check is still there: %s", raw(spec))
	}
}

// A secret that the host does not have at hand stays what it was.
func TestAppSecretsSurviveAnUpdate(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop:v1","env_vars_secret":{"API_KEY":"top-s3cr3t"}}`)
	before := c.specOf(m.id).Services[0].Envs[0].Value
	imported, err := c.p.(sdk.Importer).Import(t.Context(), &sdk.ImportRequest{Type: m.typ, ID: m.id, Ownership: owner("shop")})
	if err != nil {
		t.Fatal(err)
	}
	if text := string(imported.Config.JSON); !strings.Contains(text, `"docker.io/acme/shop:v1"`) || !strings.Contains(text, before) {
		t.Errorf("imported %s", imported.Config.JSON)
	}
	m.change(strings.Replace(string(imported.Config.JSON), ":v1", ":v2", 1))
	if after := c.specOf(m.id).Services[0].Envs[0].Value; after != before {
		t.Errorf("the encrypted value was %s and is %s", before, after)
	}
}

// An imported app is as its configuration says, and stays that.
func TestAppImport(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	if _, _, err := c.api.Registries.Create(t.Context(), &godo.RegistryCreateRequest{Name: "acme", SubscriptionTierSlug: "basic", Region: region}); err != nil {
		t.Fatal(err)
	}
	m := c.make(infra.TypeContainerService, "shop", shopApp)
	spec := c.specOf(m.id)
	res, err := c.p.(sdk.Importer).Import(t.Context(), &sdk.ImportRequest{Type: m.typ, ID: m.id, Ownership: owner("other")})
	if err != nil || res.Name != "shop" || res.ID != m.id {
		t.Fatal(res, err)
	}
	m.config = string(res.Config.JSON)
	m.noDrift()
	if v, err := c.p.Validate(t.Context(), &sdk.ValidateRequest{Type: m.typ, Name: "shop", Config: res.Config}); err != nil || len(v.Diagnostics) > 0 {
		t.Errorf("the imported configuration is wrong: %v %v", v, err)
	}
	again := c.specOf(m.id)
	if a, b := string(raw(spec)), string(raw(again)); a != b {
		t.Errorf("the import changed the app: %s", b)
	}
	list, err := c.p.(sdk.Lister).List(t.Context(), &sdk.ListRequest{Type: m.typ, Project: "shop", Environment: "staging"})
	if err != nil || len(list.Resources) != 1 || list.Resources[0].Owner.Module != "other" {
		t.Errorf("listed %v, %v", list, err)
	}
}

func TestAppOfSomebodyElse(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	foreign := &godo.AppSpec{Name: "shop", Services: []*godo.AppServiceSpec{{Name: "web", Image: &godo.ImageSourceSpec{RegistryType: godo.ImageSourceSpecRegistryType_DockerHub, Registry: "library", Repository: "nginx"}}}}
	got, _, err := c.api.Apps.Create(t.Context(), &godo.AppCreateRequest{Spec: foreign})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.try(infra.TypeContainerService, "shop", `{"image":"acme/shop"}`)
	var e *sdk.Error
	if !asError(err, &e) || e.Code != sdk.CodeAlreadyExists || !strings.Contains(e.Hint, "wfctl infra import shop "+got.ID) {
		t.Errorf("%v, hint %q", err, e)
	}
	if c.fake.Made()["app shop"] != 1 {
		t.Error("a second app was made")
	}
}

// A failed deployment says which component, in which phase and why, with its
// last words; the next update mends it.
func TestAppFailure(t *testing.T) {
	for _, phase := range []string{"BUILDING", "DEPLOYING"} {
		t.Run(phase, func(t *testing.T) {
			c := newCloud(t, fakedo.Options{})
			c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultDeployment, Component: "mailer", Phase: phase, Message: "it exited with 3", Lines: []string{"loading", "panic: no mail server"}})
			m, err := c.try(infra.TypeContainerService, "shop", shopApp)
			if err == nil {
				t.Fatal("it did not fail")
			}
			stage := strings.ToLower(strings.TrimSuffix(phase, "ING"))
			for _, want := range []string{"mailer, " + stage, "it exited with 3", "panic: no mail server"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			if m.id == "" || !slices.Contains(m.heard.ids, m.id) {
				t.Error("the identifier was not told")
			}
			res := m.read()
			if res.Healthy || !strings.Contains(res.Reason, "mailer") {
				t.Errorf("read: healthy %v, %s", res.Healthy, res.Reason)
			}
			d, err := c.p.(sdk.Diagnoser).Diagnose(t.Context(), &sdk.DiagnoseRequest{Type: m.typ, Name: "shop", Operation: "create"})
			if err != nil || len(d.Diagnostics) == 0 || !strings.Contains(d.Diagnostics[0].Message, "panic: no mail server") {
				t.Errorf("diagnosis %v, %v", d, err)
			}
			h, err := c.p.(sdk.HealthChecker).Health(t.Context(), &sdk.HealthRequest{Type: m.typ, ID: m.id})
			if err != nil || h.Status != sdk.Unhealthy {
				t.Errorf("health %v, %v", h, err)
			}
			m.change(shopApp)
			if res := m.read(); !res.Healthy {
				t.Errorf("after the update: %s", res.Reason)
			}
			if h, err := c.p.(sdk.HealthChecker).Health(t.Context(), &sdk.HealthRequest{Type: m.typ, ID: m.id}); err != nil || h.Status != sdk.Healthy {
				t.Errorf("health after the update %v, %v", h, err)
			}
		})
	}
}

// hook is a Reporter that does something when it hears of a phase that passes.
type hook struct {
	heard
	do func()
}

func (h *hook) Progress(message string, f float64) {
	h.heard.Progress(message, f)
	moving := strings.HasPrefix(message, "deployment: ") && message != "deployment: superseded" && message != "deployment: active"
	if moving && h.do != nil {
		h.do()
	}
}

// A deployment that takes the place of the one that is waited for is waited
// for in its stead; one that never ends ends in time.
func TestAppSuperseded(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop:v1"}`)
	update := func(h *hook, image string) error {
		_, err := c.p.Update(t.Context(), &sdk.UpdateRequest{
			Type: m.typ, ID: m.id, Name: m.name, Ownership: owner("shop"), Prior: m.prior(), Config: c.config(m.typ, `{"image":"`+image+`"}`), Deadline: time.Now().Add(time.Minute),
		}, h)
		return err
	}
	again := func() {
		if _, _, err := c.api.Apps.CreateDeployment(t.Context(), m.id, &godo.DeploymentCreateRequest{}); err != nil {
			t.Error(err)
		}
	}
	once := &hook{}
	once.do = func() { once.do = nil; again() }
	if err := update(once, "acme/shop:v2"); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(once.progress, "\n"); !strings.Contains(text, "was superseded") || !strings.Contains(text, "deployment: active") {
		t.Errorf("told: %q", text)
	}
	err := update(&hook{do: again}, "acme/shop:v3")
	if sdk.CodeOf(err) != sdk.CodeDeadline || !strings.Contains(err.Error(), "is ") {
		t.Errorf("a deployment without end: %v", err)
	}
}

func TestAppRename(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop:v1"}`)
	old := owner("shop")
	res, err := c.p.Update(t.Context(), &sdk.UpdateRequest{
		Type: m.typ, ID: m.id, Name: "store", Ownership: old, Prior: m.prior(), Config: c.config(m.typ, m.config), Deadline: time.Now().Add(time.Minute),
	}, m.heard)
	if err != nil || res.ID != m.id || c.specOf(m.id).Name != "store" {
		t.Fatal(res, err)
	}
	claims := 0
	for _, tag := range c.fake.Tags() {
		if cl, ok := parseClaim(tag); ok {
			claims++
			if cl.key != "store" {
				t.Errorf("the claim on %s is left over", cl.key)
			}
		}
	}
	if claims != 1 {
		t.Errorf("%d claims", claims)
	}
}

func TestAppInANetwork(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	net := c.make(infra.TypeVPC, "net", `{}`)
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop:v1","vpc_ref":"net"}`)
	if spec := c.specOf(m.id); spec.Vpc == nil || spec.Vpc.ID != net.id {
		t.Errorf("its network is %v", spec.Vpc)
	}
	m.noDrift()
	if _, err := c.try(infra.TypeContainerService, "other", `{"image":"acme/shop:v1","vpc_ref":"nowhere"}`); !sdk.IsNotFound(err) {
		t.Errorf("a network that is not there: %v", err)
	}
}

// Whatever connection is lost, there is one app, and in the end none.
func TestAppChaos(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newCloud(t, fakedo.Options{Seed: seed})
			c.fake.SetChaos(fakedo.Chaos{Seed: seed, DropAfter: 0.3, DropBefore: 0.1, ServerError: 0.1, RateLimit: 0.1})
			m := c.make(infra.TypeContainerService, "shop", shopApp)
			m.change(strings.Replace(shopApp, "shop:v1", "shop:v2", 1))
			c.fake.ClearFaults()
			m.noDrift()
			if n := c.fake.Made()["app shop"]; n != 1 {
				t.Errorf("made %d times", n)
			}
			c.fake.SetChaos(fakedo.Chaos{Seed: seed, DropAfter: 0.3, DropBefore: 0.1})
			m.remove()
			c.empty()
		})
	}
}

func TestAppNotes(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	diff, err := c.p.Diff(t.Context(), &sdk.DiffRequest{Type: infra.TypeContainerService, Name: "shop", Config: c.config(infra.TypeContainerService,
		`{"image":"acme/shop","size":"xs","instance_count":3,"maintenance":{"day":"sunday","hour":"03:00"},"jobs":[{"name":"once","timeout":"5m"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw(diff.Notes))
	for _, want := range []string{"size xs of web is apps-s-1vcpu-1gb", "runs one instance only", "size xs of once is apps-s-1vcpu-0.5gb", "timeout of the job once has no effect", "maintenance has no effect"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("the notes have %q %d times: %s", want, strings.Count(text, want), text)
		}
	}
}

func TestAppMistakes(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	for config, want := range map[string]string{
		`{"image":"a/b","region":"moon1"}`: "/region", `{"image":"a/b","provider_specific":{"service":{"deploy_on_push":true}}}`: "/provider_specific/service/deploy_on_push",
		`{"image":"quay.io/acme/shop"}`: "/image", `{}`: "/image",
		`{"image":"a/b","sidecars":[{"name":"proxy","image":"a/c"}]}`:                                          "/sidecars/0",
		`{"image":"a/b","workers":[{"name":"web"}]}`:                                                           "/workers/0/name",
		`{"image":"a/b","static_sites":[{"name":"docs"}]}`:                                                     "/static_sites/0",
		`{"image":"a/b","routes":[{"path":"/","component":"nobody"}]}`:                                         "/routes/0/component",
		`{"image":"a/b","alerts":[{"rule":"too_hot"}]}`:                                                        "/alerts/0/rule",
		`{"image":"a/b","health_check":{"interval":"1500ms"}}`:                                                 "/health_check/interval",
		`{"image":"a/b","autoscaling":{"min":3,"max":2}}`:                                                      "/autoscaling/max",
		`{"image":"a/b","provider_specific":{"service":{"instance_size_slug":"huge"}}}`:                        "/provider_specific/service/instance_size_slug",
		`{"image":"a/b","provider_specific":{"app":{"no_such_field":1}}}`:                                      "/provider_specific/app/no_such_field",
		`{"image":"a/b","env_vars":{"A":"1"},"env_vars_secret":{"A":"2"}}`:                                     "/env_vars/A",
		`{"image":"a/b","env_vars":{"A-B":"1"}}`:                                                               "/env_vars/A-B",
		`{"image":"a/b","domains":[{"name":"*.example.com"}]}`:                                                 "/domains/0/name",
		`{"image":"a/b","termination":{"drain":"5m"}}`:                                                         "/termination/drain",
		`{"image":"a/b","provider_specific":{"components":{"nobody":{"protocol":"HTTP"}}}}`:                    "/provider_specific/components/nobody",
		`{"image":"a/b","log_destinations":[{"name":"search","endpoint":"https://x","token":"t"}],"size":"s"}`: "",
	} {
		res, err := c.p.Validate(t.Context(), &sdk.ValidateRequest{Type: infra.TypeContainerService, Name: "shop", Config: c.config(infra.TypeContainerService, config)})
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, d := range res.Diagnostics {
			paths = append(paths, string(d.Path))
		}
		if want == "" && len(paths) > 0 || want != "" && !slices.Contains(paths, want) {
			t.Errorf("%s: wrong is %v, not %s", config, paths, want)
		}
	}
}

func TestGateway(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	shop := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop:v1"}`)
	const config = `{"routes":[{"path":"/shop","target":"shop"},{"path":"/","target":"https://www.example.com"}],"cors":{"origins":["https://a.example"]},"domains":[{"name":"api.example.com","primary":true}]}`
	edge := c.make(infra.TypeAPIGateway, "edge", config)
	edge.noDrift()
	spec := c.specOf(edge.id)
	if len(spec.Ingress.Rules) != 2 || !strings.Contains(spec.Services[0].Envs[0].Value, strings.TrimPrefix(shop.text("default_url"), "https://")+":443") {
		t.Errorf("the spec is %s", raw(spec))
	}
	spec.Ingress.Rules = spec.Ingress.Rules[:1]
	if _, _, err := c.api.Apps.Update(t.Context(), edge.id, &godo.AppUpdateRequest{Spec: spec}); err != nil {
		t.Fatal(err)
	}
	edge.drifts("routes")
	edge.change(config)
	edge.noDrift()
	res, err := c.p.(sdk.Importer).Import(t.Context(), &sdk.ImportRequest{Type: edge.typ, ID: edge.id, Ownership: owner("edge")})
	if err != nil || !json.Valid(res.Config.JSON) {
		t.Fatal(err)
	}
	edge.config = string(res.Config.JSON)
	edge.noDrift()
	if _, err := c.p.(sdk.Importer).Import(t.Context(), &sdk.ImportRequest{Type: edge.typ, ID: shop.id, Ownership: owner("edge")}); sdk.CodeOf(err) != sdk.CodeUnsupported {
		t.Errorf("a service imported as a gateway: %v", err)
	}
	if _, err := c.try(infra.TypeAPIGateway, "lost", `{"routes":[{"path":"/","target":"nowhere"}]}`); !sdk.IsNotFound(err) {
		t.Errorf("a target that is not there: %v", err)
	}
	edge.remove()
	shop.remove()
	c.empty()
}
