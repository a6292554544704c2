package apply

import (
	"context"
	"encoding/json"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// scope answers for outputs with real values: those of this run, of the
// record, or, for a sensitive one that state does not keep, of the provider.
type scope struct {
	ctx context.Context
	run *run
}

// Fingerprint implements resource.Scope.
func (s *scope) Fingerprint(value []byte) string { return s.run.Fingerprint(value) }

// Output implements resource.Scope.
func (s *scope) Output(ref resource.Ref) (resource.Known, error) {
	l := s.run.liveOf(ref.Address)
	l.reading.Lock()
	defer l.reading.Unlock()
	if out, ok := l.outputs[ref.Output]; ok {
		return resource.Known{Value: &out}, nil
	}
	rec, ok := s.run.recordOf(ref.Address)
	if !ok {
		return resource.Known{}, fault.New(fault.Internal, "output %q of %q is needed before it is made", ref.Output, ref.Address)
	}
	known, err := plan.RecordedOutput(rec, ref.Output)
	if err != nil || known.Value != nil {
		return known, err
	}
	return s.unkept(l, rec, ref)
}

// unkept gets a sensitive value that the record holds only as a fingerprint.
func (s *scope) unkept(l *live, rec resource.Record, ref resource.Ref) (resource.Known, error) {
	if sealed := rec.Outputs[ref.Output].Sealed; sealed != nil && s.run.Open != nil {
		raw, err := s.run.Open(sealed)
		if err != nil {
			return resource.Known{}, fault.Wrap(fault.State, err, "open the recorded output %q of %q", ref.Output, ref.Address)
		}
		out := sdk.RawOutput(json.RawMessage(raw), true)
		return resource.Known{Value: &out}, nil
	}
	if !l.read {
		if err := s.read(l, rec); err != nil {
			return resource.Known{}, err
		}
	}
	out, ok := l.outputs[ref.Output]
	if !ok {
		return resource.Known{}, fault.New(fault.Provider, "%q does not report its output %q any more", ref.Address, ref.Output)
	}
	return resource.Known{Value: &out}, nil
}

func (s *scope) read(l *live, rec resource.Record) error {
	provider, err := s.run.Providers.Provider(s.ctx, rec.Provider)
	if err != nil {
		return err
	}
	res, err := provider.Read(s.ctx, &sdk.ReadRequest{Type: rec.Type, ID: rec.ID, Name: rec.Name, Ownership: s.run.ownership(rec.Address), Prior: plan.Prior(rec), Config: s.configFor(rec.Address)})
	if err != nil {
		return fault.Wrap(fault.Provider, err, "read the outputs of %q", rec.Address)
	}
	l.read = true
	if l.outputs == nil {
		l.outputs = sdk.Outputs{}
	}
	for name, out := range res.Outputs {
		l.outputs[name] = out.WithSensitive(out.Sensitive() || rec.Outputs[name].Sensitive)
	}
	return nil
}

// configFor resolves the configuration of a node for a kind that is read by
// running a command; where that cannot be, it reads without.
func (s *scope) configFor(addr resource.Address) sdk.Config {
	var input resource.Input
	if d, ok := s.run.desired(addr); ok {
		input = d.Config()
	} else if s.run.Config != nil { // it is not part of this plan
		input = s.run.Config(addr)
	}
	if input == nil {
		return sdk.Config{}
	}
	resolved, err := input.Resolve(s)
	if err != nil {
		return sdk.Config{}
	}
	return resolved.Config
}

// liveOf returns what this run knows of a node's outputs.
func (r *run) liveOf(addr resource.Address) *live {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.live[addr]
	if !ok {
		l = &live{}
		r.live[addr] = l
	}
	return l
}

func (r *run) recordOf(addr resource.Address) (resource.Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.records[resource.Key{Address: addr}]
	return rec, ok
}

// remember keeps the outputs of a node that this run made or changed.
func (r *run) remember(rec resource.Record, outputs sdk.Outputs) {
	l := r.liveOf(rec.Address)
	l.reading.Lock()
	l.outputs, l.read = outputs, true
	l.reading.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[rec.Key()] = rec
}

func (r *run) desired(addr resource.Address) (resource.Desired, bool) {
	switch c := r.Plan.Change(resource.Key{Address: addr}).(type) {
	case *plan.Create:
		return c.Desired, true
	case *plan.Update:
		return c.Desired, true
	case *plan.Replace:
		return c.Desired, true
	case *plan.Adopt:
		return c.Desired, true
	case *plan.NoOp:
		return c.Desired, !c.Kept && c.Known
	}
	return resource.Desired{}, false
}

func (r *run) ownership(addr resource.Address) sdk.Ownership {
	env := r.Plan.Environment
	return sdk.Ownership{Project: env.Project(), Environment: env.Name(), Module: string(addr)}
}
