// Package scale checks the examples of how to run workers for a team: a compose
// file and a Helm chart are read by what reads them in earnest. It is a module of
// its own, for what that brings along.
package scale

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestCompose(t *testing.T) {
	o, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithName("wfctl"),
		cli.WithEnv([]string{"POSTGRES_PASSWORD=p", "WFCTL_TEMPORAL_KEY=k"}), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "temporal", "worker"} {
		if _, err := p.GetService(name); err != nil {
			t.Error(err)
		}
	}
	worker := p.Services["worker"]
	if worker.StopGracePeriod == nil || worker.HealthCheck == nil {
		t.Error("the worker drains and shows its health")
	}
	// Working trees come from a registry, and Docker's configuration is what
	// holds the credentials for it.
	dir := worker.Environment["DOCKER_CONFIG"]
	if dir == nil || *dir == "" {
		t.Fatal("the worker has no DOCKER_CONFIG")
	}
	at := slices.IndexFunc(worker.Secrets, func(s types.ServiceSecretConfig) bool { return s.Target == path.Join(*dir, "config.json") })
	if at < 0 {
		t.Fatalf("no secret is mounted as %s/config.json: %v", *dir, worker.Secrets)
	}
	if file := p.Secrets[worker.Secrets[at].Source].File; !strings.HasSuffix(file, "/registry/config.json") {
		t.Errorf("the credentials come from %q", file)
	}
}

func TestChart(t *testing.T) {
	values, err := chartutil.ReadValuesFile("../values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lint := action.NewLint()
	lint.Strict, lint.Namespace = true, "deploy"
	res := lint.Run([]string{"../chart"}, values)
	for _, err := range res.Errors {
		t.Error(err)
	}
	for _, m := range res.Messages {
		if m.Severity > 1 { // an icon is none of our concerns
			t.Error(m)
		}
	}
	for _, text := range []string{
		"temporal: {address: 7}", "registrySecret: null", "registrySecret: 7", "scratch: {work: lots}", "scratch: {work: null}", "worker: {keepTrees: 1d}",
	} {
		wrong, err := chartutil.ReadValues([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if res := lint.Run([]string{"../chart"}, wrong); len(res.Errors) == 0 {
			t.Errorf("%s: passes", text)
		}
	}
}

// rendered is the pod that the chart makes of some values, read strictly by
// Kubernetes' own types.
func rendered(t *testing.T, change map[string]any) core.PodSpec {
	t.Helper()
	values, err := chartutil.ReadValuesFile("../values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range change {
		values[k] = v
	}
	chart, err := loader.Load("../chart")
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(&action.Configuration{})
	install.DryRun, install.ClientOnly, install.ReleaseName, install.Namespace = true, true, "team", "deploy"
	release, err := install.Run(chart, values)
	if err != nil {
		t.Fatal(err)
	}
	var d apps.Deployment
	if err := yaml.UnmarshalStrict([]byte(release.Manifest), &d); err != nil {
		t.Fatalf("%v\n%s", err, release.Manifest)
	}
	return d.Spec.Template.Spec
}

// at is the volume that a container sees at a path; nil without any.
func at(pod core.PodSpec, where string) *core.Volume {
	for _, m := range pod.Containers[0].VolumeMounts {
		if m.MountPath == where {
			for i, v := range pod.Volumes {
				if v.Name == m.Name {
					return &pod.Volumes[i]
				}
			}
		}
	}
	return nil
}

func dockerConfig(pod core.PodSpec) string {
	for _, e := range pod.Containers[0].Env {
		if e.Name == "DOCKER_CONFIG" {
			return e.Value
		}
	}
	return ""
}

// A worker's pod has the registry's credentials where Docker's configuration is
// looked for, and folders that it can write to and that do not fill the node.
func TestPod(t *testing.T) {
	pod := rendered(t, nil)
	v := at(pod, dockerConfig(pod))
	if v == nil || v.Secret == nil {
		t.Fatalf("DOCKER_CONFIG is %q, and no secret is mounted there", dockerConfig(pod))
	}
	if want := []core.KeyToPath{{Key: core.DockerConfigJsonKey, Path: "config.json"}}; v.Secret.SecretName != "wfctl-registry" || !slices.Equal(v.Secret.Items, want) {
		t.Errorf("the credentials are %+v", v.Secret)
	}
	if mode := v.Secret.DefaultMode; mode == nil || *mode != 0o440 || pod.SecurityContext.FSGroup == nil {
		t.Error("the worker's user, and nobody else, reads the credentials")
	}
	for where, size := range map[string]string{"/work": "10Gi", "/tmp": "4Gi"} {
		if v := at(pod, where); v == nil || v.EmptyDir == nil || v.EmptyDir.SizeLimit.String() != size {
			t.Errorf("%s is %+v", where, v)
		}
	}
	if args := pod.Containers[0].Args; !slices.Contains(args, "--work-dir=/work") || !slices.Contains(args, "--keep-trees=24h") {
		t.Errorf("it is started with %v", args)
	}
	open := rendered(t, map[string]any{"registrySecret": ""})
	if dockerConfig(open) != "" || len(open.Volumes) != 2 || len(open.Containers[0].VolumeMounts) != 2 {
		t.Errorf("a registry without credentials: %+v", open)
	}
}
