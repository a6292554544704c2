// Package sdk stands for the real one.
package sdk

// Output is an output.
type Output struct{ v []byte }

// Reveal gives it away.
func (o Output) Reveal() []byte { return o.v }

// Sensitive is a string.
type Sensitive struct{ s string }

// Reveal gives it away.
func (s *Sensitive) Reveal() string { return s.s }
