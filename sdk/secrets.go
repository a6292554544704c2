package sdk

import (
	"encoding/json"
	"strconv"
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
			texts = appendTexts(texts, at(doc, p.Segments()))
		}
	}
	return texts
}

// at finds a place in a decoded document; nil where it is not.
func at(v any, path []string) any {
	for _, seg := range path {
		switch node := v.(type) {
		case map[string]any:
			v = node[seg]
		case []any:
			i, err := strconv.Atoi(seg)
			if err != nil || i < 0 || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	return v
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
