package do

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

// What can be said of a resource without asking the platform.

func (t *typed[C, T]) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	list := t.judgeName(req.Name)
	c, err := sdk.Decode[C](req.Config)
	if err != nil {
		return append(list, diagnosis(err))
	}
	if t.check == nil {
		return list
	}
	for _, d := range t.check(req.Name, c) {
		if !req.Config.IsUnknown(d.Path) && !req.Config.IsOpaque(d.Path) {
			list = append(list, d)
		}
	}
	return list
}

func (t *typed[C, T]) judgeName(name string) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if t.nameMax > 0 && len(name) > t.nameMax {
		list = append(list, wrong("", "set `config: {name: …}`", "the name %q is longer than the %d characters that a %s allows", name, t.nameMax, t.what))
	}
	if t.nameFormat == "" || name == "" {
		return list
	}
	if ok, err := regexp.MatchString(t.nameFormat, name); err == nil && !ok {
		list = append(list, wrong("", "set `config: {name: …}`", "%q is no name of a %s: %s", name, t.what, t.nameHint))
	}
	return list
}

func diagnosis(err error) sdk.Diagnostic {
	d := sdk.Diagnostic{Severity: sdk.SeverityError, Message: err.Error()}
	var e *sdk.Error
	if errors.As(err, &e) {
		d.Path, d.Hint = e.Path, e.Hint
	}
	return d
}

func (t *typed[C, T]) diff(ctx context.Context, a *account, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	c, err := sdk.Decode[C](req.Config)
	if err != nil {
		return nil, err
	}
	res := &sdk.DiffResponse{Notes: t.remarks(req.Config, c)}
	if t.promise != nil && req.Prior == nil {
		res.Outputs = t.promise(req.Name, c)
	}
	if req.Prior != nil && len(req.Changed) > 0 {
		res.Changes = []sdk.FieldChange{}
		for _, path := range req.Changed {
			change, err := t.asked(ctx, a, path, req, c)
			if err != nil {
				return nil, err
			}
			if change.Action == "" {
				change = t.change(path, req, c)
			}
			res.Changes = append(res.Changes, change)
		}
	}
	return res, nil
}

// asked says what a difference demands where only the platform knows; the empty
// action is for all else, and where there is no account to ask.
func (t *typed[C, T]) asked(ctx context.Context, a *account, path sdk.Path, req *sdk.DiffRequest, next C) (sdk.FieldChange, error) {
	change := sdk.FieldChange{Path: path}
	if a == nil {
		return change, nil
	}
	if path == "/vpc_ref" {
		same, err := a.sameNetwork(ctx, req)
		if same {
			change.Action = sdk.ActionIgnore
		}
		return change, err
	}
	var err error
	if t.weigh != nil {
		change.Action, change.Reason, err = t.weigh(ctx, a, path, req.Prior, next)
	}
	return change, err
}

// sameNetwork tells whether a vpc_ref means what it meant, in other words: a
// module's name instead of the identifier, for example.
func (a *account) sameNetwork(ctx context.Context, req *sdk.DiffRequest) (bool, error) {
	var before, now string
	if req.Config.IsUnknown("/vpc_ref") || req.Prior.Config.IsUnknown("/vpc_ref") ||
		json.Unmarshal(keys(req.Prior.Config)["vpc_ref"], &before) != nil || json.Unmarshal(keys(req.Config)["vpc_ref"], &now) != nil {
		return false, nil
	}
	dir := a.directory(req.Ownership)
	one, err := dir.find(ctx, "/vpc_ref", before, refVPC)
	if err != nil {
		return false, ignoreUnresolved(err)
	}
	other, err := dir.find(ctx, "/vpc_ref", now, refVPC)
	return err == nil && one.id == other.id, ignoreUnresolved(err)
}

// ignoreUnresolved drops what a plan cannot say yet: the thing is to be made.
func ignoreUnresolved(err error) error {
	if code := sdk.CodeOf(err); code == sdk.CodeNotFound || code == sdk.CodeInvalid {
		return nil
	}
	return err
}

// change says what a difference demands; the empty action leaves it to the
// schema's rule.
func (t *typed[C, T]) change(path sdk.Path, req *sdk.DiffRequest, next C) sdk.FieldChange {
	change := sdk.FieldChange{Path: path}
	switch {
	case path == sdk.NamePath && t.renames:
		change.Action = sdk.ActionUpdate
	case path == sdk.NamePath:
		change.Action, change.Reason = sdk.ActionReplace, "DigitalOcean cannot rename a "+t.what
	case t.leftToPlatform(path, req), asReported(path, req):
		change.Action = sdk.ActionIgnore
	case t.judge != nil:
		change.Action, change.Reason = t.judge(path, req.Prior, next)
	}
	return change
}

// leftToPlatform tells whether a key that the platform fills in is not set any
// more: then what it has is fine. The same goes for the network.
func (t *typed[C, T]) leftToPlatform(path sdk.Path, req *sdk.DiffRequest) bool {
	segments := path.Segments()
	if len(segments) != 1 {
		return false
	}
	if _, set := keys(req.Config)[segments[0]]; set {
		return false
	}
	walker, err := t.walker()
	return path == "/vpc_ref" || err == nil && walker.Computed(path)
}

