package do

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

func databaseFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type: infra.TypeDatabase,
		Config: []byte(`{"engine":"postgres","version":"17","size":"xs","databases":["shop"],"users":["reader"],"trusted_sources":["203.0.113.7"],
			"maintenance":{"day":"sunday","hour":"3:00"}}`),
		Update: []byte(`{"engine":"postgres","version":"18","size":"m","node_count":2,"databases":["shop","stats"],"users":["writer"],"provider_specific":{"tags":["data"]}}`),
	}}
}

func cacheFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type: infra.TypeCache, Config: []byte(`{"size":"xs","eviction_policy":"allkeys-lru"}`), Update: []byte(`{"engine":"redis","size":"s","trusted_sources":["203.0.113.7"]}`),
	}}
}

// Each engine comes up with what its clients connect by.
func TestEngines(t *testing.T) {
	for engine, want := range map[string]struct{ scheme, config string }{
		"postgres":   {"postgres", `"databases":["app"],"users":["u"],"provider_specific":{"pools":[{"name":"main","database":"app","size":5}]}`},
		"mysql":      {"mysql", `"databases":["app"],"users":["u"],"provider_specific":{"sql_mode":"ANSI,TRADITIONAL"}`},
		"valkey":     {"rediss", `"users":["u"],"provider_specific":{"eviction_policy":"volatile_ttl"}`},
		"mongodb":    {"mongodb+srv", `"databases":["app"],"users":["u"]`},
		"kafka":      {"kafka+ssl", `"users":["u"]`},
		"opensearch": {"https", `"users":["u"]`},
	} {
		t.Run(engine, func(t *testing.T) {
			c := newCloud(t, fakedo.Options{})
			db := c.make(infra.TypeDatabase, "db", `{"engine":"`+engine+`","size":"xs",`+want.config+`}`)
			db.noDrift()
			u, err := url.Parse(db.text("connection_url"))
			if err != nil {
				t.Fatal(err)
			}
			password, _ := u.User.Password()
			if u.Scheme != want.scheme || u.User.Username() != db.text("user") || password != db.text("password") || u.Hostname() != db.text("host") {
				t.Errorf("%s: scheme %s, host %s", engine, u.Scheme, u.Host)
			}
			if database := strings.TrimPrefix(u.Path, "/"); database != db.text("database") {
				t.Errorf("database %q, %q", database, db.text("database"))
			}
			var users map[string]map[string]string
			if err := json.Unmarshal(db.outputs["users"].Reveal(), &users); err != nil || users["u"]["password"] == "" || (engine == "kafka") != (users["u"]["access_key"] != "") {
				t.Errorf("users %v", len(users))
			}
			if !strings.HasPrefix(db.text("ca_certificate"), "-----BEGIN CERTIFICATE-----") || !strings.HasPrefix(db.text("private_host"), "private-") {
				t.Error("the certificate or the private name is wrong")
			}
			db.remove()
			c.empty()
		})
	}
}

