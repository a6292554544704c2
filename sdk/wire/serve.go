package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// The cookie tells a plugin that wfctl started it. It is no secret.
const (
	cookieKey   = "WFCTL_PLUGIN"
	cookieValue = "wfctl.provider.v1"
	// service is the name of what a plugin serves, in go-plugin's words.
	service = "provider"
	// probe is how often an end that hears nothing asks whether the other is
	// still there, and how long it waits for the answer.
	probe = 10 * time.Second
)

func handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}
}

// Serve serves a provider to wfctl. A plugin's main calls it and returns when
// it returns. The process ends when wfctl ends, however that ends.
//
// What the provider prints, on standard output or standard error, goes to
// wfctl's log; the last lines are shown with an error. A panic in a method
// becomes an error of that call; one in a goroutine of the provider's own ends
// the process.
func Serve(p sdk.Provider) {
	stderr := os.Stderr
	if os.Getenv(cookieKey) != cookieValue {
		_, _ = fmt.Fprintln(stderr, "This is a plugin of wfctl; wfctl starts it. Try: wfctl plugin test "+os.Args[0])
		os.Exit(1)
	}
	go endWithHost(os.Stdin)
	s := &server{provider: p, stderr: stderr, greeted: func() {
		// go-plugin has put pipes of its own in their places, and what is in
		// those when the process dies is lost.
		os.Stdout, os.Stderr = stderr, stderr
	}}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake(),
		Plugins:         plugin.PluginSet{service: &goPlugin{server: s}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, serverOptions()...)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: stderr, DisableTime: true}),
	})
}

func serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage + 1<<10), grpc.MaxSendMsgSize(MaxMessage + 1<<10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: probe / 2, PermitWithoutStream: true}),
	}
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage+1<<10), grpc.MaxCallSendMsgSize(MaxMessage+1<<10)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: probe, Timeout: probe, PermitWithoutStream: true}),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
	}
}

// endWithHost ends the process, and what it started, at the end of its
// standard input: the host holds the other end, and the system closes it when
// the host is gone. What is under way is not waited for: nobody records it.
func endWithHost(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin)
	removeSockets(os.Getenv(plugin.EnvUnixSocketDir))
	endGroup()
	os.Exit(0)
}

// removeSockets leaves nothing of a plugin behind whose host could not tidy up.
func removeSockets(dir string) {
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Type()&os.ModeSocket != 0 {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir) // where it is empty
}

// goPlugin is the service as go-plugin wants it.
type goPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

// GRPCServer implements plugin.GRPCPlugin.
func (g *goPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterProviderServiceServer(s, g.server)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin.
func (g *goPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return pb.NewProviderServiceClient(c), nil
}

// Loop serves a provider within this process and returns the host's end: all
// of the wire but the process. Closing it ends the server; p is closed too.
func Loop(ctx context.Context, p sdk.Provider, o LoopOptions) (*Conn, error) {
	listener := bufconn.Listen(1 << 20)
	stderr := o.Stderr
	if stderr == nil {
		stderr = io.Discard
	}
	s := grpc.NewServer(serverOptions()...)
	pb.RegisterProviderServiceServer(s, &server{provider: p, stderr: stderr, greeted: func() {}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	client, err := grpc.NewClient("passthrough:loop", append(dialOptions(), grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		s.Stop()
		return nil, errors.Join(err, <-served)
	}
	c := &Conn{client: pb.NewProviderServiceClient(client), grace: grace(o.Grace), stuck: o.Stuck, limit: MaxMessage}
	c.end = func(context.Context) error {
		err := client.Close()
		s.Stop()
		return errors.Join(err, <-served)
	}
	if err := c.hello(ctx, o.HostVersion); err != nil {
		return nil, errors.Join(err, c.end(ctx))
	}
	return c, nil
}

// LoopOptions are those of [DialOptions] that need no process.
type LoopOptions struct {
	HostVersion string
	Grace       time.Duration
	Stuck       func(method string)
	Stderr      io.Writer
}

func grace(d time.Duration) time.Duration {
	if d == 0 {
		return DefaultGrace
	}
	return d
}
