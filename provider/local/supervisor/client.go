package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// ErrNotRunning says that a folder has no supervisor.
var ErrNotRunning = errors.New("no supervisor is running")

// Config says how a supervisor is reached and started.
type Config struct {
	Dir        string
	RuntimeDir string
	// Command is the program and its first arguments; "--dir", Dir,
	// "--runtime" and RuntimeDir are appended.
	Command []string
	// Patience is how long a start may take; 15 s where it is 0.
	Patience time.Duration
}

// Client talks to a supervisor.
type Client struct {
	address address
	http    *http.Client
}

// Dial reaches the supervisor of a folder, or returns [ErrNotRunning].
func Dial(ctx context.Context, dir string) (*Client, error) {
	var a address
	err := readJSON(filepath.Join(dir, "supervisor.json"), &a)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, err
	}
	if !a.Alive() {
		return nil, ErrNotRunning
	}
	c := newClient(a)
	if _, err := c.hello(ctx); err != nil {
		c.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w that answers: %w", ErrNotRunning, err)
	}
	return c, nil
}

func newClient(a address) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.Socket)
		},
		MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	}
	return &Client{address: a, http: &http.Client{Transport: transport}}
}

// Close drops the connections; the supervisor stays.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// PID is the supervisor's process.
func (c *Client) PID() int { return c.address.PID }

// Connect reaches the supervisor of a folder and starts it where there is
// none.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Patience <= 0 {
		cfg.Patience = 15 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Patience)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var started *launched
	for {
		c, err := Dial(ctx, cfg.Dir)
		if err == nil {
			started.endUnless(c.PID())
			return c, nil
		}
		if started == nil {
			if started, err = start(cfg); err != nil {
				return nil, sdk.Wrap(sdk.CodeInternal, err, "starting the supervisor")
			}
		}
		select {
		case <-ctx.Done():
			return nil, startFailed(cfg, fmt.Errorf("it does not answer: %w", err))
		case err := <-started.ended:
			if err != nil {
				return nil, startFailed(cfg, err)
			}
			started = nil // another was quicker, or is just ending
		case <-ticker.C:
		}
	}
}

func startFailed(cfg Config, err error) error {
	message := fmt.Sprintf("the supervisor did not start: %v", err)
	b, _ := os.ReadFile(LogPath(cfg.Dir, "supervisor"))
	if lines := strings.Split(strings.TrimSpace(string(b)), "\n"); lines[0] != "" {
		message += "; its last lines:\n  " + strings.Join(lines[max(0, len(lines)-5):], "\n  ")
	}
	return &sdk.Error{Code: sdk.CodeUnavailable, Message: message, Hint: "its log is " + LogPath(cfg.Dir, "supervisor")}
}

// launched is a supervisor's process on its way up. Ended gets how it ended,
// should it end while somebody still asks: nil where it found another one in
// charge.
type launched struct {
	process *os.Process
	ended   chan error
}

// endUnless ends a process that is not the supervisor that was reached, so
// that it does not take over when that one ends.
func (l *launched) endUnless(pid int) {
	if l != nil && l.process.Pid != pid {
		_ = l.process.Kill()
	}
}

// start launches a supervisor that outlives this process.
func start(cfg Config) (*launched, error) {
	log := LogPath(cfg.Dir, "supervisor")
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // the child has its own
	args := append(append([]string{}, cfg.Command[1:]...), "--dir", cfg.Dir, "--runtime", cfg.RuntimeDir)
	cmd := exec.Command(cfg.Command[0], args...) //nolint:noctx // it outlives every context here
	cmd.Dir = string(filepath.Separator)
	cmd.Env = plainEnvironment()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	l := &launched{process: cmd.Process, ended: make(chan error, 1)}
	go func() { l.ended <- cmd.Wait() }() // reaps it, however long it lives
	return l, nil
}

// plainEnvironment is what the supervisor is given: nothing that could be a
// secret of the command that happens to start it.
func plainEnvironment() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TMP", "TEMP", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "SystemRoot", "USERPROFILE", "USERNAME", "DOCKER_HOST", "DOCKER_CONFIG", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Response, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return c.http.Do(req)
}

// helloTimeout bounds the answer of a supervisor that may have been stopped.
const helloTimeout = 5 * time.Second

