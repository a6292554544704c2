package config

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
)

var (
	pipelineKeys = []string{"description", "inputs", "steps", "on_failure", "always", "timeout", "environments", "enabled"}
	stepKeys     = []string{
		"name", "type", "needs", "if", "retry", "timeout", "circuit_breaker", "continue_on_error", "with", "outputs",
	}
	secretsKeys  = []string{"generate", "stores"}
	generateKeys = []string{"key", "type", "length", "source", "sinks"}
	secretTypes  = []string{
		"random_hex", "random_base64", "random_alphanumeric", "uuid", "rsa_key", "ed25519_key", "infra_output",
	}
	scheduleKeys = []string{"name", "pipeline", "env", "cron"}
	moveKeys     = []string{"from", "to"}
)

// Pipeline is an ordered piece of work.
type Pipeline struct {
	Name, Description string
	// Inputs is a JSON Schema.
	Inputs  *Node
	Timeout *Node
	Steps   []Step
	// OnFailure run after a failure, Always run at the end.
	OnFailure, Always []Step
	Pos               fault.Position
}

// Step is one unit of work. Its nodes may hold expressions: they are
// evaluated when the step's turn comes.
type Step struct {
	Name, Type string
	Needs      []string
	If         *Node
	Timeout    *Node
	Retry      *Node
	Breaker    *Node
	// ContinueOnError may be an expression.
	ContinueOnError *Node
	With, Outputs   *Node
	Node            *Node
}

// Pos is where the step stands.
func (s *Step) Pos() fault.Position { return s.Node.Pos() }

func (l *loader) addPipelines(f Field) {
	l.entries(f.Value, owner{"`pipelines`", ""}, func(f Field) {
		if f.Value.Kind == List { // the old shape: steps directly under the name
			f = f.With(NewMap(f.Value, Field{Name: "steps", Value: modern(f.Value)}))
		}
		e, ok := l.entry(f, "pipeline")
		if !ok || !l.declare("pipeline", e.Name, f) {
			return
		}
		l.overlaysOf(f, owner{"pipeline", e.Name})
		_, faults := DecodePipeline(e.Name, e.Body)
		l.faults = append(l.faults, faults...)
		for _, over := range e.Overlays {
			if over.Body == nil {
				continue
			}
			_, faults := DecodePipeline(e.Name, over.Body)
			l.faults = append(l.faults, faults...)
		}
		l.file.Pipelines = append(l.file.Pipelines, e)
	})
}

// modern turns steps of the old shape, whose options stand beside their type,
// into steps with a `with`.
func modern(steps *Node) *Node {
	list := *steps
	list.Items = slices.Clone(steps.Items)
	before, seen := "", map[string]bool{}
	for i, step := range list.Items {
		if step.Kind != Map {
			continue
		}
		if before != "" && step.Get("needs") == nil { // the old shape runs in order
			step = step.WithFields(append(slices.Clone(step.Fields), Field{Name: "needs", Value: NewString(step, before)}))
			list.Items[i] = step
		}
		before = oldName(step, seen)
		var fields, options []Field
		for _, f := range step.Fields {
			if slices.Contains(stepKeys, f.Name) {
				fields = append(fields, f)
			} else {
				options = append(options, f)
			}
		}
		if len(options) > 0 && step.Get("with") == nil {
			fields = append(fields, Field{Name: "with", Value: NewMap(step, options...)})
			list.Items[i] = step.WithFields(fields)
		}
	}
	return &list
}

// oldName is what a step is called, as stepName will.
func oldName(step *Node, seen map[string]bool) string {
	name := ""
	if n := step.Get("name"); n != nil {
		name = n.Text
	} else if n := step.Get("type"); n != nil {
		name = n.Text
		for i := 2; seen[name]; i++ {
			name = fmt.Sprintf("%s-%d", n.Text, i)
		}
	}
	seen[name] = true
	return name
}

