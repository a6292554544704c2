package resolve

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Maps merge deeply, lists and scalars replace, null removes.
func TestOverlays(t *testing.T) {
	for name, c := range map[string]struct{ base, over, want string }{
		"nothing":      {"{a: 1}", "{}", `{"a":1}`},
		"deep":         {"{a: {b: 1, c: 2}}", "{a: {c: 3, d: 4}}", `{"a":{"b":1,"c":3,"d":4}}`},
		"list":         {"{a: [1, 2]}", "{a: [3]}", `{"a":[3]}`},
		"scalar":       {"{a: {b: 1}}", "{a: 5}", `{"a":5}`},
		"to map":       {"{a: 5}", "{a: {b: 1, c: null}}", `{"a":{"b":1}}`},
		"null":         {"{a: 1, b: {c: 1, d: 2}}", "{a: null, b: {c: null}}", `{"b":{"d":2}}`},
		"null unknown": {"{a: 1}", "{b: null, c: {d: null}}", `{"a":1,"c":{}}`},
		"null in list": {"{a: [1]}", "{a: [null]}", `{"a":[null]}`},
		"null base":    {"{a: null}", "{}", `{"a":null}`},
		"all":          {"{a: 1}", "null", `{}`},
		"empty map":    {"{a: {b: 1}}", "{a: {}}", `{"a":{"b":1}}`},
	} {
		text := header + "modules: [{name: m, type: core.data, config: " + c.base + ", environments: {prod: {config: " + c.over + "}}}]\n"
		for env, want := range map[string]string{"prod": c.want, "local": mustJSONOf(t, c.base)} {
			if got := string(resolved(t, nodeOf(t, mustResolve(t, text, env, nil), "m"), fakeScope{}).Config.JSON); got != want {
				t.Errorf("%s in %s: %s, want %s", name, env, got, want)
			}
		}
	}
}

// mustJSONOf is the JSON of a value in YAML, with sorted members.
func mustJSONOf(t *testing.T, text string) string {
	t.Helper()
	f := mustLoad(t, "project: p\nvars: {v: "+text+"}\n")
	return string(compactJSON(f.Vars.Get("v").AppendJSON(nil)))
}

// Laying an overlay over twice is the same as once, and an empty one changes
// nothing.
func TestMergeIsIdempotent(t *testing.T) {
	values := rapid.Custom(func(t *rapid.T) string { return drawValue(t, 3) })
	rapid.Check(t, func(rt *rapid.T) {
		text := "project: p\nvars: {a: {x: " + values.Draw(rt, "a") + "}, b: {x: " + values.Draw(rt, "b") + "}}\n"
		f := mustLoad(t, text)
		a, b := f.Vars.Get("a"), f.Vars.Get("b")
		once := merge(a, b)
		if got, want := string(merge(once, b).AppendJSON(nil)), string(once.AppendJSON(nil)); got != want {
			rt.Fatalf("twice %s, once %s (%s)", got, want, text)
		}
		empty := config.NewMap(a)
		if got, want := string(merge(a, empty).AppendJSON(nil)), string(a.AppendJSON(nil)); got != want {
			rt.Fatalf("an empty overlay makes %s of %s", got, want)
		}
	})
}

func drawValue(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 && kind > 3 {
		kind = 0
	}
	switch kind {
	case 0:
		return rapid.SampledFrom([]string{"1", "2.5", "true", "null", "word", "''"}).Draw(t, "scalar")
	case 4:
		return "[" + drawValue(t, depth-1) + ", " + drawValue(t, depth-1) + "]"
	case 5:
		return "{a: " + drawValue(t, depth-1) + ", b: " + drawValue(t, depth-1) + "}"
	}
	return rapid.SampledFrom([]string{"x", "y", "7"}).Draw(t, "word")
}

