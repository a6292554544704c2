package config

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gocodealone/wfctl/fault"
)

// example is the file of design.md, section 3.
const example = `version: 1
project: guestbook
imports: [database.yaml]
environments:
  local:   {}
  staging: {vars: {domain: staging.example.com}}
modules:
  - name: cloud
    type: iac.provider
    config: {provider: digitalocean, token: "${DIGITALOCEAN_TOKEN}"}
    environments: {local: {config: {provider: local}}}
  - name: records
    type: iac.state
    config: {backend: s3, bucket: guestbook-state, region: nyc3, endpoint: "https://nyc3.digitaloceanspaces.com"}
    environments: {local: {config: {backend: sqlite}}}
  - name: web
    type: infra.container_service
    config:
      provider: cloud
      image: "${{ images.guestbook }}"
      http_port: 8080
      env_vars: {DATABASE_URL: "${{ modules.db.outputs.connection_url }}"}
      health_check: {path: /healthz}
images: {guestbook: {builder: go, package: ./cmd/guestbook, registries: [ghcr]}}
migrations: {main: {database: db, dir: ./migrations}}
gates:
  healthy: {after: [web], timeout: 2m, targets: [{url: "${{ modules.web.outputs.url }}/healthz", expect_status: 200}]}
pipelines: {release: {steps: [{type: container_build}, {type: migrate, needs: container_build}]}}
moved: [{from: website, to: web}]
schedules: [{pipeline: release, env: staging, cron: "0 * * * *"}]
secrets: {generate: [{key: session_key, type: random_hex, length: 32}, {key: url, type: infra_output, source: db.connection_url}]}
-- database.yaml --
modules:
  - name: db
    type: infra.database
    config: {provider: cloud, engine: postgres, size: s}
    environments:
      local:   {config: {engine: sqlite}}
      staging:
        config: {name: guestbook-staging-db}
        outputs:
          connection_url: {sinks: [{type: github_secret, repo: "${{ github.repository }}", name: DATABASE_URL}]}
    outputs:
      host: {sensitive: false}
      connection_url: {sensitive: true}
`

func archive(text string) *txtar.Archive { return txtar.Parse([]byte("-- app.yaml --\n" + text)) }

func mustLoad(t testing.TB, text string) *File {
	t.Helper()
	f, err := Load(t.Context(), "app.yaml", files(archive(text)))
	if err != nil {
		t.Fatal(render(err))
	}
	return f
}

func TestLoadExample(t *testing.T) {
	f := mustLoad(t, example)
	if f.Project != "guestbook" || f.Dir != "." || !slices.Equal(f.Files, []string{"app.yaml", "database.yaml"}) {
		t.Errorf("project %q, dir %q, files %v", f.Project, f.Dir, f.Files)
	}
	var names []string
	for _, m := range f.Modules {
		names = append(names, m.Name+":"+m.Type)
	}
	want := []string{"db:infra.database", "cloud:iac.provider", "records:iac.state", "web:infra.container_service"}
	if !slices.Equal(names, want) {
		t.Errorf("modules %v", names)
	}
	if env, _ := f.Environment("staging"); env.Vars.Get("domain").Text != "staging.example.com" {
		t.Error("staging has no domain")
	}
	db := f.Modules[0]
	if p := db.Pos(); p != (fault.Position{File: "database.yaml", Line: 2, Column: 11}) {
		t.Errorf("db stands at %v", p)
	}
	if len(db.Overlays) != 2 || db.Overlays[1].Outputs.Get("connection_url") == nil {
		t.Errorf("overlays %+v", db.Overlays)
	}
	if got := string(f.Gates[0].Body.Get("after").AppendJSON(nil)); got != `["web"]` {
		t.Errorf("after %s", got)
	}
	if f.Moved[0].From != "website" || f.Schedules[0].Cron != "0 * * * *" || f.Secrets.Generate[1].Source != "db.connection_url" {
		t.Error("the small parts are not as written")
	}
}

