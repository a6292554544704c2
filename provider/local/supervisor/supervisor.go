package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// Options configure a supervisor.
type Options struct {
	// Dir is the folder that it serves; logs and its own records go there.
	Dir string
	// RuntimeDir is where its socket goes: a short path. See [RuntimeDir].
	RuntimeDir string
	// Servers run inside the supervisor, by name.
	Servers map[string]Server
	Logger  *slog.Logger
	Now     func() time.Time
	// Backoff is the pause before a restart after so many failures in a row.
	Backoff func(failures int) time.Duration
	// Idle is how long a supervisor without a service waits for its first.
	Idle time.Duration
	// Tidy is how often it looks whether it can still be reached.
	Tidy time.Duration
	// LogSize is how large a log grows before another is begun.
	LogSize int64
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Backoff == nil {
		o.Backoff = backoff
	}
	if o.Idle <= 0 {
		o.Idle = 30 * time.Second
	}
	if o.Tidy <= 0 {
		o.Tidy = 2 * time.Second
	}
	if o.LogSize <= 0 {
		o.LogSize = logSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.RuntimeDir == "" {
		o.RuntimeDir = RuntimeDir("")
	}
	return o
}

// backoff goes from an eighth of a second to half a minute.
func backoff(failures int) time.Duration {
	return min(30*time.Second, 125*time.Millisecond<<min(failures, 8))
}

// RuntimeDir is where sockets go: root, else $XDG_RUNTIME_DIR/wfctl, else a
// folder of this user's in the system's temporary one.
func RuntimeDir(root string) string {
	if root != "" {
		return root
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "wfctl")
	}
	return filepath.Join(os.TempDir(), "wfctl-"+userSuffix())
}

// ErrHeld says that another supervisor serves the folder.
var ErrHeld = errors.New("another supervisor serves this folder")

// Supervisor is the process that keeps services up.
type Supervisor struct {
	opts    Options
	lock    *os.File
	roster  *roster
	ports   *ports
	spawner *spawner
	socket  string

	mu       sync.Mutex
	services map[string]*service
	active   int             // requests that change something
	closed   context.Context // ends when closing is set
	close    context.CancelFunc
}

// address is what supervisor.json tells a client.
type address struct {
	Identity
	Socket string `json:"socket"`
}

// Run serves a folder until its last service is removed or ctx ends; then
// everything has been stopped. It returns [ErrHeld] where another one does.
func Run(ctx context.Context, o Options) error {
	s := &Supervisor{opts: o.withDefaults(), ports: newPorts(), services: map[string]*service{}}
	s.closed, s.close = context.WithCancel(context.Background())
	defer s.close()
	s.roster = newRoster(s.opts.Dir)
	closeInherited()
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	if err := s.reap(ctx); err != nil {
		return err
	}
	ln, err := s.open()
	if err != nil {
		return err
	}
	s.spawner = newSpawner()
	defer s.spawner.close()
	return s.serve(ctx, ln)
}

// acquire takes the folder's lock. The file is removed at the end, so a lock
// on a file that is no longer there counts for nothing.
func (s *Supervisor) acquire() error {
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(s.opts.Dir, "supervisor.lock")
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		if err := tryLock(f); err != nil {
			_ = f.Close()
			return err
		}
		s.lock = f
		mine, err := f.Stat()
		if err != nil {
			return err
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(mine, now) {
			return nil
		}
		_ = f.Close()
	}
}

// release removes what only a living supervisor has. The lock goes last.
func (s *Supervisor) release() {
	for _, name := range []string{"supervisor.json", "processes.json"} {
		_ = os.Remove(filepath.Join(s.opts.Dir, name))
	}
	if s.socket != "" {
		_ = os.Remove(s.socket)
		_ = os.Remove(filepath.Dir(s.socket))
		_ = os.Remove(s.opts.RuntimeDir) // only when nobody else uses it
	}
	_ = os.Remove(s.lock.Name())
	_ = s.lock.Close()
}

// reap ends what a supervisor that was killed has left.
func (s *Supervisor) reap(ctx context.Context) error {
	var old address
	if readJSON(filepath.Join(s.opts.Dir, "supervisor.json"), &old) == nil && old.Socket != "" {
		_ = os.Remove(old.Socket)
		_ = os.Remove(filepath.Dir(old.Socket))
	}
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	return reap(s.opts.Dir, func() bool {
		select {
		case <-ctx.Done():
			return false
		case <-deadline.C:
			return false
		case <-ticker.C:
			return true
		}
	})
}

