package house

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gocodealone/wfctl"

// A rule says what the packages that match a pattern may import of this
// repository. A pattern ending in "/*" matches what lies below; the first
// rule that matches a package holds. Importing below itself is allowed.
type rule struct {
	pkg string
	may []string
}

var (
	stdlib = []string{}
	// everyone is what any package may import, as it may the standard library.
	everyone = []string{"internal/lazyregexp"}
	// engineMay is all that the conductor brings together.
	engineMay = []string{
		"fault", "kind", "config", "resolve", "resource", "graph", "plan", "apply", "state", "deliver", "secret",
		"event", "sdk", "registry", "build", "migrate", "verify", "pipeline", "step", "lock", "pluginhost",
		"state/tfstate", "build/attest", "sigstore", "tree",
	}
)

var rules = []rule{
	{"cmd/wfctl", []string{"cli", "builtin", "internal/startup"}},
	{"cmd/workflow-migrate", []string{"migrate/command"}},
	{"cmd/wfctl-temporal", []string{"cli", "builtin", "builtin/clustered", "internal/startup"}},
	{"builtin/clustered", nil},
	{"builtin", nil}, // brings everything together; nil means anything
	{"cli", append([]string{"engine", "kind", "atomicfile", "ui", "web", "pluginhost", "engine/*", "sdk/sdktest"}, engineMay...)},
	{"engine", engineMay},
	{"config", []string{"fault", "kind"}},
	{"resolve", []string{"config", "resource", "fault", "kind", "sdk"}},
	{"resource", []string{"sdk", "fault"}},
	{"graph", stdlib},
	{"plan", []string{"resource", "graph", "sdk", "fault", "kind"}},
	{"apply", []string{"plan", "graph", "event", "sdk", "resource", "fault"}},
	{"state", []string{"resource", "fault", "sdk", "kind", "atomicfile"}},
	{"state/statetest", []string{"state", "resource", "fault", "sdk"}},
	{"state/kms/*", []string{"state/kms", "state/kms/kmstest", "state", "fault"}},
	{"state/*", []string{"state", "fault", "resource", "atomicfile", "state/statetest", "state/blob", "state/kms"}},
	{"deliver", []string{"secret", "fault", "kind"}},
	{"secret", []string{"fault"}},
	{"secret/*", []string{"secret", "fault", "atomicfile"}},
	{"registry", []string{"fault", "sdk", "kind"}},
	{"registry/*", []string{"registry", "fault", "sdk"}},
	{"build", []string{"registry", "event", "fault"}},
	{"build/push", []string{"build", "registry", "fault"}},
	{"build/attest", []string{"build", "fault", "sigstore"}},
	{"build/*", []string{"build", "fault"}},
	{"migrate", []string{"fault"}},
	{"migrate/command", []string{"migrate", "fault"}},
	{"verify", []string{"event", "fault", "secret"}},
	{"step", []string{"event", "fault"}},
	{"step/verify", []string{"step", "event", "fault", "verify"}},
	{"step/command", []string{"step", "event", "fault", "internal/procgroup"}},
	{"step/*", []string{"step", "event", "fault"}},
	{"pipeline", []string{"step", "event", "fault", "graph"}},
	{"tree", []string{"fault"}},
	{"pipeline/pipelinetest", []string{"pipeline", "step", "event", "event/memory", "fault"}},
	{"pipeline/temporal", []string{"pipeline", "step", "event", "fault", "graph"}},
	{"event", stdlib},
	{"event/*", []string{"event", "event/*"}},
	{"lock", []string{"fault", "kind", "atomicfile", "sigstore"}},
	{"lock/locktest", []string{"lock/*", "fault", "kind", "atomicfile", "internal/githubspec"}},
	{"lock/*", []string{"lock/*", "fault", "kind", "atomicfile", "internal/stall"}},
	{"sigstore", stdlib},
	{"pluginhost", []string{"sdk", "sdk/wire", "fault", "secret"}},
	{"provider/project", []string{"build/attest", "sigstore", "sdk", "sdk/*", "fault", "event", "build", "build/push", "registry", "kind", "deliver", "migrate", "verify", "secret"}},
	{"provider/core", []string{"sdk", "fault", "secret", "internal/procgroup"}},
	{"provider/*", []string{"sdk", "sdk/*", "fault", "atomicfile", "secret"}},
	{"web", []string{"event", "plan", "fault"}},
	{"ui", []string{"event", "plan", "fault", "resource", "sdk"}},
	{"kind", stdlib},
	{"fault", stdlib},
	{"atomicfile", stdlib},
	{"internal/*", nil},
	{"sdk", stdlib},
	{"sdk/wire", []string{"sdk", "sdk/internal/pb"}},
	{"sdk/sdktest", []string{"sdk"}},
	{"sdk/internal/*", []string{"sdk"}},
	{"sdk/*", []string{"sdk"}},
}

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	GoFiles    []string
	Dir        string
	Doc        string
}

func matches(pattern, name string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(name, below+"/")
	}
	return pattern == name
}

func packages(t *testing.T) []pkg {
	t.Helper()
	var all []pkg
	for _, dir := range []string{"../..", "../../sdk"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Standard,Imports,GoFiles,Dir,Doc", "./...")
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v", dir, err)
		}
		dec := json.NewDecoder(strings.NewReader(string(out)))
		for {
			var p pkg
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, name) })
		if i < 0 {
			t.Errorf("package %s has no room: add a rule here and a line in docs/architecture.md", name)
			continue
		}
		if rules[i].may == nil {
			continue
		}
		for _, imp := range p.Imports {
			own, ok := strings.CutPrefix(imp, module+"/")
			if !ok || strings.HasPrefix(own, name+"/") || slices.Contains(everyone, own) {
				continue
			}
			if !slices.ContainsFunc(rules[i].may, func(m string) bool { return matches(m, own) }) {
				t.Errorf("%s imports %s; it may import %v", name, own, rules[i].may)
			}
		}
	}
}

// What must stay free of other people's modules.
func TestStandardLibraryOnly(t *testing.T) {
	pure := []string{"sdk", "fault", "kind", "resource", "graph", "event", "plan", "atomicfile"}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if !slices.Contains(pure, name) {
			continue
		}
		for _, imp := range p.Imports {
			first, _, _ := strings.Cut(imp, "/")
			if strings.Contains(first, ".") && !strings.HasPrefix(imp, module) {
				t.Errorf("%s imports %s; it uses the standard library alone", name, imp)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" && !strings.Contains(p.ImportPath, "/internal/pb") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// Only resolve makes a resource.Desired: code that forgot the environment has
// nothing to pass on.
func TestOnlyResolveMakesDesired(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "git", "grep", "-l", "--untracked", `resource\.NewDesired(`, "--", "*.go")
	cmd.Dir = "../.."
	out, _ := cmd.Output() // exit 1: no match
	for _, file := range strings.Fields(string(out)) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if dir != "resolve" && !strings.HasSuffix(file, "_test.go") && dir != "internal/house" {
			t.Errorf("%s calls resource.NewDesired; only package resolve may", file)
		}
	}
}

// The README shows the example as it is, up to its pipelines.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../examples/guestbook/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shown, _, found := strings.Cut(string(example), "\npipelines:\n")
	if !found || !strings.Contains(string(readme), "```yaml\n"+shown+"```\n") {
		t.Error("README.md shows another file than examples/guestbook/app.yaml")
	}
}
