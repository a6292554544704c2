package fakedo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

func makeVPC(ctx context.Context, c *godo.Client, name string) (*godo.VPC, error) {
	v, _, err := c.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: name, RegionSlug: "fra1"})
	return v, err
}

func TestRateLimit(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	s.Inject(fakedo.Fault{Kind: fakedo.FaultRateLimit, Method: "POST", Path: "/v2/vpcs", Times: 2, Delay: fakedo.Duration(7 * time.Second)})
	for range 2 {
		_, err := makeVPC(ctx, c, "net")
		refusal(t, err, 429)
		var e *godo.ErrorResponse
		errors.As(err, &e)
		if got := e.Response.Header.Get("retry-after"); got != "7" {
			t.Errorf("retry-after is %q", got)
		}
		reset, _ := strconv.ParseInt(e.Response.Header.Get("ratelimit-reset"), 10, 64)
		if at := s.Clock().Now().Add(7 * time.Second); reset != at.Unix() || e.Response.Header.Get("ratelimit-remaining") != "0" {
			t.Errorf("the headers are %v", e.Response.Header)
		}
	}
	if _, err := makeVPC(ctx, c, "net"); err != nil {
		t.Error(err)
	}
	if left := s.PendingFaults(); len(left) != 0 {
		t.Errorf("pending: %+v", left)
	}
}

func TestServerErrorsBeforeAndAfter(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	s.Inject(fakedo.Fault{Kind: fakedo.FaultError, Path: "/v2/vpcs"}, fakedo.Fault{Kind: fakedo.FaultErrorAfter, Path: "/v2/vpcs", Skip: 1})
	_, err := makeVPC(ctx, c, "first")
	refusal(t, err, 503)
	_, err = makeVPC(ctx, c, "second")
	refusal(t, err, 500)
	if got := s.Remaining(); !slices.Equal(got, []string{"vpc second"}) {
		t.Errorf("there is %v", got)
	}
}

