package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

var errStuck = errors.New("no answer to a cancellation")

// perform makes a call that changes something. Cancelling ctx asks the plugin
// to stop and still waits for what came of the call: an identifier or a
// result may be on its way. A plugin that says nothing within the grace period
// is stuck.
func perform[In, Out, C, O, Q, R any, PIn hostMessage[In, C], POut pluginMessage[Out, O], PC message[C], PO message[O]](
	ctx context.Context, c *Conn, m shape[In, Out, C, O, Q, R, PIn, POut, PC, PO],
	open func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[In, Out], error), req *Q, report sdk.Reporter,
) (*R, error) {
	call, err := request(c, m.method, req, m.request)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &sdk.Error{Code: sdk.CodeOf(err), Message: m.method, Err: err}
	}
	held, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	stream, err := open(held)
	if err != nil {
		return nil, c.fault(ctx, m.method, err)
	}
	send := sender(func(in PIn) error { return stream.Send((*In)(in)) })
	if err := send(m.call(call)); err != nil && !errors.Is(err, io.EOF) {
		return nil, c.fault(ctx, m.method, err)
	}
	control := func(c *pb.Control) error { return send(m.control(c)) }
	defer context.AfterFunc(ctx, func() { c.interrupt(held, abort, control) })()
	for {
		msg, err := stream.Recv()
		if err != nil {
			return nil, c.interrupted(ctx, held, m.method, err)
		}
		out := POut(msg)
		if err := c.strict.check(m.method, out); err != nil {
			return nil, c.broken(m.method, "the plugin's message: "+err.Error())
		}
		if result := PO(out.GetResult()); result != nil {
			return m.toResponse(result), nil
		}
		handle(out.GetEvent(), report, control)
	}
}

// sender makes a send that several goroutines may call.
func sender[T any](send func(T) error) func(T) error {
	var mu sync.Mutex
	return func(v T) error {
		mu.Lock()
		defer mu.Unlock()
		return send(v)
	}
}

// interrupt asks the plugin to stop and gives up on the call after the grace
// period.
func (c *Conn) interrupt(held context.Context, abort context.CancelCauseFunc, control func(*pb.Control) error) {
	_ = control(&pb.Control{Control: &pb.Control_Cancel{Cancel: &pb.Cancel{}}})
	timer := time.NewTimer(c.grace)
	defer timer.Stop()
	select {
	case <-held.Done():
	case <-timer.C:
		abort(errStuck)
	}
}

// interrupted says why a stream ended without a result.
func (c *Conn) interrupted(ctx, held context.Context, method string, err error) error {
	switch {
	case errors.Is(context.Cause(held), errStuck):
		if c.stuck != nil {
			c.stuck(method)
		}
		return &sdk.Error{
			Code: sdk.CodeOf(ctx.Err()), Err: ErrPlugin,
			Message: fmt.Sprintf("%s: the plugin did not stop within %s of being asked to", method, c.grace),
		}
	case errors.Is(err, io.EOF):
		return c.broken(method, "the plugin ended the call without a result")
	}
	return c.fault(ctx, method, err)
}

// handle passes an event on. An identifier is acknowledged when the host has
// made it durable.
func handle(e *pb.Event, report sdk.Reporter, control func(*pb.Control) error) {
	if report == nil {
		report = silent{}
	}
	switch e := e.GetEvent().(type) {
	case *pb.Event_Progress:
		report.Progress(e.Progress.GetMessage(), e.Progress.GetFraction())
	case *pb.Event_Log:
		report.Log(e.Log.GetLine())
	case *pb.Event_Diagnostic:
		report.Warn(toDiagnostic(e.Diagnostic))
	case *pb.Event_Assigned:
		ack := &pb.AssignedAck{Number: e.Assigned.GetNumber()}
		if err := report.Assigned(e.Assigned.GetId()); err != nil {
			ack.Error = fromError(err)
		}
		_ = control(&pb.Control{Control: &pb.Control_Assigned{Assigned: ack}}) // a broken stream shows at the next Recv
	}
}

// silent is a Reporter that nobody listens to.
type silent struct{}

// Assigned implements sdk.Reporter.
func (silent) Assigned(string) error { return nil }

// Progress implements sdk.Reporter.
func (silent) Progress(string, float64) {}

// Log implements sdk.Reporter.
func (silent) Log(string) {}

// Warn implements sdk.Reporter.
func (silent) Warn(sdk.Diagnostic) {}
