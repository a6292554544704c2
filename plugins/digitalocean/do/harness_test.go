package do

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// region is where everything is in tests.
const region = "nyc3"

// movingClock is the fake's clock, which waiting moves on: nothing sleeps.
type movingClock struct{ fake *fakedo.Server }

func (c movingClock) Now() time.Time { return c.fake.Clock().Now() }

func (c movingClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.fake.Clock().(fakedo.Advancer).Advance(d)
	return nil
}

// cloud is the provider before a fake of the platform.
type cloud struct {
	t    testing.TB
	fake *fakedo.Server
	p    sdk.Provider
	// api is the platform as somebody else uses it.
	api *godo.Client
}

func newCloud(t testing.TB, o fakedo.Options) *cloud {
	t.Helper()
	fake := fakedo.Start(t, o)
	c := &cloud{t: t, fake: fake, p: newProvider(t, fake)}
	if _, err := c.p.Configure(t.Context(), configureFor(fake)); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	api, err := godo.New(&http.Client{Transport: &retrying{next: tr, clock: movingClock{fake}, token: sdk.NewSensitive(fakedo.Token), host: strings.TrimPrefix(fake.URL, "http://")}}, godo.SetBaseURL(fake.URL))
	if err != nil {
		t.Fatal(err)
	}
	c.api = api
	return c
}

// newProvider makes one that is not configured yet.
func newProvider(t testing.TB, fake *fakedo.Server) sdk.Provider {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return New(Options{Clock: movingClock{fake}, Transport: tr, Getenv: func(string) string { return "" }})
}

