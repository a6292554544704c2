package do

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// Every answer of the API has one code, and a message without its address.
func TestCodes(t *testing.T) {
	for _, test := range []struct {
		status  int
		message string
		code    sdk.Code
	}{
		{400, "bad", sdk.CodeInvalid}, {401, "no", sdk.CodeUnauthorised}, {403, "You are not authorized", sdk.CodeUnauthorised},
		{403, "Can not delete VPC with members", sdk.CodeConflict}, {403, "Make sure the certificate is not in use before deleting it", sdk.CodeConflict},
		{404, "", sdk.CodeNotFound}, {409, "duplicate name", sdk.CodeAlreadyExists}, {409, "Attached volume cannot be deleted", sdk.CodeConflict},
		{412, "cluster is not online", sdk.CodeConflict}, {422, "name has already been taken", sdk.CodeAlreadyExists},
		{422, "Droplet already has a pending event.", sdk.CodeConflict}, {422, "invalid size", sdk.CodeInvalid},
		{429, "API Rate limit exceeded.", sdk.CodeRateLimited}, {500, "", sdk.CodeUnavailable}, {503, "", sdk.CodeUnavailable}, {418, "", sdk.CodeInternal},
	} {
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: "api.example"}}
		err := said(&godo.ErrorResponse{Response: &http.Response{StatusCode: test.status, Request: req}, Message: test.message}, "do it")
		if sdk.CodeOf(err) != test.code || strings.Contains(err.Error(), "api.example") {
			t.Errorf("%d %q: %v (%s)", test.status, test.message, err, sdk.CodeOf(err))
		}
	}
	for err, code := range map[error]sdk.Code{
		context.Canceled: sdk.CodeCancelled, context.DeadlineExceeded: sdk.CodeDeadline, errors.New("connection reset"): sdk.CodeUnavailable, notFound("VPC", "x"): sdk.CodeNotFound,
	} {
		if got := sdk.CodeOf(said(err, "do it")); got != code {
			t.Errorf("%v is %s", err, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, test := range []struct {
		after, reset string
		want         time.Duration
	}{{"30", "9999", 30 * time.Second}, {"", "1060", time.Minute}, {"", "900", 0}, {"", "", 0}, {"soon", "soon", 0}} {
		h := http.Header{}
		h.Set("retry-after", test.after)
		h.Set("ratelimit-reset", test.reset)
		if got := retryAfter(&http.Response{Header: h}, now); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// Failure 7: a token that is missing is said to be missing.
func TestNoToken(t *testing.T) {
	p := New(Options{Getenv: func(string) string { return "" }})
	_, err := p.Configure(t.Context(), &sdk.ConfigureRequest{})
	var e *sdk.Error
	if !errors.As(err, &e) || e.Code != sdk.CodeUnauthorised || !strings.Contains(e.Message, "no token") || e.Hint == "" {
		t.Errorf("%v", err)
	}
	for key, value := range map[string]any{"api_url": "no address", "poll_interval": "-1s", "tokn": "x"} {
		_, err := p.Configure(t.Context(), &sdk.ConfigureRequest{Config: sdk.Config{JSON: raw(map[string]any{"token": "x", key: value})}})
		if sdk.CodeOf(err) != sdk.CodeInvalid || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A role is refused with what to use instead.
func TestRoles(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	_, err := c.p.Validate(t.Context(), &sdk.ValidateRequest{Type: infra.TypeIAMRole, Name: "role"})
	var e *sdk.Error
	if !errors.As(err, &e) || e.Code != sdk.CodeUnsupported || !strings.Contains(e.Hint, "infra.spaces_key") {
		t.Errorf("%v", err)
	}
	schema, err := c.p.Schema(t.Context())
	if err != nil || len(schema.Types)+len(schema.Unsupported) != len(infra.Types()) {
		t.Errorf("%d types and %d that are not supported, of %d: %v", len(schema.Types), len(schema.Unsupported), len(infra.Types()), err)
	}
	for _, typ := range schema.Types {
		for _, on := range typ.DependsOn {
			if !slices.ContainsFunc(schema.Types, func(o sdk.ResourceSchema) bool { return o.Name == on && !slices.Contains(o.DependsOn, typ.Name) }) {
				t.Errorf("%s depends on %s, which is no type, or depends on it", typ.Name, on)
			}
		}
	}
}

// Failure 11: what has vanished is not found, and what cannot be read back is
// not read back as something else.
func TestVanishedAndWriteOnly(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64","user_data":"secret words","ssh_keys":[]}`)
	for _, key := range []string{"user_data", "ssh_keys"} {
		if value, told := keys(vm.read().Config)[key]; told {
			t.Errorf("%s is read back as %s", key, value)
		}
	}
	vm.config = `{"image":"debian-12-x64","user_data":{"$fingerprint":"h1:abc"},"size":"s"}`
	vm.noDrift()
	vm.remove()
	_, err := c.p.Read(t.Context(), &sdk.ReadRequest{Type: vm.typ, ID: vm.id, Name: vm.name, Ownership: owner("vm"), Prior: vm.prior()})
	if !sdk.IsNotFound(err) {
		t.Errorf("%v", err)
	}
	if err := vm.tryRemove(); err != nil {
		t.Errorf("what is gone already: %v", err)
	}
}

// stuckClock passes, and nothing on the platform happens meanwhile.
type stuckClock struct {
	movingClock
	own *fakedo.FakeClock
}

func (c stuckClock) Now() time.Time { return c.own.Now() }

func (c stuckClock) Sleep(ctx context.Context, d time.Duration) error {
	c.own.Advance(d)
	return ctx.Err()
}

// What never comes up is an error in the end; its identifier was assigned.
func TestDeadline(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	p := New(Options{Clock: stuckClock{movingClock{c.fake}, fakedo.NewFakeClock(time.Unix(0, 0))}, Getenv: func(string) string { return "" }})
	t.Cleanup(func() { _ = p.(sdk.Closer).Close(context.Background()) })
	if _, err := p.Configure(t.Context(), configureFor(c.fake)); err != nil {
		t.Fatal(err)
	}
	h := &heard{}
	res, err := p.Create(t.Context(), c.createRequest(infra.TypeDatabase, "db", `{"engine":"postgres"}`), h)
	if sdk.CodeOf(err) != sdk.CodeDeadline || !strings.Contains(err.Error(), "database cluster db") {
		t.Errorf("%v (%s)", err, sdk.CodeOf(err))
	}
	if len(h.ids) != 1 || res == nil || res.ID != h.ids[0] {
		t.Errorf("assigned %v, result %v", h.ids, res)
	}
}

// A call that is cancelled while it waits ends, and what it made is adopted by
// the next.
func TestCancelled(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	h := &hangingUp{cancel: cancel}
	if _, err := c.p.Create(ctx, c.createRequest(infra.TypeDatabase, "db", `{"engine":"postgres"}`), h); sdk.CodeOf(err) != sdk.CodeCancelled {
		t.Errorf("%v (%s)", err, sdk.CodeOf(err))
	}
	db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres"}`)
	if len(h.ids) != 1 || db.id != h.ids[0] {
		t.Errorf("%v was assigned, %s is there", h.ids, db.id)
	}
}

// hangingUp cancels when it hears the identifier.
type hangingUp struct {
	heard
	cancel func()
}

func (h *hangingUp) Assigned(id string) error {
	defer h.cancel()
	return h.heard.Assigned(id)
}

// The words for a size mean the size that they were made of.
func TestSizeWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]string{"", "xs", "s", "m", "l", "xl"})
		sizing := rapid.SampledFrom([]map[string]string{machines(), clusterSizes(), databaseConfig{Database: infra.Database{Engine: "kafka"}}.sizing()}).Draw(t, "sizing")
		slug := rapid.OneOf(rapid.SampledFrom(sortedKeys(invert(sizing))), rapid.StringMatching(`[a-z]-[0-9]{1,2}`)).Draw(t, "slug")
		portable, specific := sizeWords(sizing, slug, size.Draw(t, "before"), rapid.SampledFrom([]string{"", "c-2", slug}).Draw(t, "specific"), "s")
		if got := sized(sizing, specific, portable, "s"); got != slug {
			t.Fatalf("%q and %q mean %s, not %s", portable, specific, got, slug)
		}
	})
}

func invert(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[v] = k
	}
	return out
}

