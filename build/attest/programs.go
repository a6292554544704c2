package attest

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Program is a Go program and what it was built from.
type Program struct {
	// Path is where it is: in an image, absolute.
	Path   string
	SHA256 string
	Info   *buildinfo.BuildInfo
}

// ProgramFile reads a program of this machine. It fails where the file is
// none of Go's.
func ProgramFile(file string) (Program, error) {
	f, err := os.Open(file)
	if err != nil {
		return Program{}, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Program{}, err
	}
	info, err := buildinfo.Read(f)
	return Program{Path: path.Base(strings.ReplaceAll(file, `\`, "/")), SHA256: hex.EncodeToString(h.Sum(nil)), Info: info}, err
}

// Programs finds the Go programs in an image, sorted by their paths. It reads
// the layers from the top down: what a later layer has replaced or removed is
// not there.
func Programs(ctx context.Context, img v1.Image) ([]Program, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	s := &search{gone: map[string]bool{}}
	for _, l := range slices.Backward(layers) {
		if err := s.layer(ctx, l); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.found, func(a, b Program) int { return strings.Compare(a.Path, b.Path) })
	return s.found, nil
}

type search struct {
	found []Program
	// gone holds the paths that a layer above has, or hides with all below.
	gone map[string]bool
}

func (s *search) layer(ctx context.Context, l v1.Layer) error {
	content, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	here := map[string]bool{} // it hides what is below, not what is beside
	for r := tar.NewReader(content); ctx.Err() == nil; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name := path.Clean("/" + h.Name)
		if base, ok := strings.CutPrefix(path.Base(name), ".wh."); ok {
			here[whiteout(path.Dir(name), base)] = true
			continue
		}
		if h.Typeflag == tar.TypeDir || s.hidden(name) {
			continue
		}
		here[name] = true
		if h.Typeflag == tar.TypeReg && h.FileInfo().Mode()&0o111 != 0 {
			if err := s.file(name, r); err != nil {
				return err
			}
		}
	}
	for name := range here {
		s.gone[name] = true
	}
	return ctx.Err()
}

// whiteout is the path that a mark hides: a file, or with `.wh..wh..opq` what
// a folder holds.
func whiteout(dir, base string) string {
	if base == ".wh..opq" {
		return dir
	}
	return path.Join(dir, base)
}

func (s *search) hidden(name string) bool {
	for ; name != "/"; name = path.Dir(name) {
		if s.gone[name] {
			return true
		}
	}
	return s.gone["/"]
}

// magics begin the files of programs: ELF, Mach-O, PE.
var magics = [][]byte{{0x7f, 'E', 'L', 'F'}, {0xcf, 0xfa, 0xed, 0xfe}, {0xca, 0xfe, 0xba, 0xbe}, {'M', 'Z'}}

// file looks at one file. It goes through a temporary file: a program's
// information is not at its beginning, and memory must not grow with it.
func (s *search) file(name string, content io.Reader) error {
	r := bufio.NewReader(content)
	head, err := r.Peek(4)
	if err != nil || !slices.ContainsFunc(magics, func(m []byte) bool { return bytes.HasPrefix(head, m) }) {
		return nil //nolint:nilerr // shorter than any program
	}
	f, err := os.CreateTemp("", "wfctl-program-")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, h), r); err != nil {
		return err
	}
	if info, err := buildinfo.Read(f); err == nil {
		s.found = append(s.found, Program{Path: name, SHA256: hex.EncodeToString(h.Sum(nil)), Info: info})
	}
	return nil
}