// Without a top-level `environments:`, those that modules and entries name.
func TestEnvironmentsByModules(t *testing.T) {
	f := mustLoad(t, `project: p
modules:
  - {name: a, type: core.data, environments: {prod: {}, local: }}
images: {i: {environments: {test: {enabled: false}}}}
`)
	var names []string
	for _, e := range f.Environments {
		names = append(names, e.Name)
	}
	if !slices.Equal(names, []string{"local", "prod", "test"}) {
		t.Errorf("environments %v", names)
	}
}

// A file that two others import is read once.
func TestDiamondImport(t *testing.T) {
	f := mustLoad(t, `project: p
imports: [a.yaml, b.yaml]
-- a.yaml --
imports: [c.yaml]
-- b.yaml --
imports: [./c.yaml]
-- c.yaml --
modules: [{name: x, type: core.data}]
vars: {v: 1}
`)
	if len(f.Modules) != 1 || len(f.Files) != 4 {
		t.Errorf("%d modules of %v", len(f.Modules), f.Files)
	}
}

// What is right comes back beside what is wrong.
func TestLoadReturnsBoth(t *testing.T) {
	f, err := Load(t.Context(), "app.yaml", files(archive("project: p\nmodules: [{name: a, type: core.data, confg: 1}, {name: b, type: core.data}]\n")))
	if err == nil || f == nil || len(f.Modules) != 2 {
		t.Errorf("%v, %v", f, err)
	}
}

func TestLoadFails(t *testing.T) {
	none := func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	if _, err := Load(t.Context(), "app.yaml", none); fault.CodeOf(err) != fault.NotFound || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	denied := func(string) ([]byte, error) { return nil, fs.ErrPermission }
	if _, err := Load(t.Context(), "app.yaml", denied); fault.CodeOf(err) != fault.Environment {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, "app.yaml", none); fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("%v", err)
	}
}

func TestManifest(t *testing.T) {
	a := txtar.Parse([]byte(`-- wfctl.yaml --
version: 1
plugins:
  - name: workflow-plugin-digitalocean
    version: v0.7.6
    source: github.com/GoCodeAlone/workflow-plugin-digitalocean
    auth: {env: GH_TOKEN}
    verify: {identity: "https://github.com/x", issuer: "https://token.actions.githubusercontent.com"}
registries:
  - {name: ghcr, type: github, host: ghcr.io, namespace: acme, auth: {username_source: github.actor, password_env: GITHUB_TOKEN}}
  - {name: docr, type: digitalocean, host: registry.digitalocean.com, provider: cloud}
mirrors: [{from: "github.com/", to: "https://mirror.example.com/"}]
-- app.yaml --
project: p
requires: {plugins: [{name: workflow-plugin-digitalocean, version: v0.1.0}, {name: other, version: v1.0.0}]}
registries: [{name: ghcr, type: docker}, {name: hub, type: docker}]
`))
	m, err := LoadManifest(t.Context(), "wfctl.yaml", files(a))
	if err != nil {
		t.Fatal(render(err))
	}
	f, err := Load(t.Context(), "app.yaml", files(a))
	if err != nil || len(f.Warnings) != 1 {
		t.Fatalf("%v, %d warnings", err, len(f.Warnings))
	}
	all := m.WithLegacy(f)
	if len(all.Plugins) != 2 || all.Plugins[0].Version != "v0.7.6" || all.Plugins[0].AuthEnv != "GH_TOKEN" || all.Plugins[1].Name != "other" {
		t.Errorf("plugins %+v", all.Plugins)
	}
	if len(all.Registries) != 3 || all.Registries[0].Type != "github" || all.Registries[2].Name != "hub" {
		t.Errorf("registries %+v", all.Registries)
	}
	if len(m.Plugins) != 1 || m.Mirrors[0].To != "https://mirror.example.com/" {
		t.Errorf("the manifest itself has changed: %+v", m)
	}
	if m, err := LoadManifest(t.Context(), "lost.yaml", files(a)); err != nil || m.Exists {
		t.Errorf("%+v, %v", m, err)
	}
}

