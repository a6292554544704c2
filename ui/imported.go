package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/resource"
)

// importedModule is a module as a person writes it.
type importedModule struct {
	Name   string         `yaml:"name"`
	Type   string         `yaml:"type"`
	Config map[string]any `yaml:"config"`
}

// ImportedModule writes the module that matches what was imported. What is
// sensitive is not in the record: comments name it.
func ImportedModule(w io.Writer, rec resource.Record) error {
	config := map[string]any{}
	if len(rec.Config) > 0 {
		if err := json.Unmarshal(rec.Config, &config); err != nil {
			return err
		}
	}
	var hidden []string
	clean, _ := withoutSecrets(config, "", &hidden).(map[string]any)
	if rec.Name != string(rec.Address) {
		clean["name"] = rec.Name
	}
	if rec.Provider.Address != resource.Address(rec.Provider.Kind) || !strings.HasPrefix(rec.Type, "core.") {
		clean["provider"] = string(rec.Provider.Address)
	}
	raw, err := yaml.Marshal(map[string]any{"modules": []importedModule{{string(rec.Address), rec.Type, clean}}})
	if err != nil {
		return err
	}
	for _, path := range hidden {
		raw = fmt.Appendf(raw, "# config%s is sensitive and not shown: write a variable, ${NAME}\n", path)
	}
	_, err = w.Write(raw)
	return err
}

// withoutSecrets drops the values that the record has as fingerprints alone.
func withoutSecrets(v any, path string, hidden *[]string) any {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if mark, ok := v[k].(map[string]any); ok && len(mark) == 1 && mark[resource.FingerprintMark] != nil {
				*hidden = append(*hidden, path+"."+k)
				delete(v, k)
				continue
			}
			v[k] = withoutSecrets(v[k], path+"."+k, hidden)
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = withoutSecrets(v[i], fmt.Sprintf("%s[%d]", path, i), hidden)
		}
	}
	return v
}
