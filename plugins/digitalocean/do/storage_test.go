package do

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// spaces is the S3 API as somebody else uses it.
func (c *cloud) spaces() *store {
	c.t.Helper()
	a := c.p.(*provider).account.Load()
	s, err := a.store(c.t.Context(), a.region)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *cloud) close() {
	c.t.Helper()
	if err := c.p.(sdk.Closer).Close(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (s *store) write(t testing.TB, bucket, key, text string) {
	t.Helper()
	if _, err := s.do(t.Context(), s3Request{method: http.MethodPut, bucket: bucket, object: key, body: []byte(text)}, "write"); err != nil {
		t.Fatal(err)
	}
}

const assets = `{"acl":"public-read","versioning":true,"cors":[{"origins":["https://a.example","https://b.example"],"methods":["GET","PUT"],"headers":["*"],"max_age":"1h"},{"origins":["*"]}]}`

func TestBucket(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	testBucket(t, c, "assets")
	c.close()
	c.empty()
}

// testBucket is the life of a bucket, on the fake and on a real S3 server.
func testBucket(t *testing.T, c *cloud, name string) {
	b := c.make(infra.TypeStorage, name, assets)
	b.noDrift()
	if got := b.text("bucket"); got != name {
		t.Errorf("bucket %s", got)
	}
	s := c.spaces()
	if err := s.setACL(t.Context(), name, "private"); err != nil {
		t.Fatal(err)
	}
	if err := s.setCORS(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.put(t.Context(), name, "versioning", s3Versioning{Status: "Suspended"}); err != nil {
		t.Fatal(err)
	}
	b.drifts("acl", "cors", "versioning")
	b.change(assets)
	b.noDrift()
	b.change(`{}`)
	b.noDrift()
	b.change(assets)
	for i := range 5 {
		s.write(t, name, fmt.Sprintf("ordner/ä %d+x.txt", i%3), "text")
	}
	err := b.tryRemove()
	var e *sdk.Error
	if !asError(err, &e) || e.Code != sdk.CodeConflict || len(e.Blockers) == 0 || !strings.Contains(e.Hint, "force_destroy") {
		t.Errorf("a bucket that is not empty: %v", err)
	}
	b.config = strings.TrimSuffix(assets, "}") + `,"provider_specific":{"force_destroy":true}}`
	b.noDrift()
	b.remove()
	if err := s.has(t.Context(), name); !sdk.IsNotFound(err) {
		t.Errorf("after it was deleted: %v", err)
	}
}

// A bucket of many pages is emptied to the last version.
func TestBucketEmptied(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	b := c.make(infra.TypeStorage, "assets", `{"versioning":true,"provider_specific":{"force_destroy":true}}`)
	s := c.spaces()
	for i := range 120 {
		s.write(t, "assets", fmt.Sprintf("%d", i%100), "text")
	}
	if err := s.removeObject(t.Context(), "assets", s3Version{Key: "5"}); err != nil {
		t.Fatal(err)
	}
	page, err := s.versions(t.Context(), "assets", s3Versions{}, 7)
	if err != nil || len(page.Versions)+len(page.Markers) != 7 || !page.IsTruncated {
		t.Fatalf("a page: %+v, %v", page, err)
	}
	b.remove()
	c.close()
	c.empty()
}

func TestBucketOfSomebodyElse(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	if err := c.spaces().make(t.Context(), "assets", ""); err != nil {
		t.Fatal(err)
	}
	_, err := c.try(infra.TypeStorage, "assets", `{}`)
	if sdk.CodeOf(err) != sdk.CodeAlreadyExists {
		t.Errorf("made over somebody's bucket: %v", err)
	}
	res, err := c.p.(sdk.Importer).Import(t.Context(), &sdk.ImportRequest{Type: infra.TypeStorage, ID: "assets", Ownership: owner("assets")})
	if err != nil || res.ID != region+"/assets" {
		t.Fatalf("import: %v, %v", res, err)
	}
	list, err := c.p.(sdk.Lister).List(t.Context(), &sdk.ListRequest{Type: infra.TypeStorage, Project: "shop", Environment: "staging"})
	if err != nil || len(list.Resources) != 1 || list.Resources[0].ID != res.ID {
		t.Errorf("listed %v, %v", list, err)
	}
}

func TestBucketChaos(t *testing.T) {
	for seed := range uint64(20) {
		c := newCloud(t, fakedo.Options{Seed: seed})
		c.fake.SetChaos(fakedo.Chaos{Seed: seed, DropAfter: 0.3, DropBefore: 0.1, ServerError: 0.1})
		b := c.make(infra.TypeStorage, "assets", assets)
		k := c.make(infra.TypeSpacesKey, "key", `{"grants":[{"bucket":"assets","permission":"readwrite"}]}`)
		b.change(`{}`)
		k.change(`{"grants":[{"bucket":"assets","permission":"read"}]}`)
		c.fake.ClearFaults()
		b.noDrift()
		k.noDrift()
		if n := c.fake.Made()["bucket assets"]; n != 1 {
			t.Errorf("made %d buckets", n)
		}
		if keys := c.keysNamed("key"); len(keys) != 1 || keys[0].AccessKey != k.id {
			t.Errorf("there are the keys %v", keys)
		}
		c.fake.SetChaos(fakedo.Chaos{Seed: seed, DropAfter: 0.3})
		k.remove()
		b.remove()
		c.close()
		c.empty()
	}
}

func (c *cloud) keysNamed(name string) []*godo.SpacesKey {
	c.t.Helper()
	list, _, err := c.api.SpacesKeys.List(c.t.Context(), &godo.ListOptions{PerPage: 200})
	if err != nil {
		c.t.Fatal(err)
	}
	return only(list, func(k *godo.SpacesKey) bool { return k.Name == name })
}

// A key opens what it was granted, with the secret that was reported.
func TestSpacesKey(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	b := c.make(infra.TypeStorage, "assets", `{"provider_specific":{"force_destroy":true}}`)
	k := c.make(infra.TypeSpacesKey, "uploads", `{"grants":[{"bucket":"`+b.id+`","permission":"readwrite"}]}`)
	k.noDrift()
	if !k.outputs["secret_key"].Sensitive() {
		t.Error("the secret is not sensitive")
	}
	if _, told := k.read().Outputs["secret_key"]; told {
		t.Error("the secret is told again")
	}
	a, err := open(settings{
		Token: fakedo.Token, APIURL: c.fake.URL, SpacesEndpoint: c.fake.URL + fakedo.SpacesPath, SpacesKeyID: k.text("access_key"), SpacesSecret: k.text("secret_key"),
	}, Options{Clock: movingClock{c.fake}, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	s, err := a.store(t.Context(), region)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "assets", "picture", "text")
	if err := s.remove(t.Context(), "assets"); sdk.CodeOf(err) != sdk.CodeUnauthorised {
		t.Errorf("it may delete the bucket: %v", err)
	}
	if _, _, err := c.api.SpacesKeys.Update(t.Context(), k.id, &godo.SpacesKeyUpdateRequest{Name: "uploads", Grants: []*godo.Grant{{Permission: godo.SpacesKeyFullAccess}}}); err != nil {
		t.Fatal(err)
	}
	k.drifts("grants")
	const reading = `{"grants":[{"bucket":"assets","permission":"read"}]}`
	_, err = c.p.Update(t.Context(), &sdk.UpdateRequest{Type: k.typ, ID: k.id, Name: "uploads-2", Ownership: owner("uploads"), Prior: k.prior(), Config: c.config(k.typ, reading)}, k.heard)
	if err != nil {
		t.Fatal(err)
	}
	k.config = reading
	k.noDrift()
	if got := c.keysNamed("uploads-2"); len(got) != 1 || got[0].AccessKey != k.id {
		t.Errorf("renamed: %v", got)
	}
	k.remove()
	b.remove()
	c.close()
	c.empty()
}

// Keys whose secret was lost do not pile up: not by lost answers, not by a
// process that died, not by one rotation after the other up to the quota.
func TestSpacesKeysDoNotPileUp(t *testing.T) {
	const config = `{"grants":[{"bucket":"*","permission":"fullaccess"}]}`
	c := newCloud(t, fakedo.Options{Quotas: map[string]int{"spaces_key": 3}})
	c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultDropAfter, Method: http.MethodPost, Path: "/v2/spaces/keys", Times: 2})
	first := c.make(infra.TypeSpacesKey, "uploads", config)
	if got := c.keysNamed("uploads"); len(got) != 1 || got[0].AccessKey != first.id || first.text("secret_key") == "" {
		t.Fatalf("after lost answers there are %v", got)
	}
	// The process dies before the answer is recorded: another one starts.
	next := &cloud{t: t, fake: c.fake, p: newProvider(t, c.fake), api: c.api}
	if _, err := next.p.Configure(t.Context(), configureFor(c.fake)); err != nil {
		t.Fatal(err)
	}
	find := &sdk.ReadRequest{Type: infra.TypeSpacesKey, Name: "uploads", Ownership: owner("uploads"), IdempotencyKey: "key-uploads"}
	if _, err := next.p.Read(t.Context(), find); !sdk.IsNotFound(err) {
		t.Errorf("a key without its secret is found: %v", err)
	}
	current := next.make(infra.TypeSpacesKey, "uploads", config)
	if got := c.keysNamed("uploads"); len(got) != 1 || got[0].AccessKey != current.id || current.id == first.id {
		t.Fatalf("after the crash there are %v", got)
	}
	// Rotation, create before destroy.
	for i := range 10 {
		req := next.createRequest(infra.TypeSpacesKey, "uploads", config)
		req.Except, req.IdempotencyKey = []string{current.id}, fmt.Sprint("rotate-", i)
		res, err := next.p.Create(t.Context(), req, &heard{})
		if err != nil {
			t.Fatalf("rotation %d: %v", i, err)
		}
		if got := c.keysNamed("uploads"); len(got) != 2 {
			t.Fatalf("rotation %d: there are %d keys", i, len(got))
		}
		current.remove()
		current = &made{c: next, typ: infra.TypeSpacesKey, name: "uploads", id: res.ID, config: config, heard: &heard{}}
	}
	// Teardown finds it without state.
	find.IdempotencyKey = ""
	if res, err := next.p.Read(t.Context(), find); err != nil || res.ID != current.id {
		t.Errorf("by name: %v, %v", res, err)
	}
	current.remove()
	c.empty()
}

// The key that the provider makes for itself goes when it closes, and one that
// a killed process left goes later.
func TestTemporaryKey(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	c.spaces()
	if _, _, err := c.api.SpacesKeys.Create(t.Context(), &godo.SpacesKeyCreateRequest{Name: "mine", Grants: []*godo.Grant{}}); err != nil {
		t.Fatal(err)
	}
	c.fake.Advance(2 * stale)
	next := &cloud{t: t, fake: c.fake, p: newProvider(t, c.fake), api: c.api}
	if _, err := next.p.Configure(t.Context(), configureFor(c.fake)); err != nil {
		t.Fatal(err)
	}
	next.spaces()
	if n := len(c.fake.State()["spaces_key"]); n != 2 {
		t.Errorf("there are %d keys: somebody's, and one of the two providers'", n)
	}
	next.close()
	if left := c.fake.Remaining(); !slices.Equal(left, []string{"spaces_key mine"}) {
		t.Errorf("left over: %v", left)
	}
	c.close() // its key is gone already
}

func TestBucketMistakes(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	for _, test := range []struct{ typ, name, config, path string }{
		{infra.TypeStorage, "Assets", `{}`, ""}, {infra.TypeStorage, "a..b", `{}`, ""}, {infra.TypeStorage, "assets", `{"cors":[{"origins":["*"],"methods":["PATCH"]}]}`, "/cors/0/methods/0"},
		{infra.TypeStorage, "assets", `{"acl":"open"}`, "/acl"}, {infra.TypeSpacesKey, "key", `{}`, "/grants"},
		{infra.TypeSpacesKey, "key", `{"grants":[{"bucket":"assets","permission":"fullaccess"}]}`, "/grants/0"},
		{infra.TypeSpacesKey, "key", `{"grants":[{"bucket":"*","permission":"read"}]}`, "/grants/0"}, {infra.TypeRegistry, "reg", `{"tier":"huge"}`, "/tier"},
	} {
		res, err := c.p.Validate(t.Context(), &sdk.ValidateRequest{Type: test.typ, Name: test.name, Config: c.config(test.typ, test.config)})
		if err != nil || len(res.Diagnostics) != 1 || string(res.Diagnostics[0].Path) != test.path {
			t.Errorf("%s %s %s: %v, %v", test.typ, test.name, test.config, res, err)
		}
	}
}

// The storage of a state is made once, and what is there stays.
func TestBootstrapState(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	b := c.p.(sdk.StateBootstrapper)
	req := &sdk.BootstrapStateRequest{Backend: "s3", Config: sdk.Config{JSON: []byte(`{"bucket":"shop-state","prefix":"p","region":"nyc3","endpoint":"` + c.fake.URL + fakedo.SpacesPath + `"}`)}}
	c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultDropAfter, Method: http.MethodPut, Path: fakedo.SpacesPath + "/{bucket}"}, fakedo.Fault{Kind: fakedo.FaultDropAfter, Method: http.MethodPost, Path: "/v2/spaces/keys", Skip: 1})
	res, err := b.BootstrapState(t.Context(), req, &heard{})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(res.Created) != "[bucket shop-state Spaces key wfctl-state-shop-state]" || !res.Outputs["aws_secret_access_key"].Sensitive() {
		t.Errorf("made %v, %v", res.Created, res.Outputs)
	}
	if v, err := c.spaces().versioning(t.Context(), "shop-state"); err != nil || !v {
		t.Errorf("versions: %v, %v", v, err)
	}
	h := &heard{}
	res, err = b.BootstrapState(t.Context(), req, h)
	if err != nil || len(res.Created) != 0 || len(h.warnings) != 1 || len(c.keysNamed("wfctl-state-shop-state")) != 1 {
		t.Errorf("the second time: %v, %v, %v", res, h.warnings, err)
	}
	for _, bad := range []*sdk.BootstrapStateRequest{nil, {Backend: "gcs"}, {Backend: "s3"}, {Backend: "s3", Config: sdk.Config{JSON: []byte(`{"bucket":"b"}`)}},
		{Backend: "s3", Config: sdk.Config{JSON: []byte(`{"bucket":"b","endpoint":"https://s3.amazonaws.com"}`)}}} {
		if _, err := b.BootstrapState(t.Context(), bad, h); err == nil || sdk.CodeOf(err) == sdk.CodeInternal {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestRegistry(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	r := c.make(infra.TypeRegistry, "shop", `{"tier":"basic","region":"fra1"}`)
	r.noDrift()
	if r.text("repository") != "registry.digitalocean.com/shop" || r.text("tier") != "basic" {
		t.Errorf("outputs %v", r.outputs)
	}
	if _, _, err := c.api.Registries.UpdateSubscription(t.Context(), &godo.RegistrySubscriptionUpdateRequest{TierSlug: "professional"}); err != nil {
		t.Fatal(err)
	}
	r.drifts("tier")
	r.change(`{"tier":"basic","region":"fra1"}`)
	r.noDrift()
	if _, err := c.try(infra.TypeRegistry, "second", `{"tier":"basic"}`); sdk.CodeOf(err) != sdk.CodeConflict {
		t.Errorf("a second registry in a plan for one: %v", err)
	}
	r.remove()
	c.empty()
}

// A credential pushes, for its registry, as long as it was asked for.
func TestRegistryCredential(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	p := c.p.(sdk.RegistryProvider)
	ensure := &sdk.EnsureRegistryRequest{Host: registryHost, Namespace: "shop", Options: sdk.Config{JSON: []byte(`{"tier":"basic","region":"nyc3"}`)}}
	c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultDropAfter, Method: http.MethodPost, Path: "/v2/registries"})
	res, err := p.EnsureRegistry(t.Context(), ensure, &heard{})
	if err != nil || !res.Created || res.Repository != "registry.digitalocean.com/shop" {
		t.Fatal(res, err)
	}
	ensure.Options = sdk.Config{JSON: []byte(`{"tier":"professional"}`)}
	if res, err = p.EnsureRegistry(t.Context(), ensure, &heard{}); err != nil || res.Created {
		t.Error(res, err)
	}
	if tier, err := c.p.(*provider).account.Load().registryTier(t.Context()); err != nil || tier != "professional" {
		t.Errorf("tier %s, %v", tier, err)
	}
	if c.fake.Made()["registry shop"] != 1 {
		t.Error("it was made twice")
	}
	for _, write := range []bool{true, false} {
		cred, err := p.RegistryCredential(t.Context(), &sdk.RegistryCredentialRequest{Host: registryHost, Namespace: "shop/team", Write: write, Lifetime: 10 * 60 * 1e9})
		if err != nil || cred.Password.Reveal() == "" || cred.Expires.Sub(c.fake.Clock().Now()) > 10*60*1e9 {
			t.Fatal(cred, err)
		}
		want := map[bool]int{true: http.StatusAccepted, false: http.StatusForbidden}[write]
		if got := c.push(cred); got != want {
			t.Errorf("write %v: a push gives %d", write, got)
		}
		c.fake.Advance(11 * 60 * 1e9)
		if got := c.push(cred); got != http.StatusUnauthorized {
			t.Errorf("an expired credential gives %d", got)
		}
	}
	for _, bad := range []*sdk.RegistryCredentialRequest{nil, {Host: "ghcr.io"}, {Host: registryHost, Namespace: "shop", Lifetime: 1}, {Namespace: "nobody"}} {
		if _, err := p.RegistryCredential(t.Context(), bad); err == nil || sdk.CodeOf(err) == sdk.CodeInternal {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := p.RegistryCredential(t.Context(), &sdk.RegistryCredentialRequest{}); err != nil {
		t.Errorf("the only registry of the account: %v", err)
	}
}

// push begins to upload a layer.
func (c *cloud) push(cred *sdk.RegistryCredentialResponse) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.fake.URL+"/v2/shop/web/blobs/uploads/", bytes.NewReader(nil))
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth(cred.Username, cred.Password.Reveal())
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
