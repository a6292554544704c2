package pluginhost

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/wire"
)

// maxCrashes is how often in a row a plugin may end without an answer before it
// is not started again.
const maxCrashes = 3

var errClosed = errors.New("the command is ending")

// provider is one configuration of a plugin. It starts a process when it needs
// one, and another when that has failed.
type provider struct {
	host   *Host
	plugin Plugin
	// lock guards what is below; a channel, so that waiting for a start can be
	// given up.
	lock chan struct{}
	// process is the one that new calls go to.
	process *process
	// declared are the variables that it may have: none before Configure.
	declared []string
	// configure is the request that the provider was configured with.
	configure *sdk.ConfigureRequest
	caps      []sdk.Capability
	// crashes counts the ends without an answer between them.
	crashes atomic.Int32
	closed  bool
}

func (p *provider) acquire(ctx context.Context) error {
	select {
	case p.lock <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &sdk.Error{Code: sdk.CodeOf(ctx.Err()), Message: "wait for plugin " + p.plugin.Name + " to start", Err: ctx.Err()}
	}
}

func (p *provider) release() { <-p.lock }

// Capabilities implements sdk.Capable.
func (p *provider) Capabilities() []sdk.Capability {
	p.lock <- struct{}{}
	defer p.release()
	return slices.Clone(p.caps)
}

