package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/archive"
	"github.com/gocodealone/wfctl/lock/store"
	"github.com/gocodealone/wfctl/lock/yamledit"
)

// maxLock bounds what is read of a lockfile, in bytes.
const maxLock = 4 << 20

// Lock is the lockfile: what the plugins of a project are, for every platform.
type Lock struct {
	Version     int               `yaml:"version"`
	GeneratedAt time.Time         `yaml:"generated_at"`
	Plugins     map[string]Locked `yaml:"plugins"`
}

// Locked is one plugin.
type Locked struct {
	Version string `yaml:"version"`
	Source  string `yaml:"source"`
	// SHA256 is of the release's list of checksums; empty where the manifest
	// itself gave the checksums.
	SHA256 string `yaml:"sha256,omitempty"`
	// Checksums is the name of that list at the source.
	Checksums string  `yaml:"checksums,omitempty"`
	Signer    *Signer `yaml:"signer,omitempty"`
	// Platforms is keyed by OS-ARCH.
	Platforms map[string]Artifact `yaml:"platforms"`
}

// Signer is who signed a release, as it was proved when it was locked.
type Signer struct {
	Identity string `yaml:"identity"`
	Issuer   string `yaml:"issuer"`
	// Bundle signs the list of checksums; nil where each archive has its own.
	Bundle *Bundle `yaml:"bundle,omitempty"`
}

// Bundle is a Sigstore bundle.
type Bundle struct {
	URL    string `yaml:"url"`
	SHA256 string `yaml:"sha256"`
}

// Artifact is a plugin's archive for one platform.
type Artifact struct {
	URL              string `yaml:"url"`
	SHA256           string `yaml:"sha256"`
	ExecutableSHA256 string `yaml:"executable_sha256"`
	// FilesSHA256 is of the list of all files that the archive holds.
	FilesSHA256 string  `yaml:"files_sha256,omitempty"`
	Bundle      *Bundle `yaml:"bundle,omitempty"`
}

// ReadLock reads a lockfile. One that does not exist is an empty one.
func ReadLock(path string) (*Lock, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Lock{Version: 1, Plugins: map[string]Locked{}}, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the lockfile")
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxLock+1))
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the lockfile")
	}
	l, err := DecodeLock(data)
	if err != nil {
		return nil, fault.Wrap(fault.Integrity, err, "the lockfile is damaged").At(fault.Position{File: shown(path)}).
			WithHint("restore %s from version control, or delete it and run `wfctl plugin lock`", LockFile)
	}
	return l, nil
}

// seal is the first line of a lockfile that wfctl wrote: the checksum
// of all that follows, so that no byte changes unseen.
func seal(body []byte) string { return sealText + store.Sum(body) }

const sealText = "# Written by wfctl; do not edit. Checksum of what follows: sha256:"

// checkSeal compares the checksum in the first line. A file that begins with
// no comment has no checksum; its hashes protect it still.
func checkSeal(data []byte) error {
	if len(data) == 0 || data[0] != '#' {
		return nil
	}
	head, body, _ := bytes.Cut(data, []byte("\n"))
	if !bytes.HasPrefix(head, []byte(sealText)) {
		return errors.New("line 1 is not the line that wfctl wrote")
	}
	if string(head) != seal(body) {
		return errors.New("it was changed after wfctl wrote it")
	}
	return nil
}

// DecodeLock parses a lockfile strictly.
func DecodeLock(data []byte) (*Lock, error) {
	if len(data) > maxLock {
		return nil, fmt.Errorf("it has more than %d bytes", maxLock)
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) // git may check out so
	if err := checkSeal(data); err != nil {
		return nil, err
	}
	var l Lock
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&l); err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one document")
	}
	return &l, l.check()
}

func (l *Lock) check() error {
	if l.Version != 1 {
		return fmt.Errorf("its version is %d; this wfctl reads version 1", l.Version)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		if err := checkName(name); err != nil {
			return err
		}
		if err := l.Plugins[name].check(); err != nil {
			return fmt.Errorf("plugin %s: %w", name, err)
		}
	}
	if l.Plugins == nil {
		l.Plugins = map[string]Locked{}
	}
	return nil
}