// Where an overlay changes the provider or the backend, the options of the
// base mean nothing any more.
func TestProviderAndBackendReplaceTheConfig(t *testing.T) {
	text := header + `modules:
  - name: cloud
    type: iac.provider
    config: {provider: digitalocean, token: "${DIGITALOCEAN_TOKEN}"}
    environments: {local: {config: {provider: local}}, prod: {config: {region: fra1}}}
  - name: records
    type: iac.state
    config: {backend: s3, bucket: b}
    environments: {local: {config: {backend: sqlite, path: x.db}}, prod: {config: {bucket: c}}}
`
	local := mustResolve(t, text, "local", nil) // no token is asked for
	if p := local.Providers[0]; p.Kind != "local" || asText(t, p.Config) != `{}` {
		t.Errorf("provider %s %s", p.Kind, asText(t, p.Config))
	}
	if s := local.State; s.Backend != "sqlite" || asText(t, s.Config) != `{"path":"x.db"}` {
		t.Errorf("state %s %s", s.Backend, asText(t, s.Config))
	}
	prod := mustResolve(t, text, "prod", map[string]string{"DIGITALOCEAN_TOKEN": "t0ken"})
	if p := prod.Providers[0]; p.Kind != "digitalocean" || asText(t, p.Config) != `{"region":"fra1","token":"t0ken"}` {
		t.Errorf("provider %s %s", p.Kind, asText(t, p.Config))
	}
	if s := prod.State; s.Backend != "s3" || asText(t, s.Config) != `{"bucket":"c"}` {
		t.Errorf("state %s %s", s.Backend, asText(t, s.Config))
	}
}

func asText(t *testing.T, in resource.Input) string {
	t.Helper()
	r, err := in.Resolve(fakeScope{})
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Config.JSON)
}

func TestChoiceOfEnvironment(t *testing.T) {
	const none, one, two = "project: p\n", "project: p\nenvironments: {prod: {}}\n", header
	for _, c := range []struct {
		text, env, want string
		code            fault.Code
	}{
		{none, "", "default", ""}, {none, "default", "default", ""}, {one, "default", "", fault.Usage}, {none, "prod", "", fault.Usage},
		{one, "", "prod", ""}, {one, "prod", "prod", ""}, {one, "local", "", fault.Usage},
		{two, "", "", fault.Usage}, {two, "local", "local", ""}, {two, "Local", "", fault.Usage},
	} {
		set, err := Resolve(mustLoad(t, c.text), Options{Env: c.env, Getenv: getenv(nil)})
		if fault.CodeOf(err) != c.code {
			t.Errorf("--env %q: %v", c.env, err)
		} else if err == nil && set.Environment.Name() != c.want {
			t.Errorf("--env %q is %q, want %q", c.env, set.Environment.Name(), c.want)
		} else if err != nil && set != nil {
			t.Errorf("--env %q falls back to %q", c.env, set.Environment.Name())
		}
	}
}

const system = header + `modules:
  - {name: cloud, type: iac.provider, config: {provider: local}}
  - name: db
    type: infra.database
    config: {name: "shop-${{ environment }}-db", engine: sqlite}
    outputs: {host: {sensitive: false}, connection_url: {sensitive: true, sinks: [{type: github_secret, name: "DB_${{ environment }}", repo: "${{ github.repository }}"}]}}
    lifecycle: {prevent_destroy: true, ignore_changes: [users, "env_vars.A", "routes[0].path", /port]}
    environments: {local: {lifecycle: {prevent_destroy: false}}}
    import: {id: "id-${{ environment }}"}
  - name: web
    type: infra.container_service
    config: {image: "${{ images.app }}", env_vars: {URL: "${{ modules.db.outputs.connection_url }}"}}
  - {name: worker, type: infra.container_service, depends_on: [web, cloud], config: {image: "${{ images.app.digest }}"}}
  - {name: notes, type: core.data, config: {values: {url: "${{ modules.db.outputs.connection_url }}", of: "${{ modules.db.name }}"}}}
images:
  app: {builder: go, package: ./cmd/app, environments: {prod: {platforms: [linux/amd64]}}}
  old: {builder: go, enabled: false}
migrations: {main: {database: db, dir: ./migrations, depends_on: [notes]}}
gates: {healthy: {after: [web, migration.main], timeout: 1m, environments: {prod: {timeout: 5m, after: [web]}}}}
pipelines: {release: {steps: [{type: migrate}], environments: {prod: {steps: [{type: approval}, {type: migrate}]}}}}
`

