package resolve

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
)

// conform checks a configuration against a shape. What is not known yet fits
// everywhere, and nothing is concluded from it.
type conform struct {
	in   *input
	what string
	// faults are what is wrong; open is set where that depends on a value that
	// is not known.
	faults []*fault.Error
	open   bool
	depth  int
}

// A spot is a value with its place: the field that holds it, and the path.
type spot struct {
	node  *config.Node
	field config.Field
	up    *spot
	name  string
	index int
}

func (s spot) member(f config.Field) spot { return spot{node: f.Value, field: f, up: &s, name: f.Name} }

func (s spot) item(i int, n *config.Node) spot { return spot{node: n, up: &s, index: i} }

// maxDepthOfShapes bounds schemas that refer to themselves without end.
const maxDepthOfShapes = 500

// check adds what is wrong with a value.
func (c *conform) check(s *shape, at spot) {
	if s == nil || c.depth > maxDepthOfShapes {
		return
	}
	c.depth++
	defer func() { c.depth-- }()
	if l := c.in.leaves[at.node]; l != nil {
		if l.open != nil || l.failed {
			c.open = true
			return
		}
		at.node = l.settled()
	}
	if s.never {
		c.say(at, "%s is not allowed here", c.label(at))
		return
	}
	if len(s.types) > 0 && !fitsType(at.node, s.types) {
		c.wrongType(at, s.types)
		return // the rest would say the same in other words
	}
	c.values(s, at)
	switch at.node.Kind {
	case config.Number:
		c.number(s, at)
	case config.String:
		c.text(s, at)
	case config.List:
		c.list(s, at)
	case config.Map:
		c.object(s, at)
	}
	c.combined(s, at)
}

// try checks on the side.
func (c *conform) try(s *shape, at spot) *conform {
	side := &conform{in: c.in, what: c.what, depth: c.depth}
	side.check(s, at)
	return side
}

func (c *conform) fits() bool  { return len(c.faults) == 0 && !c.open }
func (c *conform) fails() bool { return len(c.faults) > 0 }

func fitsType(n *config.Node, types []string) bool {
	for _, t := range types {
		switch {
		case t == "string" && n.Kind == config.String,
			t == "boolean" && n.Kind == config.Bool,
			t == "null" && n.Kind == config.Null,
			t == "array" && n.Kind == config.List,
			t == "object" && n.Kind == config.Map,
			t == "number" && n.Kind == config.Number,
			t == "integer" && n.Kind == config.Number && isWhole(n.Text):
			return true
		}
	}
	return false
}

func isWhole(s string) bool {
	if !strings.ContainsAny(s, ".eE") {
		return true
	}
	r, ok := rational(s)
	return ok && r.IsInt()
}

// values checks enum and const.
func (c *conform) values(s *shape, at spot) {
	if s.enum == nil {
		return
	}
	if c.isOpen(at.node) {
		c.open = true
		return
	}
	for _, v := range s.enum {
		if c.same(at.node, v) {
			return
		}
	}
	c.notOneOf(at, s.enum)
}

// isOpen tells whether a value holds one that is not known.
func (c *conform) isOpen(n *config.Node) bool {
	if len(c.in.leaves) == 0 {
		return false
	}
	switch n.Kind {
	case config.String:
		l := c.in.leaves[n]
		return l != nil && (l.open != nil || l.failed)
	case config.List:
		return slices.ContainsFunc(n.Items, c.isOpen)
	case config.Map:
		return slices.ContainsFunc(n.Fields, func(f config.Field) bool { return c.isOpen(f.Value) })
	}
	return false
}

// same compares a value of the file with one of the schema.
func (c *conform) same(n *config.Node, v any) bool {
	return string(c.canonical(n)) == string(compactJSON(mustJSON(v)))
}

// canonical is the JSON of a value, with sorted members and numbers in one
// form.
func (c *conform) canonical(n *config.Node) []byte {
	w := writer{in: c.in, single: true}
	w.node(n)
	return compactJSON(w.real)
}

