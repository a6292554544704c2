package apply

import (
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Keeping says what the record holds of a sensitive value.
type Keeping struct {
	// Fingerprint is the keyed hash of sensitive values.
	Fingerprint func([]byte) string
	// Seal encrypts a sensitive output for the record; nil keeps the
	// fingerprint alone.
	Seal func([]byte) ([]byte, error)
}

// Outputs are outputs as a record that seals nothing holds them.
func (k Keeping) Outputs(outputs sdk.Outputs) map[string]resource.RecordedOutput {
	recorded := make(map[string]resource.RecordedOutput, len(outputs))
	for name, out := range outputs {
		recorded[name], _ = Keeping{Fingerprint: k.Fingerprint}.output(out, out.Sensitive()) // only sealing can fail
	}
	return recorded
}

// output is what the record holds of an output. A sensitive one is never in
// it as it is.
func (k Keeping) output(out sdk.Output, sensitive bool) (resource.RecordedOutput, error) {
	if !sensitive {
		return resource.RecordedOutput{Value: out.Reveal()}, nil
	}
	r := resource.RecordedOutput{Sensitive: true, Fingerprint: k.Fingerprint(out.Reveal())}
	if k.Seal == nil {
		return r, nil
	}
	var err error
	r.Sealed, err = k.Seal(out.Reveal())
	return r, err
}
