package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// buildx is the program `docker buildx` for one build.
type buildx struct {
	b      *dockerfileBuild
	docker string
	env    []string
	config *dockerConfig
	// direct: the builder writes a layout; else the image goes through the
	// engine's own store, which holds one platform.
	direct bool
}

// openBuildx finds buildx; nil where it is not there.
func openBuildx(ctx context.Context, b *dockerfileBuild, h Host) (*buildx, error) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return nil, nil //nolint:nilerr // the engine's API is tried next
	}
	config, err := newDockerConfig(ctx, h)
	if err != nil {
		return nil, err
	}
	x := &buildx{b: b, docker: docker, config: config, env: slices.Concat(dockerEnv(os.Environ(), b), config.env(), b.argEnv())}
	out, err := x.output(ctx, "buildx", "inspect")
	if err != nil {
		x.close()
		if ctx.Err() != nil {
			return nil, fault.Wrap(fault.Interrupted, ctx.Err(), "build image %q", b.Name)
		}
		return nil, nil // docker says what it does not know in many ways
	}
	x.direct = !driverDocker().MatchString(out)
	if !x.direct {
		status, err := x.output(ctx, "info", "--format", "{{json .DriverStatus}}")
		x.direct = err == nil && strings.Contains(status, "containerd.snapshotter")
	}
	return x, nil
}

var driverDocker = lazyregexp.New(`(?m)^Driver:\s+docker\s*$`)

func (x *buildx) close() { x.config.close() }

func (x *buildx) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, x.docker, args...)
	cmd.Dir, cmd.Env = x.b.BaseDir, x.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopDelay
	return cmd
}

func (x *buildx) output(ctx context.Context, args ...string) (string, error) {
	out, err := x.command(ctx, args...).Output()
	return string(out), err
}

// dockerPassed are the variables that docker gets; beside them those that the
// secrets of the build are in.
var (
	dockerPassed = []string{"PATH", "HOME", "USER", "TMPDIR", "TMP", "TEMP", "LANG", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
		"XDG_RUNTIME_DIR", "SYSTEMROOT", "SYSTEMDRIVE", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PATHEXT", "COMSPEC", "PROGRAMDATA", "PROGRAMFILES", "ACTIONS_CACHE_URL", "ACTIONS_RESULTS_URL", "ACTIONS_RUNTIME_TOKEN"}
	dockerPrefix = []string{"DOCKER_", "BUILDX_", "BUILDKIT_", "AWS_"}
)

func dockerEnv(environ []string, b *dockerfileBuild) (env []string) {
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name)
		needed := slices.Contains(dockerPassed, upper) || slices.ContainsFunc(dockerPrefix, func(p string) bool { return strings.HasPrefix(upper, p) }) && upper != "DOCKER_CONFIG"
		for _, s := range b.Secrets {
			needed = needed || s.Env == name
		}
		if needed && !(strings.HasPrefix(upper, "AWS_") && len(b.CacheTo)+len(b.CacheFrom) == 0) {
			env = append(env, entry)
		}
	}
	return env
}

// argEnv are the build arguments as buildx takes them from its environment.
func (b *dockerfileBuild) argEnv() (env []string) {
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		if b.inEnvironment(name) {
			env = append(env, name+"="+b.Args[name])
		}
	}
	return env
}

// inEnvironment tells whether docker can be told a build argument so: one that
// has the name of a variable which docker reads itself, or of a secret's, is
// told on the command line.
func (b *dockerfileBuild) inEnvironment(name string) bool {
	upper := strings.ToUpper(name)
	return !slices.Contains(dockerPassed, upper) && !slices.ContainsFunc(dockerPrefix, func(p string) bool { return strings.HasPrefix(upper, p) }) &&
		!slices.ContainsFunc(slices.Collect(maps.Values(b.Secrets)), func(s secretSource) bool { return s.Env == name })
}

// build builds the image into a tar.
func (x *buildx) build(ctx context.Context, tar string, progress Progress) error {
	id := tar + ".id"
	args := append([]string{"buildx", "build", "--progress", "plain", "--provenance=false"}, x.flags()...)
	switch {
	case x.direct:
		args = append(args, "--output", "type=oci,dest="+tar)
	case len(x.b.Platforms) > 1:
		return fault.New(fault.Environment, "image %q has several platforms, and Docker's store here holds one", x.b.Name).
			WithHint("make a builder that can: docker buildx create --use; or switch Docker to the containerd image store")
	default:
		args = append(args, "--load", "--iidfile", id)
	}
	if err := x.run(ctx, append(args, "--", x.b.context), progress); err != nil || x.direct {
		return err
	}
	raw, err := os.ReadFile(id)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "image %q: docker does not say what it built", x.b.Name)
	}
	image := string(bytes.TrimSpace(raw))
	if err := x.run(ctx, []string{"image", "save", "--output", tar, image}, progress); err != nil {
		return err
	}
	_, _ = x.output(ctx, "image", "rm", image) // it has no name there; the cache stays
	return nil
}

func (x *buildx) flags() (args []string) {
	b := x.b
	args = append(args, "--file", b.file, "--build-arg", "SOURCE_DATE_EPOCH=0")
	// Their values are in the environment, which others cannot see.
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		if b.inEnvironment(name) {
			args = append(args, "--build-arg", name)
		} else {
			args = append(args, "--build-arg", name+"="+b.Args[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Labels)) {
		args = append(args, "--label", name+"="+b.Labels[name])
	}
	for _, id := range slices.Sorted(maps.Keys(b.Secrets)) {
		if s := b.Secrets[id]; s.Env != "" {
			args = append(args, "--secret", "id="+id+",env="+s.Env)
		} else {
			args = append(args, "--secret", "id="+id+",src="+b.abs(s.File))
		}
	}
	for flag, values := range map[string][]string{"--cache-from": b.CacheFrom, "--cache-to": b.CacheTo} {
		for _, v := range values {
			args = append(args, flag, v)
		}
	}
	for _, f := range [][2]string{{"--target", b.Target}, {"--network", b.Network}, {"--platform", strings.Join(b.Platforms, ",")}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	if b.NoCache {
		args = append(args, "--no-cache")
	}
	return args
}

// buildStep is a step as buildx tells it: #5 [2/3] RUN ….
var buildStep = lazyregexp.New(`^#\d+ (\[.+)$`)

// run runs docker and passes on its steps.
func (x *buildx) run(ctx context.Context, args []string, progress Progress) error {
	cmd := x.command(ctx, args...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	var lines []string
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines = append(lines, s.Text())
			if m := buildStep().FindStringSubmatch(s.Text()); m != nil {
				progress(m[1], -1)
			}
		}
		_, _ = io.Copy(io.Discard, r) // a line too long ends the scanner, not docker
	}()
	err := cmd.Run()
	_ = w.Close()
	<-read
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fault.Wrap(fault.Interrupted, ctx.Err(), "build image %q", x.b.Name)
	case errors.As(err, &exit):
		return failedBuild(x.b, "", lines)
	case err != nil:
		return fault.Wrap(fault.Environment, err, "run docker")
	}
	return nil
}

// homeDocker is the user's own folder of Docker's configuration.
func homeDocker() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".docker")
}
