package sdktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// trier tries methods with requests that are not whole.
type trier struct {
	t    *trial
	ctx  context.Context //nolint:containedctx // of the one group of calls that it stands for
	errs []error
}

// try makes a call and judges how it ended.
func (r *trier) try(method, request string, judge func(error) error, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.t.suite.Timeout)
	defer cancel()
	err := caught(func() error { return call(ctx) })
	wrong := judge(err)
	outcome := "ok"
	if err != nil {
		outcome = string(sdk.CodeOf(err))
	}
	r.t.report.Matrix.note(method, request, wrong, outcome)
	if wrong != nil {
		r.errs = append(r.errs, fmt.Errorf("%s with a request that is %s: %w", method, request, wrong))
	}
}

// invalid: a request that is nil is refused as that.
func invalid(err error) error {
	if sdk.CodeOf(err) == sdk.CodeInvalid {
		return nil
	}
	return fmt.Errorf("the error must have the code invalid, it is %s", said(err))
}

// refused: a request that names nothing is refused.
func refused(err error) error {
	switch sdk.CodeOf(err) {
	case sdk.CodeInvalid, sdk.CodeNotFound, sdk.CodeUnsupported:
		return nil
	}
	return fmt.Errorf("it must be refused as invalid, it is %s", said(err))
}

// coded: a request that lacks something may be refused or not; the provider
// says why with a code of its own.
func coded(err error) error {
	if err == nil || sdk.CodeOf(err) != sdk.CodeInternal {
		return nil
	}
	return fmt.Errorf("the error must have a code, it is %s", said(err))
}

func said(err error) string {
	if err == nil {
		return "none"
	}
	return fmt.Sprintf("%s: %v", sdk.CodeOf(err), err)
}

// answered is an error where a method gave neither an answer nor an error.
func answered[R any](res *R, err error) error {
	if res == nil && err == nil {
		return errors.New("neither an answer nor an error")
	}
	return err
}

// matrixOfProvider tries the methods that are about no resource, and the
// optional ones, with nil and with nothing.
func (t *trial) matrixOfProvider(ctx context.Context) {
	t.group(ctx, func(r *trier) {
		r.try("Configure", nilRequest, invalid, func(ctx context.Context) error { return answered(t.provider.Configure(ctx, nil)) })
		r.try("Configure", empty, coded, func(ctx context.Context) error {
			return answered(t.provider.Configure(ctx, &sdk.ConfigureRequest{}))
		})
		t.triesOptional(r)
		t.triesStores(r)
	})
}

func (t *trial) triesOptional(r *trier) {
	if p, ok := sdk.As[sdk.Lister](t.provider); ok {
		both(r, "List", p.List, &sdk.ListRequest{})
	}
	if p, ok := sdk.As[sdk.Importer](t.provider); ok {
		both(r, "Import", p.Import, &sdk.ImportRequest{})
	}
	if p, ok := sdk.As[sdk.HealthChecker](t.provider); ok {
		both(r, "Health", p.Health, &sdk.HealthRequest{})
	}
	if p, ok := sdk.As[sdk.Sizer](t.provider); ok {
		both(r, "Sizes", p.Sizes, &sdk.SizesRequest{})
	}
	if p, ok := sdk.As[sdk.Diagnoser](t.provider); ok {
		both(r, "Diagnose", p.Diagnose, &sdk.DiagnoseRequest{})
	}
	if p, ok := sdk.As[sdk.LogReader](t.provider); ok {
		line := func(sdk.LogLine) error { return nil }
		r.try("Logs", nilRequest, invalid, func(ctx context.Context) error { return p.Logs(ctx, nil, line) })
		r.try("Logs", empty, refused, func(ctx context.Context) error { return p.Logs(ctx, &sdk.LogsRequest{}, line) })
	}
}

