package build

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gocodealone/wfctl/fault"
)

// CredentialSocket is the variable that tells the helper where to ask.
const CredentialSocket = "WFCTL_CREDENTIAL_SOCKET"

// configPrefix begins the names of the folders that stand in for Docker's
// configuration.
const configPrefix = "wfctl-docker-"

// dockerConfig stands in for Docker's configuration while docker runs for us.
// It holds no credential: docker asks a helper, and the helper asks this
// process, over a socket in a folder of this user alone. What is left of one
// after a crash is an empty shell, which the next build sweeps away.
type dockerConfig struct {
	dir, home string
	lock      *flock.Flock
	listener  net.Listener
	keychain  authn.Keychain
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// newDockerConfig makes the folder, and serves it until it is closed.
func newDockerConfig(ctx context.Context, h Host) (c *dockerConfig, err error) {
	sweepDockerConfigs()
	dir, err := os.MkdirTemp("", configPrefix)
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "make a temporary folder")
	}
	c = &dockerConfig{dir: dir, home: homeDocker(), keychain: h.keychain(), lock: flock.New(filepath.Join(dir, "lock")), stop: func() {}}
	defer func() {
		if err != nil {
			c.close()
			err = fault.Wrap(fault.Environment, err, "make the stand-in for Docker's configuration")
		}
	}()
	if err := c.lock.Lock(); err != nil {
		return c, err
	}
	if err := c.fill(h.Command); err != nil {
		return c, err
	}
	if c.listener, err = new(net.ListenConfig).Listen(ctx, "unix", c.socket()); err != nil {
		return c, err
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.running.Go(func() { c.serve(ctx) })
	return c, nil
}

func (c *dockerConfig) socket() string { return filepath.Join(c.dir, "socket") }

// env are the variables that make docker use the folder.
func (c *dockerConfig) env() []string {
	env := []string{"DOCKER_CONFIG=" + c.dir, CredentialSocket + "=" + c.socket(), "PATH=" + c.dir + string(os.PathListSeparator) + os.Getenv("PATH")}
	if os.Getenv("BUILDX_CONFIG") == "" && c.home != "" {
		env = append(env, "BUILDX_CONFIG="+filepath.Join(c.home, "buildx")) // the builders that the user has
	}
	return env
}

// fill writes the configuration, the helper, and ways to what the user's own
// configuration has beside credentials: contexts and plugins.
func (c *dockerConfig) fill(command []string) error {
	config := map[string]any{"credsStore": "wfctl"}
	var own struct {
		CurrentContext string         `json:"currentContext"`
		Plugins        []string       `json:"cliPluginsExtraDirs"`
		Proxies        map[string]any `json:"proxies"`
	}
	if raw, err := os.ReadFile(filepath.Join(c.home, "config.json")); err == nil && json.Unmarshal(raw, &own) == nil {
		if own.CurrentContext != "" {
			config["currentContext"] = own.CurrentContext
		}
		if own.Proxies != nil {
			config["proxies"] = own.Proxies
		}
	}
	config["cliPluginsExtraDirs"] = append(own.Plugins, filepath.Join(c.home, "cli-plugins"))
	if contexts := filepath.Join(c.home, "contexts"); isDir(contexts) {
		if err := os.Symlink(contexts, filepath.Join(c.dir, "contexts")); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "config.json"), raw, 0o600); err != nil {
		return err
	}
	return c.writeHelper(command)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// writeHelper writes the program that docker asks: it runs this one again.
func (c *dockerConfig) writeHelper(command []string) error {
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		command = []string{self}
	}
	if runtime.GOOS == "windows" {
		return os.WriteFile(filepath.Join(c.dir, "docker-credential-wfctl.cmd"), []byte("@\""+strings.Join(command, "\" \"")+"\" __credential %*\r\n"), 0o700)
	}
	quoted := make([]string, len(command))
	for i, word := range command {
		quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return os.WriteFile(filepath.Join(c.dir, "docker-credential-wfctl"), []byte("#!/bin/sh\nexec "+strings.Join(quoted, " ")+" __credential \"$@\"\n"), 0o700)
}

func (c *dockerConfig) serve(ctx context.Context) {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.running.Go(func() {
			defer conn.Close() //nolint:errcheck // the answer is out
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			host, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
			if err != nil {
				return
			}
			answer, err := c.credential(ctx, strings.TrimSpace(host))
			if err != nil {
				answer = helperAnswer{Error: err.Error()}
			}
			_ = json.NewEncoder(conn).Encode(answer) // who asked may be gone
		})
	}
}

// helperAnswer is what a credential helper prints; Error is ours.
type helperAnswer struct {
	ServerURL string `json:"ServerURL,omitempty"`
	Username  string `json:"Username,omitempty"`
	Secret    string `json:"Secret,omitempty"`
	Error     string `json:"Error,omitempty"`
}

// errNoCredential is what docker expects to hear of a host without one.
var errNoCredential = errors.New("credentials not found in native keychain")

func (c *dockerConfig) credential(ctx context.Context, server string) (helperAnswer, error) {
	host := server
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		host = u.Host
	}
	reg, err := name.NewRegistry(host)
	if err != nil {
		return helperAnswer{}, errNoCredential
	}
	auth, err := authn.Resolve(ctx, c.keychain, reg)
	if err != nil {
		return helperAnswer{}, err
	}
	cfg, err := authn.Authorization(ctx, auth)
	switch {
	case err != nil:
		return helperAnswer{}, err
	case cfg.IdentityToken != "":
		return helperAnswer{ServerURL: server, Username: "<token>", Secret: cfg.IdentityToken}, nil
	case cfg.Username == "" || cfg.Password == "":
		return helperAnswer{}, errNoCredential
	}
	return helperAnswer{ServerURL: server, Username: cfg.Username, Secret: cfg.Password}, nil
}

func (c *dockerConfig) close() {
	c.stop()
	if c.listener != nil {
		_ = c.listener.Close()
	}
	c.running.Wait()
	_ = c.lock.Unlock()
	_ = os.RemoveAll(c.dir)
}

// sweepDockerConfigs removes what builds left that were killed: nobody holds
// their lock.
func sweepDockerConfigs() {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), configPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		file := filepath.Join(dir, "lock")
		if info, err := os.Stat(file); err != nil || time.Since(info.ModTime()) < time.Minute {
			continue // one that is just being made
		}
		l := flock.New(file)
		if ok, err := l.TryLock(); err == nil && ok {
			_ = l.Unlock()
			_ = os.RemoveAll(dir)
		}
	}
}

// AnswerDocker is the credential helper: it asks the build that docker runs
// for. Action is docker's: get, store, erase or list.
func AnswerDocker(ctx context.Context, action string, in io.Reader, out io.Writer, socket string) error {
	switch action {
	case "get":
	case "list":
		_, err := io.WriteString(out, "{}\n")
		return err
	default:
		return nil // nothing is kept
	}
	server, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it is read
	if _, err := fmt.Fprintf(conn, "%s\n", strings.TrimSpace(string(server))); err != nil {
		return err
	}
	var answer helperAnswer
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" { // docker reads it from where the answer would be
		_, err := io.WriteString(out, answer.Error+"\n")
		return errors.Join(errors.New(answer.Error), err)
	}
	return json.NewEncoder(out).Encode(answer)
}