// The order of rules, and words for everything, make no difference.
func TestCanonicalFirewall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.Custom(func(t *rapid.T) infra.Rule {
			return infra.Rule{
				Protocol: rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "protocol"), Ports: rapid.SampledFrom([]string{"", "all", "22", "80-90"}).Draw(t, "ports"),
				Sources: rapid.SampledFrom([][]string{nil, {"0.0.0.0/0", "::/0"}, {"::/0", "0.0.0.0/0"}, {"10.0.0.0/8", "web"}}).Draw(t, "sources"),
			}
		})
		rules := rapid.SliceOfN(rule, 0, 5).Draw(t, "rules")
		shuffled := rapid.Permutation(rules).Draw(t, "shuffled")
		k := firewalls().(*typed[firewallConfig, godo.Firewall])
		a, errA := k.meaning(firewallConfig{Firewall: infra.Firewall{Inbound: rules}})
		b, errB := k.meaning(firewallConfig{Firewall: infra.Firewall{Inbound: shuffled}})
		if errA != nil || errB != nil || string(a["inbound"]) != string(b["inbound"]) {
			t.Fatalf("%s and %s", a["inbound"], b["inbound"])
		}
	})
}

// A plan says that nobody knows where a new resource is to be.
func TestRegionIsMissing(t *testing.T) {
	fake := fakedo.Start(t, fakedo.Options{})
	p := newProvider(t, fake)
	if _, err := p.Configure(t.Context(), &sdk.ConfigureRequest{Config: sdk.Config{JSON: raw(map[string]any{"token": fakedo.Token, "api_url": fake.URL})}}); err != nil {
		t.Fatal(err)
	}
	diff := func(typ, config string, prior *sdk.Prior) error {
		_, err := p.Diff(t.Context(), &sdk.DiffRequest{Type: typ, Name: "x", Config: sdk.Config{JSON: []byte(config)}, Prior: prior})
		return err
	}
	var e *sdk.Error
	if err := diff(infra.TypeVPC, `{}`, nil); !errors.As(err, &e) || e.Path != "/region" || e.Code != sdk.CodeInvalid {
		t.Errorf("%v", err)
	}
	for _, err := range []error{
		diff(infra.TypeVPC, `{"region":"nyc3"}`, nil), diff(infra.TypeVPC, `{}`, &sdk.Prior{ID: "1"}), diff(infra.TypeDNS, `{"zone":"a.example"}`, nil),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}
