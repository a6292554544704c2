package engine

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/migrate"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// migrationConfig is what a migration node says of where its files are.
type migrationConfig struct {
	Dir   string `json:"dir"`
	Table string `json:"table"`
}

// migrationNode finds an entry of `migrations:`; "" means the only one.
func (p *Project) migrationNode(name string) (resource.Desired, error) {
	var found []resource.Desired
	var names []string
	for _, d := range p.Set.Nodes {
		if nodeKind(d.Address()) != resource.MigrationPrefix {
			continue
		}
		own := strings.TrimPrefix(string(d.Address()), resource.MigrationPrefix)
		names = append(names, own)
		if name == "" || name == own {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(names) == 0:
		return resource.Desired{}, fault.New(fault.NotFound, "the application file has no migrations for %q", p.Environment().Name()).
			WithHint("declare them: migrations: {main: {database: db, dir: ./migrations}}")
	case name == "":
		return resource.Desired{}, fault.New(fault.Usage, "there are several migrations: %s", strings.Join(names, ", ")).WithHint("choose with --migration NAME")
	}
	return resource.Desired{}, fault.New(fault.NotFound, "there is no migration %q", name).WithHint("there are %s", strings.Join(names, ", "))
}

// migrationDir is the absolute folder of an entry's files.
func (p *Project) migrationDir(d resource.Desired) (migrationConfig, error) {
	var c migrationConfig
	resolved, err := d.Config().Resolve(unknownScope{})
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(resolved.Config.Bytes(), &c); err != nil {
		return c, fault.Wrap(fault.Config, err, "read %q", d.Address()).At(d.Pos())
	}
	if !filepath.IsAbs(c.Dir) {
		c.Dir = filepath.Join(p.BaseDir, filepath.FromSlash(c.Dir))
	}
	return c, nil
}

// CreateMigration writes an empty migration file and returns its path.
func (p *Project) CreateMigration(_ context.Context, name, title string) (string, error) {
	d, err := p.migrationNode(name)
	if err != nil {
		return "", err
	}
	c, err := p.migrationDir(d)
	if err != nil {
		return "", err
	}
	return migrate.Create(c.Dir, title, p.options.Now())
}

// Migrator connects to the database of an entry, for the commands that work
// on it outside a plan. The caller closes it.
func (w *Work) Migrator(ctx context.Context, name string, readOnly bool, progress func(migrate.Event)) (*migrate.Migrator, error) {
	d, err := w.project.migrationNode(name)
	if err != nil {
		return nil, err
	}
	c, err := w.project.migrationDir(d)
	if err != nil {
		return nil, err
	}
	source, err := migrate.LoadDir(c.Dir)
	if err != nil {
		return nil, err
	}
	url, err := w.databaseURL(ctx, d)
	if err != nil {
		return nil, err
	}
	return migrate.Open(ctx, migrate.Options{URL: url, Source: source, ReadOnly: readOnly, Table: c.Table, Holder: w.project.Run, Progress: progress, Now: w.project.options.Now})
}

// databaseURL reads the connection URL that the entry refers to.
func (w *Work) databaseURL(ctx context.Context, d resource.Desired) (string, error) {
	resolved, err := d.Config().Resolve(&freshScope{ctx: ctx, work: w, read: map[resource.Address]sdk.Outputs{}})
	if err != nil {
		return "", err
	}
	var c struct {
		URL string `json:"database_url"`
	}
	if err := json.Unmarshal(resolved.Config.Bytes(), &c); err != nil || c.URL == "" {
		return "", fault.New(fault.NotFound, "the database of %q is not there yet", d.Address()).At(d.Pos()).
			WithHint("make it with `wfctl up --env %s`", w.project.Environment().Name())
	}
	return c.URL, nil
}

// freshScope answers with real values, asking the provider for what state
// does not keep.
type freshScope struct {
	ctx  context.Context
	work *Work
	read map[resource.Address]sdk.Outputs
}

// Fingerprint implements resource.Scope.
func (s *freshScope) Fingerprint(value []byte) string { return s.work.log.Fingerprint(value) }

// Output implements resource.Scope.
func (s *freshScope) Output(ref resource.Ref) (resource.Known, error) {
	rec, ok := s.work.log.View().Record(resource.Key{Address: ref.Address})
	if !ok {
		return resource.Known{Unknown: true}, nil
	}
	if out := rec.Outputs[ref.Output]; out.Value != nil {
		v := sdk.RawOutput(out.Value, out.Sensitive)
		return resource.Known{Value: &v}, nil
	}
	if s.read[ref.Address] == nil {
		outputs, err := s.work.readOutputs(s.ctx, rec)
		if err != nil {
			return resource.Known{}, err
		}
		s.read[ref.Address] = outputs
	}
	out, ok := s.read[ref.Address][ref.Output]
	if !ok {
		return resource.Known{Unknown: true}, nil
	}
	return resource.Known{Value: &out}, nil
}
