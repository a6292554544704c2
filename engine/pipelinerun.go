package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/resolve"
)

// InputText is an input as the command line has it: JSON, unless the schema
// says that it is a string.
type InputText string

func (t InputText) value(schema map[string]any) any {
	var v any
	if schema["type"] == "string" || json.Unmarshal([]byte(t), &v) != nil {
		return string(t)
	}
	return v
}

// SetInputs checks inputs against the pipeline's schema and fills in its
// defaults. What the schema marks as writeOnly is private: it is neither shown
// nor stored.
func (r *PipelineRun) SetInputs(given map[string]any) error {
	schema := map[string]any{}
	if r.def.Inputs != nil {
		if err := json.Unmarshal(r.def.Inputs.AppendJSON(nil), &schema); err != nil {
			return faultOf(err, r.def.Inputs.Pos())
		}
	}
	if given == nil {
		given = map[string]any{}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, v := range given {
		if text, ok := v.(InputText); ok {
			p, _ := properties[name].(map[string]any)
			given[name] = text.value(p)
		}
	}
	for name, p := range properties {
		p, _ := p.(map[string]any)
		if private, _ := p["writeOnly"].(bool); private {
			r.private = append(r.private, name)
		}
		if def, ok := p["default"]; ok && given[name] == nil {
			given[name] = def
		}
	}
	if r.def.Inputs == nil && len(given) > 0 {
		return fault.New(fault.Usage, "pipeline %q takes no inputs", r.Name).WithHint("declare them: inputs: {type: object, properties: {…}}").At(r.def.Pos)
	}
	raw, err := json.Marshal(given)
	if err != nil {
		return fault.Wrap(fault.Usage, err, "read the inputs")
	}
	r.inputs = raw
	if r.def.Inputs == nil {
		return nil
	}
	rawSchema, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	faults, err := resolve.CheckValue(resolve.NewChecker(), rawSchema, r.def.Inputs, raw, "the inputs of pipeline \""+r.Name+"\"")
	if err != nil {
		return err
	}
	return fault.List(faults).Err()
}

// publicInputs leaves private ones out.
func publicInputs(raw json.RawMessage, private []string) json.RawMessage {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	for _, name := range private {
		delete(all, name)
	}
	public, err := json.Marshal(all)
	if err != nil || len(all) == 0 {
		return nil
	}
	return public
}

// RunOptions say how to run a pipeline.
type RunOptions struct {
	// Resume is the run to go on with; "" begins one.
	Resume string
	Inputs map[string]any
	Stop   <-chan struct{}
	// Prompt asks a person who sits at the terminal; nil where nobody does.
	// It ends with the context, when the answer came another way.
	Prompt func(ctx context.Context, question string) (approved bool, err error)
}

// Run runs the pipeline as a run that is recorded.
func (r *PipelineRun) Run(ctx context.Context, o RunOptions) (pipeline.Summary, error) {
	defer r.host.end()
	p := r.project
	if p.recorder == nil {
		return pipeline.Summary{}, fault.New(fault.Internal, "this build keeps no events, and a pipeline needs them")
	}
	store, err := p.recorder.Store(ctx)
	if err != nil {
		return pipeline.Summary{}, fault.Wrap(fault.State, err, "open the history of runs")
	}
	done, err := r.begin(ctx, store, &o)
	if err != nil {
		return pipeline.Summary{}, err
	}
	began := p.options.Now()
	asking := &asker{project: p, store: store, prompt: o.Prompt}
	summary, err := r.Pipeline.Run(ctx, pipeline.Options{
		Run: p.Run, Dir: p.BaseDir, Parallelism: p.options.Parallelism, Events: p.events, Flush: p.recorder.Flush,
		Stop: o.Stop, Ask: asking.ask, Done: done, Now: p.options.Now, Flags: p.envFlag(),
	})
	if fault.CodeOf(err) == fault.Interrupted && summary.Failed == 0 {
		return summary, err // it is not over: it can go on
	}
	over := event.RunFinished{Run: p.Run, Done: summary.Done, Failed: summary.Failed, Skipped: summary.Skipped, At: p.options.Now()}
	over.Took = over.At.Sub(began)
	if over.Interrupted = ctx.Err() != nil; err != nil && !over.Interrupted {
		over.Error = "pipeline " + r.Name + " failed"
	}
	p.events.Emit(over)
	return summary, errors.Join(err, p.recorder.Flush())
}

// envFlag is the flag that chooses the environment again.
func (p *Project) envFlag() string {
	if len(p.File.Environments) == 0 {
		return ""
	}
	return " --env " + p.Environment().Name()
}

// begin opens the run, or takes up one that was interrupted.
func (r *PipelineRun) begin(ctx context.Context, store *event.Store, o *RunOptions) (map[string]pipeline.Finished, error) {
	p := r.project
	opening := p.opening("pipeline run "+r.Name, p.options.Now())
	if o.Resume == "" {
		if err := r.SetInputs(o.Inputs); err != nil {
			return nil, err
		}
		p.events.Emit(opening)
		p.events.Emit(r.planned())
		return nil, p.recorder.Flush()
	}
	was, done, err := r.earlier(ctx, store, o)
	if err != nil {
		return nil, err
	}
	p.Run = o.Resume
	opening.Run, opening.Resumed = o.Resume, true
	if err := r.claim(ctx, store, was.Seq, opening); err != nil {
		return nil, err
	}
	p.recorder.Adopt(o.Resume)
	p.events.Emit(r.planned())
	return done, p.recorder.Flush()
}

// earlier reads what an earlier process did of the run.
func (r *PipelineRun) earlier(ctx context.Context, store *event.Store, o *RunOptions) (*event.Timeline, map[string]pipeline.Finished, error) {
	was, err := store.Timeline(ctx, o.Resume)
	if errors.Is(err, event.ErrNoRun) {
		return nil, nil, fault.New(fault.NotFound, "there is no run %q", o.Resume).WithHint("`wfctl runs list` shows what there is")
	}
	if err != nil {
		return nil, nil, err
	}
	p := r.project
	switch {
	case was.Run.Command != "pipeline run "+r.Name:
		return nil, nil, fault.New(fault.Refused, "the run %s is of `%s`, not of pipeline %q", o.Resume, was.Run.Command, r.Name)
	case was.Run.Environment != p.Environment().Name():
		return nil, nil, fault.New(fault.Refused, "the run %s is of environment %q, not %q", o.Resume, was.Run.Environment, p.Environment().Name())
	case was.Run.Status == event.Succeeded:
		return nil, nil, fault.New(fault.Refused, "the run %s is done", o.Resume).WithHint("without --resume the pipeline runs again")
	case was.Run.Status == event.Running && !Abandoned(was.Run):
		return nil, nil, fault.New(fault.Locked, "the run %s is under way in another process", o.Resume).WithHint("follow it: `wfctl runs show %s --follow`", o.Resume)
	}
	inputs := map[string]any{}
	if len(was.Inputs) > 0 {
		if err := json.Unmarshal(was.Inputs, &inputs); err != nil {
			return nil, nil, fault.Wrap(fault.State, err, "read the inputs of the run")
		}
	}
	for name, v := range o.Inputs {
		inputs[name] = v
	}
	if err := r.SetInputs(inputs); err != nil {
		return nil, nil, err
	}
	done, err := r.Finish(was)
	return was, done, err
}

// claim opens the run again. Of two processes that do so at once the one
// whose event comes first goes on.
func (r *PipelineRun) claim(ctx context.Context, store *event.Store, seen uint64, opening event.RunStarted) error {
	at, err := store.Append(ctx, opening.Run, opening)
	if err != nil {
		return fault.Wrap(fault.State, err, "take up the run")
	}
	return first(ctx, store, opening.Run, seen, at)
}

// first refuses where another process has opened the run between what was seen
// of it and the event at.
func first(ctx context.Context, store *event.Store, run string, seen, at uint64) error {
	for rec, err := range store.Read(ctx, run, seen) {
		if err != nil {
			return err
		}
		if _, other := rec.Event.(event.RunStarted); other && rec.Seq < at {
			return fault.New(fault.Locked, "another process has just taken up the run %s", run)
		}
	}
	return nil
}

// asker waits for people's answers.
type asker struct {
	project *Project
	store   *event.Store
	prompt  func(context.Context, string) (bool, error)
}

// ask puts a question and waits for the first answer, from wherever it comes.
func (a *asker) ask(ctx context.Context, name, question string) (event.ApprovalGiven, error) {
	p := a.project
	tl, err := a.store.Timeline(ctx, p.Run)
	if err != nil {
		return event.ApprovalGiven{}, err
	}
	p.events.Emit(event.ApprovalRequested{Address: name, Message: question, At: p.options.Now()})
	if err := p.recorder.Flush(); err != nil {
		return event.ApprovalGiven{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a.prompt != nil {
		go a.terminal(ctx, name, question)
	} else {
		p.events.Emit(event.Notice{Level: "info", Message: "Step " + name + " waits for an approval: " + question,
			Hint: "wfctl runs approve " + p.Run + " --step " + name})
	}
	for rec, err := range a.store.Follow(ctx, p.Run, tl.Seq, true) {
		if err != nil {
			return event.ApprovalGiven{}, err
		}
		if given, ok := rec.Event.(event.ApprovalGiven); ok && given.Address == name {
			return given, nil
		}
	}
	return event.ApprovalGiven{}, context.Cause(ctx)
}

// terminal asks at the terminal and stores the answer like any other.
func (a *asker) terminal(ctx context.Context, name, question string) {
	approved, err := a.prompt(ctx, question)
	if err != nil || ctx.Err() != nil {
		return
	}
	_ = Approve(ctx, a.store, a.project.Run, event.ApprovalGiven{Address: name, Approved: approved, Via: "terminal", At: a.project.options.Now()})
}

// Approve stores a person's answer. Who answers is this process's user.
func Approve(ctx context.Context, store *event.Store, run string, given event.ApprovalGiven) error {
	tl, err := store.Timeline(ctx, run)
	if errors.Is(err, event.ErrNoRun) {
		return fault.New(fault.NotFound, "there is no run %q", run).WithHint("`wfctl runs list` shows what there is")
	}
	if err != nil {
		return err
	}
	if tl.Run.Status != event.Running || Abandoned(tl.Run) {
		return fault.New(fault.Refused, "the run %s is not under way: nothing waits for an approval", run).WithHint("what was interrupted goes on with `wfctl pipeline run NAME --resume %s`, and asks again", run)
	}
	var waiting []string
	for _, s := range tl.Steps {
		if s.Status == event.Waiting {
			waiting = append(waiting, s.Address)
		}
	}
	switch {
	case len(waiting) == 0:
		return fault.New(fault.Refused, "no step of the run %s waits for an approval", run)
	case given.Address == "" && len(waiting) > 1:
		return fault.New(fault.Usage, "several steps wait for an approval: %v", waiting).WithHint("choose with --step NAME")
	case given.Address == "":
		given.Address = waiting[0]
	case !slices.Contains(waiting, given.Address):
		return fault.New(fault.Refused, "step %q does not wait for an approval", given.Address).WithHint("these do: %v", waiting)
	}
	if given.By == "" {
		given.By = userName()
	}
	_, err = store.Append(ctx, run, given)
	return err
}
