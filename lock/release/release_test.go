package release_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/lock/release"
)

func TestPlatforms(t *testing.T) {
	tests := map[string]string{
		"hello-linux-amd64.tar.gz":           "linux-amd64",
		"hello-darwin-arm64.zip":             "darwin-arm64",
		"hello_1.2.0_linux_arm64.tar.gz":     "linux-arm64",
		"hello_v1.2.0_Linux_x86_64.tar.gz":   "linux-amd64",
		"hello_1.2.0_darwin_all.tar.gz":      "darwin-amd64 darwin-arm64",
		"hello_1.2.0_linux_amd64_v1.tgz":     "linux-amd64",
		"hello_1.2.0_macOS_universal.zip":    "darwin-amd64 darwin-arm64",
		"hello-v1.2.0-windows-i386.zip":      "windows-386",
		"hello_1.2.0_linux_armv7.tar.gz":     "linux-arm",
		"hello.1.2.0.freebsd.aarch64.tar.gz": "freebsd-arm64",
		"hello_1.2.0_linux_all.tar.gz":       "",
		"hello_1.2.1_linux_amd64.tar.gz":     "",
		"hello-world-linux-amd64.tar.gz":     "",
		"hello-linux-amd64.deb":              "",
		"hello-linux-amd64.tar.gz.sig":       "",
		"hellolinux-amd64.tar.gz":            "",
		"hello.tar.gz":                       "",
		"other-linux-amd64.tar.gz":           "",
		"hello-plan9-amd64.tar.gz":           "",
	}
	for name, want := range tests {
		if got := strings.Join(release.Platforms(name, "hello", "v1.2.0"), " "); got != want {
			t.Errorf("%s is for %q, want %q", name, got, want)
		}
	}
	got := release.Archives([]string{"hello-linux-amd64.zip", "hello-linux-amd64.tar.gz", "checksums.txt"}, "hello", "v1.2.0")
	if len(got) != 1 || got["linux-amd64"] != "hello-linux-amd64.tar.gz" {
		t.Errorf("archives: %v", got)
	}
	for _, name := range release.ArchiveNames("hello", "v1.2.0", "linux-amd64") {
		if release.Platforms(name, "hello", "v1.2.0") == nil {
			t.Errorf("%s is not recognised", name)
		}
	}
}

func TestChecksums(t *testing.T) {
	h, g := strings.Repeat("a1", 32), strings.Repeat("B2", 32)
	good := map[string]map[string]string{
		h + "  a.tar.gz\n" + g + " *b.zip\n":    {"a.tar.gz": h, "b.zip": strings.ToLower(g)},
		h + "  ./a.tar.gz\r\n\r\n":              {"a.tar.gz": h},
		"SHA256 (a.tar.gz) = " + h:              {"a.tar.gz": h},
		h + "  a.tar.gz\n" + h + "  a.tar.gz\n": {"a.tar.gz": h},
	}
	for text, want := range good {
		if got, err := release.Checksums([]byte(text)); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{
		"", "\n", h, h + " ", h + "  ../a", h + "  a/b", h + "  a\n" + g + "  a\n", "a1  a.tar.gz", h + h + "  a", "x" + h + "  a",
		h + "  a b", h + `  a\b`, h + "  -rf", "SHA256 (../a) = " + h, strings.Repeat("x", release.MaxList+1), h + "  " + strings.Repeat("x", 70_000),
	} {
		if got, err := release.Checksums([]byte(bad)); err == nil {
			t.Errorf("%.100q gave %v", bad, got)
		}
	}
}

func TestChecksumsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,30}`), rapid.StringMatching(`[0-9a-f]{64}`)).Draw(t, "sums")
		var b strings.Builder
		for name, sum := range want {
			fmt.Fprintf(&b, "%s  %s\n", sum, name)
		}
		got, err := release.Checksums([]byte(b.String()))
		if len(want) == 0 {
			if err == nil {
				t.Fatal("an empty list was accepted")
			}
			return
		}
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

func FuzzChecksums(f *testing.F) {
	f.Add([]byte(strings.Repeat("a1", 32) + "  a.tar.gz\n"))
	f.Add([]byte("SHA256 (a) = " + strings.Repeat("00", 32)))
	f.Fuzz(func(t *testing.T, data []byte) {
		sums, err := release.Checksums(data)
		if err != nil {
			return
		}
		for name, sum := range sums {
			if !release.SafeName(name) || len(sum) != 64 || strings.ToLower(sum) != sum {
				t.Errorf("%q: %q", name, sum)
			}
			release.Platforms(name, "hello", "v1.0.0")
		}
	})
}
