package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SchemaFor makes the JSON Schema (draft 2020-12) of a configuration from a Go
// struct. Names and omissions come from `json` tags; embedded structs are
// flattened. Further tags on a field:
//
//	wfctl:"required,immutable,sensitive,computed,writeonly"
//	default:"5"  enum:"a,b"  format:"duration"  doc:"what it is"
//	min:"1"  max:"65535"  pattern:"^[a-z]+$"  example:"nyc3"
//
// Supported are strings, booleans, numbers, slices, maps with string keys,
// structs, pointers to these, json.RawMessage (anything), and time.Duration
// (a string such as "30s", through [Duration]).
func SchemaFor[T any]() (json.RawMessage, error) {
	node, err := schemaOf(reflect.TypeFor[T](), nil)
	if err != nil {
		return nil, err
	}
	node["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	return json.Marshal(node)
}

// MustSchema is [SchemaFor] for a type that is known to have a schema; it
// panics for another, which is a mistake in the provider.
func MustSchema[T any]() json.RawMessage {
	schema, err := SchemaFor[T]()
	if err != nil {
		panic(err)
	}
	return schema
}

// Decode reads a configuration into a struct of the kind that [SchemaFor]
// takes. A field that is unknown, of a wrong type, or required and missing is
// an error of [CodeInvalid] with its path. Values that are not known, or known
// only by fingerprint, are left at their zero. Defaults are filled in.
func Decode[T any](c Config) (T, error) {
	var out T
	var doc any
	if err := json.Unmarshal(c.Bytes(), &doc); err != nil {
		return out, Errorf(CodeInvalid, "the configuration is not JSON: %v", err)
	}
	d := decoder{config: c}
	doc, err := d.check(reflect.TypeFor[T](), doc, "")
	if err != nil {
		return out, err
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return out, Errorf(CodeInternal, "encode the configuration: %v", err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, Errorf(CodeInvalid, "the configuration does not fit: %v", err)
	}
	return out, nil
}

// Duration is a time.Duration that is written as "30s".
type Duration time.Duration

// UnmarshalJSON reads "30s".
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("a duration is a string such as \"30s\"")
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// MarshalJSON writes "30s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

var (
	rawType      = reflect.TypeFor[json.RawMessage]()
	durationType = reflect.TypeFor[Duration]()
)

// field is one member of a struct as its tags describe it.
type field struct {
	name     string
	typ      reflect.Type
	tag      reflect.StructTag
	required bool
}

// fieldsOf lists the members of a struct, those of embedded ones in place.
// An outer field hides an embedded one of the same name.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			for _, inner := range fieldsOf(f.Type) {
				if !slices.ContainsFunc(fields, func(o field) bool { return o.name == inner.name }) {
					fields = append(fields, inner)
				}
			}
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		fields = slices.DeleteFunc(fields, func(o field) bool { return o.name == name })
		fields = append(fields, field{name, f.Type, f.Tag, hasFlag(f.Tag, "required")})
	}
	return fields
}

func hasFlag(tag reflect.StructTag, flag string) bool {
	return slices.Contains(strings.Split(tag.Get("wfctl"), ","), flag)
}

// schemaOf makes the schema of a type. A type that holds itself is an error.
func schemaOf(t reflect.Type, above []reflect.Type) (map[string]any, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == rawType || t.Kind() == reflect.Interface:
		return map[string]any{}, nil
	case t == durationType:
		return map[string]any{"type": "string", "format": "duration-go", "pattern": `^[0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h)([0-9.]+(ns|us|µs|ms|s|m|h))*$`}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}, nil
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer"}, nil
	case reflect.Slice:
		items, err := schemaOf(t.Elem(), above)
		return map[string]any{"type": "array", "items": items}, err
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("sdk.SchemaFor: %s: a map has string keys", t)
		}
		values, err := schemaOf(t.Elem(), above)
		return map[string]any{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		if slices.Contains(above, t) {
			return nil, fmt.Errorf("sdk.SchemaFor: %s holds itself", t)
		}
		return schemaOfStruct(t, append(above, t))
	}
	return nil, fmt.Errorf("sdk.SchemaFor: %s has no JSON Schema", t)
}

func schemaOfStruct(t reflect.Type, above []reflect.Type) (map[string]any, error) {
	properties, required := map[string]any{}, []string{}
	for _, f := range fieldsOf(t) {
		node, err := schemaOf(f.typ, above)
		if err != nil {
			return nil, fmt.Errorf("%w (field %s)", err, f.name)
		}
		if err := annotate(node, f); err != nil {
			return nil, fmt.Errorf("sdk.SchemaFor: field %s of %s: %w", f.name, t, err)
		}
		properties[f.name] = node
		if f.required {
			required = append(required, f.name)
		}
	}
	node := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		node["required"] = required
	}
	return node, nil
}

// annotate adds what the tags of a field say.
func annotate(node map[string]any, f field) error {
	for flag, keyword := range map[string]string{"immutable": "x-immutable", "sensitive": "x-sensitive", "computed": "x-computed", "writeonly": "x-write-only"} {
		if hasFlag(f.tag, flag) {
			node[keyword] = true
		}
	}
	for tag, keyword := range map[string]string{"doc": "description", "format": "format", "pattern": "pattern"} {
		if v := f.tag.Get(tag); v != "" {
			node[keyword] = v
		}
	}
	if v := f.tag.Get("enum"); v != "" {
		values := []any{}
		for _, s := range strings.Split(v, ",") {
			values = append(values, s)
		}
		node["enum"] = values
	}
	for tag, keyword := range map[string]string{"min": "minimum", "max": "maximum"} {
		if v := f.tag.Get(tag); v != "" {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return err
			}
			node[keyword] = n
		}
	}
	for tag, add := range map[string]func(any){
		"default": func(v any) { node["default"] = v },
		"example": func(v any) { node["examples"] = []any{v} },
	} {
		if text, ok := f.tag.Lookup(tag); ok {
			value, err := defaultValue(f.typ, text)
			if err != nil {
				return err
			}
			add(value)
		}
	}
	return nil
}

