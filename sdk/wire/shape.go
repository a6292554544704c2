package wire

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// message is a pointer to T that is a message.
type message[T any] interface {
	*T
	proto.Message
}

// hostMessage is what the host sends during a call that changes something.
type hostMessage[T, C any] interface {
	message[T]
	GetCall() *C
	GetControl() *pb.Control
}

// pluginMessage is what the plugin sends meanwhile.
type pluginMessage[T, O any] interface {
	message[T]
	GetEvent() *pb.Event
	GetResult() *O
}

// shape says how the messages of one changing method are made and read: In and
// Out go over the stream, C and O are the call and the result in them, Q and R
// the contract's request and response.
type shape[In, Out, C, O, Q, R any, PIn hostMessage[In, C], POut pluginMessage[Out, O], PC message[C], PO message[O]] struct {
	method string
	// The host's side.
	request    func(*encoder, *Q) PC
	call       func(PC) PIn
	control    func(*pb.Control) PIn
	toResponse func(PO) *R
	// The plugin's side.
	toRequest func(PC) *Q
	deadline  func(*Q) time.Time
	result    func(*encoder, *R) PO
	event     func(*pb.Event) POut
	wrap      func(PO) POut
}

type createCall = shape[pb.CreateRequest, pb.CreateResponse, pb.CreateCall, pb.CreateResult, sdk.CreateRequest, sdk.CreateResponse,
	*pb.CreateRequest, *pb.CreateResponse, *pb.CreateCall, *pb.CreateResult]

func createShape() createCall {
	return createCall{
		method: "Create", request: (*encoder).createRequest, toRequest: toCreateRequest, result: (*encoder).createResponse, toResponse: toCreateResponse,
		deadline: func(r *sdk.CreateRequest) time.Time { return r.Deadline },
		call: func(c *pb.CreateCall) *pb.CreateRequest {
			return &pb.CreateRequest{Message: &pb.CreateRequest_Call{Call: c}}
		},
		control: func(c *pb.Control) *pb.CreateRequest {
			return &pb.CreateRequest{Message: &pb.CreateRequest_Control{Control: c}}
		},
		event: func(e *pb.Event) *pb.CreateResponse {
			return &pb.CreateResponse{Message: &pb.CreateResponse_Event{Event: e}}
		},
		wrap: func(r *pb.CreateResult) *pb.CreateResponse {
			return &pb.CreateResponse{Message: &pb.CreateResponse_Result{Result: r}}
		},
	}
}

type updateCall = shape[pb.UpdateRequest, pb.UpdateResponse, pb.UpdateCall, pb.UpdateResult, sdk.UpdateRequest, sdk.UpdateResponse,
	*pb.UpdateRequest, *pb.UpdateResponse, *pb.UpdateCall, *pb.UpdateResult]

func updateShape() updateCall {
	return updateCall{
		method: "Update", request: (*encoder).updateRequest, toRequest: toUpdateRequest, result: (*encoder).updateResponse, toResponse: toUpdateResponse,
		deadline: func(r *sdk.UpdateRequest) time.Time { return r.Deadline },
		call: func(c *pb.UpdateCall) *pb.UpdateRequest {
			return &pb.UpdateRequest{Message: &pb.UpdateRequest_Call{Call: c}}
		},
		control: func(c *pb.Control) *pb.UpdateRequest {
			return &pb.UpdateRequest{Message: &pb.UpdateRequest_Control{Control: c}}
		},
		event: func(e *pb.Event) *pb.UpdateResponse {
			return &pb.UpdateResponse{Message: &pb.UpdateResponse_Event{Event: e}}
		},
		wrap: func(r *pb.UpdateResult) *pb.UpdateResponse {
			return &pb.UpdateResponse{Message: &pb.UpdateResponse_Result{Result: r}}
		},
	}
}

type deleteCall = shape[pb.DeleteRequest, pb.DeleteResponse, pb.DeleteCall, pb.DeleteResult, sdk.DeleteRequest, sdk.DeleteResponse,
	*pb.DeleteRequest, *pb.DeleteResponse, *pb.DeleteCall, *pb.DeleteResult]

