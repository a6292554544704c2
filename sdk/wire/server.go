package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// The revisions of wfctl.provider.v1 that this package speaks. A revision
// adds to the one before; the sender leaves out what the other side's does
// not have.
const (
	oldest = 1
	newest = 1
)

// MaxMessage is the largest message in bytes that either side takes. An
// update carries a configuration, the recorded one and the changes between
// them: configurations of 8 MiB fit with room to spare.
const MaxMessage = 64 << 20

// server is the plugin's end.
type server struct {
	pb.UnimplementedProviderServiceServer
	provider sdk.Provider
	strict   strict
	// stderr gets the stack of a panic.
	stderr io.Writer
	// greeted is called when the host has said hello.
	greeted func()
}

// Handshake implements the service.
func (s *server) Handshake(_ context.Context, in *pb.HandshakeRequest) (*pb.HandshakeResponse, error) {
	s.greeted()
	theirs := in.GetProtocol()
	agreed := min(theirs.GetNewest(), newest)
	if agreed < max(theirs.GetOldest(), oldest) {
		return nil, toStatus(sdk.Errorf(sdk.CodeUnsupported, "the plugin speaks %s, wfctl %s", span(oldest, newest), span(theirs.GetOldest(), theirs.GetNewest())).
			WithHint(older(theirs.GetNewest() < oldest)))
	}
	e := &encoder{}
	return &pb.HandshakeResponse{
		Protocol: agreed, Supported: &pb.ProtocolRange{Oldest: oldest, Newest: newest},
		Capabilities: e.caps(sdk.Capabilities(s.provider)), Limits: &pb.Limits{MessageBytes: MaxMessage},
	}, nil
}

func span(from, to uint32) string {
	if from == to {
		return fmt.Sprintf("protocol %d", to)
	}
	return fmt.Sprintf("protocols %d to %d", from, to)
}

func older(host bool) string {
	if host {
		return "use a newer wfctl, or an older release of the plugin"
	}
	return "use a newer release of the plugin: wfctl plugin update"
}

// answer is a call with one request and one answer.
func answer[Q, R any, I, O proto.Message](ctx context.Context, s *server, method string, in I,
	from func(I) *Q, do func(context.Context, *Q) (*R, error), to func(*encoder, *R) O,
) (O, error) {
	var none O
	if err := s.strict.check(method, in); err != nil {
		return none, toStatus(err)
	}
	res, err := guard(s, method, func() (*R, error) { return do(ctx, from(in)) })
	out, err := convert(method, res, err, to)
	if err != nil {
		return none, toStatus(err)
	}
	return out, nil
}

// guard turns a panic into an error. Its stack goes to standard error.
func guard[R any](s *server, method string, do func() (*R, error)) (res *R, err error) {
	defer func() {
		if p := recover(); p != nil {
			_, _ = fmt.Fprintf(s.stderr, "panic in %s: %v\n%s", method, p, debug.Stack())
			res, err = nil, sdk.Errorf(sdk.CodeInternal, "the plugin panicked in %s: %v", method, p).WithHint("this is a bug of the plugin")
		}
	}()
	return do()
}

// convert makes the message of an answer. An answer that is neither a result
// nor an error, or that no message can carry, is the provider's mistake.
func convert[R any, O proto.Message](method string, res *R, err error, to func(*encoder, *R) O) (O, error) {
	var none O
	switch {
	case err != nil:
		return none, err
	case res == nil:
		return none, sdk.Errorf(sdk.CodeInternal, "the plugin gave neither an answer nor an error to %s", method)
	}
	e := &encoder{}
	out := to(e, res)
	if err := e.err(); err != nil {
		return none, sdk.Errorf(sdk.CodeInternal, "the plugin's answer to %s: %v", method, err)
	}
	if size := proto.Size(out); size > MaxMessage {
		return none, sdk.Errorf(sdk.CodeInternal, "the plugin's answer to %s has %d bytes; the limit is %d", method, size, MaxMessage)
	}
	return out, nil
}

// optional finds what implements an optional part of the contract.
func optional[T any](s *server, method string) (T, error) {
	p, ok := s.provider.(T)
	if !ok {
		return p, toStatus(sdk.Errorf(sdk.CodeUnsupported, "the provider has no %s", method))
	}
	return p, nil
}

// Schema implements the service. The host learns the capabilities from what
// the provider implements, whatever its schema says.
func (s *server) Schema(ctx context.Context, in *pb.SchemaRequest) (*pb.SchemaResponse, error) {
	get := func(ctx context.Context, _ *struct{}) (*sdk.Schema, error) {
		schema, err := s.provider.Schema(ctx)
		if err != nil || schema == nil {
			return nil, err
		}
		c := *schema
		c.Capabilities = sdk.Capabilities(s.provider)
		return &c, nil
	}
	return answer(ctx, s, "Schema", in, func(*pb.SchemaRequest) *struct{} { return nil }, get, (*encoder).schema)
}

