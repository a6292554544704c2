package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/state"
)

// openSealer makes what encrypts in the record; nil where nothing is to.
func (p *Project) openSealer(ctx context.Context, options json.RawMessage) (state.Sealer, error) {
	if len(options) == 0 || string(options) == "null" {
		return nil, nil
	}
	sealer, err := p.kinds.Sealing.Open(ctx, options, p.options.Getenv)
	if err != nil {
		return nil, faultOf(err, p.Set.State.Pos)
	}
	return sealer, nil
}

// withEncryption adds `encryption` and `provider` to the options of a backend.
func (v *validation) withEncryption(schema json.RawMessage) (json.RawMessage, error) {
	doc := map[string]any{}
	if err := json.Unmarshal(schema, &doc); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "read the schema of a state backend")
	}
	properties, _ := doc["properties"].(map[string]any)
	if properties == nil {
		properties = map[string]any{}
	}
	properties["encryption"] = v.project.kinds.Sealing.Schema
	properties["provider"] = map[string]any{"type": "string", "description": "the module of type iac.provider that makes the storage: `wfctl infra bootstrap`"}
	doc["properties"] = properties
	return json.Marshal(doc)
}

// once says which outputs of a node would be lost: those that the platform
// shows at creation alone, in a state that keeps no sensitive value.
func (v *validation) once(schema *sdk.ResourceSchema, d resource.Desired) []*fault.Error {
	var faults []*fault.Error
	for _, out := range schema.Outputs {
		if !out.Once || v.project.Encrypted() {
			continue
		}
		faults = append(faults, fault.New(fault.Config, "%s: the platform shows the output %q once, at creation, and the state of %q cannot keep it",
			d.Address(), out.Name, v.project.Environment().Name()).At(d.Pos()).
			WithHint("give the module iac.state an `encryption`, such as {age: {recipients: [age1…]}}; `age-keygen` makes a key"))
	}
	return faults
}

// Encrypted tells whether the state names an encryption.
func (p *Project) Encrypted() bool {
	req, err := p.backendRequest()
	return err == nil && len(req.Encryption) > 0 && string(req.Encryption) != "null"
}

// canSeal finds out before anything is changed that what will have to be
// encrypted can be.
func (w *Work) canSeal(ctx context.Context) error {
	if w.sealer == nil {
		return nil
	}
	_, err := w.sealer.Seal(ctx, []byte("wfctl"))
	return err
}

// keeping says what the record holds of sensitive outputs. What was made is
// recorded even when the command is interrupted.
func (w *Work) keeping(ctx context.Context) apply.Keeping {
	k := apply.Keeping{Fingerprint: w.log.Fingerprint}
	if w.sealer != nil {
		ctx = context.WithoutCancel(ctx)
		k.Seal = func(plain []byte) ([]byte, error) { return w.sealer.Seal(ctx, plain) }
	}
	return k
}

// opening opens what the record holds sealed; nil where the state names no
// encryption, and values are read from their platforms again.
func (w *Work) opening(ctx context.Context) func([]byte) ([]byte, error) {
	if w.sealer == nil {
		return nil
	}
	return func(sealed []byte) ([]byte, error) { return w.sealer.Open(ctx, sealed) }
}

// RekeyOptions say what to seal anew.
type RekeyOptions struct {
	// Former is the encryption before, as the file named it, where the present
	// one cannot open what it has sealed.
	Former json.RawMessage
	// NewKey makes a new fingerprint key: every sensitive value then shows as
	// changed once.
	NewKey bool
	Wait   time.Duration
}

// Rekey seals what the state holds with the encryption that it names now, and
// returns how many values that were.
func (p *Project) Rekey(ctx context.Context, o RekeyOptions) (n int, err error) {
	former, err := p.openSealer(ctx, o.Former)
	if err != nil {
		return 0, err
	}
	if former == nil { // new recipients beside the old ones, a new version of the same key
		req, err := p.backendRequest()
		if err != nil {
			return 0, err
		}
		if former, err = p.openSealer(ctx, req.Encryption); err != nil {
			return 0, err
		}
	}
	w, err := p.look(ctx, former)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.End(ctx)) }()
	if err := w.canSeal(ctx); err != nil {
		return 0, err
	}
	w.session, err = w.log.Lock(ctx, p.holder("infra state rekey"), state.LockOptions{Wait: o.Wait, NewKey: o.NewKey})
	if err != nil {
		return 0, err
	}
	return w.session.Rekey(ctx)
}
