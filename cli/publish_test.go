package cli_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gocodealone/wfctl/lock/locktest"
)

// programs builds the plugins that scripts publish, each once.
type programs struct {
	t    *testing.T
	dir  string
	mu   sync.Mutex
	done map[string][]byte
}

// folders of the plugins by name, from the folder of this test.
func pluginFolder(name string) string {
	if name == "plugin-hello" {
		return filepath.Join("..", "examples", name)
	}
	return filepath.Join("..", "internal", name)
}

func (p *programs) build(ts *testscript.TestScript, name string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if exe, ok := p.done[name]; ok {
		return exe
	}
	out := filepath.Join(p.dir, name+".exe")
	cmd := exec.CommandContext(p.t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = pluginFolder(name)
	if said, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("build %s: %v\n%s", name, err, said)
	}
	exe, err := os.ReadFile(out)
	ts.Check(err)
	p.done[name] = exe
	return exe
}

func (p *programs) release(ts *testscript.TestScript, name, version string) *locktest.Release {
	descriptor, err := os.ReadFile(filepath.Join(pluginFolder(name), "plugin.json"))
	if err != nil {
		descriptor = []byte(`{"name": "` + name + `", "version": "` + version + `", "protocol": 1, "provides": {"providers": ["nasty"]}}`)
	}
	return locktest.Program(name, version, p.build(ts, name), descriptor)
}

// publish puts a plugin somewhere and sets VARIABLE to its source:
// publish PLUGIN VERSION folder|http|registry|github VARIABLE.
func (p *programs) publish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: publish PLUGIN VERSION folder|http|registry|github VARIABLE")
	}
	r := p.release(ts, args[0], args[1])
	switch args[2] {
	case "folder":
		dir := ts.MkAbs("published-" + args[0])
		r.WriteTo(p.t, dir)
		ts.Setenv(args[3], "file://"+filepath.ToSlash(dir))
	case "http":
		dir := ts.MkAbs("served-" + args[0])
		r.WriteTo(p.t, dir)
		server := httptest.NewServer(http.FileServer(http.Dir(dir)))
		ts.Defer(server.Close)
		ts.Setenv(args[3], server.URL)
	case "registry":
		registry := locktest.NewRegistry(p.t)
		registry.Push("plugins/"+args[0], r)
		ts.Setenv(args[3], registry.Source("plugins/"+args[0]))
	case "github":
		hub := locktest.NewGitHub(p.t)
		hub.Publish(r)
		ts.Setenv(args[3], hub.Source())
	default:
		ts.Fatalf("publish: where is %s?", args[2])
	}
}

// flip changes one bit in the middle of the one file that a pattern matches.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip PATTERN")
	}
	found, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%s matches %v", args[0], found)
	}
	raw, err := os.ReadFile(found[0])
	ts.Check(err)
	raw[len(raw)/2] ^= 1
	ts.Check(os.Chmod(found[0], 0o755)) //nolint:gosec // an executable of the test's own
	ts.Check(os.WriteFile(found[0], raw, 0o755))
}
