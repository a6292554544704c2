package lock_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
)

// Every mistake of the manifest is reported, each with its place.
func TestManifestFaults(t *testing.T) {
	b := newBench(t)
	b.write(lock.ManifestFile, `version: 2
plugin: []
plugins:
  - name: a
    version: ">= 1"
    source: ./a
  - {name: b, version: v1.0.0}
  - {name: c, version: 1.0, source: ./c}
  - {name: d, version: v1.0.0, source: ./d, trusted: x, auth: {envs: X}}
  - {name: e, version: v1.0.0, source: ./e, trust: always}
  - {name: f, version: v1.0.0, source: ./f, verify: {identity: x}}
  - {name: g, version: v1.0.0, source: ./g, verify: {identity: x, issuer: y}, trust: checksum-only}
  - {name: h/i, version: v1.0.0, source: ./h}
  - {name: j, version: v1.0.0, source: ./j, checksums: {linux: abc}}
  - {name: k, version: v1.0.0, source: ./k}
  - {name: k, version: v1.0.0, source: ./k}
  - text
mirrors:
  - {from: x}
`)
	_, err := b.List(t.Context())
	var list fault.List
	if !errors.As(err, &list) {
		t.Fatalf("got %v", err)
	}
	want := []struct {
		line int
		says string
	}{
		{1, "version"}, {2, `no key "plugin"`}, {4, "exact version"}, {7, "lacks `source`"}, {8, "`version` is a string"},
		{9, `no key "trusted"`}, {9, `no key "envs"`}, {10, "checksum-only"}, {11, "identity and an issuer"}, {12, "excludes"},
		{13, "not a name"}, {14, "linux-amd64"}, {16, "declared twice"}, {17, "mapping"}, {19, "from"},
	}
	if len(list) != len(want) {
		t.Errorf("%d faults:\n%v", len(list), err)
	}
	for _, w := range want {
		found := false
		for _, f := range list {
			found = found || f.Pos.Line == w.line && strings.Contains(f.Message, w.says)
			if f.Source == "" || f.Pos.File == "" || f.Width < 1 {
				t.Errorf("%v shows no line", f)
			}
		}
		if !found {
			t.Errorf("line %d: %q is missing in\n%v", w.line, w.says, err)
		}
	}
	if f := list[1]; f.Hint != `did you mean "plugins"?` {
		t.Errorf("hint: %q", f.Hint)
	}
	b.write(lock.ManifestFile, "plugins: [\n")
	_, err = b.List(t.Context())
	wantFault(t, err, fault.Config, "not YAML")
}

// What cannot be edited is left to the user, and nothing is changed.
func TestManifestThatCannotBeEdited(t *testing.T) {
	b, src := folderWith(t)
	b.write(lock.ManifestFile, "plugins: &all\n  - &one {name: hello, version: v1.0.0, source: '"+src+"'}\n")
	before := b.files()
	_, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Trust: lock.ChecksumOnly})
	wantFault(t, err, fault.Config, "by hand", "wfctl plugin lock")
	if b.files() != before {
		t.Error("something was changed")
	}
}
