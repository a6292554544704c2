package appspec

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// Describe is the configuration of an app at the places that want sets, in
// its words: where the app is as want would make it, want's own value stands,
// and else what was found. vpc is the identifier of the network that want
// names. Components that a configuration cannot express are in others.
func Describe(live *godo.AppSpec, want Config, vpc string) (found Config, others []string, err error) {
	made, err := To(live.Name, want, vpc, func(sdk.Path) bool { return false })
	if err != nil {
		return found, nil, err
	}
	prior, err := object(want)
	if err != nil {
		return found, nil, err
	}
	hints := Hints{Registry: DOCRName(want.Image), Plain: func(at sdk.Path) (string, bool) {
		value, ok := at.In(prior).(string)
		return value, ok
	}}
	meant, _ := From(made, hints)
	have, others := From(live, hints)
	found, err = shaped(prior, meant, have)
	return found, others, err
}

// shaped compares two configurations at the places of a third.
func shaped[C any](prior map[string]any, want, have C) (found C, err error) {
	w, err := object(want)
	if err != nil {
		return found, err
	}
	h, err := object(have)
	if err != nil {
		return found, err
	}
	raw, err := json.Marshal(shape("", prior, w, h))
	if err != nil {
		return found, err
	}
	return found, json.Unmarshal(raw, &found)
}

// open are the objects whose members the user names: one more of them is a
// change. Elsewhere what the configuration does not set is the platform's to
// choose.
var open = []string{"env_vars", "env_scopes", "domains"}

// shape is the value at a place: prior where what was wanted is there.
func shape(key string, prior, want, have any) any {
	if reflect.DeepEqual(want, have) {
		return prior
	}
	switch p := prior.(type) {
	case map[string]any:
		w, _ := want.(map[string]any)
		if h, ok := have.(map[string]any); ok {
			return shapeObject(key, p, w, h)
		}
	case []any:
		w, _ := want.([]any)
		if h, ok := have.([]any); ok && len(p) == len(h) && len(w) == len(h) {
			return shapeList(key, p, w, inOrderOf(w, h))
		}
	}
	return have
}

func shapeObject(key string, prior, want, have map[string]any) any {
	out := map[string]any{}
	for k, p := range prior {
		h, there := have[k]
		w, meant := want[k]
		switch {
		case there:
			out[k] = shape(k, p, w, h)
		case !meant:
			out[k] = p // the platform has nothing that it could be compared with
		}
	}
	if slices.Contains(open, key) {
		for k, h := range have {
			if _, known := prior[k]; !known && !reflect.DeepEqual(want[k], h) {
				out[k] = h
			}
		}
	}
	return out
}

func shapeList(key string, prior, want, have []any) any {
	out := make([]any, len(prior))
	for i := range prior {
		out[i] = shape(key, prior[i], want[i], have[i])
	}
	return out
}

// inOrderOf sorts what was found like what was wanted, where both are things
// with the same names.
func inOrderOf(want, have []any) []any {
	name := func(v any) string {
		m, _ := v.(map[string]any)
		s, _ := m["name"].(string)
		return s
	}
	out := make([]any, 0, len(have))
	for _, w := range want {
		i := slices.IndexFunc(have, func(h any) bool { return name(h) == name(w) })
		if name(w) == "" || i < 0 {
			return have
		}
		out = append(out, have[i])
	}
	return out
}