func (p Locked) check() error {
	if v, err := canonicalVersion(p.Version); err != nil || v != p.Version {
		return fmt.Errorf("version %q is not exact", p.Version)
	}
	if p.Source == "" || len(p.Platforms) == 0 {
		return errors.New("it lacks a source or platforms")
	}
	if p.SHA256 != "" && !archive.IsSum(p.SHA256) {
		return fmt.Errorf("sha256 %q is not a SHA-256", p.SHA256)
	}
	if s := p.Signer; s != nil {
		if s.Identity == "" || s.Issuer == "" {
			return errors.New("its signer lacks an identity or an issuer")
		}
		if err := s.Bundle.check(); err != nil {
			return err
		}
	}
	for _, platform := range slices.Sorted(maps.Keys(p.Platforms)) {
		if err := checkPlatform(platform); err != nil {
			return err
		}
		if err := p.Platforms[platform].check(); err != nil {
			return fmt.Errorf("platform %s: %w", platform, err)
		}
	}
	return nil
}

func (b *Bundle) check() error {
	if b != nil && (b.URL == "" || !archive.IsSum(b.SHA256)) {
		return errors.New("a bundle lacks its url or sha256")
	}
	return nil
}

func (a Artifact) check() error {
	if a.URL == "" {
		return errors.New("it lacks a url")
	}
	if !archive.IsSum(a.SHA256) || !archive.IsSum(a.ExecutableSHA256) {
		return errors.New("it lacks sha256 or executable_sha256")
	}
	if a.FilesSHA256 != "" && !archive.IsSum(a.FilesSHA256) {
		return errors.New("files_sha256 is not a SHA-256")
	}
	return a.Bundle.check()
}

// Encode writes the lockfile: the same lock gives the same bytes.
func (l *Lock) Encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the lock is not complete")
	}
	var b strings.Builder
	line := func(indent int, key, value string) {
		fmt.Fprintf(&b, "%*s%s: %s\n", indent, "", key, value)
	}
	line(0, "version", "1")
	line(0, "generated_at", fmt.Sprintf("%q", l.GeneratedAt.UTC().Format(time.RFC3339)))
	if len(l.Plugins) == 0 {
		line(0, "plugins", "{}")
	} else {
		b.WriteString("plugins:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		p := l.Plugins[name]
		fmt.Fprintf(&b, "  %s:\n", yamledit.Scalar(name))
		line(4, "version", yamledit.Scalar(p.Version))
		line(4, "source", yamledit.Scalar(p.Source))
		if p.SHA256 != "" {
			line(4, "sha256", yamledit.Scalar(p.SHA256))
		}
		if p.Checksums != "" {
			line(4, "checksums", yamledit.Scalar(p.Checksums))
		}
		if p.Signer != nil {
			b.WriteString("    signer:\n")
			line(6, "identity", yamledit.Scalar(p.Signer.Identity))
			line(6, "issuer", yamledit.Scalar(p.Signer.Issuer))
			if p.Signer.Bundle != nil {
				line(6, "bundle", p.Signer.Bundle.flow())
			}
		}
		b.WriteString("    platforms:\n")
		for _, platform := range slices.Sorted(maps.Keys(p.Platforms)) {
			line(6, platform, p.Platforms[platform].flow())
		}
	}
	body := []byte(b.String())
	return append([]byte(seal(body)+"\n"), body...), nil
}

func (b *Bundle) flow() string {
	return fmt.Sprintf("{url: %s, sha256: %s}", yamledit.Scalar(b.URL), yamledit.Scalar(b.SHA256))
}

func (a Artifact) flow() string {
	s := fmt.Sprintf("{url: %s, sha256: %s, executable_sha256: %s", yamledit.Scalar(a.URL), yamledit.Scalar(a.SHA256), yamledit.Scalar(a.ExecutableSHA256))
	if a.FilesSHA256 != "" {
		s += ", files_sha256: " + yamledit.Scalar(a.FilesSHA256)
	}
	if a.Bundle != nil {
		s += ", bundle: " + a.Bundle.flow()
	}
	return s + "}"
}

// equal compares all but the time.
func (l *Lock) equal(m *Lock) bool {
	a, b := *l, *m
	a.GeneratedAt, b.GeneratedAt = time.Time{}, time.Time{}
	x, errX := a.Encode()
	y, errY := b.Encode()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
