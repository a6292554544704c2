package builtin

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob/azure"
	"github.com/gocodealone/wfctl/state/blob/file"
	"github.com/gocodealone/wfctl/state/blob/gcs"
	"github.com/gocodealone/wfctl/state/blob/s3"
	"github.com/gocodealone/wfctl/state/memory"
	"github.com/gocodealone/wfctl/state/postgres"
	"github.com/gocodealone/wfctl/state/sqlite"
)

// backends are where state can be kept.
func backends() kind.Set[engine.Backend] {
	return kind.NewSet("state backend", map[string]engine.Backend{
		"sqlite":     {Schema: json.RawMessage(sqlite.Schema), Open: openSQLite, Here: true, Bootstrap: makeSQLite, SetAside: setSQLiteAside},
		"filesystem": {Schema: json.RawMessage(file.Schema), Open: openFiles, Here: true, Bootstrap: makeFolder},
		"postgres":   {Schema: json.RawMessage(postgres.Schema), Open: opener("postgres", postgres.Open), Bootstrap: maker("postgres", postgres.Make)},
		"s3":         {Schema: s3Schema(), Open: openS3, Bootstrap: makeS3},
		"gcs":        {Schema: json.RawMessage(gcs.Schema), Open: opener("gcs", gcs.Open)},
		"azure":      {Schema: json.RawMessage(azure.Schema), Open: opener("azure", azure.Open)},
		"memory":     {Schema: json.RawMessage(memory.Schema), Open: openMemory, Here: true},
	})
}

// opener makes a backend of a driver whose options hold no path.
func opener[O any](name string, open func(context.Context, O, string) (state.Driver, error)) func(context.Context, engine.BackendRequest) (state.Driver, error) {
	return func(ctx context.Context, req engine.BackendRequest) (state.Driver, error) {
		o, err := options[O](name, req)
		if err != nil {
			return nil, err
		}
		return open(ctx, o, place(req))
	}
}

// maker makes the storage of a backend whose options hold no path.
func maker[O any](name string, make func(context.Context, O) ([]string, error)) func(context.Context, engine.BackendRequest) ([]string, error) {
	return func(ctx context.Context, req engine.BackendRequest) ([]string, error) {
		o, err := options[O](name, req)
		if err != nil {
			return nil, err
		}
		return make(ctx, o)
	}
}

// s3Options are those of the driver, and what stands beside a store that
// ignores If-None-Match.
type s3Options struct {
	s3.Options
	Lease *struct {
		Postgres postgres.Options `json:"postgres"`
	} `json:"lease,omitempty"`
}

// s3Schema adds `lease` to the driver's own options.
func s3Schema() json.RawMessage {
	own, lease, ok := strings.Cut(s3.Schema, `"properties": {`)
	if !ok {
		return json.RawMessage(s3.Schema)
	}
	return json.RawMessage(own + `"properties": {"lease": {"type": "object", "additionalProperties": false, "required": ["postgres"],
		"description": "what gives out the numbers where the store ignores If-None-Match", "properties": {"postgres": ` + postgres.Schema + `}}, ` + lease)
}

func openS3(ctx context.Context, req engine.BackendRequest) (state.Driver, error) {
	o, err := options[s3Options]("s3", req)
	if err != nil || o.Lease == nil {
		if err != nil {
			return nil, err
		}
		return s3.Open(ctx, o.Options, place(req))
	}
	// Not the name that the backend postgres would use in the same schema.
	index, err := postgres.Open(ctx, o.Lease.Postgres, "lease of s3: "+place(req))
	if err != nil {
		return nil, err
	}
	return s3.OpenBeside(ctx, o.Options, place(req), index)
}

// place is an environment's name within a backend.
func place(req engine.BackendRequest) string { return req.Project + "/" + req.Environment }

func options[O any](name string, req engine.BackendRequest) (o O, err error) {
	if err := json.Unmarshal(req.Config, &o); err != nil {
		return o, fault.Wrap(fault.Config, err, "iac.state: read the options of %s", name)
	}
	return o, nil
}

// inProject makes a path of the configuration absolute.
func inProject(req engine.BackendRequest, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(req.ProjectDir, path)
}

func openSQLite(ctx context.Context, req engine.BackendRequest) (state.Driver, error) {
	path, err := sqlitePath(req)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, path, place(req))
}

func sqlitePath(req engine.BackendRequest) (string, error) {
	o, err := options[sqlite.Options]("sqlite", req)
	if o.Path == "" {
		o.Path = filepath.Join(".wfctl", "state.db")
	}
	return inProject(req, o.Path), err
}

func makeSQLite(ctx context.Context, req engine.BackendRequest) ([]string, error) {
	path, err := sqlitePath(req)
	if err != nil {
		return nil, err
	}
	return sqlite.Make(ctx, path)
}

// makeS3 makes the bucket, and the schema of what stands beside it.
func makeS3(ctx context.Context, req engine.BackendRequest) ([]string, error) {
	o, err := options[s3Options]("s3", req)
	if err != nil {
		return nil, err
	}
	created, err := s3.Make(ctx, o.Options)
	if err != nil || o.Lease == nil {
		return created, err
	}
	beside, err := postgres.Make(ctx, o.Lease.Postgres)
	return append(created, beside...), err
}

func makeFolder(_ context.Context, req engine.BackendRequest) ([]string, error) {
	o, err := options[file.Options]("filesystem", req)
	if err != nil {
		return nil, err
	}
	path := inProject(req, o.Path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fault.Wrap(fault.State, err, "make the state's folder")
	}
	return []string{"folder " + path}, nil
}

func setSQLiteAside(req engine.BackendRequest, now time.Time) (string, error) {
	path, err := sqlitePath(req)
	if err != nil {
		return "", err
	}
	return sqlite.SetAside(path, now)
}

func openFiles(ctx context.Context, req engine.BackendRequest) (state.Driver, error) {
	o, err := options[file.Options]("filesystem", req)
	if err != nil {
		return nil, err
	}
	if o.Path != "" {
		o.Path = inProject(req, o.Path)
	}
	return file.Open(ctx, o, place(req))
}

func openMemory(context.Context, engine.BackendRequest) (state.Driver, error) {
	return memory.New().Driver(), nil
}
