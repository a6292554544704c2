package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/migrate"
	"github.com/gocodealone/wfctl/sdk"
)

// migration adapts package migrate. Creating and updating it apply what is
// pending; deleting it forgets it, for data is not undone with a record.
type migration struct {
	place *place
	now   func() time.Time
}

func (*migration) doing() string { return "migrate the database" }

const migrationSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["database_url"],
  "properties": {
    "database_url": {"type": "string", "x-sensitive": true, "description": "Where the database is: sqlite:///path or postgres://…; the output connection_url of the module that 'database' names."},
    "dir": {"type": "string", "default": "migrations", "description": "The folder of the files, relative to the application file's: goose's NNN_name.sql, or NNN_name.up.sql and NNN_name.down.sql."},
    "table": {"type": "string", "default": "goose_db_version", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "description": "The table that keeps the versions."},
    "lock_timeout": {"type": "string", "default": "5m", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s|m|h)([0-9]+(ms|s|m))*$", "description": "How long to wait for another migration of the same database."},
    "allow_out_of_order": {"type": "boolean", "default": false, "description": "Applies a version below one that is applied already."}
  }
}`

type migrationConfig struct {
	DatabaseURL     string `json:"database_url"`
	Dir             string `json:"dir"`
	Table           string `json:"table"`
	LockTimeout     string `json:"lock_timeout"`
	AllowOutOfOrder bool   `json:"allow_out_of_order"`
}

func (m *migration) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name:        TypeMigration,
		Description: "The schema of a database, as numbered SQL files.",
		Config:      []byte(migrationSchema),
		Volatile:    true,
		Outputs: []sdk.OutputSchema{
			{Name: "version", Type: "integer", Description: "The highest version that is applied."},
			{Name: "hash", Type: "string", Description: "The hash of all migrations of the folder."},
			{Name: "dialect", Type: "string", Description: "sqlite or postgres.", Stable: true},
		},
	}
}

// config decodes, leaving out a URL that is not at hand.
func (m *migration) config(c sdk.Config) (*migrationConfig, error) {
	mc := &migrationConfig{Dir: "migrations"}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(c.Bytes(), &members); err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "the configuration of a migration is an object")
	}
	if c.IsOpaque("/database_url") || c.IsUnknown("/database_url") {
		delete(members, "database_url")
	}
	for name, into := range map[string]any{
		"database_url": &mc.DatabaseURL, "dir": &mc.Dir, "table": &mc.Table, "lock_timeout": &mc.LockTimeout, "allow_out_of_order": &mc.AllowOutOfOrder,
	} {
		raw, ok := members[name]
		delete(members, name)
		if ok && json.Unmarshal(raw, into) != nil {
			return nil, &sdk.Error{Code: sdk.CodeInvalid, Message: name + " has the wrong type", Path: sdk.Path("").Child(name)}
		}
	}
	for name := range members {
		return nil, &sdk.Error{Code: sdk.CodeInvalid, Message: "a migration has no key " + name, Path: sdk.Path("").Child(name)}
	}
	mc.Dir = m.place.abs(mc.Dir)
	return mc, nil
}

func (m *migration) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	mc, err := m.config(req.Config)
	if err != nil {
		return diagnose(err)
	}
	if _, err := mc.timeout(); err != nil {
		return diagnose(err)
	}
	_, err = migrate.LoadDir(mc.Dir)
	var list fault.List
	if !errors.As(err, &list) {
		return diagnose(err)
	}
	var found []sdk.Diagnostic
	for _, f := range list {
		found = append(found, sdk.Diagnostic{Severity: sdk.SeverityError, Path: "/dir", Message: f.Error(), Hint: f.Hint})
	}
	return found
}

func (mc *migrationConfig) timeout() (time.Duration, error) {
	if mc.LockTimeout == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(mc.LockTimeout)
	if err != nil || d <= 0 {
		return 0, &sdk.Error{Code: sdk.CodeInvalid, Message: fmt.Sprintf("%q is not a duration", mc.LockTimeout), Path: "/lock_timeout", Hint: "write it as 30s or 5m"}
	}
	return d, nil
}

// diff compares the folder with the one that was applied, and warns of what
// the new files do.
func (m *migration) diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	mc, err := m.config(req.Config)
	if err != nil {
		return nil, err
	}
	source, err := migrate.LoadDir(mc.Dir)
	if err != nil {
		return nil, err
	}
	res := &sdk.DiffResponse{Changes: []sdk.FieldChange{}, Outputs: sdk.Outputs{"hash": sdk.Out(source.Hash())}}
	var prior sdk.Outputs
	if req.Prior != nil {
		prior = req.Prior.Outputs
	}
	res.Notes = notes(source, migrate.DialectOf(mc.DatabaseURL), prior)
	if req.Prior == nil {
		return res, nil
	}
	if before := outputString(prior, "hash"); before != source.Hash() {
		res.Changes = append(res.Changes, sdk.FieldChange{
			Path: "/hash", Action: sdk.ActionUpdate, Before: quote(before), After: quote(source.Hash()), Reason: "the migrations changed",
		})
	}
	for _, path := range req.Changed {
		res.Changes = append(res.Changes, sdk.FieldChange{
			Path: path, Action: sdk.ActionUpdate, Sensitive: path == "/database_url", Unknown: req.Config.IsUnknown(path),
			Before: lookup(req.Prior.Config, path), After: lookup(req.Config, path),
		})
	}
	if len(res.Changes) == 0 {
		res.Outputs = prior
	}
	return res, nil
}

// notes are the warnings about versions that are not applied yet.
func notes(source *migrate.Source, dialect migrate.Dialect, prior sdk.Outputs) []sdk.Diagnostic {
	if dialect == "" {
		// Nothing applied yet: only what holds for every database.
		if dialect = migrate.Dialect(outputString(prior, "dialect")); dialect == "" {
			dialect = migrate.SQLite
		}
	}
	var applied int64
	_ = json.Unmarshal(prior["version"].Reveal(), &applied) // absent: nothing is applied
	var list []sdk.Diagnostic
	for _, f := range migrate.Lint(source, dialect) {
		if f.Version > applied {
			list = append(list, sdk.Diagnostic{Severity: sdk.SeverityWarning, Path: "/dir", Message: f.Pos.String() + ": " + f.Message, Hint: f.Hint})
		}
	}
	return list
}

func (m *migration) create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	outputs, err := m.up(ctx, req.Config, report)
	if err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: outputs}, nil
}

func (m *migration) update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	outputs, err := m.up(ctx, req.Config, report)
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: req.ID, Outputs: outputs}, nil
}

// up applies what is pending. Doing it again does nothing, so an interrupted
// call needs no more than that.
func (m *migration) up(ctx context.Context, c sdk.Config, report sdk.Reporter) (sdk.Outputs, error) {
	mc, err := m.config(c)
	if err != nil {
		return nil, err
	}
	mig, source, err := m.open(ctx, mc, false, progress(report))
	if err != nil {
		return nil, err
	}
	defer func() { _ = mig.Close() }()
	res, err := mig.Up(ctx, migrate.UpOptions{AllowOutOfOrder: mc.AllowOutOfOrder})
	if err != nil {
		logDetail(err, report)
		return nil, err
	}
	return migrationOutputs(res.To, source, migrate.DialectOf(mc.DatabaseURL)), nil
}

func (m *migration) open(ctx context.Context, mc *migrationConfig, readOnly bool, progress func(migrate.Event)) (*migrate.Migrator, *migrate.Source, error) {
	source, err := migrate.LoadDir(mc.Dir)
	if err != nil {
		return nil, nil, err
	}
	timeout, err := mc.timeout()
	if err != nil {
		return nil, nil, err
	}
	mig, err := migrate.Open(ctx, migrate.Options{
		URL: mc.DatabaseURL, Source: source, Table: mc.Table, LockTimeout: timeout, ReadOnly: readOnly, Progress: progress, Now: m.now,
	})
	return mig, source, err
}

func progress(report sdk.Reporter) func(migrate.Event) {
	return func(e migrate.Event) {
		if e.Total == 0 {
			report.Log(e.Message)
			return
		}
		report.Progress(fmt.Sprintf("%d %s: statement %d of %d", e.Version, e.Name, e.Statement, e.Total), float64(e.Statement-1)/float64(e.Total))
	}
}

func migrationOutputs(version int64, source *migrate.Source, dialect migrate.Dialect) sdk.Outputs {
	return sdk.Outputs{"version": sdk.Out(version), "hash": sdk.Out(source.Hash()), "dialect": sdk.Out(dialect)}
}

// read asks the database where its URL is at hand and it answers; else what
// is recorded stands.
func (m *migration) read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if !recorded(req) {
		return nil, sdk.Errorf(sdk.CodeNotFound, "nothing is recorded of migration %q: what is pending is applied", req.Name)
	}
	res := &sdk.ReadResponse{ID: req.Prior.ID, Name: req.Name, Outputs: req.Prior.Outputs, Healthy: true}
	mc, err := m.config(req.Config)
	if err != nil || mc.DatabaseURL == "" {
		return res, nil //nolint:nilerr // a configuration that is wrong now is the business of validate
	}
	mig, _, err := m.open(ctx, mc, true, nil)
	if err != nil {
		return res, nil //nolint:nilerr // it cannot be asked: what is recorded stands
	}
	defer func() { _ = mig.Close() }()
	status, err := mig.Status(ctx)
	if err != nil {
		return res, nil //nolint:nilerr // the same
	}
	res.Outputs = sdk.Outputs{"version": sdk.Out(status.Current), "dialect": sdk.Out(migrate.DialectOf(mc.DatabaseURL)), "hash": req.Prior.Outputs["hash"]}
	if reason := unsettled(status); reason != "" {
		res.Healthy, res.Reason = false, reason
	}
	return res, nil
}

// unsettled says what of a status an update would mend, or fail with.
func unsettled(s *migrate.Status) string {
	for _, st := range s.Migrations {
		switch st.State {
		case migrate.Applied, migrate.Missing:
		default:
			return fmt.Sprintf("migration %d (%s) is %s", st.Version, st.Name, st.State)
		}
	}
	return ""
}

func (*migration) remove(context.Context, *sdk.DeleteRequest) error { return nil }
