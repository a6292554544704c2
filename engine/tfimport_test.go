package engine

import (
	"testing"
)

func FuzzReadTerraform(f *testing.F) {
	f.Add([]byte(`{"version": 4, "resources": [{"mode": "managed", "type": "a", "name": "b", "instances": [{"index_key": 1, "attributes": {"id": 5, "name": "c"}}]}]}`))
	f.Add([]byte(`{"version": 4, "resources": [{"mode": "managed", "instances": [{"index_key": null, "attributes": null}]}]}`))
	f.Add([]byte(`{"version": 3}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := ReadTerraform(raw)
		if err != nil && all != nil {
			t.Errorf("%v with %v", all, err)
		}
		for _, r := range all {
			if r.Address == "" {
				t.Errorf("%+v", r)
			}
		}
	})
}
