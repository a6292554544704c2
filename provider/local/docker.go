package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/gocodealone/wfctl/provider/local/ociunpack"
	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
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

// containerName names the container of an instance.
func (p *provider) containerName(t *thing, i int) string {
	return fmt.Sprintf("wfctl-%s-%s-%s-%d", t.Owner.Project, t.Owner.Environment, t.Name, i)
}

// makeDocker loads the image into the engine and runs one container on the
// host's network, since it serves this machine alone.
func (p *provider) makeDocker(ctx context.Context, j *job, c serviceConfig) error {
	if c.InstanceCount > 1 {
		j.warn("/instance_count", "runtime: docker runs one instance")
	}
	tag, err := p.loadImage(ctx, j, c.Image)
	if err != nil {
		return err
	}
	port := c.HTTPPort
	if old := detail[served](j.thing).Port; port == 0 && old != 0 {
		port = old
	}
	if port == 0 {
		if port, err = supervisor.FreePort(); err != nil {
			return err
		}
	}
	container := p.containerName(j.thing, 0)
	if err := p.removeContainer(ctx, container); err != nil {
		return err
	}
	if err := supervisor.CheckPort(port); err != nil {
		return err
	}
	// The environment goes over standard input, never the command line.
	var env bytes.Buffer
	vars := maps.Clone(c.EnvVars)
	if vars == nil {
		vars = map[string]string{}
	}
	maps.Copy(vars, c.EnvVarsSecret)
	vars["PORT"] = strconv.Itoa(port)
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		if strings.ContainsAny(vars[k], "\n\r") {
			return &sdk.Error{Code: sdk.CodeInvalid, Path: sdk.Path("/env_vars").Child(k), Message: k + " has several lines, which Docker's env files cannot hold", Hint: "use runtime: process"}
		}
		fmt.Fprintf(&env, "%s=%s\n", k, vars[k])
	}
	args := []string{"run", "--detach", "--name", container, "--network", "host", "--restart", "unless-stopped", "--env-file", "/dev/stdin"}
	for k, v := range j.thing.Owner.Tags() {
		args = append(args, "--label", k+"="+v)
	}
	args = append(args, tag)
	if c.RunCommand != "" {
		args = append(args, strings.Fields(c.RunCommand)...)
	}
	j.progress("starting the container")
	if _, err := p.docker(ctx, &env, args...); err != nil {
		return err
	}
	return j.thing.keep(served{Port: port, Image: c.Image, Runtime: "docker", Instances: 1})
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

func (p *provider) removeContainer(ctx context.Context, container string) error {
	_, err := p.docker(ctx, nil, "rm", "--force", container)
	if err != nil && strings.Contains(err.Error(), "No such container") {
		return nil
	}
	return err
}

func (p *provider) findDocker(ctx context.Context, t *thing) (condition, error) {
	state, err := p.docker(ctx, nil, "inspect", "--format", "{{.State.Status}}", p.containerName(t, 0))
	switch {
	case err != nil && strings.Contains(err.Error(), "No such"):
		return sick("its container is gone"), nil
	case err != nil:
		return condition{}, err
	case state != "running":
		return sick("its container is %s", state), nil
	}
	return well, nil
}

func (p *provider) clearDocker(ctx context.Context, t *thing) error {
	return p.removeContainer(ctx, p.containerName(t, 0))
}
