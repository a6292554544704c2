package resolve

import (
	"encoding/json"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
)

// CheckOptions checks the options of a step against a schema before anything
// runs: what depends on other steps fits everywhere. It reports expressions
// that cannot be read too.
func (e *Evaluator) CheckOptions(c *Checker, schema json.RawMessage, n *config.Node, what string) []*fault.Error {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := &evaluation{Evaluator: e, roots: map[string]any{}}
	for name, value := range e.r.roots {
		v.roots[name] = value
	}
	v.roots["steps"] = context{"steps", v.step}
	v.roots["inputs"] = context{"inputs", v.input}
	v.roots["run"] = context{"run", func(*scope, string) (any, *evalError) { return unknown{}, nil }}
	in := &input{tree: n, leaves: map[*config.Node]*leaf{}, owner: n, roots: v.roots}
	v.leaves(in, n)
	if len(v.faults) > 0 {
		return v.faults
	}
	return c.CheckInput(schema, in, what)
}

// leaves evaluates what can be before the run.
func (v *evaluation) leaves(in *input, n *config.Node) {
	if n == nil {
		return
	}
	for _, f := range n.Fields {
		v.leaves(in, f.Value)
	}
	for _, item := range n.Items {
		v.leaves(in, item)
	}
	if n.Kind != config.String || !isDynamic(n.Text) {
		return
	}
	l := &leaf{node: n}
	in.leaves[n] = l
	v.unknown = false
	l.raw = v.text(nil, n)
	if v.unknown {
		l.open = []part{{text: n.Text}}
		return
	}
	l.value, _ = fromJSON(l.raw)
}

// CheckValue checks a value that is no part of a file, such as the inputs of
// a pipeline, against a schema.
func CheckValue(c *Checker, schema json.RawMessage, at *config.Node, value json.RawMessage, what string) ([]*fault.Error, error) {
	v, err := fromJSON(value)
	if err != nil {
		return nil, fault.Wrap(fault.Usage, err, "read %s", what)
	}
	n := asNode(at, v)
	return c.CheckInput(schema, &input{tree: n, owner: n}, what), nil
}
