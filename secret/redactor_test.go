package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// naive masks by looking for each form at each place; what touches becomes
// one mask.
func naive(text []byte, forms [][]byte) string {
	hide := make([]bool, len(text)+1)
	for _, f := range forms {
		for i := 0; i+len(f) <= len(text); i++ {
			if bytes.Equal(text[i:i+len(f)], f) {
				for k := range f {
					hide[i+k] = true
				}
			}
		}
	}
	cutOff(text, forms, hide)
	var out strings.Builder
	for i, c := range text {
		switch {
		case !hide[i]:
			out.WriteByte(c)
		case i == 0 || !hide[i-1]:
			out.WriteString(Mask)
		}
	}
	return out.String()
}

// cutOff hides the beginning of a form at the end that follows what is hidden.
func cutOff(text []byte, forms [][]byte, hide []bool) {
	for from := max(len(text)-len(longest(forms)), 1); from+shortest <= len(text); from++ {
		begins := slices.ContainsFunc(forms, func(f []byte) bool { return bytes.HasPrefix(f, text[from:]) })
		if begins && hide[from-1] {
			for i := from; i < len(text); i++ {
				hide[i] = true
			}
			return
		}
	}
}

func longest(list [][]byte) []byte {
	var l []byte
	for _, b := range list {
		if len(b) > len(l) {
			l = b
		}
	}
	return l
}

func redactorOf(values ...string) (*Redactor, [][]byte) {
	r := NewRedactor()
	var forms [][]byte
	for _, v := range values {
		r.Add(FromString(v))
		forms = append(forms, Forms([]byte(v))...)
	}
	return r, forms
}

