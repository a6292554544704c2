package resolve

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gocodealone/wfctl/config"
)

// A function of GitHub's expressions.
type function struct {
	name     string
	min, max int
	run      func(at span, args []any) (any, *evalError)
}

func (f function) arity() string {
	switch {
	case f.max < 0:
		return fmt.Sprintf("%d arguments or more", f.min)
	case f.min != f.max:
		return fmt.Sprintf("%d or %d arguments", f.min, f.max)
	case f.min == 1:
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", f.min)
}

var functions = map[string]function{
	"contains":   {"contains", 2, 2, contains},
	"startswith": {"startsWith", 2, 2, affix(strings.HasPrefix)},
	"endswith":   {"endsWith", 2, 2, affix(strings.HasSuffix)},
	"format":     {"format", 1, -1, format},
	"join":       {"join", 1, 2, join},
	"tojson":     {"toJSON", 1, 1, toJSON},
	"fromjson":   {"fromJSON", 1, 1, parseJSON},
}

func functionNames() []string {
	return []string{"contains", "endsWith", "format", "fromJSON", "join", "startsWith", "toJSON"}
}

func (c call) eval(s *scope) (any, *evalError) {
	args := make([]any, len(c.args))
	var open bool
	for i, a := range c.args {
		v, err := a.eval(s)
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case missing:
			return nil, v.err
		case context:
			return nil, c.fail("the context %q cannot be used as a whole", v.name)
		case unknown:
			open = true
		}
		args[i] = v
	}
	if open {
		return unknown{}, nil
	}
	return functions[strings.ToLower(c.name)].run(c.span, args)
}

func contains(_ span, args []any) (any, *evalError) {
	if list := asList(args[0]); list != nil {
		for _, item := range list {
			if equal(item, args[1]) {
				return true, nil
			}
		}
		return false, nil
	}
	in, ok := toText(args[0])
	what, both := toText(args[1])
	return ok && both && strings.Contains(strings.ToUpper(in), strings.ToUpper(what)), nil
}

func affix(has func(s, part string) bool) func(span, []any) (any, *evalError) {
	return func(_ span, args []any) (any, *evalError) {
		in, ok := toText(args[0])
		what, both := toText(args[1])
		return ok && both && has(strings.ToUpper(in), strings.ToUpper(what)), nil
	}
}

// format replaces {0}, {1}, … ; {{ and }} stand for braces.
func format(at span, args []any) (any, *evalError) {
	text, ok := toText(args[0])
	if !ok {
		return nil, at.fail("format wants a string first, not %s", describe(args[0]))
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c != '{' && c != '}':
			b.WriteByte(c)
		case i+1 < len(text) && text[i+1] == c:
			b.WriteByte(c)
			i++
		case c == '}':
			return nil, at.fail("the format %q has a } without a {", text).withHint("write }} for a brace")
		default:
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, at.fail("the format %q has a { without a }", text).withHint("write {{ for a brace")
			}
			n, err := strconv.Atoi(text[i+1 : i+end])
			if err != nil || n < 0 || n >= len(args)-1 {
				return nil, at.fail("the format has %s, and there are %d values", text[i:i+end+1], len(args)-1)
			}
			value, ok := toText(args[n+1])
			if !ok {
				return nil, at.fail("format cannot show %s", describe(args[n+1])).withHint("use toJSON(…)")
			}
			if b.WriteString(value); b.Len() > maxText {
				return nil, at.fail("the text gets longer than %d bytes", maxText)
			}
			i += end
		}
	}
	return b.String(), nil
}

// maxText bounds what an expression can make of little.
const maxText = 16 << 20

func join(at span, args []any) (any, *evalError) {
	separator := ","
	if len(args) == 2 {
		separator, _ = toText(args[1])
	}
	list := asList(args[0])
	if list == nil {
		if _, empty := args[0].([]any); empty {
			return "", nil
		}
		if _, empty := args[0].(filtered); empty {
			return "", nil
		}
		text, ok := toText(args[0])
		if !ok {
			return nil, at.fail("join wants a list, not %s", describe(args[0]))
		}
		return text, nil
	}
	parts := make([]string, len(list))
	size := 0
	for i, item := range list {
		text, ok := toText(item)
		if !ok {
			return nil, at.fail("join cannot show %s", describe(item)).withHint("use toJSON(…)")
		}
		parts[i] = text
		if size += len(text) + len(separator); size > maxText {
			return nil, at.fail("the text gets longer than %d bytes", maxText)
		}
	}
	return strings.Join(parts, separator), nil
}

func toJSON(at span, args []any) (any, *evalError) {
	b := appendPretty(nil, args[0], "\n")
	if len(b) > maxText {
		return nil, at.fail("the text gets longer than %d bytes", maxText)
	}
	return string(b), nil
}

func parseJSON(at span, args []any) (any, *evalError) {
	text, ok := toText(args[0])
	if !ok {
		return nil, at.fail("fromJSON wants a string, not %s", describe(args[0]))
	}
	v, err := fromJSON([]byte(text))
	if err != nil {
		// The text may be a secret: it is not shown.
		return nil, at.fail("fromJSON was given what is not JSON")
	}
	return v, nil
}

// appendPretty writes JSON as GitHub's toJSON does, indented by two spaces.
func appendPretty(b []byte, v any, newline string) []byte {
	switch v := v.(type) {
	case []any:
		return appendPrettyList(b, v, newline)
	case filtered:
		return appendPrettyList(b, v, newline)
	case *object:
		if len(v.names) == 0 {
			return append(b, "{}"...)
		}
		b = append(b, '{')
		for i, name := range v.names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, newline+"  "...)
			b = append(config.AppendString(b, name), ": "...)
			b = appendPretty(b, v.values[name], newline+"  ")
		}
		return append(b, newline+"}"...)
	}
	return appendValue(b, v)
}

func appendPrettyList(b []byte, list []any, newline string) []byte {
	if len(list) == 0 {
		return append(b, "[]"...)
	}
	b = append(b, '[')
	for i, item := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPretty(append(b, newline+"  "...), item, newline+"  ")
	}
	return append(b, newline+"]"...)
}

// appendValue writes compact JSON with sorted members.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case float64:
		return appendNumber(b, v)
	case string:
		return config.AppendString(b, v)
	case []any:
		return appendList(b, v)
	case filtered:
		return appendList(b, v)
	case *object:
		b = append(b, '{')
		for i, name := range sorted(v.names) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(config.AppendString(b, name), ':')
			b = appendValue(b, v.values[name])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendList(b []byte, list []any) []byte {
	b = append(b, '[')
	for i, item := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, item)
	}
	return append(b, ']')
}
