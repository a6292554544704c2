package lock

import (
	"runtime"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/gocodealone/wfctl/fault"
)

// The names of the files in a project's folder.
const (
	ManifestFile = "wfctl.yaml"
	LockFile     = ".wfctl-lock.yaml"
)

const (
	lower    = "abcdefghijklmnopqrstuvwxyz0123456789"
	alphanum = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// Compiling regular expressions took a tenth of the start-up of `wfctl
// version`; these need none.

func isName(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexByte(alphanum, s[0]) >= 0 && strings.Trim(s, alphanum+"._-") == ""
}

func isPlatform(s string) bool {
	system, arch, ok := strings.Cut(s, "-")
	return ok && isWord(system) && isWord(arch)
}

func isWord(s string) bool { return s != "" && len(s) <= 32 && strings.Trim(s, lower) == "" }

// checkName refuses what cannot be a file's name on every platform.
func checkName(name string) error {
	if !isName(name) {
		return fault.New(fault.Config, "%q is not a name for a plugin", name).
			WithHint("a name has letters, digits, dots, dashes and underscores, and begins with a letter or digit")
	}
	return nil
}

// canonicalVersion returns a version as tags and the lockfile write it:
// "v1.2.3". A pin is exact: a range is an error.
func canonicalVersion(version string) (string, error) {
	v := version
	if !strings.HasPrefix(v, "v") {
		v = "v" + v
	}
	if !semver.IsValid(v) || strings.Count(semver.Prerelease(v), "..") > 0 || semver.Canonical(v) != strings.TrimSuffix(v, semver.Build(v)) {
		return "", fault.New(fault.Config, "%q is not an exact version", version).WithHint("a version looks like v1.2.3")
	}
	return v, nil
}

// HostPlatform is the platform that wfctl runs on, as the lockfile names it:
// "linux-amd64".
func HostPlatform() string { return runtime.GOOS + "-" + runtime.GOARCH }

func checkPlatform(platform string) error {
	if !isPlatform(platform) {
		return fault.New(fault.Usage, "%q is not a platform", platform).WithHint("a platform is OS-ARCH, such as linux-amd64 or darwin-arm64")
	}
	return nil
}
