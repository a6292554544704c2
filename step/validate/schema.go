package validate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/fault"
)

// Schema is a compiled JSON Schema (draft 2020-12). It is safe for concurrent
// use. The validators at hand parse their meta-schemas when a program starts,
// 5 ms of every command, and allocate for each check of a value that is valid;
// this one does neither, and a property test compares it with one of them.
type Schema struct{ root *node }

// node is a compiled schema: tests that a value must pass.
type node struct {
	never bool
	tests []test
}

// A test looks at a value, and says what is wrong where a report is kept.
type test func(v any, r *report) bool

// report collects findings with their places; a nil one asks for a yes or no.
type report struct {
	path  []string
	lines []string
}

func (r *report) say(format string, args ...any) bool {
	if r != nil {
		r.lines = append(r.lines, "/"+strings.Join(r.path, "/")+": "+fmt.Sprintf(format, args...))
	}
	return false
}

func (n *node) check(v any, r *report) bool {
	if n.never {
		return r.say("it is not allowed here")
	}
	ok := true
	for _, t := range n.tests {
		if t(v, r) {
			continue
		}
		if ok = false; r == nil {
			return false
		}
	}
	return ok
}

func (n *node) below(name string, v any, r *report) bool {
	if r == nil {
		return n.check(v, nil)
	}
	r.path = append(r.path, name)
	defer func() { r.path = r.path[:len(r.path)-1] }()
	return n.check(v, r)
}

// Compile compiles a schema. Formats are checked; nothing is fetched.
func Compile(raw json.RawMessage) (*Schema, error) {
	doc, err := decode(raw)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "read the schema")
	}
	c := &compiler{doc: doc, done: map[string]*node{}}
	root := c.at("#", doc)
	if c.err != nil {
		return nil, fault.Wrap(fault.Config, c.err, "the schema is not valid")
	}
	return &Schema{root}, nil
}

func decode(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// Check reports everything that is wrong with a value as encoding/json
// decodes it, numbers as float64, json.Number or int.
func (s *Schema) Check(v any) error {
	if s.root.check(v, nil) {
		return nil
	}
	r := &report{}
	s.root.check(v, r)
	return fault.New(fault.Config, "the value is not valid: %s", strings.Join(r.lines, "; ")).WithHint("compare it with the schema")
}

// compiler compiles one document. Equal places give one node, so that a
// schema may refer to itself.
type compiler struct {
	doc  any
	done map[string]*node
	err  error
}

func (c *compiler) fail(at, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("at %s: %w", at, fmt.Errorf(format, args...))
	}
}

// annotations say nothing of what is valid.
var annotations = []string{
	"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
	"contentEncoding", "contentMediaType", "contentSchema", "$vocabulary",
}

// siblings are read with the keyword that they change.
var siblings = []string{"then", "else", "minContains", "maxContains"}

func (c *compiler) at(at string, doc any) *node {
	if n, ok := c.done[at]; ok {
		return n
	}
	n := &node{}
	c.done[at] = n
	switch doc := doc.(type) {
	case bool:
		n.never = !doc
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(doc)) {
			if t := c.keyword(at+"/"+name, name, doc[name], doc); t != nil {
				n.tests = append(n.tests, t)
			}
		}
	default:
		c.fail(at, "a schema is an object or a boolean")
	}
	return n
}

func (c *compiler) keyword(at, name string, v any, all map[string]any) test {
	if strings.HasPrefix(name, "x-") || slices.Contains(annotations, name) || slices.Contains(siblings, name) {
		return nil
	}
	for _, kind := range []func(string, string, any, map[string]any) (test, bool){c.general, c.combining, c.objects, c.lists, c.scalars} {
		if t, ok := kind(at, name, v, all); ok {
			return t
		}
	}
	c.fail(at, "the keyword %q is not supported", name)
	return nil
}

