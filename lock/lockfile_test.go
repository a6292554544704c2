package lock_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/lock"
)

var hash = strings.Repeat("0123456789abcdef", 4)

// example is the file of the documentation, with whole hashes.
var example = `version: 1
generated_at: "2026-04-24T10:00:00Z"
plugins:
  workflow-plugin-digitalocean:
    version: v0.7.6
    source: github.com/GoCodeAlone/workflow-plugin-digitalocean
    sha256: ` + hash + `                          # of the release's list of checksums
    platforms:
      linux-amd64: {url: https://example.com/workflow-plugin-digitalocean-linux-amd64.tar.gz, sha256: ` + hash + `, executable_sha256: ` + hash + `}
`

func TestDecodeLock(t *testing.T) {
	l, err := lock.DecodeLock([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	p := l.Plugins["workflow-plugin-digitalocean"]
	if p.Version != "v0.7.6" || p.SHA256 != hash || p.Platforms["linux-amd64"].ExecutableSHA256 != hash || l.GeneratedAt.Year() != 2026 {
		t.Errorf("decoded %+v", l)
	}
	for problem, edit := range map[string][2]string{
		"unknown field":          {"    version:", "    versions:"},
		"version 2":              {"version: 1", "version: 2"},
		"no version":             {"version: 1\n", ""},
		"range":                  {"v0.7.6", ">=0.7"},
		"no source":              {"    source: github.com/GoCodeAlone/workflow-plugin-digitalocean\n", ""},
		"short hash":             {"sha256: " + hash, "sha256: " + hash[1:]},
		"no executable":          {", executable_sha256: " + hash, ""},
		"bad executable":         {"executable_sha256: 0", "executable_sha256: x"},
		"no url":                 {"url: https://example.com/workflow-plugin-digitalocean-linux-amd64.tar.gz, ", ""},
		"bad platform":           {"linux-amd64:", "linux/amd64:"},
		"bad name":               {"workflow-plugin-digitalocean:", "../evil:"},
		"two plugins as one":     {"    version: v0.7.6\n", "    version: v0.7.6\n    version: v0.7.6\n"},
		"two documents":          {"plugins:", "---\nplugins:"},
		"a seal that is broken":  {"version: 1", "# Written by wfctl; do not edit. Checksum of what follows: sha256:" + hash + "\nversion: 1"},
		"a line that is no seal": {"version: 1", "# mine\nversion: 1"},
	} {
		edited := strings.Replace(example, edit[0], edit[1], 1)
		if edited == example {
			t.Fatalf("%s changes nothing", problem)
		}
		if l, err := lock.DecodeLock([]byte(edited)); err == nil {
			t.Errorf("%s was accepted: %+v", problem, l)
		}
	}
}

func drawLock(t *rapid.T) *lock.Lock {
	name := rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}`)
	sum := rapid.StringMatching(`[0-9a-f]{64}|[0-9]{64}|[0-9]{30}e[0-9]{33}`)
	version := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("v%d.%d.%d", rapid.IntRange(0, 99).Draw(t, "a"), rapid.IntRange(0, 99).Draw(t, "b"), rapid.IntRange(0, 99).Draw(t, "c"))
	})
	text := rapid.StringMatching(`[ -~]{1,40}`)
	bundle := rapid.Ptr(rapid.Custom(func(t *rapid.T) lock.Bundle {
		return lock.Bundle{URL: text.Draw(t, "url"), SHA256: sum.Draw(t, "sha256")}
	}), true)
	artifact := rapid.Custom(func(t *rapid.T) lock.Artifact {
		a := lock.Artifact{URL: text.Draw(t, "url"), SHA256: sum.Draw(t, "sha"), ExecutableSHA256: sum.Draw(t, "exe"), Bundle: bundle.Draw(t, "bundle")}
		if rapid.Bool().Draw(t, "files") {
			a.FilesSHA256 = sum.Draw(t, "files")
		}
		return a
	})
	plugin := rapid.Custom(func(t *rapid.T) lock.Locked {
		p := lock.Locked{
			Version: version.Draw(t, "version"), Source: text.Draw(t, "source"),
			Platforms: rapid.MapOfN(rapid.StringMatching(`[a-z]{1,8}-[a-z0-9]{1,8}`), artifact, 1, 4).Draw(t, "platforms"),
		}
		if rapid.Bool().Draw(t, "list") {
			p.SHA256, p.Checksums = sum.Draw(t, "sha256"), text.Draw(t, "list")
		}
		if rapid.Bool().Draw(t, "signed") {
			p.Signer = &lock.Signer{Identity: text.Draw(t, "identity"), Issuer: text.Draw(t, "issuer"), Bundle: bundle.Draw(t, "bundle")}
		}
		return p
	})
	return &lock.Lock{
		Version: 1, GeneratedAt: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0).UTC(),
		Plugins: rapid.MapOfN(name, plugin, 0, 4).Draw(t, "plugins"),
	}
}

func TestLockRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawLock(t)
		data, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := lock.DecodeLock(data)
		if err != nil {
			t.Fatalf("%v in\n%s", err, data)
		}
		if !got.GeneratedAt.Equal(want.GeneratedAt) {
			t.Fatalf("%v is not %v", got.GeneratedAt, want.GeneratedAt)
		}
		got.GeneratedAt = want.GeneratedAt
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v\nin %s", got, want, data)
		}
		again, err := got.Encode()
		if err != nil || string(again) != string(data) {
			t.Fatalf("%v; not the same bytes", err)
		}
		at := rapid.IntRange(0, len(data)-1).Draw(t, "flip")
		data[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		if _, err := lock.DecodeLock(data); err == nil {
			t.Fatalf("a flipped byte %d was accepted in\n%s", at, data)
		}
	})
}

func TestEncodeRefusesALockWithoutHashes(t *testing.T) {
	l := &lock.Lock{Version: 1, Plugins: map[string]lock.Locked{"x": {Version: "v1.0.0", Source: "s", Platforms: map[string]lock.Artifact{"linux-amd64": {URL: "u"}}}}}
	if data, err := l.Encode(); err == nil {
		t.Errorf("encoded\n%s", data)
	}
}

func FuzzDecodeLock(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("version: 1\nplugins: {}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := lock.DecodeLock(data)
		if err != nil {
			return
		}
		encoded, err := l.Encode()
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if _, err := lock.DecodeLock(encoded); err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v\n%s", err, encoded)
		}
	})
}
