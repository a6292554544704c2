package resolve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A shape is a compiled JSON Schema (draft 2020-12, and what earlier drafts
// called otherwise). The validators at hand know no value that is not known
// yet, parse their meta-schemas at the start of every command, and word their
// findings for programmers; this one follows the values of the file itself.
type shape struct {
	never       bool // the schema `false`
	types       []string
	enum        []any
	constant    []any // one, or none
	description string
	format      string
	pattern     *regexp.Regexp

	minimum, maximum, above, below, multiple *big.Rat
	minLength, maxLength                     *int
	minItems, maxItems                       *int
	minProperties, maxProperties             *int
	minContains, maxContains                 *int

	properties      map[string]*shape
	patterns        []patternShape
	additional      *shape
	names           *shape
	required        []string
	dependent       map[string][]string
	dependentOn     map[string]*shape
	prefix          []*shape
	items           *shape
	contains        *shape
	unique          bool
	ref             *shape
	allOf           []*shape
	anyOf, oneOf    []*shape
	not             *shape
	when            *shape
	then, otherwise *shape
}

type patternShape struct {
	name  *regexp.Regexp
	shape *shape
}

// unsupported are keywords that would change what is valid and are not looked
// at: a schema that uses one is refused rather than half checked.
var unsupported = map[string]bool{
	"unevaluatedProperties": true, "unevaluatedItems": true, "$dynamicRef": true, "$recursiveRef": true, "$anchor": true,
}

// compileSchema compiles a schema. It reaches nothing outside itself.
func compileSchema(raw json.RawMessage) (*shape, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	c := schemaCompiler{doc: doc, done: map[string]*shape{}}
	s := c.at("", doc)
	return s, c.err
}

// A schemaCompiler compiles one document; equal pointers give one shape, so a
// schema may refer to itself.
type schemaCompiler struct {
	doc  any
	done map[string]*shape
	err  error
}

func (c *schemaCompiler) fail(at, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("at #%s: %w", at, fmt.Errorf(format, args...))
	}
}

func (c *schemaCompiler) at(at string, v any) *shape {
	if s, ok := c.done[at]; ok {
		return s
	}
	s := &shape{}
	c.done[at] = s
	switch v := v.(type) {
	case bool:
		s.never = !v
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			c.keyword(s, at, name, v[name])
		}
		c.conditional(s, at, v)
	default:
		c.fail(at, "a schema is an object or a boolean")
	}
	return s
}

