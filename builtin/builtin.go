// Package builtin is the table of what ships in the binary: one line per
// provider and state backend. Adding a leaf means adding a line here.
package builtin

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	eventpostgres "github.com/gocodealone/wfctl/event/postgres"
	eventsqlite "github.com/gocodealone/wfctl/event/sqlite"
	"github.com/gocodealone/wfctl/event/trace"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/provider/core"
	"github.com/gocodealone/wfctl/provider/local"
	"github.com/gocodealone/wfctl/provider/project"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/memory"
	"github.com/gocodealone/wfctl/state/postgres"
	"github.com/gocodealone/wfctl/state/sqlite"
	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/approval"
	"github.com/gocodealone/wfctl/step/command"
	"github.com/gocodealone/wfctl/step/golang"
	httpstep "github.com/gocodealone/wfctl/step/http"
	"github.com/gocodealone/wfctl/step/jq"
	projectstep "github.com/gocodealone/wfctl/step/project"
	"github.com/gocodealone/wfctl/step/publish"
	"github.com/gocodealone/wfctl/step/validate"
	verifystep "github.com/gocodealone/wfctl/step/verify"
	"github.com/gocodealone/wfctl/step/wasm"
)

// version is set by the release build.
var version = "dev"

// Kinds returns the tables.
func Kinds() engine.Kinds {
	return engine.Kinds{
		Version: version,
		Providers: kind.NewSet("provider", map[string]engine.ProviderFactory{
			"core":    func(engine.Host) sdk.Provider { return core.New() },
			"local":   func(engine.Host) sdk.Provider { return local.New(local.Options{}) },
			"project": newProject,
		}),
		Backends: kind.NewSet("state backend", map[string]engine.Backend{
			"sqlite":   {Schema: json.RawMessage(sqliteOptions), Open: openSQLite},
			"postgres": {Schema: json.RawMessage(postgres.Schema), Open: openPostgres},
			"memory":   {Schema: json.RawMessage(memoryOptions), Open: openMemory},
		}),
		Events:    openEvents,
		Trace:     openTrace,
		Steps:     steps,
		Component: func(ctx context.Context) error { return golang.Serve(ctx, os.Stdin, os.Stdout) },
		Supervise: func(ctx context.Context, args []string) error { return local.Supervise(ctx, args, os.Stderr) },
	}
}

func newProject(h engine.Host) sdk.Provider {
	return project.New(project.Options{BaseDir: h.BaseDir, ImagesDir: filepath.Join(h.ProjectDir, ".wfctl", "images")})
}

// The options of the backends, as JSON Schema.
const (
	sqliteOptions = `{"type": "object", "additionalProperties": false, "properties": {"path": {"type": "string", "description": "the file; default .wfctl/state.db"}}}`
	memoryOptions = `{"type": "object", "additionalProperties": false}`
)

func openSQLite(ctx context.Context, req engine.BackendRequest) (state.Driver, error) {
	var o struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal(req.Config, &o); err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: read the options of sqlite")
	}
	if o.Path == "" {
		o.Path = filepath.Join(".wfctl", "state.db")
	}
	if !filepath.IsAbs(o.Path) {
		o.Path = filepath.Join(req.ProjectDir, o.Path)
	}
	return sqlite.Open(ctx, o.Path, req.Project+"/"+req.Environment)
}

func openPostgres(ctx context.Context, req engine.BackendRequest) (state.Driver, error) {
	var o postgres.Options
	if err := json.Unmarshal(req.Config, &o); err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: read the options of postgres")
	}
	return postgres.Open(ctx, o, req.Project+"/"+req.Environment)
}

// steps is the table of step kinds.
func steps(h *engine.StepHost) kind.Set[step.Kind] {
	workers := &golang.Workers{Command: componentCommand()}
	h.AtEnd(workers.Close)
	return kind.NewSet("step type", map[string]step.Kind{
		"approval":        approval.Kind(),
		"command":         command.Kind(),
		"container_build": projectstep.ContainerBuild(h, h),
		"deploy_verify":   verifystep.Kind(),
		"go":              golang.Kind(h.Dir(), workers),
		"http":            httpstep.Kind(nil),
		"infra_apply":     projectstep.InfraApply(h),
		"infra_outputs":   projectstep.InfraOutputs(h),
		"jq":              jq.Kind(),
		"migrate":         projectstep.Migrate(h),
		"publish":         publish.Kind(),
		"validate":        validate.Kind(h.Dir()),
		"wasm":            wasm.Kind(h.Dir()),
	})
}

// componentCommand is this binary as the worker of steps of type go.
func componentCommand() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{self, "__component"}
}

// openTrace sends runs to the collector that the variables of OpenTelemetry
// name.
func openTrace(ctx context.Context, getenv func(string) (string, bool)) (event.Sink, func(context.Context) error, error) {
	if !trace.Wanted(getenv) {
		return nil, nil, nil
	}
	s, err := trace.Open(ctx, version)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// openEvents opens the history of runs: .wfctl/events.db, or the PostgreSQL
// database that WFCTL_EVENTS names.
func openEvents(ctx context.Context, src engine.EventSource) (event.Driver, error) {
	if url, ok := src.Getenv("WFCTL_EVENTS"); ok && url != "" {
		return eventpostgres.Open(ctx, url, "")
	}
	return eventsqlite.Open(ctx, filepath.Join(src.ProjectDir, ".wfctl", "events.db"))
}

func openMemory(context.Context, engine.BackendRequest) (state.Driver, error) {
	return memory.New().Driver(), nil
}
