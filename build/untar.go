package build

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unpackLayout unpacks a tar that holds an OCI layout into a temporary folder,
// which the caller removes; ok is false for a tar of another kind. Nothing but
// the files of a layout is written.
func unpackLayout(file string) (dir string, ok bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", false, err
	}
	defer f.Close() //nolint:errcheck // read only
	if ok, err := holdsLayout(f); err != nil || !ok {
		return "", false, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", false, err
	}
	if dir, err = os.MkdirTemp("", "wfctl-layout-"); err != nil {
		return "", false, err
	}
	if err := unpackInto(f, dir); err != nil {
		return "", false, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, true, nil
}

// holdsLayout looks for the file that marks a layout. What docker save writes
// has it too in newer versions, beside its own list, and is one.
func holdsLayout(f io.Reader) (bool, error) {
	marked, indexed := false, false
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return marked && indexed, nil
		}
		if err != nil {
			return false, err
		}
		switch path.Clean(h.Name) {
		case "oci-layout":
			marked = true
		case "index.json":
			indexed = true
		}
	}
}

func unpackInto(f io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // a folder's handle
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || name != "oci-layout" && name != "index.json" && !strings.HasPrefix(name, "blobs/") {
			continue
		}
		if err := root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o755); err != nil {
			return err
		}
		out, err := root.Create(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