// defaultValue reads a value of the field's type from a tag.
func defaultValue(t reflect.Type, text string) (any, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.String || t == durationType {
		return text, nil
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("default %q: %w", text, err)
	}
	return v, nil
}

// decoder checks a document against a type before it is unmarshalled.
type decoder struct{ config Config }

func (d *decoder) hidden(p Path) bool { return d.config.IsUnknown(p) || d.config.IsOpaque(p) }

// check returns the document without what is not known, with defaults filled
// in, or says where it does not fit.
func (d *decoder) check(t reflect.Type, v any, at Path) (any, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v == nil || d.hidden(at) || t == rawType || t.Kind() == reflect.Interface {
		return v, nil
	}
	if t == durationType {
		s, ok := v.(string)
		if _, err := time.ParseDuration(s); !ok || err != nil {
			return nil, misfit(at, "a duration such as \"30s\"", v)
		}
		return v, nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return d.checkStruct(t, v, at)
	case reflect.Map:
		return d.checkMap(t, v, at)
	case reflect.Slice:
		return d.checkSlice(t, v, at)
	}
	return v, scalar(t, v, at)
}

func (d *decoder) checkStruct(t reflect.Type, v any, at Path) (any, error) {
	members, ok := v.(map[string]any)
	if !ok {
		return nil, misfit(at, "an object", v)
	}
	fields := fieldsOf(t)
	for name := range members {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			return nil, unknownField(at, name, fields)
		}
	}
	for _, f := range fields {
		p := at.Child(f.name)
		sub, there := members[f.name]
		switch {
		case d.hidden(p):
			delete(members, f.name)
		case !there || sub == nil:
			if f.required {
				return nil, &Error{Code: CodeInvalid, Path: p, Message: fmt.Sprintf("%s is missing", p.Dotted())}
			}
			if text, ok := f.tag.Lookup("default"); ok {
				value, err := defaultValue(f.typ, text)
				if err != nil {
					return nil, err
				}
				members[f.name] = value
			}
		default:
			value, err := d.check(f.typ, sub, p)
			if err != nil {
				return nil, err
			}
			if err := inEnum(f, value, p); err != nil {
				return nil, err
			}
			members[f.name] = value
		}
	}
	return members, nil
}

func (d *decoder) checkMap(t reflect.Type, v any, at Path) (any, error) {
	members, ok := v.(map[string]any)
	if !ok {
		return nil, misfit(at, "an object", v)
	}
	for name, sub := range members {
		p := at.Child(name)
		if d.hidden(p) {
			delete(members, name)
			continue
		}
		value, err := d.check(t.Elem(), sub, p)
		if err != nil {
			return nil, err
		}
		members[name] = value
	}
	return members, nil
}

func (d *decoder) checkSlice(t reflect.Type, v any, at Path) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, misfit(at, "a list", v)
	}
	for i := range items {
		if d.hidden(at.Index(i)) {
			items[i] = nil
			continue
		}
		value, err := d.check(t.Elem(), items[i], at.Index(i))
		if err != nil {
			return nil, err
		}
		items[i] = value
	}
	return items, nil
}

func scalar(t reflect.Type, v any, at Path) error {
	switch t.Kind() {
	case reflect.String:
		if _, ok := v.(string); !ok {
			return misfit(at, "a string", v)
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			return misfit(at, "true or false", v)
		}
	case reflect.Float32, reflect.Float64:
		if _, ok := v.(float64); !ok {
			return misfit(at, "a number", v)
		}
	default:
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			return misfit(at, "a whole number", v)
		}
	}
	return nil
}

func inEnum(f field, v any, at Path) error {
	allowed := f.tag.Get("enum")
	s, ok := v.(string)
	if allowed == "" || !ok || slices.Contains(strings.Split(allowed, ","), s) {
		return nil
	}
	return &Error{Code: CodeInvalid, Path: at, Message: fmt.Sprintf("%s is %q; it is one of %s", at.Dotted(), s, strings.ReplaceAll(allowed, ",", ", "))}
}

func misfit(at Path, want string, v any) error {
	name := at.Dotted()
	if name == "" {
		name = "the configuration"
	}
	got := map[bool]string{true: "null"}[v == nil]
	switch v.(type) {
	case string:
		got = "a string"
	case bool:
		got = "a boolean"
	case float64:
		got = "a number"
	case []any:
		got = "a list"
	case map[string]any:
		got = "an object"
	}
	return &Error{Code: CodeInvalid, Path: at, Message: fmt.Sprintf("%s is %s; it must be %s", name, got, want)}
}

func unknownField(at Path, name string, fields []field) error {
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
	}
	slices.Sort(known)
	p := at.Child(name)
	return (&Error{Code: CodeInvalid, Path: p, Message: fmt.Sprintf("unknown field %s", p.Dotted())}).
		WithHint("known are " + strings.Join(known, ", "))
}
