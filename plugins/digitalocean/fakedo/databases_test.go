package fakedo_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

func databaseRequest(name, engine string) *godo.DatabaseCreateRequest {
	nodes := 1
	if engine == "kafka" {
		nodes = 3
	}
	return &godo.DatabaseCreateRequest{
		Name: name, EngineSlug: engine, SizeSlug: "db-s-2vcpu-4gb", Region: "fra1", NumNodes: nodes, Tags: []string{}, Rules: []*godo.DatabaseCreateFirewallRule{},
	}
}

func TestEveryEngineHasItsScheme(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	for engine, want := range map[string]string{
		"pg": "postgresql://", "mysql": "mysql://", "valkey": "rediss://", "mongodb": "mongodb+srv://", "opensearch": "https://", "kafka": "main-kafka-do-user",
	} {
		db := must[*godo.Database](t)(c.Databases.Create(ctx, databaseRequest("main-"+engine, engine)))
		if !strings.HasPrefix(db.Connection.URI, want) {
			t.Errorf("%s: the URI is %s", engine, db.Connection.URI)
		}
		if !strings.HasPrefix(db.PrivateConnection.Host, "private-") || db.PrivateConnection.Password == "" {
			t.Errorf("%s: the private connection is %+v", engine, db.PrivateConnection)
		}
	}
	if all := must[[]godo.Database](t)(c.Databases.List(ctx, nil)); len(all) != 6 {
		t.Errorf("lists %d", len(all))
	}
	s.Advance(10 * time.Minute)
	if db := must[[]godo.Database](t)(c.Databases.List(ctx, nil))[0]; db.Status != "online" {
		t.Errorf("it is %s", db.Status)
	}
}

func TestDatabaseParts(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	db := must[*godo.Database](t)(c.Databases.Create(ctx, databaseRequest("main", "pg")))
	_, _, err := c.Databases.CreateDB(ctx, db.ID, &godo.DatabaseCreateDBRequest{Name: "early"})
	refusal(t, err, 412)
	s.Advance(10 * time.Minute)
	must[*godo.DatabaseDB](t)(c.Databases.CreateDB(ctx, db.ID, &godo.DatabaseCreateDBRequest{Name: "guestbook"}))
	_, _, err = c.Databases.CreateDB(ctx, db.ID, &godo.DatabaseCreateDBRequest{Name: "guestbook"})
	refusal(t, err, 409)
	u := must[*godo.DatabaseUser](t)(c.Databases.CreateUser(ctx, db.ID, &godo.DatabaseCreateUserRequest{Name: "app"}))
	fresh := must[*godo.DatabaseUser](t)(c.Databases.ResetUserAuth(ctx, db.ID, "app", &godo.DatabaseResetUserAuthRequest{}))
	if fresh.Password == u.Password || fresh.Password == "" {
		t.Error("the password is the same")
	}
	must[*godo.DatabasePool](t)(c.Databases.CreatePool(ctx, db.ID, &godo.DatabaseCreatePoolRequest{Name: "p", User: "app", Database: "guestbook", Size: 5, Mode: "session"}))
	done(t)(c.Databases.UpdatePool(ctx, db.ID, "p", &godo.DatabaseUpdatePoolRequest{User: "app", Database: "guestbook", Size: 7, Mode: "transaction"}))
	if p := must[*godo.DatabasePool](t)(c.Databases.GetPool(ctx, db.ID, "p")); p.Size != 7 || p.Connection.Port != 25061 {
		t.Errorf("the pool is %+v", p)
	}
	must[*godo.DatabaseCA](t)(c.Databases.GetCA(ctx, db.ID))
	done(t)(c.Databases.UpdateMaintenance(ctx, db.ID, &godo.DatabaseUpdateMaintenanceRequest{Day: "sunday", Hour: "02:00:00"}))
	done(t)(c.Databases.DeletePool(ctx, db.ID, "p"))
	done(t)(c.Databases.DeleteUser(ctx, db.ID, "app"))
	done(t)(c.Databases.DeleteDB(ctx, db.ID, "guestbook"))
	_, err = c.Databases.DeleteUser(ctx, db.ID, "doadmin")
	refusal(t, err, 422)
}

