package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/lock/locktest"
)

// pluginBench runs the commands about plugins in a folder.
type pluginBench struct {
	t        *testing.T
	dir, src string
	json     bool
	answer   string // of a person; "" where nobody sits there
	out, err bytes.Buffer
}

func newPluginBench(t *testing.T) *pluginBench {
	t.Helper()
	b := &pluginBench{t: t, dir: t.TempDir()}
	src := t.TempDir()
	locktest.New("hello", "v1.0.0").WriteTo(t, src)
	locktest.New("hello", "v1.1.0").WriteTo(t, src)
	b.src = "file://" + filepath.ToSlash(src)
	return b
}

func (b *pluginBench) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// run runs one command line and returns its standard output.
func (b *pluginBench) run(args ...string) (string, error) {
	b.t.Helper()
	b.out.Reset()
	b.err.Reset()
	d := pluginDeps{
		stdout: &b.out, stderr: &b.err, json: func() bool { return b.json },
		applications: func() []string {
			path := filepath.Join(b.dir, "app.yaml")
			if _, err := os.Stat(path); err != nil {
				return nil
			}
			return []string{path}
		},
		project: func() (*lock.Project, error) {
			return lock.Open(lock.Options{Dir: b.dir, Cache: filepath.Join(b.dir, "cache")})
		},
	}
	if b.answer != "" {
		d.confirm = func(context.Context, string) (bool, error) { return b.answer == "yes", nil }
	}
	root := &cobra.Command{SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(pluginCommand(d), migrateCommand(d))
	root.SetArgs(args)
	err := root.ExecuteContext(b.t.Context())
	return b.out.String(), err
}

// must runs what has to succeed and print something.
func (b *pluginBench) must(says string, args ...string) {
	b.t.Helper()
	out, err := b.run(args...)
	if err != nil {
		b.t.Fatalf("%v: %v", args, err)
	}
	if !strings.Contains(out, says) {
		b.t.Errorf("%v printed %q, want %q", args, out, says)
	}
}

func TestPluginCommands(t *testing.T) {
	b := newPluginBench(t)
	b.must("No plugins.", "plugin", "list")
	b.must("No plugins.", "plugin", "install")
	b.must("hello v1.0.0 locked", "plugin", "add", "hello@1.0.0", "--source", b.src, "--trust", "checksum-only")
	b.must("hello v1.0.0 is locked", "plugin", "lock")
	b.must("hello v1.0.0 ("+lock.HostPlatform()+") is installed", "plugin", "install")
	b.must("hello  v1.0.0  v1.0.0  yes        checksum-only", "plugin", "list")
	b.must("hello v1.0.0 ok (checksum-only)", "plugin", "verify")
	b.must("used by     no iac.provider", "plugin", "why", "hello")
	b.write("app.yaml", "modules: [{name: cloud, type: iac.provider, config: {provider: hello-kind}}]\n")
	b.must("used by     cloud (provider: hello-kind)", "plugin", "why", "hello")
	b.must("hello v1.0.0 -> v1.1.0 locked", "plugin", "update")
	b.must("hello v1.1.0 -> v1.0.0 locked", "plugin", "update", "hello@v1.0.0")
	b.must("hello v1.0.0 (darwin-arm64) installed", "plugin", "install", "--platform", "darwin-arm64")
	b.must("hello v1.0.0 removed", "plugin", "remove", "hello")
	b.must("hello v1.1.0 locked", "plugin", "add", "hello", "--source", b.src)
}

func TestPluginJSON(t *testing.T) {
	b := newPluginBench(t)
	b.json = true
	for _, args := range [][]string{
		{"plugin", "list"}, {"plugin", "install"}, {"plugin", "verify"}, {"plugin", "lock"}, {"plugin", "add", "hello", "--source", b.src},
		{"plugin", "list"}, {"plugin", "install"}, {"plugin", "verify"}, {"plugin", "why", "hello"}, {"plugin", "update"}, {"plugin", "remove", "hello"},
	} {
		out, err := b.run(args...)
		if err != nil || !json.Valid([]byte(out)) || strings.TrimSpace(out) == "null" {
			t.Errorf("%v: %v printed %s", args, err, out)
		}
	}
}

func TestPluginFailures(t *testing.T) {
	b := newPluginBench(t)
	b.must("", "plugin", "add", "hello@v1.0.0", "--source", b.src)
	for line, code := range map[string]fault.Code{
		"plugin add hello --trust everything": fault.Usage,
		"plugin add hello --identity x":       fault.Usage,
		"plugin add hello@v9.0.0":             fault.NotFound,
		"plugin update helo":                  fault.NotFound,
		"plugin remove helo":                  fault.NotFound,
		"plugin why helo":                     fault.NotFound,
		"plugin install --platform x":         fault.Usage,
		"migrate plugins":                     fault.NotFound,
	} {
		if _, err := b.run(strings.Fields(line)...); fault.CodeOf(err) != code {
			t.Errorf("%s: %v (%s), want %s", line, err, fault.CodeOf(err), code)
		}
	}
	if err := os.RemoveAll(filepath.Join(b.dir, "cache")); err != nil {
		t.Fatal(err)
	}
	if out, err := b.run("plugin", "verify"); fault.ExitCode(err) != 1 || strings.Contains(out, "ok") {
		t.Errorf("verify printed %q, %v", out, err)
	}
}

func TestMigratePluginsCommand(t *testing.T) {
	app := func(b *pluginBench) string {
		data, err := os.ReadFile(filepath.Join(b.dir, "app.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	const after = "requires: {plugins: [{name: hello}]} # ours\n"
	for _, tt := range []struct {
		name, answer string
		args         []string
		removed      bool
	}{
		{"auto", "", []string{"--auto"}, true}, {"yes", "yes", nil, true}, {"no", "no", nil, false}, {"nobody", "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newPluginBench(t)
			b.answer = tt.answer
			before := "requires: {plugins: [{name: hello, version: v1.0.0, source: '" + b.src + "'}]} # ours\n"
			b.write("app.yaml", before)
			b.must("hello v1.0.0 locked", append([]string{"migrate", "plugins"}, tt.args...)...)
			want := before
			if tt.removed {
				want = after
			}
			if got := app(b); got != want {
				t.Errorf("app.yaml is %q", got)
			}
			b.must("installed", "plugin", "install")
			if tt.removed {
				b.must("Nothing to migrate", "migrate", "plugins", "--auto")
			}
		})
	}
}

func TestSplitVersion(t *testing.T) {
	for arg, want := range map[string][2]string{
		"hello": {"hello", ""}, "hello@v1.0.0": {"hello", "v1.0.0"}, "oci://h/x@v1.0.0": {"oci://h/x", "v1.0.0"},
		"https://u@h/x": {"https://u@h/x", ""}, "@v1": {"@v1", ""},
	} {
		if name, version := splitVersion(arg); name != want[0] || version != want[1] {
			t.Errorf("%s: %q, %q", arg, name, version)
		}
	}
}