// tamper puts something between the provider and the platform.
func (c *cloud) tamper(between func(r *http.Request, next http.RoundTripper) (*http.Response, error)) {
	c.t.Helper()
	tr := &http.Transport{}
	c.t.Cleanup(tr.CloseIdleConnections)
	c.p = New(Options{
		Clock: movingClock{c.fake}, Getenv: func(string) string { return "" },
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return between(r, tr) }),
	})
	if _, err := c.p.Configure(c.t.Context(), configureFor(c.fake)); err != nil {
		c.t.Fatal(err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func configureFor(fake *fakedo.Server) *sdk.ConfigureRequest {
	return &sdk.ConfigureRequest{
		Project: "shop", Environment: "staging",
		Config: sdk.Config{JSON: raw(map[string]any{"token": fakedo.Token, "api_url": fake.URL, "region": region, "spaces_endpoint": fake.URL + fakedo.SpacesPath}), Sensitive: []sdk.Path{"/token"}},
	}
}

func owner(module string) sdk.Ownership {
	return sdk.Ownership{Project: "shop", Environment: "staging", Module: module}
}

// heard is a Reporter that remembers.
type heard struct {
	mu       sync.Mutex
	ids      []string
	progress []string
	warnings []sdk.Diagnostic
}

func (h *heard) Assigned(id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, id)
	return nil
}

func (h *heard) Progress(message string, _ float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.progress = append(h.progress, message)
}

func (h *heard) Log(line string) { h.Progress(line, -1) }

func (h *heard) Warn(d sdk.Diagnostic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = append(h.warnings, d)
}

// made is a resource that a test has.
type made struct {
	c       *cloud
	typ     string
	name    string
	module  string
	id      string
	config  string
	outputs sdk.Outputs
	heard   *heard
}

// config is what the host passes of JSON text: secrets are marked.
func (c *cloud) config(typ, text string) sdk.Config {
	c.t.Helper()
	schema, err := c.p.Schema(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	walker, err := sdk.SchemaWalker(schema.Type(typ).Config)
	if err != nil {
		c.t.Fatal(err)
	}
	if !json.Valid([]byte(text)) {
		c.t.Fatalf("no JSON: %s", text)
	}
	return sdk.Config{JSON: json.RawMessage(text), Sensitive: walker.SensitivePaths([]byte(text))}
}

func (c *cloud) createRequest(typ, name, config string) *sdk.CreateRequest {
	return &sdk.CreateRequest{
		Type: typ, Name: name, Ownership: owner(name), Config: c.config(typ, config), IdempotencyKey: "key-" + name, Deadline: time.Now().Add(time.Minute),
	}
}

// try makes a resource, and says how that went.
func (c *cloud) try(typ, name, config string) (*made, error) {
	c.t.Helper()
	m := &made{c: c, typ: typ, name: name, module: name, config: config, heard: &heard{}}
	res, err := c.p.Create(c.t.Context(), c.createRequest(typ, name, config), m.heard)
	if res != nil {
		m.id, m.outputs = res.ID, res.Outputs
	}
	return m, err
}

// make makes a resource.
func (c *cloud) make(typ, name, config string) *made {
	c.t.Helper()
	m, err := c.try(typ, name, config)
	if err != nil {
		c.t.Fatalf("create %s %s: %v", typ, name, err)
	}
	return m
}

func (m *made) prior() *sdk.Prior {
	out := sdk.Outputs{}
	for name, o := range m.outputs {
		if !o.Sensitive() {
			out[name] = o
		}
	}
	return &sdk.Prior{ID: m.id, Name: m.name, Config: sdk.Config{JSON: json.RawMessage(m.config)}, Outputs: out}
}

func (m *made) read() *sdk.ReadResponse {
	m.c.t.Helper()
	res, err := m.c.p.Read(m.c.t.Context(), &sdk.ReadRequest{Type: m.typ, ID: m.id, Name: m.name, Ownership: owner(m.module), Prior: m.prior()})
	if err != nil {
		m.c.t.Fatalf("read %s %s: %v", m.typ, m.name, err)
	}
	return res
}

// drift lists the keys that differ from what was asked for, by the host's
// rule: those that are recorded and not computed.
func (m *made) drift() map[string]string {
	m.c.t.Helper()
	schema, err := m.c.p.Schema(m.c.t.Context())
	if err != nil {
		m.c.t.Fatal(err)
	}
	walker, err := sdk.SchemaWalker(schema.Type(m.typ).Config)
	if err != nil {
		m.c.t.Fatal(err)
	}
	asked, found := keys(sdk.Config{JSON: json.RawMessage(m.config)}), keys(m.read().Config)
	out := map[string]string{}
	for key, want := range asked {
		have, told := found[key]
		if told && !walker.Computed(sdk.Path("").Child(key)) && !sdk.RawOutput(have, false).Equal(sdk.RawOutput(want, false)) {
			out[key] = string(have)
		}
	}
	return out
}

func (m *made) noDrift() {
	m.c.t.Helper()
	if d := m.drift(); len(d) > 0 {
		m.c.t.Errorf("%s %s: nothing was changed, and it is read back otherwise: %v", m.typ, m.name, d)
	}
}

// drifts says that exactly these keys have drifted.
func (m *made) drifts(keys ...string) {
	m.c.t.Helper()
	if got := sortedKeys(m.drift()); fmt.Sprint(got) != fmt.Sprint(keys) {
		m.c.t.Errorf("%s %s: drifted are %v, not %v", m.typ, m.name, m.drift(), keys)
	}
}

// change updates a resource.
func (m *made) tryChange(config string) error {
	res, err := m.c.p.Update(m.c.t.Context(), &sdk.UpdateRequest{
		Type: m.typ, ID: m.id, Name: m.name, Ownership: owner(m.module), Prior: m.prior(), Config: m.c.config(m.typ, config), IdempotencyKey: "change",
		Deadline: time.Now().Add(time.Minute),
	}, m.heard)
	if err != nil {
		return err
	}
	if res.ID != m.id {
		m.c.t.Errorf("an update gives the identifier %s, it was %s", res.ID, m.id)
	}
	m.config, m.outputs = config, res.Outputs
	return nil
}

func (m *made) change(config string) {
	m.c.t.Helper()
	if err := m.tryChange(config); err != nil {
		m.c.t.Fatalf("update %s %s: %v", m.typ, m.name, err)
	}
}

func (m *made) tryRemove() error {
	_, err := m.c.p.Delete(m.c.t.Context(), &sdk.DeleteRequest{
		Type: m.typ, ID: m.id, Name: m.name, Ownership: owner(m.module), Prior: m.prior(), IdempotencyKey: "delete", Deadline: time.Now().Add(time.Minute),
	}, m.heard)
	return err
}

func (m *made) remove() {
	m.c.t.Helper()
	if err := m.tryRemove(); err != nil {
		m.c.t.Fatalf("delete %s %s: %v", m.typ, m.name, err)
	}
}

// text is an output as a string.
func (m *made) text(name string) string {
	m.c.t.Helper()
	var s string
	if err := json.Unmarshal(m.outputs[name].Reveal(), &s); err != nil {
		m.c.t.Fatalf("output %s is no text: %v", name, err)
	}
	return s
}

// empty says that nothing is left of what the test made, claims included.
func (c *cloud) empty() {
	c.t.Helper()
	if left := c.fake.Remaining(); len(left) > 0 {
		c.t.Errorf("left over: %v", left)
	}
	for _, tag := range c.fake.Tags() {
		if _, ok := parseClaim(tag); ok || strings.HasPrefix(tag, waitPrefix) {
			c.t.Errorf("a claim is left over: %s", tag)
		}
	}
}

func asError(err error, e **sdk.Error) bool { return errors.As(err, e) }
