// Package file reads plugins from a folder of this machine, with one
// sub-folder per version.
package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocodealone/wfctl/lock/source"
)

// Source is a folder.
type Source struct{ dir, address string }

// New makes a source of "file:///DIR", or of a path that begins with "./" or
// "../" and is relative to base.
func New(address, base string) (*Source, error) {
	address = strings.TrimRight(address, "/")
	if strings.HasPrefix(address, ".") {
		return &Source{filepath.Join(base, filepath.FromSlash(address)), address}, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return nil, errors.New("a local folder is file:///DIR, or ./DIR relative to wfctl.yaml")
	}
	dir := u.Path
	if len(dir) > 2 && dir[2] == ':' { // file:///C:/plugins
		dir = dir[1:]
	}
	return &Source{filepath.FromSlash(dir), address}, nil
}

// Versions implements source.Source.
func (s *Source) Versions(context.Context) ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, &source.Error{Doing: "look for versions", Err: err}
	}
	var versions []string
	for _, e := range entries {
		versions = append(versions, e.Name())
	}
	return versions, nil
}

// Release implements source.Source.
func (s *Source) Release(_ context.Context, version string) (*source.Release, error) {
	if _, err := os.Stat(s.dir); err != nil {
		return nil, &source.Error{Doing: "look for version " + version, Err: err, Hint: "the folder of the plugin's source does not exist"}
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, version))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, source.NotFound("%s has no folder %s", s.dir, version)
	}
	if err != nil {
		return nil, &source.Error{Doing: "look for version " + version, Err: err}
	}
	r := &source.Release{Version: version, Listed: true}
	for _, e := range entries {
		if !e.IsDir() {
			r.Names = append(r.Names, e.Name())
		}
	}
	return r, nil
}

// Open implements source.Source.
func (s *Source) Open(_ context.Context, version, name, _ string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(s.dir, version, name))
	if err != nil {
		return nil, &source.Error{Doing: "read a file of version " + version, Err: err}
	}
	return f, nil
}

// URL implements source.Source.
func (s *Source) URL(version, name string) string { return s.address + "/" + version + "/" + name }