func (c *Client) hello(ctx context.Context) (*hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	resp, err := c.request(ctx, http.MethodGet, "/v1", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var h hello
	if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
		return nil, err
	}
	if h.Protocol != protocolVersion {
		return nil, fmt.Errorf("the running supervisor speaks version %d, this program %d: run `wfctl down` with the program that started it", h.Protocol, protocolVersion)
	}
	return &h, nil
}

// List returns every service. The error is [ErrEnding] where the supervisor
// has ended since it was reached.
func (c *Client) List(ctx context.Context) ([]Status, error) {
	h, err := c.hello(ctx)
	if err != nil {
		return nil, c.unanswered(ctx, err)
	}
	return h.Services, nil
}

// Status returns one service; false where the supervisor has none of that
// name.
func (c *Client) Status(ctx context.Context, name string) (Status, bool, error) {
	all, err := c.List(ctx)
	for _, s := range all {
		if s.Name == name {
			return s, true, nil
		}
	}
	return Status{}, false, err
}

// Apply makes a service what spec says and returns when it serves.
func (c *Client) Apply(ctx context.Context, spec Spec, event func(Event)) (Status, error) {
	last, err := c.change(ctx, http.MethodPut, "/v1/services", spec, event)
	if last == nil || last.Status == nil {
		return Status{}, err
	}
	return *last.Status, err
}

// Job runs a process to its end; an end with another status than 0 is an
// error.
func (c *Client) Job(ctx context.Context, spec Spec, event func(Event)) error {
	_, err := c.change(ctx, http.MethodPost, "/v1/jobs", spec, event)
	return err
}

// Remove stops a service and forgets it. When it was the last, Remove
// returns after the supervisor has ended.
func (c *Client) Remove(ctx context.Context, name string) error {
	_, err := c.change(ctx, http.MethodDelete, "/v1/services", Spec{Name: name}, func(Event) {})
	return err
}

// Stop ends the supervisor with everything it runs.
func (c *Client) Stop(ctx context.Context) error {
	_, err := c.change(ctx, http.MethodPost, "/v1/stop", Spec{}, func(Event) {})
	return err
}

func (c *Client) change(ctx context.Context, method, path string, spec Spec, event func(Event)) (*message, error) {
	resp, err := c.request(ctx, method, path, spec)
	if err != nil && method == http.MethodPost && !isDial(err) {
		return nil, lost(ctx, err) // a job may have begun
	}
	if err != nil {
		return nil, c.unanswered(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return nil, sdk.Errorf(sdk.CodeInternal, "the supervisor answered %s", resp.Status)
	}
	dec := json.NewDecoder(resp.Body)
	for {
		var m message
		if err := dec.Decode(&m); err != nil {
			return nil, lost(ctx, err)
		}
		if !m.Done {
			event(m.Event)
			continue
		}
		if m.Ending {
			c.awaitEnd(ctx)
		}
		if m.Error != nil {
			return &m, m.Error.err()
		}
		return &m, nil
	}
}

// unanswered is the error of a request that got no answer. A supervisor that
// ended between being reached and being asked (its last service went) has
// done nothing, and what it ran has ended with it.
func (c *Client) unanswered(ctx context.Context, err error) error {
	wait, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	c.awaitEnd(wait)
	if ctx.Err() == nil && !c.address.Alive() {
		return ErrEnding
	}
	return lost(ctx, err)
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return sdk.Wrap(sdk.CodeUnavailable, err, "the supervisor has gone away")
}

// awaitEnd waits until the supervisor's process has ended.
func (c *Client) awaitEnd(ctx context.Context) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for c.address.Alive() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Reap ends what a killed supervisor left running in a folder that has no
// supervisor now. It does nothing where there is one.
func Reap(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "processes.json")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s := &Supervisor{opts: Options{Dir: dir}.withDefaults(), roster: newRoster(dir)}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := s.acquire()
		if err == nil {
			defer s.release()
			return s.reap(ctx)
		}
		if !errors.Is(err, ErrHeld) {
			return err
		}
		if c, err := Dial(ctx, dir); err == nil {
			c.Close()
			return nil
		}
		select { // one that was just killed keeps its lock for a moment
		case <-ctx.Done():
			return &sdk.Error{Code: sdk.CodeUnavailable, Message: "the supervisor of " + dir + " holds its lock and does not answer", Err: ctx.Err(), Hint: "end the process that " + filepath.Join(dir, "supervisor.json") + " names"}
		case <-ticker.C:
		}
	}
}
