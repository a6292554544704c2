package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/provider/local/ociunpack"
	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// serviceConfig is a container service as it runs on this machine.
type serviceConfig struct {
	infra.ContainerService
	Runtime string `json:"runtime,omitempty" enum:"process,docker" default:"process" doc:"process runs the image's program on this machine; docker runs the image in a Docker engine"`
}

// served is what is kept of a service. It holds no environment.
type served struct {
	Port int `json:"port"`
	// Asked is the http_port that the file asked for when Port was chosen.
	Asked   int      `json:"asked,omitempty"`
	Image   string   `json:"image"`
	Roots   []string `json:"roots,omitempty"`
	Runtime string   `json:"runtime,omitempty"`
	// Instances is how many were asked for, Others the names of its workers
	// and sidecars.
	Instances int      `json:"instances"`
	Others    []string `json:"others,omitempty"`
}

func (p *provider) services() kind {
	ignored := map[string]string{
		"region": onOneMachine, "size": "a process takes what it needs", "vpc_ref": onOneMachine, "autoscaling": "instance_count says how many run",
		"alerts": "nobody is told", "log_destinations": "logs stay in .wfctl", "maintenance": "nothing is maintained", "domains": "it answers on the loopback interface",
		"cors": "the service itself answers", "routes": "all requests go to the service", "static_sites": "they are not built here", "build_command": "images: builds the image",
		"internal_ports": "processes on one machine reach each other",
	}
	return &typed[serviceConfig]{
		name: infra.TypeContainerService, dir: "services", description: "A service that runs an image: its processes are kept up behind a proxy on one loopback port.",
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), {Name: "url", Type: "string", Description: "where it answers"}, {Name: "host", Type: "string", Stable: true, Description: "127.0.0.1"},
			{Name: "port", Type: "integer", Description: "where it answers"}, {Name: "image", Type: "string", Description: "the image that it runs"},
		},
		ignored: ignored, slow: 600, validate: checkService, make: p.makeService, find: p.findContainer, report: reportService, clear: p.clearContainer,
	}
}

func checkService(cfg sdk.Config, c serviceConfig) []sdk.Diagnostic {
	if c.Image == "" && !cfg.IsUnknown("/image") && !cfg.IsOpaque("/image") {
		return []sdk.Diagnostic{wrong("/image", "declare it under `images:` and write image: \"${{ images.NAME }}\"", "image is missing")}
	}
	for name := range c.EnvVars {
		if strings.ContainsAny(name, "=\x00") || name == "" {
			return []sdk.Diagnostic{wrong(sdk.Path("/env_vars").Child(name), "a name has no '='", "%q cannot be a variable", name)}
		}
	}
	return nil
}

// makeService deploys, and runs the jobs that are for a deployment that fails
// where it does.
func (p *provider) makeService(ctx context.Context, j *job, c serviceConfig) error {
	run, err := p.deploy(ctx, j, c)
	if err != nil && run != nil && ctx.Err() == nil {
		if again := runJobs(ctx, j, c, failedDeploy, run); again != nil {
			j.warn("/jobs", "a job for the failed deployment failed too: "+again.Error())
		}
	}
	return err
}

// deploy rolls the service to a new version: the jobs before it, it, the jobs
// after it. The old version stays where a job before fails. It returns how
// jobs are run as soon as that is known.
func (p *provider) deploy(ctx context.Context, j *job, c serviceConfig) (jobRunner, error) {
	old := detail[served](j.thing)
	if c.Runtime == "docker" {
		return p.deployDocker(ctx, j, c, old)
	}
	img, root, err := p.unpack(ctx, j, c.Image)
	if err != nil {
		return nil, err
	}
	run := p.processJobs(c, img, root)
	if err := runJobs(ctx, j, c, preDeploy, run); err != nil {
		return run, err
	}
	spec, err := serviceSpec(j.thing, c, img, root, old)
	if err != nil {
		return run, err
	}
	st, err := p.up(ctx, j, spec)
	if err != nil {
		return run, err
	}
	now := served{Port: st.Port, Asked: c.HTTPPort, Image: c.Image, Roots: []string{root}, Runtime: "process", Instances: max(1, c.InstanceCount)}
	if err := p.runOthers(ctx, j, c, img, &now); err != nil {
		return run, err
	}
	if err := j.thing.keep(now); err != nil {
		return run, err
	}
	if err := runJobs(ctx, j, c, postDeploy, run); err != nil {
		return run, err
	}
	return run, p.dropOld(ctx, j, old, now)
}

