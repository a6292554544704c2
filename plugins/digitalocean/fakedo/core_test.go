package fakedo_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// client is the official one, pointed at a fake.
func client(t *testing.T, s *fakedo.Server) *godo.Client {
	t.Helper()
	c, err := godo.New(&http.Client{Transport: bearer{fakedo.Token}}, godo.SetBaseURL(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

func start(t *testing.T, o fakedo.Options) (*fakedo.Server, *godo.Client, context.Context) {
	t.Helper()
	s := fakedo.Start(t, o)
	return s, client(t, s), t.Context()
}

// must passes a result on, or ends the test.
func must[T any](t *testing.T) func(T, *godo.Response, error) T {
	return func(v T, _ *godo.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func done(t *testing.T) func(*godo.Response, error) {
	return func(_ *godo.Response, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// refusal expects an answer of a status, and gives its message.
func refusal(t *testing.T, err error, status int) string {
	t.Helper()
	var e *godo.ErrorResponse
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v, not an answer of the API", err)
	}
	if e.Response.StatusCode != status {
		t.Fatalf("answered %d %q, expected %d", e.Response.StatusCode, e.Message, status)
	}
	if e.RequestID == "" {
		t.Errorf("the error %q has no request id", e.Message)
	}
	return e.Message
}

func TestVPC(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	v := must[*godo.VPC](t)(c.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: "net", RegionSlug: "fra1", IPRange: "10.20.0.0/20"}))
	_, _, err := c.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: "other", RegionSlug: "fra1", IPRange: "10.20.8.0/24"})
	if m := refusal(t, err, 422); !strings.Contains(m, "overlaps") {
		t.Errorf("the message is %q", m)
	}
	v = must[*godo.VPC](t)(c.VPCs.Update(ctx, v.ID, &godo.VPCUpdateRequest{Name: "renamed"}))
	if got := must[*godo.VPC](t)(c.VPCs.Get(ctx, v.ID)); got.Name != "renamed" || got.IPRange != "10.20.0.0/20" {
		t.Errorf("it is now %+v", got)
	}
	if all := must[[]*godo.VPC](t)(c.VPCs.List(ctx, nil)); len(all) != 1 {
		t.Errorf("lists %d", len(all))
	}
	if got := s.Remaining(); len(got) != 1 || got[0] != "vpc renamed" {
		t.Errorf("remaining: %v", got)
	}
	done(t)(c.VPCs.Delete(ctx, v.ID))
	_, _, err = c.VPCs.Get(ctx, v.ID)
	refusal(t, err, 404)
	if !s.Empty() {
		t.Errorf("remaining: %v", s.Remaining())
	}
}

func TestDatabaseLife(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{AutoAdvance: 30 * time.Second})
	v := must[*godo.VPC](t)(c.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: "net", RegionSlug: "fra1"}))
	db := must[*godo.Database](t)(c.Databases.Create(ctx, &godo.DatabaseCreateRequest{
		Name: "main", EngineSlug: "pg", Version: "16", SizeSlug: "db-s-1vcpu-1gb", Region: "fra1", NumNodes: 1, PrivateNetworkUUID: v.ID, Tags: []string{"wfctl-guestbook"}, Rules: []*godo.DatabaseCreateFirewallRule{},
	}))
	if db.Status != "creating" {
		t.Errorf("begins %s", db.Status)
	}
	polls := 0
	for ; db.Status != "online"; polls++ {
		db = must[*godo.Database](t)(c.Databases.Get(ctx, db.ID))
	}
	if polls < 5 {
		t.Errorf("online after %d reads", polls)
	}
	if !strings.HasPrefix(db.PrivateConnection.URI, "postgresql://doadmin:") || !strings.Contains(db.PrivateConnection.Host, "private-main") {
		t.Errorf("the private connection is %+v", db.PrivateConnection)
	}
	_, err := c.VPCs.Delete(ctx, v.ID)
	refusal(t, err, 403)
	must[*godo.DatabaseUser](t)(c.Databases.CreateUser(ctx, db.ID, &godo.DatabaseCreateUserRequest{Name: "app"}))
	must[*godo.DatabaseDB](t)(c.Databases.CreateDB(ctx, db.ID, &godo.DatabaseCreateDBRequest{Name: "guestbook"}))
	must[*godo.DatabasePool](t)(c.Databases.CreatePool(ctx, db.ID, &godo.DatabaseCreatePoolRequest{Name: "pool", User: "app", Database: "guestbook", Size: 5, Mode: "transaction"}))
	if tag := must[*godo.Tag](t)(c.Tags.Get(ctx, "wfctl-guestbook")); tag.Resources.Databases.Count != 1 {
		t.Errorf("the tag counts %+v", tag.Resources)
	}
	done(t)(c.Databases.Resize(ctx, db.ID, &godo.DatabaseResizeRequest{SizeSlug: "db-s-2vcpu-4gb", NumNodes: 2}))
	if db = must[*godo.Database](t)(c.Databases.Get(ctx, db.ID)); db.Status != "resizing" {
		t.Errorf("it is %s", db.Status)
	}
	_, err = c.Databases.Delete(ctx, db.ID)
	done(t)(nil, err)
	_, err = c.VPCs.Delete(ctx, v.ID)
	refusal(t, err, 403) // its address is freed with a delay
	s.Advance(time.Minute)
	done(t)(c.VPCs.Delete(ctx, v.ID))
	if !s.Empty() {
		t.Errorf("remaining: %v", s.Remaining())
	}
}

