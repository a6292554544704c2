package resolve

import (
	"encoding/json"
	"fmt"
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

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
)

// path is where a value stands in the configuration.
func (s spot) path() sdk.Path {
	switch {
	case s.up == nil:
		return ""
	case s.field.Value != nil:
		return s.up.path().Child(s.name)
	}
	return s.up.path().Index(s.index)
}

// fault points at a value: at its key where the value is a block of its own,
// at the module's name where it is the whole.
func (c *conform) fault(at spot, format string, args ...any) *fault.Error {
	switch block := at.node.Kind == config.Map || at.node.Kind == config.List; {
	case at.up == nil:
		return c.in.owner.Fault(format, args...)
	case block && at.field.Value != nil:
		return at.field.Fault(format, args...)
	}
	return at.node.Fault(format, args...)
}

func (c *conform) say(at spot, format string, args ...any) *fault.Error {
	f := c.fault(at, format, args...)
	c.faults = append(c.faults, f)
	return f
}

// label names a value: "http_port" of module "web".
func (c *conform) label(at spot) string {
	p := at.path()
	if p == "" {
		return "the config of " + c.what
	}
	return fmt.Sprintf("%q of %s", p.Dotted(), c.what)
}

// within names what a key stands in.
func (c *conform) within(at spot) string { return c.label(at) }

func (c *conform) unknownKey(s *shape, at spot, field config.Field) {
	f := field.Fault("unknown key %q in %s", field.Name, c.within(at))
	known := slices.Sorted(maps.Keys(s.properties))
	switch near := kind.Nearest(field.Name, known); {
	case near != "":
		f.Hint = fmt.Sprintf("did you mean %q?", near)
	case len(known) > 0:
		f.Hint = "the keys are " + strings.Join(known, ", ")
	}
	c.faults = append(c.faults, f)
}

func (c *conform) missing(s *shape, at spot, name string) {
	f := c.say(at, "%s has no %q", c.within(at), name)
	f.Hint = fmt.Sprintf("add `%s:`", name)
	sub := s.properties[name]
	if sub == nil {
		return
	}
	if sub.ref != nil && sub.enum == nil && sub.description == "" {
		sub = sub.ref
	}
	switch {
	case len(sub.enum) > 0:
		f.Hint = fmt.Sprintf("add `%s:`, which is one of %s", name, words(sub.enum))
	case sub.description != "":
		f.Hint = fmt.Sprintf("add `%s:` (%s)", name, sub.description)
	}
}

func (c *conform) wrongType(at spot, want []string) {
	names := make([]string, len(want))
	for i, w := range want {
		names[i] = article(w)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	n := at.node
	f := c.say(at, "%s must be %s, not %s", c.label(at), strings.Join(names, " or "), n.Kind)
	f.Hint = typeHint(n, want)
	if l := c.leafAt(at); l != nil && n.Kind == config.String && !slices.Contains(want, "array") {
		f.Hint = "a variable is text: make a value of it with ${{ fromJSON(env.NAME) }}"
	}
}

// leafAt is the leaf whose settled value a spot has.
func (c *conform) leafAt(at spot) *leaf {
	for _, l := range c.in.leaves {
		if l.node == at.node || l.made == at.node {
			return l
		}
	}
	return nil
}

func typeHint(n *config.Node, want []string) string {
	number := slices.Contains(want, "integer") || slices.Contains(want, "number") || slices.Contains(want, "boolean")
	switch {
	case n.Kind == config.Null:
		return "give it a value, or remove it"
	case number && n.Kind == config.String && looksPlain(n.Text):
		return "write it without quotes"
	case slices.Contains(want, "string") && (n.Kind == config.Number || n.Kind == config.Bool):
		return fmt.Sprintf("put it in quotes: %q", n.Text)
	case slices.Contains(want, "array") && n.Kind == config.String && !strings.Contains(n.Text, "\n"):
		return "write a list: [" + n.Text + "]"
	}
	return ""
}

// looksPlain tells whether a text would be a number or a boolean without its
// quotes.
func looksPlain(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil || s == "true" || s == "false"
}

func article(jsonType string) string {
	switch jsonType {
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "string":
		return "a string"
	}
	return jsonType
}

// notOneOf reports a value that is not in a list. One that may be a secret is
// not shown.
func (c *conform) notOneOf(at spot, want []any) {
	known := make([]string, len(want))
	for i, w := range want {
		known[i] = word(w)
	}
	l := c.leafAt(at)
	if l != nil && l.secret {
		c.say(at, "%s has a value that is not allowed", c.label(at)).Hint = "it is one of " + strings.Join(known, ", ")
		return
	}
	f := c.say(at, "%s cannot be %s", c.label(at), quoted(at.node))
	switch near := kind.Nearest(at.node.Text, known); {
	case near != "" && at.node.Kind == config.String:
		f.Hint = fmt.Sprintf("did you mean %q?", near)
	case len(known) == 1:
		f.Hint = "it must be " + known[0]
	default:
		f.Hint = "it is one of " + strings.Join(known, ", ")
	}
}

func words(values []any) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = word(v)
	}
	return strings.Join(list, ", ")
}

func word(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(mustJSON(v))
}

// mustJSON encodes what was decoded before.
func mustJSON(v any) json.RawMessage {
	raw, _ := json.Marshal(v)
	return raw
}

func quoted(n *config.Node) string {
	if n.Kind == config.Map || n.Kind == config.List {
		return n.Kind.String()
	}
	const most = 60
	if text := []rune(n.Text); n.Kind == config.String && len(text) > most {
		return strconv.Quote(string(text[:most]) + "…")
	}
	return string(n.AppendJSON(nil))
}

func shown(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

var (
	hostname = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?$`)
	uuid     = lazyregexp.New(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// formatNames are formats in words.
var formatNames = map[string]string{
	"duration-go": "length of time", "uri": "URL", "url": "URL", "cidr": "network", "hostname": "host name", "email": "address",
	"ipv4": "IPv4 address", "ipv6": "IPv6 address", "date-time": "time", "regex": "regular expression", "uuid": "UUID",
}

// fitsFormat checks the formats that configurations have; a format that is
// not known fits. The hint shows a good one.
func fitsFormat(format, s string) (hint string, ok bool) {
	var err error
	switch format {
	case "uri", "url":
		u, bad := url.Parse(s)
		return "such as https://example.com/path", bad == nil && u.IsAbs()
	case "email":
		_, err = mail.ParseAddress(s)
		return "such as someone@example.com", err == nil
	case "hostname":
		return "such as db.example.com", len(s) <= 253 && hostname().MatchString(s)
	case "ipv4":
		a, bad := netip.ParseAddr(s)
		return "such as 10.0.0.1", bad == nil && a.Is4()
	case "ipv6":
		a, bad := netip.ParseAddr(s)
		return "such as fd00::1", bad == nil && a.Is6()
	case "cidr":
		_, err = netip.ParsePrefix(s)
		return "such as 10.0.0.0/16", err == nil
	case "date-time":
		_, err = time.Parse(time.RFC3339, s)
		return "such as 2026-04-24T10:00:00Z", err == nil
	case "date":
		_, err = time.Parse(time.DateOnly, s)
		return "such as 2026-04-24", err == nil
	case "duration-go":
		_, err = time.ParseDuration(s)
		return "a number with its unit: 30s, 5m, 1h30m", err == nil
	case "regex":
		_, err = regexp.Compile(s)
		return "a regular expression of Go (RE2)", err == nil
	case "uuid":
		return "such as 123e4567-e89b-12d3-a456-426614174000", uuid().MatchString(s)
	}
	return "", true
}