// DecodePipeline decodes the body of a pipeline, overlaid or not.
func DecodePipeline(name string, body *Node) (Pipeline, fault.List) {
	d := &decoder{}
	p := Pipeline{Name: name, Pos: body.Pos()}
	o := owner{"pipeline", name}
	d.fields(body, o, pipelineKeys, func(f Field) bool {
		switch f.Name {
		case "description":
			p.Description = d.text(f, o)
		case "inputs":
			d.is(f, o, Map)
			p.Inputs = mapOnly(f.Value)
		case "timeout":
			d.duration(f, o)
			p.Timeout = f.Value
		case "steps":
			p.Steps = d.steps(f, o)
		case "on_failure":
			p.OnFailure = d.steps(f, o)
		case "always":
			p.Always = d.steps(f, o)
		default:
			return false
		}
		return true
	})
	d.needs(p)
	return p, d.faults
}

func (d *decoder) steps(f Field, o owner) []Step {
	var list []Step
	d.items(f, o, func(_ int, n *Node) {
		if s, ok := d.step(n); ok {
			list = append(list, s)
		}
	})
	return list
}

func (d *decoder) step(n *Node) (Step, bool) {
	s := Step{Node: n}
	if n.Kind != Map {
		d.fail(n.Fault("a step must be a mapping, not %s", n.Kind).WithHint("its keys are %s", oneOf(stepKeys)))
		return s, false
	}
	o := named("step", n)
	d.fields(n, o, stepKeys, func(f Field) bool { return d.stepField(f, o, &s) })
	d.required(n, o, n.Get("type") != nil, "type")
	return s, s.Type != ""
}

func (d *decoder) stepField(f Field, o owner, s *Step) bool {
	switch f.Name {
	case "name":
		s.Name = d.name(f, o)
	case "type":
		s.Type = d.text(f, o)
	case "needs":
		if f.Value.Kind == String {
			s.Needs = []string{f.Value.Text}
			return true
		}
		s.Needs = d.texts(f, o)
	case "if":
		if f.Value.Kind != Bool {
			d.is(f, o, String)
		}
		s.If = f.Value
	case "timeout":
		d.duration(f, o)
		s.Timeout = f.Value
	case "retry":
		d.is(f, o, Map)
		s.Retry = mapOnly(f.Value)
	case "circuit_breaker":
		d.is(f, o, Map)
		s.Breaker = mapOnly(f.Value)
	case "continue_on_error":
		s.ContinueOnError = d.enabled(f, o)
	case "with":
		d.is(f, o, Map)
		s.With = mapOnly(f.Value)
	case "outputs":
		d.is(f, o, Map)
		s.Outputs = mapOnly(f.Value)
	default:
		return false
	}
	return true
}

// needs names the steps that have no name and checks what they wait for.
func (d *decoder) needs(p Pipeline) {
	seen := map[string]*Node{}
	var all []string
	groups := [][]Step{p.Steps, p.OnFailure, p.Always}
	for _, steps := range groups {
		for i := range steps {
			d.stepName(&steps[i], seen)
			all = append(all, steps[i].Name)
		}
	}
	for _, steps := range groups {
		for _, s := range steps {
			for i, need := range s.Needs {
				if _, ok := seen[need]; ok && need != s.Name {
					continue
				}
				at := s.Node.Get("needs")
				if at.Kind == List && i < len(at.Items) {
					at = at.Items[i]
				}
				e := at.Fault("step %q needs %q, which is no other step of pipeline %q", s.Name, need, p.Name)
				if near := kind.Nearest(need, all); near != "" && near != s.Name {
					e = e.WithHint("did you mean %q?", near)
				}
				d.fail(e)
			}
		}
	}
}

// stepName gives a step without a name that of its type.
func (d *decoder) stepName(s *Step, seen map[string]*Node) {
	if s.Name != "" {
		if first, dup := seen[s.Name]; dup {
			d.fail(s.Node.Get("name").Fault("step %q is declared twice", s.Name).WithHint("the first is at %s", first.Pos()))
		}
		seen[s.Name] = s.Node
		return
	}
	s.Name = s.Type
	for i := 2; seen[s.Name] != nil; i++ {
		s.Name = fmt.Sprintf("%s-%d", s.Type, i)
	}
	seen[s.Name] = s.Node
}

