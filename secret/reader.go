package secret

import "io"

// Reader masks what is read from r. Like a [Writer] it holds back what may be
// the beginning of a secret.
func (r *Redactor) Reader(from io.Reader) io.Reader {
	return &reader{redactor: r, from: from, in: make([]byte, 32<<10)}
}

type reader struct {
	redactor *Redactor
	from     io.Reader
	m        masking
	in       []byte
	// out is decided and not read yet; err ends the stream after it.
	out []byte
	err error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		var n int
		n, r.err = r.from.Read(r.in)
		r.m.use(r.redactor.current(n))
		r.out = r.m.feed(r.out[:0], r.in[:n])
		if r.err != nil {
			r.out = r.m.finish(r.out)
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}
