package apply

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"

	"github.com/gocodealone/wfctl/sdk"
)

// shortest is how long a sensitive text must be before its appearance in an
// output means something.
const shortest = 6

// tainted marks the outputs that hold a sensitive value of the configuration:
// a provider that echoes its input must not carry a secret into the record.
func tainted(config sdk.Config, outputs sdk.Outputs) sdk.Outputs {
	needles := sensitiveTexts(config)
	if len(needles) == 0 {
		return outputs
	}
	marked := maps.Clone(outputs)
	for name, out := range outputs {
		for _, n := range needles {
			if bytes.Contains(out.Reveal(), n) {
				marked[name] = out.WithSensitive(true)
				break
			}
		}
	}
	return marked
}

// sensitiveTexts are the sensitive strings of a configuration as they stand
// inside JSON text.
func sensitiveTexts(config sdk.Config) [][]byte {
	if len(config.Sensitive) == 0 {
		return nil
	}
	var doc any
	if json.Unmarshal(config.Bytes(), &doc) != nil {
		return nil
	}
	var texts [][]byte
	for _, p := range config.Sensitive {
		v := doc
		for _, seg := range p.Segments() {
			switch node := v.(type) {
			case map[string]any:
				v = node[seg]
			case []any:
				i, err := strconv.Atoi(seg)
				if err != nil || i < 0 || i >= len(node) {
					v = nil
				} else {
					v = node[i]
				}
			}
		}
		texts = appendTexts(texts, v)
	}
	return texts
}

func appendTexts(texts [][]byte, v any) [][]byte {
	switch v := v.(type) {
	case string:
		if raw, err := json.Marshal(v); err == nil && len(v) >= shortest {
			texts = append(texts, raw[1:len(raw)-1])
		}
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
