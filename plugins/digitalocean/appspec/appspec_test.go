package appspec

import (
	"cmp"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

func config(t testing.TB, text string) Config {
	t.Helper()
	c, err := Decode(sdk.Config{JSON: json.RawMessage(text)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func none(sdk.Path) bool { return false }

func asJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// A whole configuration, and the spec that a reader of App Platform's
// documentation would write for it.
func TestWholeConfiguration(t *testing.T) {
	c := config(t, `{
		"region": "nyc3", "image": "ghcr.io/acme/web@sha256:`+strings.Repeat("a", 64)+`", "http_port": 8080, "size": "s", "instance_count": 2,
		"env_vars": {"LOG": "info", "DATABASE_URL": "postgres://secret"}, "env_vars_secret": {"KEY": "k"},
		"routes": [{"path": "/"}, {"path": "/v1", "preserve_path_prefix": true}],
		"cors": {"origins": ["https://acme.example", "https://*.acme.example"], "methods": ["GET"], "max_age": "5m"},
		"domains": [{"name": "acme.example", "primary": true, "zone": "acme.example"}],
		"health_check": {"path": "/healthz", "interval": "10s", "timeout": "2s", "failure_threshold": 3, "success_threshold": 1, "initial_delay": "5s", "port": 8080},
		"liveness_check": {"path": "/livez"},
		"jobs": [{"name": "migrate", "kind": "pre_deploy", "run_command": "migrate up"}],
		"workers": [{"name": "mailer", "image": "registry.digitalocean.com/acme/mailer:v2", "autoscaling": {"min": 1, "max": 3, "cpu_percent": 70}}],
		"alerts": [{"rule": "deployment_failed"}, {"rule": "cpu_utilization", "operator": ">", "value": 80, "window": "5m"}],
		"log_destinations": [{"name": "papers", "endpoint": "logs.example:1234"}],
		"termination": {"drain": "15s", "grace_period": "1m"}, "internal_ports": [9090],
		"provider_specific": {"registry_credentials": "bot:token", "app": {"egress": "DEDICATED_IP"}}
	}`)
	if list := Validate(c); len(list) != 0 {
		t.Fatal(list)
	}
	spec, err := To("shop", c, "vpc-id", func(p sdk.Path) bool { return p == "/env_vars/DATABASE_URL" })
	if err != nil {
		t.Fatal(err)
	}
	want := `{
		"name": "shop", "region": "nyc", "vpc": {"id": "vpc-id"}, "egress": {"type": "DEDICATED_IP"},
		"services": [{"name": "web", "image": {"registry_type": "GHCR", "registry": "acme", "repository": "web", "digest": "sha256:` + strings.Repeat("a", 64) + `", "registry_credentials": "bot:token"},
			"envs": [{"key": "DATABASE_URL", "value": "postgres://secret", "scope": "RUN_AND_BUILD_TIME", "type": "SECRET"},
				{"key": "KEY", "value": "k", "scope": "RUN_AND_BUILD_TIME", "type": "SECRET"}, {"key": "LOG", "value": "info", "scope": "RUN_AND_BUILD_TIME", "type": "GENERAL"}],
			"instance_size_slug": "apps-s-1vcpu-1gb", "instance_count": 2, "http_port": 8080, "internal_ports": [9090],
			"health_check": {"http_path": "/healthz", "period_seconds": 10, "timeout_seconds": 2, "failure_threshold": 3, "success_threshold": 1, "initial_delay_seconds": 5, "port": 8080},
			"liveness_health_check": {"http_path": "/livez"},
			"alerts": [{"rule": "CPU_UTILIZATION", "operator": "GREATER_THAN", "value": 80, "window": "FIVE_MINUTES"}],
			"log_destinations": [{"name": "papers", "papertrail": {"endpoint": "logs.example:1234"}}],
			"termination": {"drain_seconds": 15, "grace_period_seconds": 60}}],
		"workers": [{"name": "mailer", "image": {"registry_type": "DOCR", "repository": "mailer", "tag": "v2"},
			"envs": [{"key": "DATABASE_URL", "value": "postgres://secret", "scope": "RUN_AND_BUILD_TIME", "type": "SECRET"},
				{"key": "KEY", "value": "k", "scope": "RUN_AND_BUILD_TIME", "type": "SECRET"}, {"key": "LOG", "value": "info", "scope": "RUN_AND_BUILD_TIME", "type": "GENERAL"}],
			"instance_size_slug": "apps-d-1vcpu-0.5gb", "autoscaling": {"min_instance_count": 1, "max_instance_count": 3, "metrics": {"cpu": {"percent": 70}}}}],
		"jobs": [{"name": "migrate", "kind": "PRE_DEPLOY", "run_command": "migrate up",
			"image": {"registry_type": "GHCR", "registry": "acme", "repository": "web", "digest": "sha256:` + strings.Repeat("a", 64) + `", "registry_credentials": "bot:token"},
			"envs": [{"key": "DATABASE_URL", "value": "postgres://secret", "scope": "RUN_AND_BUILD_TIME", "type": "SECRET"},
				{"key": "KEY", "value": "k", "scope": "RUN_AND_BUILD_TIME", "type": "SECRET"}, {"key": "LOG", "value": "info", "scope": "RUN_AND_BUILD_TIME", "type": "GENERAL"}],
			"instance_size_slug": "apps-s-1vcpu-0.5gb", "instance_count": 1}],
		"domains": [{"domain": "acme.example", "type": "PRIMARY", "zone": "acme.example"}],
		"alerts": [{"rule": "DEPLOYMENT_FAILED"}],
		"ingress": {"rules": [
			{"match": {"path": {"prefix": "/v1"}}, "component": {"name": "web", "rewrite": "/v1"}, "cors": {"allow_origins": [{"exact": "https://acme.example"}, {"regex": "https://.*\\.acme\\.example"}], "allow_methods": ["GET"], "max_age": "5m0s"}},
			{"match": {"path": {"prefix": "/"}}, "component": {"name": "web"}, "cors": {"allow_origins": [{"exact": "https://acme.example"}, {"regex": "https://.*\\.acme\\.example"}], "allow_methods": ["GET"], "max_age": "5m0s"}}]}
	}`
	var a, b any
	if json.Unmarshal([]byte(want), &a) != nil || json.Unmarshal([]byte(asJSON(t, spec)), &b) != nil {
		t.Fatal("the test's own JSON")
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the spec is\n%s\nwant\n%s", asJSON(t, b), asJSON(t, a))
	}
}

// asShown is a spec as the platform gives it back: completed, its secrets
// encrypted, written and read as JSON.
func asShown(t testing.TB, spec *godo.AppSpec) *godo.AppSpec {
	t.Helper()
	shown := &godo.AppSpec{}
	if err := json.Unmarshal([]byte(asJSON(t, spec)), shown); err != nil {
		t.Fatal(err)
	}
	n := 0
	eachEnv(shown, func(_ string, e *godo.AppVariableDefinition) {
		if e.Type == godo.AppVariableType_Secret {
			n++
			e.Value = "EV[1:" + strings.Repeat("x", n) + "]"
		}
	})
	for _, s := range shown.Services {
		if h := s.HealthCheck; h != nil {
			h.PeriodSeconds, h.FailureThreshold = cmp.Or(h.PeriodSeconds, 10), cmp.Or(h.FailureThreshold, 9)
		}
	}
	return shown
}

// What is read back of an app that nobody touched is what was asked for.
func TestNoDriftProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := anyConfig().Draw(r, "config")
		spec, err := To("app", c, "", none)
		if err != nil {
			r.Fatal(err)
		}
		found, others, err := Describe(asShown(t, spec), c, "")
		if err != nil || len(others) != 0 {
			r.Fatal(others, err)
		}
		if got, want := asJSON(t, found), asJSON(t, c); got != want {
			r.Errorf("read back\n%s\nof\n%s", got, want)
		}
	})
}

// An imported configuration makes the app that it was read of.
func TestImportProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		spec, err := To("app", anyConfig().Draw(r, "config"), "", none)
		if err != nil {
			r.Fatal(err)
		}
		live := asShown(t, spec)
		c, others := From(live, Hints{Registry: "acme", Import: true})
		if list := Validate(c); len(list)+len(others) != 0 {
			r.Fatal(list, others)
		}
		again, err := To("app", c, "", none)
		if err != nil {
			r.Fatal(err)
		}
		if got, want := asJSON(t, again), asJSON(t, live); got != want {
			r.Errorf("made again\n%s\nof\n%s", got, want)
		}
	})
}

