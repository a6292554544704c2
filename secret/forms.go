package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// nesting bounds how deep parts are looked for within parts: a URL in JSON
// in JSON.
const nesting = 3

// Forms lists all that must not be seen where value must not: the value, its
// lines, the password inside a URL, the leaves of a JSON value, and each of
// these as JSON, a URL, base64, hex, HTML or a shell writes it. What is too
// short or too common to be told from ordinary output is left out.
func Forms(value []byte) [][]byte {
	c := &collector{parts: map[string]bool{}, seen: map[string]bool{}}
	c.part(value, nesting)
	return c.forms
}

// collector gathers forms, each once.
type collector struct {
	parts, seen map[string]bool
	forms       [][]byte
}

// part adds a value or what it is made of.
func (c *collector) part(value []byte, depth int) {
	if c.parts[string(value)] {
		return
	}
	c.parts[string(value)] = true
	c.spell(value)
	if depth == 0 {
		return
	}
	if !utf8.Valid(value) { // what is left of it after a way through JSON
		c.part([]byte(string([]rune(string(value)))), depth-1)
	}
	for line := range bytes.Lines(value) {
		if line = bytes.TrimSpace(line); len(line) < len(value) && telling(line) {
			c.part(line, depth-1)
		}
	}
	for _, s := range append(passwords(string(value)), leaves(value)...) {
		if telling([]byte(s)) {
			c.part([]byte(s), depth-1)
		}
	}
}

// frame is a line that many documents share and that is no secret: the first or
// last of a PEM block, or a key of YAML whose value follows below it.
var frame = lazyregexp.New(`^(-----(BEGIN|END) [A-Z0-9 ]+-----|(- )?[A-Za-z][A-Za-z_-]*:)$`)

// telling tells whether a part of a secret is one itself: punctuation alone,
// such as the braces of a JSON document, is not, nor is a frame.
func telling(part []byte) bool {
	return len(part) >= shortest && bytes.ContainsFunc(part, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) && !frame().Match(part)
}

func (c *collector) add(form []byte) {
	form = bytes.Trim(form, "\r\n") // the end of a line is not held back for one that begins with it
	if len(form) < shortest || len(bytes.TrimSpace(form)) < shortest || c.seen[string(form)] {
		return
	}
	c.seen[string(form)] = true
	c.forms = append(c.forms, form)
}

func (c *collector) text(forms ...string) {
	for _, f := range forms {
		c.add([]byte(f))
	}
}

// spell adds the ways to write a value.
func (c *collector) spell(value []byte) {
	if len(value) < shortest {
		return
	}
	s := string(value)
	c.add(bytes.Clone(value))
	c.pieces(value)
	query, path := url.QueryEscape(s), url.PathEscape(s)
	component := strings.ReplaceAll(query, "+", "%20")
	c.text(query, path, component, lowerHex(query), lowerHex(path), lowerHex(component), userinfo(s))
	for _, written := range []string{
		s, jsonText(s, false), asciiJSON(s), inner(strconv.Quote(s)), inner(strconv.QuoteToASCII(s)), visible(s),
		strings.ReplaceAll(s, `'`, `'\''`), strings.ReplaceAll(s, `'`, `'"'"'`), strings.ReplaceAll(s, `'`, `''`), doubleQuoted.Replace(s),
		html.EscapeString(s), strings.ReplaceAll(s, "\n", "\r\n"), workflowCommand.Replace(s),
	} {
		c.text(written, jsonText(written, false), jsonText(written, true)) // a message with a quotation in it, as JSON
	}
	c.text(hex.EncodeToString(value), strings.ToUpper(hex.EncodeToString(value)))
	c.base64(value)
}

// dense is what keys and tokens are made of; ordinary text is not.
var dense = lazyregexp.New(`^[A-Za-z0-9+/=_.~-]+$`)

// pieces adds pieces of a long key, so that one that was cut off somewhere is
// known, too.
func (c *collector) pieces(value []byte) {
	if len(value) < 2*pieceSize || !dense().Match(value) {
		return
	}
	for piece := range slices.Chunk(value, pieceSize) {
		if len(piece) == pieceSize {
			c.add(bytes.Clone(piece))
		}
	}
}

const pieceSize = 32

