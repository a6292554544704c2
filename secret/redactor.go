package secret

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
)

// Redactor knows secrets and masks them, and what can be derived from them
// (see [Forms]), in whatever is written through it. Secrets may be added at
// any time and from any goroutine; they hold for all that is written from
// then on. The zero Redactor and a nil one know none.
//
// Where the forms of several secrets touch or overlap, one mask stands for
// them all; so the longest wins, and no end of one shows behind another.
type Redactor struct {
	mu sync.Mutex
	// seen are the values that were added, as hashes.
	seed maphash.Seed
	seen map[uint64]bool
	// fresh are forms that no automaton knows yet.
	fresh [][]byte
	// automata are a few, the older the larger: a new secret costs what is
	// as new as itself, not all that is known.
	automata []*automaton
	// read is how many bytes were read with the present automata.
	read int
}

// NewRedactor makes a redactor that knows no secret.
func NewRedactor() *Redactor { return &Redactor{} }

// Add makes a value known. It reports false for one that is too short to be
// masked (under six bytes): it would stand in ordinary output as well.
func (r *Redactor) Add(v Value) bool {
	if r == nil || v.IsEmpty() {
		return true
	}
	sum := r.digest(v)
	if r.knows(sum) {
		return v.long()
	}
	var forms [][]byte
	_ = v.Use(func(b []byte) error { forms = Forms(b); return nil })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range forms {
		if !slices.ContainsFunc(r.automata, func(a *automaton) bool { return a.contains(f) }) {
			r.fresh = append(r.fresh, f)
		}
	}
	r.seen[sum] = true
	return v.long()
}

// long tells whether the value can be told from ordinary output.
func (v Value) long() bool {
	var long bool
	_ = v.Use(func(b []byte) error { long = len(bytes.TrimSpace(b)) >= shortest; return nil })
	return long
}

// digest stands for a value in r.seen: a hash with a seed of this process.
func (r *Redactor) digest(v Value) uint64 {
	r.mu.Lock()
	if r.seen == nil {
		r.seed, r.seen = maphash.MakeSeed(), map[uint64]bool{}
	}
	seed := r.seed
	r.mu.Unlock()
	var sum uint64
	_ = v.Use(func(b []byte) error { sum = maphash.Bytes(seed, b); return nil })
	return sum
}

func (r *Redactor) knows(sum uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[sum]
}

// current returns the automata of all that is known, to read n bytes with.
func (r *Redactor) current(n int) []*automaton {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read += n
	if len(r.fresh) > 0 {
		r.compile(len(r.automata))
	} else if len(r.automata) > 1 && r.read > 4*r.size() {
		r.compile(0) // so much was read with several that one is worth its price
	}
	return r.automata
}

// compile makes one automaton of what is fresh, of those that are not much
// larger, and of all from the given place on. Writers hold the old slice.
func (r *Redactor) compile(from int) {
	patterns, n := r.fresh, 0
	for _, f := range r.fresh {
		n += len(f)
	}
	kept := len(r.automata)
	for kept > 0 && (kept > from || r.automata[kept-1].size() < 4*n) {
		kept--
		patterns, n = append(patterns, r.automata[kept].patterns()...), n+r.automata[kept].size()
	}
	r.automata = append(slices.Clone(r.automata[:kept]), newAutomaton(patterns))
	r.fresh, r.read = nil, 0
}

func (r *Redactor) size() int {
	n := 0
	for _, a := range r.automata {
		n += a.size()
	}
	return n
}

// Text masks a text that is whole.
func (r *Redactor) Text(s string) string {
	if len(s) < shortest {
		return s
	}
	automata := r.current(len(s))
	if len(automata) == 0 {
		return s
	}
	m := masking{}
	m.use(automata)
	out := m.feed(nil, []byte(s))
	return string(m.finish(out))
}

// Wipe forgets everything and clears it from memory. Nothing may be written
// at the same time.
func (r *Redactor) Wipe() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.fresh {
		clear(f)
	}
	for _, a := range r.automata {
		a.wipe()
	}
	r.fresh, r.automata = nil, nil
	clear(r.seen)
}
