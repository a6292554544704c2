// Package builtin is the table of what ships in the binary: one line per
// provider and state backend. Adding a leaf means adding a line here.
package builtin

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/engine"
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
		Supervise: func(ctx context.Context, args []string) error { return local.Supervise(ctx, args, os.Stderr) },
	}
}

func newProject(h engine.Host) sdk.Provider {
	return project.New(project.Options{BaseDir: h.BaseDir, Redactor: h.Secrets, ImagesDir: filepath.Join(h.ProjectDir, ".wfctl", "images")})
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

func openMemory(context.Context, engine.BackendRequest) (state.Driver, error) {
	return memory.New().Driver(), nil
}