// What somebody changes is seen, and that alone.
func TestDriftProperty(t *testing.T) {
	changes := map[string]func(*godo.AppSpec){
		"image":          func(s *godo.AppSpec) { s.Services[0].Image.Tag, s.Services[0].Image.Digest = "by-hand", "" },
		"http_port":      func(s *godo.AppSpec) { s.Services[0].HTTPPort = 4711 },
		"instance_count": func(s *godo.AppSpec) { s.Services[0].InstanceCount += 3 },
		"size":           func(s *godo.AppSpec) { s.Services[0].InstanceSizeSlug = "apps-d-8vcpu-32gb" },
		"env_vars": func(s *godo.AppSpec) {
			s.Services[0].Envs = append(s.Services[0].Envs, &godo.AppVariableDefinition{Key: "BY_HAND", Value: "x"})
		},
		"health_check": func(s *godo.AppSpec) { s.Services[0].HealthCheck.HTTPPath = "/by-hand" },
		"routes":       func(s *godo.AppSpec) { s.Ingress.Rules[0].Match.Path.Prefix = godo.PtrTo("/by-hand") },
		"cors":         func(s *godo.AppSpec) { s.Ingress.Rules[0].CORS.AllowMethods = []string{"TRACE"} },
		"domains":      func(s *godo.AppSpec) { s.Domains = nil },
		"alerts":       func(s *godo.AppSpec) { s.Services[0].Alerts[0].Value++ },
		"workers":      func(s *godo.AppSpec) { s.Workers[0].RunCommand = "by hand" },
	}
	c := config(t, `{"image": "docker.io/acme/web:1", "http_port": 80, "instance_count": 2, "size": "s", "env_vars": {"A": "b"}, "health_check": {"path": "/"},
		"routes": [{"path": "/x"}], "cors": {"origins": ["https://a"], "methods": ["GET"]}, "domains": [{"name": "a.example"}],
		"alerts": [{"rule": "CPU_UTILIZATION", "operator": "GREATER_THAN", "value": 5, "window": "ONE_HOUR"}],
		"workers": [{"name": "work", "run_command": "work"}]}`)
	for key, change := range changes {
		t.Run(key, func(t *testing.T) {
			spec, err := To("app", c, "", none)
			if err != nil {
				t.Fatal(err)
			}
			live := asShown(t, spec)
			change(live)
			found, _, err := Describe(live, c, "")
			if err != nil {
				t.Fatal(err)
			}
			want, _ := object(c)
			got, _ := object(found)
			for k := range want {
				if same := reflect.DeepEqual(got[k], want[k]); same != (k != key) {
					t.Errorf("%s: found %v, recorded %v", k, got[k], want[k])
				}
			}
		})
	}
}

