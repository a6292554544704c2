package wire

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// published holds every element that was ever in the protocol. Lines are
// added with `WFCTL_PUBLISH=add go test ./wire -run TestPublished`; none is
// changed or taken away.
const published = "testdata/published.txt"

// elements describes the protocol, a line for each name.
func elements() []string {
	var lines []string
	for _, file := range []protoreflect.FileDescriptor{
		pb.File_wfctl_provider_v1_options_proto, pb.File_wfctl_provider_v1_values_proto, pb.File_wfctl_provider_v1_schema_proto,
		pb.File_wfctl_provider_v1_resource_proto, pb.File_wfctl_provider_v1_optional_proto, pb.File_wfctl_provider_v1_provider_proto,
	} {
		for i := range file.Messages().Len() {
			lines = append(lines, fields(file.Messages().Get(i))...)
		}
		for i := range file.Enums().Len() {
			values := file.Enums().Get(i).Values()
			for j := range values.Len() {
				lines = append(lines, fmt.Sprintf("value %s = %d", values.Get(j).FullName(), values.Get(j).Number()))
			}
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				m := methods.Get(j)
				lines = append(lines, fmt.Sprintf("method %s (%s stream=%t) (%s stream=%t)", m.FullName(), m.Input().Name(), m.IsStreamingClient(), m.Output().Name(), m.IsStreamingServer()))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func fields(m protoreflect.MessageDescriptor) []string {
	lines := []string{"message " + string(m.FullName())}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		typ := f.Kind().String()
		switch {
		case f.Message() != nil && !f.IsMap():
			typ = string(f.Message().Name())
		case f.Enum() != nil:
			typ = string(f.Enum().Name())
		}
		line := fmt.Sprintf("field %s = %d %s %s", f.FullName(), f.Number(), f.Cardinality(), typ)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			line += " in " + string(o.Name())
		}
		lines = append(lines, line)
	}
	return lines
}

// A published element never changes: plugins of last year still speak to it.
func TestPublished(t *testing.T) {
	add := os.Getenv("WFCTL_PUBLISH") == "add"
	raw, err := os.ReadFile(published)
	if err != nil && !add {
		t.Fatal(err)
	}
	before, now := strings.Split(strings.TrimSpace(string(raw)), "\n"), elements()
	for _, line := range before {
		if line != "" && !slices.Contains(now, line) {
			t.Errorf("this was published and is gone or changed: %s", line)
		}
	}
	if slices.Equal(before, now) || t.Failed() {
		return
	}
	if !add {
		t.Fatal("the protocol has grown: WFCTL_PUBLISH=add go test ./wire -run TestPublished")
	}
	if err := os.WriteFile(published, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
