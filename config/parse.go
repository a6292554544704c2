package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/gocodealone/wfctl/fault"
)

// maxAliased bounds how many values the aliases of one file may stand for, so
// that a few lines cannot fill the memory.
const maxAliased = 1_000_000

// parse reads one YAML document. The node is nil where the text is no YAML.
func parse(name string, data []byte) (*Node, fault.List) {
	src := &source{name: name, data: data}
	doc, f := document(src)
	if f != nil {
		return nil, fault.List{f}
	}
	if doc == nil || len(doc.Content) == 0 {
		return &Node{Kind: Null, src: src, line: 1, col: 1}, nil
	}
	c := &composer{src: src, names: map[string]string{}}
	root := c.node(doc.Content[0])
	return root, c.faults
}

// document runs the YAML parser, which panics on what it holds impossible.
func document(src *source) (doc *yaml.Node, f *fault.Error) {
	defer func() {
		if r := recover(); r != nil {
			doc, f = nil, src.fault(1, 1, "this is not YAML that can be read: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src.data))
	var first, second yaml.Node
	switch err := dec.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, src.syntax(err)
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
		return &first, nil
	case err != nil:
		return nil, src.syntax(err)
	}
	return nil, src.fault(second.Line, second.Column, "a second document begins here").
		WithHint("one file holds one document: put the rest into another file and name it under `imports:`")
}

func (s *source) fault(line, col int, format string, args ...any) *fault.Error {
	line, col = max(line, 1), max(col, 1)
	n := &Node{src: s, line: int32(line), col: int32(col)}
	return n.Fault(format, args...)
}

// syntax turns an error of the YAML parser into one with a place. The parser
// names the beginning of what it was reading, often lines above the mistake;
// the last line up to which the text can be read tells more.
func (s *source) syntax(err error) *fault.Error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if anchor, ok := strings.CutPrefix(msg, "unknown anchor '"); ok {
		anchor, _, _ = strings.Cut(anchor, "'")
		line, col := s.find("*" + anchor)
		f := s.fault(line, col, "there is no anchor &%s for this alias", anchor)
		f.Width = len(anchor) + 1
		return f
	}
	var pe *yaml.ParserError
	if errors.As(err, &pe) {
		msg = pe.Message
	}
	line := s.firstBad()
	text := s.text(line)
	indent := len(text) - len(strings.TrimLeft(text, " \t"))
	f := s.fault(line, indent+1, "this is not YAML: %s", msg)
	f.Width = max(1, utf8.RuneCountInString(strings.TrimSpace(text)))
	switch {
	case strings.Contains(text[:indent], "\t"):
		return f.WithHint("indent with spaces: this line begins with a tab")
	case strings.Contains(msg, "mapping values are not allowed"), strings.Contains(msg, "did not find expected"):
		return f.WithHint("compare the indentation with the lines above, and put text that holds \": \" in quotes")
	case strings.Contains(msg, "unexpected end of stream"):
		return f.WithHint("a quote or bracket that opens here is never closed")
	}
	return f
}

// parseBudget bounds how many bytes the search for a mistake reads again.
const parseBudget = 16 << 20

// firstBad returns the first line that cannot be read together with those
// above it.
func (s *source) firstBad() int {
	s.start(1)
	budget := parseBudget
	good := func(line int) bool {
		end := s.start(line + 1)
		budget -= end
		var n yaml.Node
		return budget > 0 && readable(s.data[:end], &n)
	}
	low, found := 0, true // the lines up to low can be read
	for found {
		low += sort.Search(len(s.lines)-low, func(i int) bool { return !good(low + i + 1) })
		found = false
		for next := low + 2; next <= len(s.lines) && next < low+100 && !found; next++ {
			if found = good(next); found { // a value of several lines ended there
				low = next
			}
		}
	}
	return min(low+1, len(s.lines))
}

// readable tells whether the parser takes a text; it panics on some.
func readable(data []byte, n *yaml.Node) (ok bool) {
	defer func() { ok = ok && recover() == nil }()
	return yaml.Unmarshal(data, n) == nil
}

// find returns the place of the first occurrence of a text.
func (s *source) find(text string) (line, col int) {
	i := bytes.Index(s.data, []byte(text))
	if i < 0 {
		return 1, 1
	}
	before := s.data[:i]
	return bytes.Count(before, []byte("\n")) + 1, i - bytes.LastIndexByte(before, '\n')
}

// composer turns the parser's tree into nodes: smaller, with aliases followed
// and duplicate keys found.
type composer struct {
	src     *source
	faults  fault.List
	names   map[string]string
	block   []Node // nodes are allocated many at a time
	done    map[*yaml.Node]*Node
	active  map[*yaml.Node]bool
	aliased int
	bomb    bool
}

func (c *composer) alloc(y *yaml.Node, kind Kind) *Node {
	if len(c.block) == 0 {
		c.block = make([]Node, 256)
	}
	n := &c.block[0]
	c.block = c.block[1:]
	n.Kind, n.src, n.line, n.col, n.size = kind, c.src, int32(y.Line), int32(y.Column), 1
	return n
}

func (c *composer) fail(f *fault.Error) { c.faults = append(c.faults, f) }

func (c *composer) failAt(y *yaml.Node, format string, args ...any) *fault.Error {
	return c.alloc(y, Null).Fault(format, args...)
}

func (c *composer) node(y *yaml.Node) *Node {
	if y.Kind == yaml.AliasNode {
		return c.alias(y)
	}
	if y.Anchor == "" {
		return c.plain(y)
	}
	if c.done == nil {
		c.done, c.active = map[*yaml.Node]*Node{}, map[*yaml.Node]bool{}
	}
	c.active[y] = true
	n := c.plain(y)
	delete(c.active, y)
	c.done[y] = n
	return n
}

func (c *composer) alias(y *yaml.Node) *Node {
	if c.active[y.Alias] {
		c.fail(c.failAt(y, "the alias *%s stands inside what it stands for", y.Value))
		return c.alloc(y, Null)
	}
	n, ok := c.done[y.Alias]
	if !ok {
		n = c.node(y.Alias)
	}
	if c.aliased += int(n.size); c.aliased > maxAliased {
		if !c.bomb {
			c.fail(c.failAt(y, "the aliases of this file stand for more than %d values", maxAliased).
				WithHint("write out what is meant, or use fewer aliases of aliases"))
		}
		c.bomb = true
		return c.alloc(y, Null)
	}
	return n
}

func (c *composer) plain(y *yaml.Node) *Node {
	switch y.Kind {
	case yaml.MappingNode:
		c.collection(y, "!!map")
		return c.mapping(y)
	case yaml.SequenceNode:
		c.collection(y, "!!seq")
		n := c.alloc(y, List)
		n.Items = make([]*Node, len(y.Content))
		for i, item := range y.Content {
			n.Items[i] = c.node(item)
			n.size += n.Items[i].size
		}
		return n
	}
	return c.scalar(y)
}

func (c *composer) collection(y *yaml.Node, tag string) {
	if y.Tag != tag && y.Tag != "" {
		c.fail(c.failAt(y, "the tag %s means nothing here", y.Tag).WithHint("remove the tag"))
	}
}

func (c *composer) mapping(y *yaml.Node) *Node {
	n := c.alloc(y, Map)
	n.Fields = make([]Field, 0, len(y.Content)/2)
	seen := newKeys(len(y.Content) / 2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			c.fail(c.failAt(y.Content[i], "a key must be a word, not a list or a mapping"))
			continue
		case key.Tag == "!!merge":
			merges = append(merges, value)
			continue
		}
		f := Field{Name: c.name(key.Value), line: int32(y.Content[i].Line), col: int32(y.Content[i].Column)}
		f.Value = c.node(value)
		if first, dup := seen.add(n, f.Name); dup {
			c.fail(Field{Name: f.Name, Value: c.alloc(key, Null), line: f.line, col: f.col}.
				Fault("duplicate key %s", quote(f.Name)).WithHint("it is already at line %d", n.Fields[first].line))
			continue
		}
		n.size += f.Value.size + 1
		n.Fields = append(n.Fields, f)
	}
	for _, m := range merges {
		c.merge(n, seen, m)
	}
	return n
}