func TestImages(t *testing.T) {
	for text, want := range map[string]string{
		"registry.digitalocean.com/acme/team/web:v1":    `{"registry_type":"DOCR","repository":"team/web","tag":"v1"}`,
		"ghcr.io/acme/team/web":                         `{"registry_type":"GHCR","registry":"acme","repository":"team/web","tag":"latest"}`,
		"nginx":                                         `{"registry_type":"DOCKER_HUB","registry":"library","repository":"nginx","tag":"latest"}`,
		"acme/web:v1@sha256:" + strings.Repeat("0", 64): `{"registry_type":"DOCKER_HUB","registry":"acme","repository":"web","digest":"sha256:` + strings.Repeat("0", 64) + `"}`,
	} {
		image, err := parseImage(text)
		if err != nil || asJSON(t, image) != want {
			t.Errorf("%s is %s, %v", text, asJSON(t, image), err)
			continue
		}
		again, err := parseImage(formatImage(image, "acme"))
		if err != nil || !reflect.DeepEqual(again, image) {
			t.Errorf("%s is written as %s", text, formatImage(image, "acme"))
		}
	}
	for _, text := range []string{"quay.io/acme/web", "Not An Image", "registry.digitalocean.com/acme", "localhost:5000/a/b"} {
		if image, err := parseImage(text); sdk.CodeOf(err) != sdk.CodeInvalid {
			t.Errorf("%s is %v, %v", text, image, err)
		}
	}
}

