package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
)

// Go builds a static binary of a Go package per platform, with the `go` that
// is on PATH, into an image that holds it, certificates and time zones, and
// nothing else. The same source gives the same digest.
type Go struct {
	// Command is the go command; "" looks for it on PATH.
	Command string
}

// GoOptions are the options of the builder `go`.
type GoOptions struct {
	Package   string            `json:"package"`
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
    "dir": {"type": "string", "description": "The folder to build in, relative to the application file's; where go.mod is, or below."},
    "platforms": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9]+/[a-z0-9]+(/v[0-9]+)?$"}, "minItems": 1, "uniqueItems": true, "description": "What the image runs on: linux/amd64. By default Linux on this machine's architecture, and this machine's own system."},
    "ldflags": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "description": "Flags for the linker, such as -X main.version=v1. By default the symbol table is left out."},
    "build_tags": {"type": "array", "items": {"type": "string"}, "description": "Build tags of the Go source."},
    "args": {"type": "array", "items": {"type": "string"}, "description": "Arguments of the program where a service gives none."},
    "env": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Variables of the image's environment. Not for secrets: everybody who has the image can read them."},
    "user": {"type": "string", "default": "65532:65532", "description": "The numeric user and group that the program runs as."},
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
}

// nonRoot is the user that images run as: the number that distroless chose.
const nonRoot = "65532:65532"

var (
	userForm  = regexp.MustCompile(`^[0-9]+(:[0-9]+)?$`)
	labelForm = regexp.MustCompile(`^(github\.com|gitlab\.com|codeberg\.org|bitbucket\.org)/[^/]+/[^/]+`)
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
	if b.Package == "" {
		b.Package = "."
	}
	if b.User == "" {
		b.User = nonRoot
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
	if strings.HasPrefix(b.Package, "-") || strings.ContainsAny(b.Package, "*\n") || strings.Contains(b.Package, "...") {
		return fault.New(fault.Config, "image %q: %q is not one package", b.Name, b.Package).WithHint("name the folder of a main package: ./cmd/server")
	}
	if !userForm.MatchString(b.User) {
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
	binaries := make([]string, len(b.platforms))
	compile, inner := errgroup.WithContext(ctx)
	for i, p := range b.platforms {
		binaries[i] = filepath.Join(temp, fmt.Sprint(i))
		compile.Go(func() error {
			progress(fmt.Sprintf("compiling %s for %s", b.Package, p), -1)
			return tool.compile(inner, b, p, binaries[i])
		})
	}
	if err := compile.Wait(); err != nil {
		return err
	}
	progress("writing the image", -1)
	return b.assemble(w, tool, binaries)
}

// assemble writes the layers: what every image has, the user's files, and
// the binary last, since it is what changes most.
func (b *goBuild) assemble(w *Writer, tool *goTool, binaries []string) error {
	base, err := w.Layer(tool.writeRoot)
	if err != nil {
		return err
	}
	shared := []Layer{base}
	if len(b.Files) > 0 {
		files, err := w.Layer(b.writeFiles)
		if err != nil {
			return err
		}
		shared = append(shared, files)
	}
	for i, p := range b.platforms {
		program := b.program(p)
		layer, err := w.Layer(writeProgram(program, binaries[i]))
		if err != nil {
			return err
		}
		if err := w.Image(p, b.config(program, tool.module), append(slices.Clone(shared), layer)); err != nil {
			return err
		}
	}
	return nil
}

// program is where the executable lies in the image.
func (b *goBuild) program(p v1.Platform) string {
	name := "/app/" + b.Name
	if p.OS == "windows" {
		name += ".exe"
	}
	return name
}

func (b *goBuild) config(program, module string) v1.ConfigFile {
	labels := map[string]string{"org.opencontainers.image.title": b.Name}
	if source := labelForm.FindString(module); source != "" {
		labels["org.opencontainers.image.source"] = "https://" + source
	}
	for k, v := range b.Labels {
		labels[k] = v
	}
	config := v1.Config{
		User: b.User, WorkingDir: "/", Labels: labels,
		Entrypoint: []string{program}, Cmd: b.Args,
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