func TestNodes(t *testing.T) {
	set := mustResolve(t, system, "prod", map[string]string{"GITHUB_REPOSITORY": "acme/shop"})
	deps := map[resource.Address]string{}
	for _, d := range set.Nodes {
		deps[d.Address()] = fmt.Sprint(d.DependsOn())
	}
	want := map[resource.Address]string{
		"db": "[]", "web": "[db image.app migration.main]", "worker": "[image.app web]", "notes": "[db]",
		"image.app": "[]", "migration.main": "[db notes]", "gate.healthy": "[web]", "secret.db.connection_url": "[db]",
	}
	for a, w := range want {
		if deps[a] != w {
			t.Errorf("%s depends on %s, want %s", a, deps[a], w)
		}
	}
	if len(deps) != len(want) {
		t.Errorf("nodes %v", deps)
	}
	db := nodeOf(t, set, "db")
	if db.Name() != "shop-prod-db" || db.ImportID() != "id-prod" || db.Provider() != (resource.Provider{Address: "cloud", Kind: "local"}) {
		t.Errorf("db is %q %q %v", db.Name(), db.ImportID(), db.Provider())
	}
	life := db.Lifecycle()
	if !life.PreventDestroy || !slices.Equal(life.IgnoreChanges, []sdk.Path{"/users", "/env_vars/A", "/routes/0/path", "/port"}) {
		t.Errorf("lifecycle %+v", life)
	}
	out := db.Outputs()["connection_url"]
	if !*out.Sensitive {
		t.Errorf("outputs %+v", out)
	}
	delivery := nodeOf(t, set, "secret.db.connection_url")
	if got := asText(t, delivery.Config()); got != `{"sinks":[{"name":"DB_prod","options":{"repo":"acme/shop"},"sink":"github_secret"}],"source":"db.connection_url","value":null}` {
		t.Errorf("the delivery %s is %s", delivery.Name(), got)
	}
	if got := asText(t, nodeOf(t, set, "gate.healthy").Config()); got != `{"timeout":"5m"}` {
		t.Errorf("the gate is %s", got)
	}
	if got := asText(t, nodeOf(t, set, "image.app").Config()); got != `{"builder":"go","package":"./cmd/app","platforms":["linux/amd64"]}` {
		t.Errorf("the image is %s", got)
	}
	if p := set.Pipelines[0]; len(p.Steps) != 2 || p.Steps[0].Type != "approval" {
		t.Errorf("the pipeline is %+v", p)
	}
	local := mustResolve(t, system, "local", map[string]string{"GITHUB_REPOSITORY": "acme/shop"})
	if nodeOf(t, local, "db").Lifecycle().PreventDestroy || len(local.Pipelines[0].Steps) != 1 {
		t.Error("local has what is prod's")
	}
}

// A module that is named where the portable types name resources is waited for
// as if it were referred to.
func TestNamesOfModulesAreReferences(t *testing.T) {
	set := mustResolve(t, header+`modules:
  - {name: cloud, type: iac.provider, config: {provider: local}}
  - {name: net, type: infra.vpc, config: {name: "${{ environment }}-net"}}
  - {name: db, type: infra.database, config: {engine: postgres, vpc_ref: "${NET}", trusted_sources: [web]}}
  - {name: web, type: infra.droplet, config: {vpc_ref: prod-net, env_vars: {targets: db}, volumes: ["${{ modules.disk.outputs.id }}", nothing]}}
  - {name: disk, type: infra.volume, config: {size: xs, tags: [web]}}
  - {name: cert, type: infra.certificate, config: {domains: [example.com]}}
  - {name: edge, type: infra.load_balancer, config: {targets: ["droplet:web", "tag:cert", "https://net"], rules: [{certificate: cert}]}}
  - {name: wall, type: infra.firewall, config: {targets: [web, wall], inbound: [{sources: [edge, "10.0.0.0/8"]}], provider_specific: {sources: [db]}}}
  - {name: a, type: infra.droplet, config: {url: "${{ modules.b.outputs.id }}"}}
  - {name: b, type: infra.droplet, config: {targets: [a]}}
  - {name: note, type: core.data, config: {values: {targets: [a]}}}
`, "prod", map[string]string{"NET": "net"})
	for name, want := range map[resource.Address]string{
		"db": "[net]", "web": "[disk net]", "disk": "[]", "edge": "[cert web]", "wall": "[edge web]", "a": "[b]", "b": "[]", "note": "[]",
	} {
		if got := fmt.Sprint(nodeOf(t, set, name).DependsOn()); got != want {
			t.Errorf("%s depends on %s, want %s", name, got, want)
		}
	}
}

