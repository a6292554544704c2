package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/archive"
	"github.com/gocodealone/wfctl/lock/store"
)

const (
	// maxArchive bounds the download of an archive, in bytes.
	maxArchive = 512 << 20
	// maxDescriptor bounds plugin.json, in bytes.
	maxDescriptor = 1 << 20
	// DescriptorFile is what an archive holds beside the executable.
	DescriptorFile = "plugin.json"
)

// Descriptor is what plugin.json says of a plugin, as far as this package
// reads it.
type Descriptor struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Provides names what is in the plugin, by kind: {"providers": ["x"]}.
	Provides json.RawMessage `json:"provides,omitempty"`
}

// executableName is the executable of a plugin in an archive for a platform.
func executableName(name, platform string) string {
	if strings.HasPrefix(platform, "windows-") {
		return name + ".exe"
	}
	return name
}

// want is an archive that a release has or should have.
type want struct {
	name, version, platform string
	// file is the archive's name at the source; sha256 is its hash.
	file, sha256 string
	url          string
	// executable and files are the hashes of what is in it; "" where they are
	// to be found out.
	executable, files string
}

// request describes the archive to the store. What is in it is written into
// found.
func (p *Project) request(from *place, w want, found *Artifact) store.Request {
	return store.Request{
		Hash: w.sha256, Name: w.file, Limit: maxArchive,
		Executable: executableName(w.name, w.platform), ExecutableHash: w.executable, ListingHash: w.files,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			if from == nil {
				return nil, fault.New(fault.Environment, "%s is not in the store", w.file).WithHint("run `wfctl plugin install` once without --offline")
			}
			p.o.Progress(fmt.Sprintf("fetching %s", w.file))
			return from.Open(ctx, w.version, w.file, w.sha256)
		},
		Check: func(dir string, files []archive.File) error {
			a, err := inspect(w, dir, files)
			if err == nil {
				*found = a
			}
			return err
		},
	}
}

// inspect finds the executable and plugin.json among the unpacked files and
// compares what the lockfile knows of them.
func inspect(w want, dir string, files []archive.File) (Artifact, error) {
	a := Artifact{URL: w.url, SHA256: w.sha256, FilesSHA256: store.Sum(archive.Listing(files))}
	exe := executableName(w.name, w.platform)
	for _, f := range files {
		if f.Name == exe {
			a.ExecutableSHA256 = f.SHA256
		}
	}
	if a.ExecutableSHA256 == "" {
		return a, fault.New(fault.Integrity, "%s holds no executable %q", w.file, exe).
			WithHint("the archive of a plugin holds the executable, named as the plugin, and %s", DescriptorFile)
	}
	if err := checkDescriptor(w, dir); err != nil {
		return a, err
	}
	path := filepath.Join(dir, exe)
	if w.executable != "" && a.ExecutableSHA256 != w.executable {
		return a, &store.MismatchError{Name: path, Want: w.executable, Got: a.ExecutableSHA256}
	}
	if w.files != "" && a.FilesSHA256 != w.files {
		return a, &store.MismatchError{Name: "the list of files of " + w.file, Want: w.files, Got: a.FilesSHA256}
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o100 == 0 {
		err = os.Chmod(path, 0o755)
	}
	return a, err
}

// checkDescriptor refuses an archive that is another plugin's or version's.
func checkDescriptor(w want, dir string) error {
	d, err := readDescriptor(dir)
	if err != nil {
		return fault.Wrap(fault.Integrity, err, "%s", w.file)
	}
	version, err := canonicalVersion(d.Version)
	if err != nil {
		return fault.Wrap(fault.Integrity, err, "%s of %s", DescriptorFile, w.file)
	}
	if d.Name != w.name || version != w.version {
		return fault.New(fault.Integrity, "%s holds %s %s, not %s %s", w.file, d.Name, version, w.name, w.version)
	}
	return nil
}

func readDescriptor(dir string) (*Descriptor, error) {
	f, err := os.Open(filepath.Join(dir, DescriptorFile))
	if err != nil {
		return nil, errors.New("it holds no " + DescriptorFile)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxDescriptor+1))
	if err != nil {
		return nil, err
	}
	var d Descriptor
	if len(data) > maxDescriptor {
		return nil, fmt.Errorf("%s has more than %d bytes", DescriptorFile, maxDescriptor)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", DescriptorFile, err)
	}
	return &d, nil
}

// providers are the kinds of provider that the plugin says it has: a list of
// names under "providers", or names as keys.
func (d *Descriptor) providers() []string { return providers(d.Provides) }

func providers(raw json.RawMessage) []string {
	var provides struct {
		Providers json.RawMessage `json:"providers"`
	}
	if json.Unmarshal(raw, &provides) != nil {
		return nil
	}
	var list []string
	var byName map[string]json.RawMessage
	if json.Unmarshal(provides.Providers, &list) == nil {
		return list
	}
	if json.Unmarshal(provides.Providers, &byName) == nil {
		return slices.Sorted(maps.Keys(byName))
	}
	return nil
}
