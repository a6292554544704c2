package secret

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// shortest is how long a form must be to be masked, in bytes: what is shorter
// stands in ordinary output too often. The filter of an automaton relies on it.
const shortest = 6

// automaton finds a set of patterns in a text in one pass (Aho and Corasick,
// 1975). It never changes once built. States are numbered; 0 is the root.
//
// A text that holds nothing of interest is skipped by a filter over the first
// six bytes of the patterns, so that the usual case costs about a nanosecond
// a byte; the automaton itself is entered at possible beginnings alone.
type automaton struct {
	root [256]uint32
	// The edges of state s are those in first[s]:first[s+1], by label.
	first []uint32
	label []byte
	to    []uint32
	// fail is the state of the longest proper suffix that is a prefix of
	// a pattern too; depth the length of a state's text.
	fail, depth []uint32
	// out is the length of the longest pattern that ends in the state.
	out []uint32

	filter []uint64
	shift  uint
}

// newAutomaton builds the automaton of patterns, each of at least `shortest`
// bytes. It sorts them in place.
func newAutomaton(patterns [][]byte) *automaton {
	slices.SortFunc(patterns, bytes.Compare)
	patterns = slices.CompactFunc(patterns, bytes.Equal)
	a := &automaton{}
	a.trie(patterns)
	a.links()
	a.screen(patterns)
	return a
}

// trie makes the states. A state's number is greater than its parent's, and
// the children of a state come in the order of their labels.
func (a *automaton) trie(patterns [][]byte) {
	size := 1
	for i, p := range patterns {
		size += len(p)
		if i > 0 {
			size -= common(patterns[i-1], p)
		}
	}
	parent, labels := make([]uint32, 1, size), make([]byte, 1, size)
	a.depth, a.out = make([]uint32, 1, size), make([]uint32, 1, size)
	path := []uint32{0} // states of the pattern before
	var before []byte
	for _, p := range patterns {
		n := common(before, p)
		path = path[:n+1]
		for _, c := range p[n:] {
			s := uint32(len(parent))
			parent, labels = append(parent, path[len(path)-1]), append(labels, c)
			path = append(path, s)
			a.depth, a.out = append(a.depth, uint32(len(path)-1)), append(a.out, 0)
		}
		a.out[path[len(p)]] = uint32(len(p))
		before = p
	}
	a.edges(parent, labels)
}

// edges turns "who is the parent" into "who are the children".
func (a *automaton) edges(parent []uint32, labels []byte) {
	n := len(parent)
	a.first = make([]uint32, n+1)
	for s := 1; s < n; s++ {
		a.first[parent[s]+1]++
	}
	for s := range n {
		a.first[s+1] += a.first[s]
	}
	a.label, a.to = make([]byte, n-1), make([]uint32, n-1)
	free := slices.Clone(a.first)
	for s := 1; s < n; s++ {
		e := free[parent[s]]
		free[parent[s]]++
		a.label[e], a.to[e] = labels[s], uint32(s)
	}
	for e := a.first[0]; e < a.first[1]; e++ {
		a.root[a.label[e]] = a.to[e]
	}
}

// links sets fail and out, nearest to the root first.
func (a *automaton) links() {
	a.fail = make([]uint32, len(a.depth))
	queue := make([]uint32, 0, len(a.depth))
	queue = append(queue, 0)
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		for e := a.first[s]; e < a.first[s+1]; e++ {
			t := a.to[e]
			if s != 0 {
				a.fail[t] = a.next(a.fail[s], a.label[e])
			}
			if a.out[t] == 0 {
				a.out[t] = a.out[a.fail[t]]
			}
			queue = append(queue, t)
		}
	}
}

// screen makes the filter: 32 to 64 bits for each pattern, from 512 bytes to
// a megabyte.
func (a *automaton) screen(patterns [][]byte) {
	size := min(max(bits.Len(uint(len(patterns)))+5, 12), 23)
	a.shift = uint(64 - size)
	a.filter = make([]uint64, 1<<(size-6))
	for _, p := range patterns {
		var head [8]byte
		copy(head[:shortest], p)
		h := a.hash(binary.LittleEndian.Uint64(head[:]))
		a.filter[h>>6] |= 1 << (h & 63)
	}
}

// hash looks at the first six of eight bytes.
func (a *automaton) hash(eight uint64) uint64 {
	return (eight << 16) * 0x9E3779B97F4A7C15 >> a.shift
}

// skip returns the first place at or after i where a pattern may begin.
func (a *automaton) skip(p []byte, i int) int {
	for ; i+8 <= len(p); i++ {
		h := a.hash(binary.LittleEndian.Uint64(p[i:]))
		if a.filter[h>>6]&(1<<(h&63)) != 0 {
			return i
		}
	}
	return i
}

// next is the state after one more byte.
func (a *automaton) next(s uint32, c byte) uint32 {
	for s != 0 {
		if t := a.child(s, c); t != 0 {
			return t
		}
		s = a.fail[s]
	}
	return a.root[c]
}

// child is the state that an edge leads to; 0 where there is none.
func (a *automaton) child(s uint32, c byte) uint32 {
	lo, hi := a.first[s], a.first[s+1]
	for hi-lo > 8 {
		if mid := (lo + hi) / 2; a.label[mid] <= c {
			lo = mid
		} else {
			hi = mid
		}
	}
	for ; lo < hi; lo++ {
		if a.label[lo] == c {
			return a.to[lo]
		}
	}
	return 0
}

// scan reads p from state s on and returns the state after it. At each place
// where a pattern ends it reports the longest.
//
// In a text that is much like the patterns (random letters, say) the state
// would hardly ever be the root again. So the filter is also asked when what
// is left of a candidate began elsewhere: at most five bytes are read twice.
func (a *automaton) scan(s uint32, p []byte, found func(end, length int)) uint32 {
	begin := -int(a.depth[s]) // of the present candidate
	for i := 0; i < len(p); {
		if s == 0 {
			if i = a.skip(p, i); i == len(p) {
				break
			}
			begin = i
		}
		s = a.next(s, p[i])
		i++
		if n := a.out[s]; n != 0 {
			found(i, int(n))
		}
		if at := i - int(a.depth[s]); at != begin {
			begin = at
			if i-at < shortest && at >= 0 && at+8 <= len(p) {
				s, i = 0, at
			}
		}
	}
	return s
}

// contains tells whether p is one of the patterns.
func (a *automaton) contains(p []byte) bool {
	s := uint32(0)
	for _, c := range p {
		if s = a.child(s, c); s == 0 {
			return false
		}
	}
	return a.out[s] == uint32(len(p))
}

// patterns lists what the automaton was made of.
func (a *automaton) patterns() [][]byte {
	text := make([]byte, 0, 64)
	var list [][]byte
	path := make([]byte, len(a.depth)) // label that leads to each state
	for e, t := range a.to {
		path[t] = a.label[e]
	}
	for s := 1; s < len(a.depth); s++ { // numbered in depth-first order
		text = append(text[:a.depth[s]-1], path[s])
		if a.out[s] == a.depth[s] {
			list = append(list, slices.Clone(text))
		}
	}
	return list
}

// size is what the automaton costs to build again.
func (a *automaton) size() int { return len(a.depth) }

// wipe makes the automaton unusable and clears the patterns from memory.
func (a *automaton) wipe() { clear(a.label) }

// common is the length of the longest common prefix.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