func (c *compiler) general(at, name string, v any, _ map[string]any) (test, bool) {
	switch name {
	case "type":
		types := c.words(at, v)
		for _, t := range types {
			if !slices.Contains(typeNames, t) {
				c.fail(at, "there is no type %q", t)
			}
		}
		return typeTest(types), true
	case "enum":
		list, _ := v.([]any)
		return func(v any, r *report) bool {
			for _, want := range list {
				if equal(v, want) {
					return true
				}
			}
			return r.say("it is none of %s", text(list))
		}, true
	case "const":
		return func(got any, r *report) bool { return equal(got, v) || r.say("it is not %s", text(v)) }, true
	case "$ref":
		ref, _ := v.(string)
		target := c.follow(at, ref)
		return func(v any, r *report) bool { return target.check(v, r) }, true
	}
	return nil, false
}

// follow finds what a reference within the document means.
func (c *compiler) follow(at, ref string) *node {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		c.fail(at, "%q is outside the schema; put it under $defs", ref)
		return &node{}
	}
	doc := c.doc
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch in := doc.(type) {
		case map[string]any:
			doc, ok = in[part]
		case []any:
			i, err := strconv.Atoi(part)
			if ok = err == nil && i >= 0 && i < len(in); ok {
				doc = in[i]
			}
		default:
			ok = false
		}
		if !ok {
			c.fail(at, "%q leads nowhere", ref)
			return &node{}
		}
	}
	return c.at("#"+pointer, doc)
}

func (c *compiler) words(at string, v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var all []string
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			c.fail(at, "it is no string")
		}
		all = append(all, s)
	}
	return all
}

func (c *compiler) list(at string, v any) []*node {
	list, ok := v.([]any)
	if !ok {
		c.fail(at, "it is no list")
	}
	nodes := make([]*node, len(list))
	for i, item := range list {
		nodes[i] = c.at(fmt.Sprintf("%s/%d", at, i), item)
	}
	return nodes
}

func (c *compiler) members(at string, v any) map[string]*node {
	doc, ok := v.(map[string]any)
	if !ok {
		c.fail(at, "it is no object")
	}
	nodes := map[string]*node{}
	for name, item := range doc {
		nodes[name] = c.at(at+"/"+name, item)
	}
	return nodes
}

func (c *compiler) count(at string, v any) int {
	f, ok := number(v)
	if !ok || f != math.Trunc(f) || f < 0 {
		c.fail(at, "it is no whole number from 0")
	}
	return int(f)
}

func (c *compiler) pattern(at string, v any) *regexp.Regexp {
	s, _ := v.(string)
	re, err := regexp.Compile(s)
	if err != nil {
		c.fail(at, "%w", err)
		return regexp.MustCompile("")
	}
	return re
}

// typeNames are in the order in which a value is said to be one.
var typeNames = []string{"null", "string", "boolean", "object", "array", "integer", "number"}

// typeTest is made for the common case of one type.
func typeTest(types []string) test {
	if len(types) == 1 {
		want := types[0]
		return func(v any, r *report) bool {
			return isType(v, want) || r.say("it is %s, not %s", typeOf(v), want)
		}
	}
	return func(v any, r *report) bool {
		for _, want := range types {
			if isType(v, want) {
				return true
			}
		}
		return r.say("it is %s, not %s", typeOf(v), strings.Join(types, " or "))
	}
}

func isType(v any, want string) bool {
	switch want {
	case "string":
		_, ok := v.(string)
		return ok
	case "number":
		_, ok := number(v)
		return ok
	case "integer":
		f, ok := number(v)
		return ok && f == math.Trunc(f)
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "object":
		_, ok := v.(map[string]any)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "null":
		return v == nil
	}
	return false
}

func typeOf(v any) string {
	for _, name := range typeNames {
		if isType(v, name) {
			return name
		}
	}
	return reflect.TypeOf(v).String()
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case int:
		return float64(v), true
	}
	return 0, false
}

// exact is a number without rounding.
func exact(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case json.Number:
		return new(big.Rat).SetString(v.String())
	case float64:
		return new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
	case int:
		return new(big.Rat).SetInt64(int64(v)), true
	}
	return nil, false
}

func equal(a, b any) bool {
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		return ok && x == y
	}
	if x, ok := exact(a); ok {
		y, ok := exact(b)
		return ok && x.Cmp(y) == 0
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	}
	return a == b
}

func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

func runes(s string) int { return utf8.RuneCountInString(s) }
