package sdk_test

import (
	"testing"

	"github.com/gocodealone/wfctl/sdk"
)

// A key of a map may look like an index of a list, a negative one too.
func TestWalkerTakesKeysThatLookLikeIndexes(t *testing.T) {
	w, err := sdk.SchemaWalker([]byte(`{"properties": {"env": {"additionalProperties": {"x-sensitive": true}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"-1", "0", "A"} {
		if !w.Sensitive(sdk.Path("/env").Child(key)) {
			t.Errorf("%q is not sensitive", key)
		}
	}
	if got := w.SensitivePaths([]byte(`{"env": {"-1": "a"}, "-1": "b"}`)); len(got) != 1 || got[0] != "/env/-1" {
		t.Errorf("sensitive are %v", got)
	}
}
