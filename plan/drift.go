package plan

import (
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// DriftField is one place where a platform differs from the record.
type DriftField struct {
	Path     sdk.Path `json:"path"`
	Recorded any      `json:"recorded"`
	Found    any      `json:"found"`
}

// DriftOf compares an observation with a record, at places that the platform
// reports, the configuration sets or the schema has a default for, and it calls neither computed nor
// write-only.
func DriftOf(rec resource.Record, obs Observation, schema *sdk.ResourceSchema) ([]DriftField, error) {
	walker, err := sdk.SchemaWalker(schema.Config)
	if err != nil {
		return nil, err
	}
	var fields []DriftField
	for _, f := range driftFields(rec, obs, walker) {
		fields = append(fields, DriftField{f.Path, f.After, f.Before})
	}
	return fields, nil
}

// driftFields lists the differences; Before is what was found, After what is
// recorded: mending goes from the one to the other.
func driftFields(rec resource.Record, obs Observation, walker *sdk.Walker) []sdk.FieldChange {
	if obs.Read == nil || len(obs.Read.Config.JSON) == 0 {
		return nil
	}
	var drifted []sdk.FieldChange
	recorded := object(normal(rec.Config))
	for key, now := range object(normal(obs.Read.Config.JSON)) {
		before, ok := recorded[key]
		if !ok { // not written: the schema may say what that stands for
			if before = normal(walker.Default(key)); len(before) == 0 {
				continue
			}
		}
		var fields []sdk.FieldChange
		walkDiff(sdk.Path("").Child(key), now, before, &fields)
		for _, f := range fields {
			if !f.Sensitive && !walker.Computed(f.Path) && !walker.WriteOnly(f.Path) {
				f.Reason = "changed outside wfctl"
				drifted = append(drifted, f)
			}
		}
	}
	slices.SortFunc(drifted, func(a, b sdk.FieldChange) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return drifted
}
