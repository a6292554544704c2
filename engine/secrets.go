package engine

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// knowledge is where sensitive values become known: what passes to and from
// a provider is shown to the redactor before anything can print it.
type knowledge struct {
	redactor *secret.Redactor
	events   event.Sink

	mu     sync.Mutex
	warned map[string]bool
}

func newKnowledge(r *secret.Redactor, events event.Sink) *knowledge {
	return &knowledge{redactor: r, events: events, warned: map[string]bool{}}
}

// config learns the sensitive values of a configuration: those that are
// marked, and those that its schema calls so.
func (k *knowledge) config(source string, w *sdk.Walker, c sdk.Config) {
	paths := c.Sensitive
	if w != nil {
		paths = append(paths[:len(paths):len(paths)], w.SensitivePaths(c.Bytes())...)
	}
	if len(paths) == 0 {
		return
	}
	var doc any
	if json.Unmarshal(c.Bytes(), &doc) != nil {
		return
	}
	for _, p := range paths {
		if !c.IsOpaque(p) {
			k.value(source+"."+p.Dotted(), p.In(doc))
		}
	}
}

// schemaConfig is config for a schema that no walker was made of yet.
func (k *knowledge) schemaConfig(source string, schema json.RawMessage, c sdk.Config) {
	if w, err := sdk.SchemaWalker(schema); err == nil {
		k.config(source, w, c)
	}
}

// markConfig adds what a schema calls sensitive to what is marked.
func markConfig(schema json.RawMessage, c sdk.Config) sdk.Config {
	if w, err := sdk.SchemaWalker(schema); err == nil {
		c.Sensitive = append(slices.Clone(c.Sensitive), w.SensitivePaths(c.Bytes())...)
	}
	return c
}

// outputs learns those that are sensitive by their own mark, by the schema or
// by the module, whose word counts most. It returns them with the mark that
// they should have had, so that no path to the record can forget the schema.
func (k *knowledge) outputs(source string, schema *sdk.ResourceSchema, decls map[string]resource.OutputDecl, outputs sdk.Outputs) sdk.Outputs {
	marked := maps.Clone(outputs)
	for name, out := range outputs {
		sensitive := out.Sensitive()
		if schema != nil && schema.Output(name) != nil {
			sensitive = sensitive || schema.Output(name).Sensitive
		}
		marked[name] = out.WithSensitive(sensitive)
		if d, ok := decls[name]; ok && d.Sensitive != nil {
			sensitive = *d.Sensitive
			marked[name] = out.WithSensitive(sensitive || out.Sensitive())
		}
		var v any
		if sensitive && json.Unmarshal(out.Reveal(), &v) == nil {
			k.value(source+"."+name, v)
		}
	}
	return marked
}

// value learns a decoded JSON value. A structure is known by its leaves; it
// stands as a whole in text that was made of it.
func (k *knowledge) value(source string, v any) {
	switch v := v.(type) {
	case string:
		if !k.redactor.Add(secret.FromString(v)) {
			k.tooShort(source)
		}
	case map[string]any:
		if len(v) == 1 && (v[resource.FingerprintMark] != nil || v[resource.UnknownMark] != nil) {
			return
		}
		k.whole(v)
		for name, sub := range v {
			k.value(source+"."+name, sub)
		}
	case []any:
		k.whole(v)
		for i, sub := range v {
			k.value(source+"["+strconv.Itoa(i)+"]", sub)
		}
	case float64:
		k.whole(v)
	}
}

func (k *knowledge) whole(v any) {
	if raw, err := json.Marshal(v); err == nil {
		k.redactor.Add(secret.New(raw))
	}
}

// tooShort warns, once, of a secret that cannot be told from other text.
func (k *knowledge) tooShort(source string) {
	k.mu.Lock()
	told := k.warned[source]
	k.warned[source] = true
	k.mu.Unlock()
	if !told {
		k.events.Emit(event.Notice{
			Level: "warning", Message: source + " is sensitive and shorter than 6 characters: where a program prints it, it cannot be masked",
			Hint: "wfctl itself never prints it; a longer value is masked everywhere, and harder to guess",
		})
	}
}

// learn makes the sensitive inputs of a node, or with typ "" of a provider,
// known before anything is said about them.
func (p *Project) learn(in *instance, typ string, addr resource.Address, input resource.Input) {
	w, ok := in.provider.(*watched)
	if !ok || input == nil {
		return
	}
	if resolved, err := input.Resolve(p.pool.scope()); err == nil {
		w.inputs(typ, string(addr), resolved.Config)
	}
}

// masked passes events on with known secrets masked, so that a store and
// a page get no more than a terminal does.
func masked(to event.Sink, r *secret.Redactor) event.Sink {
	if r == nil {
		return to
	}
	return event.SinkFunc(func(e event.Event) {
		copied := reflect.New(reflect.TypeOf(e)).Elem()
		copied.Set(reflect.ValueOf(e))
		maskStrings(copied, r)
		if m, ok := copied.Interface().(event.Event); ok {
			to.Emit(m)
		}
	})
}

// maskStrings masks the strings of a copied value, as deep as events go.
func maskStrings(v reflect.Value, r *secret.Redactor) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(r.Text(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				maskStrings(v.Field(i), r)
			}
		}
	case reflect.Slice:
		if v.Len() == 0 || v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		for i := range own.Len() {
			maskStrings(own.Index(i), r)
		}
		v.Set(own)
	case reflect.Map:
		if v.Len() == 0 || v.Type().Elem().Kind() != reflect.String {
			return
		}
		own := reflect.MakeMap(v.Type())
		for key, value := range v.Seq2() {
			text := reflect.New(v.Type().Elem()).Elem()
			text.SetString(r.Text(value.String()))
			own.SetMapIndex(key, text)
		}
		v.Set(own)
	}
}
