package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"

	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
)

// An expr is an expression with its references found. Positions are byte
// offsets into the text of the expression.
type expr interface {
	eval(s *scope) (any, *evalError)
}

type (
	literal struct{ value any }
	// root is a context.
	root struct {
		name string
		span
	}
	// reference is an output of another node.
	reference struct {
		ref resource.Ref
		span
	}
	property struct {
		of   expr
		name string
		span
	}
	index struct {
		of, key expr
		span
	}
	star struct {
		of expr
		span
	}
	not     struct{ of expr }
	compare struct {
		op          actionlint.CompareOpNodeKind
		left, right expr
		span
	}
	logical struct {
		and         bool
		left, right expr
	}
	call struct {
		name string
		args []expr
		span
	}
)

// span is a part of an expression's text.
type span struct{ offset, width int }

func (p span) fail(format string, args ...any) *evalError {
	return &evalError{offset: p.offset, width: p.width, message: fmt.Sprintf(format, args...)}
}

func (e *evalError) withHint(format string, args ...any) *evalError {
	e.hint = fmt.Sprintf(format, args...)
	return e
}

// A binder says what the references of an expression mean; nil in places that
// cannot refer to other nodes.
type binder struct {
	// module finds a module by name: its resource name, and whether it has
	// outputs; an error where it is not there.
	module func(name string) (resourceName string, err *evalError)
	// image finds an image and the registry that it comes from, "" for this
	// machine's own files; pushed tells whether it is brought to registries.
	image  func(name string) (registry string, err *evalError)
	pushed func(name string) bool
	// secret finds a secret that wfctl makes itself.
	secret func(name string) (resource.Ref, bool)
	// settled evaluates an index that stands in a reference.
	settled *scope
	// more are contexts that exist in this place only: `steps` in a pipeline.
	more []string
}

// maxExpression bounds the length of one expression's text, so that the
// recursion of parser and evaluator is bounded too.
const maxExpression = 20_000

// parseExpr parses text, which may go on after the closing braces, and returns
// how many bytes it took with them.
//
// Base is where text begins in the string that holds it: all places count from
// there.
func parseExpr(text string, base int, b *binder) (expr, int, *evalError) {
	text = text[:min(len(text), maxExpression)]
	lexer := actionlint.NewExprLexer(text)
	tree, err := actionlint.NewExprParser().Parse(lexer)
	if err != nil {
		return nil, 0, syntaxError(text, base, err)
	}
	n := lexer.Offset()
	c := &converter{text: text[:n], base: base, binder: b}
	e, bad := c.convert(tree)
	return e, n, bad
}

// syntaxError puts the parser's message into fewer words.
func syntaxError(text string, base int, err *actionlint.ExprError) *evalError {
	offset := min(max(err.Offset, 0), len(text))
	at := span{base + offset, 1}
	body, _, closed := strings.Cut(text, "}}")
	what, _, _ := strings.Cut(err.Message, " while ")
	what, _, _ = strings.Cut(what, ". ")
	what = strings.TrimPrefix(what, "got ")
	end := strings.Contains(err.Message, "unexpected EOF") || strings.Contains(err.Message, "unexpected end of input")
	switch {
	case !closed && end:
		return span{base - len("${{"), len("${{")}.fail("the expression is not closed").withHint("an expression ends with }}")
	case end && strings.TrimSpace(body) == "":
		return span{base - len("${{"), len(body) + len("${{}}")}.fail("the expression is empty")
	case end && strings.Count(body, "'")%2 == 1:
		return at.fail("a string in the expression is not closed").withHint("it ends with a single quote; a quote inside is written twice")
	case end:
		return at.fail("the expression ends too early")
	case strings.Contains(what, `'"'`):
		return at.fail("there is a double quote in the expression").withHint("a string in an expression stands in single quotes: 'text'")
	case strings.HasPrefix(what, "unexpected character"):
		return at.fail("%s in the expression", what).withHint("there is no arithmetic; the operators are ! < <= > >= == != && ||")
	case strings.HasPrefix(what, "parser did not reach end of input"):
		return at.fail("there is more behind the end of the expression").withHint("put an operator such as && or || between its parts")
	case strings.HasPrefix(what, "unexpected token"):
		return at.fail("%s in the expression", what)
	}
	return at.fail("the expression cannot be parsed: %s", what)
}

