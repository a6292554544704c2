package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// prompt is how soon a call ends that is cancelled or out of time.
const prompt = time.Second

// names tells whether an error or diagnostic points at a field.
func points(field string, path sdk.Path, message string) bool {
	return slices.Contains(path.Segments(), field) || strings.Contains(message, field)
}

// judged is what the provider says of a configuration: by Validate, else by
// Create. What Create makes of a wrong configuration is removed.
func (t *trial) judged(ctx context.Context, raw json.RawMessage, field string) error {
	req := t.request(raw)
	res, err := t.provider.Validate(ctx, &sdk.ValidateRequest{Type: req.Type, Name: req.Name, Config: req.Config})
	if err = answered(res, err); err == nil {
		for _, d := range res.Diagnostics {
			if d.Severity == sdk.SeverityError && points(field, d.Path, d.Message) {
				return nil
			}
		}
		var th *thing
		if th, err = t.create(ctx, req, &listener{}); err == nil {
			return errors.Join(fmt.Errorf("the resource was made all the same"), th.remove(ctx))
		}
	}
	var e *sdk.Error
	if !errors.As(err, &e) || e.Code != sdk.CodeInvalid || !points(field, e.Path, err.Error()) {
		return fmt.Errorf("the error must have the code invalid and name %s, it is %s", field, said(err))
	}
	return nil
}

// refusesUnknownField: a misspelt key is found (failure 19).
func (t *trial) refusesUnknownField(ctx context.Context) error {
	n, err := parse(t.typ.Config)
	if err != nil {
		return err
	}
	if !n.closed() {
		return skipped("the schema allows any property")
	}
	return t.judged(ctx, with(t.fixture.Config, "conformance_unknown", json.RawMessage(`"x"`)), "conformance_unknown")
}

// refusesMissingField: what is required and missing is named.
func (t *trial) refusesMissingField(ctx context.Context) error {
	n, err := parse(t.typ.Config)
	if err != nil {
		return err
	}
	if len(n.Required) == 0 {
		return skipped("no property is required")
	}
	var errs []error
	for _, field := range n.Required {
		if err := t.judged(ctx, with(t.fixture.Config, field, nil), field); err != nil {
			errs = append(errs, fmt.Errorf("without %s: %w", field, err))
		}
	}
	return errors.Join(errs...)
}

