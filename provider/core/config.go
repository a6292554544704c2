package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"github.com/gocodealone/wfctl/sdk"
)

// commandConfig is the configuration of a core.command.
type commandConfig struct {
	Create           []string            `json:"create"`
	Read             []string            `json:"read"`
	Update           []string            `json:"update"`
	Delete           []string            `json:"delete"`
	Dir              string              `json:"dir"`
	Env              map[string]variable `json:"env"`
	SensitiveEnv     map[string]variable `json:"sensitive_env"`
	SensitiveOutputs *[]string           `json:"sensitive_outputs"`

	// source is what it was decoded from.
	source sdk.Config
}

// variable is the value of a variable. It is missing where it is unknown, or
// recorded as a fingerprint.
type variable struct {
	text    string
	present bool
}

// UnmarshalJSON takes a scalar as it is written.
func (v *variable) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || raw[0] == 'n' || raw[0] == '{':
		return nil
	case raw[0] == '[':
		return errors.New("a variable of the environment is a string, a number or a boolean")
	case raw[0] == '"':
		v.present = true
		return json.Unmarshal(raw, &v.text)
	}
	v.text, v.present = string(raw), true
	return nil
}

func decodeCommand(c sdk.Config) (*commandConfig, error) {
	var cc commandConfig
	dec := json.NewDecoder(bytes.NewReader(c.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cc); err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "the configuration of core.command cannot be used: %v", decodeReason(err))
	}
	cc.source = c
	for _, env := range []map[string]variable{cc.Env, cc.SensitiveEnv} {
		delete(env, "$fingerprint") // a secret as a whole, that is not at hand
	}
	return &cc, nil
}

// decodeReason keeps a decoder's message from quoting a value.
func decodeReason(err error) string {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return typ.Field + " is a " + typ.Value + ", which does not fit"
	}
	return err.Error()
}

// createNotes tells what a plan that creates cannot promise.
func (cc *commandConfig) createNotes() []sdk.Diagnostic {
	if len(cc.Read) > 0 {
		return nil
	}
	return []sdk.Diagnostic{{
		Severity: sdk.SeverityNote,
		Path:     "/read",
		Message:  "without a read command an interrupted create runs again, and sensitive outputs are known to this run only",
		Hint:     "give it a read command that exits 0 when the thing exists and 1 when it does not",
	}}
}

// outputs are what a command printed, sensitive unless sensitive_outputs
// leaves them out.
func (cc *commandConfig) outputs(r result) sdk.Outputs {
	outputs := make(sdk.Outputs, len(r.outputs))
	for name, raw := range r.outputs {
		sensitive := cc.SensitiveOutputs == nil || slices.Contains(*cc.SensitiveOutputs, name)
		outputs[name] = sdk.RawOutput(raw, sensitive)
	}
	return outputs
}