// written passes a text in pieces.
func written(t testing.TB, r *Redactor, pieces ...[]byte) string {
	t.Helper()
	var out bytes.Buffer
	w := r.Writer(&out)
	for _, p := range pieces {
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMasksForms(t *testing.T) {
	const password = `p@ss/w"rd 'é'&<1>`
	const key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n"
	dsn := "postgres://app:" + url.QueryEscape("s3cr3t:pw") + "@db.example.com:5432/app?sslmode=require"
	doc := `{"user": "appuser", "nested": {"password": "leaf-of-json"}, "n": 12345678}`
	const kubeconfig = "clusters:\n- cluster:\n    server: https://k8s.example.com\n  name: web-cluster\nusers:\n- name: admin\n  user:\n    client-key-data: TFMwdExTMUNSVWRKVGc9PQ==\n    token: dop_v1_8a6b\n"
	r, _ := redactorOf(password, key, dsn, doc, kubeconfig)
	for name, text := range map[string]string{
		"itself":           password,
		"query":            url.QueryEscape(password),
		"path":             url.PathEscape(password),
		"encodeURI":        strings.ReplaceAll(url.QueryEscape(password), "+", "%20"),
		"lower":            lowerHex(url.QueryEscape(password)),
		"json":             jsonText(password, true),
		"json plain":       jsonText(password, false),
		"ascii":            asciiJSON(password),
		"go":               fmt.Sprintf("%q", password),
		"shell":            strings.ReplaceAll(password, "'", `'\''`),
		"html":             "p@ss/w&#34;rd &#39;é&#39;&amp;&lt;1&gt;",
		"basic auth":       base64.StdEncoding.EncodeToString([]byte("user:" + password)),
		"basic auth 2":     base64.StdEncoding.EncodeToString([]byte("user2:" + password + "\n")),
		"basic auth 3":     base64.URLEncoding.EncodeToString([]byte("user03:" + password)),
		"a line":           "MIIEvQIBADANBgkqhkiG9w0BAQEF",
		"json of key":      jsonText(key, false),
		"password of url":  "s3cr3t:pw",
		"encoded password": "s3cr3t%3Apw",
		"leaf":             "leaf-of-json",
		"number":           "12345678",
		"yaml":             "dop_v1_8a6b",
		"yaml base64":      "TFMwdExTMUNSVWRKVGc9PQ==",
		"hex":              fmt.Sprintf("%x", password),
		"HEX":              fmt.Sprintf("%X", password),
	} {
		got := r.Text("<" + text + ">")
		if strings.Contains(got, text) || !strings.Contains(got, Mask) {
			t.Errorf("%s: %q became %q", name, text, got)
		}
		if strings.HasPrefix(name, "basic") {
			continue
		}
		if name != "go" && got != "<"+Mask+">" {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
	for _, plain := range []string{"-----BEGIN PRIVATE KEY-----", "true", "{", "}", "", "db.example.com", "nested", "cluster:", "- cluster:", "web-cluster", "clusters:"} {
		if got := r.Text(plain); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
}

func TestLeavesOrdinaryOutputAlone(t *testing.T) {
	r := NewRedactor()
	for _, short := range []string{"", "{", "true", "null", "12345", "prod", "     ", "\n\n\n\n\n\n\n", "  ab  "} {
		if long := r.Add(FromString(short)); long && short != "" {
			t.Errorf("%q is not reported as too short", short)
		}
	}
	r.Add(FromString("[\n  {\n  }\n]"))
	const text = "{\"true\": 12345, \"prod\": null}      \n\n\n\n\n\n\n\n}"
	if got := r.Text(text); got != text {
		t.Errorf("became %q", got)
	}
}

func TestLongestWins(t *testing.T) {
	r, _ := redactorOf("secret-a", "secret-a-and-more", "more-overlaps")
	for in, want := range map[string]string{
		"x secret-a y":                     "x " + Mask + " y",
		"x secret-a-and-more y":            "x " + Mask + " y",
		"x secret-a-and-mor y":             "x " + Mask + "-and-mor y",
		"x secret-a-and-more-overlaps y":   "x " + Mask + " y",
		"x secret-asecret-a y":             "x " + Mask + " y",
		"x secret-a secret-a-and-more y\n": "x " + Mask + " " + Mask + " y\n",
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
		for i := range len(in) {
			if got := written(t, r, []byte(in[:i]), []byte(in[i:])); got != want {
				t.Errorf("%q cut at %d became %q", in, i, got)
			}
		}
	}
}

func TestHoldsBackNoMoreThanItMust(t *testing.T) {
	r, _ := redactorOf("secret-value")
	var out bytes.Buffer
	w := r.Writer(&out)
	_, _ = w.Write([]byte("Do this? "))
	if out.String() != "Do this? " {
		t.Errorf("a prompt is held back: %q", out.String())
	}
	_, _ = w.Write([]byte("secret-"))
	if out.String() != "Do this? " {
		t.Errorf("the beginning of a secret was written: %q", out.String())
	}
	_, _ = w.Write([]byte("free\n"))
	if out.String() != "Do this? secret-free\n" {
		t.Errorf("%q", out.String())
	}
	_, _ = w.Write([]byte("secret-va"))
	if err := w.Flush(); err != nil || out.String() != "Do this? secret-free\nsecret-va" {
		t.Errorf("%v %q", err, out.String())
	}
}

// A secret that becomes known while its beginning is held is masked, too.
func TestAddWhileWriting(t *testing.T) {
	r, _ := redactorOf("secret-value")
	var out bytes.Buffer
	w := r.Writer(&out)
	_, _ = w.Write([]byte("x secret-"))
	r.Add(FromString("secret-later"))
	_, _ = w.Write([]byte("later y "))
	r.Add(FromString("another-one"))
	_, _ = w.Write([]byte("another-one"))
	_ = w.Flush()
	if want := "x " + Mask + " y " + Mask; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

// A key that was cut off is masked as far as it goes.
func TestCutOff(t *testing.T) {
	key := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 10)
	r, _ := redactorOf(key)
	for n := 38; n < len(key); n++ {
		got := r.Text("key: " + key[:n])
		if left := strings.TrimPrefix(got, "key: "+Mask); len(left) >= shortest {
			t.Fatalf("%d bytes of it became %q", n, got)
		}
	}
	if got := r.Text("…" + key[40:]); !strings.HasSuffix(got, Mask) || len(got) > 50 {
		t.Errorf("its end became %q", got)
	}
}

func TestRevealed(t *testing.T) {
	r, _ := redactorOf("secret-one", "secret-two")
	var out bytes.Buffer
	w := r.Writer(&out)
	_, _ = w.Write([]byte("a: secret-two "))
	_ = w.WriteRevealed([]byte("secret-one"))
	_, _ = w.Write([]byte(" b: secret-one\n"))
	if want := "a: " + Mask + " secret-one b: " + Mask + "\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestReader(t *testing.T) {
	r, forms := redactorOf("secret-one", "secret-one-two")
	text := strings.Repeat("a secret-one b secret-one-tw secret-one-two\n", 50)
	want := naive([]byte(text), forms)
	for _, from := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		got, err := io.ReadAll(iotest.HalfReader(r.Reader(from)))
		if err != nil || string(got) != want {
			t.Errorf("%v %q", err, got)
		}
	}
	if _, err := io.ReadAll(r.Reader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text))))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("%v", err)
	}
}

