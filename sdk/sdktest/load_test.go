package sdktest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), FixtureFile)
	s := Suite{}
	if err := s.Load(path); err != nil || s.Resources != nil {
		t.Errorf("no file: %v", err)
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"configure": {"token": "x"}, "only": true, "resources": [{"type": "a.b", "config": {"c": 1}, "skip": {"deadline": "why"}}]}`)
	if err := s.Load(path); err != nil || !s.Only || len(s.Resources) != 1 || s.Resources[0].Skip["deadline"] != "why" || string(s.Configure.Config.JSON) != `{"token": "x"}` {
		t.Errorf("%+v %v", s.Resources, err)
	}
	write(`{"resource": []}`)
	if err := s.Load(path); err == nil || !strings.Contains(err.Error(), `unknown field "resource"`) {
		t.Errorf("a misspelt key: %v", err)
	}
}
