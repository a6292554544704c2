package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// Conn is a provider at the other end of a wire. It has the methods of every
// optional part of the contract; those that the provider lacks answer with
// [sdk.CodeUnsupported]: ask with [sdk.As].
//
// An error that the provider returned is an *sdk.Error with all its fields.
// Where the plugin itself failed, it is one of [sdk.CodeInternal] that wraps
// [ErrPlugin]: nothing is known of what came of the call.
type Conn struct {
	client pb.ProviderServiceClient
	strict strict
	caps   []sdk.Capability
	limit  int
	grace  time.Duration
	stuck  func(method string)
	// ended is closed when the plugin's process has; how says how.
	ended <-chan struct{}
	how   func() string
	end   func(context.Context) error

	closing sync.Once
	closed  error
}

// ErrPlugin is wrapped by errors that are the plugin's own failure (it ended,
// hangs, or does not keep to the protocol) and not its answer.
var ErrPlugin = errors.New("the plugin failed")

// hello agrees on the protocol.
func (c *Conn) hello(ctx context.Context, hostVersion string) error {
	out, err := c.client.Handshake(ctx, &pb.HandshakeRequest{
		Protocol: &pb.ProtocolRange{Oldest: oldest, Newest: newest}, HostVersion: text(hostVersion), Limits: &pb.Limits{MessageBytes: MaxMessage},
	})
	if err != nil {
		return c.fault(ctx, "Handshake", err)
	}
	if p := out.GetProtocol(); p < oldest || p > newest {
		return c.broken("Handshake", fmt.Sprintf("the plugin chose protocol %d; wfctl speaks %s", p, span(oldest, newest)))
	}
	c.limit = MaxMessage
	if l := out.GetLimits().GetMessageBytes(); l > 0 && l < MaxMessage {
		c.limit = int(l) //nolint:gosec // below MaxMessage
	}
	for _, number := range out.GetCapabilities() {
		if name := named(capabilityNames(), number); name != "" {
			c.caps = append(c.caps, name)
		}
	}
	return nil
}

// Capabilities lists the optional parts of the contract that the provider
// has. It implements sdk.Capable.
func (c *Conn) Capabilities() []sdk.Capability { return slices.Clone(c.caps) }

// Ended is closed when the plugin's process has ended. It is nil for a
// connection without one.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// broken is a plugin that does not keep to the protocol.
func (c *Conn) broken(method, what string) error {
	return &sdk.Error{Code: sdk.CodeInternal, Message: fmt.Sprintf("%s: %s", method, what), Err: ErrPlugin}
}

// fault says why a call did not succeed: the provider's own error, the
// caller's context, or the end of the plugin.
func (c *Conn) fault(ctx context.Context, method string, err error) error {
	if detail := detailOf(err); detail != nil {
		if bad := c.strict.check(method, detail); bad != nil {
			return c.broken(method, "the plugin's error: "+bad.Error())
		}
		return toError(detail)
	}
	if err := over(ctx, status.Code(err)); err != nil {
		return &sdk.Error{Code: sdk.CodeOf(err), Message: method, Err: err}
	}
	switch status.Code(err) { //nolint:exhaustive // the rest is the transport's
	case codes.Unimplemented:
		return sdk.Errorf(sdk.CodeUnsupported, "the plugin has no %s", method)
	case codes.Unavailable, codes.Canceled:
		return c.broken(method, c.gone(err))
	}
	return c.broken(method, status.Convert(err).Message())
}

// over is the context's error. The plugin, which has the same deadline, can
// notice it a moment earlier.
func over(ctx context.Context, code codes.Code) error {
	deadline, ok := ctx.Deadline()
	if ok && (code == codes.Canceled || code == codes.DeadlineExceeded) && time.Until(deadline) < probe/100 {
		<-ctx.Done()
	}
	return ctx.Err()
}

// gone waits a moment for the process to be collected, to say how it ended.
func (c *Conn) gone(err error) string {
	if c.ended == nil {
		return status.Convert(err).Message()
	}
	timer := time.NewTimer(c.grace)
	defer timer.Stop()
	select {
	case <-c.ended:
		return "the plugin ended meanwhile (" + c.how() + ")"
	case <-timer.C:
		return "the plugin does not answer (" + status.Convert(err).Message() + ")"
	}
}

