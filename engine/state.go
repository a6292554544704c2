package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/tfstate"
)

// defaultBackend is used where the environment has no iac.state module: a
// file in the project, never nothing.
const defaultBackend = "sqlite"

// backendName is the backend that the environment names.
func (p *Project) backendName() string {
	if !p.Set.State.Declared {
		return defaultBackend
	}
	return p.Set.State.Backend
}

// backend finds the backend of the environment.
func (p *Project) backend() (Backend, error) {
	b, err := p.kinds.Backends.Get(p.backendName())
	if err != nil {
		return b, p.badBackend(err)
	}
	return b, nil
}

// OutlivesState tells whether what the environment's providers make stays when
// this machine is gone, and the record of it does not.
func (p *Project) OutlivesState() bool {
	b, err := p.backend()
	if err != nil || !b.Here { // what is wrong with it is said when it is opened
		return false
	}
	for _, module := range p.Set.Providers {
		if _, err := p.kinds.Providers.Get(module.Kind); err != nil {
			return true
		}
	}
	return false
}

// badBackend points at the line that names a backend that is not there.
func (p *Project) badBackend(err error) error {
	alone := *p.Set
	alone.Nodes, alone.Providers = nil, nil
	faults, _ := resolve.Problems(&alone, resolve.NewChecker(), resolve.Catalog{Backend: func(string) (json.RawMessage, error) { return nil, err }})
	if len(faults) > 0 {
		return fault.List(faults).Err()
	}
	return fault.Wrap(fault.Config, err, "iac.state").At(p.Set.State.Pos)
}

// openDriver opens the storage of the environment's state.
func (p *Project) openDriver(ctx context.Context) (state.Driver, error) {
	b, err := p.backend()
	if err != nil {
		return nil, err
	}
	req, err := p.backendRequest()
	if err != nil {
		return nil, err
	}
	driver, err := b.Open(ctx, req)
	if err != nil {
		return nil, faultOf(err, p.Set.State.Pos)
	}
	return driver, nil
}

// openState opens the environment's state, and returns what encrypts in it.
// What cannot be opened stops the command; it never becomes "no state".
func (p *Project) openState(ctx context.Context, former state.Sealer) (*state.Log, state.Sealer, error) {
	o, err := p.stateOptions(ctx)
	if err != nil {
		return nil, nil, err
	}
	o.Former = former
	driver, err := p.openDriver(ctx)
	if err != nil {
		return nil, nil, err
	}
	log, err := state.Open(ctx, driver, o)
	if err != nil {
		return nil, nil, errors.Join(err, driver.Close())
	}
	return log, o.Sealer, nil
}

func (p *Project) stateOptions(ctx context.Context) (state.Options, error) {
	req, err := p.backendRequest()
	if err != nil {
		return state.Options{}, err
	}
	keys, err := state.KeyDir(p.options.Getenv)
	if err != nil {
		return state.Options{}, err
	}
	sealer, err := p.openSealer(ctx, req.Encryption)
	if err != nil {
		return state.Options{}, err
	}
	place := p.statePlace(req)
	return state.Options{
		ID: place, Location: place, KeyDir: keys, Now: p.options.Now, Sealer: sealer,
		Project: p.Environment().Project(), Environment: p.Environment().Name(),
	}, nil
}

func (p *Project) backendRequest() (BackendRequest, error) {
	req := BackendRequest{ProjectDir: p.Dir, Project: p.Environment().Project(), Environment: p.Environment().Name(), Config: json.RawMessage("{}")}
	if !p.Set.State.Declared || p.Set.State.Config == nil {
		return req, nil
	}
	resolved, err := p.Set.State.Config.Resolve(unknownScope{})
	if err != nil {
		return req, err
	}
	if b, err := p.backend(); err == nil {
		p.secrets.schemaConfig("iac.state", b.Schema, resolved.Config)
	}
	for _, c := range resolve.Credentials(p.Set.State.Config) {
		p.secrets.value("iac.state", c.Text) // the line is shown below the error
		return req, fault.New(fault.Config, "a password of the state's storage stands in the file").At(c.Pos).
			WithHint("write a variable, ${STATE_PASSWORD}, or leave it out: PGPASSWORD and what else the backend's own tools read from the environment is read")
	}
	if len(resolved.Config.Unknown) > 0 {
		return req, fault.New(fault.Config, "the state cannot depend on a module's output: it must be open before anything is made").
			At(p.Set.State.Config.Locate(resolved.Config.Unknown[0])).WithHint("name the place outright, or through a variable")
	}
	return req, req.take(resolved.Config.Bytes())
}