// dropOld ends the workers that are gone from the file and removes the files
// of images that nothing runs any more.
func (p *provider) dropOld(ctx context.Context, j *job, old, now served) error {
	if old.Runtime == "docker" && now.Runtime != "docker" {
		if err := p.removeContainers(ctx, j.thing); err != nil {
			return err
		}
	}
	for _, name := range old.Others {
		if !slices.Contains(now.Others, name) {
			if err := p.down(ctx, name); err != nil {
				return err
			}
		}
	}
	roots, err := filepath.Glob(j.thing.path("root-*"))
	if err != nil {
		return err
	}
	for _, root := range roots {
		if !slices.Contains(now.Roots, root) {
			if err := os.RemoveAll(root); err != nil {
				return err
			}
		}
	}
	return nil
}

// unpack puts the files of an image into a folder of their own, once.
func (p *provider) unpack(ctx context.Context, j *job, ref string) (*ociunpack.Image, string, error) {
	dir, digest, err := ociunpack.ParseRef(ref)
	if err != nil {
		return nil, "", &sdk.Error{Code: sdk.CodeInvalid, Path: "/image", Message: err.Error(), Hint: "provider local runs images that `wfctl build` made: image: \"${{ images.NAME }}\""}
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(p.base, dir)
	}
	img, err := ociunpack.Open(dir, digest, ociunpack.Here())
	if err != nil {
		var platform *ociunpack.NoPlatformError
		if errors.As(err, &platform) {
			return nil, "", &sdk.Error{Code: sdk.CodeInvalid, Path: "/image", Message: err.Error(), Hint: "add this machine's platform to the image's platforms, or use runtime: docker"}
		}
		return nil, "", &sdk.Error{Code: sdk.CodeInvalid, Path: "/image", Message: "the image cannot be opened", Err: err, Hint: "build it again with `wfctl build`"}
	}
	root := j.thing.path("root-" + strings.TrimPrefix(img.Digest, "sha256:")[:16])
	if exists(root) {
		return img, root, nil
	}
	j.progress("unpacking the image")
	return img, root, img.Unpack(ctx, root)
}

// serviceSpec says how the service is kept up.
func serviceSpec(t *thing, c serviceConfig, img *ociunpack.Image, root string, old served) (supervisor.Spec, error) {
	spec, err := componentSpec(t.ID, c.Component, img, root)
	spec.Instances = c.InstanceCount
	spec.Listen = listenFor(c, old)
	spec.Ready = readiness(c)
	if c.LivenessCheck != nil {
		live := probe(c.LivenessCheck)
		spec.Live = &live
	}
	return spec, err
}

// listenFor is the port that the file asks for. One that was chosen for the
// same wish before is kept while it is free.
func listenFor(c serviceConfig, old served) *supervisor.Listen {
	if old.Port != 0 && old.Asked == c.HTTPPort {
		return &supervisor.Listen{Port: old.Port, Fallback: true, Any: old.Port != c.HTTPPort}
	}
	return &supervisor.Listen{Port: c.HTTPPort, Fallback: true}
}

func readiness(c serviceConfig) supervisor.Probe {
	ready := probe(c.HealthCheck)
	if !hasAddress(ready) {
		ready.TCP = true
	}
	return ready
}

func hasAddress(pr supervisor.Probe) bool {
	return pr.HTTP != "" || pr.TCP || pr.Address != "" || pr.Unix != ""
}

func probe(c *infra.Check) supervisor.Probe {
	if c == nil {
		return supervisor.Probe{}
	}
	return supervisor.Probe{
		HTTP: c.Path, TCP: c.Path == "", Timeout: time.Duration(c.Timeout), Interval: time.Duration(c.Interval), Delay: time.Duration(c.Delay), Failures: c.Failure,
	}
}

// componentSpec is what services, workers, jobs and sidecars share: the
// image's program with the image's environment and their own.
func componentSpec(name string, c infra.Component, img *ociunpack.Image, root string) (supervisor.Spec, error) {
	command, err := program(img, root, c.RunCommand)
	if err != nil {
		return supervisor.Spec{}, err
	}
	spec := supervisor.Spec{Name: name, Command: command, Dir: filepath.Join(root, filepath.FromSlash(img.Config.WorkingDir)), StopSignal: img.Config.StopSignal}
	env := map[string]string{}
	for _, kv := range img.Config.Env {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	// The image's own files are below root here: what it says of certificates
	// and time zones must be found there.
	env["SSL_CERT_FILE"] = firstExisting(filepath.Join(root, "etc", "ssl", "certs", "ca-certificates.crt"), env["SSL_CERT_FILE"])
	env["ZONEINFO"] = firstExisting(filepath.Join(root, "usr", "share", "zoneinfo.zip"), env["ZONEINFO"])
	maps.Copy(env, c.EnvVars)
	maps.Copy(env, c.EnvVarsSecret)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if env[k] != "" || k != "SSL_CERT_FILE" && k != "ZONEINFO" {
			spec.Env = append(spec.Env, k+"="+env[k])
		}
	}
	if c.Termination != nil {
		spec.Grace = time.Duration(c.Termination.Grace)
	}
	return spec, nil
}

