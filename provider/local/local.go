package local

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
)

// Options say what the provider uses of the machine it runs on. The zero
// value is right for wfctl itself.
type Options struct {
	// SupervisorCommand starts the supervisor: a program and its first
	// arguments; what [Supervise] takes is appended. Empty means this
	// executable with the argument "__supervise".
	SupervisorCommand []string
	// RuntimeDir is where sockets live; it should be short. Empty means
	// $XDG_RUNTIME_DIR/wfctl, else a folder of the system's temporary one.
	RuntimeDir string
	// SharedDir is where the files of a database go that root's wfctl runs
	// as another user, when that user cannot reach the project's folder.
	// Empty means /var/lib/wfctl.
	SharedDir string
	// Version is reported in the schema.
	Version string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// LookPath finds programs (redis-server, postgres, docker); nil means
	// exec.LookPath.
	LookPath func(name string) (string, error)
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	if o.SharedDir == "" {
		o.SharedDir = "/var/lib/wfctl"
	}
	o.RuntimeDir = supervisor.RuntimeDir(o.RuntimeDir)
	if len(o.SupervisorCommand) == 0 {
		if exe, err := os.Executable(); err == nil {
			o.SupervisorCommand = []string{exe, "__supervise"}
		}
	}
	return o
}

// provider implements sdk.Provider and what of its optional interfaces makes
// sense on one machine.
type provider struct {
	opts  Options
	kinds map[string]kind

	// Set by Configure.
	work, base string

	starting sync.Mutex // one goroutine at a time starts a supervisor
	sharedCA sync.Mutex // or makes the certificate authority
	folders  sync.Mutex // or makes a resource's folder, or removes its kind's
}

// New makes the provider.
func New(o Options) sdk.Provider {
	p := &provider{opts: o.withDefaults()}
	p.kinds = p.table()
	return p
}

// table is all that the provider manages.
func (p *provider) table() map[string]kind {
	return map[string]kind{
		"infra.database":          p.databases(),
		"infra.storage":           p.storage(),
		"infra.volume":            p.volumes(),
		"infra.cache":             p.caches(),
		"infra.registry":          p.registries(),
		"infra.container_service": p.services(),
		"infra.certificate":       p.certificates(),
		"infra.dns":               p.dns(),
		"infra.vpc":               p.vpcs(),
		"infra.firewall":          p.firewalls(),
		"infra.load_balancer":     p.loadBalancers(),
	}
}

// unsupported says what to use instead of what a laptop does not have.
func unsupported() map[string]string {
	return map[string]string{
		"infra.droplet":     "use infra.container_service, which runs as a process here, or disable the module in this environment",
		"infra.k8s_cluster": "use infra.container_service, or disable the module in this environment",
		"infra.api_gateway": "use the http_port of infra.container_service, or infra.load_balancer, or disable the module in this environment",
		"infra.iam_role":    "nothing here needs a role: disable the module in this environment",
		"infra.spaces_key":  "infra.storage is a folder here and needs no key: disable the module in this environment",
	}
}

// Schema implements sdk.Provider.
func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	config, err := sdk.SchemaFor[struct{}]()
	if err != nil {
		return nil, err
	}
	s := &sdk.Schema{
		Name: "local", Version: p.opts.Version, Config: config,
		Unsupported: unsupported(), Capabilities: sdk.Capabilities(p),
	}
	for _, name := range slices.Sorted(maps.Keys(p.kinds)) {
		rs, err := p.kinds[name].schema()
		if err != nil {
			return nil, err
		}
		s.Types = append(s.Types, rs)
	}
	return s, nil
}

// Configure implements sdk.Provider.
func (p *provider) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	if req == nil || !filepath.IsAbs(req.WorkDir) {
		return nil, sdk.Errorf(sdk.CodeInvalid, "provider local needs the absolute path of a folder to work in")
	}
	if _, err := sdk.Decode[struct{}](req.Config); err != nil {
		return nil, err
	}
	p.work, p.base = req.WorkDir, req.BaseDir
	return &sdk.ConfigureResponse{}, nil
}

// Close implements sdk.Closer. The supervisor stays.
func (p *provider) Close(context.Context) error { return nil }

