package do

import (
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/gocodealone/wfctl/sdk"
)

// Every key of provider_specific and every setting is in the manual.
func TestManualIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../../docs/digitalocean.md")
	if err != nil {
		t.Fatal(err)
	}
	has := func(what, key string) {
		if !strings.Contains(string(page), "`"+key+"`") {
			t.Errorf("the manual lacks %s of %s", key, what)
		}
	}
	apart := map[string]bool{} // digitalocean-apps.md is about these
	for _, k := range platformTypes() {
		apart[k.schema().Name] = true
	}
	for _, k := range types() {
		s := k.schema()
		for _, key := range sortedKeys(properties(t, s.Config)["provider_specific"].Properties) {
			if !apart[s.Name] {
				has(s.Name, key)
			}
		}
	}
	for _, key := range sortedKeys(properties(t, sdk.MustSchema[settings]())) {
		has("the provider", key)
	}
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
