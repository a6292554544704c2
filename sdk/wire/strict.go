package wire

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// strict refuses messages that a lenient reader would half understand: one
// with a field or enumeration value that this side does not know, or without
// a field that the contract requires.
type strict struct {
	// required holds the required fields by message descriptor.
	required sync.Map
}

// check names the first thing wrong with a message.
func (s *strict) check(method string, m proto.Message) error {
	at, what := s.message(m.ProtoReflect(), "")
	if what == "" {
		return nil
	}
	if at == "" {
		at = "the message"
	}
	return sdk.Errorf(sdk.CodeInvalid, "%s: %s %s", method, at, what)
}

func (s *strict) message(m protoreflect.Message, at string) (string, string) {
	if raw := m.GetUnknown(); len(raw) > 0 {
		return at, fmt.Sprintf("has field number %d, which is not in protocol %d", fieldNumber(raw), newest)
	}
	for _, f := range s.requiredOf(m.Descriptor()) {
		if !m.Has(f) {
			return join(at, f), "is missing"
		}
	}
	var where, what string
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		where, what = s.field(f, v, join(at, f))
		return what == ""
	})
	return where, what
}

func (s *strict) field(f protoreflect.FieldDescriptor, v protoreflect.Value, at string) (string, string) {
	switch {
	case f.IsMap():
		return "", "" // of texts alone
	case !f.IsList():
		return s.value(f, v, at)
	case f.Message() == nil && f.Enum() == nil:
		return "", ""
	}
	list := v.List()
	for i := range list.Len() {
		if where, what := s.value(f, list.Get(i), fmt.Sprintf("%s[%d]", at, i)); what != "" {
			return where, what
		}
	}
	return "", ""
}

func (s *strict) value(f protoreflect.FieldDescriptor, v protoreflect.Value, at string) (string, string) {
	if f.Message() != nil {
		return s.message(v.Message(), at)
	}
	if e := f.Enum(); e != nil && e.Values().ByNumber(v.Enum()) == nil {
		return at, fmt.Sprintf("is %d, which is not in protocol %d", v.Enum(), newest)
	}
	return "", ""
}

func (s *strict) requiredOf(d protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	if known, ok := s.required.Load(d.FullName()); ok {
		return known.([]protoreflect.FieldDescriptor)
	}
	var fields []protoreflect.FieldDescriptor
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if need, _ := proto.GetExtension(f.Options(), pb.E_Required).(bool); need {
			fields = append(fields, f)
		}
	}
	s.required.Store(d.FullName(), fields)
	return fields
}

func join(at string, f protoreflect.FieldDescriptor) string {
	if at == "" {
		return string(f.Name())
	}
	return at + "." + string(f.Name())
}

// fieldNumber reads the number of the first unknown field.
func fieldNumber(raw protoreflect.RawFields) uint64 {
	var tag uint64
	for i, b := range raw {
		tag |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 || i > 8 {
			break
		}
	}
	return tag >> 3
}