// asReported tells whether a key that was left to the platform is now set to
// what the platform chose.
func asReported(path sdk.Path, req *sdk.DiffRequest) bool {
	segments := path.Segments()
	if len(segments) != 1 || req.Prior == nil {
		return false
	}
	out, ok := req.Prior.Outputs[segments[0]]
	value, set := keys(req.Config)[segments[0]]
	return ok && set && string(out.Reveal()) == string(value)
}

// remarks are the notes of a plan: what a size is, which keys have no effect.
func (t *typed[C, T]) remarks(cfg sdk.Config, c C) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	set := keys(cfg)
	var size string
	if json.Unmarshal(set["size"], &size) == nil && t.sizing[size] != "" && t.ignored["size"] == "" && !t.sizesNoted {
		list = append(list, note("/size", "size %s is %s", size, t.sizing[size]))
	}
	for _, key := range sortedKeys(set) {
		if why := t.ignored[key]; why != "" {
			list = append(list, note(sdk.Path("").Child(key), "%s has no effect on DigitalOcean: %s", key, why))
		}
	}
	if t.notes != nil {
		list = append(list, t.notes(c)...)
	}
	return list
}

// keys are the members of a configuration.
func keys(cfg sdk.Config) map[string]json.RawMessage {
	members := map[string]json.RawMessage{}
	_ = json.Unmarshal(cfg.Bytes(), &members) // what is no object has none
	return members
}

func sortedKeys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// fingerprint is how the host records a sensitive value.
const fingerprint = `"$fingerprint"`

// readback says of each key what the platform has: in the words of the recorded
// configuration where the two mean the same, else in the platform's.
func (t *typed[C, T]) readback(recorded sdk.Config, want *C, have C) (sdk.Config, error) {
	found, err := t.meaning(have)
	if err != nil {
		return sdk.Config{}, err
	}
	walker, err := t.walker()
	if err != nil {
		return sdk.Config{}, err
	}
	out := map[string]json.RawMessage{}
	for key, value := range found {
		if path := sdk.Path("").Child(key); !walker.Sensitive(path) && !walker.WriteOnly(path) {
			out[key] = value
		}
	}
	if want == nil {
		return sdk.Config{JSON: raw(out)}, nil
	}
	meant, err := t.meaning(*want)
	if err != nil {
		return sdk.Config{}, err
	}
	t.reword(out, recorded, meant, found, walker)
	return sdk.Config{JSON: raw(out)}, nil
}

// walker reads the schema of the configuration, once.
func (t *typed[C, T]) walker() (*sdk.Walker, error) {
	t.walkOnce.Do(func() { t.walks, t.walkErr = sdk.SchemaWalker(t.config()) })
	return t.walks, t.walkErr
}

// config is the JSON Schema of the configuration, made once.
func (t *typed[C, T]) config() json.RawMessage {
	t.schemaOnce.Do(func() { t.configSchema = sdk.MustSchema[C]() })
	return t.configSchema
}

// reword replaces what means the same as what is recorded, and adds what is
// recorded and was taken away.
func (t *typed[C, T]) reword(out map[string]json.RawMessage, recorded sdk.Config, meant, found map[string]json.RawMessage, walker *sdk.Walker) {
	for key, written := range keys(recorded) {
		path := sdk.Path("").Child(key)
		switch {
		case walker.Sensitive(path), walker.WriteOnly(path), t.ignored[key] != "", slices.Contains(t.untold, key), strings.HasPrefix(string(written), "{"+fingerprint):
			delete(out, key) // it cannot be told
		case string(meant[key]) == string(found[key]):
			out[key] = written
		case found[key] == nil:
			out[key] = json.RawMessage("null")
		}
	}
}

// meaning are the members of a configuration in the one form that all have
// that mean the same.
func (t *typed[C, T]) meaning(c C) (map[string]json.RawMessage, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a configuration: %w", err)
	}
	if t.canonical != nil {
		var own C // a copy, all the way down
		if err := json.Unmarshal(b, &own); err != nil {
			return nil, fmt.Errorf("decode a configuration: %w", err)
		}
		t.canonical(&own)
		if b, err = json.Marshal(own); err != nil {
			return nil, fmt.Errorf("encode a configuration: %w", err)
		}
	}
	members := map[string]json.RawMessage{}
	return members, json.Unmarshal(b, &members)
}

// decodeKnown decodes a recorded configuration, in which the host may have
// replaced sensitive values by fingerprints. Nil where it does not decode:
// another version of the plugin wrote it.
func decodeKnown[C any](cfg sdk.Config) *C {
	cfg.Opaque = slices.Concat(cfg.Opaque, fingerprints("", cfg.Bytes()))
	c, err := sdk.Decode[C](cfg)
	if err != nil {
		return nil
	}
	return &c
}

// fingerprints lists where a recorded configuration holds them.
func fingerprints(at sdk.Path, value json.RawMessage) []sdk.Path {
	if !strings.Contains(string(value), fingerprint) {
		return nil
	}
	if strings.HasPrefix(string(value), "{"+fingerprint) {
		return []sdk.Path{at}
	}
	var paths []sdk.Path
	members := map[string]json.RawMessage{}
	if json.Unmarshal(value, &members) == nil {
		for _, key := range sortedKeys(members) {
			paths = append(paths, fingerprints(at.Child(key), members[key])...)
		}
		return paths
	}
	var items []json.RawMessage
	if json.Unmarshal(value, &items) == nil {
		for i, item := range items {
			paths = append(paths, fingerprints(at.Index(i), item)...)
		}
	}
	return paths
}
