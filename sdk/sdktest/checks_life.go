package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// lifecycle: validate, judge, make, read, change, remove, and it is gone.
func (t *trial) lifecycle(ctx context.Context) error {
	req := t.request(t.fixture.Config)
	if err := t.populatedOK("Validate", t.validate(ctx, req.Name, req.Config)); err != nil {
		return err
	}
	diff, err := t.provider.Diff(ctx, &sdk.DiffRequest{Type: req.Type, Name: req.Name, Ownership: req.Ownership, Config: req.Config})
	if err := t.populatedOK("Diff", answered(diff, err)); err != nil {
		return err
	}
	heard := &listener{}
	th, err := t.create(ctx, req, heard)
	if err := t.populatedOK("Create", err); err != nil {
		return err
	}
	err = errors.Join(t.identifierFits(th.id, heard.ids()), t.isThere(ctx, th), t.changes(ctx, th), t.optionalOf(ctx, th))
	if err := t.populatedOK("Delete", th.remove(ctx)); err != nil {
		return err
	}
	if again := th.remove(ctx); again != nil {
		err = errors.Join(err, fmt.Errorf("what is gone already: %w", again))
	}
	return err
}

// goneAfterDelete: what was removed is not there, by identifier or by name.
func (t *trial) goneAfterDelete(ctx context.Context) error {
	th, err := t.make(ctx, &listener{})
	if err != nil {
		return err
	}
	if err := th.remove(ctx); err != nil {
		return err
	}
	for _, id := range []string{th.id, ""} {
		res, err := t.provider.Read(ctx, &sdk.ReadRequest{
			Type: th.req.Type, ID: id, Name: th.req.Name, Ownership: th.req.Ownership, IdempotencyKey: th.req.IdempotencyKey, Config: th.req.Config,
		})
		switch err := answered(res, err); {
		case sdk.CodeOf(err) == sdk.CodeUnsupported:
			return skipped("the type cannot be found: " + err.Error())
		case !sdk.IsNotFound(err):
			return fmt.Errorf("Read must have the code not_found, it is %s", said(err))
		}
	}
	return nil
}

func (t *trial) validate(ctx context.Context, name string, config sdk.Config) error {
	res, err := t.provider.Validate(ctx, &sdk.ValidateRequest{Type: t.fixture.Type, Name: name, Config: config})
	if err := answered(res, err); err != nil {
		return err
	}
	for _, d := range res.Diagnostics {
		if d.Severity == sdk.SeverityError {
			return fmt.Errorf("%s: %s", d.Path.Dotted(), d.Message)
		}
	}
	return nil
}

// identifierFits: an identifier has the declared format (failure 5), and what
// was assigned is what was made.
func (t *trial) identifierFits(id string, assigned []string) error {
	for _, got := range assigned {
		if got != id {
			return fmt.Errorf("%q was assigned and %q was made", got, id)
		}
	}
	if ok, err := regexp.MatchString(t.typ.IDFormat, id); err != nil || !ok {
		return fmt.Errorf("the identifier %q does not fit the declared format %s", id, t.typ.IDFormat)
	}
	return nil
}

func (t *trial) isThere(ctx context.Context, th *thing) error {
	res, err := th.read(ctx)
	if err := t.populatedOK("Read", err); err != nil {
		return err
	}
	if res.ID != th.id {
		return fmt.Errorf("Read gives the identifier %q, Create gave %q", res.ID, th.id)
	}
	return drift(res.Config, th.req.Config)
}

// drift: what is read back right after it was made is what was asked for, or
// every plan would show a difference.
func drift(have, want sdk.Config) error {
	asked := members(want.JSON)
	for name, value := range members(have.JSON) {
		path := sdk.Path("").Child(name)
		if w, ok := asked[name]; ok && !want.IsSensitive(path) && !sdk.RawOutput(value, false).Equal(sdk.RawOutput(w, false)) && !sameJSON(value, w) {
			return fmt.Errorf("%s was set and is read back as something else", name)
		}
	}
	return nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}

