// Package archive unpacks plugin archives that nobody has looked into yet. An
// entry that is not a plain file or folder below the target (a path outside, a
// link, a device), that comes twice or exceeds the limits, is an error, and
// then the target is not to be used. It keeps neither owners nor times.
package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Limits bound what an archive may hold when it is unpacked.
type Limits struct {
	Entries int
	// Bytes of all files together.
	Bytes int64
}

// DefaultLimits are generous for a program with its notices: 2,000 entries,
// 1 GiB.
func DefaultLimits() Limits { return Limits{Entries: 2000, Bytes: 1 << 30} }

// File is one file that was unpacked.
type File struct {
	// Name is relative, with forward slashes.
	Name   string
	Size   int64
	SHA256 string
}

// Known tells whether a name is of an archive that Extract understands.
func Known(name string) bool { return Extension(name) != "" }

// Extension is the ending of an archive's name, "" for any other name.
func Extension(name string) string {
	for _, ext := range []string{".tar.gz", ".tgz", ".zip"} {
		if strings.HasSuffix(name, ext) && len(name) > len(ext) {
			return ext
		}
	}
	return ""
}

// Extract unpacks the archive at file, which is called name, into the empty
// folder dst, syncs the files, and lists them sorted by name.
func Extract(ctx context.Context, file, name, dst string, limits Limits) ([]File, error) {
	root, err := os.OpenRoot(dst)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	x := &extractor{ctx: ctx, root: root, limits: limits, seen: map[string]bool{}, folders: map[string]bool{}}
	switch Extension(name) {
	case ".tar.gz", ".tgz":
		err = x.tarGz(f)
	case ".zip":
		err = x.zip(f)
	default:
		err = errors.New("it is neither tar.gz nor zip")
	}
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", name, err)
	}
	slices.SortFunc(x.files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return x.files, x.syncFolders()
}

type extractor struct {
	ctx     context.Context
	root    *os.Root
	limits  Limits
	entries int
	bytes   int64
	seen    map[string]bool // lower case: some file systems fold it
	folders map[string]bool
	files   []File
}

func (x *extractor) tarGz(r io.Reader) error {
	gz, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	tr := tar.NewReader(gz)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			// Reading to the end of the stream lets gzip check its own sum; what
			// follows the last entry is padding and counts against the limit.
			return x.drain(gz)
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = x.file(h.Name, h.FileInfo().Mode(), tr)
		case tar.TypeDir:
			err = x.folder(h.Name)
		case tar.TypeXGlobalHeader:
		default:
			err = fmt.Errorf("entry %q is a %s; only files and folders are allowed", h.Name, kindOf(h.Typeflag))
		}
		if err != nil {
			return err
		}
	}
}

func kindOf(flag byte) string {
	switch flag {
	case tar.TypeSymlink, tar.TypeLink:
		return "link"
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "device"
	}
	return fmt.Sprintf("entry of type %q", flag)
}

func (x *extractor) drain(r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, x.limits.Bytes+1))
	if err == nil && n > x.limits.Bytes {
		err = fmt.Errorf("it has more than %d bytes of padding", x.limits.Bytes)
	}
	return err
}

func (x *extractor) zip(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zr, err := zip.NewReader(f, info.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	for _, entry := range zr.File {
		mode := entry.Mode()
		switch {
		case mode.IsDir():
			err = x.folder(entry.Name)
		case mode.IsRegular():
			err = x.zipFile(entry)
		case mode&fs.ModeSymlink != 0:
			err = fmt.Errorf("entry %q is a link; only files and folders are allowed", entry.Name)
		default:
			err = fmt.Errorf("entry %q is a device; only files and folders are allowed", entry.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *extractor) zipFile(entry *zip.File) error {
	r, err := entry.Open()
	if err != nil {
		return fmt.Errorf("entry %q: %w", entry.Name, err)
	}
	defer func() { _ = r.Close() }()
	return x.file(entry.Name, entry.Mode(), r)
}

// admit checks a name and counts the entry.
func (x *extractor) admit(name string) (string, error) {
	if err := x.ctx.Err(); err != nil {
		return "", err
	}
	if x.entries++; x.entries > x.limits.Entries {
		return "", fmt.Errorf("it has more than %d entries", x.limits.Entries)
	}
	clean := path.Clean(name)
	bad := strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '\\' || r == ':' || r == 0x7f })
	if bad || path.IsAbs(name) || !filepath.IsLocal(filepath.FromSlash(clean)) || slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("entry %q would leave the plugin's folder", name)
	}
	return clean, nil
}

func (x *extractor) folder(name string) error {
	clean, err := x.admit(name)
	if err != nil || clean == "." {
		return err
	}
	return x.mkdir(clean, name)
}

func (x *extractor) mkdir(clean, name string) error {
	if clean == "." {
		return nil
	}
	if err := x.root.MkdirAll(filepath.FromSlash(clean), 0o755); err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	for ; clean != "."; clean = path.Dir(clean) {
		x.folders[clean] = true
	}
	return nil
}

func (x *extractor) file(name string, mode fs.FileMode, r io.Reader) error {
	clean, err := x.admit(name)
	if err != nil {
		return err
	}
	if fold := strings.ToLower(clean); clean == "." || x.seen[fold] {
		return fmt.Errorf("entry %q comes twice", name)
	} else {
		x.seen[fold] = true
	}
	if err := x.mkdir(path.Dir(clean), name); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	f, err := x.root.OpenFile(filepath.FromSlash(clean), os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	return errors.Join(x.fill(f, clean, r), f.Close())
}

func (x *extractor) fill(f *os.File, name string, r io.Reader) error {
	sum := sha256.New()
	left := x.limits.Bytes - x.bytes
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(reader{x.ctx, r}, left+1))
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	if n > left {
		return fmt.Errorf("it holds more than %d bytes", x.limits.Bytes)
	}
	x.bytes += n
	x.files = append(x.files, File{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return f.Sync()
}

// reader stops reading when its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// syncFolders makes the names durable, where the system can.
func (x *extractor) syncFolders() error {
	for _, name := range append([]string{"."}, slices.Sorted(maps.Keys(x.folders))...) {
		f, err := x.root.Open(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		_ = f.Sync() // not every system syncs folders
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Listing is the sorted list of files, one line "HASH  NAME" each, as
// sha256sum writes it. Its own SHA-256 stands for the whole tree.
func Listing(files []File) []byte {
	var b bytes.Buffer
	for _, f := range files {
		_, _ = fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.Name)
	}
	return b.Bytes()
}

// List reads a folder that Extract has filled: the files as they are now.
// Anything but plain files and folders in it is an error.
func List(ctx context.Context, dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return ctx.Err()
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is not a plain file", p)
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		sum, size, err := Sum(ctx, p)
		files = append(files, File{Name: filepath.ToSlash(rel), Size: size, SHA256: sum})
		return err
	})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, err
}

// IsSum tells whether s is a SHA-256 as this package writes it: 64 digits in
// lower-case hex.
func IsSum(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// Sum hashes a file.
func Sum(ctx context.Context, file string) (sum string, size int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	size, err = io.Copy(h, reader{ctx, f})
	return hex.EncodeToString(h.Sum(nil)), size, err
}
