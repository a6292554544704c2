package do

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// kind is one resource type, as the provider sees it. typed is the only one
// that implements it; the interface hides its type parameters.
type kind interface {
	typeName() string
	schema() sdk.ResourceSchema
	sizes() map[string]string
	validate(req *sdk.ValidateRequest) []sdk.Diagnostic
	diff(ctx context.Context, a *account, req *sdk.DiffRequest) (*sdk.DiffResponse, error)
	create(ctx context.Context, a *account, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error)
	read(ctx context.Context, a *account, req *sdk.ReadRequest) (*sdk.ReadResponse, error)
	update(ctx context.Context, a *account, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error)
	remove(ctx context.Context, a *account, req *sdk.DeleteRequest, report sdk.Reporter) error
	list(ctx context.Context, a *account, req *sdk.ListRequest) ([]sdk.ListedResource, error)
	adopt(ctx context.Context, a *account, req *sdk.ImportRequest) (*sdk.ImportResponse, error)
	health(ctx context.Context, a *account, req *sdk.HealthRequest) (*sdk.HealthResponse, error)
}

// driver is what a resource type asks of the API. C is its configuration, T
// what godo calls the thing. Methods return errors that went through said.
type driver[C, T any] interface {
	// get finds one by identifier.
	get(ctx context.Context, a *account, id string) (*T, error)
	// all lists those with a name (its key, where the type has claims), or
	// every one for "".
	all(ctx context.Context, a *account, key string) ([]*T, error)
	// create asks for it, with one request that makes something, and does not
	// wait. It carries the tags of the owner where the type has tags.
	create(ctx context.Context, w *work[C]) (*T, error)
	// converge waits until it works and makes it what the configuration
	// says. It is called after create, for a change, and for what is adopted,
	// and starts again where an earlier call was cut off: it looks before it
	// changes anything.
	converge(ctx context.Context, w *work[C], have *T) (*T, error)
	// delete asks for its end. What is in use gives CodeConflict, and is tried
	// again; Blockers name what is in the way.
	delete(ctx context.Context, a *account, have *T) error
	// facts are what all types have.
	facts(have *T) facts
	// describe says which configuration matches it, as it would be written:
	// without what is a default. want is the configuration that it is
	// compared with; nil for an import. owner is whose words it speaks: modules
	// of that environment are called by their names.
	describe(ctx context.Context, a *account, owner sdk.Ownership, have *T, want *C) (C, error)
	// outputs are the declared ones.
	outputs(ctx context.Context, a *account, have *T) (sdk.Outputs, error)
}

// owning is implemented by the driver of a type that writes the owner on the
// resource itself; types without it have a claim.
type owning[T any] interface {
	// own writes the owner on something that is there.
	own(ctx context.Context, a *account, have *T, owner sdk.Ownership) error
}

// facts are what every resource has.
type facts struct {
	id   string
	name string
	// key is what the claim is for, where that is not the name.
	key   string
	owner *sdk.Ownership
	// status is what it is in; reason says why it does not work.
	status    sdk.HealthStatus
	reason    string
	protected bool
}

// limits are how long things may take.
type limits struct{ create, update, remove time.Duration }

// typed is a resource type with configuration C and platform object T.
type typed[C, T any] struct {
	name string // infra.vpc
	what string // VPC: what messages call it
	// description is shown to people who look at the schema.
	description string
	// claim is the kind of claims, for types whose driver is not owning.
	claim string
	// tagged says that it is made with the tags of its owner, so that only what
	// was taken over needs a claim.
	tagged bool
	// key is what the platform knows it by, where that is not the name.
	key      func(name string, c C) string
	idFormat string
	// importsName says that an import may name it instead of its identifier.
	importsName bool
	nameFormat  string
	nameMax     int
	nameHint    string
	out         []sdk.OutputSchema
	dependsOn   []string
	// sizing maps xs to xl to the platform's words; sized says whether a
	// configuration uses them.
	sizing map[string]string
	// sizesNoted says that notes tells the real sizes itself.
	sizesNoted bool
	// ignored are the keys that have no effect here, and why.
	ignored map[string]string
	// untold are keys that the platform never tells.
	untold []string
	// renames says that a new name is given in place.
	renames bool
	// guest is what a database calls it that lets it in; see introduce.
	guest  string
	limits limits

	// check finds what the JSON Schema cannot say. It copes with zero values
	// in the place of what is not known.
	check func(name string, c C) []sdk.Diagnostic
	// notes are shown in the plan.
	notes func(c C) []sdk.Diagnostic
	// judge overrules what a change at a path demands; "" leaves it.
	judge func(path sdk.Path, prior *sdk.Prior, next C) (sdk.Action, string)
	// weigh does so where the platform has to be asked; "" leaves it to judge.
	weigh func(ctx context.Context, a *account, path sdk.Path, prior *sdk.Prior, next C) (sdk.Action, string, error)
	// promise are outputs that are sure before it is made.
	promise func(name string, c C) sdk.Outputs
	// canonical gives equal configurations one form: defaults left out, sets
	// sorted.
	canonical func(c *C)

	api driver[C, T]

	schemaOnce, walkOnce sync.Once
	configSchema         json.RawMessage
	walks                *sdk.Walker
	walkErr              error
}

// work is one create or update.
type work[C any] struct {
	*account
	name   string
	owner  sdk.Ownership
	config C
	// source is what config was decoded from: it knows what is sensitive.
	source sdk.Config
	// prior is the configuration before, as far as it is known; nil for a
	// create.
	prior  *C
	report sdk.Reporter
	limit  time.Duration
	// fresh says that it was made by this call, as config says.
	fresh bool
	// claimed says that the claim was there when it was last looked for.
	claimed bool
	// asked is what converge has asked for, for when it starts again.
	asked string
	// keep are identifiers of others with the same name.
	keep []string
}

func (w *work[C]) progress(message string) { w.report.Progress(message, -1) }

func (w *work[C]) warn(path sdk.Path, hint, message string) {
	w.report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Path: path, Message: message, Hint: hint})
}

func (t *typed[C, T]) sizes() map[string]string { return t.sizing }

func (t *typed[C, T]) typeName() string { return t.name }

func (t *typed[C, T]) schema() sdk.ResourceSchema {
	seconds := func(d time.Duration) int { return int(d / time.Second) }
	return sdk.ResourceSchema{
		Name: t.name, Description: t.description, Config: t.config(), Outputs: t.out, DependsOn: t.dependsOn,
		IDFormat: t.idFormat, NameFormat: t.nameFormat, NameMax: t.nameMax,
		CreateTimeout: seconds(t.limits.create), UpdateTimeout: seconds(t.limits.update), DeleteTimeout: seconds(t.limits.remove),
	}
}

// output describes an output that keeps its value for as long as the resource
// lives.
func output(name, typ, description string) sdk.OutputSchema {
	return sdk.OutputSchema{Name: name, Type: typ, Description: description, Stable: true}
}

// changing describes one that an update may change.
func changing(name, typ, description string) sdk.OutputSchema {
	return sdk.OutputSchema{Name: name, Type: typ, Description: description}
}

// hidden describes one that is a secret.
func hidden(name, typ, description string) sdk.OutputSchema {
	return sdk.OutputSchema{Name: name, Type: typ, Description: description, Sensitive: true}
}

// raw is JSON that is written as people write it: < and > stay what they are.
func raw(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimSpace(b.Bytes())
}
