package resolve

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Values of expressions are nil, bool, float64, string, []any, *object, and,
// only while an expression is evaluated, the types below.
type (
	// unknown is known only after something else was applied.
	unknown struct{}
	// missing is a property that does not exist. It counts as null where an
	// expression asks for that (==, &&, ||, !) and is an error anywhere else.
	missing struct{ err *evalError }
	// context is a root such as `env`, whose properties are looked up.
	context struct {
		name string
		get  func(s *scope, name string) (value any, err *evalError)
	}
	// filtered is what `.*` gives: a list whose elements are dereferenced
	// each for itself.
	filtered []any
)

// object is a JSON object: it keeps the order of its members, and finds them
// without regard to case, as GitHub does.
type object struct {
	names  []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(name string, v any) {
	if _, ok := o.values[name]; !ok {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

func (o *object) get(name string) (any, bool) {
	if v, ok := o.values[name]; ok {
		return v, true
	}
	for _, n := range o.names {
		if strings.EqualFold(n, name) {
			return o.values[n], true
		}
	}
	return nil, false
}

// An evalError is an error at a place of an expression's text.
type evalError struct {
	offset, width int
	message, hint string
}

// falsy is GitHub's: false, 0, NaN, "", null.
func falsy(v any) bool {
	switch v := v.(type) {
	case nil, missing:
		return true
	case bool:
		return !v
	case float64:
		return v == 0 || math.IsNaN(v)
	case string:
		return v == ""
	}
	return false
}

// toNumber is GitHub's coercion.
func toNumber(v any) float64 {
	switch v := v.(type) {
	case nil, missing:
		return 0
	case bool:
		if v {
			return 1
		}
		return 0
	case float64:
		return v
	case string:
		return parseNumber(v)
	}
	return math.NaN()
}

// parseNumber reads what a JSON number or GitHub's own forms (hexadecimal,
// octal with 0o, signs) can be; an empty string is 0.
func parseNumber(s string) float64 {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0o") {
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			return math.NaN()
		}
		return float64(n)
	}
	if strings.ContainsAny(s, "xXpP_nNiI") { // ParseFloat knows more than GitHub
		switch s {
		case "Infinity", "+Infinity":
			return math.Inf(1)
		case "-Infinity":
			return math.Inf(-1)
		}
		return math.NaN()
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

// toText is GitHub's coercion to a string; it is false for lists and objects,
// which GitHub would show as "Array" and "Object".
func toText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return formatNumber(v), true
	case string:
		return v, true
	}
	return "", false
}

// formatNumber has up to 15 digits, as .NET's G15.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	s := strconv.FormatFloat(f, 'E', 14, 64)
	digits, exponent, _ := strings.Cut(s, "E")
	if e, _ := strconv.Atoi(exponent); e >= 15 || e < -5 {
		if strings.Contains(digits, ".") {
			digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
		}
		return digits + "E" + exponent
	}
	rounded, _ := strconv.ParseFloat(s, 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// equal is GitHub's loose equality.
func equal(a, b any) bool {
	if _, ok := a.(missing); ok {
		a = nil
	}
	if _, ok := b.(missing); ok {
		b = nil
	}
	switch x := a.(type) {
	case nil:
		if b == nil {
			return true
		}
	case bool:
		if y, ok := b.(bool); ok {
			return x == y
		}
	case float64:
		if y, ok := b.(float64); ok {
			return x == y
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.EqualFold(x, y)
		}
	case *object:
		y, ok := b.(*object)
		return ok && x == y
	case []any, filtered:
		return sameList(a, b)
	}
	if isCollection(b) {
		return false
	}
	return toNumber(a) == toNumber(b)
}

// sameList tells whether two lists are one, as GitHub compares them.
func sameList(a, b any) bool {
	x, y := asList(a), asList(b)
	return x != nil && y != nil && len(x) == len(y) && len(x) > 0 && &x[0] == &y[0]
}

func asList(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case filtered:
		return v
	}
	return nil
}

func isCollection(v any) bool {
	switch v.(type) {
	case []any, filtered, *object, context:
		return true
	}
	return false
}

// less orders as GitHub does: strings without regard to case, all else by
// number. It is false where either is not a number.
func less(a, b any) bool {
	x, ok := a.(string)
	y, both := b.(string)
	if ok && both {
		return strings.ToUpper(x) < strings.ToUpper(y)
	}
	return toNumber(a) < toNumber(b)
}

// describe names a value's type in an error.
func describe(v any) string {
	switch v.(type) {
	case nil, missing:
		return "null"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any, filtered:
		return "a list"
	}
	return "an object"
}

// fromJSON decodes a value; objects keep their order.
func fromJSON(raw []byte) (any, error) {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	v, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err == nil {
		return nil, errTrailing
	}
	return v, nil
}

const maxDepth = 1000

var (
	errTrailing = jsonError("there is more after the value")
	errDeep     = jsonError("it is nested too deeply")
)

type jsonError string

func (e jsonError) Error() string { return string(e) }

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return decodeList(dec, depth)
		}
		return decodeObject(dec, depth)
	default:
		return token, nil
	}
}

func decodeList(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := decodeValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

func decodeObject(dec *json.Decoder, depth int) (any, error) {
	o := newObject()
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		o.set(name.(string), v)
	}
	_, err := dec.Token()
	return o, err
}

// appendNumber writes a number as JSON.
func appendNumber(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	raw, _ := json.Marshal(f) // finite
	return append(b, raw...)
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }
