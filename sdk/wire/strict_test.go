package wire

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// odd is bytes of a field that no message has.
func odd() []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1)
}

func withOdd[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(odd())
	return m
}

func TestStrict(t *testing.T) {
	for name, c := range map[string]struct {
		m    proto.Message
		want string
	}{
		"fine":             {&pb.DiffRequest{Type: "x"}, ""},
		"missing":          {&pb.DiffRequest{Name: "x"}, "M: type is missing"},
		"unknown field":    {withOdd(&pb.DiffRequest{Type: "x"}), "M: the message has field number 999, which is not in protocol 1"},
		"unknown, nested":  {&pb.DiffRequest{Type: "x", Prior: &pb.Prior{Config: withOdd(&pb.Config{})}}, "M: prior.config has field number 999, which is not in protocol 1"},
		"unknown, in list": {&pb.ValidateResponse{Diagnostics: []*pb.Diagnostic{{}, withOdd(&pb.Diagnostic{})}}, "M: diagnostics[1] has field number 999, which is not in protocol 1"},
		"unknown value":    {&pb.ValidateResponse{Diagnostics: []*pb.Diagnostic{{Severity: 77}}}, "M: diagnostics[0].severity is 77, which is not in protocol 1"},
		"unknown in enums": {&pb.SchemaResponse{Name: "x", Capabilities: []pb.Capability{1, 77}}, "M: capabilities[1] is 77, which is not in protocol 1"},
		"missing, nested":  {&pb.SchemaResponse{Name: "x", Types: []*pb.ResourceSchema{{Name: "a"}, {}}}, "M: types[1].name is missing"},
		"a map":            {&pb.SizesResponse{Sizes: map[string]string{"s": "small"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := new(strict).check("M", c.m)
			if got := messageOf(err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func messageOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A host of another build cannot make a plugin read half of what it says.
func TestServerIsStrict(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		_, err := c.client.Diff(t.Context(), withOdd(&pb.DiffRequest{Type: "x"}))
		if err := c.fault(t.Context(), "Diff", err); sdk.CodeOf(err) != sdk.CodeInvalid || !strings.Contains(err.Error(), "field number 999") {
			t.Errorf("%v", err)
		}
		for name, first := range map[string]*pb.CreateRequest{
			"Create: the call is missing":                    {},
			"Create: type is missing":                        {Message: &pb.CreateRequest_Call{Call: &pb.CreateCall{}}},
			"Create: ownership has field number 999, which ": {Message: &pb.CreateRequest_Call{Call: &pb.CreateCall{Type: "x", Name: "y", Ownership: withOdd(&pb.Ownership{})}}},
		} {
			stream, err := c.client.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(first)
			_, err = stream.Recv()
			if err := c.fault(t.Context(), "Create", err); !strings.HasPrefix(err.Error(), name) || sdk.CodeOf(err) != sdk.CodeInvalid {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}

// oddPlugin answers with what is not in the protocol.
type oddPlugin struct {
	pb.ProviderServiceClient
}

func (oddPlugin) Diff(context.Context, *pb.DiffRequest, ...grpc.CallOption) (*pb.DiffResponse, error) {
	return withOdd(&pb.DiffResponse{}), nil
}

func TestHostIsStrict(t *testing.T) {
	c := &Conn{client: oddPlugin{}, limit: MaxMessage}
	_, err := c.Diff(t.Context(), &sdk.DiffRequest{Type: "x"})
	if sdk.CodeOf(err) != sdk.CodeInternal || !strings.Contains(err.Error(), "Diff: the plugin's answer: Diff: the message has field number 999") {
		t.Errorf("%v", err)
	}
}

func TestHandshake(t *testing.T) {
	s := &server{provider: &fake{}, greeted: func() {}}
	for name, c := range map[string]struct {
		oldest, newest uint32
		agreed         uint32
		hint           string
	}{
		"same":       {1, 1, 1, ""},
		"newer host": {1, 9, 1, ""},
		"too new":    {2, 9, 0, "use a newer release of the plugin: wfctl plugin update"},
		"too old":    {0, 0, 0, "use a newer wfctl, or an older release of the plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := s.Handshake(t.Context(), withOdd(&pb.HandshakeRequest{Protocol: &pb.ProtocolRange{Oldest: c.oldest, Newest: c.newest}}))
			if out.GetProtocol() != c.agreed {
				t.Errorf("agreed on %d", out.GetProtocol())
			}
			if c.hint == "" {
				return
			}
			if got := toError(detailOf(err)); got.Hint != c.hint || got.Code != sdk.CodeUnsupported {
				t.Errorf("%#v", got)
			}
		})
	}
}

// No bytes that claim to be a request make the server do anything but answer.
func FuzzRequest(f *testing.F) {
	for _, seed := range []proto.Message{&pb.DiffRequest{Type: "x", Prior: &pb.Prior{Outputs: &pb.Outputs{Outputs: []*pb.Output{{Name: "a"}}}}}, withOdd(&pb.DiffRequest{})} {
		raw, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	s := &server{provider: &fake{}, stderr: &output{}, greeted: func() {}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var diff pb.DiffRequest
		if proto.Unmarshal(raw, &diff) == nil {
			if out, err := s.Diff(t.Context(), &diff); (out == nil) == (err == nil) {
				t.Errorf("%v %v", out, err)
			}
		}
		var schema pb.SchemaResponse
		if proto.Unmarshal(raw, &schema) == nil && s.strict.check("Schema", &schema) == nil {
			toSchema(&schema)
		}
		var e pb.Error
		if proto.Unmarshal(raw, &e) == nil {
			_ = toError(&e).Error()
		}
	})
}
