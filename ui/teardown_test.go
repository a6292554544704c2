package ui_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/ui"
)

// standing publishes that machines and databases stand in networks.
type standing struct{ plan.Catalog }

func (standing) Schema(_ resource.Provider, typ string) (*sdk.ResourceSchema, error) {
	if typ == "infra.vpc" {
		return &sdk.ResourceSchema{Name: typ}, nil
	}
	return &sdk.ResourceSchema{Name: typ, DependsOn: []string{"infra.vpc"}}, nil
}

func found(addr, typ, name, id string, change func(*plan.Found)) plan.Found {
	f := plan.Found{Fate: plan.Doomed, Claims: []plan.Claim{plan.ByConfiguration}, Record: resource.Record{
		Address: resource.Address(addr), Type: typ, Name: name, ID: id, Provider: resource.Provider{Address: "cloud", Kind: "digitalocean"},
	}}
	if change != nil {
		change(&f)
	}
	return f
}

func teardown(t *testing.T) *plan.Teardown {
	t.Helper()
	td, err := plan.BuildTeardown(plan.TeardownInput{
		Environment: resource.NewEnvironment("guestbook", "staging"), Catalog: standing{},
		Found: []plan.Found{
			found("net", "infra.vpc", "guestbook-staging-vpc", "5a4981aa", func(f *plan.Found) { f.Untagged = true }),
			found("web", "infra.container_service", "guestbook-staging-web", "81e1", func(f *plan.Found) { f.Record.DependsOn = []resource.Address{"db"} }),
			found("db", "infra.database", "guestbook-staging-db", "9cc1", nil),
			found("old", "infra.droplet", "old-box", "77", func(f *plan.Found) { f.Orphan, f.Claims = true, []plan.Claim{plan.ByTags, plan.ByJournal} }),
			found("cache", "infra.cache", "guestbook-staging-cache", "", func(f *plan.Found) { f.Fate = plan.Missing }),
			found("data", "infra.volume", "data", "v1", func(f *plan.Found) { f.Record.Lifecycle.PreventDestroy = true }),
			found("dns", "infra.dns", "example.com", "example.com", func(f *plan.Found) {
				f.Fate, f.Reason = plan.Foreign, "its tags say that it belongs to project shop, environment prod"
			}),
			found("site", "infra.storage", "site", "", func(f *plan.Found) {
				f.Fate, f.Reason, f.Err = plan.Unread, "the region\x1b[2J does not answer", errors.New("x")
			}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	td.State = plan.StateFate{Place: "guestbook/staging (s3 bucket=guestbook-state)", Objects: 7, Reason: "something stays that it may be about"}
	return td
}

const preview = `Teardown of guestbook, environment staging

  infra.container_service guestbook-staging-web (provider_id: 81e1) → DESTROY
  infra.database guestbook-staging-db (provider_id: 9cc1) → DESTROY
  infra.droplet old-box (provider_id: 77) → DESTROY  (orphan, claimed by journal, tags)
  infra.vpc guestbook-staging-vpc (provider_id: 5a4981aa) → DESTROY  (it carries no tags; found by its name)
  infra.cache guestbook-staging-cache → not found — skipping
  infra.volume data (provider_id: v1) → KEEP  (prevent_destroy protects it)
  infra.dns example.com (provider_id: example.com) → KEEP  (its tags say that it belongs to project shop, environment prod)
  infra.storage site → ERROR  (the region�[2J does not answer)
  State prefix guestbook/staging (s3 bucket=guestbook-state) → KEEP (7 objects)  (something stays that it may be about)

4 to destroy, 1 not found, 2 kept, 1 that could not be asked for.
Hash of this set: `

func TestTeardownPreview(t *testing.T) {
	td := teardown(t)
	var b strings.Builder
	if err := ui.Teardown(&b, td, ui.Style{}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), preview+td.Hash+"\n"; got != want {
		t.Errorf("the preview is\n%s\nwant\n%s", got, want)
	}
	if n, m := td.Discovered(); n != 5 || m != 7 {
		t.Errorf("discovered %d across %d", n, m)
	}
}

func TestTeardownPreviewOfALostState(t *testing.T) {
	td := teardown(t)
	td.State = plan.StateFate{Place: "guestbook/staging (sqlite)", Objects: 1, Wipe: true, Trouble: "the state is gone"}
	var b strings.Builder
	if err := ui.Teardown(&b, td, ui.Style{}); err != nil {
		t.Fatal(err)
	}
	const want = "  State prefix guestbook/staging (sqlite) → WIPE (1 object)\n" +
		"    warning: it cannot be used, so nothing keeps others from changing this environment meanwhile: the state is gone\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("the preview is\n%s", b.String())
	}
}

// The hash is of the set: how it was found, and in which order, is no matter.
func TestTeardownHash(t *testing.T) {
	env := resource.NewEnvironment("guestbook", "staging")
	hash := func(list ...plan.Found) string {
		td, err := plan.BuildTeardown(plan.TeardownInput{Environment: env, Catalog: standing{}, Found: list})
		if err != nil {
			t.Fatal(err)
		}
		return td.Hash
	}
	a, b := found("a", "infra.vpc", "a", "1", nil), found("b", "infra.vpc", "b", "2", nil)
	tagged := found("b", "infra.vpc", "b", "2", func(f *plan.Found) { f.Orphan, f.Claims = true, []plan.Claim{plan.ByTags} })
	if hash(a, b) != hash(tagged, a) {
		t.Error("the way it was found changes the hash")
	}
	other := found("b", "infra.vpc", "b", "3", nil)
	kept := found("b", "infra.vpc", "b", "2", func(f *plan.Found) { f.Fate = plan.Kept })
	for what, set := range map[string][]plan.Found{"less": {a}, "another": {a, other}, "kept": {a, kept}} {
		if hash(set...) == hash(a, b) {
			t.Errorf("%s: the hash is the same", what)
		}
	}
}

func TestTornLine(t *testing.T) {
	const want = "Discovered 5 resources across 8 modules; destroyed 3; skipped 4; errors 2. State objects wiped: 0."
	if got := (ui.Torn{Discovered: 5, Modules: 8, Destroyed: 3, Skipped: 4, Errors: 2}).String(); got != want {
		t.Errorf("%s", got)
	}
}
