package temporal

import (
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/graph"
	"github.com/gocodealone/wfctl/pipeline"
)

// runner is the state of one run. Only its workflow's coroutines touch it, one
// at a time.
type runner struct {
	in       runInput
	began    time.Time
	deadline time.Time // of the main group; zero for none
	finished map[string]finished
	out      runOutput
	breakers map[string]*breaker
	answers  map[string]int
	answered int  // how many came, of any step
	bare     bool // an answer says only that there is one to look for
	stop     bool
	late     bool // the main group's limit has passed
	lease    lease
}

// runPipeline is the workflow of a pipeline.
func runPipeline(ctx workflow.Context, in runInput) (runOutput, error) {
	r := &runner{in: in, began: workflow.Now(ctx), finished: map[string]finished{}, breakers: map[string]*breaker{}, answers: map[string]int{}}
	for name, f := range in.Done {
		r.finished[name] = f
	}
	r.out.Done = len(in.Done)
	r.lease = lease{project: in.Job.Project, environment: in.Job.Environment, run: in.Job.Run}
	r.bare = workflow.GetVersion(ctx, answerChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion
	r.listen(ctx)
	free, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.ExecuteActivity(workflow.WithActivityOptions(free, short(free)), beginActivity, beginInput{in.Job, &in.Spec}).Get(free, nil); err != nil {
		return r.out, err
	}
	r.main(ctx)
	if len(r.out.Failures) > 0 {
		r.walk(ctx, pipeline.OnFailure)
	}
	r.walk(ctx, pipeline.Always)
	r.lease.give(ctx)
	r.out.Left = ctx.Err() != nil
	end := endInput{in.Job, in.Spec.Name, r.out, workflow.Now(ctx).Sub(r.began)}
	return r.out, workflow.ExecuteActivity(workflow.WithActivityOptions(free, short(free)), endActivity, end).Get(free, nil)
}

// listen takes the signals.
func (r *runner) listen(ctx workflow.Context) {
	workflow.Go(ctx, func(ctx workflow.Context) {
		stop, answers := workflow.GetSignalChannel(ctx, stopSignal), workflow.GetSignalChannel(ctx, answerSignal)
		granted := workflow.GetSignalChannel(ctx, grantedSignal)
		for {
			s := workflow.NewSelector(ctx)
			s.AddReceive(stop, func(c workflow.ReceiveChannel, _ bool) {
				c.Receive(ctx, nil)
				r.stop = true
			})
			s.AddReceive(answers, func(c workflow.ReceiveChannel, _ bool) {
				if r.bare {
					c.Receive(ctx, nil)
					r.answered++
					return
				}
				var step string
				c.Receive(ctx, &step)
				r.answers[step]++
			})
			s.AddReceive(granted, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, &r.lease.granted) })
			s.Select(ctx)
		}
	})
}

// answerChange is when runs began to look for an answer whatever step it was said
// to be of: who says so may have another key, and the record tells anyway.
const answerChange = "answer"

// heard counts the answers that may be the step's.
func (t *tries) heard() int {
	if t.bare {
		return t.answered
	}
	return t.answers[t.spec.Name]
}

