// Package deliver brings values to the sinks that the configuration names, and
// makes the secrets that wfctl generates. A delivery is a resource like any
// other (type `secret` of the provider project): it comes after what it
// delivers is durable, is done once, is done again when the value's
// fingerprint or its place has changed, and a crash leaves it pending.
package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/secret"
)

// Place is where a value is brought to.
type Place struct {
	Sink    string          `json:"sink"`
	Name    string          `json:"name"`
	Options json.RawMessage `json:"options,omitempty"`
}

// Target is the place as its sink knows it.
func (p Place) Target() secret.Target {
	t := secret.Target{Name: p.Name, Options: p.Options}
	if len(t.Options) == 0 || string(t.Options) == "null" {
		t.Options = json.RawMessage("{}")
	}
	return t
}

// String names the place, without its options.
func (p Place) String() string { return p.Sink + " " + p.Name }

// Same tells whether both are one place.
func (p Place) Same(q Place) bool {
	return p.Sink == q.Sink && p.Name == q.Name && bytes.Equal(p.Target().Options, q.Target().Options)
}

// Sinks opens sinks by their type.
type Sinks struct {
	Kinds kind.Set[secret.Kind]
	// Plugin opens a sink that a plugin has; nil where there are none. It
	// returns nil for a type that no plugin has.
	Plugin func(ctx context.Context, typ string) (secret.Sink, error)
	Host   secret.Host
	// Fingerprint is the keyed hash of secrets. It stands as version of what a
	// store holds that gives values back and tells nothing else of them; nil
	// where there is no key.
	Fingerprint func([]byte) string
}

func (s *Sinks) open(ctx context.Context, typ string) (secret.Sink, error) {
	k, err := s.Kinds.Get(typ)
	if err == nil {
		return k.Open(s.Host)
	}
	if s.Plugin == nil {
		return nil, err
	}
	sink, pluginErr := s.Plugin(ctx, typ)
	if sink == nil && pluginErr == nil {
		pluginErr = err
	}
	return sink, pluginErr
}

// Write brings a value to a place and asks what the store then says of it.
func (s *Sinks) Write(ctx context.Context, p Place, source string, v secret.Value) (secret.Receipt, error) {
	if v.IsEmpty() {
		return secret.Receipt{}, fault.New(fault.Config, "%s has no value to bring to %s", source, p).
			WithHint("what the store holds stays as it is")
	}
	sink, err := s.open(ctx, p.Sink)
	if err != nil {
		return secret.Receipt{}, err
	}
	written, err := sink.Write(ctx, secret.Request{Target: p.Target(), Value: v, Source: source})
	if err != nil {
		return secret.Receipt{}, wrap(err, "write %s", p)
	}
	now, err := s.status(ctx, sink, p)
	switch {
	case err != nil:
		return secret.Receipt{}, wrap(err, "look whether %s was written", p)
	case !now.Exists:
		return secret.Receipt{}, fault.New(fault.Provider, "%s was written and is not there", p)
	case now.Receipt == secret.Receipt{}:
		return written, nil
	}
	return now.Receipt, nil
}

// Status asks what the store at a place holds.
func (s *Sinks) Status(ctx context.Context, p Place) (secret.Status, error) {
	sink, err := s.open(ctx, p.Sink)
	if err != nil {
		return secret.Status{}, err
	}
	st, err := s.status(ctx, sink, p)
	return st, wrap(err, "look at %s", p)
}

func (s *Sinks) status(ctx context.Context, sink secret.Sink, p Place) (secret.Status, error) {
	r, ok := sink.(secret.Reader)
	if !ok || s.Fingerprint == nil {
		return sink.Status(ctx, p.Target())
	}
	v, found, err := r.Read(ctx, p.Target())
	if err != nil || !found {
		return secret.Status{}, err
	}
	defer v.Wipe()
	return secret.Status{Exists: true, Receipt: secret.Receipt{Version: v.Fingerprint(s.Fingerprint)}}, nil
}

// Retire removes what was brought to a place.
func (s *Sinks) Retire(ctx context.Context, p Place) error {
	sink, err := s.open(ctx, p.Sink)
	if err != nil {
		return err
	}
	return wrap(sink.Retire(ctx, p.Target()), "remove %s", p)
}

// Read returns the value at a place, where its store gives values back.
func (s *Sinks) Read(ctx context.Context, p Place) (v secret.Value, found bool, err error) {
	sink, err := s.open(ctx, p.Sink)
	if err != nil {
		return v, false, err
	}
	r, ok := sink.(secret.Reader)
	if !ok {
		return v, false, nil
	}
	v, found, err = r.Read(ctx, p.Target())
	return v, found, wrap(err, "read %s", p)
}

// wrap says what was being done; the code of the sink's error stays.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return fault.Wrap(fault.Provider, err, format, args...)
	}
	w := fault.Wrap(f.Code, err, format, args...)
	if f.Hint != "" {
		w = w.WithHint("%s", f.Hint)
	}
	return w
}

// Text is a JSON value as a store holds it: a string as it is, anything else
// as JSON.
func Text(raw json.RawMessage) (secret.Value, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return secret.Value{}, nil
	}
	if raw[0] != '"' {
		var out bytes.Buffer
		if err := json.Compact(&out, raw); err != nil {
			return secret.Value{}, fmt.Errorf("the value is no JSON")
		}
		return secret.New(out.Bytes()), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return secret.Value{}, fmt.Errorf("the value is no JSON")
	}
	return secret.FromString(s), nil
}

// Without are the places of a that are not in b.
func Without(a, b []Place) []Place {
	return slices.DeleteFunc(slices.Clone(a), func(p Place) bool { return slices.ContainsFunc(b, p.Same) })
}