func TestDatabase(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	net := c.make(infra.TypeVPC, "net", `{}`)
	db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres","size":"xs","vpc_ref":"net","users":["a","b"],"databases":["shop"],"trusted_sources":["10.0.0.0/8","tag:web"]}`)
	db.noDrift()
	if db.text("vpc_id") != net.id || db.text("database") != "shop" {
		t.Errorf("outputs %v", db.outputs)
	}
	db.change(`{"engine":"postgres","size":"s","storage_gib":100,"vpc_ref":"net","users":["b"],"databases":[],"trusted_sources":["10.0.0.0/8"],"maintenance":{"day":"friday","hour":"04:30"}}`)
	db.noDrift()
	if len(db.heard.warnings) != 1 || db.heard.warnings[0].Path != "/databases" {
		t.Errorf("warnings %v", db.heard.warnings)
	}
	d, _, err := c.api.Databases.Get(t.Context(), db.id)
	if err != nil || d.SizeSlug != "db-s-1vcpu-2gb" || d.StorageSizeMib != 100<<10 || !slices.Contains(d.DBNames, "shop") {
		t.Errorf("%+v %v", d, err)
	}
	users, _, err := c.api.Databases.ListUsers(t.Context(), db.id, nil)
	if err != nil || len(users) != 2 {
		t.Errorf("users %v %v", users, err)
	}
	t.Run("drift is seen", func(t *testing.T) {
		a := &account{api: c.api, clock: movingClock{c.fake}}
		if err := a.send(t.Context(), http.MethodPut, "v2/databases/"+db.id+"/firewall", map[string]any{"rules": []rule{{"ip_addr", "10.0.0.0/8"}, {"ip_addr", "198.51.100.1"}}}, nil, "open"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.api.Databases.UpdateMaintenance(t.Context(), db.id, &godo.DatabaseUpdateMaintenanceRequest{Day: "monday", Hour: "04:30"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.api.Databases.DeleteUser(t.Context(), db.id, "b"); err != nil {
			t.Fatal(err)
		}
		db.drifts("maintenance", "trusted_sources", "users")
		db.change(db.config)
		db.noDrift()
	})
	db.remove()
	net.remove()
	c.empty()
}

// A move to another region keeps the cluster.
func TestDatabaseMoves(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	db := c.make(infra.TypeDatabase, "db", `{"engine":"mysql","region":"nyc3"}`)
	db.change(`{"engine":"mysql","region":"fra1"}`)
	if got := db.text("region"); got != "fra1" {
		t.Errorf("region %s", got)
	}
	db.remove()
}

// Failure 15: at the first deployment a database trusts an app that does not
// exist yet. It waits closed, and lets the app in when that is made.
func TestTrustedSourceThatIsNotThereYet(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres","trusted_sources":["web","vm"]}`)
	db.noDrift()
	a := &account{api: c.api, clock: movingClock{c.fake}, poll: 1e9}
	rules := func() []rule {
		list, err := a.rulesOf(t.Context(), &godo.Database{ID: db.id})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := rules(); !slices.Equal(got, []rule{{"ip_addr", nowhere}}) {
		t.Errorf("it is open to %v", got)
	}
	if len(db.heard.warnings) != 2 || db.heard.warnings[0].Path != "/trusted_sources" {
		t.Errorf("warnings %v", db.heard.warnings)
	}
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64"}`)
	if got := rules(); !slices.Equal(got, []rule{{"droplet", vm.id}}) {
		t.Errorf("after the Droplet it is open to %v", got)
	}
	app := c.make(infra.TypeContainerService, "web", `{"image":"docker.io/library/nginx:1","http_port":8080}`)
	if got := rules(); len(got) != 2 || !slices.Contains(got, rule{"app", app.id}) {
		t.Errorf("after the app it is open to %v", got)
	}
	if awaited, err := a.awaited(t.Context()); err != nil || len(awaited) > 0 {
		t.Errorf("it still waits: %v %v", awaited, err)
	}
	// Another's database is not opened, whatever it waits for.
	if err := a.introduce(t.Context(), refApp, app.id, "web", sdk.Ownership{Project: "other", Environment: "staging", Module: "web"}); err != nil {
		t.Fatal(err)
	}
	app.remove()
	vm.remove()
	db.change(`{"engine":"postgres","trusted_sources":["web"]}`) // it waits again
	if got := rules(); !slices.Equal(got, []rule{{"ip_addr", nowhere}}) {
		t.Errorf("it is open to %v", got)
	}
	db.remove()
	c.empty()
}

// Failure 15: a database that CI cannot reach says whom it takes.
func TestDatabaseOutOfReach(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	ask := func(name string) []sdk.Diagnostic {
		res, err := c.p.(sdk.Diagnoser).Diagnose(t.Context(), &sdk.DiagnoseRequest{Type: infra.TypeDatabase, Name: name, Operation: "update"})
		if err != nil {
			t.Fatal(err)
		}
		return res.Diagnostics
	}
	open := c.make(infra.TypeDatabase, "open", `{"engine":"postgres"}`)
	if got := ask("open"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	c.make(infra.TypeDatabase, "db", `{"engine":"postgres","trusted_sources":["10.1.2.3"]}`)
	if got := ask("db"); len(got) != 1 || !strings.HasSuffix(got[0].Message, "only: 10.1.2.3") || !strings.Contains(got[0].Hint, "pre_deploy") {
		t.Errorf("%v", got)
	}
	c.make(infra.TypeDatabase, "closed", `{"engine":"postgres","trusted_sources":["web"]}`)
	if got := ask("closed"); len(got) != 1 || !strings.Contains(got[0].Message, "takes no connections yet") {
		t.Errorf("%v", got)
	}
	if res, err := c.p.(sdk.HealthChecker).Health(t.Context(), &sdk.HealthRequest{Type: infra.TypeDatabase, ID: open.id}); err != nil || res.Status != sdk.Healthy {
		t.Errorf("%v %v", res, err)
	}
}

// A cache and a database of the same engine are told apart.
func TestCacheIsNoDatabase(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	cache := c.make(infra.TypeCache, "cache", `{"eviction_policy":"allkeys_lru","maintenance":{"day":"monday","hour":"02:00"}}`)
	cache.noDrift()
	db := c.make(infra.TypeDatabase, "db", `{"engine":"valkey"}`)
	for typ, want := range map[string]string{infra.TypeCache: cache.id, infra.TypeDatabase: db.id} {
		res, err := c.p.(sdk.Lister).List(t.Context(), &sdk.ListRequest{Type: typ, Project: "shop"})
		if err != nil || len(res.Resources) != 1 || res.Resources[0].ID != want {
			t.Errorf("%s: %v %v", typ, res, err)
		}
	}
	if _, err := c.try(infra.TypeDatabase, "cache", `{"engine":"valkey"}`); err == nil {
		t.Error("the cache was taken for a database")
	}
	if _, err := c.api.Databases.SetEvictionPolicy(t.Context(), cache.id, "noeviction"); err != nil {
		t.Fatal(err)
	}
	cache.drifts("eviction_policy")
	cache.remove()
	db.remove()
	c.empty()
}

func TestOlder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 3).Draw(t, "a"), rapid.SliceOfN(rapid.IntRange(0, 40), 1, 3).Draw(t, "b")
		text := func(list []int) string {
			var parts []string
			for _, n := range list {
				parts = append(parts, string(raw(n)))
			}
			return strings.Join(parts, ".")
		}
		if older(text(a), text(b)) && older(text(b), text(a)) {
			t.Fatal("each is older than the other")
		}
		if older(text(a), text(a)) {
			t.Fatal("older than itself")
		}
	})
	for _, test := range []struct {
		a, b string
		want bool
	}{{"15", "16", true}, {"9", "10", true}, {"16", "16.4", false}, {"1.33", "1.33.5-do.0", false}, {"1.32", "1.33.5-do.0", true}, {"", "16", false}, {"latest", "16", false}} {
		if older(test.a, test.b) != test.want {
			t.Errorf("older(%q, %q)", test.a, test.b)
		}
	}
}

// A connection URL can be taken apart again, whatever user and password are.
func TestConnectionURL(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user, password := rapid.StringN(1, 20, -1).Draw(t, "user"), rapid.String().Draw(t, "password")
		slug := rapid.SampledFrom([]string{"pg", "mysql", "kafka", "valkey", "opensearch"}).Draw(t, "engine")
		text := connectionURL(slug, godo.DatabaseConnection{Host: "h.example", Port: 25060}, user, password, "app")
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := u.User.Password(); u.User.Username() != user || got != password || u.Host != "h.example:25060" || u.Path != "/app" {
			t.Fatalf("%s of %q %q", text, user, password)
		}
	})
}

