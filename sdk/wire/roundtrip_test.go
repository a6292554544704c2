package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// trip sends a value of the contract through its message and back.
type trip func(any) (any, error)

func through[S any, P proto.Message](to func(*encoder, *S) P, empty func() P, from func(P) *S) (reflect.Type, trip) {
	return reflect.TypeFor[S](), func(v any) (any, error) {
		e, s := &encoder{}, v.(S)
		raw, err := proto.Marshal(to(e, &s))
		if err != nil || e.err() != nil {
			return nil, fmt.Errorf("%w %w", err, e.err())
		}
		m := empty()
		if err := proto.Unmarshal(raw, m); err != nil {
			return nil, err
		}
		return *from(m), nil
	}
}

// trips are all messages of the contract.
func trips() map[reflect.Type]trip {
	all := map[reflect.Type]trip{}
	add := func(t reflect.Type, f trip) { all[t] = f }
	add(through((*encoder).schema, func() *pb.SchemaResponse { return &pb.SchemaResponse{} }, toSchema))
	add(through((*encoder).configureRequest, func() *pb.ConfigureRequest { return &pb.ConfigureRequest{} }, toConfigureRequest))
	add(through((*encoder).configureResponse, func() *pb.ConfigureResponse { return &pb.ConfigureResponse{} }, toConfigureResponse))
	add(through((*encoder).validateRequest, func() *pb.ValidateRequest { return &pb.ValidateRequest{} }, toValidateRequest))
	add(through((*encoder).validateResponse, func() *pb.ValidateResponse { return &pb.ValidateResponse{} }, toValidateResponse))
	add(through((*encoder).diffRequest, func() *pb.DiffRequest { return &pb.DiffRequest{} }, toDiffRequest))
	add(through((*encoder).diffResponse, func() *pb.DiffResponse { return &pb.DiffResponse{} }, toDiffResponse))
	add(through((*encoder).createRequest, func() *pb.CreateCall { return &pb.CreateCall{} }, toCreateRequest))
	add(through((*encoder).createResponse, func() *pb.CreateResult { return &pb.CreateResult{} }, toCreateResponse))
	add(through((*encoder).readRequest, func() *pb.ReadRequest { return &pb.ReadRequest{} }, toReadRequest))
	add(through((*encoder).readResponse, func() *pb.ReadResponse { return &pb.ReadResponse{} }, toReadResponse))
	add(through((*encoder).updateRequest, func() *pb.UpdateCall { return &pb.UpdateCall{} }, toUpdateRequest))
	add(through((*encoder).updateResponse, func() *pb.UpdateResult { return &pb.UpdateResult{} }, toUpdateResponse))
	add(through((*encoder).deleteRequest, func() *pb.DeleteCall { return &pb.DeleteCall{} }, toDeleteRequest))
	add(through((*encoder).deleteResponse, func() *pb.DeleteResult { return &pb.DeleteResult{} }, toDeleteResponse))
	add(through((*encoder).listRequest, func() *pb.ListRequest { return &pb.ListRequest{} }, toListRequest))
	add(through((*encoder).listResponse, func() *pb.ListResponse { return &pb.ListResponse{} }, toListResponse))
	add(through((*encoder).importRequest, func() *pb.ImportRequest { return &pb.ImportRequest{} }, toImportRequest))
	add(through((*encoder).importResponse, func() *pb.ImportResponse { return &pb.ImportResponse{} }, toImportResponse))
	add(through((*encoder).healthRequest, func() *pb.HealthRequest { return &pb.HealthRequest{} }, toHealthRequest))
	add(through((*encoder).healthResponse, func() *pb.HealthResponse { return &pb.HealthResponse{} }, toHealthResponse))
	add(through((*encoder).sizesRequest, func() *pb.SizesRequest { return &pb.SizesRequest{} }, toSizesRequest))
	add(through((*encoder).sizesResponse, func() *pb.SizesResponse { return &pb.SizesResponse{} }, toSizesResponse))
	add(through((*encoder).ensureRegistryRequest, func() *pb.EnsureRegistryCall { return &pb.EnsureRegistryCall{} }, toEnsureRegistryRequest))
	add(through((*encoder).ensureRegistryResponse, func() *pb.EnsureRegistryResult { return &pb.EnsureRegistryResult{} }, toEnsureRegistryResponse))
	add(through((*encoder).registryCredentialRequest, func() *pb.RegistryCredentialRequest { return &pb.RegistryCredentialRequest{} }, toRegistryCredentialRequest))
	add(through((*encoder).registryCredentialResponse, func() *pb.RegistryCredentialResponse { return &pb.RegistryCredentialResponse{} }, toRegistryCredentialResponse))
	add(through((*encoder).writeSecretRequest, func() *pb.WriteSecretRequest { return &pb.WriteSecretRequest{} }, toWriteSecretRequest))
	add(through((*encoder).writeSecretResponse, func() *pb.WriteSecretResponse { return &pb.WriteSecretResponse{} }, toWriteSecretResponse))
	add(through((*encoder).bootstrapStateRequest, func() *pb.BootstrapStateCall { return &pb.BootstrapStateCall{} }, toBootstrapStateRequest))
	add(through((*encoder).bootstrapStateResponse, func() *pb.BootstrapStateResult { return &pb.BootstrapStateResult{} }, toBootstrapStateResponse))
	add(through((*encoder).logsRequest, func() *pb.LogsRequest { return &pb.LogsRequest{} }, toLogsRequest))
	add(through((*encoder).logLine, func() *pb.LogsResponse { return &pb.LogsResponse{} }, toLogLine))
	add(through((*encoder).diagnoseRequest, func() *pb.DiagnoseRequest { return &pb.DiagnoseRequest{} }, toDiagnoseRequest))
	add(through((*encoder).diagnoseResponse, func() *pb.DiagnoseResponse { return &pb.DiagnoseResponse{} }, toDiagnoseResponse))
	add(through(func(e *encoder, d *sdk.Diagnostic) *pb.Diagnostic { return e.diagnostic(*d) }, func() *pb.Diagnostic { return &pb.Diagnostic{} },
		func(d *pb.Diagnostic) *sdk.Diagnostic { v := toDiagnostic(d); return &v }))
	return all
}

