package wire

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

const (
	// maxMessage bounds an error's message, in bytes, and maxCauses how many
	// causes travel with it: an error is sent in the trailer of a call.
	maxMessage = 1 << 20
	maxCauses  = 16
)

// fromError describes an error in full. A direct chain of *sdk.Error keeps
// its structure; of any other error the text is kept, with the code, hint and
// so on of the *sdk.Error inside it.
func fromError(err error) *pb.Error { return errorAt(err, 0) }

func errorAt(err error, depth int) *pb.Error {
	direct, isDirect := err.(*sdk.Error) //nolint:errorlint // the outermost error itself is meant
	if isDirect && direct == nil {
		return &pb.Error{Code: pb.Code_CODE_INTERNAL, Message: "a nil *sdk.Error was returned as an error", Plain: true}
	}
	inner := direct
	if !isDirect && !errors.As(err, &inner) {
		return &pb.Error{Code: codeNumber(sdk.CodeOf(err)), Message: cut(err.Error()), Plain: true}
	}
	out := &pb.Error{
		Code: codeNumber(inner.Code), Message: cut(inner.Message), Hint: text(inner.Hint), RetryAfter: fromDuration(inner.RetryAfter),
		Path: text(string(inner.Path)), Blockers: each(inner.Blockers, text),
	}
	switch {
	case !isDirect || depth == maxCauses:
		out.Message = cut(err.Error())
	case inner.Err != nil:
		out.Cause = errorAt(inner.Err, depth+1)
	}
	return out
}

// codeNumber counts a code that is not the contract's as internal, as the
// host does with an error that has none.
func codeNumber(c sdk.Code) pb.Code {
	if i := slices.Index(codeNames(), c); i > 0 {
		return pb.Code(i) //nolint:gosec // a handful
	}
	return pb.Code_CODE_INTERNAL
}

func cut(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + " … (cut)"
	}
	return text(s)
}

// toError is the other way.
func toError(e *pb.Error) *sdk.Error {
	out := &sdk.Error{
		Code: named(codeNames(), e.Code), Message: e.Message, Hint: e.Hint, RetryAfter: toDuration(e.RetryAfter),
		Path: sdk.Path(e.Path), Blockers: e.Blockers,
	}
	switch {
	case e.Cause == nil:
	case e.Cause.Plain:
		out.Err = &plainError{message: e.Cause.Message, code: named(codeNames(), e.Cause.Code)}
	default:
		out.Err = toError(e.Cause)
	}
	return out
}

// plainError is a cause that was no *sdk.Error at the other end.
type plainError struct {
	message string
	code    sdk.Code
}

// Error implements error.
func (e *plainError) Error() string { return e.message }

// Is lets an interrupted call be recognised.
func (e *plainError) Is(target error) bool {
	return e.code == sdk.CodeCancelled && target == context.Canceled || //nolint:errorlint // this is Is
		e.code == sdk.CodeDeadline && target == context.DeadlineExceeded //nolint:errorlint // this is Is
}

// toStatus makes what a handler returns.
func toStatus(err error) error {
	detail := fromError(err)
	s, failed := status.New(grpcCode(detail.Code), "see the details").WithDetails(detail)
	if failed != nil {
		return status.Error(codes.Internal, failed.Error())
	}
	return s.Err()
}

// grpcCode is for the eyes of other tools; the host reads the details.
func grpcCode(c pb.Code) codes.Code {
	switch c {
	case pb.Code_CODE_NOT_FOUND:
		return codes.NotFound
	case pb.Code_CODE_ALREADY_EXISTS:
		return codes.AlreadyExists
	case pb.Code_CODE_CONFLICT:
		return codes.Aborted
	case pb.Code_CODE_RATE_LIMITED:
		return codes.ResourceExhausted
	case pb.Code_CODE_UNAUTHORISED:
		return codes.Unauthenticated
	case pb.Code_CODE_INVALID:
		return codes.InvalidArgument
	case pb.Code_CODE_UNAVAILABLE:
		return codes.Unavailable
	case pb.Code_CODE_UNSUPPORTED:
		return codes.Unimplemented
	case pb.Code_CODE_CANCELLED:
		return codes.Canceled
	case pb.Code_CODE_DEADLINE:
		return codes.DeadlineExceeded
	}
	return codes.Internal
}

// detailOf finds the error in what a call returned; nil where the plugin put
// none there: then the transport failed.
func detailOf(err error) *pb.Error {
	for _, d := range status.Convert(err).Details() {
		if e, ok := d.(*pb.Error); ok {
			return e
		}
	}
	return nil
}
