package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// thing is what the provider keeps of a resource, in resource.json of the
// resource's own folder: enough to find it, and to know whose it is, when
// state is lost. It holds no secret.
type thing struct {
	Type  string        `json:"type"`
	ID    string        `json:"id"`
	Name  string        `json:"name"`
	Owner sdk.Ownership `json:"owner"`
	// Key is the idempotency key of the creation.
	Key     string    `json:"key"`
	Created time.Time `json:"created"`
	// Ready says that it was once made whole.
	Ready bool `json:"ready"`
	// Failure is why the last operation failed.
	Failure string `json:"failure,omitempty"`
	// Detail is what its kind keeps.
	Detail json.RawMessage `json:"detail,omitempty"`

	dir string
}

const recordFile = "resource.json"

// detail decodes what the kind keeps; the zero value where there is nothing.
func detail[T any](t *thing) T {
	var v T
	if len(t.Detail) > 0 {
		_ = json.Unmarshal(t.Detail, &v) // what another version wrote counts as nothing
	}
	return v
}

func (t *thing) keep(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	t.Detail = b
	return t.save()
}

func (t *thing) path(elem ...string) string {
	return filepath.Join(append([]string{t.dir}, elem...)...)
}

func (t *thing) save() error {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(t.path(recordFile), b, 0o600)
}

// loadThing returns nil where there is none.
func loadThing(dir string) (*thing, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &thing{dir: dir}
	if err := json.Unmarshal(b, t); err != nil {
		return nil, &sdk.Error{
			Code: sdk.CodeInternal, Message: filepath.Join(dir, recordFile) + " cannot be understood", Err: err,
			Hint: "remove that folder if the resource can be made anew",
		}
	}
	return t, nil
}

// remove deletes the folder, the record last, so that what is left of an
// interrupted delete can still be found.
func (t *thing) remove() error {
	entries, err := os.ReadDir(t.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != recordFile {
			if err := os.RemoveAll(t.path(e.Name())); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(t.dir)
}

// writeFile replaces a file in one step and makes it durable.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