// main runs the main group within the pipeline's own limit.
func (r *runner) main(ctx workflow.Context) {
	limit := r.in.Spec.Timeout
	if limit <= 0 {
		r.walk(ctx, pipeline.Main)
		return
	}
	r.deadline = r.began.Add(limit)
	bounded, cancel := workflow.WithCancel(ctx)
	cut := workflow.GetVersion(ctx, limitChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion
	workflow.Go(bounded, func(ctx workflow.Context) {
		if workflow.Sleep(ctx, limit) != nil {
			return
		}
		if r.late = true; cut {
			cancel()
		}
	})
	if !cut {
		r.walk(ctx, pipeline.Main)
		cancel() // the timer
	} else {
		r.walk(bounded, pipeline.Main)
		cancel()
	}
	r.deadline, r.late = time.Time{}, false
}

// limitChange is when a pipeline's limit began to end its steps where they
// run, and no longer cut them off from here at the same moment.
const limitChange = "limit"

// ended is a step that came to its end.
type ended struct {
	step string
	err  error
}

// walk runs a group.
func (r *runner) walk(ctx workflow.Context, group pipeline.Group) {
	free, _ := workflow.NewDisconnectedContext(ctx)
	f := r.in.Spec.Graph(group).Frontier()
	ends := workflow.NewChannel(free)
	running := 0
	for {
		for running < max(1, r.in.Parallelism) && ctx.Err() == nil && !r.late && (group != pipeline.Main || !r.stop) {
			name, ok := f.Next()
			if !ok {
				break
			}
			if _, done := r.in.Done[name]; done {
				f.Finish(name, nil)
				continue
			}
			running++
			workflow.Go(ctx, func(ctx workflow.Context) { ends.Send(ctx, ended{name, r.step(ctx, r.in.Spec.Step(name))}) })
		}
		if running == 0 {
			break
		}
		var e ended
		ends.Receive(free, &e)
		running--
		f.Finish(e.step, e.err)
	}
	r.skipped(free, group, f.Left())
}

// skipped records the steps of a group that were not started.
func (r *runner) skipped(ctx workflow.Context, group pipeline.Group, left map[string]error) {
	note := noteInput{Job: r.in.Job}
	for _, s := range r.in.Spec.Steps {
		var why *graph.SkipError[string]
		if err, ok := left[s.Name]; !ok || s.Group != group || !errors.As(err, &why) {
			continue
		}
		r.out.Stopped = r.out.Stopped || why.Stopped
		r.out.Skipped++
		r.finished[s.Name] = finished{Outcome: event.Skipped}
		note.Skipped = append(note.Skipped, skip{s.Name, why.Error()})
	}
	if len(note.Skipped) > 0 {
		r.note(ctx, note)
	}
}

// note writes down what no step can. It is tried until it works.
func (r *runner) note(ctx workflow.Context, n noteInput) {
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, short(ctx)), noteActivity, n).Get(ctx, nil)
	if err != nil {
		workflow.GetLogger(ctx).Error("a note was not taken", "error", err)
	}
}

// step runs one step to its end. The error is one that stops what waits for
// it.
func (r *runner) step(ctx workflow.Context, s *pipeline.StepSpec) error {
	t := &tries{runner: r, spec: s}
	if s.Timeout > 0 {
		t.deadline = workflow.Now(ctx).Add(s.Timeout)
	}
	end := t.run(ctx)
	r.finished[s.Name] = end.finished
	switch {
	case end.Outcome == event.Skipped:
		r.out.Skipped++
		return nil
	case end.Failure == nil:
		r.out.Done++
		return nil
	}
	r.out.Failed++
	if end.GoOn {
		return nil
	}
	r.out.Failures = append(r.out.Failures, *end.Failure)
	return end.Failure.Err()
}

// tries are the attempts at one step.
type tries struct {
	*runner
	spec     *pipeline.StepSpec
	deadline time.Time // of all attempts together; zero for none
}

func (t *tries) run(ctx workflow.Context) stepOutput {
	var last *pipeline.Failure
	for attempt := 1; ; attempt++ {
		final := attempt >= t.spec.Attempts()
		pause := t.pause(attempt)
		failure := t.open(ctx, last)
		if failure == nil {
			end, over := t.attempt(ctx, attempt, final, pause)
			t.record(ctx, end.Failure == nil)
			if over {
				return end
			}
			last = end.Failure
		} else if final {
			return t.fail(ctx, failure)
		}
		if cause := t.sleep(ctx, pause); cause != nil {
			return t.fail(ctx, cause)
		}
	}
}

// pause is how long to wait after an attempt. Its random part is made of the
// run, so that a replay finds the same.
func (t *tries) pause(attempt int) time.Duration {
	if t.spec.Retry == nil {
		return 0
	}
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s/%s/%d", t.in.Job.Run, t.spec.Name, attempt) // into memory
	return t.spec.Retry.Pause(attempt, float64(h.Sum32())/float64(1<<32))
}

// open is the failure of a step whose breaker is open; nil where it may be
// tried.
func (t *tries) open(ctx workflow.Context, last *pipeline.Failure) *pipeline.Failure {
	if b := t.breaker(); b != nil && !b.allow(workflow.Now(ctx)) {
		return t.spec.Open(last)
	}
	return nil
}

func (t *tries) record(ctx workflow.Context, ok bool) {
	if b := t.breaker(); b != nil {
		b.record(workflow.Now(ctx), ok)
	}
}