// doubleQuoted is what a shell needs within double quotes; workflowCommand
// what a command of GitHub Actions does.
var (
	doubleQuoted    = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")
	workflowCommand = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
)

// base64 adds the value by itself, and what can be seen of it within a longer
// text at each of the three places where it may begin.
func (c *collector) base64(value []byte) {
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		whole := enc.EncodeToString(value)
		c.text(whole, strings.TrimRight(whole, "="))
		for _, width := range []int{64, 76} { // as PEM and MIME wrap it
			for rest := whole; len(whole) > width && rest != ""; {
				n := min(width, len(rest))
				c.text(rest[:n])
				rest = rest[n:]
			}
		}
		for lead := range 3 {
			shifted := enc.EncodeToString(append(make([]byte, lead), value...))
			// A character is the value's own where all six bits of it are.
			from, to := (8*lead+5)/6, 8*(lead+len(value))/6
			c.text(shifted[from:to])
		}
	}
}

// jsonText is a string as it stands between the quotes of a JSON document.
func jsonText(s string, escapeHTML bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	if enc.Encode(s) != nil {
		return s
	}
	return inner(strings.TrimSuffix(b.String(), "\n"))
}

// visible is text as a terminal is shown it: control characters replaced.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r) && r != '\n', unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// asciiJSON is JSON of encoders that escape all that is not ASCII.
func asciiJSON(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range jsonText(s, false) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			b.WriteString(escaped(hi) + escaped(lo))
		default:
			b.WriteString(escaped(r))
		}
	}
	return b.String()
}

func escaped(r rune) string { return `\u` + strconv.FormatInt(0x10000+int64(r), 16)[1:] }

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

var percent = lazyregexp.New(`%[0-9A-F]{2}`)

func lowerHex(s string) string { return percent().ReplaceAllStringFunc(s, strings.ToLower) }

// userinfo is a password as net/url writes it into a URL.
func userinfo(s string) string {
	return strings.TrimPrefix(url.UserPassword("", s).String(), ":")
}

var (
	inURL  = lazyregexp.New(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@:]*:([^\s/?#]*)@`)
	inYAML = lazyregexp.New(`(?im)^[ \t]*(?:- )?[A-Za-z_-]*(?:password|passwd|secret|token|key|key-data|key_data):[ \t]+["']?([^"'\s]+)["']?[ \t]*$`)
	inDSN  = lazyregexp.New(`(?i)(?:password|passwd|pwd|secret|token|key|signature|sig)=(?:'((?:[^'\\]|\\.)*)'|([^\s&;'"]+))`)
)

// passwords are those inside URLs, connection strings and documents in YAML
// such as a kubeconfig, as they stand there and decoded.
func passwords(s string) []string {
	var list []string
	if strings.Contains(s, "://") {
		for _, m := range inURL().FindAllStringSubmatch(s, -1) {
			list = append(list, decoded(m[1], url.PathUnescape)...)
		}
	}
	if strings.Contains(s, ": ") {
		for _, m := range inYAML().FindAllStringSubmatch(s, -1) {
			list = append(list, m[1])
		}
	}
	if !strings.Contains(s, "=") {
		return list
	}
	for _, m := range inDSN().FindAllStringSubmatch(s, -1) {
		list = append(list, decoded(m[1]+m[2], url.QueryUnescape)...)
	}
	return list
}

func decoded(s string, unescape func(string) (string, error)) []string {
	if plain, err := unescape(s); err == nil && plain != s {
		return []string{s, plain}
	}
	return []string{s}
}

// leaves are the strings and numbers of a JSON object or array, or the string
// that a JSON string stands for. Keys are none.
func leaves(raw []byte) []string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || !bytes.ContainsRune([]byte(`{["`), rune(raw[0])) {
		return nil
	}
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&value) != nil {
		return nil
	}
	return appendLeaves(nil, value)
}

func appendLeaves(list []string, value any) []string {
	switch v := value.(type) {
	case string:
		return append(list, v)
	case json.Number:
		return append(list, v.String())
	case []any:
		for _, e := range v {
			list = appendLeaves(list, e)
		}
	case map[string]any:
		for _, e := range v {
			list = appendLeaves(list, e)
		}
	}
	return list
}
