package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/gocodealone/wfctl/provider/local/ociunpack"
	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// docker runs the client; the engine is whatever it is set up to reach.
func (p *provider) docker(ctx context.Context, stdin *bytes.Buffer, args ...string) (string, error) {
	path, err := p.opts.LookPath("docker")
	if err != nil {
		return "", &sdk.Error{Code: sdk.CodeUnsupported, Path: "/runtime", Message: "docker is not on PATH", Hint: "install it, or use runtime: process"}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(errs.String())
		if strings.Contains(text, "Cannot connect to the Docker daemon") {
			return "", &sdk.Error{Code: sdk.CodeUnsupported, Path: "/runtime", Message: "no Docker engine answers", Hint: "start it, or use runtime: process"}
		}
		if text == "" {
			text = err.Error()
		}
		return "", sdk.Errorf(sdk.CodeInternal, "docker %s: %s", args[0], text)
	}
	return strings.TrimSpace(out.String()), nil
}

// deployDocker loads the image into the engine and keeps `docker run` up as if
// it were the program: so it is waited for, rolled, restarted and logged like
// a process.
func (p *provider) deployDocker(ctx context.Context, j *job, c serviceConfig, old served) (jobRunner, error) {
	if len(c.Workers)+len(c.Sidecars) > 0 {
		j.warn("/runtime", "runtime: docker runs the service and its jobs, without its workers and sidecars")
	}
	tag, err := p.loadImage(ctx, j, c.Image)
	if err != nil {
		return nil, err
	}
	run := p.dockerJobs(c, tag)
	if err := runJobs(ctx, j, c, preDeploy, run); err != nil {
		return run, err
	}
	if err := p.rollDocker(ctx, j, c, old, tag); err != nil {
		return run, err
	}
	return run, runJobs(ctx, j, c, postDeploy, run)
}

func (p *provider) rollDocker(ctx context.Context, j *job, c serviceConfig, old served, tag string) error {
	if st, _, err := p.serviceStatus(ctx, j.thing.ID); err != nil {
		return err
	} else if len(st.Instances) == 0 {
		if err := p.removeContainers(ctx, j.thing); err != nil { // of a supervisor that was killed
			return err
		}
	}
	spec, err := p.dockerSpec(j.thing, c, tag, old)
	if err != nil {
		return err
	}
	if err := j.thing.keep(served{Port: old.Port, Asked: old.Asked, Image: c.Image, Runtime: "docker", Instances: max(1, c.InstanceCount)}); err != nil {
		return err
	}
	st, err := p.up(ctx, j, spec)
	if err != nil {
		return err
	}
	now := served{Port: st.Port, Asked: c.HTTPPort, Image: c.Image, Runtime: "docker", Instances: max(1, c.InstanceCount)}
	if err := j.thing.keep(now); err != nil {
		return err
	}
	return p.dropOld(ctx, j, old, now)
}

// dockerSpec says how `docker run` is kept up. The environment goes over
// standard input, never the command line.
func (p *provider) dockerSpec(t *thing, c serviceConfig, tag string, old served) (supervisor.Spec, error) {
	client, err := p.opts.LookPath("docker")
	if err != nil {
		return supervisor.Spec{}, err
	}
	inside := c.HTTPPort
	if inside == 0 {
		inside = 8080
	}
	env, err := envFile(c, inside)
	if err != nil {
		return supervisor.Spec{}, err
	}
	argv := []string{client, "run", "--rm", "--publish", fmt.Sprintf("127.0.0.1:{port}:%d", inside), "--env-file", "/dev/stdin"}
	for _, label := range labels(t) {
		argv = append(argv, "--label", label)
	}
	spec := supervisor.Spec{
		Name: t.ID, Command: slices.Concat(argv, []string{tag}, strings.Fields(c.RunCommand)), Expand: true, Stdin: env, Env: clientEnvironment(),
		OrphanSignal: "SIGTERM", // which the client passes on to the container
		Instances:    c.InstanceCount, Listen: listenFor(c, old), Ready: readiness(c),
	}
	if c.Termination != nil {
		spec.Grace = time.Duration(c.Termination.Grace)
	}
	if c.LivenessCheck != nil {
		live := probe(c.LivenessCheck)
		spec.Live = &live
	}
	return spec, nil
}

// clientEnvironment is what the docker client needs to find its engine.
func clientEnvironment() []string {
	var env []string
	for _, k := range []string{"PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

func envFile(c serviceConfig, port int) ([]byte, error) {
	vars := inherit(infra.Component{}, c.Component).EnvVars
	maps.Copy(vars, c.EnvVarsSecret)
	if port != 0 {
		vars["PORT"] = strconv.Itoa(port)
	}
	var env bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		if strings.ContainsAny(vars[k], "\n\r") {
			return nil, &sdk.Error{Code: sdk.CodeInvalid, Path: sdk.Path("/env_vars").Child(k), Message: k + " has several lines, which Docker's env files cannot hold", Hint: "use runtime: process"}
		}
		fmt.Fprintf(&env, "%s=%s\n", k, vars[k])
	}
	return env.Bytes(), nil
}

// labels are the ownership tags, and the name, since two resources of one
// module follow each other when it is renamed.
func labels(t *thing) []string {
	var list []string
	tags := t.Owner.Tags()
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, k+"="+tags[k])
	}
	return append(list, "wfctl-name="+t.Name, "wfctl-folder="+shortHash(t.dir))
}

// removeContainers removes every container of a service.
func (p *provider) removeContainers(ctx context.Context, t *thing) error {
	ids, err := p.docker(ctx, nil, "ps", "--all", "--quiet", "--filter", "label=wfctl-folder="+shortHash(t.dir))
	if err != nil || ids == "" {
		return err
	}
	_, err = p.docker(ctx, nil, append([]string{"rm", "--force"}, strings.Fields(ids)...)...)
	return err
}

func (p *provider) loadImage(ctx context.Context, j *job, ref string) (string, error) {
	dir, digest, err := ociunpack.ParseRef(ref)
	if err != nil {
		return "", &sdk.Error{Code: sdk.CodeInvalid, Path: "/image", Message: err.Error()}
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(p.base, dir)
	}
	img, err := layoutImage(dir, digest)
	if err != nil {
		return "", sdk.Wrap(sdk.CodeInvalid, err, "opening the image")
	}
	tag, err := name.NewTag("wfctl.local/" + strings.ToLower(j.thing.Name) + ":" + strings.TrimPrefix(digest, "sha256:")[:16])
	if err != nil {
		return "", err
	}
	var tar bytes.Buffer
	if err := tarball.Write(tag, img, &tar); err != nil {
		return "", err
	}
	j.progress("loading the image into the Docker engine")
	_, err = p.docker(ctx, &tar, "load")
	return tag.String(), err
}

// layoutImage opens an image of a layout, or this platform's of an index.
func layoutImage(dir, digest string) (v1.Image, error) {
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, err
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	if img, err := path.Image(hash); err == nil {
		if _, err := img.Manifest(); err == nil {
			return img, nil
		}
	}
	root, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	idx, err := root.ImageIndex(hash)
	if err != nil {
		return nil, err
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, m := range manifest.Manifests {
		if m.Platform != nil && m.Platform.OS == "linux" && m.Platform.Architecture == ociunpack.Here().Architecture {
			return idx.Image(m.Digest)
		}
	}
	return nil, errors.New("the image has nothing for linux/" + ociunpack.Here().Architecture)
}
