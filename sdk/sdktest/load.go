package sdktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// FixtureFile is where a plugin keeps its fixtures, beside its source.
const FixtureFile = "conformance.json"

// Load reads fixtures from a file: {"configure": {…}, "only": false,
// "resources": [{"type", "name", "config", "update", "skip"}]}. A file that is
// not there is no error; the fixtures are then made from the schema.
func (s *Suite) Load(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var file struct {
		Configure json.RawMessage `json:"configure"`
		Only      bool            `json:"only"`
		Resources []Resource      `json:"resources"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(file.Configure) > 0 {
		s.Configure.Config.JSON = file.Configure
	}
	s.Only, s.Resources = file.Only, file.Resources
	return nil
}
