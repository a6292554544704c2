package engine

import (
	"context"
	"strings"

	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// A Drift is how one resource differs from its record.
type Drift struct {
	Address string            `json:"address"`
	Type    string            `json:"type"`
	Name    string            `json:"name"`
	Status  string            `json:"status"` // gone, changed, unhealthy, unreadable
	Reason  string            `json:"reason,omitempty"`
	Fields  []plan.DriftField `json:"fields,omitempty"`
}

// Drift reads every resource from its platform and compares with the record.
func (w *Work) Drift(ctx context.Context) ([]Drift, error) {
	drifts := []Drift{}
	records := w.moduleRecords()
	seen, failed := w.project.survey(ctx, records, true)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, rec := range records {
		d := Drift{Address: addressOf(rec), Type: rec.Type, Name: rec.Name}
		obs, ok := seen[rec.Key()]
		switch err := failed[rec.Key()]; {
		case err != nil:
			d.Status, d.Reason = Unreadable, err.Error()
		case !ok:
			continue
		default:
			if err := w.driftOf(&d, rec, obs); err != nil {
				return nil, err
			}
		}
		if d.Status != "" {
			drifts = append(drifts, d)
		}
	}
	return drifts, nil
}

// moduleRecords are the records of modules.
func (w *Work) moduleRecords() (records []resource.Record) {
	for _, rec := range w.Records() {
		if nodeKind(rec.Address) == "" {
			records = append(records, rec)
		}
	}
	return records
}

// Unreadable is the status of what could not be asked for.
const Unreadable = "unreadable"

// driftOf fills in how a resource that was asked for differs from its record;
// its status stays "" where it does not.
func (w *Work) driftOf(d *Drift, rec resource.Record, obs plan.Observation) error {
	if obs.Gone {
		d.Status, d.Reason = "gone", "not on the platform"
		return nil
	}
	schema, err := w.project.pool.Schema(rec.Provider, rec.Type)
	if err != nil {
		return err
	}
	if d.Fields, err = plan.DriftOf(rec, obs, schema); err != nil {
		return err
	}
	switch {
	case len(d.Fields) > 0:
		d.Status = "changed"
	case !obs.Read.Healthy:
		d.Status, d.Reason = "unhealthy", obs.Read.Reason
	}
	return nil
}

// Images are the outputs of the images of the configuration that were built,
// and of their pushes: what an earlier image is called in a registry is not
// said beside the digest of a newer one.
func (w *Work) Images(ctx context.Context, pushes bool) ([]Output, error) {
	var all []Output
	digests := map[string]string{}
	for _, prefix := range []string{resource.ImagePrefix, resource.PushPrefix} {
		for _, rec := range w.Records() {
			name, ok := strings.CutPrefix(string(rec.Address), prefix)
			if _, declared := w.project.Set.Node(rec.Address); !ok || !declared || rec.Deposed != "" || prefix == resource.PushPrefix && !pushes {
				continue
			}
			outs, err := w.recordOutputs(ctx, rec, nil, OutputOptions{})
			if err != nil {
				return nil, err
			}
			if prefix == resource.ImagePrefix {
				digests[name] = valueOf(outs, "digest")
			} else if valueOf(outs, "digest") != digests[name] {
				continue
			}
			for _, out := range outs {
				if prefix == resource.PushPrefix && out.Field == "digest" {
					continue // it is the image's
				}
				out.Module = resource.ImagePrefix + name
				all = append(all, out)
			}
		}
	}
	return all, nil
}

func valueOf(outs []Output, field string) string {
	for _, o := range outs {
		if o.Field == field {
			return string(o.Value)
		}
	}
	return ""
}

// configOf resolves what is desired of an address now, for kinds that are
// read by running a command.
func (w *Work) configOf(addr resource.Address) sdk.Config {
	d, ok := w.project.Set.Node(addr)
	if !ok {
		return sdk.Config{}
	}
	resolved, err := d.Config().Resolve(w.project.pool.scope())
	if err != nil {
		return sdk.Config{}
	}
	if schema, err := w.project.pool.Schema(d.Provider(), d.Type()); err == nil {
		return markConfig(schema.Config, resolved.Config)
	}
	return resolved.Config
}
