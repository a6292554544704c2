package engine

import (
	"encoding/json"
	"slices"

	"github.com/gocodealone/wfctl/resource"
)

// Signing says what a job needs to sign the images of the environment: an
// identity, where one is signed without a key, and the variables of keys.
func (p *Project) Signing() (identity bool, variables []string, err error) {
	for _, d := range p.Set.Nodes {
		if nodeKind(d.Address()) != resource.PushPrefix {
			continue
		}
		resolved, err := d.Config().Resolve(unknownScope{})
		if err != nil {
			return false, nil, err
		}
		var c struct {
			Attach struct {
				Sign json.RawMessage `json:"sign"`
			} `json:"attach"`
		}
		if json.Unmarshal(resolved.Config.Bytes(), &c) != nil || len(c.Attach.Sign) == 0 || string(c.Attach.Sign) == "false" {
			continue
		}
		var key struct {
			KeyEnv      string `json:"key_env"`
			KeyFile     string `json:"key_file"`
			PasswordEnv string `json:"password_env"`
		}
		_ = json.Unmarshal(c.Attach.Sign, &key) // true has no key
		identity = identity || key.KeyEnv == "" && key.KeyFile == ""
		for _, name := range []string{key.KeyEnv, key.PasswordEnv} {
			if name != "" && !slices.Contains(variables, name) {
				variables = append(variables, name)
			}
		}
	}
	return identity, variables, nil
}