// bearsUnknownValues: at plan time some values are not there yet, and that is
// nobody's mistake.
func (t *trial) bearsUnknownValues(ctx context.Context) error {
	fields := members(t.fixture.Config)
	if len(fields) == 0 {
		return skipped("the fixture has no field")
	}
	var errs []error
	for name := range fields {
		config := t.config(with(t.fixture.Config, name, json.RawMessage("null")))
		config.Unknown = []sdk.Path{sdk.Path("").Child(name)}
		if err := t.validate(ctx, "conformance", config); err != nil {
			errs = append(errs, fmt.Errorf("Validate, %s unknown: %w", name, err))
		}
		diff, err := t.provider.Diff(ctx, &sdk.DiffRequest{Type: t.fixture.Type, Name: "conformance", Ownership: t.owner(), Config: config})
		if err := answered(diff, err); err != nil {
			errs = append(errs, fmt.Errorf("Diff, %s unknown: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// secrets are the texts of a configuration's sensitive values, long enough not
// to occur by chance.
func (t *trial) secrets(c sdk.Config) []string {
	var found []string
	for _, p := range c.Sensitive {
		raw := lookup(c.JSON, p.Segments())
		var s string
		if json.Unmarshal(raw, &s) == nil && len(s) >= 6 {
			found = append(found, s)
		}
	}
	return found
}

func lookup(raw json.RawMessage, at []string) json.RawMessage {
	for _, seg := range at {
		var list []json.RawMessage
		var i int
		if json.Unmarshal(raw, &list) == nil && json.Unmarshal([]byte(seg), &i) == nil && i >= 0 && i < len(list) {
			raw = list[i]
			continue
		}
		raw = members(raw)[seg]
	}
	return raw
}

// keepsSecrets: no sensitive value is in what people read.
func (t *trial) keepsSecrets(ctx context.Context) error {
	config := t.config(t.fixture.Config)
	secrets := t.secrets(config)
	heard := &listener{}
	th, err := t.make(ctx, heard)
	if err != nil {
		return err
	}
	defer func() { _ = th.remove(ctx) }()
	for _, o := range th.outputs {
		var s string
		if o.Sensitive() && json.Unmarshal(o.Reveal(), &s) == nil && len(s) >= 6 {
			secrets = append(secrets, s)
		}
	}
	if len(secrets) == 0 {
		return skipped("the fixture has no secret of six letters or more")
	}
	diff, err := t.provider.Diff(ctx, &sdk.DiffRequest{Type: th.req.Type, Name: th.req.Name, Ownership: th.req.Ownership, Config: config})
	if err := answered(diff, err); err != nil {
		return err
	}
	shown := heard.text() + "\n" + th.id
	for _, c := range diff.Changes {
		shown += "\n" + string(c.Before) + string(c.After) + c.Reason
	}
	for _, d := range diff.Notes {
		shown += "\n" + d.Message + d.Hint
	}
	for name, o := range th.outputs {
		if !o.Sensitive() {
			shown += "\n" + name + string(o.Reveal())
		}
	}
	for _, s := range secrets {
		if strings.Contains(shown, s) {
			return errors.New("a sensitive value is in an event, an identifier, a note, a field of a plan or an output that is not sensitive")
		}
	}
	return nil
}

// stopsWhenCancelled: a cancelled call ends soon, and what it left behind can
// be found and removed.
func (t *trial) stopsWhenCancelled(ctx context.Context) error {
	before, cancel := context.WithCancel(ctx)
	cancel()
	err := t.interrupted(before, ctx, &listener{})
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(20*time.Millisecond, cancel)
	defer timer.Stop()
	return errors.Join(err, t.interrupted(during, ctx, &listener{on: cancel}))
}

// keepsDeadlines: a call that is out of time ends soon.
func (t *trial) keepsDeadlines(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	return t.interrupted(short, ctx, &listener{})
}

// interrupted makes a resource under a context that ends, and removes it under
// another.
func (t *trial) interrupted(ending, ctx context.Context, report *listener) error {
	req := t.request(t.fixture.Config)
	if d, ok := ending.Deadline(); ok {
		req.Deadline = d
	}
	ended := make(chan time.Time, 1)
	stop := context.AfterFunc(ending, func() { ended <- time.Now() })
	defer stop()
	res, err := t.provider.Create(ending, req, report)
	err = answered(res, err)
	if ending.Err() != nil {
		if late := time.Since(<-ended); late > prompt {
			return fmt.Errorf("it took %s more to end", late.Round(time.Millisecond))
		}
	}
	var wrong error
	if code := sdk.CodeOf(err); err != nil && code != sdk.CodeCancelled && code != sdk.CodeDeadline {
		wrong = fmt.Errorf("the error must have the code cancelled or deadline, it is %s", said(err))
	}
	left := &thing{t: t, req: req}
	if ids := report.ids(); len(ids) > 0 {
		left.id = ids[0]
	}
	if res != nil {
		left.id, left.outputs = res.ID, res.Outputs
	}
	return errors.Join(wrong, t.clear(ctx, left))
}

// clear removes what an interrupted call may have left behind, as the host
// would: by identifier, else by what Read finds.
func (t *trial) clear(ctx context.Context, th *thing) error {
	if th.id == "" {
		res, err := t.provider.Read(ctx, &sdk.ReadRequest{
			Type: th.req.Type, Name: th.req.Name, Ownership: th.req.Ownership, IdempotencyKey: th.req.IdempotencyKey, Config: th.req.Config,
		})
		if err = answered(res, err); sdk.IsNotFound(err) || sdk.CodeOf(err) == sdk.CodeUnsupported {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for what is left: %w", err)
		}
		th.id = res.ID
	}
	return th.remove(ctx)
}

// bearsUnicode: texts are texts.
func (t *trial) bearsUnicode(ctx context.Context) error {
	field := t.anyText()
	if field == "" {
		return skipped("no property takes any text")
	}
	raw, err := json.Marshal("snö ☃ 日本語 \u202e 👩‍🚀")
	if err != nil {
		return err
	}
	return t.bears(ctx, field, raw)
}

// bearsLargeConfigurations: 8 MiB are judged like any other.
func (t *trial) bearsLargeConfigurations(ctx context.Context) error {
	field := t.anyText()
	if field == "" {
		return skipped("no property takes any text")
	}
	return t.bears(ctx, field, json.RawMessage(`"`+strings.Repeat("x", 8<<20)+`"`))
}

// anyText finds a property that takes any text.
func (t *trial) anyText() string {
	n, err := parse(t.typ.Config)
	if err != nil {
		return ""
	}
	var names []string
	for name, p := range n.Properties {
		if p.kind() == "string" && p.Type != nil && len(p.Enum)+len(p.Const)+len(p.Pattern)+len(p.Format) == 0 && p.MaxLength == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// bears: the provider may find a text wrong, but answers.
func (t *trial) bears(ctx context.Context, field string, text json.RawMessage) error {
	config := t.config(with(t.fixture.Config, field, text))
	res, err := t.provider.Validate(ctx, &sdk.ValidateRequest{Type: t.fixture.Type, Name: "conformance", Config: config})
	if err := coded(answered(res, err)); err != nil {
		return fmt.Errorf("Validate: %w", err)
	}
	prior := &sdk.Prior{ID: "x", Name: "conformance", Config: recorded(config)}
	diff, err := t.provider.Diff(ctx, &sdk.DiffRequest{Type: t.fixture.Type, Name: "conformance", Ownership: t.owner(), Config: config, Prior: prior})
	if err := coded(answered(diff, err)); err != nil {
		return fmt.Errorf("Diff: %w", err)
	}
	return nil
}
