package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/step"
)

// Pipelines lists the pipelines of the environment.
func (p *Project) Pipelines() []config.Pipeline { return p.Set.Pipelines }

// A PipelineRun is a pipeline that is ready to be run.
type PipelineRun struct {
	*pipeline.Pipeline
	project *Project
	host    *StepHost
	def     config.Pipeline
	inputs  json.RawMessage
	private []string
}

// Pipeline finds a pipeline and checks all that can be known of it before it
// runs.
func (p *Project) Pipeline(ctx context.Context, name string) (*PipelineRun, error) {
	i := slices.IndexFunc(p.Set.Pipelines, func(d config.Pipeline) bool { return d.Name == name })
	if i < 0 {
		return nil, p.noPipeline(name)
	}
	def := p.Set.Pipelines[i]
	run := &PipelineRun{project: p, host: &StepHost{project: p}, def: def, Pipeline: &pipeline.Pipeline{Name: name}}
	b := &builder{run: run, eval: p.Set.Evaluator(), checker: resolve.NewChecker(), kinds: p.kinds.Steps(run.host)}
	run.Timeout = b.duration(def.Timeout)
	for _, s := range def.Steps {
		b.add(s, pipeline.Main)
	}
	for _, s := range def.OnFailure {
		b.add(s, pipeline.OnFailure)
	}
	for _, s := range def.Always {
		b.add(s, pipeline.Always)
	}
	if err := b.faults.Err(); err != nil {
		return nil, err
	}
	return run, run.Check()
}

func (p *Project) noPipeline(name string) error {
	var names []string
	for _, d := range p.Set.Pipelines {
		names = append(names, d.Name)
	}
	err := fault.New(fault.NotFound, "there is no pipeline %q in environment %q", name, p.Environment().Name())
	switch near := kind.Nearest(name, names); {
	case near != "":
		return err.WithHint("did you mean %q?", near)
	case len(names) == 0:
		return err.WithHint("declare one: pipelines: {%s: {steps: [{type: infra_apply}]}}", name)
	}
	return err.WithHint("`wfctl pipeline list` shows what there is")
}

// builder makes steps of their declarations.
type builder struct {
	run     *PipelineRun
	eval    *resolve.Evaluator
	checker *resolve.Checker
	kinds   kind.Set[step.Kind]
	faults  fault.List
}

func (b *builder) duration(n *config.Node) time.Duration {
	if n == nil {
		return 0
	}
	v, err := b.eval.Eval(n, resolve.Moment{})
	if err != nil {
		b.faults = append(b.faults, faultOf(err, n.Pos()))
		return 0
	}
	var d step.Duration
	if err := json.Unmarshal(v.JSON, &d); err != nil {
		b.faults = append(b.faults, n.Fault("%v", err))
	}
	return time.Duration(d)
}

func (b *builder) add(s config.Step, group pipeline.Group) {
	k, err := b.kinds.Get(s.Type)
	if err != nil {
		b.faults = append(b.faults, s.Node.Get("type").Fault("%v", err))
		return
	}
	at := s.With
	if at == nil {
		at = config.NewMap(s.Node)
	}
	what := "step " + strconv.Quote(s.Name)
	b.faults = append(b.faults, b.eval.CheckOptions(b.checker, k.Schema, at, what)...)
	made := pipeline.Step{
		Name: s.Name, Type: s.Type, Group: group, Needs: b.needs(s), Timeout: b.duration(s.Timeout), Kind: k, Pos: s.Pos(),
		Binding: &binding{run: b.run, eval: b.eval, step: s, with: at},
	}
	if s.Retry != nil {
		made.Retry = b.retry(s.Retry)
	}
	if s.Breaker != nil {
		made.Breaker = b.breaker(s.Breaker)
	}
	b.prepare(made, at)
	b.run.Steps = append(b.run.Steps, made)
}

// prepare compiles the options of a step that depend on nothing, so that a
// mistake in them is found before anything runs.
func (b *builder) prepare(s pipeline.Step, at *config.Node) {
	v, err := b.eval.Eval(at, resolve.Moment{})
	if err != nil || v.Unknown || len(b.faults) > 0 {
		return
	}
	if _, err := s.Kind.Prepare(v.JSON); err != nil {
		b.faults = append(b.faults, faultOf(err, s.Pos))
	}
}

// needs are those that are written and those that references imply.
func (b *builder) needs(s config.Step) []string {
	needs := slices.Clone(s.Needs)
	for _, n := range []*config.Node{s.With, s.ContinueOnError} {
		needs = append(needs, b.eval.Steps(n)...)
	}
	needs = append(needs, b.eval.ConditionSteps(s.If)...)
	slices.Sort(needs)
	needs = slices.Compact(needs)
	return slices.DeleteFunc(needs, func(n string) bool { return n == s.Name })
}

const retrySchema = `{"type": "object", "additionalProperties": false, "properties": {
	"attempts": {"type": "integer", "minimum": 1, "maximum": 100}, "delay": {"type": "string"}, "max_delay": {"type": "string"},
	"factor": {"type": "number", "minimum": 1}, "jitter": {"type": "number", "minimum": 0, "maximum": 1}}}`

