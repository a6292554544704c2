// Package lazyregexp compiles regular expressions when they are first used:
// a command that needs none does not pay for them as it starts.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns what compiles expr at its first call, once, and panics then if
// it is wrong: every expression must be met by a test.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
