package pluginhost

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// Plugin is an installed plugin.
type Plugin struct {
	// Name is what the user calls it, Version its version.
	Name, Version string
	// Executable is the absolute path of the file to run; SHA256 (hex) is what
	// it must hash to at each start.
	Executable, SHA256 string
}

func (p Plugin) String() string {
	if p.Version == "" {
		return p.Name
	}
	return p.Name + " " + p.Version
}

// Options configure a [Host]. The zero value is usable.
type Options struct {
	// Getenv looks up a variable; nil is os.LookupEnv.
	Getenv func(string) (string, bool)
	// Version is wfctl's own.
	Version string
	// Log gets each line that a plugin prints; nil keeps the last ones for
	// errors and drops the rest.
	Log func(plugin, line string)
	// Secrets are masked in what a plugin prints; nil masks nothing.
	Secrets *secret.Redactor
	// SocketDir is where the private folders for sockets are made; "" is the
	// system's folder for temporary files.
	SocketDir string
	// StartTimeout bounds a start, CallTimeout a call that has no deadline of
	// its own and changes nothing, Grace the time to answer a cancellation or
	// to end.
	StartTimeout, CallTimeout, Grace time.Duration
}

// The defaults of [Options]; those of the other times are of package wire.
const defaultCallTimeout = 5 * time.Minute

// Host starts plugins and ends them.
type Host struct {
	options Options

	mu        sync.Mutex
	closed    bool
	providers []*provider
	processes []*process
	schemas   map[string]*sdk.Schema
}

// New makes a host. Nothing runs before a provider is used.
func New(o Options) *Host {
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = defaultCallTimeout
	}
	if o.SocketDir == "" {
		o.SocketDir = socketDir()
	}
	return &Host{options: o, schemas: map[string]*sdk.Schema{}}
}

// socketDir avoids a folder whose path leaves no room for a socket's name: a
// socket's whole path has about a hundred bytes.
func socketDir() string {
	dir := os.TempDir()
	if info, err := os.Stat("/tmp"); len(dir) > 60 && err == nil && info.IsDir() {
		return "/tmp"
	}
	return dir
}

// Provider returns a provider that the plugin serves. Each has its own
// configuration, and so a process of its own. It has the methods of every
// optional part of the contract; ask with [sdk.As] once Schema has answered.
// It implements sdk.Closer, which ends its process; Close of the host does so
// too.
func (h *Host) Provider(p Plugin) sdk.Provider {
	pr := &provider{host: h, plugin: p, lock: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.providers = append(h.providers, pr)
	return pr
}

// Close ends all plugins, at once. None is left running when it returns; an
// error says which had to be killed.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	providers := slices.Clone(h.providers)
	h.mu.Unlock()
	errs := together(providers, func(p *provider) error { return p.end(ctx) })
	h.mu.Lock()
	processes := slices.Clone(h.processes) // no more are started
	h.mu.Unlock()
	_ = together(processes, func(p *process) error { return p.conn.Close(ctx) }) // those that were given up: reported already
	return errs
}

func together[T any](list []T, do func(T) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, v := range list {
		wg.Go(func() { errs[i] = do(v) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (h *Host) track(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.processes = append(h.processes, p)
}

func (h *Host) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// schema remembers what a plugin said of itself, by its hash: it says the same
// each time.
func (h *Host) schema(p Plugin) *sdk.Schema {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.schemas[p.SHA256]
}

func (h *Host) keepSchema(p Plugin, s *sdk.Schema) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.schemas[p.SHA256] = s
}
