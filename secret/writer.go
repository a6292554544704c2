package secret

import (
	"cmp"
	"io"
	"slices"
	"sync"
)

// A Writer masks what passes through it. What may be the beginning of
// a secret is held back until the next bytes tell, or until Flush. It may be
// used concurrently; each Write is one piece.
type Writer struct {
	redactor *Redactor
	to       io.Writer

	mu  sync.Mutex
	m   masking
	out []byte
}

// Writer wraps w.
func (r *Redactor) Writer(w io.Writer) *Writer { return &Writer{redactor: r, to: w} }

// Text masks a text that is whole, as a command does before it breaks or cuts
// it.
func (w *Writer) Text(s string) string { return w.redactor.Text(s) }

// Unwrap returns the writer beneath.
func (w *Writer) Unwrap() io.Writer { return w.to }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.m.use(w.redactor.current(len(p)))
	if err := w.put(w.m.feed(w.out[:0], p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what is held back: at the end, and where a person is asked
// something.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(w.m.finish(w.out[:0]))
}

// WriteRevealed writes p as it is, after all that was written before: a value
// that was asked for. What comes after it is masked again.
func (w *Writer) WriteRevealed(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.put(w.m.finish(w.out[:0])); err != nil {
		return err
	}
	_, err := w.to.Write(p)
	return err
}

func (w *Writer) put(out []byte) error {
	w.out = out[:0]
	if len(out) == 0 {
		return nil
	}
	_, err := w.to.Write(out)
	if cap(w.out) > 1<<20 {
		w.out = nil
	}
	return err
}

// span is a piece of a stream, from its beginning on.
type span struct{ from, to int64 }

// masking is the state of masking one stream.
type masking struct {
	automata []*automaton
	states   []uint32
	// held is what came and is not decided yet, from base on.
	held []byte
	base int64
	// spans are pieces to mask that are not written yet; up to covered the
	// last mask stands for everything, if there was one.
	spans   []span
	covered int64
	masked  bool
}

// use changes the automata. What is held back is read again with the new.
func (m *masking) use(automata []*automaton) {
	if slices.Equal(m.automata, automata) {
		return
	}
	m.automata, m.states = automata, make([]uint32, len(automata))
	m.scan(0)
}

// scan reads what is held from an offset on.
func (m *masking) scan(from int) {
	start := m.base + int64(from)
	for k, a := range m.automata {
		m.states[k] = a.scan(m.states[k], m.held[from:], func(end, length int) {
			to := start + int64(end)
			s := span{to - int64(length), to}
			for n := len(m.spans); n > 0 && m.spans[n-1].from >= s.from && m.spans[n-1].to <= s.to; n-- {
				m.spans = m.spans[:n-1]
			}
			m.spans = append(m.spans, s)
		})
	}
}

// feed takes more of the stream and appends to out what is decided.
func (m *masking) feed(out, p []byte) []byte {
	from := len(m.held)
	m.held = append(m.held, p...)
	m.scan(from)
	open := uint32(0)
	for k, a := range m.automata {
		open = max(open, a.depth[m.states[k]])
	}
	return m.release(out, len(m.held)-int(open))
}

// finish appends all that is held, as the end of the stream does. What
// follows a masked piece there and goes on as a secret would is masked with
// it: somebody has cut it off.
func (m *masking) finish(out []byte) []byte {
	end := m.base + int64(len(m.held))
	for k, a := range m.automata {
		for s := m.states[k]; a.depth[s] >= shortest; s = a.fail[s] {
			if from := end - int64(a.depth[s]); m.touched(from) {
				m.spans = append(m.spans, span{from, end})
				break
			}
		}
	}
	clear(m.states)
	out = m.release(out, len(m.held))
	m.masked = false
	return out
}

// touched tells whether a mask reaches a place.
func (m *masking) touched(at int64) bool {
	return m.masked && m.covered >= at || slices.ContainsFunc(m.spans, func(s span) bool { return s.from <= at && s.to >= at })
}

// release appends the first n held bytes, with masks.
func (m *masking) release(out []byte, n int) []byte {
	slices.SortFunc(m.spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	end := m.base + int64(n)
	at := m.base
	if m.masked {
		at = max(at, m.covered)
	}
	done := 0
	for _, s := range m.spans {
		if s.from >= end {
			break
		}
		done++
		if !m.masked || s.from > m.covered {
			out = append(out, m.held[at-m.base:s.from-m.base]...)
			out = append(out, Mask...)
			m.masked, m.covered = true, s.to
		}
		m.covered = max(m.covered, s.to)
		at = max(at, m.covered)
	}
	if at < end {
		out = append(out, m.held[at-m.base:n]...)
	}
	m.spans = slices.Delete(m.spans, 0, done)
	m.held = m.held[:copy(m.held, m.held[n:])]
	m.base = end
	return out
}
