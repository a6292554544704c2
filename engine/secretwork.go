package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
)

// The states of a secret.
const (
	SecretDelivered = "delivered" // every store has the value
	SecretPending   = "pending"   // it has not been brought there yet
	SecretChanged   = "changed"   // the value or its places are others now
	SecretRotated   = "rotated"   // the provider gives another value than it did
	SecretDrifted   = "drifted"   // a store lost it, or somebody else wrote there
)

// SecretStatus is how one secret stands.
type SecretStatus struct {
	Address resource.Address `json:"address"`
	// Places are its stores, as "github_secret DATABASE_URL".
	Places []string `json:"places"`
	State  string   `json:"state"`
	// Reason says more where it is not delivered.
	Reason string `json:"reason,omitempty"`
	// Fingerprint is of the value that was brought there last; "" for none.
	Fingerprint string     `json:"fingerprint,omitempty"`
	Delivered   *time.Time `json:"delivered_at,omitempty"`
	Run         string     `json:"run,omitempty"`
}

// SecretStatus compares what the stores hold with what they should. It reads
// the modules whose outputs are delivered, and asks the stores; it changes
// nothing.
func (w *Work) SecretStatus(ctx context.Context) ([]SecretStatus, error) {
	rotated, err := w.rotatedOutputs(ctx)
	if err != nil {
		return nil, err
	}
	pl, err := w.Plan(ctx, PlanOptions{Nodes: SecretNodes, Refresh: true})
	if err != nil {
		return nil, err
	}
	var list []SecretStatus
	for _, c := range pl.Changes {
		s := SecretStatus{Address: c.Address(), Places: w.placesOf(c.Address()), State: SecretDelivered}
		rec, recorded := w.log.View().Record(resource.Key{Address: c.Address()})
		if recorded {
			s.Fingerprint, s.Delivered, s.Run = shortFingerprint(rec), &rec.Updated, rec.Run
		}
		switch c.(type) {
		case *plan.Create:
			s.State, s.Reason = SecretPending, c.Reason()
			if recorded {
				s.State, s.Fingerprint = SecretDrifted, ""
			}
		case *plan.Update, *plan.Replace:
			s.State, s.Reason = SecretChanged, strings.TrimPrefix(c.Reason(), "it does not work: ")
			if len(c.Fields()) == 0 || c.Reason() != "" {
				s.State = SecretDrifted
			}
		case *plan.NoOp:
			if from, ok := w.rotatedSource(c.Address(), rotated); ok {
				s.State, s.Reason = SecretRotated, "the provider has another value of "+from+" now"
			}
		case *plan.Delete, *plan.Forget:
			s.State, s.Reason = SecretChanged, "it is no longer declared"
		}
		list = append(list, s)
	}
	return list, nil
}

// placesOf are the sinks of a secret, as the file has them, else the record.
func (w *Work) placesOf(addr resource.Address) []string {
	var raw json.RawMessage
	if d, ok := w.project.Set.Node(addr); ok {
		if r, err := d.Config().Resolve(recordScope{w.log}); err == nil {
			raw = r.Config.Bytes()
		}
	} else if rec, ok := w.log.View().Record(resource.Key{Address: addr}); ok {
		raw = rec.Config
	}
	var doc struct {
		Sinks []struct {
			Sink, Name string
		}
	}
	_ = json.Unmarshal(raw, &doc) // what it cannot read has no places
	places := make([]string, len(doc.Sinks))
	for i, s := range doc.Sinks {
		places[i] = s.Sink + " " + s.Name
	}
	return places
}

// shortFingerprint is the beginning of the fingerprint of what was delivered.
func shortFingerprint(rec resource.Record) string {
	var doc struct {
		Value map[string]string `json:"value"`
	}
	_ = json.Unmarshal(rec.Config, &doc)
	full := doc.Value[resource.FingerprintMark]
	if out, ok := rec.Outputs["value"]; ok && full == "" {
		full = out.Fingerprint
	}
	return full[:min(len(full), 15)]
}

// rotatedOutputs are outputs that secrets are made of and that have another
// value than is recorded, with what their provider says now.
func (w *Work) rotatedOutputs(ctx context.Context) (map[resource.Ref]string, error) {
	rotated := map[resource.Ref]string{}
	seen := map[resource.Address]plan.Observation{}
	for _, d := range w.project.Set.Nodes {
		if nodeKind(d.Address()) != resource.SecretPrefix {
			continue
		}
		for _, ref := range d.Config().Refs() {
			rec, ok := w.log.View().Record(resource.Key{Address: ref.Address})
			if !ok || !rec.Outputs[ref.Output].Sensitive || w.blind(ref.Address) {
				continue
			}
			obs, ok := seen[ref.Address]
			if !ok {
				var err error
				if obs, err = w.project.read(ctx, rec, w.project.inputOf(ref.Address)); err != nil {
					return nil, err
				}
				seen[ref.Address] = obs
			}
			if obs.Gone {
				continue
			}
			if out, ok := obs.Read.Outputs[ref.Output]; ok {
				if now := w.log.Fingerprint(out.Reveal()); now != rec.Outputs[ref.Output].Fingerprint {
					rotated[ref] = now
				}
			}
		}
	}
	return rotated, nil
}

// blind tells whether a module is configured with a secret that is at hand as
// a fingerprint only: what is read with that says nothing of what it would say
// with the secret.
func (w *Work) blind(addr resource.Address) bool {
	input := w.project.inputOf(addr)
	if input == nil {
		return true
	}
	resolved, err := input.Resolve(recordScope{w.log})
	return err != nil || len(resolved.Config.Opaque) > 0
}

