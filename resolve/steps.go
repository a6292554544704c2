package resolve

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Moment is what the expressions of a pipeline can refer to, beside what the
// file's own can, when the turn of one of its steps has come.
type Moment struct {
	// Inputs is a JSON object; Private names those that are secret.
	Inputs  json.RawMessage
	Private []string
	// Run identifies the run, Status is "success" or "failure" so far.
	Run, Status string
	// Step answers for steps.NAME; false where it is not over.
	Step func(name string) (StepResult, bool)
	// Output reads an output of a module or an image; nil where nothing is
	// known yet, as before the run.
	Output func(resource.Ref) (sdk.Output, bool, error)
}

// StepResult is what a step left.
type StepResult struct {
	Outcome   string
	Outputs   json.RawMessage
	Sensitive []string
	// Withheld names outputs that were sensitive in an earlier process.
	Withheld []string
	// Large names outputs that were too large to be handed to this machine.
	Large []string
}

// Value is an evaluated part of a pipeline.
type Value struct {
	JSON json.RawMessage
	// Secrets are the sensitive texts in it.
	Secrets []string
	// Unknown: something in it is known only later, and is null.
	Unknown bool
}

// Evaluator evaluates the parts of pipelines in one environment. It is safe
// for concurrent use.
type Evaluator struct {
	r  *resolver
	mu sync.Mutex // the resolver gathers faults
}

// Evaluator returns the evaluator of the set's environment.
func (s *Set) Evaluator() *Evaluator { return &Evaluator{r: s.resolver} }

// stepContexts are the contexts that only pipelines have.
var stepContexts = []string{"steps", "inputs", "run"}

// Eval evaluates a part of a pipeline. All mistakes are in one list.
func (e *Evaluator) Eval(n *config.Node, m Moment) (Value, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := &evaluation{Evaluator: e, moment: m, roots: maps.Clone(e.r.roots)}
	v.roots["steps"] = context{"steps", v.step}
	v.roots["inputs"] = context{"inputs", v.input}
	v.roots["run"] = context{"run", v.run}
	raw := v.node(nil, n)
	return Value{JSON: raw, Secrets: v.secrets, Unknown: v.unknown}, v.faults.Err()
}

// Condition evaluates an `if`, which may leave the braces out. open says that
// it cannot be known yet.
func (e *Evaluator) Condition(n *config.Node, m Moment) (holds, open bool, err error) {
	if n == nil {
		return true, false, nil
	}
	if n.Kind == config.String && !strings.Contains(n.Text, "${{") {
		n = config.NewString(n, "${{ "+n.Text+" }}")
	}
	v, err := e.Eval(n, m)
	if err != nil || v.Unknown {
		return false, v.Unknown, err
	}
	parsed, jsonErr := fromJSON(v.JSON)
	if jsonErr != nil {
		return false, false, n.Fault("the condition is no value")
	}
	return !falsy(parsed), false, nil
}

// Steps lists the steps that a part of a pipeline refers to.
func (e *Evaluator) Steps(n *config.Node) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := map[string]bool{}
	e.stepsOf(n, found)
	return slices.Sorted(maps.Keys(found))
}

func (e *Evaluator) stepsOf(n *config.Node, found map[string]bool) {
	if n == nil {
		return
	}
	for _, f := range n.Fields {
		e.stepsOf(f.Value, found)
	}
	for _, item := range n.Items {
		e.stepsOf(item, found)
	}
	if n.Kind != config.String {
		return
	}
	text := n.Text
	if !isDynamic(text) {
		return
	}
	parts, _ := parseTemplate(text, e.binder())
	for _, p := range parts {
		stepNames(p.expr, found)
	}
}

// ConditionSteps is Steps for an `if`, which may leave the braces out.
func (e *Evaluator) ConditionSteps(n *config.Node) []string {
	if n != nil && n.Kind == config.String && !strings.Contains(n.Text, "${{") {
		n = config.NewString(n, "${{ "+n.Text+" }}")
	}
	return e.Steps(n)
}

// stepNames finds steps.NAME in an expression.
func stepNames(e expr, found map[string]bool) {
	switch e := e.(type) {
	case property:
		if of, ok := e.of.(root); ok && of.name == "steps" {
			found[e.name] = true
		}
		stepNames(e.of, found)
	case index:
		stepNames(e.of, found)
		stepNames(e.key, found)
	case star:
		stepNames(e.of, found)
	case not:
		stepNames(e.of, found)
	case compare:
		stepNames(e.left, found)
		stepNames(e.right, found)
	case logical:
		stepNames(e.left, found)
		stepNames(e.right, found)
	case call:
		for _, a := range e.args {
			stepNames(a, found)
		}
	}
}

func (e *Evaluator) binder() *binder {
	return &binder{module: e.r.moduleName, image: e.r.imageFor(noProvider), pushed: e.r.pushed, secret: e.r.generatedSecret, settled: &scope{contexts: e.r.roots}, more: stepContexts}
}

// evaluation is one Eval.
type evaluation struct {
	*Evaluator
	moment  Moment
	roots   map[string]any
	secrets []string
	unknown bool
	faults  fault.List
}