// kind returns what manages a type.
func (p *provider) kind(typ string) (kind, error) {
	if k, ok := p.kinds[typ]; ok {
		return k, nil
	}
	if instead, ok := unsupported()[typ]; ok {
		return nil, &sdk.Error{Code: sdk.CodeUnsupported, Message: "provider local has no " + typ, Hint: instead}
	}
	return nil, sdk.Errorf(sdk.CodeInvalid, "provider local does not know the type %q", typ)
}

// Validate implements sdk.Provider.
func (p *provider) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, err := p.kind(req.Type)
	if err != nil {
		return nil, err
	}
	return &sdk.ValidateResponse{Diagnostics: k.check(req.Config)}, nil
}

// Diff implements sdk.Provider: the schema says what replaces; what cannot be
// honoured here is a note.
func (p *provider) Diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, err := p.kind(req.Type)
	if err != nil {
		return nil, err
	}
	resp := &sdk.DiffResponse{}
	if n, ok := k.(interface {
		notes(sdk.Config) []sdk.Diagnostic
	}); ok {
		resp.Notes = n.notes(req.Config)
	}
	return resp, nil
}

var errNoRequest = sdk.Errorf(sdk.CodeInvalid, "the request is empty")

// locate returns the folder of a resource. An identifier that is given
// decides; a name finds it otherwise.
func (p *provider) locate(typ, id, name string) (kind, string, error) {
	if p.work == "" {
		return nil, "", sdk.Errorf(sdk.CodeInvalid, "provider local was not configured")
	}
	k, err := p.kind(typ)
	if err != nil {
		return nil, "", err
	}
	if id != "" {
		rest, ok := strings.CutPrefix(id, k.folder()+"/")
		if !ok {
			return nil, "", sdk.Errorf(sdk.CodeInvalid, "%q is not the identifier of an %s (%s/NAME)", id, typ, k.folder())
		}
		name = rest
	}
	if !goodName(name) {
		return nil, "", sdk.Errorf(sdk.CodeInvalid, "%q cannot be the name of a local resource: letters, digits, '.', '_' and '-', at most 63", name)
	}
	return k, filepath.Join(p.work, k.folder(), name), nil
}

func goodName(s string) bool {
	if s == "" || len(s) > 63 || strings.ContainsRune("._-", rune(s[0])) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// Create implements sdk.Provider.
func (p *provider) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, dir, err := p.locate(req.Type, "", req.Name)
	if err != nil {
		return nil, err
	}
	t, err := p.claim(ctx, k, dir, req)
	if err != nil {
		return nil, err
	}
	if err := report.Assigned(t.ID); err != nil {
		return nil, err
	}
	out, err := p.perform(ctx, k, &job{thing: t, config: req.Config, report: report})
	if err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: t.ID, Outputs: out}, nil
}

// claim makes the resource's folder, or takes over one that the same creation
// or an interrupted one of the same module has made.
func (p *provider) claim(ctx context.Context, k kind, dir string, req *sdk.CreateRequest) (*thing, error) {
	old, err := loadThing(dir)
	if err != nil {
		return nil, err
	}
	if old != nil {
		if err := p.mayTakeOver(ctx, k, old, req); err != nil {
			return nil, err
		}
		old.Key = req.IdempotencyKey
		return old, old.save()
	}
	p.folders.Lock()
	err = os.MkdirAll(dir, 0o700)
	p.folders.Unlock()
	if err != nil {
		return nil, err
	}
	t := &thing{
		Type: req.Type, ID: k.folder() + "/" + req.Name, Name: req.Name, Owner: req.Ownership,
		Key: req.IdempotencyKey, Created: p.opts.Now().UTC(), dir: dir,
	}
	return t, t.save()
}

func (p *provider) mayTakeOver(ctx context.Context, k kind, old *thing, req *sdk.CreateRequest) error {
	if old.Owner != req.Ownership {
		return &sdk.Error{
			Code: sdk.CodeAlreadyExists,
			Message: req.Type + " " + req.Name + " exists and belongs to module " + old.Owner.Module +
				" of " + old.Owner.Project + " (" + old.Owner.Environment + ")",
			Hint: "give one of them another `name`",
		}
	}
	if !old.Ready || req.IdempotencyKey != "" && old.Key == req.IdempotencyKey {
		return nil
	}
	if c, err := k.look(ctx, old); err == nil && c.gone {
		return nil
	}
	return &sdk.Error{
		Code: sdk.CodeAlreadyExists, Message: req.Type + " " + req.Name + " exists already",
		Hint: "bring it under management with `wfctl infra import " + old.Owner.Module + " " + old.ID + "`",
	}
}