func (c *conform) number(s *shape, at spot) {
	if s.minimum == nil && s.maximum == nil && s.above == nil && s.below == nil && s.multiple == nil {
		return
	}
	n, ok := rational(at.node.Text)
	if !ok {
		c.say(at, "%s is a number that cannot be handled", c.label(at))
		return
	}
	switch {
	case s.minimum != nil && n.Cmp(s.minimum) < 0:
		c.say(at, "%s must be at least %s", c.label(at), shown(s.minimum))
	case s.maximum != nil && n.Cmp(s.maximum) > 0:
		c.say(at, "%s must be at most %s", c.label(at), shown(s.maximum))
	case s.above != nil && n.Cmp(s.above) <= 0:
		c.say(at, "%s must be more than %s", c.label(at), shown(s.above))
	case s.below != nil && n.Cmp(s.below) >= 0:
		c.say(at, "%s must be less than %s", c.label(at), shown(s.below))
	case s.multiple != nil && s.multiple.Sign() > 0 && !new(big.Rat).Quo(n, s.multiple).IsInt():
		c.say(at, "%s must be a multiple of %s", c.label(at), shown(s.multiple))
	}
}

func (c *conform) text(s *shape, at spot) {
	text := at.node.Text
	if s.minLength != nil || s.maxLength != nil {
		n := utf8.RuneCountInString(text)
		switch {
		case s.minLength != nil && n < *s.minLength && n == 0:
			c.say(at, "%s must not be empty", c.label(at))
		case s.minLength != nil && n < *s.minLength:
			c.say(at, "%s must have at least %d characters", c.label(at), *s.minLength)
		case s.maxLength != nil && n > *s.maxLength:
			c.say(at, "%s must have at most %d characters", c.label(at), *s.maxLength)
		}
	}
	hint, known := fitsFormat(s.format, text)
	if !known {
		c.say(at, "%s is not a valid %s", c.label(at), cmp.Or(formatNames[s.format], s.format)).Hint = hint
		return
	}
	if s.pattern != nil && !s.pattern.MatchString(text) {
		f := c.say(at, "%s does not match %s", c.label(at), s.pattern)
		if s.description != "" {
			f.Hint = s.description
		}
	}
}

func (c *conform) list(s *shape, at spot) {
	n := len(at.node.Items)
	switch {
	case s.minItems != nil && n < *s.minItems && n == 0:
		c.say(at, "%s must not be empty", c.label(at))
	case s.minItems != nil && n < *s.minItems:
		c.say(at, "%s must have at least %d elements, not %d", c.label(at), *s.minItems, n)
	case s.maxItems != nil && n > *s.maxItems:
		c.say(at, "%s must have at most %d elements, not %d", c.label(at), *s.maxItems, n)
	}
	for i, item := range at.node.Items {
		if i < len(s.prefix) {
			c.check(s.prefix[i], at.item(i, item))
		} else {
			c.check(s.items, at.item(i, item))
		}
	}
	c.uniqueItems(s, at)
	c.containsItems(s, at)
}

func (c *conform) uniqueItems(s *shape, at spot) {
	if !s.unique {
		return
	}
	seen := map[string]bool{}
	for i, item := range at.node.Items {
		if c.isOpen(item) {
			c.open = true
			continue
		}
		raw := string(c.canonical(item))
		if seen[raw] {
			c.say(at.item(i, item), "%s stands in the list twice", c.label(at.item(i, item)))
		}
		seen[raw] = true
	}
}

func (c *conform) containsItems(s *shape, at spot) {
	if s.contains == nil {
		return
	}
	least, found, maybe := 1, 0, 0
	if s.minContains != nil {
		least = *s.minContains
	}
	for i, item := range at.node.Items {
		switch side := c.try(s.contains, at.item(i, item)); {
		case side.fits():
			found++
		case !side.fails():
			maybe++
		}
	}
	switch {
	case found+maybe < least:
		c.say(at, "%s lacks an element that it must have", c.label(at))
	case s.maxContains != nil && found > *s.maxContains:
		c.say(at, "%s has too many elements of one kind", c.label(at))
	case maybe > 0:
		c.open = true
	}
}

func (c *conform) object(s *shape, at spot) {
	n := len(at.node.Fields)
	switch {
	case s.minProperties != nil && n < *s.minProperties && n == 0:
		c.say(at, "%s must not be empty", c.label(at))
	case s.minProperties != nil && n < *s.minProperties:
		c.say(at, "%s must have at least %d keys, not %d", c.label(at), *s.minProperties, n)
	case s.maxProperties != nil && n > *s.maxProperties:
		c.say(at, "%s must have at most %d keys, not %d", c.label(at), *s.maxProperties, n)
	}
	for _, f := range at.node.Fields {
		c.member(s, at, f)
	}
	for _, name := range s.required {
		if _, ok := at.node.Field(name); !ok {
			c.missing(s, at, name)
		}
	}
	c.dependencies(s, at)
}

