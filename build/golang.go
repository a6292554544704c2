package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// Go builds a static binary of a Go package per platform, with the `go` that
// is on PATH, into an image that holds it, certificates and time zones, and
// nothing else. The same source gives the same digest.
type Go struct {
	// Command is the go command; "" looks for it on PATH.
	Command string
	Host    Host
}

// GoOptions are the options of the builder `go`.
type GoOptions struct {
	Package   string            `json:"package"`
	Packages  map[string]string `json:"packages"`
	Run       string            `json:"run"`
	Base      string            `json:"base"`
	Dir       string            `json:"dir"`
	Platforms []string          `json:"platforms"`
	LDFlags   flags             `json:"ldflags"`
	BuildTags []string          `json:"build_tags"`
	Args      []string          `json:"args"`
	Env       map[string]string `json:"env"`
	User      string            `json:"user"`
	Ports     []int             `json:"ports"`
	Labels    map[string]string `json:"labels"`
	Files     map[string]string `json:"files"`
	Debug     bool              `json:"debug"`
}

const goSchema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "package": {"type": "string", "default": ".", "description": "The main package to build: ./cmd/guestbook."},
    "packages": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1, "description": "Several main packages in one image, by the name of the program: it is /app/NAME there."},
    "run": {"type": "string", "description": "Which of several programs the image runs; by default the one that is called as the image, or that 'package' names."},
    "base": {"type": "string", "description": "What the image is built upon: another image, with a digest so that it stays the same; oci-layout:FOLDER; or scratch for nothing at all. By default certificates, time zones and a user without rights."},
    "dir": {"type": "string", "description": "The folder to build in, relative to the application file's; where go.mod is, or below."},
    "platforms": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9]+/[a-z0-9]+(/v[0-9]+)?$"}, "minItems": 1, "uniqueItems": true, "description": "What the image runs on: linux/amd64. By default Linux on this machine's architecture, and this machine's own system."},
    "ldflags": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "description": "Flags for the linker, such as -X main.version=v1. By default the symbol table is left out."},
    "build_tags": {"type": "array", "items": {"type": "string"}, "description": "Build tags of the Go source."},
    "args": {"type": "array", "items": {"type": "string"}, "description": "Arguments of the program where a service gives none."},
    "env": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Variables of the image's environment. Not for secrets: everybody who has the image can read them."},
    "user": {"type": "string", "description": "The numeric user and group that the program runs as; by default that of the base, else 65532:65532."},
    "ports": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}, "description": "Ports that the program listens on, for who reads the image."},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Labels of the image, beyond org.opencontainers.image.title and source."},
    "files": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Files and folders to put into the image: its absolute path there, and the path here relative to dir."},
    "debug": {"type": "boolean", "default": false, "description": "Builds for a debugger: no optimisation, symbols kept."}
  }
}`

// Schema implements [Builder].
func (Go) Schema() json.RawMessage { return json.RawMessage(goSchema) }

// flags is a string of flags, or a list of them.
type flags string

// UnmarshalJSON implements json.Unmarshaler.
func (f *flags) UnmarshalJSON(raw []byte) error {
	var list []string
	if err := json.Unmarshal(raw, &list); err == nil {
		*f = flags(strings.Join(list, " "))
		return nil
	}
	return json.Unmarshal(raw, (*string)(f))
}

// goBuild is a decoded spec.
type goBuild struct {
	GoOptions
	Spec
	dir       string
	platforms []v1.Platform
	// programs are sorted by name; run is the index of the one that runs.
	programs []goProgram
	run      int
}

// goProgram is one main package of an image.
type goProgram struct{ name, pkg string }

// nonRoot is the user that images run as: the number that distroless chose.
const nonRoot = "65532:65532"

var (
	userForm  = lazyregexp.New(`^[0-9]+(:[0-9]+)?$`)
	labelForm = lazyregexp.New(`^(github\.com|gitlab\.com|codeberg\.org|bitbucket\.org)/[^/]+/[^/]+`)
)

func decodeGo(spec Spec) (*goBuild, error) {
	b := &goBuild{Spec: spec}
	if len(spec.Options) > 0 {
		dec := json.NewDecoder(bytes.NewReader(spec.Options))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&b.GoOptions); err != nil {
			return nil, fault.Wrap(fault.Config, err, "the options of image %q", spec.Name)
		}
	}
	if b.Package == "" && len(b.Packages) == 0 {
		b.Package = "."
	}
	if len(b.Platforms) == 0 {
		b.Platforms = DefaultPlatforms()
	}
	b.dir = b.Dir
	if !filepath.IsAbs(b.dir) {
		b.dir = filepath.Join(spec.BaseDir, filepath.FromSlash(b.Dir))
	}
	return b, b.check()
}

func (b *goBuild) check() error {
	if err := checkName(b.Name); err != nil {
		return err
	}
	if err := b.choosePrograms(); err != nil {
		return err
	}
	if b.User != "" && !userForm().MatchString(b.User) {
		return fault.New(fault.Config, "image %q: the user %q is not a number", b.Name, b.User).WithHint("write UID or UID:GID; names mean nothing to a cluster")
	}
	for _, text := range b.Platforms {
		p, err := v1.ParsePlatform(text)
		if err != nil || p.OS == "" || p.Architecture == "" {
			return fault.New(fault.Config, "image %q: %q is not a platform", b.Name, text).WithHint("write it as linux/amd64")
		}
		if !slices.ContainsFunc(b.platforms, p.Equals) {
			b.platforms = append(b.platforms, *p)
		}
	}
	for target := range b.Files {
		if !path.IsAbs(target) || path.Clean(target) != target || target == "/" {
			return fault.New(fault.Config, "image %q: %q is not an absolute path in the image", b.Name, target).WithHint("write it as /migrations")
		}
	}
	return nil
}

// Check implements [Builder].
func (Go) Check(spec Spec) error {
	_, err := decodeGo(spec)
	return err
}

// Build implements [Builder]. Platforms are compiled at the same time.
func (g Go) Build(ctx context.Context, spec Spec, w *Writer, progress Progress) error {
	b, err := decodeGo(spec)
	if err != nil {
		return err
	}
	tool, err := g.tool(ctx, b)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "wfctl-build-")
	if err != nil {
		return fault.Wrap(fault.Environment, err, "make a temporary folder")
	}
	defer func() { _ = os.RemoveAll(temp) }()
	upon, err := g.Host.base(ctx, b)
	if err != nil {
		return err
	}
	compile, inner := errgroup.WithContext(ctx)
	for i, p := range b.platforms {
		for k, program := range b.programs {
			compile.Go(func() error {
				progress(fmt.Sprintf("compiling %s for %s", program.pkg, p), -1)
				return tool.compile(inner, b, p, program.pkg, binary(temp, i, k))
			})
		}
	}
	if err := compile.Wait(); err != nil {
		return err
	}
	progress("writing the image", -1)
	return b.assemble(w, tool, upon, temp)
}

// binary is where a compiled program lies.
func binary(dir string, platform, program int) string {
	return filepath.Join(dir, fmt.Sprintf("%d-%d", platform, program))
}

// assemble writes the layers: the base or what every image has, the user's
// files, and the programs last, a layer each: they are what changes most.
func (b *goBuild) assemble(w *Writer, tool *goTool, upon *base, binaries string) error {
	var shared []Layer
	if b.Base == "" {
		root, err := w.Layer(tool.writeRoot)
		if err != nil {
			return err
		}
		shared = append(shared, root)
	}
	var files []Layer
	if len(b.Files) > 0 {
		layer, err := w.Layer(b.writeFiles)
		if err != nil {
			return err
		}
		files = append(files, layer)
	}
	for i, p := range b.platforms {
		layers, config := slices.Clone(shared), b.config(p, tool.module)
		if upon != nil {
			img, err := upon.image(p)
			if err != nil {
				return err
			}
			if layers, config, err = w.under(img, config); err != nil {
				return w.failed(err)
			}
		}
		if config.Config.User == "" {
			config.Config.User = nonRoot
		}
		layers = append(layers, files...)
		for k, program := range b.programs {
			layer, err := w.Layer(writeProgram(program.path(p), binary(binaries, i, k)))
			if err != nil {
				return err
			}
			layers = append(layers, layer)
		}
		if err := w.Image(p, config, layers); err != nil {
			return err
		}
	}
	return nil
}

// path is where the executable lies in the image.
func (g goProgram) path(p v1.Platform) string {
	name := "/app/" + g.name
	if p.OS == "windows" {
		name += ".exe"
	}
	return name
}

// choosePrograms settles which packages an image has, and which it runs.
func (b *goBuild) choosePrograms() error {
	if b.Package != "" {
		b.programs = append(b.programs, goProgram{b.Name, b.Package})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Packages)) {
		if err := checkName(name); err != nil {
			return fault.New(fault.Config, "image %q: %q cannot be the name of a program", b.Name, name)
		}
		if name == b.Name && b.Package != "" {
			return fault.New(fault.Config, "image %q: both `package` and `packages` make the program %q", b.Name, name).WithHint("leave `package` out")
		}
		b.programs = append(b.programs, goProgram{name, b.Packages[name]})
	}
	for _, g := range b.programs {
		if strings.HasPrefix(g.pkg, "-") || strings.ContainsAny(g.pkg, "*\n") || strings.Contains(g.pkg, "...") {
			return fault.New(fault.Config, "image %q: %q is not one package", b.Name, g.pkg).WithHint("name the folder of a main package: ./cmd/server")
		}
	}
	run := b.Run
	if run == "" && (len(b.programs) > 1 || b.Package != "") {
		run = b.Name
	}
	if run == "" {
		return nil // there is one
	}
	b.run = slices.IndexFunc(b.programs, func(g goProgram) bool { return g.name == run })
	if b.run < 0 {
		return fault.New(fault.Config, "image %q: it has no program %q to run", b.Name, run).WithHint("`run:` names one of %s", strings.Join(slices.Sorted(maps.Keys(b.Packages)), ", "))
	}
	return nil
}

func (b *goBuild) config(p v1.Platform, module string) v1.ConfigFile {
	labels := map[string]string{"org.opencontainers.image.title": b.Name}
	if source := labelForm().FindString(module); source != "" {
		labels["org.opencontainers.image.source"] = "https://" + source
	}
	for k, v := range b.Labels {
		labels[k] = v
	}
	config := v1.Config{
		User: b.User, WorkingDir: "/", Labels: labels,
		Entrypoint: []string{b.programs[b.run].path(p)}, Cmd: b.Args,
	}
	for k, v := range b.Env {
		config.Env = append(config.Env, k+"="+v)
	}
	slices.Sort(config.Env)
	for _, port := range b.Ports {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[fmt.Sprintf("%d/tcp", port)] = struct{}{}
	}
	return v1.ConfigFile{Config: config, Author: "wfctl"}
}
