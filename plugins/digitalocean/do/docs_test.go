package do

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// What the manual shows is valid.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../../docs/digitalocean.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, fakedo.Options{})
	blocks := yamlBlock.FindAllStringSubmatch(string(text), -1)
	for _, block := range blocks {
		var file struct {
			Modules []struct {
				Name, Type string
				Config     map[string]any
			}
		}
		if err := yaml.Unmarshal([]byte(block[1]), &file); err != nil {
			t.Fatal(err)
		}
		for _, m := range file.Modules {
			delete(m.Config, "provider")
			config := sdk.Config{JSON: raw(m.Config)}
			if m.Type == "iac.provider" {
				if _, err := sdk.Decode[settings](config); err != nil {
					t.Errorf("%s: %v", m.Name, err)
				}
				continue
			}
			res, err := c.p.Validate(t.Context(), &sdk.ValidateRequest{Type: m.Type, Name: m.Name, Config: config})
			if err != nil || len(res.Diagnostics) > 0 {
				t.Errorf("%s: %v %v", m.Name, res, err)
			}
		}
	}
	if len(blocks) < 3 {
		t.Errorf("the manual has %d examples", len(blocks))
	}
	// Every key of provider_specific and every setting is in it.
	for _, k := range types() {
		for _, key := range specificKeys(t, k.schema()) {
			if !strings.Contains(string(text), "`"+key+"`") && !isAppType(k.schema().Name) {
				t.Errorf("%s: the manual lacks provider_specific.%s", k.schema().Name, key)
			}
		}
	}
	for _, key := range sortedKeys(properties(t, sdk.MustSchema[settings]())) {
		if !strings.Contains(string(text), "`"+key+"`") {
			t.Errorf("the manual lacks the setting %s", key)
		}
	}
}

// isAppType tells of types that digitalocean-apps.md is about.
func isAppType(name string) bool {
	for _, k := range platformTypes() {
		if k.schema().Name == name {
			return true
		}
	}
	return false
}

type schemaNode struct {
	Properties map[string]schemaNode `yaml:"properties"`
}

func properties(t *testing.T, schema []byte) map[string]schemaNode {
	t.Helper()
	var n schemaNode
	if err := yaml.Unmarshal(schema, &n); err != nil {
		t.Fatal(err)
	}
	return n.Properties
}

func specificKeys(t *testing.T, s sdk.ResourceSchema) []string {
	return sortedKeys(properties(t, s.Config)["provider_specific"].Properties)
}
