// Package trace sends runs as OpenTelemetry traces: a run is a span, each of
// its steps one below it. It is made only where an endpoint is configured, by
// the variables that OpenTelemetry defines.
package trace

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gocodealone/wfctl/event"
)

// Wanted tells whether an endpoint is configured.
func Wanted(getenv func(string) (string, bool)) bool {
	if v, ok := getenv("OTEL_SDK_DISABLED"); ok && v == "true" {
		return false
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		if v, ok := getenv(name); ok && v != "" {
			return true
		}
	}
	return false
}

// closeTimeout bounds how long the end of a command waits for the collector.
const closeTimeout = 5 * time.Second

// Sink makes spans of events. It is safe for concurrent use.
type Sink struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer

	mu    sync.Mutex
	root  trace.Span
	ctx   context.Context //nolint:containedctx // the root span's, for its children
	spans map[[2]string]trace.Span
}

// Open prepares the exporter; nothing is sent before the first span ends. A
// collector that cannot be reached costs the end of the command some seconds
// and nothing else.
func Open(ctx context.Context, version string) (*Sink, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare OpenTelemetry: %w", err)
	}
	// What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes last.
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "wfctl"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("prepare OpenTelemetry: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &Sink{provider: provider, tracer: provider.Tracer("github.com/gocodealone/wfctl"), ctx: context.WithoutCancel(ctx), spans: map[[2]string]trace.Span{}}, nil
}

// Emit implements event.Sink.
func (s *Sink) Emit(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := e.(type) {
	case event.RunStarted:
		s.ctx, s.root = s.tracer.Start(s.ctx, "wfctl "+e.Command, trace.WithTimestamp(e.At), trace.WithAttributes(
			attribute.String("wfctl.run", e.Run), attribute.String("wfctl.project", e.Project),
			attribute.String("deployment.environment.name", e.Environment), attribute.Bool("wfctl.resumed", e.Resumed)))
	case event.NodeStarted:
		s.start(e)
	case event.NodeWarning:
		if span, ok := s.spans[[2]string{e.Parent, e.Address}]; ok {
			span.AddEvent("warning", trace.WithAttributes(attribute.String("message", e.Message)))
		}
	case event.NodeFinished:
		s.finish(e)
	case event.RunFinished:
		s.end(e)
	}
}

func (s *Sink) start(e event.NodeStarted) {
	key := [2]string{e.Parent, e.Address}
	if span, ok := s.spans[key]; ok {
		span.AddEvent("another attempt", trace.WithTimestamp(e.At))
		return
	}
	ctx := s.ctx
	if above, ok := s.spans[[2]string{"", e.Parent}]; ok && e.Parent != "" {
		ctx = trace.ContextWithSpan(ctx, above)
	}
	_, span := s.tracer.Start(ctx, e.Action+" "+e.Address, trace.WithTimestamp(e.At), trace.WithAttributes(
		attribute.String("wfctl.address", e.Address), attribute.String("wfctl.action", e.Action), attribute.String("wfctl.type", e.Type)))
	s.spans[key] = span
}

func (s *Sink) finish(e event.NodeFinished) {
	key := [2]string{e.Parent, e.Address}
	span, ok := s.spans[key]
	if !ok {
		return // it was skipped before it began
	}
	delete(s.spans, key)
	span.SetAttributes(attribute.String("wfctl.outcome", string(e.Outcome)))
	if e.Outcome == event.Failed {
		span.SetStatus(codes.Error, e.Error)
	}
	span.End(trace.WithTimestamp(e.At))
}

func (s *Sink) end(e event.RunFinished) {
	if s.root == nil {
		return
	}
	s.root.SetAttributes(attribute.Int("wfctl.done", e.Done), attribute.Int("wfctl.failed", e.Failed), attribute.Int("wfctl.skipped", e.Skipped))
	if e.Failed > 0 || e.Error != "" {
		s.root.SetStatus(codes.Error, e.Error)
	}
	s.root.End(trace.WithTimestamp(e.At))
	s.root = nil
}

// Close ends what is open and sends the rest.
func (s *Sink) Close(ctx context.Context) error {
	s.mu.Lock()
	for key, span := range s.spans {
		span.SetStatus(codes.Error, "interrupted")
		span.End()
		delete(s.spans, key)
	}
	if s.root != nil {
		s.root.SetStatus(codes.Error, "interrupted")
		s.root.End()
		s.root = nil
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return s.provider.Shutdown(ctx)
}