func firstExisting(path, otherwise string) string {
	if exists(path) {
		return path
	}
	return otherwise
}

// program is the command line of an image, its executable found below root.
func program(img *ociunpack.Image, root, override string) ([]string, error) {
	argv := slices.Concat(img.Config.Entrypoint, img.Config.Cmd)
	if override != "" {
		argv = strings.Fields(override)
	}
	if len(argv) == 0 {
		return nil, &sdk.Error{Code: sdk.CodeInvalid, Path: "/run_command", Message: "the image does not say which program it runs", Hint: "set run_command"}
	}
	for _, dir := range programDirs(img, argv[0]) {
		path := filepath.Join(root, filepath.FromSlash(dir), filepath.FromSlash(argv[0]))
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			argv[0] = path
			return argv, nil
		}
	}
	return nil, &sdk.Error{
		Code: sdk.CodeInvalid, Path: "/run_command", Message: "the image has no program " + argv[0],
		Hint: "give a program that is in the image: its path, or a name on the image's PATH",
	}
}

// programDirs is where a program is looked for: an absolute path in the
// image's root, a relative one in its working folder, a bare name along its
// PATH.
func programDirs(img *ociunpack.Image, name string) []string {
	switch {
	case strings.HasPrefix(name, "/"):
		return []string{"/"}
	case strings.Contains(name, "/"):
		return []string{img.Config.WorkingDir}
	}
	for _, kv := range img.Config.Env {
		if list, ok := strings.CutPrefix(kv, "PATH="); ok {
			return strings.Split(list, ":")
		}
	}
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/"}
}

// runOthers keeps up the workers and sidecars, and notes their names and the
// folders of their images.
func (p *provider) runOthers(ctx context.Context, j *job, c serviceConfig, img *ociunpack.Image, now *served) error {
	root := now.Roots[0]
	type other struct {
		name string
		infra.Component
	}
	var others []other
	for _, w := range c.Workers {
		others = append(others, other{w.Name, w.Component})
	}
	for _, s := range c.Sidecars {
		others = append(others, other{s.Name, s.Component})
	}
	for _, o := range others {
		oImg, oRoot, err := p.imageOf(ctx, j, o.Component, img, root)
		if err != nil {
			return err
		}
		spec, err := componentSpec(j.thing.ID+"/"+o.name, inherit(o.Component, c.Component), oImg, oRoot)
		if err != nil {
			return err
		}
		spec.Instances = o.InstanceCount
		if _, err := p.up(ctx, j, spec); err != nil {
			return err
		}
		now.Others, now.Roots = append(now.Others, spec.Name), append(now.Roots, oRoot)
	}
	return nil
}

// imageOf is the component's own image, else the service's.
func (p *provider) imageOf(ctx context.Context, j *job, c infra.Component, img *ociunpack.Image, root string) (*ociunpack.Image, string, error) {
	if c.Image == "" {
		return img, root, nil
	}
	return p.unpack(ctx, j, c.Image)
}

// inherit gives a component the service's environment below its own.
func inherit(c, from infra.Component) infra.Component {
	merge := func(own, base map[string]string) map[string]string {
		m := maps.Clone(base)
		if m == nil {
			m = map[string]string{}
		}
		maps.Copy(m, own)
		return m
	}
	c.EnvVars, c.EnvVarsSecret = merge(c.EnvVars, from.EnvVars), merge(c.EnvVarsSecret, from.EnvVarsSecret)
	return c
}

func (p *provider) findContainer(ctx context.Context, t *thing) (condition, error) {
	d := detail[served](t)
	for _, name := range append([]string{t.ID}, d.Others...) {
		if _, c, err := p.serviceStatus(ctx, name); err != nil || c.status != sdk.Healthy {
			return c, err
		}
	}
	raw, err := json.Marshal(map[string]any{"instance_count": d.Instances, "image": d.Image})
	c := well
	c.config = raw
	return c, err
}

func reportService(_ context.Context, t *thing) (sdk.Outputs, error) {
	d := detail[served](t)
	return sdk.Outputs{
		"id": sdk.Out(t.ID), "url": sdk.Out(fmt.Sprintf("http://127.0.0.1:%d", d.Port)), "host": sdk.Out("127.0.0.1"),
		"port": sdk.Out(d.Port), "image": sdk.Out(d.Image),
	}, nil
}

func (p *provider) clearContainer(ctx context.Context, t *thing) error {
	if err := p.down(ctx, t.ID); err != nil {
		return err
	}
	if detail[served](t).Runtime == "docker" {
		return p.removeContainers(ctx, t)
	}
	return nil
}
