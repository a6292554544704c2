package file_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/secret/file"
)

// What is written by any names is read again, and another's removal leaves it.
func TestWrittenIsRead(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		sink := file.New(dir)
		path := rapid.SampledFrom([]string{"a.json", "deep/b.env", "c"}).Draw(t, "path")
		held := map[string]string{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"A", "B", "AB"}).Draw(t, "name")
			if path == "c" {
				name = "A"
			}
			target := secret.Target{Name: name, Options: json.RawMessage(`{"path": "` + path + `"}`)}
			if rapid.Bool().Draw(t, "remove") {
				delete(held, name)
				if err := sink.Retire(t.Context(), target); err != nil {
					t.Fatal(err)
				}
			} else {
				value := rapid.StringN(1, 40, -1).Draw(t, "value")
				if strings.Count(value, "\n") == 1 && strings.HasSuffix(value, "\n") {
					continue // such a line loses its end
				}
				held[name] = value
				if _, err := sink.Write(t.Context(), secret.Request{Target: target, Value: secret.FromString(value)}); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"A", "B", "AB"} {
				if path == "c" && name != "A" {
					continue
				}
				target.Name = name
				v, found, err := sink.Read(t.Context(), target)
				want, has := held[name]
				if err != nil || found != has || v.Reveal() != want {
					t.Fatalf("%s: read %q %v %v, want %q %v", name, v.Reveal(), found, err, want, has)
				}
			}
		}
	})
}

func TestMode(t *testing.T) {
	dir := t.TempDir()
	target := secret.Target{Name: "A", Options: json.RawMessage(`{"path": "x/secret"}`)}
	if _, err := file.New(dir).Write(t.Context(), secret.Request{Target: target, Value: secret.FromString("v")}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "x", "secret"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v %v", info, err)
	}
	other := secret.Target{Name: "A", Options: json.RawMessage(`{"path": "x/secret", "format": "json"}`)}
	if _, _, err := file.New(dir).Read(t.Context(), other); err == nil || strings.Contains(err.Error(), `"v"`) {
		t.Errorf("what is no object: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"A": "b"}`), "json")
	f.Add([]byte("A=b\n#x\nB=\"c\\n\"\n"), "env")
	f.Fuzz(func(t *testing.T, raw []byte, format string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		options, err := json.Marshal(map[string]string{"path": "f", "format": format})
		if err != nil {
			t.Fatal(err) // of strings
		}
		_, _, _ = file.New(dir).Read(t.Context(), secret.Target{Name: "A", Options: options})
	})
}