func TestDroppedConnections(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	s.Inject(fakedo.Fault{Kind: fakedo.FaultDropBefore, Path: "/v2/vpcs"}, fakedo.Fault{Kind: fakedo.FaultDropAfter, Path: "/v2/vpcs", Skip: 1})
	for _, name := range []string{"before", "after"} {
		_, err := makeVPC(ctx, c, name)
		var answer *godo.ErrorResponse
		if err == nil || errors.As(err, &answer) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	if got := s.Remaining(); !slices.Equal(got, []string{"vpc after"}) {
		t.Errorf("there is %v", got)
	}
	log := s.Log()
	if log[0].Status != 0 || log[0].Fault != fakedo.FaultDropBefore || log[1].Status != 201 || log[1].Fault != fakedo.FaultDropAfter {
		t.Errorf("the log is %+v", log)
	}
	if made := s.Made(); made["vpc after"] != 1 || made["vpc before"] != 0 {
		t.Errorf("made: %v", made)
	}
	if s.Count("POST /v2/vpcs") != 1 {
		t.Errorf("%d took effect", s.Count("POST /v2/vpcs"))
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	s.Inject(fakedo.Fault{Kind: fakedo.FaultHang})
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := makeVPC(short, c, "net"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	emptied(t, s)
}

func TestSlowTakesTimeOfTheClock(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	begin := s.Clock().Now()
	s.Inject(fakedo.Fault{Kind: fakedo.FaultSlow, Delay: fakedo.Duration(time.Hour)})
	must[*godo.Account](t)(c.Account.Get(ctx))
	if passed := s.Clock().Now().Sub(begin); passed != time.Hour {
		t.Errorf("it took %s", passed)
	}
}

func TestEventualConsistency(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	s.Inject(fakedo.Fault{Kind: fakedo.FaultLag, Method: "POST", Path: "/v2/vpcs", Reads: 2})
	v, err := makeVPC(ctx, c, "net")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		_, _, err := c.VPCs.Get(ctx, v.ID)
		if found := err == nil; found != (i == 2) {
			t.Errorf("read %d: %v", i, err)
		}
		if all := must[[]*godo.VPC](t)(c.VPCs.List(ctx, nil)); (len(all) == 1) != (i == 2) {
			t.Errorf("list %d has %d", i, len(all))
		}
	}
}

func TestQuotaAndOtherRefusals(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{Quotas: map[string]int{"droplet": 0}})
	_, _, err := c.Droplets.Create(ctx, dropletRequest("web"))
	refusal(t, err, 422)
	s.Inject(fakedo.Fault{Kind: fakedo.FaultQuota, Path: "/v2/vpcs"}, fakedo.Fault{Kind: fakedo.FaultReject, Path: "/v2/vpcs", Skip: 1, Status: 409, Message: "not now"})
	_, err = makeVPC(ctx, c, "net")
	refusal(t, err, 422)
	_, err = makeVPC(ctx, c, "net")
	if m := refusal(t, err, 409); m != "not now" {
		t.Errorf("the message is %q", m)
	}
}

func TestFaultsByExactPathAndPattern(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	v, err := makeVPC(ctx, c, "net")
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(fakedo.Fault{Kind: fakedo.FaultError, Path: "/v2/vpcs/{vpc_id}", Times: -1}, fakedo.Fault{Kind: fakedo.FaultError, Path: "/v2/tags/w*", Status: 502})
	for range 3 {
		_, _, err = c.VPCs.Get(ctx, v.ID)
		refusal(t, err, 503)
	}
	_, _, err = c.Tags.Get(ctx, "web")
	refusal(t, err, 502)
	s.ClearFaults()
	must[*godo.VPC](t)(c.VPCs.Get(ctx, v.ID))
}

// The same seed lets the same requests fail.
func TestChaosIsRepeatable(t *testing.T) {
	round := func() (fates []bool) {
		s, c, ctx := start(t, fakedo.Options{})
		s.SetChaos(fakedo.Chaos{Seed: 7, DropAfter: 0.3, DropBefore: 0.1})
		for i := range 30 {
			_, err := makeVPC(ctx, c, "net-"+strconv.Itoa(i))
			fates = append(fates, err == nil)
		}
		must[[]*godo.VPC](t)(c.VPCs.List(ctx, nil)) // reading is spared
		return fates
	}
	first := round()
	if !slices.Equal(first, round()) {
		t.Error("two rounds differ")
	}
	if !slices.Contains(first, true) || !slices.Contains(first, false) {
		t.Errorf("the fates are %v", first)
	}
}

func appSpec(name string) *godo.AppSpec {
	image := &godo.ImageSourceSpec{RegistryType: godo.ImageSourceSpecRegistryType_DOCR, Repository: "web", Tag: "1"}
	return &godo.AppSpec{
		Name: name, Region: "fra",
		Services: []*godo.AppServiceSpec{{Name: "web", Image: image, HTTPPort: 8080}},
		Jobs:     []*godo.AppJobSpec{{Name: "migrate", Image: image, Kind: godo.AppJobSpecKind_PreDeploy}},
	}
}

func TestFailedDeploymentSaysWhy(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{AutoAdvance: 10 * time.Second})
	s.Inject(fakedo.Fault{Kind: fakedo.FaultDeployment, Component: "migrate", Code: "DeployContainerExitNonZero", Lines: []string{"applying 0001", "syntax error"}})
	app := must[*godo.App](t)(c.Apps.Create(ctx, &godo.AppCreateRequest{Spec: appSpec("guestbook")}))
	dep := must[*godo.Deployment](t)(c.Apps.GetDeployment(ctx, app.ID, app.PendingDeployment.ID))
	for dep.Phase != godo.DeploymentPhase_Error {
		if dep.Phase == godo.DeploymentPhase_Active {
			t.Fatal("the deployment has succeeded")
		}
		dep = must[*godo.Deployment](t)(c.Apps.GetDeployment(ctx, app.ID, dep.ID))
	}
	var failed []string
	var walk func(steps []*godo.DeploymentProgressStep)
	walk = func(steps []*godo.DeploymentProgressStep) {
		for _, st := range steps {
			if st.Status == godo.DeploymentProgressStepStatus_Error && st.Reason != nil {
				failed = append(failed, st.ComponentName+" "+st.Reason.Code)
			}
			walk(st.Steps)
		}
	}
	walk(dep.Progress.Steps)
	if !slices.Contains(failed, "migrate DeployContainerExitNonZero") || slices.ContainsFunc(failed, func(f string) bool { return strings.HasPrefix(f, "web") }) {
		t.Errorf("failed: %v", failed)
	}
	logs := must[*godo.AppLogs](t)(c.Apps.GetLogs(ctx, app.ID, dep.ID, "migrate", godo.AppLogTypeDeploy, false, 1))
	answer, err := http.Get(logs.HistoricURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil || !strings.Contains(text.String(), "syntax error") || strings.Contains(text.String(), "applying") {
		t.Errorf("the last line is %q, %v", text.String(), err)
	}
	if app = must[*godo.App](t)(c.Apps.Get(ctx, app.ID)); app.ActiveDeployment != nil || app.LiveURL != "" {
		t.Errorf("the app runs: %+v", app)
	}
}

func TestMissingImageFailsTheBuild(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{CheckImages: true})
	must[*godo.Registry](t)(c.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: "acme", Region: "fra1", SubscriptionTierSlug: "basic"}))
	app := must[*godo.App](t)(c.Apps.Create(ctx, &godo.AppCreateRequest{Spec: appSpec("guestbook")}))
	s.Advance(time.Hour)
	deps := must[[]*godo.Deployment](t)(c.Apps.ListDeployments(ctx, app.ID, nil))
	if deps[0].Phase != godo.DeploymentPhase_Error {
		t.Errorf("the deployment is %s", deps[0].Phase)
	}
}