// changes: the fixture's other configuration is reached in place.
func (t *trial) changes(ctx context.Context, th *thing) error {
	if len(t.fixture.Update) == 0 {
		return nil
	}
	next, prior := t.config(t.fixture.Update), th.prior()
	changed := differences(th.req.Config.JSON, next.JSON)
	diff, err := t.provider.Diff(ctx, &sdk.DiffRequest{
		Type: th.req.Type, Name: th.req.Name, Ownership: th.req.Ownership, Prior: prior, Config: next, Changed: changed,
	})
	if err := answered(diff, err); err != nil {
		return fmt.Errorf("Diff of a change: %w", err)
	}
	for _, c := range diff.Changes {
		if c.Action == sdk.ActionReplace {
			return fmt.Errorf("the fixture's update is a replacement, for %s: %s", c.Path.Dotted(), c.Reason)
		}
	}
	res, err := t.provider.Update(ctx, &sdk.UpdateRequest{
		Type: th.req.Type, ID: th.id, Name: th.req.Name, Ownership: th.req.Ownership, Prior: prior, Config: next, Changes: diff.Changes,
		IdempotencyKey: "update-" + th.req.IdempotencyKey, Deadline: time.Now().Add(t.suite.Timeout),
	}, &listener{})
	if err := t.populatedOK("Update", answered(res, err)); err != nil {
		return err
	}
	if res.ID != th.id {
		return fmt.Errorf("Update gives the identifier %q, it was %q", res.ID, th.id)
	}
	th.req.Config, th.outputs = next, res.Outputs
	return nil
}

// differences are the top-level members that two objects do not share.
func differences(a, b json.RawMessage) []sdk.Path {
	before, after := members(a), members(b)
	var paths []sdk.Path
	for name, v := range before {
		if w, ok := after[name]; !ok || !sameJSON(v, w) {
			paths = append(paths, sdk.Path("").Child(name))
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			paths = append(paths, sdk.Path("").Child(name))
		}
	}
	slices.Sort(paths)
	return paths
}

// optionalOf tries the optional methods on what is there.
func (t *trial) optionalOf(ctx context.Context, th *thing) error {
	var errs []error
	if p, ok := sdk.As[sdk.Lister](t.provider); ok {
		res, err := p.List(ctx, &sdk.ListRequest{Type: th.req.Type, Project: th.req.Ownership.Project, Environment: th.req.Ownership.Environment})
		if err = answered(res, err); err == nil && !slices.ContainsFunc(res.Resources, func(l sdk.ListedResource) bool { return l.ID == th.id }) {
			err = fmt.Errorf("%q is not in it", th.id)
		}
		errs = append(errs, t.unless(sdk.CodeUnsupported, "List", err))
	}
	if p, ok := sdk.As[sdk.Importer](t.provider); ok {
		res, err := p.Import(ctx, &sdk.ImportRequest{Type: th.req.Type, ID: th.id, Ownership: th.req.Ownership})
		errs = append(errs, t.unless(sdk.CodeUnsupported, "Import", answered(res, err)))
	}
	if p, ok := sdk.As[sdk.HealthChecker](t.provider); ok {
		res, err := p.Health(ctx, &sdk.HealthRequest{Type: th.req.Type, ID: th.id, Name: th.req.Name})
		errs = append(errs, t.unless(sdk.CodeUnsupported, "Health", answered(res, err)))
	}
	if p, ok := sdk.As[sdk.Sizer](t.provider); ok {
		res, err := p.Sizes(ctx, &sdk.SizesRequest{Type: th.req.Type})
		errs = append(errs, t.unless(sdk.CodeUnsupported, "Sizes", answered(res, err)))
	}
	if p, ok := sdk.As[sdk.LogReader](t.provider); ok {
		err := p.Logs(ctx, &sdk.LogsRequest{Type: th.req.Type, ID: th.id, Name: th.req.Name, Tail: 10}, func(sdk.LogLine) error { return nil })
		errs = append(errs, t.unless(sdk.CodeUnsupported, "Logs", err))
	}
	if p, ok := sdk.As[sdk.Diagnoser](t.provider); ok {
		res, err := p.Diagnose(ctx, &sdk.DiagnoseRequest{Type: th.req.Type, ID: th.id, Name: th.req.Name, Operation: "create"})
		errs = append(errs, t.unless(sdk.CodeUnsupported, "Diagnose", answered(res, err)))
	}
	return errors.Join(errs...)
}

