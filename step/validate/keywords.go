package validate

import (
	"maps"
	"math/big"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// combining are the keywords that put schemas together.
func (c *compiler) combining(at, name string, v any, all map[string]any) (test, bool) {
	switch name {
	case "allOf":
		of := c.list(at, v)
		return func(v any, r *report) bool {
			ok := true
			for _, n := range of {
				ok = n.check(v, r) && ok
			}
			return ok
		}, true
	case "anyOf", "oneOf":
		of, one := c.list(at, v), name == "oneOf"
		return func(v any, r *report) bool {
			fits := 0
			for _, n := range of {
				if n.check(v, nil) {
					fits++
				}
			}
			switch {
			case fits == 1 || fits > 1 && !one:
				return true
			case fits > 1:
				return r.say("it fits %d of the schemas of which it may fit one", fits)
			}
			return r.say("it fits none of the %d schemas that are possible", len(of))
		}, true
	case "not":
		n := c.at(at, v)
		return func(v any, r *report) bool { return !n.check(v, nil) || r.say("it is what it must not be") }, true
	case "if":
		when, then, otherwise := c.at(at, v), c.beside(at, "then", all), c.beside(at, "else", all)
		return func(v any, r *report) bool {
			if when.check(v, nil) {
				return then.check(v, r)
			}
			return otherwise.check(v, r)
		}, true
	}
	return nil, false
}

// beside is a keyword next to another, or one that allows everything.
func (c *compiler) beside(at, name string, all map[string]any) *node {
	doc, ok := all[name]
	if !ok {
		return &node{}
	}
	return c.at(at[:strings.LastIndexByte(at, '/')+1]+name, doc)
}

func (c *compiler) objects(at, name string, v any, all map[string]any) (test, bool) {
	var do func(m map[string]any, r *report) bool
	switch name {
	case "properties":
		do = properties(c.members(at, v))
	case "required":
		words := c.words(at, v)
		do = func(m map[string]any, r *report) bool {
			ok := true
			for _, name := range words {
				if _, there := m[name]; !there {
					if ok = r.say("%q is missing", name); r == nil {
						return false
					}
				}
			}
			return ok
		}
	case "additionalProperties":
		do = c.additional(at, v, all)
	case "patternProperties":
		do = c.patterns(at, v)
	case "propertyNames":
		n := c.at(at, v)
		do = func(m map[string]any, r *report) bool {
			ok := true
			for name := range m {
				ok = n.below(name, name, r) && ok
			}
			return ok
		}
	case "minProperties", "maxProperties":
		do = c.size(at, v, name == "minProperties")
	case "dependentRequired":
		do = c.dependents(at, v)
	default:
		return nil, false
	}
	return func(v any, r *report) bool {
		m, ok := v.(map[string]any)
		return !ok || do(m, r)
	}, true
}

// member is a property by its name, in a fixed order: a slice is walked
// faster than a map.
type member struct {
	name string
	node *node
}

func properties(nodes map[string]*node) func(map[string]any, *report) bool {
	var list []member
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		list = append(list, member{name, nodes[name]})
	}
	return func(m map[string]any, r *report) bool {
		ok := true
		for i := range list {
			v, there := m[list[i].name]
			if !there || list[i].node.below(list[i].name, v, r) {
				continue
			}
			if ok = false; r == nil {
				return false
			}
		}
		return ok
	}
}

func (c *compiler) size(at string, v any, least bool) func(map[string]any, *report) bool {
	n := c.count(at, v)
	return func(m map[string]any, r *report) bool {
		if least {
			return len(m) >= n || r.say("it has %d members, fewer than %d", len(m), n)
		}
		return len(m) <= n || r.say("it has %d members, more than %d", len(m), n)
	}
}

