// Package secret holds what must not be seen: Value, which masks itself in
// every formatter and encoder; Redactor, which masks known values in whatever
// is written; and Sink, a store that secrets are handed to. It does no I/O;
// the sinks themselves are its sub-packages.
package secret

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
)

// Mask is what a secret prints as.
const Mask = "***MASKED***"

// Value is a secret. It prints as [Mask] in every formatter and encoder, and
// copies share one memory, so that Wipe reaches them all. The zero Value is
// empty.
//
// The bytes lie behind a function and not in a field: a formatter that walks
// unexported fields by reflection finds no way to them, and `==` does not
// compile, so that nobody compares in a time that tells.
type Value struct{ hold func() *holder }

// holder is the memory that copies of a Value share.
type holder struct {
	mu sync.RWMutex
	b  []byte
}

// New makes a secret of bytes, which it takes over: Wipe clears them.
func New(b []byte) Value {
	if len(b) == 0 {
		return Value{}
	}
	h := &holder{b: b}
	return Value{hold: func() *holder { return h }}
}

// FromString makes a secret of a string. The string itself cannot be wiped.
func FromString(s string) Value { return New([]byte(s)) }

// Use lends the bytes to f. They must not be kept or changed.
func (v Value) Use(f func([]byte) error) error {
	if v.hold == nil {
		return f(nil)
	}
	h := v.hold()
	h.mu.RLock()
	defer h.mu.RUnlock()
	return f(h.b)
}

// Reveal returns the plaintext. Callers are the few places that must have it
// (requests to platforms, sinks, the environment of a child, and a person who
// asked for it); internal/revealcheck holds the tree to a list of them.
func (v Value) Reveal() string {
	var s string
	_ = v.Use(func(b []byte) error { s = string(b); return nil })
	return s
}

// Len is the length in bytes.
func (v Value) Len() int {
	var n int
	_ = v.Use(func(b []byte) error { n = len(b); return nil })
	return n
}

// IsEmpty tells whether there is nothing in it, or nothing any more.
func (v Value) IsEmpty() bool { return v.Len() == 0 }

// Wipe clears the memory. Copies of the Value are empty afterwards, too.
func (v Value) Wipe() {
	if v.hold == nil {
		return
	}
	h := v.hold()
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.b)
	h.b = nil
}

// Equal compares in a time that depends on the lengths alone.
func (v Value) Equal(w Value) bool {
	if v.hold == nil || w.hold == nil {
		return v.IsEmpty() && w.IsEmpty()
	}
	if v.hold() == w.hold() {
		return true // one memory; also, it is never locked twice
	}
	var same bool
	_ = v.Use(func(a []byte) error {
		return w.Use(func(b []byte) error { same = subtle.ConstantTimeCompare(a, b) == 1; return nil })
	})
	return same
}

// Fingerprint is what keyed, a keyed hash, makes of the bytes.
func (v Value) Fingerprint(keyed func([]byte) string) string {
	var s string
	_ = v.Use(func(b []byte) error { s = keyed(b); return nil })
	return s
}

// String returns the mask.
func (v Value) String() string { return Mask }

// GoString returns the mask.
func (v Value) GoString() string { return Mask }

// Format implements fmt.Formatter: every verb prints the mask.
func (v Value) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(Mask)) }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalJSON encodes the mask.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(Mask) }

// MarshalText encodes the mask, for XML, CSV, TOML and map keys.
func (v Value) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// MarshalYAML encodes the mask; the interface is that of go.yaml.in/yaml.
func (v Value) MarshalYAML() (any, error) { return Mask, nil }

// GobEncode encodes the mask.
func (v Value) GobEncode() ([]byte, error) { return []byte(Mask), nil }

// UnmarshalText reads a secret, so that options can have fields of this type.
func (v *Value) UnmarshalText(text []byte) error {
	*v = New(append([]byte(nil), text...))
	return nil
}
