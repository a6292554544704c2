package apply

import (
	"context"
	"errors"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// Import reads an existing resource as a record of the node d. The record
// holds the configuration that the platform reports, so that a plan shows
// where it differs from what is desired.
func Import(ctx context.Context, provider sdk.Provider, d resource.Desired, id string, keep Keeping) (resource.Record, error) {
	rec := resource.Record{Address: d.Address(), Name: d.Name(), Type: d.Type(), Provider: d.Provider(), ID: id, DependsOn: d.DependsOn(), Lifecycle: d.Lifecycle()}
	importer, ok := sdk.As[sdk.Importer](provider)
	if !ok {
		return rec, fault.New(fault.Provider, "provider %q cannot import", d.Provider().Kind).At(d.Pos())
	}
	res, err := importer.Import(ctx, &sdk.ImportRequest{Type: d.Type(), ID: id, Ownership: d.Ownership()})
	if err != nil {
		return rec, notImported(err, d, id)
	}
	rec.ID = res.ID
	if res.Name != "" {
		rec.Name = res.Name
	}
	if rec.Config, err = resource.WithFingerprints(res.Config, keep.Fingerprint); err != nil {
		return rec, fault.Wrap(fault.Provider, err, "import %s %q: its configuration cannot be read", d.Type(), id).At(d.Pos())
	}
	rec.Digest = resource.Digest(rec.Config)
	rec.Outputs = map[string]resource.RecordedOutput{}
	for name, out := range res.Outputs {
		if rec.Outputs[name], err = keep.output(out, out.Sensitive()); err != nil {
			return rec, fault.Wrap(fault.State, err, "seal output %q of %q", name, d.Address())
		}
	}
	return rec, nil
}

// notImported makes the error of an import.
func notImported(cause error, d resource.Desired, id string) error {
	f := fault.Wrap(fault.Provider, cause, "import %s %q", d.Type(), id).At(positionOf(d, cause))
	var e *sdk.Error
	switch {
	case errors.As(cause, &e) && e.Hint != "":
		return f.WithHint("%s", e.Hint)
	case sdk.IsNotFound(cause):
		return f.WithHint("nothing was changed; take the identifier from the platform itself, and see that provider %q leads to the account that it is in", d.Provider().Address)
	case sdk.CodeOf(cause) == sdk.CodeUnauthorised:
		return f.WithHint("nothing was changed; see that the credentials of provider %q may read and tag it", d.Provider().Address)
	}
	return f
}