// Secrets whose value is not at hand keep the one that the platform has.
func TestKeepSecrets(t *testing.T) {
	c := Config{ContainerService: infra.ContainerService{Component: infra.Component{Image: "acme/web", EnvVars: map[string]string{"A": Opaque}, EnvVarsSecret: map[string]string{"B": "new", "C": Opaque}}}}
	spec, err := To("app", c, "", none)
	if err != nil {
		t.Fatal(err)
	}
	live := &godo.AppSpec{Services: []*godo.AppServiceSpec{{Name: "web", Envs: []*godo.AppVariableDefinition{{Key: "A", Value: "EV[a]", Type: godo.AppVariableType_Secret}}}}}
	if missing := KeepSecrets(spec, live); !reflect.DeepEqual(missing, []string{"C"}) {
		t.Errorf("missing: %q", missing)
	}
	if envs := asJSON(t, spec.Services[0].Envs); !strings.Contains(envs, `"EV[a]"`) || !strings.Contains(envs, `"new"`) || strings.Contains(envs, `"A","value":"\u0000`) {
		t.Errorf("variables: %s", envs)
	}
}

func TestGatewayRoundTrip(t *testing.T) {
	raw := json.RawMessage(`{"region": "fra1", "size": "xs", "routes": [{"path": "/", "target": "https://www.example/base/"}, {"path": "/api/", "target": "shop"},
		{"path": "/api/v2", "target": "http://10.0.0.3:9000", "preserve_path_prefix": true}], "cors": {"origins": ["*"]}, "domains": [{"name": "api.example", "primary": true}]}`)
	g, err := sdk.Decode[Gateway](sdk.Config{JSON: raw})
	if err != nil {
		t.Fatal(err)
	}
	if list := ValidateGateway(g); len(list) != 0 {
		t.Fatal(list)
	}
	targets := Targets{"shop": "https://shop-x.ondigitalocean.app"}
	spec, err := ToGateway("edge", g, "", targets)
	if err != nil {
		t.Fatal(err)
	}
	live := asShown(t, spec)
	found, ok, err := DescribeGateway(live, g, "", targets)
	if err != nil || !ok || asJSON(t, found) != asJSON(t, g) {
		t.Errorf("read back %s, want %s: %v", asJSON(t, found), asJSON(t, g), err)
	}
	imported, ok := FromGateway(live, targets)
	again, err := ToGateway("edge", imported.Bare(), "", targets)
	if err != nil || !ok || asJSON(t, again) != asJSON(t, live) {
		t.Errorf("made again\n%s\nof\n%s: %v", asJSON(t, again), asJSON(t, live), err)
	}
	// The app behind a name moved: its route is as it should not be.
	found, _, err = DescribeGateway(live, g, "", Targets{"shop": "https://elsewhere.example"})
	if err != nil || found.Routes[1].Target != "https://shop-x.ondigitalocean.app:443" || found.Routes[0] != g.Routes[0] {
		t.Errorf("after a move: %+v, %v", found.Routes, err)
	}
}
