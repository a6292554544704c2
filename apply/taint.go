package apply

import (
	"bytes"
	"encoding/json"
	"maps"

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
	var texts [][]byte
	for _, s := range config.SensitiveTexts() {
		if raw, err := json.Marshal(s); err == nil && len(s) >= shortest {
			texts = append(texts, raw[1:len(raw)-1])
		}
	}
	return texts
}
