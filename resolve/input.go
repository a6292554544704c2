package resolve

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// An input is a configuration whose variables and settled expressions are
// evaluated and whose references are open. It implements resource.Input.
type input struct {
	tree *config.Node
	// leaves are the strings of the tree that are more than text.
	leaves map[*config.Node]*leaf
	refs   []resource.Ref
	// roots are the contexts for expressions that stay open.
	roots map[string]any
	// owner is where the name of what it configures stands, typ where the
	// type of the module does, for errors about them.
	owner, typ *config.Node
	// provider is what manages it; zero for what belongs to the project.
	provider resource.Provider

	once   sync.Once
	static resource.Resolved
}

// A leaf is a string with variables or expressions.
type leaf struct {
	node *config.Node
	// raw is the JSON of a settled value.
	raw   []byte
	value any
	// made is the settled value as a node.
	once   sync.Once
	made   *config.Node
	secret bool
	// failed says that an error was reported already.
	failed bool
	// open are the parts of one that is not settled, with the settled ones
	// folded into text; seed is what decides its value beside its references.
	open []part
	refs []reference
	seed []byte
}

// settled is the value as a node that stands where the string does.
func (l *leaf) settled() *config.Node {
	l.once.Do(func() { l.made = asNode(l.node, l.value) })
	return l.made
}

func asNode(at *config.Node, v any) *config.Node {
	n := config.NewMap(at)
	switch v := v.(type) {
	case bool:
		n.Kind, n.Text = config.Bool, strconv.FormatBool(v)
	case float64:
		n.Kind, n.Text = config.Number, string(appendNumber(nil, v))
	case string:
		n.Kind, n.Text = config.String, v
	case []any, filtered:
		n.Kind = config.List
		for _, item := range asList(v) {
			n.Items = append(n.Items, asNode(at, item))
		}
	case *object:
		for _, name := range v.names {
			n.Fields = append(n.Fields, config.Field{Name: name, Value: asNode(at, v.values[name])})
		}
	default:
		n.Kind = config.Null
	}
	return n
}

// Refs implements resource.Input.
func (in *input) Refs() []resource.Ref { return in.refs }

// Resolve implements resource.Input.
func (in *input) Resolve(scope resource.Scope) (resource.Resolved, error) {
	if len(in.leaves) == 0 {
		in.once.Do(func() { in.static = in.plain() })
		return in.static, nil
	}
	w := writer{in: in, scope: scope}
	w.node(in.tree)
	if err := w.faults.Err(); err != nil {
		return resource.Resolved{}, err
	}
	w.config.JSON = w.real
	return resource.Resolved{Config: w.config, Canonical: w.canon, Digest: resource.Digest(w.canon)}, nil
}

// plain is the configuration of one without leaves.
func (in *input) plain() resource.Resolved {
	w := writer{in: in, single: true}
	w.node(in.tree)
	raw := slices.Clip(w.real)
	return resource.Resolved{Config: sdk.Config{JSON: raw}, Canonical: raw, Digest: resource.Digest(raw)}
}

// A writer writes the JSON of an input twice: with its values, and with what
// stands for them in a record. Members are sorted in both.
type writer struct {
	in     *input
	scope  resource.Scope
	single bool // there is no difference between the two
	real   []byte
	canon  []byte
	path   []string
	config sdk.Config
	faults fault.List
	// source writes a leaf's text where its value may be sensitive or open.
	source bool
}

func (w *writer) raw(s string) {
	w.real = append(w.real, s...)
	if !w.single {
		w.canon = append(w.canon, s...)
	}
}

func (w *writer) text(s string) {
	from := len(w.real)
	w.real = config.AppendString(w.real, s)
	if !w.single {
		w.canon = append(w.canon, w.real[from:]...)
	}
}

func (w *writer) node(n *config.Node) {
	if n == nil {
		w.raw("null")
		return
	}
	switch n.Kind {
	case config.Map:
		w.object(n)
	case config.List:
		w.raw("[")
		for i, item := range n.Items {
			if i > 0 {
				w.raw(",")
			}
			w.item(i, item)
		}
		w.raw("]")
	case config.String:
		if l := w.in.leaves[n]; l != nil {
			w.leaf(l)
			return
		}
		w.text(n.Text)
	default:
		from := len(w.real)
		w.real = n.AppendJSON(w.real)
		if !w.single {
			w.canon = append(w.canon, w.real[from:]...)
		}
	}
}

