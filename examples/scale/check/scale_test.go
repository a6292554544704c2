// Package scale checks the examples of how to run workers for a team: a compose
// file and a Helm chart are read by what reads them in earnest. It is a module of
// its own, for what that brings along.
package scale

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
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
	if worker := p.Services["worker"]; worker.StopGracePeriod == nil || worker.HealthCheck == nil {
		t.Error("the worker drains and shows its health")
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
	wrong, err := chartutil.ReadValues([]byte("temporal: {address: 7}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if res := lint.Run([]string{"../chart"}, wrong); len(res.Errors) == 0 {
		t.Error("values of a wrong type pass")
	}
}
