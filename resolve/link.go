package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
)

// input compiles a configuration: it settles what can be settled and finds
// the references.
func (r *resolver) input(tree, owner, typ *config.Node) *input {
	return r.inputFor(resource.Provider{}, tree, owner, typ)
}

// inputFor is input of what a provider manages: images are what it can run.
func (r *resolver) inputFor(p resource.Provider, tree, owner, typ *config.Node) *input {
	in := &input{tree: tree, owner: owner, typ: typ, roots: r.roots, provider: p}
	r.compile(in, tree)
	for _, l := range in.leaves {
		for _, ref := range l.refs {
			in.refs = append(in.refs, ref.ref)
		}
	}
	slices.SortFunc(in.refs, compareRefs)
	in.refs = slices.Compact(in.refs)
	return in
}

func compareRefs(a, b resource.Ref) int {
	if c := strings.Compare(string(a.Address), string(b.Address)); c != 0 {
		return c
	}
	return strings.Compare(a.Output, b.Output)
}

func (r *resolver) compile(in *input, n *config.Node) {
	if n == nil {
		return
	}
	switch n.Kind {
	case config.Map:
		for _, f := range n.Fields {
			if strings.ContainsRune(f.Name, '$') {
				r.checkKey(f)
			}
			r.compile(in, f.Value)
		}
	case config.List:
		for _, item := range n.Items {
			r.compile(in, item)
		}
	case config.String:
		if isDynamic(n.Text) && in.leaves[n] == nil {
			if in.leaves == nil {
				in.leaves = map[*config.Node]*leaf{}
			}
			in.leaves[n] = r.leaf(in.provider, n)
		}
	}
}

// checkKey reports keys that would mean something else than they say.
func (r *resolver) checkKey(f config.Field) {
	switch {
	case strings.Contains(f.Name, "${{"):
		r.fail(f.Fault("a key cannot hold an expression").WithHint("only values are evaluated"))
	case f.Name == "$fingerprint" || f.Name == "$unknown" || f.Name == "$source":
		r.fail(f.Fault("the key %q is reserved", f.Name).WithHint("wfctl writes it in place of values that it must not store"))
	}
}

// failedText stands for a string whose error was reported already.
const failedText = "${{failed}}"

// leaf compiles one string. After an error it stands for null.
func (r *resolver) leaf(p resource.Provider, n *config.Node) *leaf {
	l := &leaf{node: n, raw: []byte("null")}
	if n.Text == failedText {
		l.failed = true
		return l
	}
	b := &binder{module: r.moduleName, image: r.imageFor(p), pushed: r.pushed, secret: r.generatedSecret, settled: &scope{contexts: r.roots}}
	parts, errs := parseTemplate(n.Text, b)
	for _, p := range parts {
		l.refs = append(l.refs, refs(p.expr, nil)...)
	}
	if len(errs) > 0 {
		r.failIn(n, errs...)
		l.refs, l.failed = nil, true
		return l
	}
	if len(l.refs) == 0 {
		r.settle(l, parts)
	} else {
		r.fold(l, parts)
	}
	return l
}

// settle evaluates a leaf without references.
func (r *resolver) settle(l *leaf, parts []part) {
	s := &scope{contexts: r.roots}
	v, err := evalParts(parts, s)
	if err != nil {
		r.failIn(l.node, err)
		l.failed = true
		return
	}
	_, l.failed = v.(unknown) // an error of `vars`
	l.value, l.secret = v, s.secret
	l.raw = appendValue(nil, v)
}

// fold settles the parts of a leaf that need no other node.
func (r *resolver) fold(l *leaf, parts []part) {
	s := &scope{contexts: r.roots}
	l.seed = append([]byte("tmpl\x00"), l.node.Text...)
	for i := range parts {
		p := &parts[i]
		if p.expr != nil && len(refs(p.expr, nil)) > 0 {
			for _, read := range settledReads(p.expr, nil) {
				v, err := read.eval(s)
				if err != nil {
					v = nil // it may stand behind an operator that never asks for it
				}
				l.seed = appendValue(append(l.seed, 0), v)
			}
			continue
		}
		v, err := p.eval(s)
		if err != nil {
			r.failIn(l.node, err)
			continue
		}
		text, ok := toText(v)
		if !ok {
			r.failIn(l.node, p.fail("%s cannot stand inside text", describe(v)).withHint("use toJSON(…)"))
			continue
		}
		l.seed = append(append(l.seed, 0), text...)
		*p = part{text: text}
	}
	l.open, l.secret = parts, s.secret
}

