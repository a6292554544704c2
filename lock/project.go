package lock

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/source/file"
	"github.com/gocodealone/wfctl/lock/source/github"
	"github.com/gocodealone/wfctl/lock/source/https"
	"github.com/gocodealone/wfctl/lock/source/oci"
	"github.com/gocodealone/wfctl/lock/store"
	"github.com/gocodealone/wfctl/sigstore"
)

// Options say where a project's plugins are declared and kept.
type Options struct {
	// Dir is the folder of wfctl.yaml; "" for the current one.
	Dir string
	// Cache is the folder of the store; "" for the user's.
	Cache  string
	Getenv func(string) (string, bool)
	// Client downloads; nil for one with timeouts and retries.
	Client *http.Client
	Now    func() time.Time
	// Warn receives what does not stop a command; nil drops it.
	Warn func(*fault.Error)
	// Progress receives what is being done, for people; nil drops it.
	Progress func(string)
}

// Project is a folder with a manifest and a lockfile. It holds no connection
// and needs no closing.
type Project struct {
	dir   string
	store *store.Store
	o     Options
}

// Open makes a project. It reads nothing yet.
func Open(o Options) (*Project, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "find the project's folder")
	}
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(*fault.Error) {}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Client == nil {
		o.Client = source.NewClient(source.DefaultPauses()...)
	}
	if o.Cache == "" {
		if o.Cache, err = CacheDir(o.Getenv); err != nil {
			return nil, err
		}
	}
	return &Project{dir: dir, store: store.Open(o.Cache), o: o}, nil
}

// CacheDir is the folder of the store: $XDG_CACHE_HOME/wfctl/plugins, else
// below the user's cache folder of this system.
func CacheDir(getenv func(string) (string, bool)) (string, error) {
	if dir, ok := getenv("XDG_CACHE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "wfctl", "plugins"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "find the folder for plugins").WithHint("set XDG_CACHE_HOME or HOME")
	}
	return filepath.Join(dir, "wfctl", "plugins"), nil
}

func (p *Project) manifestPath() string { return filepath.Join(p.dir, ManifestFile) }
func (p *Project) lockPath() string     { return filepath.Join(p.dir, LockFile) }

// read reads both files.
func (p *Project) read() (*Manifest, *Lock, error) {
	m, err := readManifest(p.manifestPath())
	if err != nil {
		return nil, nil, err
	}
	l, err := ReadLock(p.lockPath())
	return m, l, err
}

// exclusive keeps two commands from changing the pins of one project at once.
func (p *Project) exclusive(ctx context.Context) (unlock func(), err error) {
	dir := filepath.Join(p.dir, ".wfctl")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.Wrap(fault.Environment, err, "make the project's work folder")
	}
	unlock, err = store.LockFile(ctx, filepath.Join(dir, "plugins.mutex"))
	return unlock, failure(err, "wait for another wfctl")
}

// write replaces the files that changed: the manifest first, so that after a
// crash between the two the manifest says what was wanted and `plugin lock`
// completes it.
func (p *Project) write(m *Manifest, manifest []byte, old, now *Lock) error {
	now.GeneratedAt = p.o.Now().UTC().Truncate(time.Second)
	encoded, err := now.Encode()
	if err != nil {
		return err
	}
	if manifest != nil && !slices.Equal(manifest, m.source) {
		if err := p.replace(p.manifestPath(), manifest, ManifestFile); err != nil {
			return err
		}
	}
	if _, err := os.Stat(p.lockPath()); err == nil && now.equal(old) {
		return nil
	}
	if err := p.replace(p.lockPath(), encoded, LockFile); err != nil {
		return err
	}
	return nil
}

func (p *Project) replace(path string, data []byte, name string) error {
	if err := atomicfile.Write(path, data, 0o644); err != nil {
		return fault.Wrap(fault.Environment, err, "write %s", name).WithHint("nothing of it was changed; when there is room, run `wfctl plugin lock`")
	}
	return nil
}

// place is a plugin's source, opened.
type place struct {
	source.Source
	address  string
	mirrored bool
	// origin tells the addresses that the lockfile records: not the mirror's.
	origin source.Source
}

// open opens the source of a pin, or its mirror. A mirror gets no token.
func (p *Project) open(m *Manifest, pin Pin) (*place, error) {
	config := source.Config{Client: p.o.Client, BaseDir: p.dir, TokenEnv: pin.TokenEnv}
	if pin.TokenEnv != "" {
		config.Token, _ = p.o.Getenv(pin.TokenEnv)
	}
	origin, err := openSource(pin.Source, config)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "plugin %q: %q is not a source", pin.Name, pin.Source).At(pin.Pos)
	}
	address, mirrored := m.resolveSource(pin.Source)
	if !mirrored {
		return &place{Source: origin, address: address, origin: origin}, nil
	}
	config.Token, config.TokenEnv = "", ""
	mirror, err := openSource(address, config)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "plugin %q: the mirror %q is not a source", pin.Name, address).At(pin.Pos)
	}
	return &place{Source: mirror, address: address, mirrored: true, origin: origin}, nil
}

// openSource chooses a place by how the address begins.
func openSource(address string, config source.Config) (source.Source, error) {
	var s source.Source
	var err error
	switch {
	case strings.HasPrefix(address, "github.com/"), strings.HasPrefix(address, "github+"), strings.HasPrefix(address, "https://github.com/"):
		s, err = github.New(address, config)
	case strings.HasPrefix(address, "oci://"):
		s, err = oci.New(address, config)
	case strings.HasPrefix(address, "https://"), strings.HasPrefix(address, "http://"):
		s, err = https.New(address, config)
	case strings.HasPrefix(address, "file://"), strings.HasPrefix(address, "./"), strings.HasPrefix(address, "../"):
		s, err = file.New(address, config.BaseDir)
	default:
		err = errors.New("a source begins with github.com/, oci://, https://, file:///, ./ or ../")
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// verifier makes the verifier for a trust root.
func (p *Project) verifier(id *Identity) (*sigstore.Verifier, error) {
	if id == nil || id.TrustedRoot == "" {
		return sigstore.NewVerifier(nil)
	}
	path := id.TrustedRoot
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, filepath.FromSlash(path))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "read the trust root")
	}
	v, err := sigstore.NewVerifier(data)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "%s", path)
	}
	return v, nil
}

// failure makes a fault of what a source or the store reported.
func failure(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	code, hint := fault.Environment, ""
	var mismatch *store.MismatchError
	var damaged *store.DamagedError
	var src *source.Error
	switch {
	case errors.Is(err, context.Canceled):
		code = fault.Interrupted
	case errors.As(err, &mismatch):
		code, hint = fault.Integrity, "somebody may have replaced it: compare with the publisher before you run `wfctl plugin update`"
	case errors.As(err, &damaged):
		code, hint = fault.Integrity, fmt.Sprintf("delete %s and run `wfctl plugin install`", damaged.Remove)
	case errors.As(err, &src):
		if errors.Is(err, source.ErrNotFound) {
			code = fault.NotFound
		}
		hint = src.Hint
	case store.IsFull(err):
		hint = "the disk is full; nothing was installed: make room and run the command again"
	}
	wrapped := fault.Wrap(code, err, format, args...)
	if hint != "" {
		wrapped = wrapped.WithHint("%s", hint)
	}
	return wrapped
}