// breaker finds the step's breaker, which others may share.
func (t *tries) breaker() *breaker {
	if t.spec.Breaker == nil {
		return nil
	}
	key := t.spec.Key()
	if t.breakers[key] == nil {
		t.breakers[key] = &breaker{of: *t.spec.Breaker}
	}
	return t.breakers[key]
}

// limits are what bounds an attempt that begins now.
func (t *tries) limits(now time.Time) []pipeline.Limit {
	var list []pipeline.Limit
	if !t.runner.deadline.IsZero() {
		list = append(list, pipeline.Limit{After: t.runner.deadline.Sub(now), Cause: pipeline.PipelineTimeout(t.in.Spec.Name, t.in.Spec.Timeout)})
	}
	if !t.deadline.IsZero() {
		list = append(list, pipeline.Limit{After: t.deadline.Sub(now), Cause: pipeline.StepTimeout(t.spec.Name, t.spec.Timeout)})
	}
	return list
}

// nearest is the limit that comes first; false for none.
func nearest(limits []pipeline.Limit) (first pipeline.Limit, ok bool) {
	for _, l := range limits {
		if !ok || l.After < first.After {
			first, ok = l, true
		}
	}
	return first, ok
}

// attempt makes one attempt, which may wait for a person in between. It tells
// whether the step is over.
func (t *tries) attempt(ctx workflow.Context, n int, final bool, pause time.Duration) (stepOutput, bool) {
	in := stepInput{Job: t.in.Job, Step: t.spec.Name, Attempt: n, Last: final, Pause: pause, Failed: len(t.out.Failures) > 0, Finished: t.needed()}
	if size := fit(in.Finished); size > crossLimit && workflow.GetVersion(ctx, crossChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		return t.fail(ctx, t.tooMuch(size)), true
	}
	for {
		seen := t.heard()
		end, err := t.changing(ctx, in)
		if err != nil {
			return t.broken(ctx, err), true
		}
		if !end.Waiting {
			return end, end.Outcome != ""
		}
		t.lease.give(ctx) // who waits for a person holds nobody up
		if cause := t.await(ctx, seen); cause != nil {
			return t.fail(ctx, cause), true
		}
		in.Asked = true
	}
}

// leaseChange is when runs began to queue for their environment.
const leaseChange = "environment"

// changing is call for a step that may change the environment: it waits until
// that is the run's own.
func (t *tries) changing(ctx workflow.Context, in stepInput) (stepOutput, error) {
	if !t.spec.Changes || workflow.GetVersion(ctx, leaseChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return t.call(ctx, in)
	}
	told := func() { t.note(ctx, waits(t.in.Job)) }
	if !t.lease.take(ctx, told) {
		return stepOutput{}, temporal.NewCanceledError()
	}
	defer t.lease.done()
	return t.call(ctx, in)
}

// waits is the note of a run that has to wait for its environment.
func waits(job pipeline.Job) noteInput {
	return noteInput{Job: job, Notice: "Other runs that change " + job.Environment + " come first; this one waits for its turn."}
}

// needed are the steps that the step may refer to.
func (t *tries) needed() map[string]finished {
	list := map[string]finished{}
	for _, name := range t.spec.Needs {
		if f, ok := t.finished[name]; ok {
			list[name] = f
		}
	}
	return list
}

// crossChange is when steps began to fail that need more than can cross, and
// their runs no longer with them.
const crossChange = "cross"

// tooMuch is the failure of a step that needs more than can cross: secrets, for
// all else waits in the record.
func (t *tries) tooMuch(size int) *pipeline.Failure {
	return &pipeline.Failure{
		Code:    fault.Config,
		Message: fmt.Sprintf("step %q needs %d kB of sensitive outputs of others, and %d kB cross to a worker", t.spec.Name, size>>10, crossLimit>>10),
		Hint:    "have it read them where they come from, or let it need less",
	}
}

// lateness is how long after its limit a step is cut off that did not end by
// itself: its worker is gone, or there was none.
const lateness = 10 * time.Second

// errLate is the error of a step that was cut off.
var errLate = errors.New("its limit has passed")

