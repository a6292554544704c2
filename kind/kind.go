// Package kind holds named sets of things that wfctl chooses from by a word
// in a file: state backends, builders, providers. What ships is a printed
// table in package builtin; tests pass their own.
package kind

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Set is a table of T by name. The zero Set is empty and ready.
type Set[T any] struct {
	noun  string
	items map[string]T
}

// NewSet makes a set; noun names what it holds in errors: "state backend".
func NewSet[T any](noun string, items map[string]T) Set[T] {
	return Set[T]{noun: noun, items: maps.Clone(items)}
}

// Names lists the names, sorted.
func (s Set[T]) Names() []string { return slices.Sorted(maps.Keys(s.items)) }

// Get returns the item called name, or an *UnknownError.
func (s Set[T]) Get(name string) (T, error) {
	if item, ok := s.items[name]; ok {
		return item, nil
	}
	var zero T
	return zero, &UnknownError{Noun: s.noun, Name: name, Known: s.Names()}
}

// UnknownError says that a name is not in a set.
type UnknownError struct {
	Noun, Name string
	Known      []string
}

// Error names the thing and what exists.
func (e *UnknownError) Error() string {
	msg := fmt.Sprintf("unknown %s %q", e.Noun, e.Name)
	if s := Nearest(e.Name, e.Known); s != "" {
		return msg + fmt.Sprintf(": did you mean %q?", s)
	}
	if len(e.Known) == 0 {
		return msg
	}
	return msg + ": known are " + strings.Join(e.Known, ", ")
}

// Nearest returns the candidate closest to name by edit distance with
// transpositions, or "" where none is close enough to be a likely slip.
func Nearest(name string, candidates []string) string {
	best, limit := "", max(1, min(3, (len(name)+1)/3))
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

// distance is the optimal string alignment distance over bytes.
func distance(a, b string) int {
	var older []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], older[j-2]+1)
			}
		}
		older, prev = prev, cur
	}
	return prev[len(b)]
}
