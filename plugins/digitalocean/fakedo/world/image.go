package world

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime"

	ggcr "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// direct carries requests to a registry in this process.
type direct struct{ to http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	d.to.ServeHTTP(answer, r)
	res := answer.Result()
	res.Request = r
	return res, nil
}

// unpack brings the file system of an image into a folder and returns what
// the image says of how to run it.
func unpack(registry http.Handler, image, to string) (*v1.Config, error) {
	ref, err := ggcr.ParseReference("registry.invalid/"+image, ggcr.Insecure)
	if err != nil {
		return nil, err
	}
	img, err := remote.Image(ref, remote.WithTransport(direct{registry}), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	files := mutate.Extract(img)
	defer files.Close() //nolint:errcheck // it was read
	root, err := os.OpenRoot(to)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing is lost
	archive := tar.NewReader(files)
	for {
		switch header, err := archive.Next(); {
		case errors.Is(err, io.EOF):
			return &config.Config, nil
		case err != nil:
			return nil, err
		default:
			if err := place(root, header, archive); err != nil {
				return nil, fmt.Errorf("%s: %w", header.Name, err)
			}
		}
	}
}

// place writes one entry. The root keeps it within the folder.
func place(root *os.Root, header *tar.Header, content io.Reader) error {
	file := path.Clean(header.Name)
	mode := header.FileInfo().Mode().Perm() | 0o400
	if header.Typeflag == tar.TypeDir {
		return root.MkdirAll(file, mode|0o700)
	}
	if err := root.MkdirAll(path.Dir(file), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeSymlink:
		return root.Symlink(header.Linkname, file)
	case tar.TypeLink:
		return root.Link(path.Clean(header.Linkname), file)
	case tar.TypeReg:
		f, err := root.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content) //nolint:gosec // an image of the test's own
		return errors.Join(err, f.Close())
	}
	return nil // devices are of no use here
}

// argv is the command line of an image, within root where that is not the
// whole file system of the program.
func argv(config *v1.Config, command, root string) ([]string, error) {
	args := append(append([]string{}, config.Entrypoint...), config.Cmd...)
	if command != "" {
		args = []string{"/bin/sh", "-c", command}
	}
	if len(args) == 0 {
		return nil, errors.New("the image says nothing of what to run")
	}
	if !path.IsAbs(args[0]) {
		args[0] = path.Join("/", config.WorkingDir, args[0])
	}
	if root != "" {
		args[0] = filepath.Join(root, args[0])
	}
	return args, nil
}