// take parts the options of the backend from those of wfctl's own.
func (r *BackendRequest) take(config json.RawMessage) error {
	doc := map[string]json.RawMessage{}
	err := json.Unmarshal(config, &doc)
	if err == nil {
		r.Encryption = doc["encryption"]
		delete(doc, "encryption")
		if raw, ok := doc["provider"]; ok {
			delete(doc, "provider")
			err = json.Unmarshal(raw, &r.Provider)
		}
	}
	if err == nil {
		r.Config, err = json.Marshal(doc)
	}
	if err != nil {
		return fault.Wrap(fault.Config, err, "iac.state: read its options")
	}
	return nil
}

// statePlace names where the state is, for ever and to people: without how to
// get there, and without credentials.
func (p *Project) statePlace(req BackendRequest) string {
	name := p.backendName()
	place := name + " " + req.place() + req.Project + "/" + req.Environment
	if name == "sqlite" || name == "filesystem" {
		place += " in " + filepath.ToSlash(p.Dir)
	}
	return place
}

// statePrefix names where the environment's state is within what all share.
func (p *Project) statePrefix(req BackendRequest) string {
	return req.Project + "/" + req.Environment + " (" + strings.TrimSpace(p.backendName()+" "+req.place()) + ")"
}

// place lists the options that say where, in a fixed order.
func (r BackendRequest) place() string {
	doc := map[string]any{}
	_ = json.Unmarshal(r.Config, &doc) // it was marshalled before
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		if text, ok := doc[key].(string); ok && key != "profile" {
			fmt.Fprintf(&b, "%s=%s ", key, withoutCredentials(text))
		}
	}
	return b.String()
}

// withoutCredentials takes user, password and query off a URL, however broken
// it is.
func withoutCredentials(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		scheme, _, _ := strings.Cut(text, "://")
		return scheme + "://…"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// ResetState accepts that the record of this environment is lost.
func (p *Project) ResetState() error {
	req, err := p.backendRequest()
	if err != nil {
		return err
	}
	keys, err := state.KeyDir(p.options.Getenv)
	if err != nil {
		return err
	}
	return state.Reset(keys, p.statePlace(req))
}

func (p *Project) holder(command string) state.Holder {
	return state.Self(p.Run, command, p.options.Now())
}

// pendingIntents are the unsettled intents as apply takes them.
func pendingIntents(v *state.View) []apply.Pending {
	list := make([]apply.Pending, len(v.Pending))
	for i, p := range v.Pending {
		list[i] = apply.Pending{Intent: p.Intent, AssignedID: p.AssignedID, Over: p.Over}
	}
	return list
}

// StateInfo is what doctor tells of the state.
type StateInfo struct {
	Backend            string
	Resources, Pending int
}

// StateInfo opens the state and looks.
func (p *Project) StateInfo(ctx context.Context) (StateInfo, error) {
	w, err := p.Look(ctx)
	if err != nil {
		return StateInfo{}, err
	}
	view := w.log.View()
	info := StateInfo{Backend: defaultBackend, Resources: len(view.Records), Pending: len(view.Pending)}
	if p.Set.State.Declared {
		info.Backend = p.Set.State.Backend
	}
	return info, w.End(ctx)
}

// Record returns a record by address or resource name.
func (w *Work) Record(name resource.Address) (resource.Record, error) { return w.record(name) }

// Forget drops a record and leaves the resource alone.
func (w *Work) Forget(ctx context.Context, addr resource.Address) error {
	rec, err := w.record(addr)
	if err != nil {
		return err
	}
	return w.session.Forget(ctx, "", rec.Key())
}

// History yields what happened to the state, oldest first.
func (w *Work) History(ctx context.Context) iter.Seq2[state.HistoryEntry, error] {
	return w.log.History(ctx)
}

// Holder says who holds the lease; "" for nobody.
func (w *Work) Holder() string {
	if h := w.log.View().Lease; h != nil {
		return h.String()
	}
	return ""
}

// Unlock breaks the lease.
func (w *Work) Unlock(ctx context.Context) error {
	_, err := w.log.Unlock(ctx, w.project.holder("infra state unlock"))
	return err
}

// exported is the record as `infra state export` prints it.
type exported struct {
	Format      int                       `json:"format"`
	Project     string                    `json:"project"`
	Environment string                    `json:"environment"`
	Lineage     string                    `json:"lineage"`
	Serial      uint64                    `json:"serial"`
	Exported    time.Time                 `json:"exported"`
	Records     []resource.Record         `json:"records"`
	Providers   []resource.ProviderRecord `json:"providers"`
}

// Export returns the whole record: "json", or "tfstate" as Terraform reads it.
func (w *Work) Export(format string) ([]byte, error) {
	view, env := w.log.View(), w.project.Environment()
	switch format {
	case "json":
		return json.MarshalIndent(exported{1, env.Project(), env.Name(), view.Lineage, view.Seq, w.project.options.Now().UTC(), view.Records, view.Providers}, "", "  ")
	case "tfstate":
		return tfstate.Write(view)
	}
	return nil, fault.New(fault.Usage, "there is no export format %q", format).WithHint("formats: json, tfstate")
}
