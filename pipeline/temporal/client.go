package temporal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// cluster implements pipeline.Cluster.
type cluster struct {
	client  client.Client
	id      string
	o       pipeline.ClusterOptions
	figures *figures
}

// Open connects to a cluster. The caller closes it.
func Open(ctx context.Context, o pipeline.ClusterOptions) (pipeline.Cluster, error) {
	c := &cluster{o: o, figures: newFigures()}
	options, err := c.options(nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if c.client, err = client.DialContext(ctx, options); err != nil {
		return nil, c.failed(err)
	}
	// The name of a namespace is unique in its cluster, its identifier everywhere.
	d, err := c.client.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: o.Namespace})
	var denied *serviceerror.PermissionDenied
	if err != nil && !errors.As(err, &denied) && status.Code(err) != codes.Unimplemented { // not all may ask
		c.client.Close()
		return nil, c.failed(err)
	}
	c.id = d.GetNamespaceInfo().GetId()
	return c, nil
}

// ID implements pipeline.Cluster.
func (c *cluster) ID() string { return c.id }

const dialTimeout = 10 * time.Second

// failed says what became of a call of Temporal, and what to do about it. The
// transport flattens what went wrong with TLS to a text.
func (c *cluster) failed(err error) error {
	f := fault.Wrap(fault.Environment, err, "reach Temporal at %s", c.o.Address)
	var none *serviceerror.NamespaceNotFound
	var denied *serviceerror.PermissionDenied
	switch text, code := err.Error(), status.Code(err); {
	case errors.As(err, &none):
		return f.WithHint("--namespace or TEMPORAL_NAMESPACE names it; an operator makes one with `temporal operator namespace create -n %s`", c.o.Namespace)
	case code == codes.Unauthenticated, code == codes.PermissionDenied, errors.As(err, &denied):
		return f.WithHint("is the API key of --api-key-file or TEMPORAL_API_KEY the one of the namespace %s?", c.o.Namespace)
	case !secure(c.o) && strings.Contains(text, "server preface"):
		return f.WithHint("a server that speaks TLS breaks off so: with --tls or TEMPORAL_TLS=true wfctl does too")
	case secure(c.o) && slices.ContainsFunc(brokenOff, func(sign string) bool { return strings.Contains(text, sign) }):
		return f.WithHint("--tls-ca is the authority of its certificate and --tls-server-name the name in it; --tls-cert and --tls-key are this side's")
	}
	if text := err.Error(); strings.Contains(text, "larger than max") || strings.Contains(text, "exceeds") && strings.Contains(text, "limit") {
		return f.WithHint("what a run begins with, its inputs and what --pass-env names, may be about 1 MB: bring larger things to a store and pass where they are")
	}
	return f.WithHint("is that its address? --address or TEMPORAL_ADDRESS names it. Where it is down, what runs there waits and goes on when it is back; without --engine temporal wfctl works from here")
}

// brokenOff are the signs that two sides could not agree on TLS: one that
// refuses the other's certificate closes the connection, and whether its reason
// arrives before that is chance.
var brokenOff = []string{"x509:", "tls:", "server preface", "broken pipe", "connection reset"}

// options are those of a client; missed is told of keys that it lacks.
func (c *cluster) options(missed func(key string)) (client.Options, error) {
	o := c.o
	data, err := seals(o.Keys, missed)
	if err != nil {
		return client.Options{}, err
	}
	out := o.Log
	if out == nil || missed == nil { // the SDK's own words are for who runs a worker
		out = io.Discard
	}
	options := client.Options{
		HostPort: o.Address, Namespace: o.Namespace, Identity: o.Identity, DataConverter: data, MetricsHandler: c.figures,
		// A failure's message and stack are sealed like everything else.
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: true}),
		Logger:           log.NewStructuredLogger(slog.New(quiet{slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn})})),
		// The machine is nobody's business but ours.
		DisableWorkerEnvironmentInfo: true,
	}
	if o.APIKey != "" {
		options.Credentials = client.NewAPIKeyStaticCredentials(o.APIKey)
	}
	options.ConnectionOptions.TLS, err = tlsOf(o)
	options.ConnectionOptions.TLSDisabled = options.ConnectionOptions.TLS == nil
	return options, err
}

// secure tells whether TLS is spoken: an API key is not sent in the clear.
func secure(o pipeline.ClusterOptions) bool {
	return o.TLS || o.CA != "" || o.Certificate != "" || o.APIKey != ""
}