const breakerSchema = `{"type": "object", "additionalProperties": false, "properties": {
	"name": {"type": "string"}, "failures": {"type": "integer", "minimum": 1}, "successes": {"type": "integer", "minimum": 1}, "delay": {"type": "string"}}}`

func (b *builder) retry(n *config.Node) *pipeline.Retry {
	o := struct {
		Attempts       int
		Delay          step.Duration
		MaxDelay       step.Duration `json:"max_delay"`
		Factor, Jitter float64
	}{3, step.Duration(time.Second), step.Duration(30 * time.Second), 2, 0.2}
	b.decode(n, retrySchema, "`retry`", &o)
	return &pipeline.Retry{Attempts: o.Attempts, Delay: time.Duration(o.Delay), MaxDelay: time.Duration(o.MaxDelay), Factor: o.Factor, Jitter: o.Jitter}
}

func (b *builder) breaker(n *config.Node) *pipeline.Breaker {
	o := struct {
		Name                string
		Failures, Successes int
		Delay               step.Duration
	}{"", 5, 1, step.Duration(30 * time.Second)}
	b.decode(n, breakerSchema, "`circuit_breaker`", &o)
	return &pipeline.Breaker{Name: o.Name, Failures: o.Failures, Successes: o.Successes, Delay: time.Duration(o.Delay)}
}

func (b *builder) decode(n *config.Node, schema, what string, into any) {
	if faults := b.eval.CheckOptions(b.checker, json.RawMessage(schema), n, what); len(faults) > 0 {
		b.faults = append(b.faults, faults...)
		return
	}
	v, err := b.eval.Eval(n, resolve.Moment{})
	if err == nil {
		err = json.Unmarshal(v.JSON, into)
	}
	if err != nil {
		b.faults = append(b.faults, faultOf(err, n.Pos()))
	}
}

// binding implements pipeline.Binding over the evaluator.
type binding struct {
	run  *PipelineRun
	eval *resolve.Evaluator
	step config.Step
	with *config.Node
}

func (b *binding) moment(v pipeline.View, look *looker) resolve.Moment {
	status := "success"
	if v.Failed {
		status = "failure"
	}
	return resolve.Moment{
		Inputs: b.run.inputs, Private: b.run.private, Run: v.Run, Status: status, Output: look.output,
		Step: func(name string) (resolve.StepResult, bool) {
			f, ok := v.Finished(name)
			if !ok {
				return resolve.StepResult{}, false
			}
			raw, err := json.Marshal(f.Outputs)
			if err != nil || f.Outputs == nil {
				raw = json.RawMessage("{}")
			}
			return resolve.StepResult{Outcome: string(f.Outcome), Outputs: raw, Sensitive: f.Sensitive, Withheld: f.Withheld, Large: f.Large}, true
		},
	}
}

// Holds implements pipeline.Binding.
func (b *binding) Holds(v pipeline.View) (bool, error) {
	look := b.run.host.look()
	defer look.close()
	holds, open, err := b.eval.Condition(b.step.If, b.moment(v, look))
	if err == nil && open {
		err = b.step.If.Fault("the condition of step %q cannot be known yet", b.step.Name)
	}
	return holds, err
}

// Options implements pipeline.Binding.
func (b *binding) Options(v pipeline.View) (json.RawMessage, []string, error) {
	look := b.run.host.look()
	defer look.close()
	got, err := b.eval.Eval(b.with, b.moment(v, look))
	return got.JSON, got.Secrets, err
}

// Outputs implements pipeline.Binding.
func (b *binding) Outputs(v pipeline.View) (step.Result, error) {
	res := step.Result{}
	if b.step.Outputs == nil {
		return res, nil
	}
	look := b.run.host.look()
	defer look.close()
	res.Outputs = map[string]any{}
	for _, f := range b.step.Outputs.Fields {
		got, err := b.eval.Eval(f.Value, b.moment(v, look))
		if err != nil {
			return res, err
		}
		var value any
		if err := json.Unmarshal(got.JSON, &value); err != nil {
			return res, err
		}
		res.Outputs[f.Name] = value
		if len(got.Secrets) > 0 {
			res.Sensitive = append(res.Sensitive, f.Name)
		}
	}
	return res, nil
}

// ContinueOnError implements pipeline.Binding.
func (b *binding) ContinueOnError(v pipeline.View) (bool, error) {
	if b.step.ContinueOnError == nil {
		return false, nil
	}
	look := b.run.host.look()
	defer look.close()
	holds, _, err := b.eval.Condition(b.step.ContinueOnError, b.moment(v, look))
	return holds, err
}

// Planned is the event that says what a run is about to do.
func (r *PipelineRun) planned() event.StepsPlanned {
	return event.StepsPlanned{Pipeline: r.Name, Inputs: publicInputs(r.inputs, r.private), Steps: r.Pipeline.Planned()}
}