func (w *Work) rotatedSource(addr resource.Address, rotated map[resource.Ref]string) (string, bool) {
	d, ok := w.project.Set.Node(addr)
	if !ok {
		return "", false
	}
	for _, ref := range d.Config().Refs() {
		if _, ok := rotated[ref]; ok {
			return string(ref.Address) + "." + ref.Output, true
		}
	}
	return "", false
}

// SyncOptions say which secrets to bring to their stores.
type SyncOptions struct {
	// Addresses are all where there are none.
	Addresses []resource.Address
	// Force writes also what has not changed.
	Force bool
}

// SyncSecrets plans to bring secrets to their stores: what is pending, what
// the stores lost, what providers have rotated. Applying the plan fails where
// a delivery does.
func (w *Work) SyncSecrets(ctx context.Context, o SyncOptions) (*plan.Plan, error) {
	if err := w.knownSecrets(o.Addresses); err != nil {
		return nil, err
	}
	rotated, err := w.rotatedOutputs(ctx)
	if err != nil {
		return nil, err
	}
	for ref, now := range rotated {
		rec, _ := w.log.View().Record(resource.Key{Address: ref.Address})
		out := rec.Outputs[ref.Output]
		out.Fingerprint, out.Sealed = now, nil
		outputs := map[string]resource.RecordedOutput{}
		for name, o := range rec.Outputs {
			outputs[name] = o
		}
		outputs[ref.Output], rec.Outputs = out, outputs
		if err := w.session.Result(ctx, "", rec); err != nil {
			return nil, err
		}
	}
	w.strict = true
	plan := PlanOptions{Nodes: SecretNodes, Refresh: true, Targets: o.Addresses}
	if o.Force {
		plan.Again = w.recordedSecrets(o.Addresses)
	}
	return w.Plan(ctx, plan)
}

// RotateSecret plans to make a generated secret anew.
func (w *Work) RotateSecret(ctx context.Context, key string) (*plan.Plan, error) {
	for _, g := range w.project.Set.Secrets.Generate {
		if g.Key != key {
			continue
		}
		if g.Type == "infra_output" {
			return nil, fault.New(fault.Refused, "%q is the output %s of a module, which only its platform can rotate", key, g.Source).
				WithHint("rotate it there; then `wfctl infra secrets sync` delivers it")
		}
		addr := resource.Address(resource.SecretPrefix + key)
		w.strict = true
		return w.Plan(ctx, PlanOptions{Nodes: SecretNodes, Targets: []resource.Address{addr}, Again: []resource.Address{addr}})
	}
	var keys []string
	for _, g := range w.project.Set.Secrets.Generate {
		keys = append(keys, g.Key)
	}
	err := fault.New(fault.NotFound, "no secret %q is generated", key)
	if len(keys) == 0 {
		return nil, err.WithHint("`secrets.generate` of the application file declares them")
	}
	return nil, err.WithHint("there are %s", strings.Join(keys, ", "))
}

// recordedSecrets are those that were delivered once, of those that are
// meant; all where none are named.
func (w *Work) recordedSecrets(only []resource.Address) []resource.Address {
	var all []resource.Address
	for _, rec := range w.log.View().Records {
		if nodeKind(rec.Address) == resource.SecretPrefix && (len(only) == 0 || slices.Contains(only, rec.Address)) {
			all = append(all, rec.Address)
		}
	}
	return all
}

// knownSecrets checks that all are declared or recorded.
func (w *Work) knownSecrets(addrs []resource.Address) error {
	for _, addr := range addrs {
		_, declared := w.project.Set.Node(addr)
		_, recorded := w.log.View().Record(resource.Key{Address: addr})
		if nodeKind(addr) == resource.SecretPrefix && (declared || recorded) {
			continue
		}
		var all []string
		for _, d := range w.project.Set.Nodes {
			if nodeKind(d.Address()) == resource.SecretPrefix {
				all = append(all, string(d.Address()))
			}
		}
		err := fault.New(fault.NotFound, "there is no secret %q in %q", addr, w.project.Environment().Name())
		if len(all) == 0 {
			return err.WithHint("a module's output has `sinks:`, or `secrets.generate` declares one")
		}
		return err.WithHint("there are %s", strings.Join(all, ", "))
	}
	return nil
}

// SyncSecrets brings secrets to their stores, as a step of a pipeline.
func (h *StepHost) SyncSecrets(ctx context.Context, modules []string, force bool, to event.Sink) (written int, err error) {
	h.change.Lock()
	defer h.change.Unlock()
	p := h.fork(to)
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	w, err := p.Begin(ctx, "infra secrets sync", lockPatience)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	pl, err := w.SyncSecrets(ctx, SyncOptions{Addresses: p.secretsOf(modules), Force: force})
	if err != nil || pl.Empty() {
		return 0, err
	}
	summary, err := w.Apply(ctx, pl, nil)
	return doneOf(summary), failures(summary, err)
}

// secretsOf are the secrets that modules' outputs are delivered by.
func (p *Project) secretsOf(modules []string) []resource.Address {
	var all []resource.Address
	for _, d := range p.Set.Nodes {
		if nodeKind(d.Address()) == resource.SecretPrefix && slices.ContainsFunc(d.Config().Refs(), func(r resource.Ref) bool {
			return slices.Contains(modules, string(r.Address))
		}) {
			all = append(all, d.Address())
		}
	}
	return all
}

func doneOf(s *apply.Summary) int {
	if s == nil {
		return 0
	}
	return s.Done
}

// failures puts what failed before the error of the whole run.
func failures(s *apply.Summary, err error) error {
	if err == nil || s == nil {
		return err
	}
	for _, n := range s.Nodes {
		if n.Outcome == event.Failed {
			err = errors.Join(n.Err, err)
		}
	}
	return err
}