// A converter turns the parser's tree into ours. It finds the tokens of
// properties again, which the parser lower-cases and gives no place.
type converter struct {
	text   string
	base   int
	binder *binder
	tokens []*actionlint.Token
	next   int
}

// ident returns the next identifier of the text; the tree is walked in its
// order.
func (c *converter) ident() (string, span) {
	if c.tokens == nil {
		c.tokens, _, _ = actionlint.LexExpression(c.text) // it was parsed already
	}
	for c.next < len(c.tokens) {
		t := c.tokens[c.next]
		c.next++
		if t.Kind == actionlint.TokenKindIdent {
			return t.Value, span{c.base + t.Offset, len(t.Value)}
		}
	}
	return "", span{c.base, 1}
}

func (c *converter) convert(n actionlint.ExprNode) (expr, *evalError) {
	switch n := n.(type) {
	case *actionlint.NullNode:
		c.ident()
		return literal{nil}, nil
	case *actionlint.BoolNode:
		c.ident()
		return literal{n.Value}, nil
	case *actionlint.IntNode:
		return literal{float64(n.Value)}, nil
	case *actionlint.FloatNode:
		return literal{n.Value}, nil
	case *actionlint.StringNode:
		return literal{n.Value}, nil
	case *actionlint.VariableNode:
		name, at := c.ident()
		return c.context(strings.ToLower(name), at)
	case *actionlint.ObjectDerefNode, *actionlint.IndexAccessNode, *actionlint.ArrayDerefNode:
		return c.access(n)
	}
	return c.operation(n)
}

var contexts = []string{"env", "vars", "github", "project", "environment", "images", "modules", "secrets"}

func (c *converter) context(name string, at span) (expr, *evalError) {
	known := contexts
	if c.binder != nil {
		known = append(c.binder.more, known...)
	}
	if !slices.Contains(known, name) {
		e := at.fail("there is no context %q", name)
		if near := kind.Nearest(name, known); near != "" {
			return nil, e.withHint("did you mean %q?", near)
		}
		return nil, e.withHint("the contexts are %s", strings.Join(known, ", "))
	}
	return root{name, at}, nil
}

func (c *converter) operation(n actionlint.ExprNode) (expr, *evalError) {
	switch n := n.(type) {
	case *actionlint.NotOpNode:
		of, err := c.convert(n.Operand)
		return not{of}, err
	case *actionlint.CompareOpNode:
		left, right, err := c.pair(n.Left, n.Right)
		return compare{n.Kind, left, right, c.spanOf(n.Left)}, err
	case *actionlint.LogicalOpNode:
		left, right, err := c.pair(n.Left, n.Right)
		return logical{n.Kind == actionlint.LogicalOpNodeKindAnd, left, right}, err
	case *actionlint.FuncCallNode:
		return c.call(n)
	}
	return nil, span{c.base, 1}.fail("the expression has a part (%T) that is not known here", n)
}

func (c *converter) spanOf(n actionlint.ExprNode) span {
	t := n.Token()
	return span{c.base + t.Offset, max(1, len(t.Value))}
}

func (c *converter) pair(a, b actionlint.ExprNode) (left, right expr, err *evalError) {
	if left, err = c.convert(a); err != nil {
		return nil, nil, err
	}
	right, err = c.convert(b)
	return left, right, err
}

func (c *converter) call(n *actionlint.FuncCallNode) (expr, *evalError) {
	name, at := c.ident()
	f, ok := functions[strings.ToLower(name)]
	if !ok {
		return nil, unknownFunction(name, at)
	}
	args := make([]expr, len(n.Args))
	for i, a := range n.Args {
		var err *evalError
		if args[i], err = c.convert(a); err != nil {
			return nil, err
		}
	}
	if len(args) < f.min || (f.max >= 0 && len(args) > f.max) {
		return nil, at.fail("%s takes %s, not %d", f.name, f.arity(), len(args))
	}
	return call{f.name, args, at}, nil
}

