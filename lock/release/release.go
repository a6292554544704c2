// Package release knows what a published version of a plugin looks like: the
// names that goreleaser gives to archives, checksum lists and signature
// bundles, and how such a list is written. It does no I/O.
package release

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/lock/archive"
)

// MaxList bounds a list of checksums, in bytes.
const MaxList = 1 << 20

// SafeName tells whether a name is of a plain file, in no folder.
func SafeName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return name != "" && len(name) <= 255 && strings.IndexByte(first, name[0]) >= 0 && strings.Trim(name, first+".+~-") == ""
}

// Checksums parses a list of SHA-256 checksums as sha256sum, goreleaser or
// BSD's sha256 write it: file name to hash in lower case.
func Checksums(data []byte) (map[string]string, error) {
	if len(data) > MaxList {
		return nil, fmt.Errorf("it has more than %d bytes", MaxList)
	}
	sums := map[string]string{}
	sc := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimRight(sc.Text(), " \t\r")
		if line == "" {
			continue
		}
		name, hash, err := checksumLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if old, ok := sums[name]; ok && old != hash {
			return nil, fmt.Errorf("line %d: %s is listed twice", n, name)
		}
		sums[name] = hash
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(sums) == 0 {
		return nil, errors.New("it lists nothing")
	}
	return sums, nil
}

func checksumLine(line string) (name, hash string, err error) {
	if rest, ok := strings.CutPrefix(line, "SHA256 ("); ok { // as BSD writes it
		name, hash, _ = strings.Cut(rest, ") = ")
	} else {
		var rest string
		hash, rest, _ = strings.Cut(line, " ")
		name = strings.TrimPrefix(strings.TrimPrefix(strings.TrimLeft(rest, " "), "*"), "./")
	}
	hash = strings.ToLower(hash)
	if !archive.IsSum(hash) {
		return "", "", fmt.Errorf("%.80q does not begin with a SHA-256", line)
	}
	if !SafeName(name) {
		return "", "", fmt.Errorf("%.80q is not the name of a file", name)
	}
	return name, hash, nil
}

// ListNames are the names that a list of checksums may have, the likeliest
// first.
func ListNames(plugin, version string) []string {
	bare := strings.TrimPrefix(version, "v")
	return []string{
		"checksums.txt",
		plugin + "_" + bare + "_checksums.txt",
		plugin + "_" + version + "_checksums.txt",
		plugin + "_checksums.txt",
		plugin + "_" + bare + "_SHA256SUMS",
		"SHA256SUMS",
	}
}

// BundleNames are the names that a Sigstore bundle for a file may have.
func BundleNames(file string) []string {
	return []string{file + ".sigstore.json", file + ".sigstore", file + ".bundle"}
}

// ArchiveNames are the names that a plugin's archive for a platform may have,
// for where a source can list nothing.
func ArchiveNames(plugin, version, platform string) []string {
	bare := strings.TrimPrefix(version, "v")
	under := strings.ReplaceAll(platform, "-", "_")
	var names []string
	for _, ext := range []string{".tar.gz", ".zip"} {
		names = append(names, plugin+"-"+platform+ext, plugin+"_"+bare+"_"+under+ext)
	}
	return names
}

// Archives finds the archives of a plugin among names: platform to name. A
// platform with a tar.gz and a zip is served by the tar.gz.
func Archives(names []string, plugin, version string) map[string]string {
	found := map[string]string{}
	for _, name := range slices.Sorted(slices.Values(names)) {
		for _, platform := range Platforms(name, plugin, version) {
			if _, taken := found[platform]; !taken {
				found[platform] = name
			}
		}
	}
	return found
}

// Platforms tells for which platforms an archive is by its name; none where it
// is not an archive of this plugin at this version.
func Platforms(name, plugin, version string) []string {
	ext := archive.Extension(name)
	rest, ok := strings.CutPrefix(strings.TrimSuffix(name, ext), plugin)
	if ext == "" || !ok {
		return nil
	}
	rest = strings.Replace(strings.ToLower(rest), "x86_64", "amd64", 1)
	rest = strings.ToLower(rest)
	if rest, ok = cutSeparator(rest); !ok {
		return nil
	}
	bare := strings.ToLower(strings.TrimPrefix(version, "v"))
	if tail, ok := strings.CutPrefix(strings.TrimPrefix(rest, "v"), bare); ok {
		if rest, ok = cutSeparator(tail); !ok {
			return nil
		}
	}
	parts := strings.FieldsFunc(rest, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	if len(parts) == 3 && (parts[2] == "v1" || parts[2] == "v8" || parts[2] == "v8.0" || parts[2] == "sse2") {
		parts = parts[:2] // goreleaser's variant of the architecture
	}
	if len(parts) != 2 {
		return nil
	}
	return platforms(parts[0], parts[1])
}

func cutSeparator(s string) (string, bool) {
	if s == "" || !strings.ContainsRune("-_.", rune(s[0])) {
		return "", false
	}
	return s[1:], true
}

func platforms(system, arch string) []string {
	switch system {
	case "macos", "osx":
		system = "darwin"
	case "win":
		system = "windows"
	case "linux", "darwin", "windows", "freebsd", "openbsd", "netbsd":
	default:
		return nil
	}
	switch arch {
	case "all", "universal":
		if system != "darwin" {
			return nil
		}
		return []string{"darwin-amd64", "darwin-arm64"}
	case "x64":
		arch = "amd64"
	case "aarch64":
		arch = "arm64"
	case "i386", "x86":
		arch = "386"
	case "armv6", "armv7":
		arch = "arm"
	case "amd64", "arm64", "386", "arm", "riscv64", "ppc64le", "s390x", "loong64":
	default:
		return nil
	}
	return []string{system + "-" + arch}
}
