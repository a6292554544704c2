// Package temporal runs pipelines and changes on Temporal: a pipeline is a
// workflow, a step an activity, a gate a signal, a timeout a timer. The order
// of the steps is kept by the workflow, which is deterministic and is replayed
// in its tests; what a step is, what it may see and what it leaves is package
// pipeline's, the same as in process.
//
// It knows no configuration and no state: what a worker needs of those comes
// from a [pipeline.Host].
package temporal

import (
	"encoding/json"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/step"
)

// Engine is how events name this engine.
const Engine = "temporal"

// The names by which Temporal knows what is here. They stand in histories and
// never change.
const (
	runWorkflow      = "wfctl.run"
	changeWorkflow   = "wfctl.change"
	scheduleWorkflow = "wfctl.schedule"

	beginActivity  = "wfctl.begin"
	stepActivity   = "wfctl.step"
	changeActivity = "wfctl.apply"
	noteActivity   = "wfctl.note"
	endActivity    = "wfctl.end"

	stopSignal   = "stop"
	answerSignal = "answer"
)

// WorkflowID is how Temporal knows a run.
func WorkflowID(run string) string { return "wfctl-run-" + run }

// runInput is what a run of a pipeline begins with. As all that is stored in
// histories it only ever gains fields.
type runInput struct {
	Job         pipeline.Job        `json:"job"`
	Spec        pipeline.Spec       `json:"spec"`
	Parallelism int                 `json:"parallelism,omitempty"`
	Done        map[string]finished `json:"done,omitempty"`
	Heartbeat   time.Duration       `json:"heartbeat,omitempty"`
}

// changeInput is what a run of a change begins with.
type changeInput struct {
	Job       pipeline.Job        `json:"job"`
	Call      pipeline.ChangeCall `json:"call"`
	Heartbeat time.Duration       `json:"heartbeat,omitempty"`
}

// runOutput is how a run ended.
type runOutput struct {
	Done     int                `json:"done"`
	Failed   int                `json:"failed"`
	Skipped  int                `json:"skipped"`
	Failures []pipeline.Failure `json:"failures,omitempty"`
	Stopped  bool               `json:"stopped,omitempty"`
	// Left: it was told to leave what was under way.
	Left bool `json:"left,omitempty"`
}

// finished is a step that is over, as it crosses.
type finished struct {
	Outcome   event.Outcome   `json:"outcome"`
	Outputs   json.RawMessage `json:"outputs,omitempty"`
	Sensitive []string        `json:"sensitive,omitempty"`
	Withheld  []string        `json:"withheld,omitempty"`
	Large     []string        `json:"large,omitempty"`
	// Recorded: the outputs that are not sensitive are in the record alone,
	// they are too many to cross.
	Recorded bool `json:"recorded,omitempty"`
}

func (f finished) open() (pipeline.Finished, error) {
	out := pipeline.Finished{Outcome: f.Outcome, Withheld: f.Withheld, Large: f.Large, Result: step.Result{Sensitive: f.Sensitive}}
	if len(f.Outputs) == 0 {
		return out, nil
	}
	var outputs map[string]json.RawMessage
	if err := json.Unmarshal(f.Outputs, &outputs); err != nil {
		return out, err
	}
	out.Outputs = map[string]any{}
	for name, raw := range outputs {
		v, err := number(raw)
		if err != nil {
			return out, err
		}
		out.Outputs[name] = v
	}
	return out, nil
}

func shut(f pipeline.Finished) (finished, error) {
	out := finished{Outcome: f.Outcome, Sensitive: f.Sensitive, Withheld: f.Withheld, Large: f.Large}
	if len(f.Outputs) == 0 {
		return out, nil
	}
	raw, err := json.Marshal(f.Outputs)
	out.Outputs = raw
	return out, err
}

type beginInput struct {
	Job  pipeline.Job   `json:"job"`
	Spec *pipeline.Spec `json:"spec,omitempty"`
}

type stepInput struct {
	Job      pipeline.Job        `json:"job"`
	Step     string              `json:"step"`
	Attempt  int                 `json:"attempt"`
	Last     bool                `json:"last,omitempty"`
	Pause    time.Duration       `json:"pause,omitempty"`
	Limits   []pipeline.Limit    `json:"limits,omitempty"`
	Failed   bool                `json:"failed,omitempty"`
	Finished map[string]finished `json:"finished,omitempty"`
	Asked    bool                `json:"asked,omitempty"`
	Fault    *pipeline.Failure   `json:"fault,omitempty"`
}

type stepOutput struct {
	finished
	Failure *pipeline.Failure `json:"failure,omitempty"`
	GoOn    bool              `json:"go_on,omitempty"`
	Waiting bool              `json:"waiting,omitempty"`
}

// noteInput records what needs no step to run.
type noteInput struct {
	Job pipeline.Job `json:"job"`
	// Skipped are steps that were not started, with the reasons.
	Skipped []skip `json:"skipped,omitempty"`
	// Broken is a step whose end nobody could record.
	Broken  string            `json:"broken,omitempty"`
	Failure *pipeline.Failure `json:"failure,omitempty"`
	// Notice is something to tell.
	Notice string `json:"notice,omitempty"`
}

type skip struct {
	Step   string `json:"step"`
	Reason string `json:"reason"`
}

type endInput struct {
	Job      pipeline.Job  `json:"job"`
	Pipeline string        `json:"pipeline,omitempty"`
	Output   runOutput     `json:"output"`
	Took     time.Duration `json:"took"`
}

type applyInput struct {
	Job  pipeline.Job        `json:"job"`
	Call pipeline.ChangeCall `json:"call"`
}

type applyOutput struct {
	Done        int                `json:"done"`
	Failed      int                `json:"failed"`
	Skipped     int                `json:"skipped"`
	Failures    []pipeline.Failure `json:"failures,omitempty"`
	Interrupted bool               `json:"interrupted,omitempty"`
}

// defaultHeartbeat is how soon a worker that is gone is noticed.
const defaultHeartbeat = 10 * time.Second

// stepLimit bounds an activity that nothing else bounds: Temporal wants one.
const stepLimit = 30 * 24 * time.Hour

// reassign is how an activity is tried again whose worker was lost, or could
// not begin: until it works. What a step itself says is a result and no error.
var reassign = &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 15 * time.Second}

// work are the options of an activity that may take long.
func work(heartbeat time.Duration) workflow.ActivityOptions {
	if heartbeat <= 0 {
		heartbeat = defaultHeartbeat
	}
	return workflow.ActivityOptions{StartToCloseTimeout: stepLimit, HeartbeatTimeout: heartbeat, WaitForCancellation: true, RetryPolicy: reassign}
}

// clerkSuffix names the queue of the activities that only write down, beside
// that of the steps: were they the same, a run could not be begun, ended or
// queued while all of a worker's slots are taken by steps that take long.
const clerkSuffix = "/record"

// short are the options of an activity that only writes down.
func short(ctx workflow.Context) workflow.ActivityOptions {
	return workflow.ActivityOptions{TaskQueue: workflow.GetInfo(ctx).TaskQueueName + clerkSuffix, StartToCloseTimeout: time.Minute, RetryPolicy: reassign}
}