// perform ensures a resource and remembers how that went.
func (p *provider) perform(ctx context.Context, k kind, j *job) (sdk.Outputs, error) {
	err := k.ensure(ctx, j)
	if err != nil {
		j.thing.Failure = err.Error()
		if ctx.Err() == nil && exists(j.thing.dir) {
			_ = j.thing.save()
		}
		return nil, localError(err)
	}
	j.thing.Ready, j.thing.Failure = true, ""
	if err := j.thing.save(); err != nil {
		return nil, err
	}
	return k.outputs(ctx, j.thing)
}

// Read implements sdk.Provider.
func (p *provider) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, t, err := p.find(req.Type, req.ID, req.Name)
	if err != nil {
		return nil, err
	}
	if req.ID == "" && req.Ownership != (sdk.Ownership{}) && req.Ownership != t.Owner {
		return nil, notFound(req.Type, req.Name)
	}
	c, err := k.look(ctx, t)
	if err != nil {
		return nil, err
	}
	if c.gone && t.Ready {
		return nil, notFound(req.Type, t.Name)
	}
	resp := &sdk.ReadResponse{ID: t.ID, Name: t.Name, Owner: &t.Owner, Healthy: c.status == sdk.Healthy, Reason: c.reason}
	resp.Config.JSON = c.config
	if !t.Ready {
		resp.Healthy, resp.Reason = false, "its creation did not end"
		return resp, nil
	}
	resp.Outputs, err = k.outputs(ctx, t)
	return resp, err
}

func notFound(typ, name string) error {
	return sdk.Errorf(sdk.CodeNotFound, "there is no %s %s on this machine", typ, name)
}

// find loads a resource that must exist.
func (p *provider) find(typ, id, name string) (kind, *thing, error) {
	k, dir, err := p.locate(typ, id, name)
	if err != nil {
		return nil, nil, err
	}
	t, err := loadThing(dir)
	if err == nil && t == nil {
		err = notFound(typ, filepath.Base(dir))
	}
	return k, t, err
}

// Update implements sdk.Provider. It mends what is broken as well.
func (p *provider) Update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, t, err := p.find(req.Type, req.ID, req.Name)
	if err != nil {
		return nil, err
	}
	if req.Ownership != (sdk.Ownership{}) {
		t.Owner = req.Ownership // a module that was renamed
	}
	out, err := p.perform(ctx, k, &job{thing: t, config: req.Config, report: report})
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: t.ID, Outputs: out}, nil
}

// Delete implements sdk.Provider.
func (p *provider) Delete(ctx context.Context, req *sdk.DeleteRequest, _ sdk.Reporter) (*sdk.DeleteResponse, error) {
	if req == nil {
		return nil, errNoRequest
	}
	k, t, err := p.find(req.Type, req.ID, req.Name)
	if sdk.IsNotFound(err) {
		return &sdk.DeleteResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := k.remove(ctx, t); err != nil {
		return nil, localError(err)
	}
	if err := t.remove(); err != nil {
		return nil, sdk.Wrap(sdk.CodeInternal, err, "removing "+t.dir)
	}
	p.folders.Lock()
	_ = os.Remove(filepath.Dir(t.dir)) // when it was the last of its kind
	p.folders.Unlock()
	return &sdk.DeleteResponse{}, nil
}

// localError gives an error of the machine's a code.
func localError(err error) error {
	switch {
	case err == nil || asError(err) != nil:
		return err
	case errors.Is(err, os.ErrPermission):
		return &sdk.Error{Code: sdk.CodeUnauthorised, Message: "this user may not", Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return sdk.Wrap(sdk.CodeInternal, err, "on this machine")
}

func asError(err error) *sdk.Error {
	var e *sdk.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// topKeys lists the keys of a configuration that have a value.
func topKeys(cfg sdk.Config) []string {
	var m map[string]json.RawMessage
	if json.Unmarshal(cfg.Bytes(), &m) != nil {
		return nil
	}
	maps.DeleteFunc(m, func(k string, v json.RawMessage) bool {
		return string(v) == "null" && !cfg.IsUnknown(sdk.Path("").Child(k))
	})
	return slices.Sorted(maps.Keys(m))
}
