package pluginhost

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

func mustRead(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What a new plugin begins with, what the example is and what the tutorial
// shows are one thing.
func TestExampleIsTheTemplateIsTheTutorial(t *testing.T) {
	tutorial := mustRead(t, "../docs/plugins.md")
	entries, err := template.ReadDir("template")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := template.ReadFile("template/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if string(raw) != mustRead(t, filepath.Join("../examples/plugin-hello", templateTarget(e.Name()))) {
			t.Errorf("template/%s is not the example's file", e.Name())
		}
	}
	for _, name := range []string{"main.go", "main_test.go", "conformance.json", "plugin.json"} {
		lang := strings.TrimPrefix(filepath.Ext(name), ".")
		if block := "```" + lang + "\n" + mustRead(t, "../examples/plugin-hello/"+name) + "```\n"; !strings.Contains(tutorial, block) {
			t.Errorf("docs/plugins.md does not show %s of the example", name)
		}
	}
}

// A stranger's way: begin a plugin, build it, try it.
func TestNewPluginConforms(t *testing.T) {
	sdkDir, err := filepath.Abs("../sdk")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "mine")
	files, err := Create(CreateOptions{Dir: dir, Name: "workflow-plugin-acme", Module: "example.org/acme", SDKDir: sdkDir})
	if err != nil || !slices.Contains(files, "main.go") || !slices.Contains(files, ".gitignore") {
		t.Fatal(files, err)
	}
	for file, want := range map[string]string{
		"main.go": `providerName = "acme"`, "go.mod": "module example.org/acme\n", "plugin.json": `"name": "workflow-plugin-acme"`, "conformance.json": `"acme.greeting"`,
	} {
		if got := mustRead(t, filepath.Join(dir, file)); !strings.Contains(got, want) || strings.Contains(got, `"hello"`) || strings.Contains(got, "plugin-hello") {
			t.Errorf("%s:\n%s", file, got)
		}
	}
	plugin, cleanup, err := Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	if plugin.Name != "workflow-plugin-acme" || plugin.Version != "v0.1.0" {
		t.Errorf("%+v", plugin)
	}
	h := newHost(t, Options{})
	suite := sdktest.Suite{Name: plugin.Name, Way: "as a process", New: func(context.Context) (sdk.Provider, error) { return h.Provider(plugin), nil }}
	if err := suite.Load(filepath.Join(dir, sdktest.FixtureFile)); err != nil {
		t.Fatal(err)
	}
	sdktest.Run(t, suite)
}

func TestCreateRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    CreateOptions
		code fault.Code
	}{
		"a folder in use":  {CreateOptions{Dir: full, Name: "acme"}, fault.Refused},
		"a name of a path": {CreateOptions{Dir: t.TempDir(), Name: "../acme"}, fault.Usage},
		"a name in quotes": {CreateOptions{Dir: t.TempDir(), Name: `a"b`}, fault.Usage},
		"no name":          {CreateOptions{Dir: t.TempDir()}, fault.Usage},
	} {
		if _, err := Create(c.o); code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuild(t *testing.T) {
	broken := t.TempDir()
	for file, text := range map[string]string{"go.mod": "module x\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { nonsense }\n"} {
		if err := os.WriteFile(filepath.Join(broken, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]fault.Code{broken: fault.Environment, t.TempDir(): fault.Usage, filepath.Join(broken, "none"): fault.NotFound} {
		if _, _, err := Build(t.Context(), path); code(err) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	p, cleanup, err := Build(t.Context(), os.Args[0])
	if err != nil || p.SHA256 != self(t).SHA256 {
		t.Fatal(p, err)
	}
	cleanup()
	if raw, err := os.ReadFile(os.Args[0]); err != nil || len(bytes.TrimSpace(raw)) == 0 {
		t.Error("cleanup took the executable away")
	}
}