// ready returns a process for a call, started and configured; the caller
// gives it back.
func (p *provider) ready(ctx context.Context) (*process, error) {
	if err := p.acquire(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	for {
		if err := p.renew(ctx); err != nil {
			return nil, err
		}
		if p.process.enter() {
			return p.process, nil
		}
		p.process = nil
	}
}

// renew sees to it that there is a process that answers.
func (p *provider) renew(ctx context.Context) error {
	if p.closed || p.host.isClosed() {
		return fault.Wrap(fault.Interrupted, errClosed, "plugin %s", p.plugin)
	}
	if p.process != nil && !p.process.ended() {
		return nil
	}
	if p.process != nil {
		p.crashes.Add(1)
		p.retire(p.process)
		p.process = nil
	}
	if n := p.crashes.Load(); n >= maxCrashes {
		return fault.New(fault.Provider, "plugin %s ended %d times without an answer; it is not started again", p.plugin, n)
	}
	next, err := p.start(ctx, p.declared)
	if err != nil {
		return err
	}
	p.caps = next.conn.Capabilities()
	if p.configure != nil {
		if _, err := next.conn.Configure(ctx, p.configure); err != nil {
			p.retire(next)
			return next.explain(err)
		}
	}
	p.process = next
	return nil
}

// start checks the executable and starts it, with the variables that it
// declared.
func (p *provider) start(ctx context.Context, declared []string) (*process, error) {
	if err := check(p.plugin); err != nil {
		return nil, err
	}
	h := p.host
	pr := newProcess(p.plugin, h.options, h.environment(declared))
	conn, err := wire.Dial(ctx, wire.DialOptions{
		Command: pr.command(), Start: startTied, Stderr: pr.tail, SocketDir: h.options.SocketDir, HostVersion: h.options.Version,
		StartTimeout: h.options.StartTimeout, Grace: h.options.Grace, Stuck: func(string) { p.retire(pr) },
	})
	if err != nil {
		return nil, pr.explain(err)
	}
	pr.conn = conn
	h.track(pr)
	return pr, nil
}

// retire gives a process no more calls and ends it when it has none left.
func (p *provider) retire(pr *process) {
	pr.retire(func() { _ = pr.conn.Close(context.Background()) }) // why has been reported
}

// end ends the provider's process.
func (p *provider) end(ctx context.Context) error {
	p.lock <- struct{}{}
	defer p.release()
	p.closed = true
	if p.process == nil {
		return nil
	}
	pr := p.process
	p.process = nil
	if err := pr.conn.Close(ctx); err != nil {
		return pr.explain(err)
	}
	return nil
}

// Close implements sdk.Closer.
func (p *provider) Close(ctx context.Context) error { return p.end(ctx) }

// Schema implements sdk.Provider.
func (p *provider) Schema(ctx context.Context) (*sdk.Schema, error) {
	if s := p.host.schema(p.plugin); s != nil {
		if err := p.acquire(ctx); err != nil {
			return nil, err
		}
		defer p.release()
		p.caps = s.Capabilities
		return s, nil
	}
	s, err := quick(ctx, p, "Schema", func(ctx context.Context, c *wire.Conn) (*sdk.Schema, error) { return c.Schema(ctx) })
	if err == nil {
		p.host.keepSchema(p.plugin, s)
	}
	return s, err
}

// Configure implements sdk.Provider. The process that answered for the schema
// had none of the variables that the schema declares: where one is set, there
// is a new process with it.
func (p *provider) Configure(ctx context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	s, err := p.Schema(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.acquire(ctx); err != nil {
		return nil, err
	}
	p.declared, p.configure = s.Environment, nil
	if p.process != nil && !slices.Equal(p.process.env, p.host.environment(p.declared)) {
		p.retire(p.process)
		p.process = nil
	}
	p.release()
	res, err := quick(ctx, p, "Configure", func(ctx context.Context, c *wire.Conn) (*sdk.ConfigureResponse, error) { return c.Configure(ctx, req) })
	if err != nil {
		return nil, err
	}
	p.lock <- struct{}{}
	defer p.release()
	p.configure = req
	return res, nil
}

// quick makes a call that changes nothing, within the host's limit.
func quick[R any](ctx context.Context, p *provider, method string, call func(context.Context, *wire.Conn) (R, error)) (R, error) {
	limit := p.host.options.CallTimeout
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return use(ctx, p, func(_ context.Context, pr *process) (R, error) {
		res, err := call(short, pr.conn)
		if err != nil && short.Err() != nil && ctx.Err() == nil {
			err = &sdk.Error{Code: sdk.CodeInternal, Message: method + ": no answer within " + limit.Round(time.Millisecond).String(), Err: wire.ErrPlugin}
		}
		return res, err
	})
}

// use makes a call and says of what failed. Where a process ends with several
// calls under way, each of them is made again in a process of its own: the one
// that ends it fails alone. They may be made twice: calls that change things
// carry a key.
func use[R any](ctx context.Context, p *provider, call func(context.Context, *process) (R, error)) (R, error) {
	pr, res, err := once(ctx, p, call)
	if err == nil || ctx.Err() != nil || !errors.Is(err, wire.ErrPlugin) || pr == nil || !pr.ended() || !pr.wasShared() {
		return res, err
	}
	own, ownErr := p.alone(ctx)
	if ownErr != nil {
		return res, errors.Join(err, ownErr)
	}
	defer p.retire(own)
	return try(ctx, p, own, call)
}

// once makes a call in the process that all share; the process is nil where
// none could be had.
func once[R any](ctx context.Context, p *provider, call func(context.Context, *process) (R, error)) (pr *process, res R, err error) {
	if pr, err = p.ready(ctx); err != nil {
		return nil, res, err
	}
	res, err = try(ctx, p, pr, call)
	return pr, res, err
}

// try makes a call in a process that has been entered.
func try[R any](ctx context.Context, p *provider, pr *process, call func(context.Context, *process) (R, error)) (R, error) {
	defer pr.leave()
	res, err := call(ctx, pr)
	if errors.Is(err, wire.ErrPlugin) {
		p.retire(pr)
	} else {
		p.answered()
	}
	return res, pr.explain(err)
}

// answered notes that the plugin works: what ends it is a call, not the plugin
// as a whole.
func (p *provider) answered() { p.crashes.Store(0) }

// alone starts a process for one call.
func (p *provider) alone(ctx context.Context) (*process, error) {
	if err := p.acquire(ctx); err != nil {
		return nil, err
	}
	declared, configure, closed := p.declared, p.configure, p.closed || p.host.isClosed()
	p.release()
	if closed {
		return nil, fault.Wrap(fault.Interrupted, errClosed, "plugin %s", p.plugin)
	}
	pr, err := p.start(ctx, declared)
	if err != nil {
		return nil, err
	}
	pr.enter()
	if configure == nil {
		return pr, nil
	}
	if _, err := pr.conn.Configure(ctx, configure); err != nil {
		pr.leave()
		p.retire(pr)
		return nil, pr.explain(err)
	}
	return pr, nil
}
