package fakecloud_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/internal/fakecloud"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a project on a fake cloud in memory.
type world struct {
	cloud *fakecloud.Cloud
	dir   string
	kinds engine.Kinds
}

func newWorld(t *rapid.T, dir string) *world {
	w := &world{cloud: &fakecloud.Cloud{}, dir: dir, kinds: builtin.Kinds()}
	w.kinds.Events, w.kinds.Trace = nil, nil
	providers := map[string]engine.ProviderFactory{"fakecloud": func(engine.Host) sdk.Provider { return fakecloud.New(w.cloud) }}
	for _, name := range []string{"core", "project"} {
		factory, err := w.kinds.Providers.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		providers[name] = factory
	}
	w.kinds.Providers = kind.NewSet("provider", providers)
	return w
}

// open opens the project with a clock that does not wait.
func (w *world) open(t *rapid.T) *engine.Project {
	p, err := engine.Open(context.Background(), w.kinds, engine.Options{
		Dir: w.dir, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Getenv: func(name string) (string, bool) { return filepath.Join(w.dir, "keys"), name == "WFCTL_STATE_KEY_DIR" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) apply(t *rapid.T) {
	ctx, p := context.Background(), w.open(t)
	work, err := p.Begin(ctx, "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	pl, err := work.Plan(ctx, engine.PlanOptions{})
	if err == nil {
		_, err = work.Apply(ctx, pl, nil)
	}
	if err := errors.Join(err, work.End(ctx), p.Close(ctx)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) teardown(t *rapid.T) (*engine.Torn, error) {
	ctx, p := context.Background(), w.open(t)
	td, err := p.Teardown(ctx, engine.TeardownOptions{Command: "infra teardown", Orphans: true, InUse: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	torn, err := td.CarryOut(ctx, nil)
	if err := errors.Join(td.End(ctx), p.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	return torn, err
}

// ours are the names of what there is of the environment.
func (w *world) ours() (names []string) {
	for _, t := range w.cloud.Things() {
		if !strings.HasPrefix(t.Name, "others-") {
			names = append(names, t.Name)
		}
	}
	return names
}

// module draws a module that may refer to earlier ones, openly or not.
func module(t *rapid.T, i int, vpcs []int, protected *bool) (yaml string, vpc bool) {
	typ := rapid.SampledFrom([]string{"infra.vpc", "infra.database", "infra.droplet", "infra.container_service"}).Draw(t, "type")
	var config []string
	add := func(format string, args ...any) { config = append(config, fmt.Sprintf(format, args...)) }
	if i > 0 && rapid.Bool().Draw(t, "uses") {
		add(`uses: ["${{ modules.m%d.outputs.id }}"]`, rapid.IntRange(0, i-1).Draw(t, "used"))
	}
	if len(vpcs) > 0 && typ != "infra.vpc" && rapid.Bool().Draw(t, "in a network") {
		add("net: n%d", rapid.SampledFrom(vpcs).Draw(t, "network"))
	}
	if n := rapid.IntRange(0, 2).Draw(t, "lingers"); n > 0 {
		add("lingers: %d", n)
	}
	if rapid.IntRange(0, 9).Draw(t, "tags") == 0 {
		add("untagged: true")
	}
	add("name: n%d", i)
	life := ""
	if rapid.IntRange(0, 14).Draw(t, "guard") == 0 {
		life, *protected = ", lifecycle: {prevent_destroy: true}", true
	}
	return fmt.Sprintf("  - {name: m%d, type: %s, config: {%s}%s}\n", i, typ, strings.Join(config, ", "), life), typ == "infra.vpc"
}

func fault(t *rapid.T) fakecloud.Fault {
	f := fakecloud.Fault{
		Op:    rapid.SampledFrom([]string{"delete", "delete", "read", "list", "configure"}).Draw(t, "op"),
		Code:  rapid.SampledFrom([]sdk.Code{sdk.CodeUnavailable, sdk.CodeRateLimited, sdk.CodeUnauthorised, sdk.CodeInternal, sdk.CodeConflict}).Draw(t, "code"),
		Times: rapid.IntRange(1, 8).Draw(t, "times"),
	}
	if f.Op == "delete" {
		f.After = rapid.Bool().Draw(t, "after the effect")
		f.Name = fmt.Sprintf("n%d", rapid.IntRange(0, 7).Draw(t, "whose"))
	}
	return f
}

// spoil does something to the record.
func spoil(t *rapid.T, dir string) {
	state := filepath.Join(dir, ".wfctl", "state.db")
	var err error
	switch rapid.SampledFrom([]string{"sound", "sound", "lost", "truncated", "no database"}).Draw(t, "record") {
	case "lost":
		err = os.RemoveAll(filepath.Dir(state))
	case "truncated":
		err = os.Truncate(state, 50)
	case "no database":
		err = os.WriteFile(state, []byte(strings.Repeat("this is no database. ", 20)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// However resources stand on each other, whatever goes wrong and whatever has
// become of the record: a teardown that says that all is gone is right, one
// that does not names what is left, and in the end only what is protected is.
func TestTeardownConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "w")
		if err != nil {
			rt.Fatal(err)
		}
		w := newWorld(rt, dir)
		file := "version: 1\nproject: shop\nmodules:\n  - {name: cloud, type: iac.provider, config: {provider: fakecloud}}\n"
		var vpcs []int
		protected := false
		for i := range rapid.IntRange(1, 7).Draw(rt, "modules") {
			yaml, vpc := module(rt, i, vpcs, &protected)
			if file += yaml; vpc {
				vpcs = append(vpcs, i)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(file), 0o600); err != nil {
			rt.Fatal(err)
		}
		w.apply(rt)
		w.cloud.Put(fakecloud.Thing{Type: "infra.vpc", Name: "others-net", Owner: &sdk.Ownership{Project: "another", Environment: "default"}})
		if rapid.Bool().Draw(rt, "orphan") {
			w.cloud.Put(fakecloud.Thing{Type: "infra.droplet", Name: "forgotten", Owner: &sdk.Ownership{Project: "shop", Environment: "default", Module: "old"}})
		}
		spoil(rt, dir)
		for range rapid.IntRange(0, 4).Draw(rt, "faults") {
			if err := w.cloud.Fail(fault(rt)); err != nil {
				rt.Fatal(err)
			}
		}
		for tries := range 3 {
			torn, err := w.teardown(rt)
			w.check(rt, torn, err)
			if err == nil {
				break
			}
			if tries == 0 {
				if err := w.cloud.Mend(); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if left := w.ours(); len(left) > 0 && !protected {
			rt.Fatalf("%v are left for ever of\n%s", left, file)
		}
		if !slices.ContainsFunc(w.cloud.Things(), func(t fakecloud.Thing) bool { return t.Name == "others-net" }) {
			rt.Fatal("what was another's is gone")
		}
	})
}

// check holds what a teardown says against the cloud.
func (w *world) check(t *rapid.T, torn *engine.Torn, err error) {
	left := w.ours()
	if err == nil && len(left) > 0 {
		t.Fatalf("it says that all is gone, and %v are left: %+v", left, torn)
	}
	said := strings.Join(torn.Remaining, "\n")
	for _, f := range torn.Failures {
		said += "\n" + f.Error()
	}
	for _, name := range left {
		if name == "forgotten" && torn.Incomplete > 0 {
			continue // nothing but a list can tell of it, and it says that one was not to be had
		}
		if !strings.Contains(said, name) {
			t.Fatalf("it does not say that %s is left:\n%s", name, said)
		}
	}
}
