package plan

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// diffJSON lists the places where two canonical configurations differ: the
// leaves of objects and of lists of equal length, else the list as a whole.
// Values that are fingerprints are absent and marked sensitive.
func diffJSON(before, after json.RawMessage) []sdk.FieldChange {
	if bytes.Equal(before, after) {
		return nil
	}
	var changes []sdk.FieldChange
	walkDiff("", before, after, &changes)
	return changes
}

func walkDiff(at sdk.Path, before, after json.RawMessage, out *[]sdk.FieldChange) {
	if bytes.Equal(before, after) {
		return
	}
	b, a := mark(before), mark(after)
	if b == "" && a == "" {
		if bo, ao := object(before), object(after); (bo != nil || before == nil) && (ao != nil || after == nil) && len(bo)+len(ao) > 0 {
			walkObjects(at, bo, ao, out)
			return
		}
		if bl, al := list(before), list(after); bl != nil && al != nil && len(bl) == len(al) {
			for i := range bl {
				walkDiff(at.Index(i), bl[i], al[i], out)
			}
			return
		}
	}
	change := sdk.FieldChange{Path: at, Action: sdk.ActionUpdate, Before: before, After: after}
	if b == resource.FingerprintMark || a == resource.FingerprintMark || holdsFingerprint(before) || holdsFingerprint(after) {
		change.Sensitive, change.Before, change.After = true, nil, nil
	}
	if a == resource.UnknownMark {
		change.Unknown, change.After = true, nil
	}
	*out = append(*out, change)
}

func walkObjects(at sdk.Path, before, after map[string]json.RawMessage, out *[]sdk.FieldChange) {
	keys := slices.Collect(maps.Keys(before))
	for k := range after {
		if _, ok := before[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		walkDiff(at.Child(k), before[k], after[k], out)
	}
}

// normal is recorded JSON as it is written when it is resolved: storage may
// have written the same text otherwise (escapes, white space).
func normal(raw json.RawMessage) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return raw
	}
	canonical, err := resource.Canonical(v)
	if err != nil {
		return raw
	}
	return canonical
}

// object decodes a JSON object; nil where it is none, or a mark.
func object(raw json.RawMessage) map[string]json.RawMessage {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	m := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

func list(raw json.RawMessage) []json.RawMessage {
	if len(raw) == 0 || raw[0] != '[' {
		return nil
	}
	l := []json.RawMessage{}
	if json.Unmarshal(raw, &l) != nil {
		return nil
	}
	return l
}

// mark tells whether a value is a fingerprint or an unknown: the mark's key.
func mark(raw json.RawMessage) string {
	for _, m := range []string{resource.FingerprintMark, resource.UnknownMark} {
		if bytes.HasPrefix(raw, []byte(`{"`+m+`":`)) {
			return m
		}
	}
	return ""
}

// holdsFingerprint tells whether a fingerprint is anywhere inside.
func holdsFingerprint(raw json.RawMessage) bool {
	return bytes.Contains(raw, []byte(`{"`+resource.FingerprintMark+`":`))
}

// opaquePaths lists where a canonical configuration holds fingerprints.
func opaquePaths(at sdk.Path, raw json.RawMessage) []sdk.Path {
	if !holdsFingerprint(raw) {
		return nil
	}
	if mark(raw) == resource.FingerprintMark {
		return []sdk.Path{at}
	}
	var paths []sdk.Path
	members := object(raw)
	for _, k := range slices.Sorted(maps.Keys(members)) {
		paths = append(paths, opaquePaths(at.Child(k), members[k])...)
	}
	for i, v := range list(raw) {
		paths = append(paths, opaquePaths(at.Index(i), v)...)
	}
	return paths
}

// Prior is a record as a provider sees it.
func Prior(rec resource.Record) *sdk.Prior {
	outputs := make(sdk.Outputs, len(rec.Outputs))
	for name, out := range rec.Outputs {
		if out.Value != nil {
			outputs[name] = sdk.RawOutput(out.Value, out.Sensitive)
		}
	}
	opaque := opaquePaths("", rec.Config)
	return &sdk.Prior{
		ID: rec.ID, Name: rec.Name, Outputs: outputs,
		Config: sdk.Config{JSON: rec.Config, Opaque: opaque, Sensitive: opaque},
	}
}
