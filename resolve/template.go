package resolve

import (
	"strings"
)

// A part is a piece of a string: text, a variable or an expression.
type part struct {
	text string
	// variable is the NAME of ${NAME}, fallback what stands behind ":-".
	variable string
	fallback []part
	hasDef   bool
	expr     expr
	span
}

// parseTemplate splits a string into its parts. Offsets count from the start
// of the string, also those inside expressions. It goes on after an error.
func parseTemplate(text string, b *binder) ([]part, []*evalError) {
	t := templateParser{text: text, binder: b}
	t.until(len(text))
	return t.parts, t.errors
}

type templateParser struct {
	text   string
	binder *binder
	at     int
	depth  int
	parts  []part
	errors []*evalError
}

// maxFallbacks bounds ${A:-${B:-…}}.
const maxFallbacks = 20

func (t *templateParser) fail(e *evalError) { t.errors = append(t.errors, e) }

func (t *templateParser) literal(s string) {
	if s == "" {
		return
	}
	if n := len(t.parts); n > 0 && t.parts[n-1].isText() {
		t.parts[n-1].text += s
		return
	}
	t.parts = append(t.parts, part{text: s})
}

func (p part) isText() bool { return p.expr == nil && p.variable == "" }

// until parses up to an offset.
func (t *templateParser) until(end int) {
	for t.at < end {
		rest := t.text[t.at:end]
		i := strings.IndexByte(rest, '$')
		if i < 0 {
			t.literal(rest)
			t.at = end
			return
		}
		t.literal(rest[:i])
		t.at += i
		switch rest = rest[i:]; {
		case strings.HasPrefix(rest, "$${"):
			t.literal("${")
			t.at += len("$${")
		case strings.HasPrefix(rest, "${{"):
			t.expression()
		case strings.HasPrefix(rest, "${"):
			t.variable(end)
		default:
			t.literal("$")
			t.at++
		}
	}
}

func (t *templateParser) expression() {
	start := t.at
	body := start + len("${{")
	e, n, err := parseExpr(t.text[body:], body, t.binder)
	if n == 0 { // not parsed: go on behind it
		if end := strings.Index(t.text[body:], "}}"); end >= 0 {
			n = end + len("}}")
		} else {
			n = len(t.text) - body
		}
	}
	t.at = body + n
	if err != nil {
		t.fail(err)
		return
	}
	t.parts = append(t.parts, part{expr: e, span: span{start, t.at - start}})
}

const variableHint = "a variable is written ${NAME} or ${NAME:-default}; for the text itself write $${"

func (t *templateParser) variable(end int) {
	start := t.at
	close := closing(t.text[start:end])
	if close < 0 {
		t.fail(span{start, 2}.fail("a variable is not closed with }").withHint(variableHint))
		t.at = end
		return
	}
	whole := span{start, close + 1}
	body := t.text[start+2 : start+close]
	n := 0
	for n < len(body) && isNameByte(body[n], n == 0) {
		n++
	}
	p := part{variable: body[:n], span: whole}
	rest := body[n:]
	switch {
	case n == 0:
		t.fail(whole.fail("%q is no variable", t.text[start:whole.end()]).withHint(variableHint))
	case strings.HasPrefix(rest, ":-"):
		p.hasDef = true
		p.fallback = t.nested(start+2+n+2, start+close)
		t.parts = append(t.parts, p)
	case rest != "":
		t.fail(whole.fail("%q is no variable", t.text[start:whole.end()]).withHint(variableHint))
	default:
		t.parts = append(t.parts, p)
	}
	t.at = whole.end()
}

// nested parses a default, which may hold variables itself.
func (t *templateParser) nested(from, to int) []part {
	if t.depth == maxFallbacks {
		t.fail(span{from, 1}.fail("defaults are nested too deeply"))
		return nil
	}
	inner := templateParser{text: t.text, binder: t.binder, at: from, depth: t.depth + 1}
	inner.until(to)
	t.errors = append(t.errors, inner.errors...)
	return inner.parts
}

// closing finds the brace that closes the one that s begins with after a "$".
func closing(s string) int {
	depth := 0
	for i := 1; i < len(s); i++ {
		switch {
		case depth > 0 && strings.HasPrefix(s[i-1:], "${{"):
			end := strings.Index(s[i:], "}}")
			if end < 0 {
				return -1
			}
			i += end + 1
		case s[i] == '{' && s[i-1] == '$':
			depth++
		case s[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func isNameByte(c byte, first bool) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || !first && '0' <= c && c <= '9'
}

// evalParts evaluates a template. One part alone keeps its type; several
// become text.
func evalParts(parts []part, s *scope) (any, *evalError) {
	if len(parts) == 1 {
		return parts[0].eval(s)
	}
	var b strings.Builder
	var open any
	for i := range parts {
		v, err := parts[i].eval(s)
		if err != nil {
			return nil, err
		}
		if _, ok := v.(unknown); ok {
			open = v
			continue
		}
		text, ok := toText(v)
		if !ok {
			return nil, parts[i].fail("%s cannot stand inside text", describe(v)).
				withHint("use toJSON(…), or let the expression be the whole value")
		}
		if b.WriteString(text); b.Len() > maxText {
			return nil, parts[i].fail("the text gets longer than %d bytes", maxText)
		}
	}
	if open != nil {
		return open, nil
	}
	return b.String(), nil
}

func (p *part) eval(s *scope) (any, *evalError) {
	switch {
	case p.expr != nil:
		return p.evalExpr(s)
	case p.variable != "":
		return p.evalVariable(s)
	}
	return p.text, nil
}

func (p *part) evalExpr(s *scope) (any, *evalError) {
	v, err := p.expr.eval(s)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case missing:
		return nil, v.err
	case context:
		return nil, p.fail("the context %q cannot be used as a whole", v.name).withHint("name what you want of it: %s.NAME", v.name)
	}
	return v, nil
}

func (p *part) evalVariable(s *scope) (any, *evalError) {
	env, _ := s.contexts["env"].(context)
	v, err := env.get(s, p.variable)
	text, _ := v.(string)
	switch {
	case err == nil && (text != "" || !p.hasDef):
		return text, nil
	case p.hasDef:
		s.secret = s.secret || looksSecret(p.variable)
		if len(p.fallback) == 0 {
			return "", nil
		}
		return evalParts(p.fallback, s)
	}
	return nil, p.fail("the environment variable %s is not set", p.variable).
		withHint("set it, or give it a default: ${%s:-value}", p.variable)
}

// secretWords end the words of a secret's name: API_KEY, DBPASSWORD.
var secretWords = []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "CREDENTIAL"}

// looksSecret tells whether a part of a variable's name says that its value is
// a secret.
func looksSecret(name string) bool {
	for word := range strings.SplitSeq(strings.ToUpper(name), "_") {
		word = strings.TrimSuffix(word, "S")
		for _, s := range secretWords {
			if strings.HasSuffix(word, s) || word == "PAS" || word == "PWD" {
				return true
			}
		}
	}
	return false
}

// isDynamic tells whether a string has parts at all.
func isDynamic(s string) bool { return strings.Contains(s, "${") }
