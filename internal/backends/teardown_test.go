//go:build services

package backends_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/internal/backends"
	"github.com/gocodealone/wfctl/state"
)

const madeFile = `version: 1
project: shop
environments: {staging: {}, prod: {}}
modules:
  - {name: records, type: iac.state, config: %s}
  - name: thing
    type: core.command
    config:
      create: [touch, "made-${{ environment.name }}"]
      read: [test, -e, "made-${{ environment.name }}"]
      delete: [rm, "made-${{ environment.name }}"]
`

// driverOf opens the storage of an environment past wfctl.
func driverOf(t *testing.T, p *project, env string) state.Driver {
	t.Helper()
	for _, v := range p.place.Env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	options := map[string]any{}
	for k, v := range p.place.Options {
		if k != "backend" {
			options[k] = v
		}
	}
	raw, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	b, err := builtin.Kinds().Backends.Get(p.place.Name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Open(t.Context(), engine.BackendRequest{ProjectDir: p.dir, Project: "shop", Environment: env, Config: raw})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// spoil puts an entry at the end of a log that no wfctl of this version wrote.
func spoil(t *testing.T, d state.Driver, entry string) {
	t.Helper()
	last := uint64(0)
	for e, err := range d.Load(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		last = e.Seq
	}
	if err := d.Append(t.Context(), last+1, []byte(entry)); err != nil {
		t.Fatal(err)
	}
}

// A record that is damaged, or of another version, keeps no teardown from
// removing what there is, and goes with it; the neighbour's stays.
func TestTeardownWithoutARecord(t *testing.T) {
	each(t, func(t *testing.T, backend string) {
		p := newProject(t, backend)
		p.write("app.yaml", fmt.Sprintf(madeFile, p.place.Module()))
		p.run(0, "infra", "apply", "--env", "prod")
		for what, entry := range map[string]string{"damaged": "no entry", "of another version": "wfctl-log/99 00000000\n{}"} {
			p.run(0, "infra", "apply", "--env", "staging")
			d := driverOf(t, p, "staging")
			spoil(t, d, entry)
			p.run(1, "infra", "plan", "--env", "staging")
			out := p.run(0, "infra", "teardown", "--env", "staging", "--approve")
			if !strings.Contains(out, "destroyed 1; skipped 0; errors 0. State objects wiped: ") || strings.Contains(out, "wiped: 0.") {
				t.Errorf("%s: %s", what, out)
			}
			if n, err := d.Objects(t.Context()); n != 0 || err != nil {
				t.Errorf("%s: %d objects are left, %v", what, n, err)
			}
			if _, err := os.Stat(filepath.Join(p.dir, "made-staging")); err == nil {
				t.Errorf("%s: what was made is left", what)
			}
		}
		p.run(0, "infra", "plan", "--env", "prod", "--exit-code")
	})
}

// Storage that is not there is nothing to wipe, and can be made.
func TestBootstrapStorage(t *testing.T) {
	for _, backend := range []string{"postgres", "s3"} {
		t.Run(backend, func(t *testing.T) {
			p := newProject(t, backend)
			fresh(t, p.place)
			p.write("app.yaml", fmt.Sprintf(madeFile, p.place.Module()))
			p.run(1, "infra", "apply", "--env", "staging")
			p.write("made-staging", "")
			out := p.run(0, "infra", "teardown", "--env", "staging", "--approve")
			if !strings.Contains(out, "destroyed 1; skipped 0; errors 0. State objects wiped: 0.") {
				t.Error(out)
			}
			if out := p.run(0, "infra", "bootstrap", "--env", "staging"); !strings.Contains(out, "made ") {
				t.Error(out)
			}
			if out := p.run(0, "infra", "bootstrap", "--env", "staging"); !strings.Contains(out, "is there already") {
				t.Error(out)
			}
			p.run(0, "infra", "apply", "--env", "staging")
			p.run(0, "infra", "teardown", "--env", "staging", "--approve")
		})
	}
}

// fresh names a bucket, or a database, that is not there.
func fresh(t *testing.T, p *backends.Place) {
	t.Helper()
	if bucket, ok := p.Options["bucket"].(string); ok {
		p.Options["bucket"] = bucket + "-fresh"
		return
	}
	u, err := url.Parse(p.Options["url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/fresh" + filepath.Base(t.TempDir()) + fmt.Sprint(os.Getpid())
	p.Options["url"] = u.String()
}
