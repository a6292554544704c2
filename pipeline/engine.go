package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/gocodealone/wfctl/event"
)

// Engine runs pipelines. What a pipeline means is the same on each; the suite
// in pipelinetest says what that is.
type Engine interface {
	Run(ctx context.Context, p *Pipeline, o Options) (Summary, error)
}

// InProcess is the engine whose steps run in this process.
type InProcess struct{}

// Run implements Engine.
func (InProcess) Run(ctx context.Context, p *Pipeline, o Options) (Summary, error) {
	return p.Run(ctx, o)
}

// Job says what a run that happens elsewhere is of. It crosses to workers,
// sealed, and is stored there: it holds references, and no value of a secret.
type Job struct {
	Run         string `json:"run,omitempty"`
	Command     string `json:"command"`
	Project     string `json:"project"`
	Environment string `json:"environment"`
	// Inputs are the public ones, for who watches the run.
	Inputs json.RawMessage `json:"inputs,omitempty"`
	// Source is how the worker's [Host] finds it all.
	Source json.RawMessage `json:"source,omitempty"`
	// Who started it.
	Who     string `json:"who,omitempty"`
	Resumed bool   `json:"resumed,omitempty"`
	// Recorded: who started it has opened its record.
	Recorded bool `json:"recorded,omitempty"`
	// Cluster is where it runs; see [Cluster].
	Cluster string `json:"cluster,omitempty"`
}

// holder is who has a run that is on a cluster.
type holder struct {
	Who     string `json:"who"`
	Run     string `json:"run"`
	Command string `json:"command"`
	Cluster string `json:"cluster,omitempty"`
}

// ClusterOf is the cluster that a record says its run is on; "" where it does
// not say.
func ClusterOf(r event.Run) string {
	var h holder
	if json.Unmarshal(r.Holder, &h) != nil {
		return ""
	}
	return h.Cluster
}

// Opening are the events that open the record of a job on an engine; spec is
// nil for a change.
func (j Job) Opening(engine string, spec *Spec, at time.Time) ([]event.Event, error) {
	by, err := json.Marshal(holder{j.Who, j.Run, j.Command, j.Cluster})
	if err != nil {
		return nil, err
	}
	events := []event.Event{event.RunStarted{
		Run: j.Run, Command: j.Command, Project: j.Project, Environment: j.Environment, At: at.UTC(), Resumed: j.Resumed, Holder: by, Engine: engine,
	}}
	if spec != nil {
		events = append(events, event.StepsPlanned{Pipeline: spec.Name, Inputs: j.Inputs, Steps: spec.Planned()})
	}
	return events, nil
}

// Host is what steps need on a machine that runs them for others.
type Host interface {
	// Open makes a job's steps ready. The same job may be opened many times
	// and at once.
	Open(ctx context.Context, job Job) (*Opened, error)
	// Store is where all that work on a job record what happens.
	Store(ctx context.Context) (*event.Store, error)
}

// Opened is a job on a machine that works on it. The caller closes it.
type Opened struct {
	// Pipeline is nil for a job that is a change.
	Pipeline *Pipeline
	// Options are those of its steps; Ask and Stop are the engine's.
	Options Options
	// Change carries out a change; nil for a job that is a pipeline.
	Change func(ctx context.Context, c ChangeCall) (ChangeEnd, error)
	Close  func(ctx context.Context) error
}

// ChangeCall is what is to be done by a job that changes an environment
// without a pipeline.
type ChangeCall struct {
	// Plan is the hash of the plan that was agreed to, and Agreed its changes
	// by address.
	Plan   string            `json:"plan"`
	Agreed map[string]string `json:"agreed"`
	// Again: an earlier process has begun it.
	Again bool `json:"-"`
	// Stop lets what runs finish and starts nothing new.
	Stop <-chan struct{} `json:"-"`
}

