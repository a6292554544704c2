// Package secret stands for the real one.
package secret

// Value is a secret.
type Value struct{ b []byte }

// Reveal gives it away.
func (v Value) Reveal() string { return string(v.b) }

// Use lends it.
func (v Value) Use(f func([]byte) error) error { return f(v.b) }

// Len does not.
func (v Value) Len() int { return len(v.Reveal()) }
