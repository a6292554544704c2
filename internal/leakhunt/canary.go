// Package leakhunt looks for secrets where none may be. It makes canaries,
// secrets of every awkward shape that are new in each run, and finds them,
// pieces of them and what they look like when encoded, in files, in output and in the command lines and environments of processes.
//
// It knows nothing of package secret: what masks does not judge itself.
package leakhunt

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A Canary is a secret that should be seen nowhere.
type Canary struct {
	Name, Value string
	// parts are what is secret in it: the lines of a key without its armour,
	// the password of a URL.
	parts []string
}

// Short is the name of the canary that is too short to be masked where
// a program prints it; wfctl itself must not print it all the same.
const Short = "short"

// Canaries makes the canaries of a run. The same seed gives the same.
func Canaries(seed string) []Canary {
	n := 0
	random := func(size int) string {
		n++
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", seed, n, i))
			b.WriteString(strings.ToLower(base64.RawURLEncoding.EncodeToString(sum[:])))
		}
		return strings.NewReplacer("-", "x", "_", "y").Replace(b.String()[:size])
	}
	// mixed puts something random after each of the characters, so that no
	// piece of it is the same in another run.
	mixed := func(special ...string) string {
		text := random(4)
		for _, c := range special {
			text += c + random(4)
		}
		return text
	}
	whole := func(name, value string) Canary { return Canary{name, value, []string{value}} }
	lines := []string{random(64), random(64), random(20) + "=="}
	password := mixed("@", ":", "/", "?", "#", " ")
	leaf, deep := random(20), random(18)+`"q`
	doc := fmt.Sprintf("{\n  \"user\": \"app\",\n  \"password\": %q,\n  \"more\": [{\"deep\": %q}],\n  \"ok\": true\n}", leaf, deep)
	prefix := "prefix-" + random(16)
	return []Canary{
		{"pem", "-----BEGIN PRIVATE KEY-----\n" + strings.Join(lines, "\n") + "\n-----END PRIVATE KEY-----\n", lines},
		{"url", "postgres://app:" + url.QueryEscape(password) + "@db.example.com:5432/app?sslmode=require", []string{password, url.QueryEscape(password)}},
		{"json", doc, []string{leaf, deep}},
		whole("unicode", mixed("п", "ä", "密", "码", "🗝", "é")),
		whole(Short, "^"+random(2)+"~"),
		whole("huge", random(64<<10)),
		whole("prefix", prefix),
		whole("longer", prefix+"-and-"+random(12)),
		whole("percent", mixed("%", "%2", "%0A", "\r\n", "%25")+random(8)),
		whole("quotes", mixed("'", `"`, "`", "$", `\`, "\n", "\t", "&", "<", ">")+random(8)),
		whole("base64", random(20)+"+/"+random(12)+"=="),
		whole("spaces", " "+mixed(" ", "  ")+" "),
		whole("control", mixed("\x01", "\x1b[1m", "\x7f", "\u0085")),
	}
}

// pieceSize is how many bytes of a canary in a row are a leak.
const pieceSize = 16

// A Finder finds canaries in bytes.
type Finder struct {
	pieces map[[pieceSize]byte]string
	short  map[string]string
	// begins says which four bytes a piece may begin with, by their hash.
	begins [1 << 20]bool
}

// NewFinder makes a finder of canaries.
func NewFinder(canaries []Canary) *Finder {
	f := &Finder{pieces: map[[pieceSize]byte]string{}, short: map[string]string{}}
	for _, c := range canaries {
		for _, part := range c.parts {
			for how, text := range spellings(part) {
				f.add(c.Name+" ("+how+")", text)
			}
		}
		f.encoded(c)
	}
	return f
}

// encoded adds the whole value as encodings show it.
func (f *Finder) encoded(c Canary) {
	f.add(c.Name+" (whole, base64)", inner(c.Value, 0))
	f.add(c.Name+" (whole, base64)", inner(c.Value, 1))
	f.add(c.Name+" (whole, base64)", inner(c.Value, 2))
	f.add(c.Name+" (whole, hex)", hex.EncodeToString([]byte(c.Value)))
}

// add makes all pieces of a text known, or the text where it is short.
func (f *Finder) add(name, text string) {
	if len(text) < pieceSize {
		f.short[text] = name
		return
	}
	for i := 0; i+pieceSize <= len(text); i++ {
		if i > bothEnds && i < len(text)-bothEnds && i%stride != 0 {
			continue
		}
		piece := [pieceSize]byte([]byte(text[i:]))
		f.pieces[piece] = name
		f.begins[hash(piece[:])] = true
	}
}

// In the middle of a long text one piece in so many is looked for.
const (
	bothEnds = 1 << 10
	stride   = 48
)

func hash(b []byte) uint32 { return binary.LittleEndian.Uint32(b) * 2654435761 >> 12 }

// Find names the canaries of which anything is in text.
func (f *Finder) Find(text []byte) []string {
	seen := map[string]bool{}
	for i := 0; i+pieceSize <= len(text); i++ {
		if !f.begins[hash(text[i:])] {
			continue
		}
		if name, ok := f.pieces[[pieceSize]byte(text[i:])]; ok {
			seen[name] = true
		}
	}
	for text2, name := range f.short {
		if bytes.Contains(text, []byte(text2)) {
			seen[name] = true
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	return names
}

// spellings are the ways to write a secret down.
func spellings(s string) map[string]string {
	quoted := func(escapeHTML bool) string {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		_ = enc.Encode(s) // of a string, into memory
		return strings.Trim(b.String(), "\"\n")
	}
	q := strconv.Quote(s)
	return map[string]string{
		"itself": s, "JSON": quoted(false), "JSON for HTML": quoted(true), "Go": q[1 : len(q)-1],
		"query": url.QueryEscape(s), "path": url.PathEscape(s), "component": strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
		"shell": strings.ReplaceAll(s, "'", `'\''`), "hex": hex.EncodeToString([]byte(s)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(s))),
		"base64": inner(s, 0), "base64 at 1": inner(s, 1), "base64 at 2": inner(s, 2),
	}
}

// inner is what is seen of s in the base64 of a text that s stands in, after
// so many bytes.
func inner(s string, after int) string {
	text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", after) + s))
	return text[(8*after+5)/6 : 8*(after+len(s))/6]
}