func unknownFunction(name string, at span) *evalError {
	e := at.fail("there is no function %q", name)
	if strings.EqualFold(name, "hashFiles") {
		return e.withHint("hashFiles belongs to a workflow's runner; an image is built again when its sources change without it")
	}
	names := functionNames()
	if near := kind.Nearest(name, names); near != "" {
		return e.withHint("did you mean %q?", near)
	}
	return e.withHint("the functions are %s", strings.Join(names, ", "))
}

// access converts a chain of properties and indices, and finds references in
// it.
func (c *converter) access(n actionlint.ExprNode) (expr, *evalError) {
	var of actionlint.ExprNode
	switch n := n.(type) {
	case *actionlint.ObjectDerefNode:
		of = n.Receiver
	case *actionlint.IndexAccessNode:
		of = n.Operand
	case *actionlint.ArrayDerefNode:
		of = n.Receiver
	}
	inner, err := c.convert(of)
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *actionlint.ObjectDerefNode:
		name, at := c.ident()
		return c.bind(property{inner, name, at})
	case *actionlint.IndexAccessNode:
		key, err := c.convert(n.Index)
		if err != nil {
			return nil, err
		}
		if name, ok := c.settledName(inner, key); ok {
			return c.bind(property{inner, name, c.spanOf(n.Index)})
		}
		return index{inner, key, c.spanOf(n.Index)}, nil
	}
	return star{inner, c.spanOf(of)}, nil
}

// settledName evaluates the key in modules['web'] or modules[vars.which],
// where it must be known at once.
func (c *converter) settledName(of, key expr) (string, bool) {
	if lit, ok := key.(literal); ok {
		s, ok := lit.value.(string)
		return s, ok
	}
	if c.binder == nil || c.binder.settled == nil || !isPath(of) {
		return "", false
	}
	v, err := key.eval(c.binder.settled)
	if err != nil {
		return "", false
	}
	s, ok := v.(string)
	return s, ok
}

// isPath tells whether e is a part of a reference that lacks something.
func isPath(e expr) bool {
	switch e := e.(type) {
	case root:
		return e.name == "modules" || e.name == "images"
	case modulePart:
		return true
	}
	return false
}

// modulePart is modules.NAME or modules.NAME.outputs: not a value yet.
type modulePart struct {
	name, resourceName string
	outputs            bool
	span
}

// bind turns chains that name outputs into references.
func (c *converter) bind(p property) (expr, *evalError) {
	switch of := p.of.(type) {
	case root:
		switch of.name {
		case "modules":
			return c.bindModule(of, p)
		case "images":
			return c.bindImage(of, p)
		case "secrets":
			if c.binder != nil && c.binder.secret != nil {
				if ref, ok := c.binder.secret(p.name); ok {
					return reference{ref, span{of.offset, p.end() - of.offset}}, nil
				}
			}
		case "project", "environment":
			if strings.EqualFold(p.name, "name") {
				return of, nil
			}
		}
	case modulePart:
		return c.bindOutput(of, p)
	case reference, property:
		if name, at, ok := imageOf(of); ok {
			return c.imageOutput(name, span{at.offset, p.end() - at.offset}, p.name)
		}
	}
	return p, nil
}

func (p span) end() int { return p.offset + p.width }

func (c *converter) bindModule(of root, p property) (expr, *evalError) {
	at := span{of.offset, p.end() - of.offset}
	if c.binder == nil || c.binder.module == nil {
		return nil, at.fail("modules cannot be referred to here: the value must be known before anything is applied")
	}
	name, err := c.binder.module(p.name)
	if err != nil {
		err.offset, err.width = at.offset, at.width
		return nil, err
	}
	return modulePart{name: p.name, resourceName: name, span: at}, nil
}