func (t *trial) triesStores(r *trier) {
	if p, ok := sdk.As[sdk.RegistryProvider](t.provider); ok {
		both(r, "EnsureRegistry", reported(p.EnsureRegistry), &sdk.EnsureRegistryRequest{})
		both(r, "RegistryCredential", p.RegistryCredential, &sdk.RegistryCredentialRequest{})
	}
	if p, ok := sdk.As[sdk.SecretWriter](t.provider); ok {
		both(r, "WriteSecret", p.WriteSecret, &sdk.WriteSecretRequest{})
	}
	if p, ok := sdk.As[sdk.StateBootstrapper](t.provider); ok {
		both(r, "BootstrapState", reported(p.BootstrapState), &sdk.BootstrapStateRequest{})
	}
}

// reported gives a method a Reporter.
func reported[Q, R any](method func(context.Context, *Q, sdk.Reporter) (*R, error)) func(context.Context, *Q) (*R, error) {
	return func(ctx context.Context, q *Q) (*R, error) { return method(ctx, q, &listener{}) }
}

// both tries a method with nil and with an empty request.
func both[Q, R any](r *trier, name string, method func(context.Context, *Q) (*R, error), nothing *Q) {
	r.try(name, nilRequest, invalid, func(ctx context.Context) error { return answered(method(ctx, nil)) })
	r.try(name, empty, refused, func(ctx context.Context) error { return answered(method(ctx, nothing)) })
}

// matrixOfType tries the methods of a resource with nil, with nothing, and
// with a type and a name alone.
func (t *trial) matrixOfType(ctx context.Context) {
	p, typ := t.provider, t.fixture.Type
	t.group(ctx, func(r *trier) {
		name := t.name()
		both(r, "Validate", p.Validate, &sdk.ValidateRequest{})
		both(r, "Diff", p.Diff, &sdk.DiffRequest{})
		both(r, "Create", reported(p.Create), &sdk.CreateRequest{})
		both(r, "Read", p.Read, &sdk.ReadRequest{})
		both(r, "Update", reported(p.Update), &sdk.UpdateRequest{})
		both(r, "Delete", reported(p.Delete), &sdk.DeleteRequest{})
		part(r, "Validate", p.Validate, &sdk.ValidateRequest{Type: typ, Name: name})
		part(r, "Diff", p.Diff, &sdk.DiffRequest{Type: typ, Name: name})
		part(r, "Read", p.Read, &sdk.ReadRequest{Type: typ, Name: name})
		part(r, "Update", reported(p.Update), &sdk.UpdateRequest{Type: typ, Name: name})
		part(r, "Delete", reported(p.Delete), &sdk.DeleteRequest{Type: typ, Name: name})
		r.try("Create", partial, coded, func(ctx context.Context) error { return t.createsFromLittle(ctx, name) })
	})
}

func part[Q, R any](r *trier, name string, method func(context.Context, *Q) (*R, error), q *Q) {
	r.try(name, partial, coded, func(ctx context.Context) error { return answered(method(ctx, q)) })
}

// createsFromLittle removes what it makes, if the provider makes it.
func (t *trial) createsFromLittle(ctx context.Context, name string) error {
	th, err := t.create(ctx, &sdk.CreateRequest{Type: t.fixture.Type, Name: name, Ownership: t.owner(), IdempotencyKey: "conformance-" + name, Deadline: time.Now().Add(t.suite.Timeout)}, &listener{})
	if err != nil {
		return err
	}
	return th.remove(ctx)
}

// group is one check of several calls.
func (t *trial) group(ctx context.Context, do func(*trier)) {
	t.check("requests that are not whole", func(context.Context) error {
		r := &trier{t: t, ctx: ctx}
		do(r)
		return errors.Join(r.errs...)
	})
}

// populatedOK notes the outcome of a call with a whole request.
func (t *trial) populatedOK(method string, err error) error {
	outcome := "ok"
	if err != nil {
		outcome = string(sdk.CodeOf(err))
	}
	t.report.Matrix.note(method, populated, err, outcome)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
