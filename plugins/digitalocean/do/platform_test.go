package do

import (
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
	}
}