// tlsOf makes the TLS configuration; nil where there is none.
func tlsOf(o pipeline.ClusterOptions) (*tls.Config, error) {
	if !secure(o) {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CA != "" {
		raw, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fault.Wrap(fault.Usage, err, "read the certificate of Temporal's authority")
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fault.New(fault.Usage, "%s holds no certificate in PEM", o.CA)
		}
	}
	if (o.Certificate == "") != (o.KeyFile == "") {
		return nil, fault.New(fault.Usage, "mutual TLS needs a certificate and its key")
	}
	if o.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(o.Certificate, o.KeyFile)
		if err != nil {
			return nil, fault.Wrap(fault.Usage, err, "read the certificate for Temporal")
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Close implements pipeline.Cluster.
func (c *cluster) Close() { c.client.Close() }

// Start implements pipeline.Cluster.
func (c *cluster) Start(ctx context.Context, job pipeline.Job, spec *pipeline.Spec, o pipeline.StartOptions) error {
	in, err := inputOf(job, spec, o)
	if err != nil {
		return err
	}
	return c.start(ctx, job.Run, runWorkflow, in)
}

func inputOf(job pipeline.Job, spec *pipeline.Spec, o pipeline.StartOptions) (runInput, error) {
	in := runInput{Job: job, Spec: *spec, Parallelism: o.Parallelism, Heartbeat: o.Heartbeat, Done: map[string]finished{}}
	if in.Parallelism < 1 {
		in.Parallelism = 10
	}
	for name, f := range o.Done {
		done, err := shut(f)
		if err != nil {
			return in, err
		}
		in.Done[name] = done
	}
	fit(in.Done)
	return in, nil
}

// StartChange implements pipeline.Cluster.
func (c *cluster) StartChange(ctx context.Context, job pipeline.Job, call pipeline.ChangeCall, o pipeline.StartOptions) error {
	return c.start(ctx, job.Run, changeWorkflow, changeInput{Job: job, Call: call, Heartbeat: o.Heartbeat})
}

func (c *cluster) start(ctx context.Context, run, workflow string, in any) error {
	_, err := c.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: WorkflowID(run), TaskQueue: c.o.Queue,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
	}, workflow, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) {
		return fault.New(fault.Locked, "the run %s is under way on Temporal", run).WithHint("follow it: `wfctl runs show %s --follow`", run)
	}
	if err != nil {
		return c.failed(err)
	}
	return nil
}

// Result implements pipeline.Cluster.
func (c *cluster) Result(ctx context.Context, run string) (pipeline.Verdict, error) {
	var out runOutput
	err := c.client.GetWorkflow(ctx, WorkflowID(run), "").Get(ctx, &out)
	var ended *temporal.WorkflowExecutionError
	switch {
	case err == nil:
		return out.verdict("", run), nil
	case ctx.Err() != nil:
		return pipeline.Verdict{}, ctx.Err()
	case errors.As(err, &ended):
		s, err := c.Standing(ctx, run)
		if err != nil {
			return pipeline.Verdict{}, err
		}
		return pipeline.Verdict{}, fault.New(fault.Environment, "the run %s is over without having come to its end: %s", run, s.Why).
			WithHint("what was done is recorded: a pipeline goes on with `wfctl pipeline run NAME --resume %s --engine temporal`, a change with the same command", run)
	case isGone(err):
		return pipeline.Verdict{}, fault.New(fault.NotFound, "Temporal knows no run %s, or no longer", run)
	case isAway(err):
		return pipeline.Verdict{}, fmt.Errorf("%w: %w", pipeline.ErrAway, c.failed(err))
	}
	f := failureOf(err)
	return pipeline.Verdict{}, fault.New(f.Code, "read how the run %s ended: %s", run, f.Message).WithHint("%s", f.Hint)
}

// isAway tells whether nobody answered, so that asking again may help.
func isAway(err error) bool {
	var away *serviceerror.Unavailable
	code := status.Code(err)
	return errors.As(err, &away) || errors.Is(err, context.DeadlineExceeded) || code == codes.Unavailable || code == codes.DeadlineExceeded
}

// Stop implements pipeline.Cluster.
func (c *cluster) Stop(ctx context.Context, run string, now bool) error {
	if err := c.about(run, c.client.SignalWorkflow(ctx, WorkflowID(run), "", stopSignal, nil)); err != nil || !now {
		return err
	}
	return c.about(run, c.client.CancelWorkflow(ctx, WorkflowID(run), ""))
}

// Terminate implements pipeline.Cluster.
func (c *cluster) Terminate(ctx context.Context, run, reason string) error {
	return c.about(run, c.client.TerminateWorkflow(ctx, WorkflowID(run), "", reason))
}

// Answered implements pipeline.Cluster.
func (c *cluster) Answered(ctx context.Context, run, step string) error {
	return c.about(run, c.client.SignalWorkflow(ctx, WorkflowID(run), "", answerSignal, step))
}

// isGone tells whether there is no such workflow any more.
func isGone(err error) bool {
	var gone *serviceerror.NotFound
	return errors.As(err, &gone)
}

func (c *cluster) about(run string, err error) error {
	switch {
	case isGone(err):
		return fault.New(fault.NotFound, "Temporal knows no run %s that is under way", run)
	case err != nil:
		return c.failed(err)
	}
	return nil
}

// RunEngine is a cluster as an engine for one job.
type RunEngine struct {
	Cluster pipeline.Cluster
	Job     pipeline.Job
	Options pipeline.StartOptions
}

// Run implements pipeline.Engine: it starts the run and waits for its end. Once
// the options' Stop closes, the run starts nothing new.
func (e RunEngine) Run(ctx context.Context, p *pipeline.Pipeline, o pipeline.Options) (pipeline.Summary, error) {
	e.Options.Parallelism, e.Options.Done = o.Parallelism, o.Done
	if err := e.Cluster.Start(ctx, e.Job, p.Spec(), e.Options); err != nil {
		return pipeline.Summary{}, err
	}
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-o.Stop:
			_ = e.Cluster.Stop(context.WithoutCancel(ctx), e.Job.Run, false) // the run is over, or goes on
		case <-over:
		}
	}()
	v, err := e.Cluster.Result(ctx, e.Job.Run)
	if err != nil {
		return v.Summary, err
	}
	v.Pipeline = p.Name
	return v.Summary, v.Err()
}
