package wire

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// mutate serves one call that changes something: its request first, then
// events and controls as they come, then the result. The call's context ends
// with the stream, with the request's deadline, or when the host cancels it.
func mutate[In, Out, C, O, Q, R any, PIn hostMessage[In, C], POut pluginMessage[Out, O], PC message[C], PO message[O]](
	s *server, stream grpc.BidiStreamingServer[In, Out], m shape[In, Out, C, O, Q, R, PIn, POut, PC, PO],
	do func(context.Context, *Q, sdk.Reporter) (*R, error),
) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	call := PC(PIn(first).GetCall())
	if call == nil {
		return toStatus(sdk.Errorf(sdk.CodeInvalid, "%s: the call is missing", m.method))
	}
	if err := s.strict.check(m.method, call); err != nil {
		return toStatus(err)
	}
	req := m.toRequest(call)
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	if d := m.deadline(req); !d.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, d)
		defer stop()
	}
	report := &reporter{gone: stream.Context().Done(), send: func(e *pb.Event) error { return stream.Send(m.event(e)) }, acks: map[uint64]chan error{}}
	go func() {
		for {
			in, err := stream.Recv()
			if err != nil {
				return // the stream's context ends with it, or the host has no more to say
			}
			s.control(PIn(in).GetControl(), report, cancel)
		}
	}()
	res, err := guard(s, m.method, func() (*R, error) { return do(ctx, req, report) })
	report.close()
	out, err := convert(m.method, res, err, m.result)
	if err != nil {
		return toStatus(err)
	}
	return stream.Send(m.wrap(out))
}

// control obeys the host.
func (s *server) control(c *pb.Control, report *reporter, cancel context.CancelFunc) {
	if c.GetCancel() != nil {
		cancel()
	}
	if ack := c.GetAssigned(); ack != nil {
		var err error
		if ack.Error != nil {
			err = toError(ack.Error)
		}
		report.acknowledged(ack.Number, err)
	}
}

// reporter sends events to the host. After the call it is silent.
type reporter struct {
	send func(*pb.Event) error
	// gone is closed when the host can no longer answer. A cancelled call
	// still waits for the answer: the host makes the identifier durable.
	gone <-chan struct{}

	mu     sync.Mutex
	closed bool
	number uint64
	acks   map[uint64]chan error
}

// post sends an event unless the call has ended.
func (r *reporter) post(e *pb.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return sdk.Errorf(sdk.CodeInternal, "the call has ended")
	}
	return r.send(e)
}

func (r *reporter) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// Assigned implements sdk.Reporter: it waits until the host has made the
// identifier durable.
func (r *reporter) Assigned(id string) error {
	if id == "" {
		return sdk.Errorf(sdk.CodeInternal, "the identifier that was assigned is empty")
	}
	ack := make(chan error, 1)
	r.mu.Lock()
	r.number++
	number := r.number
	r.acks[number] = ack
	r.mu.Unlock()
	if err := r.post(&pb.Event{Event: &pb.Event_Assigned{Assigned: &pb.Assigned{Number: number, Id: id}}}); err != nil {
		return err
	}
	select {
	case err := <-ack:
		return err
	case <-r.gone:
		return sdk.Errorf(sdk.CodeCancelled, "wfctl is gone")
	}
}

func (r *reporter) acknowledged(number uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ack, ok := r.acks[number]; ok {
		delete(r.acks, number)
		ack <- err
	}
}

// Progress implements sdk.Reporter.
func (r *reporter) Progress(message string, fraction float64) {
	_ = r.post(&pb.Event{Event: &pb.Event_Progress{Progress: &pb.Progress{Message: text(message), Fraction: fraction}}})
}

// Log implements sdk.Reporter.
func (r *reporter) Log(line string) {
	_ = r.post(&pb.Event{Event: &pb.Event_Log{Log: &pb.LogLine{Line: text(line)}}})
}

// Warn implements sdk.Reporter.
func (r *reporter) Warn(d sdk.Diagnostic) {
	_ = r.post(&pb.Event{Event: &pb.Event_Diagnostic{Diagnostic: (&encoder{}).diagnostic(d)}})
}

// Create implements the service.
func (s *server) Create(stream grpc.BidiStreamingServer[pb.CreateRequest, pb.CreateResponse]) error {
	return mutate(s, stream, createShape(), s.provider.Create)
}

// Update implements the service.
func (s *server) Update(stream grpc.BidiStreamingServer[pb.UpdateRequest, pb.UpdateResponse]) error {
	return mutate(s, stream, updateShape(), s.provider.Update)
}

// Delete implements the service.
func (s *server) Delete(stream grpc.BidiStreamingServer[pb.DeleteRequest, pb.DeleteResponse]) error {
	return mutate(s, stream, deleteShape(), s.provider.Delete)
}

// EnsureRegistry implements the service.
func (s *server) EnsureRegistry(stream grpc.BidiStreamingServer[pb.EnsureRegistryRequest, pb.EnsureRegistryResponse]) error {
	p, err := optional[sdk.RegistryProvider](s, "EnsureRegistry")
	if err != nil {
		return err
	}
	return mutate(s, stream, ensureRegistryShape(), p.EnsureRegistry)
}

// BootstrapState implements the service.
func (s *server) BootstrapState(stream grpc.BidiStreamingServer[pb.BootstrapStateRequest, pb.BootstrapStateResponse]) error {
	p, err := optional[sdk.StateBootstrapper](s, "BootstrapState")
	if err != nil {
		return err
	}
	return mutate(s, stream, bootstrapStateShape(), p.BootstrapState)
}
