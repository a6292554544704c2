package pluginhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gocodealone/wfctl/fault"
)

// Build makes a plugin of a path that somebody works on: an executable as it
// is, or a folder with a Go program, which is built. The hash is that of the
// file as found, so this is for trying plugins out and not for running what
// was locked. Call cleanup when the plugin is no longer needed.
func Build(ctx context.Context, path string) (p Plugin, cleanup func(), err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return p, nil, fault.Wrap(fault.Usage, err, "%s", path)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return p, nil, fault.Wrap(fault.NotFound, err, "no plugin at %s", path).WithHint("name a folder or an executable: wfctl plugin test ./my-plugin")
	}
	p = Plugin{Name: strings.TrimSuffix(filepath.Base(abs), ".exe"), Executable: abs}
	cleanup = func() {}
	if info.IsDir() {
		if p, cleanup, err = build(ctx, abs); err != nil {
			return Plugin{}, nil, err
		}
	}
	if p.SHA256, err = Checksum(p.Executable); err != nil {
		cleanup()
		return Plugin{}, nil, fault.Wrap(fault.Usage, errors.Join(errNoPlugin, err), "%s", path)
	}
	return p, cleanup, nil
}

// build compiles the Go program in a folder.
func build(ctx context.Context, dir string) (Plugin, func(), error) {
	p := describe(dir)
	if found, _ := filepath.Glob(filepath.Join(dir, "*.go")); len(found) == 0 {
		return p, nil, fault.Wrap(fault.Usage, errNoPlugin, "%s", dir)
	}
	out, err := os.MkdirTemp("", "wfctl-plugin-")
	if err != nil {
		return p, nil, fault.Wrap(fault.Environment, err, "make a folder")
	}
	cleanup := func() { _ = os.RemoveAll(out) }
	p.Executable = filepath.Join(out, p.Name)
	if runtime.GOOS == "windows" {
		p.Executable += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", p.Executable, ".") //nolint:gosec // the user's own program
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		cleanup()
		return p, nil, fault.Wrap(fault.Environment, err, "build %s", dir).WithDetail(strings.Split(strings.TrimSpace(said.String()), "\n")...).
			WithHint("`go build` in that folder says the same")
	}
	return p, cleanup, nil
}

// describe names a plugin after its plugin.json, else after its folder.
func describe(dir string) Plugin {
	var d struct{ Name, Version string }
	raw, err := os.ReadFile(filepath.Join(dir, "plugin.json"))
	if err != nil || json.Unmarshal(raw, &d) != nil || d.Name == "" || d.Name != filepath.Base(d.Name) {
		return Plugin{Name: filepath.Base(dir)}
	}
	return Plugin{Name: d.Name, Version: d.Version}
}