func TestNilRedactor(t *testing.T) {
	var r *Redactor
	r.Add(FromString("secret-one"))
	if got := written(t, r, []byte("secret-one")); got != "secret-one" || r.Text("x") != "x" {
		t.Error(got)
	}
	r.Wipe()
}

func TestConcurrentUse(t *testing.T) {
	r := NewRedactor()
	var out bytes.Buffer
	w := r.Writer(&out)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				v := fmt.Sprintf("secret-%d-%d", i, k)
				r.Add(FromString(v))
				_, _ = fmt.Fprintf(w, "line %s\n", v)
				_ = r.Text(v)
			}
		})
	}
	wg.Wait()
	_ = w.Flush()
	if want := strings.Repeat("line "+Mask+"\n", 160); out.String() != want {
		t.Errorf("%q", out.String())
	}
}

// Few letters make matches, overlaps and near misses likely.
func TestAgainstNaive(t *testing.T) {
	word := rapid.StringOfN(rapid.RuneFrom([]rune("ab\n")), 4, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		r := NewRedactor()
		var forms [][]byte
		add := func() {
			v := word.Draw(t, "value")
			r.Add(FromString(v))
			forms = append(forms, Forms([]byte(v))...)
		}
		for range rapid.IntRange(1, 4).Draw(t, "generations") {
			for range rapid.IntRange(1, 5).Draw(t, "values") {
				add()
			}
			r.current(0) // compiles what is known so far
		}
		text := []byte(rapid.StringOfN(rapid.RuneFrom([]rune("ab\nY61h")), 0, 200, -1).Draw(t, "text"))
		want := naive(text, forms)
		if got := r.Text(string(text)); got != want {
			t.Fatalf("Text(%q) = %q, want %q", text, got, want)
		}
		var out bytes.Buffer
		w := r.Writer(&out)
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
		_ = w.Flush()
		if out.String() != want {
			t.Fatalf("written %q, want %q", out.String(), want)
		}
	})
}

func FuzzRedactor(f *testing.F) {
	f.Add("secret-one", "one-secret", "x secret-one-secret", uint64(1))
	f.Add("-----BEGIN X-----\nabcdefgh\n", "{\"a\":\"bcdefgh\"}", "abcdefgh bcdefghi YWJjZGVmZ2g=", uint64(2))
	f.Add("https://u:p%40ssword@h/", "aaaaaaaa", "p@ssword aaaaaaaaaaaaaaa", uint64(3))
	f.Fuzz(func(t *testing.T, a, b, text string, seed uint64) {
		if len(a)+len(b) > 300 || len(text) > 2000 {
			t.Skip() // the reference is slow
		}
		r, forms := redactorOf(a, b)
		rnd := rand.New(rand.NewPCG(seed, 0))
		full := []byte(text)
		for _, form := range forms { // secrets among the text, whole and cut
			cut := form[:rnd.IntN(len(form)+1)]
			if rnd.IntN(4) == 0 {
				at := rnd.IntN(len(full) + 1)
				full = append(append(append([]byte{}, full[:at]...), cut...), full[at:]...)
				full = append(full, form...)
			}
		}
		want := naive(full, forms)
		var pieces [][]byte
		for rest := full; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if got := written(t, r, pieces...); got != want {
			t.Errorf("%q, %q\nin   %q\ngot  %q\nwant %q", a, b, full, got, want)
		}
	})
}

// Values of a sensible JSON document stay JSON where they were strings.
func TestMaskedJSONStaysJSON(t *testing.T) {
	r, _ := redactorOf(`a "quoted" secret\`, "line one\nline two of it")
	raw, err := json.Marshal(map[string]string{"a": `x a "quoted" secret\`, "b": "line one\nline two of it", "c": "line two of it\nz"})
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]string
	if err := json.Unmarshal([]byte(r.Text(string(raw))), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["a"] != "x "+Mask || doc["b"] != Mask || doc["c"] != Mask+"\nz" {
		t.Errorf("%v", doc)
	}
}