func TestControlAPI(t *testing.T) {
	s, c, ctx := start(t, fakedo.Options{})
	post := func(path, body string, want int) {
		t.Helper()
		r, err := http.Post(s.URL+"/_fake/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s %s: %d", path, body, r.StatusCode)
		}
	}
	get := func(path string, into any) {
		t.Helper()
		r, err := http.Get(s.URL + "/_fake/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if err := json.NewDecoder(r.Body).Decode(into); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	post("faults", `{"kind":"error","path":"/v2/vpcs"}`, 200)
	post("faults", `{"kind":"nonsense"}`, 400)
	post("faults", `{"kind":"error","colour":"red"}`, 400)
	var pending []fakedo.Fault
	if get("faults", &pending); len(pending) != 1 {
		t.Errorf("pending: %+v", pending)
	}
	_, err := makeVPC(ctx, c, "net")
	refusal(t, err, 503)
	if _, err := makeVPC(ctx, c, "net"); err != nil {
		t.Fatal(err)
	}
	begin := s.Clock().Now()
	post("advance", `{"by":"5m"}`, 200)
	if passed := s.Clock().Now().Sub(begin); passed != 5*time.Minute {
		t.Errorf("%s passed", passed)
	}
	var log []fakedo.Entry
	if get("log", &log); len(log) != 2 || log[1].Status != 201 {
		t.Errorf("the log is %+v", log)
	}
	var state map[string][]map[string]any
	if get("state", &state); len(state["vpc"]) != 1 || state["vpc"][0]["name"] != "net" {
		t.Errorf("the state is %+v", state)
	}
	post("chaos", `{"seed":1,"drop_before":1}`, 200)
	if _, err := makeVPC(ctx, c, "more"); err == nil {
		t.Error("nothing was dropped")
	}
	post("nonsense", ``, 404)
}