func deleteShape() deleteCall {
	return deleteCall{
		method: "Delete", request: (*encoder).deleteRequest, toRequest: toDeleteRequest, result: (*encoder).deleteResponse, toResponse: toDeleteResponse,
		deadline: func(r *sdk.DeleteRequest) time.Time { return r.Deadline },
		call: func(c *pb.DeleteCall) *pb.DeleteRequest {
			return &pb.DeleteRequest{Message: &pb.DeleteRequest_Call{Call: c}}
		},
		control: func(c *pb.Control) *pb.DeleteRequest {
			return &pb.DeleteRequest{Message: &pb.DeleteRequest_Control{Control: c}}
		},
		event: func(e *pb.Event) *pb.DeleteResponse {
			return &pb.DeleteResponse{Message: &pb.DeleteResponse_Event{Event: e}}
		},
		wrap: func(r *pb.DeleteResult) *pb.DeleteResponse {
			return &pb.DeleteResponse{Message: &pb.DeleteResponse_Result{Result: r}}
		},
	}
}

type ensureRegistryCall = shape[pb.EnsureRegistryRequest, pb.EnsureRegistryResponse, pb.EnsureRegistryCall, pb.EnsureRegistryResult,
	sdk.EnsureRegistryRequest, sdk.EnsureRegistryResponse,
	*pb.EnsureRegistryRequest, *pb.EnsureRegistryResponse, *pb.EnsureRegistryCall, *pb.EnsureRegistryResult]

func ensureRegistryShape() ensureRegistryCall {
	return ensureRegistryCall{
		method: "EnsureRegistry", request: (*encoder).ensureRegistryRequest, toRequest: toEnsureRegistryRequest,
		result: (*encoder).ensureRegistryResponse, toResponse: toEnsureRegistryResponse,
		deadline: func(*sdk.EnsureRegistryRequest) time.Time { return time.Time{} },
		call: func(c *pb.EnsureRegistryCall) *pb.EnsureRegistryRequest {
			return &pb.EnsureRegistryRequest{Message: &pb.EnsureRegistryRequest_Call{Call: c}}
		},
		control: func(c *pb.Control) *pb.EnsureRegistryRequest {
			return &pb.EnsureRegistryRequest{Message: &pb.EnsureRegistryRequest_Control{Control: c}}
		},
		event: func(e *pb.Event) *pb.EnsureRegistryResponse {
			return &pb.EnsureRegistryResponse{Message: &pb.EnsureRegistryResponse_Event{Event: e}}
		},
		wrap: func(r *pb.EnsureRegistryResult) *pb.EnsureRegistryResponse {
			return &pb.EnsureRegistryResponse{Message: &pb.EnsureRegistryResponse_Result{Result: r}}
		},
	}
}

type bootstrapStateCall = shape[pb.BootstrapStateRequest, pb.BootstrapStateResponse, pb.BootstrapStateCall, pb.BootstrapStateResult,
	sdk.BootstrapStateRequest, sdk.BootstrapStateResponse,
	*pb.BootstrapStateRequest, *pb.BootstrapStateResponse, *pb.BootstrapStateCall, *pb.BootstrapStateResult]

func bootstrapStateShape() bootstrapStateCall {
	return bootstrapStateCall{
		method: "BootstrapState", request: (*encoder).bootstrapStateRequest, toRequest: toBootstrapStateRequest,
		result: (*encoder).bootstrapStateResponse, toResponse: toBootstrapStateResponse,
		deadline: func(*sdk.BootstrapStateRequest) time.Time { return time.Time{} },
		call: func(c *pb.BootstrapStateCall) *pb.BootstrapStateRequest {
			return &pb.BootstrapStateRequest{Message: &pb.BootstrapStateRequest_Call{Call: c}}
		},
		control: func(c *pb.Control) *pb.BootstrapStateRequest {
			return &pb.BootstrapStateRequest{Message: &pb.BootstrapStateRequest_Control{Control: c}}
		},
		event: func(e *pb.Event) *pb.BootstrapStateResponse {
			return &pb.BootstrapStateResponse{Message: &pb.BootstrapStateResponse_Event{Event: e}}
		},
		wrap: func(r *pb.BootstrapStateResult) *pb.BootstrapStateResponse {
			return &pb.BootstrapStateResponse{Message: &pb.BootstrapStateResponse_Result{Result: r}}
		},
	}
}
