package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
)

// stopDelay is how long a go command may take to end when it is stopped.
const stopDelay = 5 * time.Second

// format grows when the builder makes something else of the same source.
const format = "wfctl go image 2"

// Fingerprint implements [Builder]. Packages of the module cache are known by
// go.sum; every other file is read.
func (g Go) Fingerprint(ctx context.Context, spec Spec) (string, error) {
	b, err := decodeGo(spec)
	if err != nil {
		return "", err
	}
	tool, err := g.tool(ctx, b)
	if err != nil {
		return "", err
	}
	upon, err := g.Host.base(ctx, b)
	if err != nil {
		return "", err
	}
	lists := make([]map[string]string, len(b.platforms)*len(b.programs))
	group, inner := errgroup.WithContext(ctx)
	for i, p := range b.platforms {
		for k, program := range b.programs {
			group.Go(func() error {
				var err error
				lists[i*len(b.programs)+k], err = tool.sources(inner, b, p, program.pkg)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	files := map[string]string{}
	for _, list := range lists {
		for name, path := range list {
			files[name] = path
		}
	}
	for i, path := range tool.files {
		files[fmt.Sprintf("%d %s", i, filepath.Base(path))] = path
	}
	extras, err := b.extras()
	if err != nil {
		return "", err
	}
	for _, e := range extras {
		files["extra "+e.target] = e.source
	}
	below := ""
	if upon != nil {
		if below, err = upon.fingerprint(); err != nil {
			return "", err
		}
	}
	return tool.sum(b, below, files)
}

// sum hashes the options, the toolchain and the files by name.
func (t *goTool) sum(b *goBuild, below string, files map[string]string) (string, error) {
	h := sha256.New()
	options, err := json.Marshal(b.GoOptions)
	if err != nil {
		return "", err
	}
	roots := sha256.Sum256(certificates())
	fmt.Fprintf(h, "%s\n%s\n%s\n%t\n%s\n%s\n%x\n", format, b.Name, t.version, t.zones(), options, below, roots)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(h, "%q ", name)
		if err := hashFile(h, files[name]); err != nil {
			return "", fault.Wrap(fault.Environment, err, "image %q: read its source", b.Name)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// hashFile adds a file's mode and content; one that is not there counts as
// absent (a module without dependencies has no go.sum).
func hashFile(h hash.Hash, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(h, "absent")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	inner := sha256.New()
	if _, err := io.Copy(inner, f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(h, "%t %x\n", info.Mode()&0o111 != 0, inner.Sum(nil))
	return nil
}

// goPackage is what `go list` says of a package.
type goPackage struct {
	ImportPath, Dir, Name string
	Standard, DepOnly     bool
	Module                *struct{ GoMod string }

	GoFiles, CFiles, HFiles, SFiles, SysoFiles, EmbedFiles []string
}

const listFields = "-json=ImportPath,Dir,Name,Standard,DepOnly,Module,GoFiles,CFiles,HFiles,SFiles,SysoFiles,EmbedFiles"

// sources lists the files outside the module cache that a build reads, by a
// name that does not depend on where the module lies.
func (t *goTool) sources(ctx context.Context, b *goBuild, p v1.Platform, program string) (map[string]string, error) {
	out, err := t.run(ctx, b, p, "list", "-deps", listFields, "-tags", strings.Join(t.tags(b), ","), "--", program)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var pkg goPackage
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return files, nil
		} else if err != nil {
			return nil, fault.Wrap(fault.Environment, err, "read the answer of `go list`")
		}
		if !pkg.DepOnly && pkg.Name != "main" {
			return nil, fault.New(fault.Config, "image %q: %s is package %s, not a program", b.Name, program, pkg.Name).
				WithHint("name the folder of a package main: ./cmd/server")
		}
		if pkg.Standard || within(t.modcache, pkg.Dir) {
			continue
		}
		for _, group := range [][]string{pkg.GoFiles, pkg.CFiles, pkg.HFiles, pkg.SFiles, pkg.SysoFiles, pkg.EmbedFiles} {
			for _, name := range group {
				files[pkg.ImportPath+"/"+filepath.ToSlash(name)] = filepath.Join(pkg.Dir, name)
			}
		}
		if pkg.Module != nil && pkg.Module.GoMod != "" {
			files["module "+pkg.ImportPath] = pkg.Module.GoMod
		}
	}
}

// within tells whether path lies in dir.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
