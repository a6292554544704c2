package build

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/gocodealone/wfctl/fault"
)

// tree is a tar being written in the order of its paths, each folder before
// what it holds, with times and owners that are always the same.
type tree struct {
	tar  *tar.Writer
	dirs map[string]bool
}

func newTree(w io.Writer) *tree { return &tree{tar.NewWriter(w), map[string]bool{"/": true}} }

func (t *tree) header(h *tar.Header) error {
	h.ModTime, h.Format = time.Unix(0, 0), tar.FormatPAX
	h.Name = strings.TrimPrefix(h.Name, "/")
	return t.tar.WriteHeader(h)
}

// dir writes a folder and those above it, once.
func (t *tree) dir(name string, mode int64) error {
	if t.dirs[name] {
		return nil
	}
	if err := t.dir(path.Dir(name), 0o755); err != nil {
		return err
	}
	t.dirs[name] = true
	return t.header(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

func (t *tree) file(name string, mode, size int64, content io.Reader) error {
	if err := t.dir(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := t.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(t.tar, content)
	return err
}

func (t *tree) bytes(name string, content []byte) error {
	return t.file(name, 0o644, int64(len(content)), bytes.NewReader(content))
}

const (
	passwd = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	group  = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"
	// nsswitch lets programs that use the C library read /etc/hosts.
	nsswitch = "hosts: files dns\n"
)

// writeRoot writes what every image has.
func (g *goTool) writeRoot(w io.Writer) error {
	t := newTree(w)
	err := errors.Join(
		t.bytes("/etc/group", []byte(group)),
		t.bytes("/etc/nsswitch.conf", []byte(nsswitch)),
		t.bytes("/etc/passwd", []byte(passwd)),
		t.bytes("/etc/ssl/certs/ca-certificates.crt", certificates()),
		t.dir("/home", 0o755),
		t.header(&tar.Header{Typeflag: tar.TypeDir, Name: "/home/nonroot/", Mode: 0o755, Uid: 65532, Gid: 65532}),
		t.dir("/tmp", 0o1777),
	)
	if err != nil {
		return err
	}
	if err := g.writeZones(t); err != nil {
		return err
	}
	return t.tar.Close()
}

// certificates are Mozilla's roots as PEM. Those that are distrusted for
// certificates of a later date are left out: a file cannot say so.
func certificates() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes all
		}
	}
	return b.Bytes()
}

// writeZones unpacks the toolchain's time zones to where every program looks
// for them.
func (g *goTool) writeZones(t *tree) error {
	if !g.zones() {
		return nil // they are in the binary: see compile
	}
	archive, err := zip.OpenReader(g.zoneinfo())
	if err != nil {
		return fault.Wrap(fault.Environment, err, "read the time zones of the Go installation")
	}
	defer func() { _ = archive.Close() }()
	slices.SortFunc(archive.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if !filepath.IsLocal(f.Name) {
			return fault.New(fault.Integrity, "the time zones of the Go installation hold the path %q", f.Name)
		}
		if err := writeZone(t, f); err != nil {
			return fault.Wrap(fault.Environment, err, "read the time zone %s", f.Name)
		}
	}
	return nil
}

func writeZone(t *tree, f *zip.File) error {
	content, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	return t.file("/usr/share/zoneinfo/"+f.Name, 0o644, int64(f.UncompressedSize64), content)
}

// writeProgram writes the layer of the executable.
func writeProgram(name, binary string) func(io.Writer) error {
	return func(w io.Writer) error {
		t := newTree(w)
		if err := t.copyFile(name, binary, 0o755); err != nil {
			return err
		}
		return t.tar.Close()
	}
}

func (t *tree) copyFile(name, source string, mode int64) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return t.file(name, mode, info.Size(), f)
}

// extra is one of the user's files.
type extra struct{ target, source string }

// extras lists the user's files, sorted by their path in the image. Links are
// followed for the path itself and refused below it.
func (b *goBuild) extras() ([]extra, error) {
	var all []extra
	for target, from := range b.Files {
		source := filepath.FromSlash(from)
		if !filepath.IsAbs(source) {
			source = filepath.Join(b.dir, source)
		}
		if resolved, err := filepath.EvalSymlinks(source); err == nil {
			source = resolved
		}
		err := filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if !d.Type().IsRegular() {
				return fault.New(fault.Config, "image %q: %s is not a regular file", b.Name, p)
			}
			rel, err := filepath.Rel(source, p)
			all = append(all, extra{path.Join(target, filepath.ToSlash(rel)), p})
			return err
		})
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "image %q: the files for %s", b.Name, target)
		}
	}
	slices.SortFunc(all, func(a, b extra) int { return strings.Compare(a.target, b.target) })
	return all, nil
}

func (b *goBuild) writeFiles(w io.Writer) error {
	all, err := b.extras()
	if err != nil {
		return err
	}
	t := newTree(w)
	for _, e := range all {
		mode := int64(0o644)
		if info, err := os.Stat(e.source); err == nil && info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if err := t.copyFile(e.target, e.source, mode); err != nil {
			return err
		}
	}
	return t.tar.Close()
}