func (c *compiler) additional(at string, v any, all map[string]any) func(map[string]any, *report) bool {
	n := c.at(at, v)
	known, _ := all["properties"].(map[string]any)
	var patterns []*regexp.Regexp
	if doc, ok := all["patternProperties"].(map[string]any); ok {
		for p := range doc {
			patterns = append(patterns, c.pattern(at, p))
		}
	}
	return func(m map[string]any, r *report) bool {
		ok := true
		for name, v := range m {
			if _, is := known[name]; is || slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(name) }) {
				continue
			}
			ok = n.below(name, v, r) && ok
		}
		return ok
	}
}

func (c *compiler) patterns(at string, v any) func(map[string]any, *report) bool {
	nodes := c.members(at, v)
	res := map[string]*regexp.Regexp{}
	for p := range nodes {
		res[p] = c.pattern(at, p)
	}
	return func(m map[string]any, r *report) bool {
		ok := true
		for name, v := range m {
			for p, re := range res {
				if re.MatchString(name) {
					ok = nodes[p].below(name, v, r) && ok
				}
			}
		}
		return ok
	}
}

func (c *compiler) dependents(at string, v any) func(map[string]any, *report) bool {
	doc, _ := v.(map[string]any)
	needs := map[string][]string{}
	for name, list := range doc {
		needs[name] = c.words(at+"/"+name, list)
	}
	return func(m map[string]any, r *report) bool {
		ok := true
		for name, others := range needs {
			if _, there := m[name]; !there {
				continue
			}
			for _, other := range others {
				if _, there := m[other]; !there {
					ok = r.say("%q is missing, which %q needs", other, name)
				}
			}
		}
		return ok
	}
}

func (c *compiler) lists(at, name string, v any, all map[string]any) (test, bool) {
	var do func(l []any, r *report) bool
	switch name {
	case "items":
		n, from := c.at(at, v), 0
		if prefix, ok := all["prefixItems"].([]any); ok {
			from = len(prefix)
		}
		do = func(l []any, r *report) bool {
			ok := true
			for i := from; i < len(l); i++ {
				ok = n.item(i, l[i], r) && ok
			}
			return ok
		}
	case "prefixItems":
		nodes := c.list(at, v)
		do = func(l []any, r *report) bool {
			ok := true
			for i := range min(len(l), len(nodes)) {
				ok = nodes[i].item(i, l[i], r) && ok
			}
			return ok
		}
	case "minItems":
		n := c.count(at, v)
		do = func(l []any, r *report) bool {
			return len(l) >= n || r.say("it has %d items, fewer than %d", len(l), n)
		}
	case "maxItems":
		n := c.count(at, v)
		do = func(l []any, r *report) bool {
			return len(l) <= n || r.say("it has %d items, more than %d", len(l), n)
		}
	case "uniqueItems":
		unique, _ := v.(bool)
		do = func(l []any, r *report) bool { return !unique || distinct(l) || r.say("an item is there twice") }
	case "contains":
		do = c.contains(at, v, all)
	default:
		return nil, false
	}
	return func(v any, r *report) bool {
		l, ok := v.([]any)
		return !ok || do(l, r)
	}, true
}

func (n *node) item(i int, v any, r *report) bool {
	if r == nil {
		return n.check(v, nil)
	}
	return n.below(strconv.Itoa(i), v, r)
}

func distinct(l []any) bool {
	for i := range l {
		for j := range i {
			if equal(l[i], l[j]) {
				return false
			}
		}
	}
	return true
}

func (c *compiler) contains(at string, v any, all map[string]any) func([]any, *report) bool {
	n, least, most := c.at(at, v), 1, -1
	if v, ok := all["minContains"]; ok {
		least = c.count(at, v)
	}
	if v, ok := all["maxContains"]; ok {
		most = c.count(at, v)
	}
	return func(l []any, r *report) bool {
		fits := 0
		for _, v := range l {
			if n.check(v, nil) {
				fits++
			}
		}
		return fits >= least && (most < 0 || fits <= most) || r.say("%d of its items are as they must be; that many are not allowed", fits)
	}
}

