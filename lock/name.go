package lock

import (
	"regexp"
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

var (
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	platformPattern = regexp.MustCompile(`^[a-z0-9]{1,32}-[a-z0-9]{1,32}$`)
	hashPattern     = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkName refuses what cannot be a file's name on every platform.
func checkName(name string) error {
	if !namePattern.MatchString(name) {
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
	if !platformPattern.MatchString(platform) {
		return fault.New(fault.Usage, "%q is not a platform", platform).WithHint("a platform is OS-ARCH, such as linux-amd64 or darwin-arm64")
	}
	return nil
}
