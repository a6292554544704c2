package ui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lifecycle"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/ui"
)

var env = resource.NewEnvironment("shop", "staging")

// config is a configuration without references; unknown and secret fields are
// named.
type config struct {
	fields          map[string]string
	unknown, secret string
}

func (c config) Refs() []resource.Ref           { return nil }
func (c config) Locate(sdk.Path) fault.Position { return fault.Position{} }

func (c config) Resolve(s resource.Scope) (r resource.Resolved, err error) {
	real, canonical := map[string]any{}, map[string]any{}
	for k, v := range c.fields {
		real[k], canonical[k] = v, v
	}
	if c.unknown != "" {
		real[c.unknown], canonical[c.unknown] = nil, map[string]any{resource.UnknownMark: true}
		r.Config.Unknown = []sdk.Path{sdk.Path("").Child(c.unknown)}
	}
	if c.secret != "" {
		canonical[c.secret] = map[string]any{resource.FingerprintMark: s.Fingerprint([]byte(c.fields[c.secret]))}
		r.Config.Sensitive = []sdk.Path{sdk.Path("").Child(c.secret)}
	}
	if r.Config.JSON, err = resource.Canonical(real); err != nil {
		return r, err
	}
	r.Canonical, err = resource.Canonical(canonical)
	r.Digest = resource.Digest(r.Canonical)
	return r, err
}

func desired(addr string, c config, change ...func(*resource.Spec)) resource.Desired {
	spec := resource.Spec{Address: resource.Address(addr), Name: addr, Type: "thing", Provider: resource.Provider{Address: "cloud", Kind: "cloud"}, Config: c}
	for _, f := range change {
		f(&spec)
	}
	return resource.NewDesired(env, spec)
}

func recorded(addr, config string, change ...func(*resource.Record)) resource.Record {
	rec := resource.Record{
		Address: resource.Address(addr), Name: addr, Type: "thing", ID: "id-" + addr,
		Provider: resource.Provider{Address: "cloud", Kind: "cloud"}, Config: json.RawMessage(config), Digest: resource.Digest([]byte(config)),
	}
	for _, f := range change {
		f(&rec)
	}
	return rec
}

// catalog answers from the schema alone.
type catalog struct{ *lifecycle.Cloud }

func (c catalog) Schema(_ resource.Provider, typ string) (*sdk.ResourceSchema, error) {
	s, err := c.Cloud.Schema(context.Background())
	return s.Type(typ), err
}

func (c catalog) Diff(ctx context.Context, _ resource.Provider, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return c.Cloud.Diff(ctx, req)
}

func build(t *testing.T, in plan.Input) *plan.Plan {
	t.Helper()
	in.Environment, in.Catalog, in.Context = env, catalog{lifecycle.NewCloud()}, in.Records
	in.Fingerprint = func(v []byte) string { return "h1:" + resource.Digest(v)[:8] }
	p, err := plan.Build(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// everyChange is a plan with one of each.
func everyChange(t *testing.T) *plan.Plan {
	protected := func(r *resource.Record) { r.Lifecycle.PreventDestroy = true }
	first := func(s *resource.Spec) { s.Lifecycle.CreateBeforeDestroy = true }
	return build(t, plan.Input{
		Moved: []plan.Move{{From: "old", To: "new"}},
		Desired: []resource.Desired{
			desired("create", config{fields: map[string]string{"value": "<a & b>", "password": "hush"}, unknown: "from", secret: "password"}, func(s *resource.Spec) { s.Name = "shop-create" }),
			desired("update", config{fields: map[string]string{"value": "after \x1b[2J" + strings.Repeat("x", 300)}}),
			desired("secret", config{fields: map[string]string{"password": "new"}, secret: "password"}),
			desired("replace", config{fields: map[string]string{"kind": "b"}}),
			desired("replace-first", config{fields: map[string]string{"kind": "b"}}, first),
			desired("adopt", config{fields: map[string]string{"value": "v"}}, func(s *resource.Spec) { s.ImportID = "id-7" }),
			desired("same", config{fields: map[string]string{"value": "v"}}),
			desired("new", config{fields: map[string]string{"value": "v"}}),
		},
		Records: []resource.Record{
			recorded("update", `{"value":"before"}`), recorded("secret", `{"password":{"$fingerprint":"h1:old"}}`),
			recorded("replace", `{"kind":"a"}`), recorded("replace-first", `{"kind":"a"}`), recorded("same", `{"value":"v"}`),
			recorded("old", `{"value":"v"}`), recorded("gone", `{"value":"v"}`), recorded("kept", `{"value":"v"}`, protected),
			recorded("gone-too", `{}`, func(r *resource.Record) { r.Deposed = "d1" }),
		},
	})
}

func TestPlan(t *testing.T) {
	var b strings.Builder
	if err := ui.Plan(&b, everyChange(t), ui.Style{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.txt", b.String())
	if strings.Contains(b.String(), "hush") {
		t.Error("the plan shows a secret")
	}
}

func TestPlanWithoutChanges(t *testing.T) {
	p := build(t, plan.Input{Desired: []resource.Desired{desired("same", config{fields: map[string]string{"value": "v"}})}, Records: []resource.Record{recorded("same", `{"value":"v"}`)}})
	var b strings.Builder
	if err := ui.Plan(&b, p, ui.Style{}); err != nil {
		t.Fatal(err)
	}
	if want := "No changes in staging: 1 as they should be.\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestPlanMarkdown(t *testing.T) {
	var b strings.Builder
	if err := ui.PlanMarkdown(&b, everyChange(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.md", b.String())
}

// TestMarkdownFitsAComment: GitHub takes 65,536 characters; what does not fit
// is counted and nothing is cut in the middle.
func TestMarkdownFitsAComment(t *testing.T) {
	protected := func(r *resource.Record) { r.Lifecycle.PreventDestroy = true }
	cases := map[string]plan.Input{}
	var many plan.Input
	for i := range 3000 {
		many.Desired = append(many.Desired, desired(fmt.Sprintf("n%04d", i), config{fields: map[string]string{"value": "✓```"}}))
	}
	cases["many changes"] = many
	cases["one huge"] = plan.Input{Desired: []resource.Desired{desired("a", config{fields: hugeFields()})}}
	var kept plan.Input
	for i := range 3000 {
		kept.Records = append(kept.Records, recorded(fmt.Sprintf("n%04d", i), `{}`, protected))
	}
	cases["many kept"] = kept
	for name, in := range cases {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := ui.PlanMarkdown(&b, build(t, in)); err != nil {
				t.Fatal(err)
			}
			text := b.String()
			if n := utf8.RuneCountInString(text); n >= 65_000 {
				t.Errorf("%d characters", n)
			}
			if !strings.Contains(text, " more: see `wfctl infra plan`.") {
				t.Errorf("does not say that there is more: …%s", text[max(0, len(text)-200):])
			}
		})
	}
}

// TestMarkdownFence: a value cannot end the block that it stands in.
func TestMarkdownFence(t *testing.T) {
	p := build(t, plan.Input{Desired: []resource.Desired{desired("a", config{fields: map[string]string{"value": "````\n# not a heading"}})}})
	var b strings.Builder
	if err := ui.PlanMarkdown(&b, p); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "`````diff\n") || !strings.HasSuffix(b.String(), "\n`````\n") {
		t.Errorf("got\n%s", b.String())
	}
}

func hugeFields() map[string]string {
	fields := map[string]string{}
	for i := range 2000 {
		fields[fmt.Sprintf("field%d", i)] = strings.Repeat("v", 100)
	}
	return fields
}