// Failure 2: no name of the base is left anywhere once an environment renames.
func TestNamesAreTheEnvironments(t *testing.T) {
	set := mustResolve(t, system, "prod", map[string]string{"GITHUB_REPOSITORY": "acme/shop"})
	known := fakeScope{outputs: map[resource.Ref]sdk.Output{{Address: "db", Output: "connection_url"}: sdk.SecretOut("u")}}
	if got := string(resolved(t, nodeOf(t, set, "notes"), known).Config.JSON); got != `{"values":{"of":"shop-prod-db","url":"u"}}` {
		t.Errorf("notes are %s", got)
	}
}

// The configuration of a provider may refer to a resource: everything of that
// provider waits for it.
func TestProviderReferences(t *testing.T) {
	set := mustResolve(t, header+`modules:
  - {name: secret, type: core.data}
  - {name: cloud, type: iac.provider, config: {provider: local, token: "${{ modules.secret.outputs.token }}"}}
  - {name: db, type: infra.database}
`, "local", nil)
	if got := nodeOf(t, set, "db").DependsOn(); !slices.Equal(got, []resource.Address{"secret"}) {
		t.Errorf("db depends on %v", got)
	}
}

func TestEnabled(t *testing.T) {
	text := header + `modules:
  - {name: a, type: core.data, enabled: false, environments: {prod: {enabled: true}}}
  - {name: b, type: core.data, environments: {prod: {enabled: false}}}
  - {name: c, type: core.data, enabled: "${{ environment == 'prod' }}"}
  - {name: d, type: core.data, enabled: false, environments: {prod: {enabled: null}}}
`
	for env, want := range map[string][]resource.Address{"prod": {"a", "c", "d"}, "local": {"b"}} {
		var got []resource.Address
		for _, d := range mustResolve(t, text, env, nil).Nodes {
			got = append(got, d.Address())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", env, got, want)
		}
	}
}

func TestLocate(t *testing.T) {
	d := nodeOf(t, mustResolve(t, "project: p\nmodules:\n  - name: m\n    type: core.data\n    config:\n      a: {b: [1, 2]}\n      c:\n        d: x\n", "", nil), "m")
	for p, want := range map[sdk.Path]string{
		"": "app.yaml:6:7", "/a": "app.yaml:6:7", "/a/b/1": "app.yaml:6:18", "/a/b/9": "app.yaml:6:11", "/c": "app.yaml:7:7",
		"/c/d": "app.yaml:8:12", "/c/e": "app.yaml:7:7", "/zz/y": "app.yaml:6:7",
	} {
		if got := d.Config().Locate(p).String(); got != want {
			t.Errorf("%q is at %s, want %s", p, got, want)
		}
	}
	if f := Fault(d.Config(), "/c/d", "wrong"); f.Pos.Line != 8 || f.Source != "        d: x" {
		t.Errorf("%+v", f)
	}
}

const taints = header + `vars: {secretive: "x-${API_TOKEN}", plain: p}
modules:
  - {name: db, type: core.data}
  - name: m
    type: core.data
    config:
      exact: "${{ modules.db.outputs.url }}"
      text: "u=${{ modules.db.outputs.url }};v=${{ vars.plain }}"
      two: "${{ modules.db.outputs.url }}${{ modules.db.outputs.host }}"
      deep: "${{ modules.db.outputs.tree.leaf }}"
      chosen: "${{ vars.plain == 'p' && modules.db.outputs.url || modules.db.outputs.host }}"
      host: "${{ modules.db.outputs.host }}"
      port: "${{ modules.db.outputs.port }}"
      env: "${API_TOKEN}"
      viavars: "${{ vars.secretive }}"
      secret: "${{ secrets.PLAIN }}"
      mixed: "${API_TOKEN}@${{ modules.db.outputs.host }}"
      open: "${{ modules.db.outputs.later }} ${{ modules.db.outputs.url }}"
      plain: "${PLAIN}"
      list: ["${{ modules.db.outputs.url }}"]
`

