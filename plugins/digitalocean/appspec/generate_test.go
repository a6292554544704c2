package appspec

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// anyConfig makes valid configurations.
func anyConfig() *rapid.Generator[Config] {
	return rapid.Custom(func(t *rapid.T) Config {
		c := Config{Specific: &Specific{}}
		c.Region = rapid.SampledFrom([]string{"", "nyc3", "fra"}).Draw(t, "region")
		c.Component = anyComponent(t, "", true)
		c.Autoscaling = maybe(t, "autoscaling", anyScaling)
		if c.Autoscaling != nil {
			c.InstanceCount = 0
		}
		c.HTTPPort = rapid.IntRange(1, 65535).Draw(t, "port")
		c.InternalPorts = rapid.SliceOfNDistinct(rapid.IntRange(1, 65535), 0, 2, rapid.ID).Draw(t, "internal")
		if len(c.InternalPorts) == 0 {
			c.InternalPorts = nil
		}
		c.HealthCheck = maybe(t, "health", func(t *rapid.T) infra.Check { return anyCheck(t, 3) })
		c.LivenessCheck = maybe(t, "liveness", func(t *rapid.T) infra.Check { return anyCheck(t, 1) })
		for i := range rapid.IntRange(0, 2).Draw(t, "routes") {
			c.Routes = append(c.Routes, infra.Route{Path: fmt.Sprintf("/r%d", i), PreservePathPrefix: rapid.Bool().Draw(t, "keep")})
		}
		c.CORS = maybe(t, "cors", anyCORS)
		for i := range rapid.IntRange(0, 2).Draw(t, "domains") {
			c.Domains = append(c.Domains, infra.Domain{Name: fmt.Sprintf("d%d.example", i), Primary: i == 0, Zone: rapid.SampledFrom([]string{"", "example"}).Draw(t, "zone")})
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "jobs") {
			kind := rapid.SampledFrom([]string{"", "pre_deploy", "post_deploy", "failed_deploy"}).Draw(t, "kind")
			c.Jobs = append(c.Jobs, infra.Job{Component: anyComponent(t, "job", false), Name: fmt.Sprintf("job%d", i), Kind: kind})
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "workers") {
			w := infra.Worker{Component: anyComponent(t, "work", false), Name: fmt.Sprintf("work%d", i), Autoscaling: maybe(t, "autoscaling", anyScaling)}
			if w.Autoscaling != nil {
				w.InstanceCount = 0
			}
			c.Workers = append(c.Workers, w)
		}
		anySites(t, &c)
		anyFields(t, &c)
		if empty(c.Specific) {
			c.Specific = nil
		}
		return c
	})
}

func maybe[T any](t *rapid.T, label string, make func(*rapid.T) T) *T {
	if !rapid.Bool().Draw(t, label) {
		return nil
	}
	v := make(t)
	return &v
}

func anyComponent(t *rapid.T, prefix string, image bool) infra.Component {
	c := infra.Component{
		RunCommand:    rapid.SampledFrom([]string{"", "run it"}).Draw(t, "run"),
		Size:          rapid.SampledFrom([]string{"", "xs", "s", "m", "l", "xl"}).Draw(t, "size"),
		InstanceCount: rapid.IntRange(0, 3).Draw(t, "count"),
		EnvVars:       anyVars(t, "PLAIN"+strings.ToUpper(prefix)), EnvVarsSecret: anyVars(t, "SECRET"+strings.ToUpper(prefix)),
	}
	if image || rapid.Bool().Draw(t, "own image") {
		c.Image = rapid.SampledFrom([]string{
			"docker.io/library/nginx:1.29", "ghcr.io/acme/deep/web:v1", "registry.digitalocean.com/acme/web:v1",
			"registry.digitalocean.com/acme/web@sha256:" + strings.Repeat("e", 64),
		}).Draw(t, "image")
	}
	if rapid.Bool().Draw(t, "alert") {
		c.Alerts = []infra.Alert{{Rule: "RESTART_COUNT", Operator: "GREATER_THAN", Value: float64(rapid.IntRange(1, 9).Draw(t, "value")), Window: "TEN_MINUTES"}}
	}
	if rapid.Bool().Draw(t, "logs") {
		c.LogDestination = []infra.LogDestination{{Name: "papers", Endpoint: "logs.example:1234"}, {Name: "search", Endpoint: "https://search.example:9200"}}
	}
	if rapid.Bool().Draw(t, "termination") {
		c.Termination = &infra.Termination{Grace: seconds1(t, 600)}
		if image {
			c.Termination.Drain = seconds1(t, 110)
		}
	}
	return c
}