// Steps of the old shape have their options beside their type.
func TestOldPipelines(t *testing.T) {
	f := mustLoad(t, "project: p\npipelines: {a: [{type: http, url: u, timeout: 5s}, {type: http}, {name: last, type: jq}]}\n")
	p, faults := DecodePipeline("a", f.Pipelines[0].Body)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var names []string
	for _, s := range p.Steps {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"http", "http-2", "last"}) || p.Steps[0].With.Get("url").Text != "u" {
		t.Errorf("steps %v", names)
	}
}

// The published schema takes what Load takes, and refuses what it refuses.
func TestSchema(t *testing.T) {
	raw, err := Schema(map[string]json.RawMessage{
		"infra.database": json.RawMessage(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,"required":["engine"],
			"properties":{"engine":{"enum":["postgres","sqlite"],"description":"which"},"size":{"$ref":"#/$defs/size"},"port":{"type":"integer"}},
			"$defs":{"size":{"type":"string","enum":["s","m"]}}}`),
		"core.data": json.RawMessage(`{"type":"object","required":["values"],"properties":{"values":{"type":"object"}},"additionalProperties":false}`),
		"migration": json.RawMessage(`{"type":"object","required":["database_url","dir"],"properties":{"database_url":{"type":"string"},"dir":{"type":"string"}},"additionalProperties":false}`),
		"gate":      json.RawMessage(`{"type":"object","required":["targets"],"properties":{"targets":{"type":"array"},"timeout":{"type":"string"}},"additionalProperties":false}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	schema := compileSchema(t, raw)
	for text, ok := range map[string]bool{
		strings.Split(example, "-- database")[0]:                                                                                   true,
		strings.Split(example, "-- database.yaml --\n")[1]:                                                                         true,
		"modules: [{name: a, type: infra.database, config: {engine: sqlit}}]":                                                      false,
		"modules: [{name: a, type: infra.database, config: {engine: \"${E}\"}}]":                                                   true,
		"modules: [{name: a, type: infra.database, config: {size: s}}]":                                                            false,
		"modules: [{name: a, type: infra.database, config: {engine: sqlite, size: x}}]":                                            false,
		"modules: [{name: a, type: infra.database, config: {engine: sqlite, port: \"${{ vars.p }}\"}}]":                            true,
		"modules: [{name: a, type: infra.database, config: {engine: sqlite, port: \"80\"}}]":                                       false,
		"modules: [{name: a, type: infra.database, config: {engine: sqlite}, environments: {x: {config: {size: m, port: null}}}}]": true,
		"modules: [{name: a, type: infra.database, config: {engine: sqlite}, environments: {x: {config: {siz: m}}}}]":              false,
		"modules: [{name: a, type: core.data}]":                                                                                    true,
		"modules: [{name: a, type: core.data, config: {values: {a: [1, {b: c}]}}}]":                                                true,
		"modules: [{name: a, type: core.data, config: {value: {}}}]":                                                               false,
		"modules: [{name: a, type: hello.greeting, config: {any: thing}}]":                                                         true,
		"modules: [{name: a, type: hello.greeting, confg: {}}]":                                                                    false,
		"modules: [{name: a}]": false,
		"modules: [{name: a, type: iac.provider, config: {token: x}}]":              false,
		"modules: [{name: a, type: core.data, outputs: {x: {sinks: [{name: x}]}}}]": false,
		"migrations: {m: {database: db, dir: ./m, environments: {x: {dir: y}}}}":    true,
		"migrations: {m: {database: db}}":                                           false,
		"gates: {g: {after: [a], targets: [], enabled: false}}":                     true,
		"gates: {g: {afer: [a], targets: []}}":                                      false,
		"pipelines: {p: {steps: [{type: a, with: {}}]}, q: [{type: b, x: y}]}":      true,
		"pipelines: {p: {step: []}}":                                                false,
		"x-anything: {a: 1}":                                                        true,
		"module: []":                                                                false,
		"version: 2":                                                                false,
	} {
		var v any
		if err := json.Unmarshal(parseOne(t, text).AppendJSON(nil), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != ok {
			t.Errorf("%s\nvalid should be %t: %v", text, ok, err)
		}
	}
}

func compileSchema(t *testing.T, raw json.RawMessage) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:app", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:app")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
