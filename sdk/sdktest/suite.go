package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// Suite says what to try, and on what.
type Suite struct {
	// Name is the provider's name in reports; Way says how it is reached.
	Name, Way string
	// New makes a provider that is not configured yet. It is called for each
	// group of checks; the suite closes what it makes.
	New func(ctx context.Context) (sdk.Provider, error)
	// Configure is the provider's own configuration. The suite fills in a
	// project and an environment where they are empty.
	Configure sdk.ConfigureRequest
	// Resources are tried one after another. Types that the schema has and
	// that are not here get a configuration made from their JSON Schema, of
	// its examples, defaults and enumerations, unless Only is set.
	Resources []Resource
	Only      bool
	// Timeout bounds each operation; the default is a minute.
	Timeout time.Duration
}

// Resource is a fixture: one resource to make, change and remove.
type Resource struct {
	Type string `json:"type"`
	// Name is the name of the first resource; others get a number. The default
	// is made of the type.
	Name string `json:"name,omitempty"`
	// Config is the full configuration, Update another that the provider
	// reaches without a replacement, if there is one.
	Config json.RawMessage `json:"config"`
	Update json.RawMessage `json:"update,omitempty"`
	// Skip names checks that do not apply, with the reason.
	Skip map[string]string `json:"skip,omitempty"`
}

// Over returns the suite with its provider at the far end of something.
func (s Suite) Over(way string, carry func(context.Context, sdk.Provider) (sdk.Provider, error)) Suite {
	near := s.New
	s.Way = way
	s.New = func(ctx context.Context) (sdk.Provider, error) {
		p, err := near(ctx)
		if err != nil {
			return nil, err
		}
		return carry(ctx, p)
	}
	return s
}

// Outcome is how a check ended.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "ok"
	Fail Outcome = "FAIL"
	Skip Outcome = "skip"
)

// Result is the outcome of one check on one type; Type is empty for checks of
// the provider as a whole.
type Result struct {
	Check   string  `json:"check"`
	Type    string  `json:"type,omitempty"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
}

// Check runs the suite. The error is for a provider that cannot be tried at
// all; what it does wrong is in the report.
func Check(ctx context.Context, s Suite) (*Report, error) {
	if s.Way == "" {
		s.Way = "in process"
	}
	if s.Timeout == 0 {
		s.Timeout = time.Minute
	}
	if s.Configure.Project == "" {
		s.Configure.Project = "conformance"
	}
	if s.Configure.Environment == "" {
		s.Configure.Environment = "test"
	}
	report := &Report{Suite: s.Name, Way: s.Way, Matrix: Matrix{}}
	schema, err := report.provider(ctx, s)
	if err != nil {
		return nil, err
	}
	resources, err := s.fixtures(schema)
	if err != nil {
		return nil, err
	}
	for _, r := range resources {
		if err := report.resource(ctx, s, schema, r); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// provider tries what needs no resource.
func (r *Report) provider(ctx context.Context, s Suite) (*sdk.Schema, error) {
	p, err := s.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the provider: %w", err)
	}
	t := &trial{suite: s, provider: p, report: r}
	t.check("schema", t.schemaIsSound)
	schema, err := p.Schema(ctx)
	if err != nil || schema == nil {
		return nil, errors.Join(fmt.Errorf("ask for the schema: %w", err), t.close(ctx))
	}
	t.schema = schema
	r.Matrix.note("Schema", populated, nil, "ok")
	t.check("validate before configure", t.validatesUnconfigured)
	t.matrixOfProvider(ctx)
	t.check("configure", t.configures)
	return schema, t.close(ctx)
}

// resource tries one fixture on a provider of its own.
func (r *Report) resource(ctx context.Context, s Suite, schema *sdk.Schema, f Resource) error {
	p, err := s.New(ctx)
	if err != nil {
		return fmt.Errorf("make the provider: %w", err)
	}
	t := &trial{suite: s, provider: p, report: r, schema: schema, fixture: f, typ: schema.Type(f.Type)}
	if t.walker, err = sdk.SchemaWalker(t.typ.Config); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f.Type, err), t.close(ctx))
	}
	if _, err := p.Schema(ctx); err != nil {
		return errors.Join(err, t.close(ctx))
	}
	if _, err := p.Configure(ctx, &s.Configure); err != nil {
		return errors.Join(fmt.Errorf("configure the provider: %w", err), t.close(ctx))
	}
	t.matrixOfType(ctx)
	for _, c := range checks() {
		t.check(c.name, func(ctx context.Context) error { return c.run(t, ctx) })
	}
	return t.close(ctx)
}

// named is a check of a type.
type named struct {
	name string
	run  func(*trial, context.Context) error
}

func checks() []named {
	return []named{
		{"lifecycle", (*trial).lifecycle},
		{"outputs fit the schema", (*trial).outputsFit},
		{"no change, no difference", (*trial).quietWhenNothingChanged},
		{"same key, same resource", (*trial).idempotent},
		{"the old one is not the new", (*trial).tellsOthersApart},
		{"gone after delete", (*trial).goneAfterDelete},
		{"found by name", (*trial).foundByName},
		{"not found", (*trial).notFound},
		{"unknown field", (*trial).refusesUnknownField},
		{"missing field", (*trial).refusesMissingField},
		{"value not known yet", (*trial).bearsUnknownValues},
		{"secrets stay secret", (*trial).keepsSecrets},
		{"cancellation within 1 s", (*trial).stopsWhenCancelled},
		{"deadline", (*trial).keepsDeadlines},
		{"unicode", (*trial).bearsUnicode},
		{"configuration of 8 MiB", (*trial).bearsLargeConfigurations},
		{"at the same time", (*trial).worksInParallel},
	}
}

// skipped is why a check does not apply.
type skipped string

// Error implements error.
func (s skipped) Error() string { return string(s) }
