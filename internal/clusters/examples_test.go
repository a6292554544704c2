package clusters_test

import (
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

const examples = "../../examples/scale/"

// The values of the chart are what its schema says, and others are not.
func TestValues(t *testing.T) {
	c := jsonschema.NewCompiler()
	schema, err := c.Compile(examples + "chart/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"values.yaml", "chart/values.yaml"} {
		raw, err := os.ReadFile(examples + file)
		if err != nil {
			t.Fatal(err)
		}
		var values any
		if err := yaml.Unmarshal(raw, &values); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(values); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	wrong := map[string]any{"temporal": map[string]any{"address": 7}}
	if schema.Validate(wrong) == nil {
		t.Error("values of a wrong type pass")
	}
}

// The compose file names what a worker needs, and gives it longer to end than
// it takes to drain.
func TestCompose(t *testing.T) {
	raw, err := os.ReadFile(examples + "compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
			Command     []string          `yaml:"command"`
			Grace       string            `yaml:"stop_grace_period"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	worker := file.Services["worker"]
	for _, name := range []string{"TEMPORAL_ADDRESS", "WFCTL_EVENTS", "WFCTL_TEMPORAL_KEY", "DOCKER_CONFIG"} {
		if worker.Environment[name] == "" {
			t.Errorf("the worker has no %s", name)
		}
	}
	if worker.Grace != "11m" || !strings.Contains(strings.Join(worker.Command, " "), "--drain 10m") {
		t.Errorf("it is ended after %s: %v", worker.Grace, worker.Command)
	}
}
