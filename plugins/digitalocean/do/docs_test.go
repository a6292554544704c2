package do

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// What the manual shows is right.
func TestExamplesOfTheManual(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	pages, err := filepath.Glob("../../../docs/digitalocean*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("there is no manual")
	}
	tried := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			var file struct {
				Modules []struct {
					Name, Type string
					Config     map[string]any
				}
			}
			if err := yaml.Unmarshal([]byte(block[1]), &file); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, block[1])
			}
			for _, m := range file.Modules {
				if !strings.HasPrefix(m.Type, "infra.") {
					continue
				}
				name := m.Name
				if n, ok := m.Config["name"].(string); ok {
					name = n
				}
				delete(m.Config, "name")
				delete(m.Config, "provider")
				config, err := json.Marshal(m.Config)
				if err != nil {
					t.Fatal(err)
				}
				res, err := c.p.Validate(t.Context(), &sdk.ValidateRequest{Type: m.Type, Name: name, Config: c.config(m.Type, string(config))})
				if err != nil {
					t.Errorf("%s, %s: %v", page, name, err)
					continue
				}
				for _, d := range res.Diagnostics {
					t.Errorf("%s, %s: %s: %s", page, name, d.Path, d.Message)
				}
				tried++
			}
		}
	}
	if tried < 5 {
		t.Errorf("%d examples were tried", tried)
	}
}
