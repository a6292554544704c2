package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// goTool is the go command of a machine, as it is in the folder of a build:
// a go.mod can ask for another toolchain.
type goTool struct {
	command  string
	version  string
	root     string
	modcache string
	module   string
	files    []string // go.mod, go.work: what versions depend on
}

// tool finds the go command and asks it about itself.
func (g Go) tool(ctx context.Context, b *goBuild) (*goTool, error) {
	command := g.Command
	if command == "" {
		command = "go"
	}
	full, err := exec.LookPath(command)
	if err != nil {
		return nil, fault.New(fault.Environment, "image %q is built with Go, and there is no `go` on PATH", b.Name).
			WithHint("install Go from https://go.dev/dl, or take another builder")
	}
	if info, err := os.Stat(b.dir); err != nil || !info.IsDir() {
		return nil, fault.New(fault.Config, "image %q: the folder %s does not exist", b.Name, b.dir).WithHint("`dir` is relative to the folder of the application file")
	}
	t := &goTool{command: full}
	out, err := t.run(ctx, b, v1.Platform{}, "env", "-json", "GOVERSION", "GOROOT", "GOMODCACHE", "GOMOD", "GOWORK")
	if err != nil {
		return nil, err
	}
	var env struct{ GOVERSION, GOROOT, GOMODCACHE, GOMOD, GOWORK string }
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the answer of `go env`")
	}
	if env.GOMOD == "" || env.GOMOD == os.DevNull {
		return nil, fault.New(fault.Config, "image %q: %s is in no Go module", b.Name, b.dir).WithHint("run `go mod init` there, or set `dir` to the folder of the go.mod")
	}
	t.version, t.root, t.modcache = env.GOVERSION, env.GOROOT, env.GOMODCACHE
	t.files = []string{env.GOMOD, strings.TrimSuffix(env.GOMOD, ".mod") + ".sum"}
	if env.GOWORK != "" && env.GOWORK != "off" {
		t.files = append(t.files, env.GOWORK, env.GOWORK+".sum")
	}
	t.module = modulePath(env.GOMOD)
	return t, nil
}

var moduleLine = lazyregexp.New(`(?m)^module\s+"?([^\s"]+)`)

func modulePath(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	if m := moduleLine().FindSubmatch(raw); m != nil {
		return string(m[1])
	}
	return ""
}

func (t *goTool) zoneinfo() string { return filepath.Join(t.root, "lib", "time", "zoneinfo.zip") }

// zones tells whether the installation has time zones to unpack: some
// distributions leave them out.
func (t *goTool) zones() bool {
	_, err := os.Stat(t.zoneinfo())
	return err == nil
}

// compile builds one binary.
func (t *goTool) compile(ctx context.Context, b *goBuild, p v1.Platform, pkg, output string) error {
	_, err := t.run(ctx, b, p, append(append([]string{"build", "-trimpath", "-buildvcs=false", "-o", output}, t.buildFlags(b)...), "--", pkg)...)
	return err
}

// buildFlags are those that decide what is compiled.
func (t *goTool) buildFlags(b *goBuild) []string {
	ld := string(b.LDFlags)
	if ld == "" && !b.Debug {
		ld = "-s -w"
	}
	args := []string{"-ldflags", strings.TrimSpace(ld + " -buildid=")}
	if b.Debug {
		args = append(args, "-gcflags", "all=-N -l")
	}
	return append(args, "-tags", strings.Join(t.tags(b), ","))
}

func (t *goTool) tags(b *goBuild) []string {
	tags := slices.Clone(b.BuildTags)
	if !t.zones() {
		tags = append(tags, "timetzdata")
	}
	return tags
}

// run runs the go command in the folder of a build and explains a failure.
func (t *goTool) run(ctx context.Context, b *goBuild, p v1.Platform, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, t.command, args...)
	cmd.Dir, cmd.Env = b.dir, goEnv(os.Environ(), p)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopDelay
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fault.Wrap(fault.Interrupted, ctx.Err(), "build image %q", b.Name)
	case errors.As(err, &exit):
		return nil, goFailure(b, args[0], stderr.String())
	case err != nil:
		return nil, fault.Wrap(fault.Environment, err, "run `go %s`", args[0])
	}
	return stdout.Bytes(), nil
}

// passed lists the variables that the go command gets: its own, and what it
// needs to reach module proxies and private repositories.
var (
	passed       = []string{"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TMP", "TEMP", "LANG", "NETRC", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SYSTEMROOT", "SYSTEMDRIVE", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PATHEXT", "COMSPEC", "WINDIR", "PROGRAMDATA"}
	passedPrefix = []string{"GO", "GIT_", "SSH_", "XDG_"}
	// settled are those that would change the result: the same source gives
	// the same image, whoever builds it.
	settled = []string{"GOFLAGS", "GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "GO386", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64", "GOWASM", "GOEXPERIMENT", "GOFIPS140", "GO_EXTLINK_ENABLED", "GODEBUG", "GOCOVERDIR"}
)

func goEnv(environ []string, p v1.Platform) []string {
	var env []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		name = strings.ToUpper(name)
		prefixed := slices.ContainsFunc(passedPrefix, func(s string) bool { return strings.HasPrefix(name, s) })
		if (prefixed || slices.Contains(passed, name)) && !slices.Contains(settled, name) {
			env = append(env, entry)
		}
	}
	// An empty GOFLAGS would let `go env -w` decide: this one changes nothing.
	env = append(env, "CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOFIPS140=off", "GOTELEMETRY=off")
	if p.OS == "" {
		return env
	}
	env = append(env, "GOOS="+p.OS, "GOARCH="+p.Architecture)
	version := strings.TrimPrefix(p.Variant, "v")
	switch p.Architecture {
	case "amd64":
		env = append(env, "GOAMD64=v"+orDefault(version, "1"))
	case "arm":
		env = append(env, "GOARM="+orDefault(version, "7"))
	case "arm64":
		env = append(env, "GOARM64=v8.0")
	}
	return env
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

var compileError = lazyregexp.New(`^(?:vet: )?(.+\.(?:go|s|mod|work)):(\d+)(?::(\d+))?: (.+)$`)

// goFailure turns what the go command said into an error with the place of
// the first mistake; the others are its detail.
func goFailure(b *goBuild, what, stderr string) error {
	var lines []string
	for line := range strings.Lines(stderr) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	f := fault.New(fault.Config, "image %q: go %s failed", b.Name, what)
	for _, line := range lines {
		m := compileError().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f.Message = "image \"" + b.Name + "\": " + m[4]
		f.Pos.File = filepath.FromSlash(m[1])
		if !filepath.IsAbs(f.Pos.File) {
			f.Pos.File = filepath.Join(b.dir, f.Pos.File)
		}
		f.Pos.Line, _ = strconv.Atoi(m[2]) // digits, by the expression
		f.Pos.Column, _ = strconv.Atoi(m[3])
		f.Source = sourceLine(f.Pos)
		break
	}
	if f.Pos.IsZero() && len(lines) > 0 {
		f.Message += ": " + lines[len(lines)-1]
	}
	return f.WithDetail(lines...)
}

// sourceLine is the line that a position points at.
func sourceLine(p fault.Position) string {
	raw, err := os.ReadFile(p.File)
	if err != nil {
		return ""
	}
	lines := strings.Split(string(raw), "\n")
	if p.Line < 1 || p.Line > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[p.Line-1], "\r")
}