// moduleName answers the binder.
func (r *resolver) moduleName(name string) (string, *evalError) {
	m, err := r.findModule(name)
	if err != nil {
		return "", err
	}
	return m.name, nil
}

// findModule finds a module that has outputs here.
func (r *resolver) findModule(name string) (*module, *evalError) {
	m := r.modules[name]
	switch {
	case m == nil:
		return nil, r.nothing(name, "there is no module %q")
	case !m.enabled:
		return nil, lacks("module %q is disabled in environment %q", name, r.env.Name()).
			withHint("it is declared at %s: enable it there, or leave out what refers to it", m.Pos())
	case m.Type == providerType || m.Type == stateType:
		return nil, lacks("module %q is of type %s, which has no outputs", name, m.Type).
			withHint("refer to a resource: infra.* or core.*")
	}
	return m, nil
}

// maxGuesses bounds the search for similar names, which takes as long as the
// file is: in a file that is wrong everywhere the first ones are enough.
const maxGuesses = 50

// nothing says that a name leads nowhere. Format has one %q, or none.
func (r *resolver) nothing(name, format string) *evalError {
	if !strings.Contains(format, "%q") {
		format += " %q, which does not exist"
	}
	e := lacks("%s", fmt.Sprintf(format, name))
	if r.guesses++; r.guesses > maxGuesses {
		return e
	}
	var names []string
	for n, m := range r.modules {
		if m.enabled {
			names = append(names, n)
		}
	}
	for a, x := range r.entries {
		if x.enabled && strings.Contains(name, ".") {
			names = append(names, string(a))
		}
	}
	if near := kind.Nearest(name, names); near != "" {
		return e.withHint("did you mean %q?", near)
	}
	if len(names) == 0 {
		return e.withHint("environment %q has no modules", r.env.Name())
	}
	return e.withHint("%s", listed("environment \""+r.env.Name()+"\" has ", names))
}

