package leakhunt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ground is where a hunt takes place: a project with a home and a folder for
// temporary files of its own.
type ground struct {
	t        *testing.T
	root     string
	project  string
	report   string
	seed     string
	canaries []Canary
	finder   *Finder
	// goEnv is what a project that builds needs.
	goEnv []string
}

func newGround(t *testing.T) *ground {
	g := &ground{t: t, root: t.TempDir(), seed: rand.Text()}
	g.canaries = Canaries(g.seed)
	g.finder = NewFinder(g.canaries)
	g.project, g.report = filepath.Join(g.root, "project"), filepath.Join(g.root, "report")
	for _, dir := range []string{"project/things", "home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(g.root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// variable is how the canaries come to wfctl.
func variable(c Canary) string { return "CANARY_" + strings.ToUpper(c.Name) }

func (g *ground) write(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.project, name), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// command is wfctl with the canaries in its environment, as CI gives them.
func (g *ground) command(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Dir = g.project
	home := filepath.Join(g.root, "home")
	cmd.Env = []string{
		"LEAKHUNT=wfctl", "PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_STATE_HOME=" + home + "/state", "XDG_CACHE_HOME=" + home + "/cache",
		"TMPDIR=" + filepath.Join(g.root, "tmp"), "NO_COLOR=1",
	}
	cmd.Env = append(cmd.Env, g.goEnv...)
	for _, c := range g.canaries {
		cmd.Env = append(cmd.Env, variable(c)+"="+c.Value)
	}
	return cmd
}

// wfctl runs a command, checks its exit status and that nothing leaked into
// what it printed, and returns that.
func (g *ground) wfctl(status int, args ...string) string {
	g.t.Helper()
	cmd := g.command(g.t.Context(), args...)
	out, err := cmd.CombinedOutput()
	got := cmd.ProcessState.ExitCode()
	if got != status {
		g.t.Errorf("wfctl %s: exit status %d, want %d (%v)\n%.3000s", strings.Join(args, " "), got, status, err, out)
	}
	g.check("wfctl "+strings.Join(args, " "), out)
	return string(out)
}

func (g *ground) check(what string, out []byte) {
	g.t.Helper()
	for _, name := range g.finder.Find(out) {
		g.t.Errorf("%s prints %s:\n%.3000s", what, name, out)
	}
}

// nowhere looks through all that is on the disk, and at all processes.
func (g *ground) nowhere(after string) {
	g.t.Helper()
	leaks, err := g.finder.Files(g.root)
	if err != nil {
		g.t.Fatal(err)
	}
	supervisor := func(p Process, _ string) bool {
		return bytes.Contains(p.Environment, []byte("LEAKHUNT=")) || bytes.Contains(p.CommandLine, []byte("/root-")) // a service
	}
	leaks = append(leaks, g.finder.Processes(Processes(), supervisor)...)
	for _, leak := range leaks {
		g.t.Errorf("after %s: %s", after, leak)
	}
	report, err := os.ReadFile(g.report)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		g.t.Fatal(err)
	}
	if strings.Contains(string(report), "LEAK") {
		g.t.Errorf("after %s, a command saw:\n%s", after, report)
	}
}

// handed are the canaries that one module hands to others.
func handed(c Canary) bool {
	return slices.Contains([]string{"pem", "url", "longer", "quotes"}, c.Name)
}

// commands is a module for each canary, and two that get what some of them
// have made of it.
func (g *ground) commands(create string, canaries ...Canary) string {
	self, err := os.Executable()
	if err != nil {
		g.t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("version: 1\nproject: hunt\nmodules:\n")
	for _, c := range canaries {
		fmt.Fprintf(&b, `  - name: %[1]s
    type: core.command
    config: {create: [%[2]q, %[5]s], read: [%[2]q, read], update: [%[2]q, update], delete: [%[2]q, delete], env: {LEAKHUNT: thing, NAME: %[1]s, SEED: %[3]q, REPORT: %[4]q}, sensitive_env: {SECRET: "${%[6]s}"}}
`, c.Name, self, g.seed, g.report, create, variable(c))
		if !handed(c) {
			continue
		}
		fmt.Fprintf(&b, `  - name: %[1]s-user
    type: core.command
    config: {create: [%[2]q, create], read: [%[2]q, read], delete: [%[2]q, delete], env: {LEAKHUNT: thing, NAME: %[1]s, SEED: %[3]q, REPORT: %[4]q}, sensitive_env: {SECRET: "${{ modules.%[1]s.outputs.password }}"}}
  - name: %[1]s-copy
    type: core.data
    config: {values: {text: "it is ${{ modules.%[1]s.outputs.password }}.", whole: "${{ modules.%[1]s.outputs.nested }}"}}
`, c.Name, self, g.seed, g.report)
	}
	return b.String()
}

// TestCommands takes the canaries through the life of modules.
func TestCommands(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.write("app.yaml", g.commands("create", g.canaries...))
	g.wfctl(0, "validate")
	g.wfctl(3, "infra", "plan", "--exit-code", "-o", "plan.json")
	out := g.wfctl(0, "infra", "apply", "--verbose")
	if strings.Count(out, "they say: ***MASKED***") < len(g.canaries) {
		t.Errorf("the commands did not get to print:\n%.2000s", out)
	}
	if !strings.Contains(out, Short+".sensitive_env.SECRET is sensitive and shorter than 6 characters") {
		t.Errorf("no warning of the short secret:\n%s", out)
	}
	g.nowhere("apply")
	for _, args := range [][]string{
		{"infra", "plan", "--json"}, {"infra", "plan", "--markdown"}, {"infra", "apply", "--refresh", "--json"}, {"infra", "drift", "--json"},
		{"infra", "status"}, {"infra", "state", "show", "pem"}, {"infra", "state", "history", "--json"},
		{"infra", "state", "export"}, {"infra", "state", "list"}, {"infra", "outputs"}, {"infra", "outputs", "--json"}, {"infra", "outputs", "--format", "env"},
		{"infra", "outputs", "--jq", "."}, {"doctor"}, {"validate", "--json"},
	} {
		g.wfctl(0, args...)
	}
	g.nowhere("looking")
	if err := os.Remove(filepath.Join(g.project, "things", "url")); err != nil {
		t.Fatal(err)
	}
	g.wfctl(3, "infra", "drift", "--exit-code")
	g.wfctl(0, "infra", "apply", "--refresh", "--json", "--verbose", "--approve")
	g.nowhere("drift")
	g.wfctl(0, "infra", "destroy", "--approve", "--verbose")
	g.nowhere("destroy")
	report, err := os.ReadFile(g.report)
	if err != nil || len(Processes()) > 0 && strings.Count(string(report), "looked") < len(g.canaries) {
		t.Errorf("the commands did not look at the processes: %v, %q", err, report)
	}
}

// TestShown: what was asked for is printed, and nothing else.
func TestShown(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	two := g.canaries[6:8] // the second begins with the first
	g.write("app.yaml", g.commands("create", two...))
	g.wfctl(0, "infra", "apply")
	for i, c := range two {
		cmd := g.command(t.Context(), "infra", "outputs", "--module", c.Name, "--output", "password", "--show-sensitive")
		out, err := cmd.Output()
		if err != nil || string(out) != c.Value+"\n" {
			t.Errorf("%s: %q, %v", c.Name, out, err)
		}
		cmd = g.command(t.Context(), "infra", "outputs", "--module", c.Name, "--show-sensitive", "--json")
		out, err = cmd.Output()
		if err != nil || !strings.Contains(string(out), `"password": "`+c.Value+`"`) || i == 0 && strings.Contains(string(out), two[1].Value) {
			t.Errorf("%s: %q, %v", c.Name, out, err)
		}
	}
}

// TestFailures: errors, of commands and of providers.
func TestFailures(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.write("app.yaml", g.commands("fail", g.canaries...))
	g.wfctl(1, "infra", "apply", "--json")
	out := g.wfctl(1, "infra", "apply", "--verbose")
	if !strings.Contains(out, "they say: ***MASKED***") {
		t.Errorf("the errors do not quote the commands:\n%.2000s", out)
	}
	g.nowhere("failure")
}

// TestProvider: a provider that panics, and says what it should not.
func TestProvider(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	app := func(how, provider string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "version: 1\nproject: hunt\nmodules:\n  - {name: cloud, type: iac.provider, config: {provider: blab%s}}\n", provider)
		for _, c := range g.canaries {
			if c.Name != Short && (c.Name != "huge" || how == "doubtful" || how == "panic in read") { // which takes its time
				fmt.Fprintf(&b, "  - {name: %s, type: blab.thing, config: {provider: cloud, how: %q, secret: \"${%s}\"}}\n", c.Name, how, variable(c))
			}
		}
		return b.String()
	}
	for _, how := range []string{"panic", "fail", "panic in diff"} {
		g.write("app.yaml", app(how, ""))
		g.wfctl(1, "infra", "apply", "--verbose")
		g.wfctl(1, "infra", "apply", "--json")
	}
	for _, how := range []string{"invalid", "panic in validate"} {
		g.write("app.yaml", app(how, ""))
		g.wfctl(1, "validate")
		g.wfctl(1, "validate", "--json")
		g.wfctl(1, "infra", "plan")
	}
	g.write("app.yaml", app("fine", `, token: "${CANARY_PEM}"`))
	g.wfctl(1, "infra", "apply")
	g.nowhere("failures of a provider")

	g.write("app.yaml", app("doubtful", ""))
	g.wfctl(0, "infra", "apply", "--verbose")
	g.nowhere("apply")
	for _, args := range [][]string{
		{"infra", "plan", "--refresh"}, {"infra", "plan", "--refresh", "--json", "-o", "plan.json"}, {"infra", "drift"}, {"infra", "drift", "--json"},
		{"infra", "outputs"}, {"infra", "outputs", "--json"}, {"infra", "state", "export"},
	} {
		g.wfctl(0, args...)
	}
	g.wfctl(1, "infra", "status", "--json") // nothing is well
	g.write("app.yaml", app("panic in read", ""))
	g.wfctl(1, "infra", "drift")
	g.wfctl(1, "infra", "status")
	g.nowhere("panics of a provider")
	g.write("app.yaml", app("fine", ""))
	g.wfctl(0, "infra", "destroy", "--approve", "--verbose")
	g.nowhere("destroy")

	g.wfctl(0, "infra", "import", "pem", "PEM")
	g.wfctl(0, "infra", "import", "quotes", "QUOTES", "--json")
	g.wfctl(0, "infra", "plan")
	g.nowhere("import")

	g.write("app.yaml", strings.ReplaceAll(app("fine", ""), "secret:", "number:")) // does not fit its schema
	g.wfctl(1, "validate")
	g.wfctl(1, "infra", "plan", "--json")
}

// TestPanicOfWfctl: the runtime would print it past every mask.
func TestPanicOfWfctl(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.write("app.yaml", g.commands("create", g.canaries...))
	for _, c := range g.canaries {
		if c.Name == Short {
			continue
		}
		cmd := g.command(t.Context(), "infra", "plan")
		cmd.Env = append(cmd.Env, "LEAKHUNT_PANIC=1", "DEPLOY_TOKEN="+c.Value)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !bytes.Contains(out, []byte("panicked")) {
			t.Errorf("%v\n%s", err, out)
		}
		g.check("a panic", out)
	}
	g.nowhere("panics")
}

// TestGate: a service gives back the secret that it was asked with.
func TestGate(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	service := httptest.NewServer(http.HandlerFunc(echo))
	defer service.Close()
	var usable []Canary
	for _, c := range g.canaries {
		if c.Name != Short && !strings.ContainsAny(c.Value, "\n\x01") && len(c.Value) < 4096 { // fit for a header
			usable = append(usable, c)
		}
	}
	app := g.commands("create", usable...) + "gates:\n"
	for _, c := range usable {
		app += fmt.Sprintf("  ask-%[1]s: {timeout: 2s, max_retries: 2, targets: [{url: %[2]q, headers: {Authorization: \"Bearer ${{ modules.%[1]s.outputs.password }}\"}}]}\n", c.Name, service.URL)
	}
	g.write("app.yaml", app)
	out := g.wfctl(1, "up", "--verbose", "--parallelism", "20")
	if !strings.Contains(out, "no entry for ***MASKED***") {
		t.Errorf("the gates do not show the body:\n%s", out)
	}
	g.wfctl(1, "up", "--json", "--parallelism", "20")
	g.nowhere("gates")
	g.wfctl(0, "down", "--approve")
	g.nowhere("down")
}

// TestCrash: killed, and interrupted, in the middle of a create, and gone on
// from there.
func TestCrash(t *testing.T) {
	ends := map[string]func(*os.Process){"killed": func(p *os.Process) { _ = p.Kill() }}
	if runtime.GOOS != "windows" {
		ends["interrupted"] = func(p *os.Process) {
			_ = p.Signal(os.Interrupt)
			_ = p.Signal(syscall.SIGTERM) // leave now
		}
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGround(t)
			some := g.canaries[:3]
			g.write("app.yaml", g.commands("hang", some...))
			g.check("a run that was "+name, g.broken(end, len(some)))
			g.nowhere("a crash")
			g.write("app.yaml", g.commands("create", some...))
			g.wfctl(0, "infra", "apply", "--verbose", "--approve")
			g.wfctl(0, "infra", "destroy", "--approve", "--json")
			g.nowhere("recovery")
		})
	}
}

// broken is what an apply prints that ends once so many commands run.
func (g *ground) broken(end func(*os.Process), commands int) []byte {
	cmd := g.command(g.t.Context(), "infra", "apply", "--verbose")
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
			if entries, err := os.ReadDir(filepath.Join(g.project, "things")); err == nil && len(entries) == commands {
				break
			}
		}
		end(cmd.Process)
	}()
	printed, err := io.ReadAll(out)
	if err != nil {
		g.t.Error(err)
	}
	_ = cmd.Wait() // it was ended
	return printed
}

// TestEveryShapeIsHunted keeps the list of shapes long.
func TestEveryShapeIsHunted(t *testing.T) {
	var names []string
	for _, c := range Canaries("x") {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	if len(names) < 12 || len(slices.Compact(names)) != len(names) {
		t.Errorf("%v", names)
	}
}