// item writes an element with its index on the path.
func (w *writer) item(i int, n *config.Node) {
	if w.single { // nobody asks for the path
		w.node(n)
		return
	}
	w.path = append(w.path, strconv.Itoa(i))
	w.node(n)
	w.path = w.path[:len(w.path)-1]
}

func (w *writer) object(n *config.Node) {
	w.raw("{")
	for i, at := range order(n.Fields) {
		if i > 0 {
			w.raw(",")
		}
		f := n.Fields[at]
		w.text(f.Name)
		w.raw(":")
		w.path = append(w.path, f.Name)
		w.node(f.Value)
		w.path = w.path[:len(w.path)-1]
	}
	w.raw("}")
}

// order lists the indices of fields by name.
func order(fields []config.Field) []int {
	indices := make([]int, len(fields))
	inOrder := true
	for i := range fields {
		indices[i] = i
		inOrder = inOrder && (i == 0 || fields[i-1].Name < fields[i].Name)
	}
	if !inOrder {
		slices.SortFunc(indices, func(a, b int) int { return strings.Compare(fields[a].Name, fields[b].Name) })
	}
	return indices
}

func (w *writer) here() sdk.Path {
	var p sdk.Path
	for _, s := range w.path {
		p = p.Child(s)
	}
	return p
}

func (w *writer) leaf(l *leaf) {
	switch {
	case w.source:
		w.sourceOf(l)
	case l.open != nil:
		w.openLeaf(l)
	case l.secret && !w.single:
		w.config.Sensitive = append(w.config.Sensitive, w.here())
		w.real = append(w.real, l.raw...)
		w.canon = appendFingerprint(w.canon, w.scope.Fingerprint(l.raw))
	default:
		w.real = append(w.real, l.raw...)
		if !w.single {
			w.canon = append(w.canon, l.raw...)
		}
	}
}

// sourceOf writes what may be shown to anybody: the text of the file where
// the value may be sensitive or is not known.
func (w *writer) sourceOf(l *leaf) {
	if l.open != nil || l.secret {
		w.raw(`{"$source":`)
		w.text(l.node.Text)
		w.raw("}")
		return
	}
	w.raw(string(l.raw))
}

func appendFingerprint(b []byte, print string) []byte {
	b = append(b, `{"$fingerprint":`...)
	return append(config.AppendString(b, print), '}')
}

// known is what a leaf found of one of its references.
type known struct {
	resource.Known
	print string // of a sensitive value
}

// openLeaf settles a leaf with references.
func (w *writer) openLeaf(l *leaf) {
	found := make(map[resource.Ref]known, len(l.refs))
	state := knownState{}
	for _, r := range l.refs {
		if _, ok := found[r.ref]; ok {
			continue
		}
		k, err := w.lookup(l, r)
		if err != nil {
			w.faults = append(w.faults, err)
			return
		}
		found[r.ref] = k
		state.add(k)
	}
	switch {
	case state.unknown:
		w.config.Unknown = append(w.config.Unknown, w.here())
		w.real = append(w.real, "null"...)
		w.canon = append(w.canon, `{"$unknown":true}`...)
	case state.opaque:
		print := w.fingerprint(l, found)
		w.config.Opaque = append(w.config.Opaque, w.here())
		w.config.Sensitive = append(w.config.Sensitive, w.here())
		w.real = appendFingerprint(w.real, print)
		w.canon = appendFingerprint(w.canon, print)
	default:
		w.value(l, found, state.sensitive || l.secret)
	}
}

type knownState struct{ unknown, opaque, sensitive bool }

func (s *knownState) add(k known) {
	s.unknown = s.unknown || k.Unknown
	s.opaque = s.opaque || (!k.Unknown && k.Value == nil)
	s.sensitive = s.sensitive || k.print != ""
}

func (w *writer) lookup(l *leaf, r reference) (known, *fault.Error) {
	k, err := w.scope.Output(r.ref)
	if err != nil {
		e := l.node.FaultIn(r.offset, r.width, "%s", path(r.ref))
		e.Err = err
		return known{}, e
	}
	found := known{Known: k, print: k.Fingerprint}
	switch {
	case k.Unknown:
	case k.Value == nil && k.Fingerprint == "":
		return known{}, l.node.FaultIn(r.offset, r.width, "%s is neither known nor unknown", path(r.ref))
	case k.Value != nil && k.Value.Sensitive() && found.print == "":
		found.print = w.scope.Fingerprint(k.Value.Reveal())
	case k.Value != nil && !k.Value.Sensitive():
		found.print = ""
	}
	return found, nil
}