// send puts a body that the official client cannot put.
func send(t *testing.T, c *godo.Client, path string, body any) error {
	t.Helper()
	req, err := c.NewRequest(t.Context(), http.MethodPut, path, body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Do(t.Context(), req, nil)
	return err
}

// The official client sends the read-only fields of a rule, which the
// description refuses: a client sends its own body.
func TestTrustedSources(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	db := must[*godo.Database](t)(c.Databases.Create(ctx, databaseRequest("main", "pg")))
	put := func(rules ...map[string]any) error {
		return send(t, c, "/v2/databases/"+db.ID+"/firewall", map[string]any{"rules": rules})
	}
	if err := put(map[string]any{"type": "ip_addr", "value": "192.0.2.1"}, map[string]any{"type": "tag", "value": "web"}); err != nil {
		t.Fatal(err)
	}
	before := must[[]godo.DatabaseFirewallRule](t)(c.Databases.GetFirewallRules(ctx, db.ID))
	if err := put(map[string]any{"type": "tag", "value": "web"}); err != nil {
		t.Fatal(err)
	}
	after := must[[]godo.DatabaseFirewallRule](t)(c.Databases.GetFirewallRules(ctx, db.ID))
	if len(before) != 2 || len(after) != 1 || after[0].UUID != before[1].UUID {
		t.Errorf("from %+v to %+v", before, after)
	}
	refusal(t, put(map[string]any{"type": "app", "value": "nothing"}), 422)
	_, err := c.Databases.UpdateFirewallRules(ctx, db.ID, &godo.DatabaseUpdateFirewallRulesRequest{Rules: []*godo.DatabaseFirewallRule{{Type: "tag", Value: "web"}}})
	if m := refusal(t, err, 422); !strings.Contains(m, "read") {
		t.Errorf("the message is %q", m)
	}
	s.ForgetViolations()
}

func TestCacheEviction(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	db := must[*godo.Database](t)(c.Databases.Create(ctx, databaseRequest("cache", "valkey")))
	s.Advance(10 * time.Minute)
	done(t)(c.Databases.SetEvictionPolicy(ctx, db.ID, "allkeys_lru"))
	if p := must[string](t)(c.Databases.GetEvictionPolicy(ctx, db.ID)); p != "allkeys_lru" {
		t.Errorf("the policy is %s", p)
	}
}

func TestDatabaseMoves(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	req := databaseRequest("main", "pg")
	req.Version = "16"
	db := must[*godo.Database](t)(c.Databases.Create(ctx, req))
	s.Advance(10 * time.Minute)
	// The official client sends a network, which the description does not list.
	if err := send(t, c, "/v2/databases/"+db.ID+"/migrate", map[string]any{"region": "ams3"}); err != nil {
		t.Fatal(err)
	}
	if now := must[*godo.Database](t)(c.Databases.Get(ctx, db.ID)); now.Status != "migrating" {
		t.Errorf("it is %s", now.Status)
	}
	s.Advance(10 * time.Minute)
	if now := must[*godo.Database](t)(c.Databases.Get(ctx, db.ID)); now.RegionSlug != "ams3" || now.Status != "online" || now.PrivateNetworkUUID == db.PrivateNetworkUUID {
		t.Errorf("it is %+v", now)
	}
	_, err := c.Databases.Resize(ctx, db.ID, &godo.DatabaseResizeRequest{SizeSlug: "db-s-2vcpu-4gb", NumNodes: 1, StorageSizeMib: 1024})
	refusal(t, err, 422)
	done(t)(c.Databases.UpgradeMajorVersion(ctx, db.ID, &godo.UpgradeVersionRequest{Version: "17"}))
	s.Advance(10 * time.Minute)
	if now := must[*godo.Database](t)(c.Databases.Get(ctx, db.ID)); now.VersionSlug != "17" {
		t.Errorf("its version is %s", now.VersionSlug)
	}
}

func TestDatabaseRefusals(t *testing.T) {
	_, c, ctx := start(t, fakedo.Options{Quotas: map[string]int{"database": 1}})
	for name, change := range map[string]func(*godo.DatabaseCreateRequest){
		"size":    func(r *godo.DatabaseCreateRequest) { r.SizeSlug = "huge" },
		"version": func(r *godo.DatabaseCreateRequest) { r.Version = "3" },
		"nodes":   func(r *godo.DatabaseCreateRequest) { r.NumNodes = 9 },
		"region":  func(r *godo.DatabaseCreateRequest) { r.Region = "mars1" },
		"vpc":     func(r *godo.DatabaseCreateRequest) { r.PrivateNetworkUUID = "00000000-0000-4000-a000-000000000000" },
	} {
		req := databaseRequest("main", "pg")
		change(req)
		_, _, err := c.Databases.Create(ctx, req)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		refusal(t, err, 422)
	}
	must[*godo.Database](t)(c.Databases.Create(ctx, databaseRequest("main", "pg")))
	_, _, err := c.Databases.Create(ctx, databaseRequest("more", "pg"))
	if m := refusal(t, err, 422); !strings.Contains(m, "limit") {
		t.Errorf("the message is %q", m)
	}
}
