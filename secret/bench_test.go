package secret

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// secrets are random values as platforms make them.
func secrets(n int) []string {
	rnd := rand.New(rand.NewPCG(1, 2))
	list := make([]string, n)
	for i := range list {
		b := make([]byte, 24)
		for k := range b {
			b[k] = byte(rnd.Uint32())
		}
		list[i] = base64.StdEncoding.EncodeToString(b)
	}
	return list
}

// output is a mebibyte of what a build or a plan prints, one line in fifty
// with a secret in it.
func output(secrets []string) []byte {
	rnd := rand.New(rand.NewPCG(3, 4))
	var out []byte
	for i := 0; len(out) < 1<<20; i++ {
		out = fmt.Appendf(out, "2026-11-24T10:%02d:%02dZ web-%d GET /entries?page=%d 200 in %dms from 10.0.%d.%d\n", i/60%60, i%60, i%7, i, rnd.IntN(400), rnd.IntN(256), rnd.IntN(256))
		if len(secrets) > 0 && i%50 == 0 {
			out = fmt.Appendf(out, "connect to postgres://app:%s@db:5432/app\n", secrets[rnd.IntN(len(secrets))])
		}
	}
	return out
}

func BenchmarkRedact(b *testing.B) {
	for _, n := range []int{0, 1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("secrets=%d", n), func(b *testing.B) {
			list := secrets(n)
			r, _ := redactorOf(list...)
			benchmark(b, r, output(list), 32<<10)
		})
	}
	list := secrets(1000)
	b.Run("secrets=1000/lines", func(b *testing.B) {
		r, _ := redactorOf(list...)
		benchmark(b, r, output(list), 80)
	})
	b.Run("secrets=1000/one-by-one", func(b *testing.B) {
		r := NewRedactor()
		for _, v := range list {
			r.Add(FromString(v))
			r.current(0)
		}
		benchmark(b, r, output(list), 32<<10)
	})
	b.Run("secrets=1000/random-text", func(b *testing.B) {
		r, _ := redactorOf(list...)
		rnd := rand.New(rand.NewPCG(5, 6))
		text := make([]byte, 0, 1<<20)
		for len(text) < 1<<20 {
			text = base64.StdEncoding.AppendEncode(text, []byte{byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())})
		}
		benchmark(b, r, text, 32<<10)
	})
	b.Run("worst", func(b *testing.B) { // nearly the secret, all the time
		long := make([]byte, 64<<10)
		text := make([]byte, 1<<20)
		for i := range long {
			long[i] = 'a'
		}
		for i := range text {
			text[i] = 'a'
		}
		long[len(long)-1] = 'b'
		r, _ := redactorOf(string(long))
		benchmark(b, r, text, 32<<10)
	})
}

func benchmark(b *testing.B, r *Redactor, text []byte, piece int) {
	w := r.Writer(io.Discard)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := text; len(rest) > 0; {
			n := min(piece, len(rest))
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
	}
}

// BenchmarkLearn is the cost of a secret that becomes known.
func BenchmarkLearn(b *testing.B) {
	list := secrets(1000)
	b.Run("at-once", func(b *testing.B) {
		for b.Loop() {
			r, _ := redactorOf(list...)
			r.current(0)
		}
	})
	b.Run("one-by-one", func(b *testing.B) {
		for b.Loop() {
			r := NewRedactor()
			for _, v := range list {
				r.Add(FromString(v))
				r.current(0)
			}
		}
	})
}