// ask makes a call with one request and one answer.
func ask[Q, R any, I, O proto.Message](ctx context.Context, c *Conn, method string, req *Q, to func(*encoder, *Q) I,
	call func(context.Context, I, ...grpc.CallOption) (O, error), from func(O) *R,
) (*R, error) {
	in, err := request(c, method, req, to)
	if err != nil {
		return nil, err
	}
	out, err := call(ctx, in)
	if err != nil {
		return nil, c.fault(ctx, method, err)
	}
	if err := c.strict.check(method, out); err != nil {
		return nil, c.broken(method, "the plugin's answer: "+err.Error())
	}
	return from(out), nil
}

// request makes the message of a request and refuses it here where the other
// side would have to.
func request[Q any, I proto.Message](c *Conn, method string, req *Q, to func(*encoder, *Q) I) (I, error) {
	var none I
	if req == nil {
		return none, sdk.Errorf(sdk.CodeInvalid, "%s: the request is nil", method)
	}
	e := &encoder{}
	in := to(e, req)
	if err := e.err(); err != nil {
		return none, sdk.Errorf(sdk.CodeInvalid, "%s: %v", method, err)
	}
	if size := proto.Size(in); size > c.limit {
		return none, sdk.Errorf(sdk.CodeInvalid, "%s: the request has %d bytes; the plugin takes %d", method, size, c.limit)
	}
	return in, c.strict.check(method, in)
}

// Schema implements sdk.Provider.
func (c *Conn) Schema(ctx context.Context) (*sdk.Schema, error) {
	return ask(ctx, c, "Schema", &struct{}{}, func(*encoder, *struct{}) *pb.SchemaRequest { return &pb.SchemaRequest{} }, c.client.Schema, toSchema)
}

// Configure implements sdk.Provider.
func (c *Conn) Configure(ctx context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	return ask(ctx, c, "Configure", req, (*encoder).configureRequest, c.client.Configure, toConfigureResponse)
}

// Validate implements sdk.Provider.
func (c *Conn) Validate(ctx context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	return ask(ctx, c, "Validate", req, (*encoder).validateRequest, c.client.Validate, toValidateResponse)
}

// Diff implements sdk.Provider.
func (c *Conn) Diff(ctx context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return ask(ctx, c, "Diff", req, (*encoder).diffRequest, c.client.Diff, toDiffResponse)
}

// Read implements sdk.Provider.
func (c *Conn) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	return ask(ctx, c, "Read", req, (*encoder).readRequest, c.client.Read, toReadResponse)
}

// Create implements sdk.Provider.
func (c *Conn) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	return perform(ctx, c, createShape(), c.client.Create, req, report)
}

// Update implements sdk.Provider.
func (c *Conn) Update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	return perform(ctx, c, updateShape(), c.client.Update, req, report)
}

// Delete implements sdk.Provider.
func (c *Conn) Delete(ctx context.Context, req *sdk.DeleteRequest, report sdk.Reporter) (*sdk.DeleteResponse, error) {
	return perform(ctx, c, deleteShape(), c.client.Delete, req, report)
}

// Close lets the provider end what it holds open, then ends the plugin; each
// may take the grace period. It implements sdk.Closer; a second call returns
// what the first did.
func (c *Conn) Close(ctx context.Context) error {
	c.closing.Do(func() {
		var asked error
		if !c.dead() {
			asked = c.askToClose(ctx)
		}
		c.closed = errors.Join(asked, c.end(ctx))
	})
	return c.closed
}

func (c *Conn) askToClose(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.grace)
	defer cancel()
	_, err := ask(ctx, c, "Close", &struct{}{}, func(*encoder, *struct{}) *pb.CloseRequest { return &pb.CloseRequest{} },
		c.client.Close, func(*pb.CloseResponse) *struct{} { return &struct{}{} })
	return err
}

func (c *Conn) dead() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}