// call has a worker make an attempt, until its limits have passed.
func (t *tries) call(ctx workflow.Context, in stepInput) (end stepOutput, err error) {
	in.Limits = t.limits(workflow.Now(ctx))
	bounded, cancel := workflow.WithCancel(ctx)
	defer cancel()
	activity := workflow.ExecuteActivity(workflow.WithActivityOptions(bounded, work(t.in.Heartbeat)), stepActivity, in)
	limit, ok := nearest(in.Limits)
	if !ok {
		return end, activity.Get(ctx, &end)
	}
	late := false
	timer := workflow.NewTimer(bounded, max(limit.After, 0)+lateness)
	workflow.NewSelector(ctx).
		AddFuture(activity, func(workflow.Future) {}).
		AddFuture(timer, func(f workflow.Future) { late = f.Get(bounded, nil) == nil }).
		Select(ctx)
	if late {
		cancel()
	}
	err = activity.Get(ctx, &end)
	if late && temporal.IsCanceledError(err) {
		err = errLate
	}
	return end, err
}

// passed is the failure of a step whose limits have passed, or whose run was
// told to leave.
func (t *tries) passed(ctx workflow.Context) *pipeline.Failure {
	for _, l := range t.limits(workflow.Now(ctx)) {
		if l.After <= 0 {
			return &pipeline.Failure{Code: fault.Provider, Message: l.Cause}
		}
	}
	return &pipeline.Failure{Code: fault.Interrupted, Message: "the run was told to leave what is under way"}
}

// sleep waits between two attempts. It returns why it was cut short.
func (t *tries) sleep(ctx workflow.Context, d time.Duration) *pipeline.Failure {
	limit, ok := nearest(t.limits(workflow.Now(ctx)))
	cut := ok && limit.After < d
	if cut {
		d = max(limit.After, 0)
	}
	if d > 0 && workflow.Sleep(ctx, d) != nil || cut {
		return t.passed(ctx)
	}
	return nil
}

// await waits until an answer to the step has come. It returns why it was cut
// short.
func (t *tries) await(ctx workflow.Context, seen int) *pipeline.Failure {
	come := func() bool { return t.heard() > seen }
	limit, bounded := nearest(t.limits(workflow.Now(ctx)))
	if !bounded {
		if workflow.Await(ctx, come) != nil {
			return t.passed(ctx)
		}
		return nil
	}
	if ok, err := workflow.AwaitWithTimeout(ctx, max(limit.After, 0), come); err != nil || !ok {
		return t.passed(ctx)
	}
	return nil
}

// fail ends the step without another attempt: a worker records it.
func (t *tries) fail(ctx workflow.Context, why *pipeline.Failure) stepOutput {
	free, _ := workflow.NewDisconnectedContext(ctx)
	in := stepInput{Job: t.in.Job, Step: t.spec.Name, Attempt: 1, Last: true, Failed: len(t.out.Failures) > 0, Finished: t.needed(), Fault: why}
	if fit(in.Finished) > crossLimit {
		in.Finished = nil // whatever its condition to go on says of them
	}
	var end stepOutput
	options := work(t.in.Heartbeat)
	if ctx.Err() != nil { // the run is to leave, be there a worker that can open it or not
		options.ScheduleToCloseTimeout = closing
	}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(free, options), stepActivity, in).Get(free, &end)
	if err != nil { // no worker can open the job: then it is only noted
		return t.noted(free, why)
	}
	return end
}

// closing is how long workers may try to end a step of a run that is to leave.
const closing = 30 * time.Second

// noted ends a step whose end no worker could record as it should be.
func (t *tries) noted(ctx workflow.Context, why *pipeline.Failure) stepOutput {
	t.note(ctx, noteInput{Job: t.in.Job, Broken: t.spec.Name, Failure: why})
	return stepOutput{finished: finished{Outcome: event.Failed}, Failure: why}
}

// broken ends a step that no worker could run or end.
func (t *tries) broken(ctx workflow.Context, err error) stepOutput {
	if errors.Is(err, errLate) || temporal.IsCanceledError(err) {
		return t.fail(ctx, t.passed(ctx))
	}
	free, _ := workflow.NewDisconnectedContext(ctx)
	why := failureOf(err)
	why.Message = fmt.Sprintf("step %q: %s", t.spec.Name, why.Message)
	return t.noted(free, why)
}

// failureOf takes the error of an activity apart.
func failureOf(err error) *pipeline.Failure {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		var f pipeline.Failure
		if app.HasDetails() && app.Details(&f) == nil && f.Message != "" {
			return &f
		}
		return &pipeline.Failure{Code: fault.Provider, Message: app.Message()}
	}
	return &pipeline.Failure{Code: fault.Provider, Message: err.Error()}
}
