//go:build services

package backends_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/backends"
	"github.com/gocodealone/wfctl/state"
)

// binary builds wfctl once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wfctl-backends-*")
	if err == nil {
		binary = filepath.Join(dir, "wfctl")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, "github.com/gocodealone/wfctl/cmd/wfctl").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// project is a folder with an application file, and the place of its state.
type project struct {
	*testing.T
	dir   string
	place *backends.Place
	env   []string
	// output is all that any command has printed.
	output bytes.Buffer
}

func newProject(t *testing.T, backend string) *project {
	t.Helper()
	p := &project{T: t, dir: t.TempDir()}
	var err error
	if p.place, err = backends.Open(context.WithoutCancel(t.Context()), backend, p.dir, os.Getenv, nil); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := p.place.Close(); err != nil {
			t.Error(err)
		}
	})
	p.env = append(append(os.Environ(), "HOME="+filepath.Join(p.dir, ".home"), "WFCTL_STATE_KEY_DIR="+filepath.Join(p.dir, ".keys")), p.place.Env...)
	return p
}

func (p *project) write(name, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
}

// run runs wfctl, which must end with a status.
func (p *project) run(status int, args ...string) string {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), binary, append([]string{"-C", p.dir, "--no-color"}, args...)...)
	cmd.Env = p.env
	out, _ := cmd.CombinedOutput()
	p.output.Write(out)
	if got := cmd.ProcessState.ExitCode(); got != status {
		p.Fatalf("wfctl %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, status, out)
	}
	return string(out)
}

// each runs a test on every backend.
func each(t *testing.T, test func(t *testing.T, backend string)) {
	for _, name := range backends.Names() {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

const secretsFile = `version: 1
project: shop
environments: {staging: {}}
modules:
  - {name: records, type: iac.state, config: %s}
  - name: maker
    type: core.command
    config:
      create: [cat, answer.json]
      read: [cat, answer.json]
      sensitive_outputs: [password]
      sensitive_env: {TOKEN: "${TOKEN}"}
  - {name: user, type: core.data, config: {values: {copy: "${{ modules.maker.outputs.password }}"}}}
`

// No secret of any kind is in what the storage holds, in what was printed, or
// in any file of the project, with and without encryption. That what is no
// secret is found there shows that the search works.
func TestNoSecretInStorage(t *testing.T) {
	each(t, func(t *testing.T, backend string) {
		t.Run("plain", func(t *testing.T) { noSecret(t, newProject(t, backend), false) })
		t.Run("encrypted", func(t *testing.T) { noSecret(t, newProject(t, backend), true) })
	})
}

func noSecret(t *testing.T, p *project, encrypted bool) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if encrypted {
		p.place.Options["encryption"] = map[string]any{"age": map[string]any{"recipients": []string{id.Recipient().String()}}}
	}
	p.write("app.yaml", fmt.Sprintf(secretsFile, p.place.Module()))
	secrets := []string{"in-canary-51fe02aa", "in-canary-9d81c477", "out-canary-e2b60d13", id.String()}
	base := p.env
	for i, token := range secrets[:2] {
		p.write("answer.json", fmt.Sprintf(`{"password": %q, "host": "control-4410%d"}`, secrets[2], i))
		p.env = append(base, "TOKEN="+token, "WFCTL_AGE_KEY="+id.String())
		p.run(0, "infra", "apply", "--approve")
	}
	for _, args := range [][]string{{"plan"}, {"outputs"}, {"state", "export"}, {"state", "history", "--json"}, {"state", "show", "maker"}, {"state", "check"}} {
		p.run(0, append([]string{"infra"}, args...)...)
	}
	if encrypted {
		p.run(0, "infra", "state", "rekey", "--approve") // a snapshot too
	}
	stored, err := p.place.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(p.dir, ".keys", "*.key"))
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d fingerprint keys, %v", len(keys), err)
	}
	raw, err := os.ReadFile(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	stored["what was printed"] = p.output.Bytes()
	search(t, stored, append(secrets, strings.TrimSpace(string(raw))))
}

// search looks for each secret as it is, and as encodings write it.
func search(t *testing.T, stored map[string][]byte, secrets []string) {
	t.Helper()
	control := 0
	for name, data := range stored {
		if bytes.Contains(data, []byte("control-4410")) {
			control++
		}
		for _, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawStdEncoding.EncodeToString([]byte(`"` + secret)), hex.EncodeToString([]byte(secret))} {
				if bytes.Contains(data, []byte(form)) {
					t.Errorf("%s holds the secret %q", name, secret)
				}
			}
		}
	}
	if control < 2 { // in the storage, and in what was printed
		t.Errorf("what is no secret was found in %d of %d places only", control, len(stored))
	}
}

const twoFile = `version: 1
project: shop
environments: {staging: {}, prod: {}}
modules:
  - {name: records, type: iac.state, config: %s, environments: {prod: {config: %s}}}
  - {name: a, type: core.data, config: {values: {x: "${X:-1}"}}}
`

