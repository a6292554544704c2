package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
)

// run runs one command line in this process and returns what it printed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var out, stderr bytes.Buffer
	app := &cli.App{Kinds: builtin.Kinds(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &stderr, Getenv: func(string) (string, bool) { return "", false }}
	if status := app.Run(t.Context(), args); status != 0 {
		t.Fatalf("%v: exit status %d\n%s", args, status, stderr.String())
	}
	return out.String()
}

// TestSchema compiles what `wfctl schema` prints with a validator of its own,
// and tries it on what `wfctl init` writes and on mistakes.
func TestSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(run(t, "schema")))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("app.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("app.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range []string{"service", "infra"} {
		dir := filepath.Join(t.TempDir(), "shop")
		run(t, "init", "--template", template, dir)
		raw, err := os.ReadFile(filepath.Join(dir, "app.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(instance(t, raw)); err != nil {
			t.Errorf("template %s: %v", template, err)
		}
	}
	for name, text := range map[string]string{
		"unknown key": "{version: 1, project: p, modlues: []}",
		"config":      "{version: 1, project: p, modules: [{name: a, type: core.data, config: {vales: {}}}]}",
		"wrong type":  "{version: 1, project: p, modules: [{name: a, type: core.command, config: {create: echo}}]}",
		"no name":     "{version: 1, project: p, modules: [{type: core.data}]}",
	} {
		if schema.Validate(instance(t, []byte(text))) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// instance is YAML as the validator takes it.
func instance(t *testing.T, raw []byte) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