func TestAppLife(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{AutoAdvance: 10 * time.Second})
	spec := &godo.AppSpec{Name: "guestbook", Region: "fra", Services: []*godo.AppServiceSpec{{
		Name: "web", Image: &godo.ImageSourceSpec{RegistryType: godo.ImageSourceSpecRegistryType_DOCR, Repository: "web", Tag: "1"}, HTTPPort: 8080,
		Envs: []*godo.AppVariableDefinition{{Key: "PASSWORD", Value: "hunter2", Type: godo.AppVariableType_Secret}},
	}}}
	app := must[*godo.App](t)(c.Apps.Create(ctx, &godo.AppCreateRequest{Spec: spec}))
	var phases []string
	for range 20 {
		app = must[*godo.App](t)(c.Apps.Get(ctx, app.ID))
		if d := app.InProgressDeployment; d != nil && (len(phases) == 0 || phases[len(phases)-1] != string(d.Phase)) {
			phases = append(phases, string(d.Phase))
		}
	}
	if app.ActiveDeployment == nil || app.LiveURL == "" || !strings.Contains(strings.Join(phases, " "), "BUILDING") {
		t.Fatalf("phases %v, app %+v", phases, app)
	}
	if v := app.Spec.Services[0].Envs[0].Value; !strings.HasPrefix(v, "EV[") {
		t.Errorf("the secret is %q", v)
	}
	must[*godo.App](t)(c.Apps.Update(ctx, app.ID, &godo.AppUpdateRequest{Spec: app.Spec}))
	s.Inject(fakedo.Fault{Kind: fakedo.FaultDeployment, App: "guest*", Lines: []string{"panic: no DATABASE_URL"}})
	dep := must[*godo.Deployment](t)(c.Apps.CreateDeployment(ctx, app.ID, &godo.DeploymentCreateRequest{}))
	for dep.Phase != godo.DeploymentPhase_Error {
		dep = must[*godo.Deployment](t)(c.Apps.GetDeployment(ctx, app.ID, dep.ID))
	}
	logs := must[*godo.AppLogs](t)(c.Apps.GetLogs(ctx, app.ID, dep.ID, "web", godo.AppLogTypeDeploy, false, 10))
	if len(logs.HistoricURLs) != 1 {
		t.Fatalf("logs %+v", logs)
	}
	done(t)(c.Apps.Delete(ctx, app.ID))
	if !s.Empty() {
		t.Errorf("remaining: %v", s.Remaining())
	}
}
