package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocodealone/wfctl/fault"
)

// Checksum is the SHA-256 of a file, in hex.
func Checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// check refuses an executable that is not what was installed.
func check(p Plugin) error {
	if p.SHA256 == "" {
		return fault.New(fault.Integrity, "plugin %s: there is no hash to check %s against", p, p.Executable).WithHint("run `wfctl plugin lock`")
	}
	got, err := Checksum(p.Executable)
	switch {
	case os.IsNotExist(err):
		return fault.Wrap(fault.Environment, err, "plugin %s is not installed", p).WithHint("run `wfctl plugin install`")
	case err != nil:
		return fault.Wrap(fault.Environment, err, "plugin %s cannot be checked", p)
	case !strings.EqualFold(got, p.SHA256):
		return fault.New(fault.Integrity, "plugin %s is not what was locked; it is not run", p).
			WithDetail("file "+p.Executable, "sha256 "+got, "locked "+strings.ToLower(p.SHA256)).
			WithHint("delete %s and run `wfctl plugin install`", filepath.Dir(p.Executable))
	}
	return nil
}