func taintOutputs() map[resource.Ref]sdk.Output {
	return map[resource.Ref]sdk.Output{
		{Address: "db", Output: "url"}:  sdk.SecretOut("postgres://u:hunter2@h/db"),
		{Address: "db", Output: "tree"}: sdk.SecretOut(map[string]string{"leaf": "hunter3"}),
		{Address: "db", Output: "host"}: sdk.Out("db.example.com"),
		{Address: "db", Output: "port"}: sdk.RawOutput([]byte("12345678901234567890"), false),
	}
}

var taintVars = map[string]string{"API_TOKEN": "t0psecret", "PLAIN": "plain-value"}

// What holds a sensitive value is sensitive; a record holds none of them, and
// is the same whether the values are at hand or their fingerprints only.
func TestTaint(t *testing.T) {
	d := nodeOf(t, mustResolve(t, taints, "local", taintVars), "m")
	at := resolved(t, d, fakeScope{outputs: taintOutputs()})
	hidden := resolved(t, d, fakeScope{outputs: taintOutputs(), hide: true})
	if string(at.Canonical) != string(hidden.Canonical) || at.Digest != hidden.Digest {
		t.Errorf("with the values    %s\nwith fingerprints %s", at.Canonical, hidden.Canonical)
	}
	sensitive := []sdk.Path{"/chosen", "/deep", "/env", "/exact", "/list/0", "/mixed", "/secret", "/text", "/two", "/viavars"}
	if !slices.Equal(at.Config.Sensitive, sensitive) {
		t.Errorf("sensitive %v", at.Config.Sensitive)
	}
	if !slices.Equal(hidden.Config.Opaque, []sdk.Path{"/chosen", "/deep", "/exact", "/list/0", "/text", "/two"}) {
		t.Errorf("opaque %v", hidden.Config.Opaque)
	}
	if !slices.Equal(at.Config.Unknown, []sdk.Path{"/open"}) || !slices.Equal(hidden.Config.Unknown, at.Config.Unknown) {
		t.Errorf("unknown %v, %v", at.Config.Unknown, hidden.Config.Unknown)
	}
	for _, secret := range []string{"hunter2", "hunter3", "t0psecret", `"plain-value"}`} {
		if strings.Contains(string(at.Canonical), secret) || strings.Contains(string(hidden.Config.JSON), "hunter") {
			t.Errorf("%s is in a record: %s", secret, at.Canonical)
		}
	}
	want := `{"chosen":"postgres://u:hunter2@h/db","deep":"hunter3","env":"t0psecret","exact":"postgres://u:hunter2@h/db","host":"db.example.com",` +
		`"list":["postgres://u:hunter2@h/db"],"mixed":"t0psecret@db.example.com","open":null,"plain":"plain-value","port":12345678901234567890,` +
		`"secret":"plain-value","text":"u=postgres://u:hunter2@h/db;v=p","two":"postgres://u:hunter2@h/dbdb.example.com","viavars":"x-t0psecret"}`
	if string(at.Config.JSON) != want {
		t.Errorf("the provider gets %s", at.Config.JSON)
	}
	own := fakeScope{}.Fingerprint([]byte(`"postgres://u:hunter2@h/db"`))
	if !strings.Contains(string(at.Canonical), `"exact":{"$fingerprint":"`+own+`"}`) {
		t.Errorf("a plain reference has not the output's own fingerprint: %s", at.Canonical)
	}
}