func (c *conform) member(s *shape, at spot, f config.Field) {
	if s.names != nil {
		name := spot{node: f.NameNode(), field: f, up: at.up, name: at.name, index: at.index}
		if side := c.try(s.names, name); side.fails() {
			c.faults = append(c.faults, f.Fault("%q cannot be a key of %s", f.Name, c.within(at)))
		}
	}
	sub, matched := s.properties[f.Name]
	if matched {
		c.check(sub, at.member(f))
	}
	for _, p := range s.patterns {
		if p.name != nil && p.name.MatchString(f.Name) {
			matched = true
			c.check(p.shape, at.member(f))
		}
	}
	switch {
	case matched || s.additional == nil:
	case s.additional.never:
		c.unknownKey(s, at, f)
	default:
		c.check(s.additional, at.member(f))
	}
}

func (c *conform) dependencies(s *shape, at spot) {
	for name, needed := range s.dependent {
		if _, ok := at.node.Field(name); !ok {
			continue
		}
		for _, other := range needed {
			if _, ok := at.node.Field(other); !ok {
				c.say(at, "%s has %q and must then have %q too", c.within(at), name, other)
			}
		}
	}
	for name, sub := range s.dependentOn {
		if _, ok := at.node.Field(name); ok {
			c.check(sub, at)
		}
	}
}

// combined checks the schemas that a schema is made of.
func (c *conform) combined(s *shape, at spot) {
	c.check(s.ref, at)
	for _, sub := range s.allOf {
		c.check(sub, at)
	}
	if len(s.anyOf) > 0 {
		c.anyOf(s.anyOf, at)
	}
	if len(s.oneOf) > 0 {
		c.oneOf(s.oneOf, at)
	}
	if s.not != nil {
		switch side := c.try(s.not, at); {
		case side.fits():
			c.say(at, "%s is not allowed in this form", c.label(at))
		case !side.fails():
			c.open = true
		}
	}
	if s.when == nil {
		return
	}
	switch side := c.try(s.when, at); {
	case side.fits():
		c.check(s.then, at)
	case side.fails():
		c.check(s.otherwise, at)
	default:
		c.open = true
	}
}

func (c *conform) anyOf(of []*shape, at spot) {
	sides := make([]*conform, len(of))
	maybe := false
	for i, s := range of {
		sides[i] = c.try(s, at)
		if sides[i].fits() {
			return
		}
		maybe = maybe || !sides[i].fails()
	}
	if maybe {
		c.open = true
		return
	}
	c.nearest(of, sides, at)
}

func (c *conform) oneOf(of []*shape, at spot) {
	sides := make([]*conform, len(of))
	fit, maybe := 0, 0
	for i, s := range of {
		sides[i] = c.try(s, at)
		switch {
		case sides[i].fits():
			fit++
		case !sides[i].fails():
			maybe++
		}
	}
	switch {
	case fit > 1:
		c.say(at, "%s fits more than one of the forms that it can have", c.label(at))
	case maybe > 0:
		c.open = true
	case fit == 0:
		c.nearest(of, sides, at)
	}
}

// nearest reports the alternative that was most likely meant: one whose type
// fits and of which least is wrong.
func (c *conform) nearest(of []*shape, sides []*conform, at spot) {
	var best *conform
	var types []string
	for i, side := range sides {
		if t := of[i].effectiveTypes(0); len(t) > 0 && !fitsType(c.settled(at.node), t) {
			types = append(types, t...)
			continue
		}
		if best == nil || len(side.faults) < len(best.faults) {
			best = side
		}
	}
	if best != nil {
		c.faults = append(c.faults, best.faults...)
		return
	}
	c.wrongType(at, types)
}

func (c *conform) settled(n *config.Node) *config.Node {
	if l := c.in.leaves[n]; l != nil && l.open == nil {
		return l.settled()
	}
	return n
}

// effectiveTypes are the types that a schema allows, behind a reference too.
func (s *shape) effectiveTypes(depth int) []string {
	if len(s.types) > 0 || s.ref == nil || depth > 10 {
		return s.types
	}
	return s.ref.effectiveTypes(depth + 1)
}