func (l *loader) secrets(f Field) {
	o := owner{"`secrets`", ""}
	l.fields(f.Value, o, secretsKeys, func(f Field) bool {
		switch f.Name {
		case "generate":
			l.items(f, o, func(_ int, n *Node) { l.generated(n) })
		case "stores":
			l.items(f, o, func(_ int, n *Node) {
				if l.store(n) {
					l.file.Secrets.Stores = append(l.file.Secrets.Stores, n)
				}
			})
		default:
			return false
		}
		return true
	})
}

// store checks what every store of secrets has; its other keys are its kind's.
func (l *loader) store(n *Node) bool {
	if n.Kind != Map {
		l.fail(n.Fault("a store of secrets must be a mapping, not %s", n.Kind).WithHint("write {type: file, path: …}"))
		return false
	}
	f, ok := n.Field("type")
	l.required(n, owner{"a store of secrets", ""}, ok, "type")
	return ok && l.word(f, owner{"a store of secrets", ""}, StoreTypes()...) != ""
}

// StoreTypes are the kinds of stores that secrets are read from.
func StoreTypes() []string { return []string{"env", "file", "keyring", "sops", "vault_kv"} }

func (l *loader) generated(n *Node) {
	g := GeneratedSecret{Node: n, Pos: n.Pos()}
	o := owner{"a generated secret", ""}
	l.fields(n, o, generateKeys, func(f Field) bool {
		switch f.Name {
		case "key":
			g.Key = l.name(f, o)
		case "type":
			g.Type = l.word(f, o, secretTypes...)
		case "length":
			g.Length = l.count(f, o)
		case "source":
			g.Source, g.SourceNode = l.text(f, o), f.Value
		case "sinks":
			l.items(f, o, func(_ int, n *Node) { l.sink(n) })
			g.Sinks = f.Value
		default:
			return false
		}
		return true
	})
	l.required(n, o, n.Get("key") != nil, "key")
	l.required(n, o, n.Get("type") != nil, "type")
	if g.Type == "infra_output" && g.Source == "" {
		l.fail(n.Fault("a generated secret of type infra_output has no \"source\"").WithHint("write source: MODULE.OUTPUT"))
	}
	if g.Key != "" && l.declare("generated secret", g.Key, n.Get("key")) {
		l.file.Secrets.Generate = append(l.file.Secrets.Generate, g)
	}
}

// count returns a whole number from 1.
func (d *decoder) count(f Field, o owner) int {
	if !d.is(f, o, Number) {
		return 0
	}
	n, err := strconv.Atoi(f.Value.Text)
	if err != nil || n < 1 || n > 1<<20 {
		d.fail(f.Value.Fault("%q of %s must be a whole number from 1", f.Name, o))
	}
	return n
}

func (l *loader) schedule(n *Node) {
	s := Schedule{Node: n, Pos: n.Pos()}
	o := named("schedule", n)
	l.fields(n, o, scheduleKeys, func(f Field) bool {
		switch f.Name {
		case "name":
			s.Name = l.name(f, o)
		case "pipeline":
			s.Pipeline = l.text(f, o)
		case "env":
			s.Env = l.text(f, o)
		case "cron":
			s.Cron = l.text(f, o)
		default:
			return false
		}
		return true
	})
	l.required(n, o, n.Get("pipeline") != nil, "pipeline")
	l.required(n, o, n.Get("cron") != nil, "cron")
	l.file.Schedules = append(l.file.Schedules, s)
}

func (l *loader) moved(n *Node) {
	var m Move
	o := owner{"an entry of `moved`", ""}
	l.fields(n, o, moveKeys, func(f Field) bool {
		switch f.Name {
		case "from":
			m.From, m.FromNode = l.text(f, o), f.Value
		case "to":
			m.To, m.ToNode = l.text(f, o), f.Value
		default:
			return false
		}
		return true
	})
	l.required(n, o, m.FromNode != nil, "from")
	l.required(n, o, m.ToNode != nil, "to")
	if m.From != "" && m.To != "" {
		l.file.Moved = append(l.file.Moved, m)
	}
}