// unless lets a provider have an optional method that one type lacks.
func (t *trial) unless(code sdk.Code, method string, err error) error {
	if sdk.CodeOf(err) == code {
		t.report.Matrix.note(method, populated, nil, string(code))
		return nil
	}
	return t.populatedOK(method, err)
}

// idempotent: the same key again is the same resource, and there is one.
func (t *trial) idempotent(ctx context.Context) error {
	return t.with(ctx, func(th *thing) error {
		again, err := t.create(ctx, th.req, &listener{})
		switch {
		case err != nil:
			return fmt.Errorf("the second time: %w", err)
		case again.id != th.id:
			return errors.Join(fmt.Errorf("the first time %q was made, the second %q", th.id, again.id), again.remove(ctx))
		}
		return t.isThereOnce(ctx, th)
	})
}

func (t *trial) isThereOnce(ctx context.Context, th *thing) error {
	p, ok := sdk.As[sdk.Lister](t.provider)
	if !ok {
		return nil
	}
	res, err := p.List(ctx, &sdk.ListRequest{Type: th.req.Type, Project: th.req.Ownership.Project, Environment: th.req.Ownership.Environment})
	if sdk.CodeOf(err) == sdk.CodeUnsupported {
		return nil
	}
	if err := answered(res, err); err != nil {
		return err
	}
	n := 0
	for _, l := range res.Resources {
		if l.Name == th.req.Name {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%d resources have the name %q", n, th.req.Name)
	}
	return nil
}

// tellsOthersApart: a replacement that is made first has the name and the tags
// of what it replaces, and is not taken for it.
func (t *trial) tellsOthersApart(ctx context.Context) error {
	if t.typ.Pure {
		return skipped("the type has no effect that could be taken for another")
	}
	return t.with(ctx, func(th *thing) error {
		if strings.Contains(th.id, th.req.Name) {
			return nil // names are unique there: no other can have this one
		}
		req := *th.req
		req.IdempotencyKey += "-replacement"
		req.Except = []string{th.id}
		again, err := t.create(ctx, &req, &listener{})
		switch code := sdk.CodeOf(err); {
		case code == sdk.CodeAlreadyExists || code == sdk.CodeConflict:
			return nil // names are unique there
		case err != nil:
			return fmt.Errorf("beside the old one: %w", err)
		case again.id == th.id:
			return fmt.Errorf("%q is excepted, and was given as the new one", th.id)
		}
		return again.remove(ctx)
	})
}

// foundByName: recovery after a crash has no identifier, only what the request
// said; and a replacement is not taken for what it replaces.
func (t *trial) foundByName(ctx context.Context) error {
	if t.typ.Pure {
		return skipped("the type has no effect that a crash could leave behind")
	}
	return t.with(ctx, func(th *thing) error {
		find := &sdk.ReadRequest{
			Type: th.req.Type, Name: th.req.Name, Ownership: th.req.Ownership, IdempotencyKey: th.req.IdempotencyKey, Config: th.req.Config,
		}
		res, err := t.provider.Read(ctx, find)
		switch {
		case sdk.CodeOf(err) == sdk.CodeUnsupported:
			return skipped("the type cannot be found by name: " + err.Error())
		case err != nil:
			return fmt.Errorf("without an identifier: %w", err)
		case res.ID != th.id:
			return fmt.Errorf("%q was made, %q is found", th.id, res.ID)
		}
		if strings.Contains(th.id, th.req.Name) {
			return nil // names are unique there: no other has this one
		}
		find.Except = []string{th.id}
		if _, err := t.provider.Read(ctx, find); !sdk.IsNotFound(err) {
			return fmt.Errorf("with it excepted, the error must have the code not_found, it is %s", said(err))
		}
		return nil
	})
}

// notFound: what is not there is that, in the contract's words (failure 6).
func (t *trial) notFound(ctx context.Context) error {
	req := t.request(t.fixture.Config)
	res, err := t.provider.Read(ctx, &sdk.ReadRequest{Type: req.Type, Name: req.Name, Ownership: req.Ownership, IdempotencyKey: req.IdempotencyKey, Config: req.Config})
	if err := answered(res, err); !sdk.IsNotFound(err) {
		if sdk.CodeOf(err) == sdk.CodeUnsupported {
			return skipped("the type cannot be found by name: " + err.Error())
		}
		return fmt.Errorf("Read of what was never made must have the code not_found, it is %s", said(err))
	}
	th := &thing{t: t, req: req, id: "conformance-none"}
	if t.typ.IDFormat != "" {
		if ok, err := regexp.MatchString(t.typ.IDFormat, th.id); err != nil || !ok {
			return nil // no identifier of nothing can be made up
		}
	}
	if err := th.remove(ctx); err != nil {
		return fmt.Errorf("of what was never made: %w", err)
	}
	return nil
}

// worksInParallel: several resources at once are several resources.
func (t *trial) worksInParallel(ctx context.Context) error {
	const n = 4
	made, errs := make([]*thing, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			errs[i] = caught(func() (err error) { made[i], err = t.make(ctx, &listener{}); return err })
		})
	}
	wg.Wait()
	ids, gone := map[string]bool{}, make([]error, n)
	for i, th := range made {
		if th == nil {
			continue
		}
		if ids[th.id] {
			errs = append(errs, fmt.Errorf("two resources have the identifier %q", th.id))
		}
		ids[th.id] = true
		wg.Go(func() { gone[i] = caught(func() error { return th.remove(ctx) }) })
	}
	wg.Wait()
	return errors.Join(append(errs, gone...)...)
}