// listed shows some names.
func listed(before string, names []string) string {
	const most = 12
	slices.Sort(names)
	if len(names) > most {
		return before + strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return before + strings.Join(names, ", ")
}

func (r *resolver) imageExists(name string) *evalError {
	e := r.entries[resource.Address(resource.ImagePrefix+name)]
	switch {
	case e == nil:
		bad := lacks("there is no image %q", name)
		var names []string
		for _, i := range r.file.Images {
			names = append(names, i.Name)
		}
		if near := kind.Nearest(name, names); near != "" {
			return bad.withHint("did you mean images.%s?", near)
		}
		if len(names) == 0 {
			return bad.withHint("declare it: images: {%s: {builder: go, package: ./cmd/%s}}", name, name)
		}
		return bad.withHint("%s", listed("the images are ", names))
	case !e.enabled:
		return lacks("image %q is disabled in environment %q", name, r.env.Name()).withHint("it is declared at %s", e.Pos())
	}
	return nil
}

// dependsOn reads a list of addresses.
func (r *resolver) dependsOn(n *node, list *config.Node) {
	if list.IsNull() || list.Kind != config.List {
		return
	}
	for _, item := range list.Items {
		if item.Kind != config.String {
			continue // reported by config
		}
		name, ok := r.settleText(item, &scope{contexts: r.roots}).(string)
		if !ok {
			continue
		}
		if err := r.target(n, name); err != nil {
			r.failAt(item, err)
			continue
		}
		n.after = append(n.after, edge{resource.Address(name), item})
	}
}

// target checks what depends_on and after name.
func (r *resolver) target(n *node, name string) *evalError {
	if name == string(n.spec.Address) {
		return lacks("%q cannot wait for itself", name)
	}
	if e := r.entries[resource.Address(name)]; e != nil && !strings.HasPrefix(name, pipelinePrefix) {
		if !e.enabled {
			return lacks("%q is disabled in environment %q", name, r.env.Name()).withHint("it is declared at %s", e.Pos())
		}
		return nil
	}
	m := r.modules[name]
	switch {
	case m == nil:
		return r.nothing(name, fmt.Sprintf("%q waits for", n.spec.Address))
	case !m.enabled:
		return lacks("module %q is disabled in environment %q", name, r.env.Name()).
			withHint("it is declared at %s: enable it there, or leave it out here", m.Pos())
	}
	return nil
}

// link turns references and what is said outright into dependencies.
func (r *resolver) link() {
	providers := map[resource.Address][]resource.Address{}
	for _, p := range r.result.Providers {
		for _, ref := range p.Config.Refs() {
			providers[p.Address] = append(providers[p.Address], ref.Address)
		}
	}
	migrated := r.migrated()
	for _, n := range r.nodes {
		deps := slices.Clone(providers[n.spec.Provider.Address])
		for _, ref := range n.input.refs {
			deps = append(deps, ref.Address)
			if n.spec.Type == serviceType {
				deps = append(deps, migrated[ref.Address]...)
			}
		}
		for _, e := range n.after {
			if r.isNode(e.to) {
				deps = append(deps, e.to)
			}
		}
		slices.Sort(deps)
		n.spec.DependsOn = slices.Compact(deps)
	}
	r.named()
	r.findCycle()
}

// isNode is false for modules that are no resources: a provider, the state.
func (r *resolver) isNode(a resource.Address) bool {
	m := r.modules[string(a)]
	return m == nil || (m.Type != providerType && m.Type != stateType)
}

// migrated maps databases to their migrations.
func (r *resolver) migrated() map[resource.Address][]resource.Address {
	by := map[resource.Address][]resource.Address{}
	for _, n := range r.nodes {
		if n.spec.Type == "migration" {
			for _, ref := range n.input.refs {
				by[ref.Address] = append(by[ref.Address], n.spec.Address)
			}
		}
	}
	return by
}

// findCycle reports the first cycle with the place of each of its edges.
func (r *resolver) findCycle() {
	byAddress := make(map[resource.Address]*node, len(r.nodes))
	for _, n := range r.nodes {
		byAddress[n.spec.Address] = n
	}
	f := cycleFinder{nodes: byAddress, state: make(map[*node]int, len(r.nodes))}
	for _, n := range r.nodes {
		if cycle := f.visit(n); cycle != nil {
			r.fail(r.cycle(cycle))
			return
		}
	}
}

type cycleFinder struct {
	nodes map[resource.Address]*node
	state map[*node]int
	stack []*node
}

// visit walks depth first without recursion: chains may be long.
func (f *cycleFinder) visit(start *node) []*node {
	type frame struct {
		n    *node
		next int
	}
	if f.state[start] != 0 {
		return nil
	}
	frames := []frame{{n: start}}
	f.state[start], f.stack = 1, []*node{start}
	for len(frames) > 0 {
		top := &frames[len(frames)-1]
		if top.next == len(top.n.spec.DependsOn) {
			f.state[top.n] = 2
			frames, f.stack = frames[:len(frames)-1], f.stack[:len(f.stack)-1]
			continue
		}
		to := f.nodes[top.n.spec.DependsOn[top.next]]
		top.next++
		switch {
		case to == nil || f.state[to] == 2:
		case f.state[to] == 1:
			return append(slices.Clone(f.stack[slices.Index(f.stack, to):]), to)
		default:
			f.state[to] = 1
			frames, f.stack = append(frames, frame{n: to}), append(f.stack, to)
		}
	}
	return nil
}

// cycle names a cycle and shows where each step of it is said.
func (r *resolver) cycle(nodes []*node) *fault.Error {
	names := make([]string, len(nodes))
	var detail []string
	for i, n := range nodes {
		names[i] = string(n.spec.Address)
		if i > 0 {
			from := nodes[i-1]
			at, why := r.reason(from, n.spec.Address)
			detail = append(detail, fmt.Sprintf("%s: %s needs %s%s", at.Pos(), from.spec.Address, n.spec.Address, why))
		}
	}
	at, _ := r.reason(nodes[0], nodes[1].spec.Address)
	msg := "these wait for each other: " + strings.Join(names, " -> ")
	return at.Fault("%s", msg).WithHint("remove one of these references").WithDetail(detail...)
}

// reason returns what in the file makes n wait for an address, in words where
// it is not a plain reference.
func (r *resolver) reason(n *node, to resource.Address) (at *config.Node, why string) {
	if at := n.edgeNode(to); at != nil {
		return at, ""
	}
	for _, p := range r.result.Providers {
		in, _ := p.Config.(*input)
		if p.Address == n.spec.Provider.Address && in != nil {
			if at := (&node{input: in}).edgeNode(to); at != nil {
				return at, fmt.Sprintf(", because its provider %q is configured with it", p.Address)
			}
		}
	}
	return n.input.owner, ", because that migrates a database it uses"
}

// edgeNode returns the value that says that n waits for an address.
func (n *node) edgeNode(to resource.Address) *config.Node {
	for _, e := range n.after {
		if e.to == to {
			return e.at
		}
	}
	var first *config.Node
	for at, l := range n.input.leaves {
		for _, ref := range l.refs {
			if ref.ref.Address == to && (first == nil || before(at, first)) {
				first = at
			}
		}
	}
	return first
}

func before(a, b *config.Node) bool {
	p, q := a.Pos(), b.Pos()
	return p.Line < q.Line || (p.Line == q.Line && p.Column < q.Column)
}
