package do

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

// platformFixtures are those of App Platform, Spaces and the registry.
func platformFixtures() []fixture {
	return []fixture{
		{Resource: sdktest.Resource{
			Type: infra.TypeContainerService, Name: "conform-app",
			Config: []byte(`{"image":"ghcr.io/acme/web:v1","http_port":8080,"size":"s","instance_count":2,"env_vars":{"LOG":"info"},"env_vars_secret":{"KEY":"s3cr3t-value"},
				"health_check":{"path":"/healthz"},"routes":[{"path":"/"}],"jobs":[{"name":"migrate","run_command":"migrate up"}],"workers":[{"name":"mailer","size":"xs"}],
				"alerts":[{"rule":"deployment_failed"}],"domains":[{"name":"www.example.com","primary":true}]}`),
			Update: []byte(`{"image":"ghcr.io/acme/web:v2","http_port":9090,"size":"m","instance_count":3,"env_vars":{"LOG":"debug"},"env_vars_secret":{"KEY":"other-s3cr3t"},"routes":[{"path":"/v2"}]}`),
		}},
		{Resource: sdktest.Resource{
			Type: infra.TypeAPIGateway, Name: "conform-edge",
			Config: []byte(`{"routes":[{"path":"/","target":"https://www.example.com"},{"path":"/api","target":"http://api.example.com:8080/v1","preserve_path_prefix":true}],"cors":{"origins":["*"]}}`),
			Update: []byte(`{"routes":[{"path":"/","target":"https://new.example.com"}],"size":"s"}`),
		}},
		{Resource: sdktest.Resource{
			Type: infra.TypeRegistry, Name: "conform-registry", Config: []byte(`{"region":"nyc3","tier":"professional"}`), Update: []byte(`{"region":"nyc3"}`),
		}, around: func(c *cloud) {
			// The plan is the account's: one that has room for what is tried at once.
			if _, _, err := c.api.Registries.Create(c.t.Context(), &godo.RegistryCreateRequest{Name: "somebody-elses", SubscriptionTierSlug: "professional", Region: region}); err != nil {
				c.t.Fatal(err)
			}
		}},
		{Resource: sdktest.Resource{
			Type: infra.TypeStorage, Name: "conform-bucket",
			Config: []byte(`{"acl":"public-read","versioning":true,"cors":[{"origins":["https://a.example"],"methods":["GET"],"max_age":"1h0m0s"}]}`),
			Update: []byte(`{"acl":"private","cors":[{"origins":["*"]}]}`),
		}},
		{Resource: sdktest.Resource{
			Type: infra.TypeSpacesKey, Name: "conform-key",
			Config: []byte(`{"grants":[{"bucket":"assets","permission":"readwrite"},{"bucket":"logs","permission":"read"}]}`), Update: []byte(`{"grants":[{"bucket":"*","permission":"fullaccess"}]}`),
		}},
	}
}

// What is hidden for a while after it was made is waited for; reads that fail
// are made again.
func TestPlatformIsPatient(t *testing.T) {
	for _, f := range platformFixtures() {
		t.Run(f.Type, func(t *testing.T) {
			c := newCloud(t, fakedo.Options{Seed: 7})
			c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultLag, Method: http.MethodPost, Path: "/v2/[a-z]*", Reads: 3, Times: -1})
			c.fake.SetChaos(fakedo.Chaos{Seed: 7, DropAfter: 0.2, ServerError: 0.1, RateLimit: 0.1, Reads: true})
			m := c.make(f.Type, f.Name, string(f.Config))
			m.change(string(f.Update))
			c.fake.ClearFaults()
			m.noDrift()
			c.fake.SetChaos(fakedo.Chaos{Seed: 8, DropAfter: 0.2, ServerError: 0.1, Reads: true})
			m.remove()
			c.fake.ClearFaults()
			c.close()
			c.empty()
		})
	}
}

// A quota that is reached is said, with what to do.
func TestPlatformQuota(t *testing.T) {
	c := newCloud(t, fakedo.Options{Quotas: map[string]int{"app": 1}})
	c.make(infra.TypeContainerService, "first", `{"image":"acme/shop"}`)
	_, err := c.try(infra.TypeContainerService, "second", `{"image":"acme/shop"}`)
	var e *sdk.Error
	if !asError(err, &e) || e.Code != sdk.CodeInvalid || !strings.Contains(e.Hint, "limit") {
		t.Errorf("%v", err)
	}
}

// A call that is cancelled ends at once, and what it began is found again.
func TestAppCancelled(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := c.p.Create(ctx, c.createRequest(infra.TypeContainerService, "shop", `{"image":"acme/shop"}`), &hook{do: cancel})
	if sdk.CodeOf(err) != sdk.CodeCancelled {
		t.Errorf("%v", err)
	}
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop"}`)
	if n := c.fake.Made()["app shop"]; n != 1 || m.text("url") == "" {
		t.Errorf("made %d times, %v", n, m.outputs)
	}
	if n := c.fake.Count("PUT /v2/apps/{id}"); n != 0 {
		t.Errorf("what was as it should be was sent again %d times", n)
	}
}
