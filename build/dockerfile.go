package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// Dockerfile builds with BuildKit: through `docker buildx` where that is
// there, else through the API of the Docker engine.
type Dockerfile struct{ Host Host }

type dockerfileOptions struct {
	Dockerfile string                  `json:"dockerfile"`
	Context    string                  `json:"context"`
	Target     string                  `json:"target"`
	Args       map[string]string       `json:"build_args"`
	Secrets    map[string]secretSource `json:"secrets"`
	Platforms  []string                `json:"platforms"`
	Labels     map[string]string       `json:"labels"`
	CacheFrom  []string                `json:"cache_from"`
	CacheTo    []string                `json:"cache_to"`
	Network    string                  `json:"network"`
	NoCache    bool                    `json:"no_cache"`
}

// secretSource is where a secret of a build comes from: it is mounted, and
// in no layer.
type secretSource struct {
	Env  string `json:"env"`
	File string `json:"file"`
}

const dockerfileSchema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "dockerfile": {"type": "string", "default": "Dockerfile", "description": "The Dockerfile, relative to the context."},
    "context": {"type": "string", "default": ".", "description": "The folder that the Dockerfile copies from, relative to the application file's. Its .dockerignore holds."},
    "target": {"type": "string", "description": "The stage to build; by default the last one."},
    "build_args": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Build arguments. Not for secrets: they stay in the image's history."},
    "secrets": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": false, "properties": {"env": {"type": "string"}, "file": {"type": "string"}}}, "description": "Secrets for RUN --mount=type=secret,id=NAME, each from a variable (env) or a file."},
    "platforms": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9]+/[a-z0-9]+(/v[0-9]+)?$"}, "minItems": 1, "uniqueItems": true, "description": "What the image runs on; by default what the builder runs on."},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Labels of the image."},
    "cache_from": {"type": "array", "items": {"type": "string"}, "description": "Where buildx finds its cache: type=registry,ref=…, type=gha."},
    "cache_to": {"type": "array", "items": {"type": "string"}, "description": "Where buildx leaves its cache."},
    "network": {"type": "string", "enum": ["default", "none", "host"], "description": "The network of RUN."},
    "no_cache": {"type": "boolean", "default": false, "description": "Builds every step again."}
  }
}`

// Schema implements [Builder].
func (Dockerfile) Schema() json.RawMessage { return json.RawMessage(dockerfileSchema) }

// dockerfileBuild is a decoded spec; its paths are absolute.
type dockerfileBuild struct {
	dockerfileOptions
	Spec
	context, file string
}

var (
	argForm    = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretForm = lazyregexp.New(`^[A-Za-z0-9_.-]+$`)
)

func decodeDockerfile(spec Spec) (*dockerfileBuild, error) {
	b := &dockerfileBuild{Spec: spec}
	if err := errors.Join(checkName(spec.Name), decode(spec, &b.dockerfileOptions)); err != nil {
		return nil, err
	}
	b.context = b.abs(orDefault(b.Context, "."))
	b.file = filepath.Join(b.context, filepath.FromSlash(orDefault(b.dockerfileOptions.Dockerfile, "Dockerfile")))
	for name := range b.Args {
		if !argForm().MatchString(name) {
			return nil, fault.New(fault.Config, "image %q: %q cannot be a build argument", b.Name, name)
		}
	}
	for id, s := range b.Secrets {
		if !secretForm().MatchString(id) || (s.Env == "") == (s.File == "") {
			return nil, fault.New(fault.Config, "image %q: the secret %q comes from a variable or from a file", b.Name, id).WithHint("write {%s: {env: NAME}} or {%s: {file: PATH}}", id, id)
		}
	}
	for _, text := range b.Platforms {
		if p, err := v1.ParsePlatform(text); err != nil || p.OS == "" || p.Architecture == "" {
			return nil, fault.New(fault.Config, "image %q: %q is not a platform", b.Name, text).WithHint("write it as linux/amd64")
		}
	}
	return b, nil
}

func (b *dockerfileBuild) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.BaseDir, filepath.FromSlash(path))
}

// Check implements [Builder].
func (Dockerfile) Check(spec Spec) error {
	_, err := decodeDockerfile(spec)
	return err
}

// Fingerprint implements [Builder]: the options, the Dockerfile, and what the
// context sends. Images that it is built FROM are not asked for: one with a
// digest stays the same.
func (Dockerfile) Fingerprint(_ context.Context, spec Spec) (string, error) {
	b, err := decodeDockerfile(spec)
	if err != nil {
		return "", err
	}
	files, err := b.files()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	options, err := json.Marshal(b.dockerfileOptions)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "wfctl dockerfile image 1\n%s\n%s\n", b.Name, options)
	for _, name := range append([]string{b.file}, files...) {
		rel, err := filepath.Rel(b.context, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q ", filepath.ToSlash(rel))
		if target, err := os.Readlink(name); err == nil {
			fmt.Fprintf(h, "-> %q\n", target)
			continue
		}
		if err := hashFile(h, name); err != nil {
			return "", fault.Wrap(fault.Environment, err, "image %q: read its context", b.Name)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// files lists what the context sends, sorted: all but what .dockerignore says.
func (b *dockerfileBuild) files() ([]string, error) {
	if _, err := os.Stat(b.file); err != nil {
		return nil, fault.Wrap(fault.Config, err, "image %q: open its Dockerfile", b.Name).WithHint("`dockerfile` is relative to `context`, and that to the folder of the application file")
	}
	patterns, err := b.ignored()
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "image %q: read .dockerignore", b.Name)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "image %q: read .dockerignore", b.Name)
	}
	var files []string
	err = filepath.WalkDir(b.context, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == b.context {
			return err
		}
		rel, err := filepath.Rel(b.context, path)
		if err != nil {
			return err
		}
		out, err := matcher.MatchesOrParentMatches(filepath.ToSlash(rel))
		switch {
		case err != nil:
			return err
		case out && d.IsDir() && !matcher.Exclusions():
			return filepath.SkipDir
		case !out && !d.IsDir():
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "image %q: read its context", b.Name)
	}
	slices.Sort(files)
	return files, nil
}

// ignored are the patterns of the Dockerfile's own ignore file, else of the
// context's.
func (b *dockerfileBuild) ignored() ([]string, error) {
	for _, name := range []string{b.file + ".dockerignore", filepath.Join(b.context, ".dockerignore")} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(f)
		return patterns, errors.Join(err, f.Close())
	}
	return nil, nil
}

// Build implements [Builder].
func (d Dockerfile) Build(ctx context.Context, spec Spec, w *Writer, progress Progress) error {
	b, err := decodeDockerfile(spec)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(b.Secrets)) {
		if name := b.Secrets[id].Env; name != "" {
			if _, ok := os.LookupEnv(name); !ok {
				return fault.New(fault.Environment, "image %q: its secret %q is in the variable %s, which is not set", b.Name, id, name)
			}
		}
	}
	temp, err := os.MkdirTemp("", "wfctl-build-")
	if err != nil {
		return fault.Wrap(fault.Environment, err, "make a temporary folder")
	}
	defer func() { _ = os.RemoveAll(temp) }()
	tar := filepath.Join(temp, "image.tar")
	if err := d.buildTo(ctx, b, tar, progress); err != nil {
		return err
	}
	progress("taking the image over", -1)
	return takeOver(ctx, b.Name, tar, nil, w)
}

// buildTo builds the image into a tar, by the best means there are.
func (d Dockerfile) buildTo(ctx context.Context, b *dockerfileBuild, tar string, progress Progress) error {
	x, err := openBuildx(ctx, b, d.Host)
	if err != nil {
		return err
	}
	if x != nil {
		defer x.close()
		return x.build(ctx, tar, progress)
	}
	e, err := openEngine()
	if err != nil {
		return fault.Wrap(fault.Environment, err, "image %q is built from a Dockerfile, and there is neither `docker buildx` nor a Docker engine", b.Name).
			WithHint("install Docker, or take the builder `go` or `prebuilt`")
	}
	if len(b.Secrets)+len(b.CacheFrom)+len(b.CacheTo) > 0 || len(b.Platforms) > 1 {
		return fault.New(fault.Environment, "image %q has secrets, a cache or several platforms, which need `docker buildx`", b.Name).WithHint("install the buildx plugin of Docker")
	}
	return e.build(ctx, b, tar, progress)
}

// failedBuild explains why a build failed, with the end of what it said.
func failedBuild(b *dockerfileBuild, why string, lines []string) error {
	if why == "" && len(lines) > 0 {
		why = strings.TrimPrefix(lines[len(lines)-1], "ERROR: ")
	}
	const most = 40
	return fault.New(fault.Config, "image %q: %s", b.Name, why).WithDetail(lines[max(0, len(lines)-most):]...)
}