// merge adds the members behind a `<<` that the map does not have itself.
func (c *composer) merge(n *Node, seen *keys, y *yaml.Node) {
	from := c.node(y)
	maps := []*Node{from}
	if from.Kind == List {
		maps = from.Items
	}
	for _, m := range maps {
		if m.Kind != Map {
			c.fail(c.failAt(y, "`<<` merges mappings; this is %s", m.Kind))
			return
		}
		for _, f := range m.Fields {
			if _, dup := seen.add(n, f.Name); !dup {
				n.Fields = append(n.Fields, f)
				n.size += f.Value.size + 1
			}
		}
	}
}

// keys finds duplicates: by looking in short maps, by a table in long ones.
type keys struct{ table map[string]int }

func newKeys(n int) *keys {
	if n <= 16 {
		return &keys{}
	}
	return &keys{make(map[string]int, n)}
}

// add is called before name is appended to n; it returns an earlier one.
func (k *keys) add(n *Node, name string) (first int, dup bool) {
	if k.table != nil {
		if i, ok := k.table[name]; ok {
			return i, true
		}
		k.table[name] = len(n.Fields)
		return 0, false
	}
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return i, true
		}
	}
	if len(n.Fields) == 64 { // grown by merges
		k.table = map[string]int{name: 64}
		for i := range n.Fields {
			k.table[n.Fields[i].Name] = i
		}
	}
	return 0, false
}

// name shares equal keys.
func (c *composer) name(s string) string {
	if shared, ok := c.names[s]; ok {
		return shared
	}
	c.names[s] = s
	return s
}

func (c *composer) scalar(y *yaml.Node) *Node {
	n := c.alloc(y, String)
	n.Text = y.Value
	switch y.Tag {
	case "!!str", "!!timestamp", "!!merge":
	case "!!null":
		n.Kind, n.Text = Null, ""
	case "!!bool":
		var v bool
		if err := y.Decode(&v); err != nil {
			c.fail(n.Fault("%s is neither true nor false", quote(y.Value)))
		}
		n.Kind, n.Text = Bool, fmt.Sprint(v)
	case "!!int", "!!float":
		c.number(n, y)
	default:
		c.fail(n.Fault("the tag %s means nothing here", y.Tag).WithHint("remove the tag"))
	}
	return n
}

// number gives a number its JSON form.
func (c *composer) number(n *Node, y *yaml.Node) {
	n.Kind = Number
	if plainInteger(y.Value) {
		return
	}
	var v any
	if err := y.Decode(&v); err != nil {
		c.fail(n.Fault("%s is not a number", quote(y.Value)))
		n.Text = "0"
		return
	}
	switch v := v.(type) {
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			c.fail(n.Fault("%s cannot be used: a number must be finite", y.Value).WithHint("put it in quotes if it is text"))
			v = 0
		}
		if i, ok := new(big.Int).SetString(y.Value, 10); ok {
			n.Text = i.String() // an integer beyond 64 bits keeps its digits
			return
		}
		raw, _ := json.Marshal(v) // finite
		n.Text = string(raw)
	default:
		n.Text = fmt.Sprint(v)
	}
}

// plainInteger tells whether s is JSON already.
func plainInteger(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || (digits[0] == '0' && len(digits) > 1) {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}
