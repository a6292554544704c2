package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// The defaults of [DialOptions].
const (
	DefaultGrace        = 5 * time.Second
	DefaultStartTimeout = 20 * time.Second
)

// DialOptions say what to start and how.
type DialOptions struct {
	// Command makes the command to start. Its Env is all that the plugin gets,
	// beside the few variables of the handshake; its standard streams are
	// replaced.
	Command *exec.Cmd
	// Start starts the command and returns how to end it with all that it
	// started. Nil starts it plainly.
	Start func(*exec.Cmd) (kill func() error, err error)
	// Stderr gets what the plugin prints on both of its streams.
	Stderr io.Writer
	// SocketDir is where the plugin's private folder for its socket is made;
	// "" is the system's folder for temporary files.
	SocketDir string
	// TLS asks for mutual TLS. On Windows there is always TLS; elsewhere the
	// socket is in a folder that nobody else can enter.
	TLS         bool
	HostVersion string
	// StartTimeout bounds the time to the end of the handshake.
	StartTimeout time.Duration
	// Grace is how long a plugin may take to answer a cancellation, and to
	// end when it is closed.
	Grace time.Duration
	// Stuck is called when a plugin does not answer a cancellation in time.
	Stuck func(method string)
}

// Dial starts a plugin and says hello to it. An error means that nothing runs.
func Dial(ctx context.Context, o DialOptions) (*Conn, error) {
	if o.StartTimeout == 0 {
		o.StartTimeout = DefaultStartTimeout
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	o.Stderr = &lockedWriter{w: o.Stderr}
	p := &process{options: o, command: o.Command, ended: make(chan struct{})}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake(),
		Plugins:          plugin.PluginSet{service: &goPlugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, sockets string) (runner.Runner, error) {
			p.sockets = sockets
			p.command.Env = append(p.command.Env, spec.Env...)
			return p, nil
		},
		SkipHostEnv:      true,
		AutoMTLS:         o.TLS || runtime.GOOS == "windows",
		StartTimeout:     o.StartTimeout,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off, Output: io.Discard}),
		GRPCDialOptions:  dialOptions(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: o.SocketDir},
	})
	start, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	stop := context.AfterFunc(start, func() { _ = p.Kill(ctx) }) // go-plugin's Start knows no context
	conn, err := connect(start, p, client)
	if !stop() && err == nil {
		err = start.Err()
	}
	if err == nil {
		return conn, nil
	}
	_ = p.Kill(ctx)
	client.Kill()
	removeSockets(p.sockets)
	switch {
	case ctx.Err() != nil:
		return nil, &sdk.Error{Code: sdk.CodeOf(ctx.Err()), Message: "start the plugin", Err: ctx.Err()}
	case start.Err() != nil:
		return nil, &sdk.Error{Code: sdk.CodeInternal, Message: fmt.Sprintf("the plugin did not say hello within %s", o.StartTimeout), Err: ErrPlugin}
	}
	return nil, err
}

// connect starts the plugin and shakes hands.
func connect(ctx context.Context, p *process, client *plugin.Client) (*Conn, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, p.failed(err)
	}
	raw, err := protocol.Dispense(service)
	if err != nil {
		return nil, p.failed(err)
	}
	c := &Conn{
		client: raw.(pb.ProviderServiceClient), limit: MaxMessage, grace: grace(p.options.Grace), stuck: p.options.Stuck,
		ended: p.ended, how: p.how,
	}
	c.end = func(ctx context.Context) error { return p.close(ctx, client, c.grace) }
	return c, c.hello(ctx, p.options.HostVersion)
}

// failed says why a plugin did not come up.
func (p *process) failed(err error) error {
	if !p.started() {
		return &sdk.Error{Code: sdk.CodeInternal, Message: "the plugin cannot be started", Err: errors.Join(ErrPlugin, err)}
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-p.ended: // its streams end a moment before it
		return &sdk.Error{Code: sdk.CodeInternal, Message: "the plugin ended before it said hello (" + p.how() + ")", Err: ErrPlugin}
	case <-timer.C:
		reason, _, _ := strings.Cut(err.Error(), "\n")
		return &sdk.Error{Code: sdk.CodeInternal, Message: "the plugin did not say hello: " + reason, Err: ErrPlugin}
	}
}

// close ends the plugin: it is asked, its standard input is closed, and when
// it has not ended after the grace period, or ctx is over, it is killed.
func (p *process) close(ctx context.Context, client *plugin.Client, grace time.Duration) error {
	limit, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	var killed atomic.Bool
	defer context.AfterFunc(limit, func() {
		select {
		case <-p.ended:
		default:
			killed.Store(true)
			_ = p.Kill(ctx)
		}
	})()
	client.Kill()
	_ = p.stdin.Close()
	<-p.ended
	if killed.Load() {
		return &sdk.Error{Code: sdk.CodeInternal, Message: fmt.Sprintf("the plugin did not end within %s and was killed", grace), Err: ErrPlugin}
	}
	return nil
}

// lockedWriter lets both streams of a plugin share a writer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
