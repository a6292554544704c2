package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/sdk"
)

// schemaIsSound: the schema is complete, says the same each time, and its
// parts can be read.
func (t *trial) schemaIsSound(ctx context.Context) error {
	s, err := t.provider.Schema(ctx)
	if err := answered(s, err); err != nil {
		return err
	}
	again, err := t.provider.Schema(ctx)
	if err != nil {
		return err
	}
	first, _ := json.Marshal(s)
	second, _ := json.Marshal(again)
	var errs []error
	if string(first) != string(second) {
		errs = append(errs, errors.New("a second call gives another schema"))
	}
	if s.Name == "" {
		errs = append(errs, errors.New("the provider has no name"))
	}
	errs = append(errs, object("the provider", s.Config))
	names := make([]string, len(s.Types))
	for i := range s.Types {
		names[i] = s.Types[i].Name
		errs = append(errs, typeIsSound(&s.Types[i]))
	}
	if !slices.IsSorted(names) {
		errs = append(errs, fmt.Errorf("the types are not sorted: %s", strings.Join(names, ", ")))
	}
	if len(slices.Compact(names)) != len(s.Types) {
		errs = append(errs, errors.New("two types have one name"))
	}
	return errors.Join(errs...)
}

func typeIsSound(t *sdk.ResourceSchema) error {
	errs := []error{object(t.Name, t.Config)}
	for _, expr := range []string{t.IDFormat, t.NameFormat} {
		if _, err := regexp.Compile(expr); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.Name, err))
		}
	}
	seen := map[string]bool{}
	for _, o := range t.Outputs {
		if o.Name == "" || seen[o.Name] {
			errs = append(errs, fmt.Errorf("%s: the output %q is there twice or has no name", t.Name, o.Name))
		}
		if !slices.Contains([]string{"string", "number", "integer", "boolean", "array", "object"}, o.Type) {
			errs = append(errs, fmt.Errorf("%s: the output %q has the type %q, which is none of JSON's", t.Name, o.Name, o.Type))
		}
		seen[o.Name] = true
	}
	return errors.Join(errs...)
}

// object: a configuration is a JSON object, and its schema says so.
func object(name string, schema json.RawMessage) error {
	n, err := parse(schema)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case len(schema) == 0:
		return fmt.Errorf("%s: there is no JSON Schema of the configuration", name)
	case n.kind() != "object":
		return fmt.Errorf("%s: the configuration is of the type %q, not an object", name, n.kind())
	}
	return nil
}

// validatesUnconfigured: validate needs no account.
func (t *trial) validatesUnconfigured(ctx context.Context) error {
	fixtures, err := t.suite.fixtures(t.schema)
	if err != nil {
		return err
	}
	for _, f := range fixtures {
		walker, err := sdk.SchemaWalker(t.schema.Type(f.Type).Config)
		if err != nil {
			return err
		}
		config := sdk.Config{JSON: f.Config, Sensitive: walker.SensitivePaths(f.Config)}
		res, err := t.provider.Validate(ctx, &sdk.ValidateRequest{Type: f.Type, Name: "conformance", Config: config})
		if err := answered(res, err); err != nil {
			return fmt.Errorf("%s: %w", f.Type, err)
		}
	}
	return nil
}

// configures: the configuration of the suite is taken.
func (t *trial) configures(ctx context.Context) error {
	res, err := t.provider.Configure(ctx, &t.suite.Configure)
	return t.populatedOK("Configure", answered(res, err))
}