// contract lists the types that the methods of the provider's interfaces take
// and give.
func contract(t *testing.T) []reflect.Type {
	t.Helper()
	interfaces := []reflect.Type{
		reflect.TypeFor[sdk.Provider](), reflect.TypeFor[sdk.Lister](), reflect.TypeFor[sdk.Importer](), reflect.TypeFor[sdk.HealthChecker](),
		reflect.TypeFor[sdk.Sizer](), reflect.TypeFor[sdk.RegistryProvider](), reflect.TypeFor[sdk.SecretWriter](),
		reflect.TypeFor[sdk.StateBootstrapper](), reflect.TypeFor[sdk.LogReader](), reflect.TypeFor[sdk.Diagnoser](), reflect.TypeFor[sdk.Reporter](),
	}
	if len(interfaces) != 2+len(capabilityNames())-1 {
		t.Fatal("an optional interface is missing here")
	}
	var found []reflect.Type
	add := func(p reflect.Type) {
		for p.Kind() == reflect.Pointer {
			p = p.Elem()
		}
		if p.Kind() == reflect.Func {
			p = p.In(0)
		}
		if p.Kind() == reflect.Struct && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	for _, in := range interfaces {
		for i := range in.NumMethod() {
			m := in.Method(i).Type
			for j := range m.NumIn() {
				add(m.In(j))
			}
			for j := range m.NumOut() {
				add(m.Out(j))
			}
		}
	}
	return found
}

// filler makes values of any type of the contract.
type filler struct {
	t *rapid.T
	// full leaves nothing at its zero.
	full bool
}

func (f *filler) text() string {
	s := rapid.StringN(0, 8, -1).Draw(f.t, "text")
	if f.full && s == "" {
		return "x"
	}
	return s
}

func (f *filler) json() json.RawMessage {
	v := rapid.SampledFrom([]string{`null`, `{}`, `"ü"`, `{"a":[1,2.50,{"b":null}]}`, `12345678901234567890`, ` [ ] `}).Draw(f.t, "json")
	return json.RawMessage(v)
}

func (f *filler) count() int {
	if f.full {
		return rapid.IntRange(1, 3).Draw(f.t, "count")
	}
	return rapid.IntRange(0, 3).Draw(f.t, "count")
}

func (f *filler) value(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t {
	case reflect.TypeFor[time.Time]():
		if at := rapid.Int64Range(-1e9, 4e9).Draw(f.t, "time"); f.full || rapid.Bool().Draw(f.t, "there") {
			return reflect.ValueOf(time.Unix(at, 123456789).UTC())
		}
		return v
	case reflect.TypeFor[json.RawMessage]():
		if f.full || rapid.Bool().Draw(f.t, "there") {
			return reflect.ValueOf(f.json())
		}
		return v
	case reflect.TypeFor[sdk.Output]():
		return reflect.ValueOf(sdk.RawOutput(f.json(), rapid.Bool().Draw(f.t, "secret")))
	case reflect.TypeFor[sdk.Sensitive]():
		return reflect.ValueOf(sdk.NewSensitive(string(rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(f.t, "secret"))))
	case reflect.TypeFor[sdk.Severity]():
		return f.one(severityNames())
	case reflect.TypeFor[sdk.Action]():
		return f.one(actionNames())
	case reflect.TypeFor[sdk.HealthStatus]():
		return f.one(healthNames())
	case reflect.TypeFor[sdk.Capability]():
		return f.one(capabilityNames())
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(f.value(t.Field(i).Type))
		}
	case reflect.Pointer:
		if f.full || rapid.Bool().Draw(f.t, "there") {
			v.Set(reflect.New(t.Elem()))
			v.Elem().Set(f.value(t.Elem()))
		}
	case reflect.Slice:
		for range f.count() {
			v = reflect.Append(v, f.value(t.Elem()))
		}
	case reflect.Map:
		if n := f.count(); n > 0 {
			v.Set(reflect.MakeMap(t))
			for range n {
				v.SetMapIndex(f.value(t.Key()), f.value(t.Elem()))
			}
		}
	case reflect.String:
		v.SetString(f.text())
	case reflect.Bool:
		v.SetBool(f.full || rapid.Bool().Draw(f.t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(1, 1<<40).Draw(f.t, "int"))
	default:
		f.t.Fatalf("the filler knows no %s", t)
	}
	return v
}

// one picks a name; the empty one only where zeros are allowed.
func (f *filler) one(names any) reflect.Value {
	list := reflect.ValueOf(names)
	first := 0
	if f.full {
		first = 1
	}
	return list.Index(rapid.IntRange(first, list.Len()-1).Draw(f.t, "name"))
}

// Whatever the contract can say arrives, to the byte: with every field set,
// so that a field that a converter forgets is found, and with any left out.
func TestEveryMessageArrives(t *testing.T) {
	table := trips()
	for _, typ := range contract(t) {
		send, ok := table[typ]
		if !ok {
			t.Errorf("%s does not cross the wire in this test", typ)
			continue
		}
		for _, full := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/full=%t", typ.Name(), full), rapid.MakeCheck(func(t *rapid.T) {
				want := (&filler{t, full}).value(typ).Interface()
				got, err := send(want)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(want, got) {
					t.Fatalf("sent\n%s\ngot\n%s", show(want), show(got))
				}
			}))
		}
	}
}