func child(at, name string) string {
	return at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (c *schemaCompiler) keyword(s *shape, at, name string, v any) {
	at = child(at, name)
	switch name {
	case "type":
		s.types = c.words(at, v)
	case "enum":
		s.enum, _ = v.([]any)
	case "const":
		s.constant = []any{v}
	case "description":
		s.description, _ = v.(string)
	case "format":
		s.format, _ = v.(string)
	case "pattern":
		s.pattern = c.regexp(at, v)
	case "$ref":
		s.ref = c.reference(at, v)
	case "allOf":
		s.allOf = c.list(at, v)
	case "anyOf":
		s.anyOf = c.list(at, v)
	case "oneOf":
		s.oneOf = c.list(at, v)
	case "not":
		s.not = c.at(at, v)
	case "uniqueItems":
		s.unique = v == true
	default:
		if unsupported[name] {
			c.fail(at, "the keyword %s is not supported", name)
		}
		if !c.objectKeyword(s, at, name, v) && !c.listKeyword(s, at, name, v) {
			c.limit(s, at, name, v)
		}
	}
}

func (c *schemaCompiler) objectKeyword(s *shape, at, name string, v any) bool {
	switch name {
	case "properties":
		s.properties = c.members(at, v)
	case "patternProperties":
		for key, sub := range c.members(at, v) {
			s.patterns = append(s.patterns, patternShape{c.regexp(at, key), sub})
		}
	case "additionalProperties":
		s.additional = c.at(at, v)
	case "propertyNames":
		s.names = c.at(at, v)
	case "required":
		s.required = c.words(at, v)
	case "dependentRequired", "dependentSchemas", "dependencies":
		c.dependencies(s, at, v)
	default:
		return false
	}
	return true
}

func (c *schemaCompiler) dependencies(s *shape, at string, v any) {
	m, _ := v.(map[string]any)
	for name, sub := range m {
		if list, ok := sub.([]any); ok {
			if s.dependent == nil {
				s.dependent = map[string][]string{}
			}
			s.dependent[name] = c.words(at, list)
			continue
		}
		if s.dependentOn == nil {
			s.dependentOn = map[string]*shape{}
		}
		s.dependentOn[name] = c.at(child(at, name), sub)
	}
}

func (c *schemaCompiler) listKeyword(s *shape, at, name string, v any) bool {
	switch name {
	case "prefixItems":
		s.prefix = c.list(at, v)
	case "items":
		if _, ok := v.([]any); ok { // draft-07
			s.prefix = c.list(at, v)
			return true
		}
		s.items = c.at(at, v)
	case "additionalItems":
		s.items = c.at(at, v)
	case "contains":
		s.contains = c.at(at, v)
	default:
		return false
	}
	return true
}

// conditional compiles if, then and else, which mean nothing alone.
func (c *schemaCompiler) conditional(s *shape, at string, v map[string]any) {
	when, ok := v["if"]
	if !ok {
		return
	}
	s.when = c.at(child(at, "if"), when)
	if then, ok := v["then"]; ok {
		s.then = c.at(child(at, "then"), then)
	}
	if otherwise, ok := v["else"]; ok {
		s.otherwise = c.at(child(at, "else"), otherwise)
	}
}

func (c *schemaCompiler) limit(s *shape, at, name string, v any) {
	rats := map[string]**big.Rat{
		"minimum": &s.minimum, "maximum": &s.maximum, "exclusiveMinimum": &s.above, "exclusiveMaximum": &s.below, "multipleOf": &s.multiple,
	}
	counts := map[string]**int{
		"minLength": &s.minLength, "maxLength": &s.maxLength, "minItems": &s.minItems, "maxItems": &s.maxItems,
		"minProperties": &s.minProperties, "maxProperties": &s.maxProperties, "minContains": &s.minContains, "maxContains": &s.maxContains,
	}
	n, ok := v.(json.Number)
	switch {
	case rats[name] != nil && ok:
		r, ok := rational(n.String())
		if !ok {
			c.fail(at, "%s is no number", n)
		}
		*rats[name] = r
	case counts[name] != nil && ok:
		f, err := n.Float64()
		if err != nil || f != float64(int(f)) {
			c.fail(at, "%s is no whole number", n)
		}
		i := int(f)
		*counts[name] = &i
	case rats[name] != nil || counts[name] != nil:
		c.fail(at, "%s is no number", name)
	}
}

// rational reads a number; one with an exponent that would fill the memory is
// refused.
func rational(s string) (*big.Rat, bool) {
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(strings.TrimLeft(s[i+1:], "+-0")) > 3 {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func (c *schemaCompiler) words(at string, v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, ok := v.([]any)
	if !ok {
		c.fail(at, "it is no list of words")
	}
	words := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			c.fail(at, "it is no list of words")
		}
		words = append(words, s)
	}
	return words
}

func (c *schemaCompiler) regexp(at string, v any) *regexp.Regexp {
	text, ok := v.(string)
	if !ok {
		c.fail(at, "a pattern is a string")
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		c.fail(at, "%w", err)
	}
	return re
}

func (c *schemaCompiler) list(at string, v any) []*shape {
	list, ok := v.([]any)
	if !ok {
		c.fail(at, "it is no list of schemas")
	}
	shapes := make([]*shape, len(list))
	for i, item := range list {
		shapes[i] = c.at(fmt.Sprintf("%s/%d", at, i), item)
	}
	return shapes
}

func (c *schemaCompiler) members(at string, v any) map[string]*shape {
	m, ok := v.(map[string]any)
	if !ok {
		c.fail(at, "it is no object of schemas")
	}
	shapes := make(map[string]*shape, len(m))
	for name, sub := range m {
		shapes[name] = c.at(child(at, name), sub)
	}
	return shapes
}

// reference follows a JSON pointer into the same document.
func (c *schemaCompiler) reference(at string, v any) *shape {
	text, _ := v.(string)
	pointer, ok := strings.CutPrefix(text, "#")
	if !ok || (pointer != "" && pointer[0] != '/') {
		c.fail(at, "%q leads out of the schema; only pointers such as #/$defs/name can be followed", text)
		return nil
	}
	if plain, err := url.PathUnescape(pointer); err == nil {
		pointer = plain
	}
	target, err := follow(c.doc, pointer)
	if err != nil {
		c.fail(at, "%q: %w", text, err)
		return nil
	}
	return c.at(pointer, target)
}

var errNowhere = errors.New("there is nothing at this place")

func follow(v any, pointer string) (any, error) {
	if pointer == "" {
		return v, nil
	}
	for _, segment := range strings.Split(pointer[1:], "/") {
		segment = strings.NewReplacer("~1", "/", "~0", "~").Replace(segment)
		switch node := v.(type) {
		case map[string]any:
			sub, ok := node[segment]
			if !ok {
				return nil, errNowhere
			}
			v = sub
		case []any:
			var i int
			if _, err := fmt.Sscanf(segment, "%d", &i); err != nil || i < 0 || i >= len(node) {
				return nil, errNowhere
			}
			v = node[i]
		default:
			return nil, errNowhere
		}
	}
	return v, nil
}
