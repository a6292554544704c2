package sdk

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
)

// Mask is what a sensitive value prints as.
const Mask = "***MASKED***"

// Config is a JSON object together with what must be known about its leaves.
// It never prints its content: formatting it in any way gives a summary, for
// the object may hold secrets.
type Config struct {
	// JSON is the object; nil means an empty one.
	JSON json.RawMessage
	// Sensitive lists the paths of values that must not be shown or stored.
	Sensitive []Path
	// Unknown lists the paths of values that are null here because they are
	// known only after something else was applied.
	Unknown []Path
	// Opaque lists the paths of sensitive values that are present only as
	// a fingerprint: equal fingerprints mean equal values.
	Opaque []Path
}

// String gives a summary without content.
func (c Config) String() string {
	return fmt.Sprintf("config(%d bytes, %d sensitive, %d unknown)", len(c.JSON), len(c.Sensitive), len(c.Unknown))
}

// Format implements fmt.Formatter, so that no verb prints the content.
func (c Config) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(c.String())) }

// LogValue implements slog.LogValuer.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON refuses: a Config is sent field by field by who knows what to
// leave out, never by accident.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// Bytes returns the object, "{}" where it is empty.
func (c Config) Bytes() []byte {
	if len(c.JSON) == 0 {
		return []byte("{}")
	}
	return c.JSON
}

// IsSensitive tells whether the value at p, or one that holds it, is
// sensitive.
func (c Config) IsSensitive(p Path) bool { return covered(c.Sensitive, p) }

// IsUnknown tells whether the value at p, or one that holds it, is unknown.
func (c Config) IsUnknown(p Path) bool { return covered(c.Unknown, p) }

// IsOpaque tells whether the value at p, or one that holds it, is present
// only as a fingerprint.
func (c Config) IsOpaque(p Path) bool { return covered(c.Opaque, p) }

func covered(list []Path, p Path) bool {
	return slices.ContainsFunc(list, func(q Path) bool { return p.HasPrefix(q) })
}

// Output is one field that a provider reports of a resource. A sensitive one
// masks itself in every formatter and encoder; Reveal gives the value.
type Output struct {
	value     json.RawMessage
	sensitive bool
}

// Outputs are a resource's outputs by field name.
type Outputs map[string]Output

// Out makes an output of any value that encoding/json can encode. It panics
// on one that cannot be encoded, which is a mistake in the provider.
func Out(v any) Output {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sdk.Out: %T cannot be encoded", v))
	}
	return Output{value: b}
}

// SecretOut makes a sensitive output.
func SecretOut(v any) Output {
	o := Out(v)
	o.sensitive = true
	return o
}

// RawOutput makes an output from JSON as it is. The bytes are not copied.
func RawOutput(raw json.RawMessage, sensitive bool) Output {
	return Output{value: raw, sensitive: sensitive}
}

// Sensitive tells whether the value must not be shown.
func (o Output) Sensitive() bool { return o.sensitive }

// Reveal returns the JSON of the value, sensitive or not. Callers are the
// few places that must have it: requests to platforms, sinks, the
// environment of a child, and a person who asked for it.
func (o Output) Reveal() json.RawMessage { return o.value }

// WithSensitive returns the same value with another sensitivity.
func (o Output) WithSensitive(s bool) Output { o.sensitive = s; return o }

// Equal compares value and sensitivity, in constant time for equal lengths.
func (o Output) Equal(p Output) bool {
	return o.sensitive == p.sensitive && subtle.ConstantTimeCompare(compact(o.value), compact(p.value)) == 1
}

func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// String shows the JSON of the value, or the mask.
func (o Output) String() string {
	if o.sensitive {
		return Mask
	}
	return string(o.value)
}

// Format implements fmt.Formatter.
func (o Output) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(o.String())) }

// LogValue implements slog.LogValuer.
func (o Output) LogValue() slog.Value { return slog.StringValue(o.String()) }

// MarshalJSON encodes the value, or the mask.
func (o Output) MarshalJSON() ([]byte, error) {
	if o.sensitive {
		return json.Marshal(Mask)
	}
	if len(o.value) == 0 {
		return []byte("null"), nil
	}
	return o.value, nil
}

// Sensitive is a string that does not print itself.
type Sensitive struct{ value string }

// NewSensitive wraps s.
func NewSensitive(s string) Sensitive { return Sensitive{s} }

// Reveal returns the string. See [Output.Reveal] for who may call it.
func (s Sensitive) Reveal() string { return s.value }

// String returns the mask.
func (s Sensitive) String() string { return Mask }

// Format implements fmt.Formatter.
func (s Sensitive) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Mask)) }

// LogValue implements slog.LogValuer.
func (s Sensitive) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalJSON encodes the mask.
func (s Sensitive) MarshalJSON() ([]byte, error) { return json.Marshal(Mask) }

// MarshalText encodes the mask.
func (s Sensitive) MarshalText() ([]byte, error) { return []byte(Mask), nil }