func (v *evaluation) node(to []byte, n *config.Node) []byte {
	if n == nil {
		return append(to, "null"...)
	}
	switch n.Kind {
	case config.Map:
		to = append(to, '{')
		for i, f := range n.Fields {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(config.AppendString(to, f.Name), ':')
			to = v.node(to, f.Value)
		}
		return append(to, '}')
	case config.List:
		to = append(to, '[')
		for i, item := range n.Items {
			if i > 0 {
				to = append(to, ',')
			}
			to = v.node(to, item)
		}
		return append(to, ']')
	case config.String:
		return v.text(to, n)
	}
	return n.AppendJSON(to)
}

func (v *evaluation) text(to []byte, n *config.Node) []byte {
	if !isDynamic(n.Text) {
		return config.AppendString(to, n.Text)
	}
	parts, errs := parseTemplate(n.Text, v.binder())
	s := &scope{contexts: v.roots}
	s.output = func(r reference) (any, *evalError) { return v.output(s, r) }
	var value any
	if len(errs) == 0 {
		var err *evalError
		if value, err = evalParts(parts, s); err != nil {
			errs = append(errs, err)
		}
	}
	for _, e := range errs {
		f := n.FaultIn(e.offset, e.width, "%s", e.message)
		f.Hint = e.hint
		v.faults = append(v.faults, f)
	}
	if _, open := value.(unknown); open || len(errs) > 0 {
		v.unknown = v.unknown || open
		return append(to, "null"...)
	}
	if s.secret {
		v.secrets = append(v.secrets, texts(value)...)
	}
	return appendValue(to, value)
}

// texts are the strings and numbers in a value.
func texts(value any) []string {
	switch value := value.(type) {
	case string, float64:
		text, _ := toText(value)
		return []string{text}
	case []any, filtered, *object:
		list := asList(value)
		if o, ok := value.(*object); ok {
			list = elements(o)
		}
		var all []string
		for _, item := range list {
			all = append(all, texts(item)...)
		}
		return all
	}
	return nil
}

func (v *evaluation) output(s *scope, r reference) (any, *evalError) {
	if v.moment.Output == nil {
		return unknown{}, nil
	}
	out, ok, err := v.moment.Output(r.ref)
	if err != nil {
		return nil, r.fail("%s cannot be read: %v", path(r.ref), err)
	}
	if !ok {
		return nil, r.fail("%s is not there yet", path(r.ref)).withHint("a step before must make it: infra_apply or container_build, named in `needs`")
	}
	s.secret = s.secret || out.Sensitive()
	value, jsonErr := fromJSON(out.Reveal())
	if jsonErr != nil {
		return nil, r.fail("%s is not JSON", path(r.ref))
	}
	return value, nil
}

func (v *evaluation) run(_ *scope, name string) (any, *evalError) {
	switch name {
	case "id":
		return v.moment.Run, nil
	case "status":
		return v.moment.Status, nil
	}
	return nil, lacks("a run has no %q", name).withHint("write run.id or run.status")
}

func (v *evaluation) input(s *scope, name string) (any, *evalError) {
	if v.moment.Inputs == nil {
		return unknown{}, nil
	}
	s.secret = s.secret || slices.Contains(v.moment.Private, name)
	return member(v.moment.Inputs, name, "the input")
}

// member reads one member of a JSON object.
func member(raw json.RawMessage, name, what string) (any, *evalError) {
	value, err := fromJSON(raw)
	if err != nil {
		return nil, lacks("%s %q cannot be read", what, name)
	}
	o, _ := value.(*object)
	if o == nil {
		return nil, lacks("there is no %s %q", strings.TrimPrefix(what, "the "), name)
	}
	if got, ok := o.get(name); ok {
		return got, nil
	}
	e := lacks("there is no %s %q", strings.TrimPrefix(what, "the "), name)
	if len(o.names) > 0 {
		return nil, e.withHint("there are %s", strings.Join(sorted(o.names), ", "))
	}
	return nil, e
}

func (v *evaluation) step(_ *scope, name string) (any, *evalError) {
	if v.moment.Step == nil {
		return unknown{}, nil
	}
	res, ok := v.moment.Step(name)
	if !ok {
		return nil, lacks("the step %q is not over, or there is none", name).withHint("name it in `needs`")
	}
	return context{"steps." + name, func(s *scope, what string) (any, *evalError) {
		switch what {
		case "outcome":
			return res.Outcome, nil
		case "outputs":
			return context{"steps." + name + ".outputs", func(s *scope, field string) (any, *evalError) { return res.output(s, name, field) }}, nil
		}
		return nil, lacks("a step has no %q", what).withHint("write steps.%s.outputs.NAME or steps.%s.outcome", name, name)
	}}, nil
}

func (r StepResult) output(s *scope, step, field string) (any, *evalError) {
	if slices.Contains(r.Withheld, field) {
		return nil, lacks("the output %q of step %q was sensitive or large, so that it was not stored when the run was interrupted", field, step).
			withHint("run the pipeline anew, or read the value where it comes from")
	}
	if slices.Contains(r.Large, field) {
		return nil, lacks("the output %q of step %q is larger than 256 kB, and does not cross to another worker", field, step).
			withHint("bring it to a store that both steps reach, or keep of it what is needed: outputs: {%s: \"${{ … }}\"}", field)
	}
	s.secret = s.secret || slices.Contains(r.Sensitive, field)
	return member(r.Outputs, field, "the output")
}