// single returns the reference of a leaf that is nothing else.
func (l *leaf) single() (reference, bool) {
	if len(l.open) != 1 || l.open[0].expr == nil {
		return reference{}, false
	}
	r, ok := l.open[0].expr.(reference)
	return r, ok
}

// fingerprint stands for the value of a leaf: computed from the fingerprints
// of what is in it, so that it is the same whether the values are at hand.
func (w *writer) fingerprint(l *leaf, found map[resource.Ref]known) string {
	if r, ok := l.single(); ok && !l.secret {
		return found[r.ref].print
	}
	seed := slices.Clone(l.seed)
	done := map[resource.Ref]bool{}
	for _, r := range l.refs {
		if done[r.ref] {
			continue
		}
		done[r.ref] = true
		k := found[r.ref]
		seed = append(append(seed, 0), path(r.ref)+"="...)
		if k.print != "" {
			seed = append(seed, k.print...)
		} else {
			seed = append(seed, k.Value.Reveal()...)
		}
	}
	return w.scope.Fingerprint(seed)
}

// value writes a leaf all of whose references are at hand.
func (w *writer) value(l *leaf, found map[resource.Ref]known, secret bool) {
	raw, err := l.evaluate(w.in.roots, found)
	if err != nil {
		f := l.node.FaultIn(err.offset, err.width, "%s", err.message)
		f.Hint = err.hint
		w.faults = append(w.faults, f)
		return
	}
	w.real = append(w.real, raw...)
	if !secret {
		w.canon = append(w.canon, raw...)
		return
	}
	w.config.Sensitive = append(w.config.Sensitive, w.here())
	w.canon = appendFingerprint(w.canon, w.fingerprint(l, found))
}

func (l *leaf) evaluate(roots map[string]any, found map[resource.Ref]known) ([]byte, *evalError) {
	if r, ok := l.single(); ok { // as it is: numbers keep their digits
		if raw := compactJSON(found[r.ref].Value.Reveal()); string(raw) != "null" {
			return raw, nil
		}
	}
	s := &scope{contexts: roots}
	s.output = func(r reference) (any, *evalError) {
		v, err := fromJSON(found[r.ref].Value.Reveal())
		switch {
		case err != nil:
			return nil, r.fail("%s is not JSON", path(r.ref))
		case v == nil:
			return missing{r.fail("%s is null", path(r.ref))}, nil
		}
		return v, nil
	}
	v, err := evalParts(l.open, s)
	if err != nil {
		return nil, err
	}
	return appendValue(nil, v), nil
}

// compactJSON sorts the members of a value, so that equal values are equal
// bytes; scalars stay as they are.
func compactJSON(raw json.RawMessage) []byte {
	trimmed := strings.TrimSpace(string(raw))
	if trimmed == "" {
		return []byte("null")
	}
	if c := trimmed[0]; c != '{' && c != '[' {
		return []byte(trimmed)
	}
	dec := json.NewDecoder(strings.NewReader(trimmed))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return []byte(trimmed)
	}
	canonical, err := resource.Canonical(v)
	if err != nil {
		return []byte(trimmed)
	}
	return canonical
}

// Locate implements resource.Input.
func (in *input) Locate(path sdk.Path) fault.Position {
	n, f, _ := in.find(path)
	if n.Kind == config.Map || n.Kind == config.List {
		if f.Value != nil {
			return f.Pos()
		}
	}
	return n.Pos()
}

// find returns the nearest node to a path, the field that holds it, and
// whether it is the path's own.
func (in *input) find(path sdk.Path) (*config.Node, config.Field, bool) {
	n, field := in.tree, config.Field{}
	for _, segment := range path.Segments() {
		var next *config.Node
		switch n.Kind {
		case config.Map:
			if f, ok := n.Field(segment); ok {
				next, field = f.Value, f
			}
		case config.List:
			if i, err := strconv.Atoi(segment); err == nil && i >= 0 && i < len(n.Items) {
				next, field = n.Items[i], config.Field{}
			}
		}
		if next == nil {
			return n, field, false
		}
		n = next
	}
	return n, field, true
}