func (c *compiler) scalars(at, name string, v any, _ map[string]any) (test, bool) {
	switch name {
	case "minLength", "maxLength":
		n, least := c.count(at, v), name == "minLength"
		return onText(func(s string, r *report) bool {
			if least {
				return len(s) >= n && runes(s) >= n || r.say("it is shorter than %d characters", n)
			}
			return len(s) <= n || runes(s) <= n || r.say("it is longer than %d characters", n)
		}), true
	case "pattern":
		re := c.pattern(at, v)
		return onText(func(s string, r *report) bool { return re.MatchString(s) || r.say("it does not match %s", re) }), true
	case "format":
		name, _ := v.(string)
		fits, ok := formats()[name]
		if !ok {
			return nil, true // an unknown one says nothing, by the standard
		}
		return onText(func(s string, r *report) bool { return fits(s) || r.say("it is no %s", name) }), true
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return c.limit(at, name, v), true
	}
	return nil, false
}

func onText(do func(string, *report) bool) test {
	return func(v any, r *report) bool {
		s, ok := v.(string)
		return !ok || do(s, r)
	}
}

func (c *compiler) limit(at, name string, v any) test {
	bound, ok := exact(v)
	if !ok || name == "multipleOf" && bound.Sign() <= 0 {
		c.fail(at, "it is no number that can be used here")
		return nil
	}
	fits := map[string]func(cmp int) bool{
		"minimum": func(cmp int) bool { return cmp >= 0 }, "maximum": func(cmp int) bool { return cmp <= 0 },
		"exclusiveMinimum": func(cmp int) bool { return cmp > 0 }, "exclusiveMaximum": func(cmp int) bool { return cmp < 0 },
	}[name]
	return func(got any, r *report) bool {
		x, ok := exact(got)
		switch {
		case !ok:
			return true
		case fits == nil:
			return new(big.Rat).Quo(x, bound).IsInt() || r.say("it is no multiple of %v", v)
		}
		return fits(x.Cmp(bound)) || r.say("it does not keep to %s %v", name, v)
	}
}

// formats are those that are checked, each without an allocation where the
// value is as most are.
func formats() map[string]func(string) bool {
	return map[string]func(string) bool{
		"uuid": isUUID, "email": isEmail, "date-time": isDateTime, "uri": isURI, "hostname": isHostname,
		"date":  func(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil },
		"time":  func(s string) bool { return isDateTime("2006-01-02T" + s) },
		"ipv4":  func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is4() },
		"ipv6":  func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is6() && a.Zone() == "" },
		"regex": func(s string) bool { _, err := regexp.Compile(s); return err == nil },
	}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// isEmail decides plain addresses by themselves and leaves the rest to
// net/mail.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 || len(s) > 254 {
		return false
	}
	plain := true
	for i := range at {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("_-+", c) >= 0
		dot := c == '.' && i > 0 && i < at-1 && s[i-1] != '.'
		plain = plain && (letter || dot)
	}
	if plain {
		return isHostname(s[at+1:])
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

func isHostname(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c|0x20 < 'a' && c != '-' && (c < '0' || c > '9') || c|0x20 > 'z' {
				return false
			}
		}
	}
	return true
}

func isDateTime(s string) bool {
	if len(s) < 20 || s[10]|0x20 != 't' {
		return false
	}
	if s[17:19] == "60" { // a leap second
		s = s[:17] + "59" + s[19:]
	}
	if s[10] == 't' || s[len(s)-1] == 'z' {
		s = strings.ToUpper(s)
	}
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

// isURI decides plain http addresses by themselves.
func isURI(s string) bool {
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(s, "http://")
	}
	if ok {
		host, path, _ := strings.Cut(rest, "/")
		plain := isHostname(host)
		for i := 0; plain && i < len(path); i++ {
			c := path[i]
			plain = c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("/-_.~", c) >= 0
		}
		if plain {
			return true
		}
	}
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && !strings.ContainsAny(s, " <>\"{}|\\^`") && ascii(s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