// Configure implements the service.
func (s *server) Configure(ctx context.Context, in *pb.ConfigureRequest) (*pb.ConfigureResponse, error) {
	return answer(ctx, s, "Configure", in, toConfigureRequest, s.provider.Configure, (*encoder).configureResponse)
}

// Validate implements the service.
func (s *server) Validate(ctx context.Context, in *pb.ValidateRequest) (*pb.ValidateResponse, error) {
	return answer(ctx, s, "Validate", in, toValidateRequest, s.provider.Validate, (*encoder).validateResponse)
}

// Diff implements the service.
func (s *server) Diff(ctx context.Context, in *pb.DiffRequest) (*pb.DiffResponse, error) {
	return answer(ctx, s, "Diff", in, toDiffRequest, s.provider.Diff, (*encoder).diffResponse)
}

// Read implements the service.
func (s *server) Read(ctx context.Context, in *pb.ReadRequest) (*pb.ReadResponse, error) {
	return answer(ctx, s, "Read", in, toReadRequest, s.provider.Read, (*encoder).readResponse)
}

// Close implements the service.
func (s *server) Close(ctx context.Context, in *pb.CloseRequest) (*pb.CloseResponse, error) {
	end := func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		if c, ok := s.provider.(sdk.Closer); ok {
			return &struct{}{}, c.Close(ctx)
		}
		return &struct{}{}, nil
	}
	return answer(ctx, s, "Close", in, func(*pb.CloseRequest) *struct{} { return nil }, end,
		func(*encoder, *struct{}) *pb.CloseResponse { return &pb.CloseResponse{} })
}

// List implements the service.
func (s *server) List(ctx context.Context, in *pb.ListRequest) (*pb.ListResponse, error) {
	p, err := optional[sdk.Lister](s, "List")
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, "List", in, toListRequest, p.List, (*encoder).listResponse)
}

// Import implements the service.
func (s *server) Import(ctx context.Context, in *pb.ImportRequest) (*pb.ImportResponse, error) {
	p, err := optional[sdk.Importer](s, "Import")
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, "Import", in, toImportRequest, p.Import, (*encoder).importResponse)
}

// Health implements the service.
func (s *server) Health(ctx context.Context, in *pb.HealthRequest) (*pb.HealthResponse, error) {
	p, err := optional[sdk.HealthChecker](s, "Health")
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, "Health", in, toHealthRequest, p.Health, (*encoder).healthResponse)
}

// Sizes implements the service.
func (s *server) Sizes(ctx context.Context, in *pb.SizesRequest) (*pb.SizesResponse, error) {
	p, err := optional[sdk.Sizer](s, "Sizes")
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, "Sizes", in, toSizesRequest, p.Sizes, (*encoder).sizesResponse)
}

// RegistryCredential implements the service.
func (s *server) RegistryCredential(ctx context.Context, in *pb.RegistryCredentialRequest) (*pb.RegistryCredentialResponse, error) {
	p, err := optional[sdk.RegistryProvider](s, "RegistryCredential")
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, "RegistryCredential", in, toRegistryCredentialRequest, p.RegistryCredential, (*encoder).registryCredentialResponse)
}

// WriteSecret implements the service.
func (s *server) WriteSecret(ctx context.Context, in *pb.WriteSecretRequest) (*pb.WriteSecretResponse, error) {
	p, err := optional[sdk.SecretWriter](s, "WriteSecret")
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, "WriteSecret", in, toWriteSecretRequest, p.WriteSecret, (*encoder).writeSecretResponse)
}

// Diagnose implements the service.
func (s *server) Diagnose(ctx context.Context, in *pb.DiagnoseRequest) (*pb.DiagnoseResponse, error) {
	p, err := optional[sdk.Diagnoser](s, "Diagnose")
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, "Diagnose", in, toDiagnoseRequest, p.Diagnose, (*encoder).diagnoseResponse)
}

// Logs implements the service.
func (s *server) Logs(in *pb.LogsRequest, stream grpc.ServerStreamingServer[pb.LogsResponse]) error {
	p, err := optional[sdk.LogReader](s, "Logs")
	if err != nil {
		return err
	}
	if err := s.strict.check("Logs", in); err != nil {
		return toStatus(err)
	}
	_, err = guard(s, "Logs", func() (*struct{}, error) {
		return nil, p.Logs(stream.Context(), toLogsRequest(in), func(l sdk.LogLine) error {
			return stream.Send((&encoder{}).logLine(&l))
		})
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return toStatus(err)
	}
	return nil
}
