// Package file is a bucket in a folder: the state backend "filesystem", for a
// network file system or a folder that is backed up. An object is a file,
// written whole, synced and given its name by a hard link, which fails where
// the name is taken, on one machine and across many. (gocloud.dev's own
// fileblob syncs nothing and looks for the name under a lock of its process.)
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob"
)

// Options say where the state is.
type Options struct {
	// Path is the folder.
	Path string `json:"path"`
}

// Schema is the JSON Schema of [Options].
const Schema = `{"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
	"path": {"type": "string", "minLength": 1, "description": "the folder, relative to the project's"}}}`

// Open opens the log of an environment below a folder, which the first append
// makes.
func Open(_ context.Context, o Options, env string) (state.Driver, error) {
	if o.Path == "" {
		return nil, fault.New(fault.Config, "iac.state: the backend filesystem needs a `path`").WithHint("name the folder that holds the state")
	}
	return blob.Open(bucket(o.Path), "", env)
}

// bucket is the folder.
type bucket string

func (b bucket) path(key string) string { return filepath.Join(string(b), filepath.FromSlash(key)) }

// Create implements blob.Bucket.
func (b bucket) Create(ctx context.Context, key string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := b.path(key)
	err := atomicfile.Create(path, data, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = atomicfile.Create(path, data, 0o600)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return blob.ErrExists
	}
	return b.explain(err)
}

// Get implements blob.Bucket.
func (b bucket) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(b.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.ErrNotFound
	}
	return data, b.explain(err)
}

// List implements blob.Bucket.
func (b bucket) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		entries, err := os.ReadDir(b.path(prefix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield("", b.explain(err))
			return
		}
		for _, e := range entries {
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !yield(e.Name(), nil) {
				return
			}
		}
	}
}

// Delete implements blob.Bucket.
func (b bucket) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(b.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.explain(err)
	}
	return nil
}

// Close implements blob.Bucket.
func (bucket) Close() error { return nil }

func (b bucket) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return fault.Wrap(fault.State, err, "the disk of the state's folder %s is full", string(b)).
			WithHint("what was recorded before is intact; make room, then run this again")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return fault.Wrap(fault.State, err, "the state's folder %s cannot be used", string(b)).
			WithHint("make it readable and writable for this user, or name another one in the module iac.state")
	}
	return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrUnavailable, err), "the state's folder %s does not answer", string(b)).
		WithHint("what was recorded before is intact; see that the file system works, then run this again")
}
