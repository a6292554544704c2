package do

import (
	"github.com/digitalocean/godo"

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