func (c *converter) bindImage(of root, p property) (expr, *evalError) {
	at := span{of.offset, p.end() - of.offset}
	if c.binder == nil || c.binder.image == nil {
		return nil, at.fail("images cannot be referred to here: the value must be known before anything is applied")
	}
	registry, err := c.binder.image(p.name)
	if err != nil {
		err.offset, err.width = at.offset, at.width
		return nil, err
	}
	if registry != "" {
		return property{reference{resource.Ref{Address: resource.Address(resource.PushPrefix + p.name), Output: pushedRefs}, at}, registry, at}, nil
	}
	return reference{resource.Ref{Address: resource.Address(resource.ImagePrefix + p.name), Output: "ref"}, at}, nil
}

// pushedRefs is the output of a push with what the image is called in each
// registry; the outputs of pushes can be named as an image's own.
const pushedRefs = "refs"

var pushOutputs = []string{pushedRefs, "receipts"}

// imageOf takes images.NAME back from what bindImage made of it.
func imageOf(e expr) (name string, at span, ok bool) {
	if p, is := e.(property); is {
		of, is := p.of.(reference)
		name, ok = strings.CutPrefix(string(of.ref.Address), resource.PushPrefix)
		return name, p.span, is && ok && of.ref.Output == pushedRefs && p.span == of.span
	}
	r, is := e.(reference)
	name, ok = strings.CutPrefix(string(r.ref.Address), resource.ImagePrefix)
	return name, r.span, is && ok && r.ref.Output == "ref"
}

// imageOutput is images.NAME.OUTPUT.
func (c *converter) imageOutput(name string, at span, output string) (expr, *evalError) {
	if !slices.Contains(pushOutputs, output) {
		return reference{resource.Ref{Address: resource.Address(resource.ImagePrefix + name), Output: output}, at}, nil
	}
	if c.binder.pushed == nil || !c.binder.pushed(name) {
		return nil, at.fail("image %q goes to no registry here", name).withHint("give it `registries:`; where everything runs on this machine nothing is pushed but by `wfctl build --push`")
	}
	return reference{resource.Ref{Address: resource.Address(resource.PushPrefix + name), Output: output}, at}, nil
}

func (c *converter) bindOutput(of modulePart, p property) (expr, *evalError) {
	at := span{of.offset, p.end() - of.offset}
	if of.outputs {
		return reference{resource.Ref{Address: resource.Address(of.name), Output: p.name}, at}, nil
	}
	switch p.name {
	case "name":
		return literal{of.resourceName}, nil
	case "outputs":
		of.outputs, of.span = true, at
		return of, nil
	}
	e := p.fail("a module has no %q", p.name)
	if near := kind.Nearest(p.name, []string{"name", "outputs"}); near != "" {
		return nil, e.withHint("did you mean modules.%s.%s?", of.name, near)
	}
	return nil, e.withHint("write modules.%s.outputs.%s for an output, modules.%s.name for its name", of.name, p.name, of.name)
}

// refs appends the references of e.
func refs(e expr, to []reference) []reference {
	switch e := e.(type) {
	case reference:
		return append(to, e)
	case property:
		return refs(e.of, to)
	case index:
		return refs(e.key, refs(e.of, to))
	case star:
		return refs(e.of, to)
	case not:
		return refs(e.of, to)
	case compare:
		return refs(e.right, refs(e.left, to))
	case logical:
		return refs(e.right, refs(e.left, to))
	case call:
		for _, a := range e.args {
			to = refs(a, to)
		}
	}
	return to
}

// settledReads appends the parts of e that are settled already and are no
// literals: what else than its references decides its value.
func settledReads(e expr, to []expr) []expr {
	if len(refs(e, nil)) == 0 {
		if _, ok := e.(literal); !ok {
			to = append(to, e)
		}
		return to
	}
	switch e := e.(type) {
	case property:
		return settledReads(e.of, to)
	case index:
		return settledReads(e.key, settledReads(e.of, to))
	case star:
		return settledReads(e.of, to)
	case not:
		return settledReads(e.of, to)
	case compare:
		return settledReads(e.right, settledReads(e.left, to))
	case logical:
		return settledReads(e.right, settledReads(e.left, to))
	case call:
		for _, a := range e.args {
			to = settledReads(a, to)
		}
	}
	return to
}