// Whatever decides a value changes the fingerprint of its leaf, and nothing
// else does.
func TestFingerprintsFollowTheirInputs(t *testing.T) {
	canonical := func(text string, vars map[string]string, outputs map[resource.Ref]sdk.Output) string {
		return string(resolved(t, nodeOf(t, mustResolve(t, text, "local", vars), "m"), fakeScope{outputs: outputs, hide: true}).Canonical)
	}
	base := canonical(taints, taintVars, taintOutputs())
	if again := canonical(taints, taintVars, taintOutputs()); again != base {
		t.Error("the same is not the same")
	}
	changedVar := strings.Replace(taints, "plain: p}", "plain: q}", 1)
	if canonical(changedVar, taintVars, taintOutputs()) == base {
		t.Error("a variable inside a sensitive text does not count")
	}
	outputs := taintOutputs()
	outputs[resource.Ref{Address: "db", Output: "host"}] = sdk.Out("other.example.com")
	if canonical(taints, taintVars, outputs) == base {
		t.Error("a plain output beside a sensitive one does not count")
	}
	if canonical(taints, map[string]string{"API_TOKEN": "other", "PLAIN": "plain-value"}, taintOutputs()) == base {
		t.Error("another token does not count")
	}
}

func TestReferencesThatFail(t *testing.T) {
	d := nodeOf(t, mustResolve(t, header+"modules: [{name: a, type: core.data}, {name: m, type: core.data, config: {x: \"${{ modules.a.outputs.never }}\", y: \"${{ modules.a.outputs.null }}\"}}]\n", "local", nil), "m")
	_, err := d.Config().Resolve(fakeScope{outputs: map[resource.Ref]sdk.Output{{Address: "a", Output: "null"}: sdk.Out(nil)}})
	want := "app.yaml:4:83: modules.a.outputs.never: there is no such output\napp.yaml:4:120: modules.a.outputs.null is null"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

// The digest tells configurations apart and shows no secret.
func TestDigest(t *testing.T) {
	digest := func(text, env string, vars map[string]string) string { return mustResolve(t, text, env, vars).Digest }
	vars := map[string]string{"GITHUB_REPOSITORY": "acme/shop", "API_TOKEN": "a", "PLAIN": "b"}
	prod := digest(system, "prod", vars)
	if again := digest(system, "prod", vars); again != prod {
		t.Error("it is not stable")
	}
	if prod == digest(system, "local", vars) {
		t.Error("two environments are one")
	}
	if digest(system, "prod", vars) == digest(strings.Replace(system, "./cmd/app", "./cmd/other", 1), "prod", vars) {
		t.Error("a changed image is the same")
	}
	other := map[string]string{"API_TOKEN": "another", "PLAIN": "b"}
	if digest(taints, "local", vars) != digest(taints, "local", other) {
		t.Error("the value of a secret is in it")
	}
	if digest(taints, "local", vars) == digest(taints, "local", map[string]string{"API_TOKEN": "a", "PLAIN": "c"}) {
		t.Error("the value of a plain variable is not in it")
	}
}

// Nodes are resolved from several goroutines during an apply.
func TestResolveConcurrently(t *testing.T) {
	set := mustResolve(t, taints, "local", taintVars)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := NewChecker()
			for _, d := range set.Nodes {
				if _, err := d.Config().Resolve(fakeScope{outputs: taintOutputs()}); err != nil {
					t.Error(err)
				}
				c.Check([]byte(`{"type":"object"}`), d)
			}
		})
	}
	wg.Wait()
}

func FuzzResolve(f *testing.F) {
	f.Add([]byte(system))
	f.Add([]byte(taints))
	f.Add([]byte("project: p\nmodules: [{name: a, type: core.data, config: {values: {b: \"${{ modules.a.outputs.b }}\"}}}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := config.Load(t.Context(), "app.yaml", func(string) ([]byte, error) { return data, nil })
		if file == nil {
			return
		}
		for _, env := range []string{"", "local"} {
			set, _ := Validate(file, err, Options{Env: env, Getenv: getenv(taintVars)}, testCatalog())
			if set == nil {
				continue
			}
			for _, d := range set.Nodes {
				_, _ = d.Config().Resolve(fakeScope{outputs: taintOutputs()})
			}
		}
	})
}