// Every command that touches state works on the environment's own place: what
// the overlay says, and nothing else.
func TestEnvironmentsApart(t *testing.T) {
	overlay := map[string]string{
		"sqlite": `{"path": "prod.db"}`, "filesystem": `{"path": "prod"}`, "postgres": `{"schema": "%s_prod"}`,
		"s3": `{"prefix": "%s/prod"}`, "gcs": `{"prefix": "%s/prod"}`, "azure": `{"prefix": "%s/prod"}`,
	}
	each(t, func(t *testing.T, backend string) {
		p := newProject(t, backend)
		unique := fmt.Sprint(p.place.Options["prefix"])
		if s, ok := p.place.Options["schema"]; ok {
			unique = fmt.Sprint(s)
		}
		prod := strings.ReplaceAll(overlay[backend], "%s", unique)
		p.write("app.yaml", fmt.Sprintf(twoFile, p.place.Module(), prod))
		p.run(2, "infra", "state", "list") // no environment is no reason to take one
		p.run(0, "--env", "prod", "infra", "apply")
		for _, args := range [][]string{{"list"}, {"history"}, {"export"}, {"check"}} {
			args = append([]string{"--env", "staging", "infra", "state"}, args...)
			if out := p.run(0, args...); strings.Contains(out, "core.data") {
				t.Errorf("%v shows what another environment has\n%s", args, out)
			}
		}
		p.run(1, "--env", "staging", "infra", "state", "show", "a")
		p.run(1, "--env", "staging", "infra", "state", "rm", "a", "--approve")
		if out := p.run(0, "--env", "prod", "infra", "state", "list"); !strings.Contains(out, "core.data") {
			t.Errorf("prod has lost its own\n%s", out)
		}
	})
}

// A state moves from each backend to each next one, with its history; the
// commands then find it there, and the old place tells where it went.
func TestMove(t *testing.T) {
	names := backends.Names()
	for i, name := range names {
		next := names[(i+1)%len(names)]
		t.Run(name+" to "+next, func(t *testing.T) {
			p, to := newProject(t, name), newProject(t, next)
			p.env = append(p.env, to.place.Env...)
			if next == "sqlite" {
				to.place.Options["path"] = filepath.Join(to.dir, "state.db")
			}
			file := "version: 1\nproject: shop\nmodules:\n  - {name: records, type: iac.state, config: %s}\n  - {name: a, type: core.data, config: {values: {x: 1}}}\n"
			p.write("app.yaml", fmt.Sprintf(file, p.place.Module()))
			p.run(0, "infra", "apply")
			before := p.run(0, "infra", "state", "history", "--json")
			args := []string{"infra", "state", "move", "--to", next, "--approve"}
			for key, value := range to.place.Options {
				if key != "backend" {
					args = append(args, "--option", fmt.Sprintf("%s=%v", key, value))
				}
			}
			p.run(0, args...)
			if out := p.run(1, "infra", "apply"); !strings.Contains(out, "has moved to") {
				t.Errorf("the old place still works\n%s", out)
			}
			p.write("app.yaml", fmt.Sprintf(file, to.place.Module()))
			p.run(0, "infra", "plan", "--exit-code")
			after := p.run(0, "infra", "state", "history", "--json")
			if !strings.HasPrefix(after, strings.TrimSpace(before)) {
				t.Errorf("the history is another one\n%s\n%s", before, after)
			}
		})
	}
}

// Wiping takes one environment's objects and nothing else, counts them, and
// can be done again. It is refused while resources are recorded, and while
// another holds the lease.
func TestWipe(t *testing.T) {
	each(t, func(t *testing.T, backend string) {
		p := newProject(t, backend)
		p.write("app.yaml", fmt.Sprintf("version: 1\nproject: shop\nenvironments: {staging: {}, prod: {}}\nmodules:\n  - {name: records, type: iac.state, config: %s}\n  - {name: a, type: core.data, config: {values: {x: 1}}}\n", p.place.Module()))
		p.run(0, "--env", "prod", "infra", "apply")
		others := objects(t, p)
		p.run(0, "--env", "staging", "infra", "apply")
		for _, pair := range append(p.place.Env, "WFCTL_STATE_KEY_DIR="+filepath.Join(p.dir, ".keys")) {
			name, value, _ := strings.Cut(pair, "=")
			t.Setenv(name, value)
		}
		staging, err := engine.Open(t.Context(), builtin.Kinds(), engine.Options{Dir: p.dir, Env: "staging"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := staging.WipeState(t.Context(), "test", 0); fault.CodeOf(err) != fault.Refused {
			t.Errorf("with resources on record: %v", err)
		}
		p.run(0, "--env", "staging", "infra", "destroy", "--approve")
		w, err := staging.Begin(t.Context(), "another", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := staging.WipeState(t.Context(), "test", 0); !errors.Is(err, state.ErrLocked) {
			t.Errorf("while another holds the lease: %v", err)
		}
		if err := w.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		n, err := staging.WipeState(t.Context(), "test", 0)
		if err != nil || n < 2 {
			t.Errorf("wiped %d objects, %v", n, err)
		}
		if again, err := staging.WipeState(t.Context(), "test", 0); err != nil || again != 0 {
			t.Errorf("wiped %d objects again, %v", again, err)
		}
		if left := objects(t, p); backend != "sqlite" && left != others {
			t.Errorf("%d objects are left, and the other environment had %d", left, others)
		}
		if out := p.run(0, "--env", "prod", "infra", "state", "list"); !strings.Contains(out, "core.data") {
			t.Errorf("prod was wiped too\n%s", out)
		}
		p.run(0, "--env", "prod", "infra", "plan", "--exit-code")
	})
}

func objects(t *testing.T, p *project) int {
	t.Helper()
	stored, err := p.place.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(stored)
}