func anyVars(t *rapid.T, prefix string) map[string]string {
	n := rapid.IntRange(0, 3).Draw(t, prefix)
	if n == 0 {
		return nil
	}
	vars := map[string]string{}
	for i := range n {
		vars[fmt.Sprintf("%s_%d", prefix, i)] = rapid.SampledFrom([]string{"v", "ü ☃", "a=b\nc", " "}).Draw(t, "value")
	}
	return vars
}

func seconds1(t *rapid.T, most int) sdk.Duration {
	return span(int32(rapid.IntRange(1, most).Draw(t, "seconds")))
}

func anyScaling(t *rapid.T) infra.Autoscaling {
	least := rapid.IntRange(1, 3).Draw(t, "min")
	return infra.Autoscaling{Min: least, Max: least + rapid.IntRange(0, 9).Draw(t, "more"), CPUPercent: rapid.IntRange(0, 100).Draw(t, "cpu")}
}

func anyCheck(t *rapid.T, success int) infra.Check {
	return infra.Check{
		Path: rapid.SampledFrom([]string{"", "/healthz"}).Draw(t, "path"), Port: rapid.IntRange(0, 65535).Draw(t, "port"), Delay: seconds1(t, 3600),
		Interval: seconds1(t, 300), Timeout: seconds1(t, 120), Success: rapid.IntRange(0, success).Draw(t, "success"), Failure: rapid.IntRange(1, 50).Draw(t, "failure"),
	}
}

func anyCORS(t *rapid.T) infra.CORSRule {
	return infra.CORSRule{
		Origins: rapid.SliceOfN(rapid.SampledFrom([]string{"*", "https://a.example", "https://*.b.example:8443", "null"}), 1, 3).Draw(t, "origins"),
		Methods: rapid.SampledFrom([][]string{nil, {"GET", "POST"}}).Draw(t, "methods"), Headers: rapid.SampledFrom([][]string{nil, {"X-A"}}).Draw(t, "headers"),
		MaxAge: seconds1(t, 4000),
	}
}

func anySites(t *rapid.T, c *Config) {
	for i := range rapid.IntRange(0, 2).Draw(t, "sites") {
		s := infra.StaticSite{Name: fmt.Sprintf("site%d", i), BuildCommand: rapid.SampledFrom([]string{"", "make"}).Draw(t, "build"), OutputDir: "dist"}
		if rapid.Bool().Draw(t, "own routes") {
			s.Routes = []infra.Route{{Path: fmt.Sprintf("/s%d", i), PreservePathPrefix: rapid.Bool().Draw(t, "keep")}}
		}
		c.StaticSites = append(c.StaticSites, s)
		if c.Specific.Components == nil {
			c.Specific.Components = map[string]ComponentFields{}
		}
		c.Specific.Components[s.Name] = ComponentFields{GitHub: &HostedSource{Repo: "acme/site", Branch: "main", DeployOnPush: true}, ErrorDocument: "oops.html"}
	}
}

func anyFields(t *rapid.T, c *Config) {
	if rapid.Bool().Draw(t, "app fields") {
		c.Specific.App = &AppFields{
			Egress: "DEDICATED_IP", DisableEdgeCache: rapid.Bool().Draw(t, "cache"), Maintenance: &Offline{Enabled: true},
			Databases:    []Database{{Name: "db", Engine: "PG", Production: true, ClusterName: "main"}},
			IngressRules: []IngressRule{{Authority: "old.example", Redirect: &Redirect{Authority: "new.example", Code: 301}}},
		}
	}
	if rapid.Bool().Draw(t, "service fields") {
		c.Specific.Service = &ComponentFields{Protocol: "HTTP2", Name: rapid.SampledFrom([]string{"", "front"}).Draw(t, "name")}
		if c.Autoscaling != nil {
			c.Specific.Service.RequestsPerSecond = 50
		}
	}
}