// show prints what masks itself.
func show(v any) string {
	return fmt.Sprintf("%+v", reflect.ValueOf(v)) + fmt.Sprintf(" %#v", v)
}

// The judgement "nothing matters" is not "no judgement".
func TestNoChangesIsNotNil(t *testing.T) {
	for _, changes := range [][]sdk.FieldChange{nil, {}} {
		m := (&encoder{}).diffResponse(&sdk.DiffResponse{Changes: changes})
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back := &pb.DiffResponse{}
		if err := proto.Unmarshal(raw, back); err != nil {
			t.Fatal(err)
		}
		if got := toDiffResponse(back).Changes; (got == nil) != (changes == nil) || len(got) != 0 {
			t.Errorf("sent %#v, got %#v", changes, got)
		}
	}
}

// The names stand at the numbers that the protocol gives them.
func TestNamesFitNumbers(t *testing.T) {
	check := func(prefix string, numbers map[int32]string, name func(int32) string, count int) {
		if len(numbers) != count {
			t.Errorf("%s: %d numbers, %d names", prefix, len(numbers), count)
		}
		for n, label := range numbers {
			if want := prefix + "_" + upper(name(n)); n != 0 && label != want {
				t.Errorf("number %d is %s, name %s", n, label, want)
			}
		}
	}
	check("CODE", pb.Code_name, func(n int32) string { return string(named(codeNames(), pb.Code(n))) }, len(codeNames()))
	check("SEVERITY", pb.Severity_name, func(n int32) string { return string(named(severityNames(), pb.Severity(n))) }, len(severityNames()))
	check("ACTION", pb.Action_name, func(n int32) string { return string(named(actionNames(), pb.Action(n))) }, len(actionNames()))
	check("HEALTH_STATUS", pb.HealthStatus_name, func(n int32) string { return string(named(healthNames(), pb.HealthStatus(n))) }, len(healthNames()))
	check("CAPABILITY", pb.Capability_name, func(n int32) string { return string(named(capabilityNames(), pb.Capability(n))) }, len(capabilityNames()))
}

func upper(s string) string {
	out := []byte(s)
	for i, b := range out {
		if b >= 'a' && b <= 'z' {
			out[i] = b - 32
		}
	}
	return string(out)
}

func TestUnknownNamesAreNotDropped(t *testing.T) {
	e := &encoder{}
	e.diffResponse(&sdk.DiffResponse{Changes: []sdk.FieldChange{{Path: "/a/b", Action: "explode"}}})
	if err := e.err(); err == nil || err.Error() != `the action at a.b "explode" is not one of the contract's` {
		t.Errorf("%v", err)
	}
}