// ChangeEnd is how a change ended.
type ChangeEnd struct {
	Summary
	Failures []Failure `json:"failures,omitempty"`
	// Interrupted: it was stopped, and can go on.
	Interrupted bool `json:"interrupted,omitempty"`
}

// ErrAway: a cluster does not answer now.
var ErrAway = errors.New("the cluster does not answer")

// Cluster is where runs go on without the process that started them.
type Cluster interface {
	// ID tells this cluster from others that may record in the same place; ""
	// where it may not be asked.
	ID() string
	// Start starts a run of a pipeline.
	Start(ctx context.Context, job Job, spec *Spec, o StartOptions) error
	// StartChange starts a run that changes an environment.
	StartChange(ctx context.Context, job Job, c ChangeCall, o StartOptions) error
	// Result waits for the end of a run. The error is [ErrAway] where the
	// cluster does not answer.
	Result(ctx context.Context, run string) (Verdict, error)
	// Standing tells where a run stands.
	Standing(ctx context.Context, run string) (Standing, error)
	// Attendance tells who takes work from the queue.
	Attendance(ctx context.Context) (Attendance, error)
	// Stop asks a run to start nothing new; now, to leave what is under way.
	Stop(ctx context.Context, run string, now bool) error
	// Terminate ends a run without its workers: nothing is recorded, and what
	// they are at goes on until they notice.
	Terminate(ctx context.Context, run, reason string) error
	// Answered tells a run that an answer to its step was stored.
	Answered(ctx context.Context, run, step string) error
	// Schedules lists the schedules of a project, SetSchedule makes one or
	// brings it up to date, DropSchedule removes it.
	Schedules(ctx context.Context, project string) ([]ScheduleState, error)
	SetSchedule(ctx context.Context, s Schedule) error
	DropSchedule(ctx context.Context, project, name string) error
	// Work works on the jobs of the queue until the options' Stop closes, and
	// then until what runs has ended. What runs is left to others when Drain has
	// passed, and when ctx ends.
	Work(ctx context.Context, host Host, o WorkerOptions) error
	Close()
}

// Attendance is who takes work from a queue.
type Attendance struct {
	Queue, Namespace string
	Workers          int
	// Blind are those that cannot open what this process seals, Foreign those
	// that seal what this process cannot open.
	Blind, Foreign []string
}

// StartOptions say how to run a job.
type StartOptions struct {
	Parallelism int
	// Done are steps that an earlier run has done.
	Done map[string]Finished
	// Heartbeat is how soon a worker that is gone is noticed.
	Heartbeat time.Duration
}

// ClusterOptions say where a cluster is.
type ClusterOptions struct {
	Address, Namespace, Queue string
	// TLS; the files are PEM. Certificate and Key are for mutual TLS.
	TLS                      bool
	CA, Certificate, KeyFile string
	ServerName               string
	APIKey                   string
	// Keys seal what crosses: the first seals, each opens.
	Keys [][]byte
	// Log takes what a person who runs a worker should see.
	Log io.Writer
	// Identity names this process to the cluster.
	Identity string
}

// WorkerOptions bound what a worker does.
type WorkerOptions struct {
	// Steps is how many steps it runs at once, Runs how many runs it decides
	// about at once.
	Steps, Runs int
	// Stop closes when no new work shall be taken; nil never does.
	Stop <-chan struct{}
	// Drain is how long what runs may take to end then.
	Drain time.Duration
	// Listen is the address of its health and its figures; "" serves none.
	Listen string
	// Ready is told the address that Listen became.
	Ready func(address string)
}

// Schedule is a pipeline that is run again and again.
type Schedule struct {
	Project, Name string
	Cron          string
	Job           Job
	Spec          *Spec
	Options       StartOptions
	// Digest tells whether it is as it should be.
	Digest string
}

// ScheduleState is a schedule as the cluster has it.
type ScheduleState struct {
	Name, Cron, Digest string
	Next               time.Time
	Paused             bool
}
