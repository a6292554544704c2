package sdk

import (
	"encoding/json"
)

// SensitiveTexts lists the strings at and below the sensitive paths: what
// must not stand in a log. Values that are not at hand are left out. Treat the
// result as the secrets that it holds.
func (c Config) SensitiveTexts() []string {
	if len(c.Sensitive) == 0 {
		return nil
	}
	var doc any
	if json.Unmarshal(c.Bytes(), &doc) != nil {
		return nil
	}
	var texts []string
	for _, p := range c.Sensitive {
		if !c.IsOpaque(p) {
			texts = appendTexts(texts, p.In(doc))
		}
	}
	return texts
}

func appendTexts(texts []string, v any) []string {
	switch v := v.(type) {
	case string:
		return append(texts, v)
	case map[string]any:
		for _, sub := range v {
			texts = appendTexts(texts, sub)
		}
	case []any:
		for _, sub := range v {
			texts = appendTexts(texts, sub)
		}
	}
	return texts
}
