package trace_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/trace"
)

// received keeps the spans that a collector gets.
type received struct {
	mu    sync.Mutex
	spans []*otlp.Span
}

func (r *received) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(body)
	}
	raw, _ := io.ReadAll(body)
	var got collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &got); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range got.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			r.spans = append(r.spans, ss.Spans...)
		}
	}
}

func TestARunIsATrace(t *testing.T) {
	r := &received{}
	server := httptest.NewServer(r)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	s, err := trace.Open(t.Context(), "1.0")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 4, 24, 10, 0, 0, 0, time.UTC)
	for _, e := range []event.Event{
		event.RunStarted{Run: "r", Command: "pipeline run release", At: at},
		event.NodeStarted{Address: "deploy", Action: "run", At: at},
		event.NodeStarted{Address: "web", Parent: "deploy", Action: "create", At: at.Add(time.Second)},
		event.NodeFinished{Address: "web", Parent: "deploy", Outcome: event.Failed, Error: "no room", At: at.Add(2 * time.Second)},
		event.NodeFinished{Address: "deploy", Outcome: event.Failed, At: at.Add(3 * time.Second)},
		event.NodeFinished{Address: "later", Outcome: event.Skipped, At: at},
		event.RunFinished{Failed: 1, At: at.Add(4 * time.Second)},
	} {
		s.Emit(e)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	byName := map[string]*otlp.Span{}
	for _, span := range r.spans {
		byName[span.Name] = span
	}
	run, deploy, web := byName["wfctl pipeline run release"], byName["run deploy"], byName["create web"]
	if len(r.spans) != 3 || run == nil || deploy == nil || web == nil {
		t.Fatalf("the spans are %v", r.spans)
	}
	if string(deploy.ParentSpanId) != string(run.SpanId) || string(web.ParentSpanId) != string(deploy.SpanId) {
		t.Error("the spans do not stand below each other")
	}
	if web.Status.Message != "no room" || web.EndTimeUnixNano-web.StartTimeUnixNano != uint64(time.Second) {
		t.Errorf("%+v", web)
	}
}

func TestOffUnlessConfigured(t *testing.T) {
	with := func(vars map[string]string) func(string) (string, bool) {
		return func(n string) (string, bool) { v, ok := vars[n]; return v, ok }
	}
	if trace.Wanted(with(nil)) || trace.Wanted(with(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": ""})) ||
		trace.Wanted(with(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"})) {
		t.Error("it is on without an endpoint")
	}
	if !trace.Wanted(with(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"})) {
		t.Error("it is off")
	}
}
