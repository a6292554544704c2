// Package locktest publishes plugins for tests: releases as folders, in an OCI
// registry, on a GitHub that answers as its public description says, signed by
// a Sigstore that exists in this process alone. It is for tests only.
package locktest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Release is a published version: its files by name.
type Release struct {
	Plugin, Version string
	Files           map[string][]byte
}

// Host is the platform of this process.
func Host() string { return runtime.GOOS + "-" + runtime.GOARCH }

// Platforms are this one and a few others.
func Platforms() []string {
	list := []string{"linux-amd64", "linux-arm64", "darwin-arm64", "windows-amd64"}
	if !slices.Contains(list, Host()) {
		list = append(list, Host())
	}
	return list
}

// Executable is what the executable of a plugin for a platform holds here.
func Executable(plugin, version, platform string) []byte {
	return fmt.Appendf(nil, "#!/bin/sh\n# %s %s for %s\n", plugin, version, platform)
}

// New makes a release with an archive per platform and checksums.txt.
func New(plugin, version string, platforms ...string) *Release {
	if len(platforms) == 0 {
		platforms = Platforms()
	}
	r := &Release{Plugin: plugin, Version: version, Files: map[string][]byte{}}
	for _, p := range platforms {
		exe, ext := plugin, ".tar.gz"
		if strings.HasPrefix(p, "windows-") {
			exe, ext = plugin+".exe", ".zip"
		}
		files := []File{
			{Name: exe, Body: Executable(plugin, version, p), Mode: 0o755},
			{Name: "plugin.json", Body: Descriptor(plugin, version)},
			{Name: "LICENSE", Body: []byte("MIT")},
		}
		r.Files[plugin+"-"+p+ext] = Archive(ext, files...)
	}
	return r.Sum()
}

// Program makes a release of a program that really runs on this machine, with
// its own plugin.json. What it has for other platforms is as in New.
func Program(plugin, version string, executable, descriptor []byte) *Release {
	r := New(plugin, version)
	exe := plugin
	if runtime.GOOS == "windows" {
		exe += ".exe"
	}
	name := r.Archive(Host())
	r.Files[name] = Archive(filepath.Ext(name), File{Name: exe, Body: executable, Mode: 0o755}, File{Name: "plugin.json", Body: descriptor})
	return r.Sum()
}

// Descriptor is a plugin.json.
func Descriptor(plugin, version string) []byte {
	return fmt.Appendf(nil, `{"name": %q, "version": %q, "protocol": 1, "provides": {"providers": [%q]}}`, plugin, version, plugin+"-kind")
}

// Sum writes checksums.txt anew.
func (r *Release) Sum() *Release {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		if strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".zip") {
			fmt.Fprintf(&b, "%s  %s\n", Hash(r.Files[name]), name)
		}
	}
	r.Files["checksums.txt"] = []byte(b.String())
	return r
}

// Hash is the SHA-256 in hex.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Archive is the name of the archive for a platform.
func (r *Release) Archive(platform string) string {
	if strings.HasPrefix(platform, "windows-") {
		return r.Plugin + "-" + platform + ".zip"
	}
	return r.Plugin + "-" + platform + ".tar.gz"
}

// WriteTo puts the release into dir/VERSION.
func (r *Release) WriteTo(t testing.TB, dir string) *Release {
	t.Helper()
	to := filepath.Join(dir, r.Version)
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range r.Files {
		if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// File is an entry of an archive.
type File struct {
	Name string
	Body []byte
	// Mode is 0644 where it is 0.
	Mode int64
	// Type is a tar type flag, 0 for a plain file; Link is a link's target.
	Type byte
	Link string
}

// Archive packs entries as the ending says: .zip, or anything else for tar.gz.
func Archive(ext string, files ...File) []byte {
	if ext == ".zip" {
		return Zip(files...)
	}
	return TarGz(files...)
}

// TarGz packs entries.
func TarGz(files ...File) []byte {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	tw := tar.NewWriter(gz)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: mode(f), Size: int64(len(f.Body)), Typeflag: f.Type, Linkname: f.Link}
		if f.Type == 0 {
			h.Typeflag = tar.TypeReg
		}
		check(tw.WriteHeader(h))
		_, err := tw.Write(f.Body)
		check(err)
	}
	check(tw.Close())
	check(gz.Close())
	return b.Bytes()
}

// Zip packs entries; of the types it knows links and folders.
func Zip(files ...File) []byte {
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate}
		m := os.FileMode(mode(f))
		switch f.Type {
		case tar.TypeSymlink:
			m |= os.ModeSymlink
		case tar.TypeDir:
			m |= os.ModeDir
		case tar.TypeChar:
			m |= os.ModeDevice | os.ModeCharDevice
		}
		h.SetMode(m)
		w, err := zw.CreateHeader(h)
		check(err)
		if f.Type == tar.TypeSymlink {
			f.Body = []byte(f.Link)
		}
		if f.Type != tar.TypeDir {
			_, err = w.Write(f.Body)
			check(err)
		}
	}
	check(zw.Close())
	return b.Bytes()
}

func mode(f File) int64 {
	if f.Mode == 0 {
		return 0o644
	}
	return f.Mode
}

// check stops a test whose own archive cannot be made: writes to memory do not
// fail.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
