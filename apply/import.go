package apply

import (
	"context"

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
		return rec, fault.Wrap(fault.Provider, err, "import %s %q", d.Type(), id).At(d.Pos())
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
