package temporal

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// runChange is the workflow of a run that changes an environment without a
// pipeline. All changes of its plan are one activity: the record has one
// writer at a time, and the journal knows of each change what was done.
func runChange(ctx workflow.Context, in changeInput) (runOutput, error) {
	began := workflow.Now(ctx)
	free, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.ExecuteActivity(workflow.WithActivityOptions(free, short(free)), beginActivity, beginInput{Job: in.Job}).Get(free, nil); err != nil {
		return runOutput{}, err
	}
	bounded, cancel := workflow.WithCancel(ctx)
	workflow.Go(bounded, func(ctx workflow.Context) {
		if workflow.GetSignalChannel(ctx, stopSignal).Receive(ctx, nil); ctx.Err() == nil {
			cancel() // the activity lets what runs finish
		}
	})
	l := lease{project: in.Job.Project, environment: in.Job.Environment, run: in.Job.Run}
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			workflow.GetSignalChannel(ctx, grantedSignal).Receive(ctx, &l.granted)
		}
	})
	told := func() {
		_ = workflow.ExecuteActivity(workflow.WithActivityOptions(free, short(free)), noteActivity, waits(in.Job)).Get(free, nil) // it only tells
	}
	var got applyOutput
	err := temporal.NewCanceledError()
	if l.take(bounded, told) {
		err = workflow.ExecuteActivity(workflow.WithActivityOptions(bounded, work(in.Heartbeat)), changeActivity, applyInput{in.Job, in.Call}).Get(ctx, &got)
		l.done()
		l.give(ctx)
	}
	cancel()
	out := runOutput{Done: got.Done, Failed: got.Failed, Skipped: got.Skipped, Failures: got.Failures, Stopped: got.Interrupted}
	switch {
	case temporal.IsCanceledError(err):
		out.Left = true
	case err != nil:
		out.Failures = append(out.Failures, *failureOf(err))
	}
	end := endInput{Job: in.Job, Output: out, Took: workflow.Now(ctx).Sub(began)}
	return out, workflow.ExecuteActivity(workflow.WithActivityOptions(free, short(free)), endActivity, end).Get(free, nil)
}

// verdict is how a run ended, for who started it.
func (o runOutput) verdict(name, run string) pipeline.Verdict {
	v := pipeline.Verdict{Pipeline: name, Run: run, Summary: pipeline.Summary{Done: o.Done, Failed: o.Failed, Skipped: o.Skipped}, Stopped: o.Stopped}
	for i := range o.Failures {
		v.Errs = append(v.Errs, o.Failures[i].Err())
	}
	if o.Left {
		v.Cause = fault.New(fault.Interrupted, "it was told to leave what was under way")
	}
	return v
}
