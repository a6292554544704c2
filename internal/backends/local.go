package backends

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
)

func local(name, dir string) *Place {
	p := &Place{Name: name, Options: map[string]any{"backend": name}}
	where := filepath.Join(dir, ".wfctl")
	if name == "filesystem" {
		where = filepath.Join(dir, "records")
		p.Options["path"] = "records"
	}
	p.Dump = func(context.Context) (map[string][]byte, error) { return files(where) }
	return p
}

// files reads all files below a folder.
func files(dir string) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		all[path], err = os.ReadFile(path)
		return err
	})
	return all, err
}