func TestJudgesDatabases(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	for _, test := range []struct {
		before, after string
		outputs       sdk.Outputs
		path          sdk.Path
		action        sdk.Action
	}{
		{`{"engine":"pg"}`, `{"engine":"postgres"}`, nil, "/engine", sdk.ActionIgnore},
		{`{"engine":"pg"}`, `{"engine":"mysql"}`, nil, "/engine", ""},
		{`{"engine":"pg","version":"17"}`, `{"engine":"pg","version":"16"}`, sdk.Outputs{"version": sdk.Out("17")}, "/version", sdk.ActionReplace},
		{`{"engine":"pg","version":"16"}`, `{"engine":"pg","version":"17"}`, sdk.Outputs{"version": sdk.Out("16")}, "/version", ""},
		{`{"engine":"pg","region":"nyc3"}`, `{"engine":"pg","region":"fra1"}`, nil, "/region", sdk.ActionUpdate},
		{`{"engine":"pg","region":"nyc3"}`, `{"engine":"pg","region":"fra1","vpc_ref":"x"}`, nil, "/region", ""},
		{`{"engine":"pg","storage_gib":40}`, `{"engine":"pg","storage_gib":20}`, sdk.Outputs{"storage_gib": sdk.Out(40)}, "/storage_gib", sdk.ActionReplace},
	} {
		res, err := c.p.Diff(context.Background(), &sdk.DiffRequest{
			Type: infra.TypeDatabase, Name: "x", Config: c.config(infra.TypeDatabase, test.after), Changed: []sdk.Path{test.path},
			Prior: &sdk.Prior{ID: "1", Name: "x", Config: c.config(infra.TypeDatabase, test.before), Outputs: test.outputs},
		})
		if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != test.action {
			t.Errorf("%s to %s: %+v %v", test.before, test.after, res, err)
		}
	}
}
