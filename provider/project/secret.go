package project

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/deliver"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// secrets adapts package deliver: a value that is kept at one or more places,
// an output's or one that is made here. Creating and updating it write,
// reading it asks the stores, deleting it removes what was written.
type secrets struct {
	name  string
	sinks *deliver.Sinks
	// job: the places last as long as a job of CI does, so that every command
	// looks again.
	job bool
}

func (*secrets) doing() string { return "deliver the secret" }

const secretSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["sinks"],
  "oneOf": [{"required": ["value"]}, {"required": ["kind"]}],
  "properties": {
    "source": {"type": "string", "description": "Where the value comes from."},
    "value": {"description": "The value."},
    "kind": {"type": "string", "description": "What kind of secret is made."},
    "length": {"type": "integer", "minimum": 1, "description": "Bytes of random_hex and random_base64, characters of random_alphanumeric, bits of rsa_key."},
    "sinks": {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": false, "required": ["sink", "name"], "properties": {
      "sink": {"type": "string", "description": "The kind of store."},
      "name": {"type": "string", "minLength": 1, "description": "What the value is called there."},
      "options": {"type": "object", "description": "The sink's own keys."}}}}
  }
}`

// secretTimeout bounds a delivery in seconds: a store may ask to wait.
const secretTimeout = 900

func (s *secrets) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name: s.name, Description: "A value that is kept in stores of secrets.", Config: []byte(secretSchema), Volatile: s.job,
		Outputs: []sdk.OutputSchema{
			{Name: "value", Type: "string", Description: "A secret that was made here, where a store gives it back.", Sensitive: true},
			{Name: "receipts", Type: "array", Description: "What each store says of what it holds."},
		},
		CreateTimeout: secretTimeout, UpdateTimeout: secretTimeout, DeleteTimeout: secretTimeout,
	}
}

type secretConfig struct {
	Source string          `json:"source"`
	Value  json.RawMessage `json:"value"`
	Kind   string          `json:"kind"`
	Length int             `json:"length"`
	Sinks  []deliver.Place `json:"sinks"`
}

func secretConfigOf(c sdk.Config) (cfg secretConfig, err error) {
	if err := json.Unmarshal(c.Bytes(), &cfg); err != nil {
		return cfg, sdk.Errorf(sdk.CodeInvalid, "the configuration of a secret cannot be used")
	}
	if len(cfg.Sinks) == 0 {
		return cfg, sdk.Errorf(sdk.CodeInvalid, "the secret has no sinks")
	}
	return cfg, nil
}

func (s *secrets) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	cfg, err := secretConfigOf(req.Config)
	if err != nil {
		return diagnose(err)
	}
	var found []sdk.Diagnostic
	for i, p := range cfg.Sinks {
		path := sdk.Path("/sinks").Index(i)
		if req.Config.IsUnknown(path.Child("options")) || slices.ContainsFunc(req.Config.Unknown, func(u sdk.Path) bool { return strings.HasPrefix(string(u), string(path)) }) {
			continue
		}
		for _, d := range diagnose(s.sinks.Check(context.Background(), p)) {
			d.Path = path
			found = append(found, d)
		}
	}
	return found
}

func (*secrets) diff(context.Context, *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return &sdk.DiffResponse{}, nil
}

// receipt is what a store says of what it holds.
type receipt struct {
	Place     string `json:"place"`
	Version   string `json:"version,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty"`
}

func receiptOf(p deliver.Place, r secret.Receipt) receipt {
	out := receipt{Place: p.String(), Version: r.Version}
	if !r.UpdatedAt.IsZero() {
		out.UpdatedAt = r.UpdatedAt.UTC().Format(time.RFC3339)
	}
	return out
}

// changed tells whether a store says of itself that it was written since.
func (r receipt) changed(then receipt) bool {
	told := func(a, b string) bool { return a != "" && b != "" && a != b }
	return told(r.Version, then.Version) || told(r.UpdatedAt, then.UpdatedAt)
}

// recordedReceipts are those of an earlier run.
func recordedReceipts(p *sdk.Prior) map[string]receipt {
	byPlace := map[string]receipt{}
	if p == nil {
		return byPlace
	}
	var list []receipt
	if out, ok := p.Outputs["receipts"]; ok && json.Unmarshal(out.Reveal(), &list) == nil {
		for _, r := range list {
			byPlace[r.Place] = r
		}
	}
	return byPlace
}

// writing is one value on its way to places.
type writing struct {
	*secrets
	cfg  secretConfig
	name string
	v    secret.Value
	// kept are the receipts of places that are not written now.
	kept map[string]receipt
}

// to writes the value to places, all at once, and gives the outputs.
func (w *writing) to(ctx context.Context, places []deliver.Place) (sdk.Outputs, error) {
	now := make([]receipt, len(places))
	g, ctx := errgroup.WithContext(ctx)
	for i, p := range places {
		g.Go(func() error {
			r, err := w.sinks.Write(ctx, p, w.name, w.v)
			now[i] = receiptOf(p, r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := make([]receipt, 0, len(w.cfg.Sinks))
	for _, p := range w.cfg.Sinks {
		if i := slices.IndexFunc(places, p.Same); i >= 0 {
			all = append(all, now[i])
		} else {
			all = append(all, w.kept[p.String()])
		}
	}
	out := sdk.Outputs{"receipts": sdk.Out(all)}
	if w.cfg.Kind != "" && !w.v.IsEmpty() {
		out["value"] = sdk.SecretOut(w.v.Reveal())
	}
	return out, nil
}

// begin takes the value of a configuration, or makes it.
func (s *secrets) begin(name string, cfg secretConfig) (w *writing, err error) {
	w = &writing{secrets: s, cfg: cfg, name: name}
	if cfg.Kind != "" {
		w.v, err = deliver.Generate(cfg.Kind, cfg.Length)
		return w, err
	}
	if w.v, err = deliver.Text(cfg.Value); err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "%s cannot be delivered: %v", name, err)
	}
	return w, nil
}

// create brings the value to all places. One that is made here is nowhere
// else: where one place fails, the next attempt makes another for all of them.
func (s *secrets) create(ctx context.Context, req *sdk.CreateRequest, _ sdk.Reporter) (*sdk.CreateResponse, error) {
	cfg, err := secretConfigOf(req.Config)
	if err != nil {
		return nil, err
	}
	w, err := s.begin(req.Name, cfg)
	if err != nil {
		return nil, err
	}
	defer w.v.Wipe()
	out, err := w.to(ctx, cfg.Sinks)
	if err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: out}, nil
}

// update writes to all places where the value is another, or where only a
// repetition was asked for; else to new places alone. What is at places that
// are no longer meant goes once the others hold the value.
func (s *secrets) update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	cfg, err := secretConfigOf(req.Config)
	if err != nil {
		return nil, err
	}
	old := secretConfig{}
	if req.Prior != nil && len(req.Prior.Config.JSON) > 0 {
		if old, err = secretConfigOf(req.Prior.Config); err != nil {
			return nil, err
		}
	}
	added, dropped := deliver.Without(cfg.Sinks, old.Sinks), deliver.Without(old.Sinks, cfg.Sinks)
	moved := len(added)+len(dropped) > 0 && !slices.ContainsFunc(req.Changes, func(c sdk.FieldChange) bool { return c.Path == "/value" })
	w, places, err := s.again(ctx, req, cfg, old, added, moved)
	if err != nil {
		return nil, err
	}
	defer w.v.Wipe()
	w.kept = recordedReceipts(req.Prior)
	out, err := w.to(ctx, places)
	if err != nil {
		return nil, err
	}
	s.retire(ctx, dropped, report)
	return &sdk.UpdateResponse{ID: req.ID, Outputs: out}, nil
}

// again chooses the value of an update, and where it is written.
func (s *secrets) again(ctx context.Context, req *sdk.UpdateRequest, cfg, old secretConfig, added []deliver.Place, moved bool) (*writing, []deliver.Place, error) {
	if cfg.Kind == "" || cfg.Kind != old.Kind || cfg.Length != old.Length {
		w, err := s.begin(req.Name, cfg)
		if moved && cfg.Kind == "" {
			return w, added, err
		}
		return w, cfg.Sinks, err
	}
	w := &writing{secrets: s, cfg: cfg, name: req.Name}
	places, from := added, old.Sinks
	if !moved { // it is mended where a place lost it, and else made anew
		missing, err := s.missing(ctx, cfg.Sinks)
		if err != nil {
			return nil, nil, err
		}
		places, from = missing, deliver.Without(cfg.Sinks, missing)
	}
	v, found, err := s.held(ctx, from)
	w.v = v
	switch {
	case err != nil:
		return nil, nil, err
	case moved && !found && len(added) > 0:
		return nil, nil, sdk.Errorf(sdk.CodeInvalid, "the secret %q can be read from none of its stores, so it cannot be taken to another", req.Name).
			WithHint("`wfctl infra secrets rotate " + req.Name + "` makes a new one, for all of them")
	case !moved && (!found || len(places) == 0):
		w, err := s.begin(req.Name, cfg)
		return w, cfg.Sinks, err
	}
	return w, places, nil
}

// retire removes values from places that are no longer meant. What cannot be
// removed does no harm to what was written: it is told, and left.
func (s *secrets) retire(ctx context.Context, places []deliver.Place, report sdk.Reporter) {
	for _, p := range places {
		if err := s.sinks.Retire(ctx, p); err != nil {
			report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Message: "the old place is left as it was: " + err.Error(), Hint: "remove it by hand: " + p.String()})
		}
	}
}

// missing are the places whose store has nothing there.
func (s *secrets) missing(ctx context.Context, places []deliver.Place) (missing []deliver.Place, err error) {
	for _, p := range places {
		st, err := s.sinks.Status(ctx, p)
		if err != nil {
			return nil, err
		}
		if !st.Exists {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// held reads the value where a store gives it back.
func (s *secrets) held(ctx context.Context, places []deliver.Place) (v secret.Value, found bool, err error) {
	for _, p := range places {
		if v, found, err = s.sinks.Read(ctx, p); found || err != nil {
			return v, found, err
		}
	}
	return v, false, nil
}

// read asks the stores. One whose version or time is another than recorded was
// written by somebody else.
func (s *secrets) read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if !recorded(req) {
		return nil, sdk.Errorf(sdk.CodeNotFound, "%q was not delivered", req.Name)
	}
	cfg, err := secretConfigOf(req.Prior.Config)
	if err != nil {
		return nil, err
	}
	res := &sdk.ReadResponse{ID: req.Prior.ID, Name: req.Name, Outputs: sdk.Outputs{}, Healthy: true}
	then, gone := recordedReceipts(req.Prior), 0
	for _, p := range cfg.Sinks {
		st, err := s.sinks.Status(ctx, p)
		var f *fault.Error
		switch now := receiptOf(p, st.Receipt); {
		case s.job && errors.As(err, &f) && f.Code == fault.Environment:
			return res, nil // no job that could have it
		case err != nil:
			return nil, err
		case !st.Exists:
			gone++
			res.Healthy, res.Reason = false, "it is gone from "+p.String()
		case now.changed(then[p.String()]):
			res.Healthy, res.Reason = false, "somebody else has written "+p.String()+" since"
		}
	}
	if gone == len(cfg.Sinks) {
		return nil, sdk.Errorf(sdk.CodeNotFound, "%q is in none of its stores", req.Name)
	}
	if cfg.Kind == "" {
		return res, nil
	}
	v, found, err := s.held(ctx, cfg.Sinks)
	if found {
		res.Outputs["value"] = sdk.SecretOut(v.Reveal())
	}
	return res, err
}

func (s *secrets) remove(ctx context.Context, req *sdk.DeleteRequest) error {
	if req.Prior == nil {
		return nil
	}
	cfg, err := secretConfigOf(req.Prior.Config)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range cfg.Sinks {
		errs = append(errs, s.sinks.Retire(ctx, p))
	}
	return errors.Join(errs...)
}