// open listens on the control socket and tells where it is.
func (s *Supervisor) open() (net.Listener, error) {
	sum := sha256.Sum256([]byte(s.opts.Dir))
	if err := privateFolder(s.opts.RuntimeDir); err != nil {
		return nil, fmt.Errorf("the folder for sockets: %w", err)
	}
	dir := filepath.Join(s.opts.RuntimeDir, hex.EncodeToString(sum[:5]))
	if err := privateFolder(dir); err != nil {
		return nil, fmt.Errorf("the folder for sockets: %w", err)
	}
	s.socket = filepath.Join(dir, "s")
	if err := os.Remove(s.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := s.listen()
	if err != nil {
		return nil, err
	}
	me, err := Identify(os.Getpid())
	if err == nil {
		err = writeJSON(filepath.Join(s.opts.Dir, "supervisor.json"), address{Identity: me, Socket: s.socket})
	}
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

func (s *Supervisor) listen() (net.Listener, error) {
	ln, err := net.Listen("unix", s.socket)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", s.socket, err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	return ln, nil
}

func (s *Supervisor) serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelWarn)}
	go func() { _ = server.Serve(ln) }()
	s.opts.Logger.Info("supervisor is up", "pid", os.Getpid(), "dir", s.opts.Dir)
	idle := time.NewTimer(s.opts.Idle)
	defer idle.Stop()
	tidy := time.NewTicker(s.opts.Tidy)
	defer tidy.Stop()
	for s.closed.Err() == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.closed.Done():
		case <-idle.C:
			s.closeIfEmpty()
		case <-tidy.C:
			if !s.reachable(server) {
				s.opts.Logger.Warn("the folder is gone: everything is stopped")
				s.beginClosing()
			}
		}
	}
	s.shutdown(server)
	return nil
}

// reachable tells whether the folder is still there: nobody could ask a
// supervisor without one to end anything. A socket that somebody tidied away
// is made again.
func (s *Supervisor) reachable(server *http.Server) bool {
	if _, err := os.Stat(filepath.Join(s.opts.Dir, "supervisor.json")); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if _, err := os.Lstat(s.socket); !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if privateFolder(filepath.Dir(s.socket)) == nil {
		if ln, err := s.listen(); err == nil {
			go func() { _ = server.Serve(ln) }()
		}
	}
	return true
}

// shutdown stops every service, then lets the last answers go out.
func (s *Supervisor) shutdown(server *http.Server) {
	s.beginClosing()
	s.mu.Lock()
	all := make([]*service, 0, len(s.services))
	for _, svc := range s.services {
		all = append(all, svc)
	}
	s.services = map[string]*service{}
	s.mu.Unlock()
	var wait sync.WaitGroup
	for _, svc := range all {
		wait.Go(func() {
			_ = svc.begin(context.Background()) // what is under way was told to end
			svc.close()
		})
	}
	wait.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
	s.opts.Logger.Info("supervisor ends", "pid", os.Getpid())
}

// beginClosing refuses requests from now on and tells those under way to end.
func (s *Supervisor) beginClosing() { s.close() }

func (s *Supervisor) closeIfEmpty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == 0 && len(s.services) == 0 {
		s.beginClosing()
	}
}

// enter counts a request that changes something; leave ends the supervisor
// after the last when nothing is left to supervise, and tells so.
func (s *Supervisor) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Err() != nil {
		return ErrEnding
	}
	s.active++
	return nil
}

func (s *Supervisor) leave() (ending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	if s.active == 0 && len(s.services) == 0 {
		s.beginClosing()
	}
	return s.closed.Err() != nil
}

// ErrEnding says that the supervisor was about to end and did nothing; another
// can be started when it has.
var ErrEnding error = sdk.Errorf(sdk.CodeUnavailable, "the supervisor is about to end")

// service finds a service, or makes it with create.
func (s *Supervisor) service(name string, create bool) (*service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if svc, ok := s.services[name]; ok || !create {
		return svc, nil
	}
	svc, err := newService(s, name)
	if err != nil {
		return nil, err
	}
	s.services[name] = svc
	return svc, nil
}

// forget takes a service out of the table.
func (s *Supervisor) forget(svc *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.services[svc.name] == svc {
		delete(s.services, svc.name)
	}
}

// owns tells whether svc is still in the table.
func (s *Supervisor) owns(svc *service) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services[svc.name] == svc
}

// ownsPort tells whether a service of this supervisor answers on a port.
func (s *Supervisor) ownsPort(port int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		if svc.listenPort() == port {
			return true
		}
	}
	return false
}