// outputsFit: the declared outputs, of the declared types, and no others;
// what is declared sensitive is.
func (t *trial) outputsFit(ctx context.Context) error {
	return t.with(ctx, func(th *thing) error {
		errs := []error{t.fits("Create", th.outputs)}
		res, err := th.read(ctx)
		if err != nil {
			return fmt.Errorf("Read: %w", err)
		}
		return errors.Join(append(errs, t.fits("Read", res.Outputs))...)
	})
}

func (t *trial) fits(method string, outputs sdk.Outputs) error {
	var errs []error
	for _, want := range t.typ.Outputs {
		got, ok := outputs[want.Name]
		switch {
		case !ok && (method == "Create" || !want.Once):
			errs = append(errs, fmt.Errorf("%s: the output %s is missing", method, want.Name))
		case ok && want.Sensitive && !got.Sensitive():
			errs = append(errs, fmt.Errorf("%s: the output %s is declared sensitive and is not (failure 4)", method, want.Name))
		case ok && !isA(got.Reveal(), want.Type):
			errs = append(errs, fmt.Errorf("%s: the output %s is declared as %s and is not", method, want.Name, want.Type))
		}
	}
	for name := range outputs {
		if t.typ.Output(name) == nil && !t.typ.DynamicOutputs {
			errs = append(errs, fmt.Errorf("%s: the output %s is not declared", method, name))
		}
	}
	return errors.Join(errs...)
}

// isA tells whether a value is of a JSON type; null is of each.
func isA(raw json.RawMessage, typ string) bool {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return false
	}
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return typ == "string"
	case bool:
		return typ == "boolean"
	case float64:
		return typ == "number" || typ == "integer" && v == float64(int64(v))
	case []any:
		return typ == "array"
	}
	return typ == "object"
}

// quietWhenNothingChanged: the same configuration asks for nothing.
func (t *trial) quietWhenNothingChanged(ctx context.Context) error {
	return t.with(ctx, func(th *thing) error {
		diff, err := t.provider.Diff(ctx, &sdk.DiffRequest{
			Type: th.req.Type, Name: th.req.Name, Ownership: th.req.Ownership, Prior: th.prior(), Config: th.req.Config,
		})
		if err := answered(diff, err); err != nil {
			return err
		}
		var fields []string
		for _, c := range diff.Changes {
			if c.Action != sdk.ActionIgnore {
				fields = append(fields, c.Path.Dotted())
			}
		}
		if len(fields) > 0 {
			return fmt.Errorf("nothing changed, and the provider would change %s", strings.Join(fields, ", "))
		}
		return nil
	})
}
