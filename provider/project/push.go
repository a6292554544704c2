package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/build/push"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/sdk"
)

// delivery adapts package build/push: creating and updating it bring an image
// to its registries, reading it asks them; deleting it forgets it, for other
// environments may run what was pushed.
type delivery struct {
	store      *build.Store
	registries func() (*registry.Set, error)
	pusher     *push.Pusher
	attacher   *attacher
}

func (*delivery) doing() string { return "push the image" }

const pushSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["digest", "registries"],
  "properties": {
    "digest": {"type": "string", "description": "The digest of the image."},
    "registries": {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
      "name": {"type": "string"}, "type": {"type": "string"}, "host": {"type": "string"}, "namespace": {"type": "string"}, "provider": {"type": "string"}}}},
    "tags": {"type": "array", "items": {"type": "string"}, "description": "The tags that it gets in every registry."},
    "attach": {"type": "object", "additionalProperties": false, "description": "What goes there beside it.", "properties": {
      "sbom": ` + sbomSchema + `, "provenance": ` + provenanceSchema + `, "sign": ` + signSchema + `, "build": {"type": "object"}}}
  }
}`

// pushTimeout bounds a push in seconds: images can be large, and lines slow.
const pushTimeout = 7200

func (d *delivery) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name: TypePush, Description: "An image in its registries.", Config: []byte(pushSchema), Volatile: true,
		Outputs: []sdk.OutputSchema{
			{Name: "digest", Type: "string", Description: "The digest that the registries hold."},
			{Name: "refs", Type: "object", Description: "What the image is called in each registry: host/namespace/name@digest."},
			{Name: "receipts", Type: "array", Description: "What each registry has: digest, tags, bytes sent, mounted and there already."},
		},
		CreateTimeout: pushTimeout, UpdateTimeout: pushTimeout,
	}
}

type pushConfig struct {
	Digest     string `json:"digest"`
	Registries []struct {
		Name string `json:"name"`
	} `json:"registries"`
	Tags   []string    `json:"tags"`
	Attach *attachment `json:"attach"`
}

func pushConfigOf(c sdk.Config) (cfg pushConfig, err error) {
	if err := json.Unmarshal(c.Bytes(), &cfg); err != nil {
		return cfg, sdk.Errorf(sdk.CodeInvalid, "the configuration of a push cannot be used: %v", err)
	}
	return cfg, nil
}

var (
	nameForm = lazyregexp.New(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	tagForm  = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

func (d *delivery) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	cfg, err := pushConfigOf(req.Config)
	if err != nil {
		return diagnose(err)
	}
	var found []sdk.Diagnostic
	say := func(path sdk.Path, err error) {
		for _, diag := range diagnose(err) {
			diag.Path = path
			found = append(found, diag)
		}
	}
	if !nameForm().MatchString(req.Name) {
		say("", fault.New(fault.Config, "%q cannot be the name of an image in a registry", req.Name).WithHint("use lower-case letters and digits, with dots, dashes or underscores between"))
	}
	for i, tag := range cfg.Tags {
		if path := sdk.Path("/tags").Index(i); !req.Config.IsUnknown(path) && !tagForm().MatchString(tag) {
			say(path, fault.New(fault.Config, "%q cannot be a tag", tag).WithHint("a tag has letters, digits, dots, dashes and underscores, 128 at most: no slash"))
		}
	}
	for i, r := range cfg.Registries {
		if _, err := d.entry(r.Name); err != nil {
			say(sdk.Path("/registries").Index(i), err)
		}
	}
	return found
}

func (d *delivery) entry(name string) (*registry.Entry, error) {
	set, err := d.registries()
	if err != nil {
		return nil, err
	}
	return set.Get(name)
}

// diff asks no registry. Where there is something to push, what a credential
// needs must be there: the build comes before the push.
func (d *delivery) diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	cfg, err := pushConfigOf(req.Config)
	if err != nil {
		return nil, err
	}
	res := &sdk.DiffResponse{Changes: []sdk.FieldChange{}}
	if req.Prior != nil {
		for _, path := range req.Changed {
			res.Changes = append(res.Changes, sdk.FieldChange{
				Path: path, Action: sdk.ActionUpdate, Unknown: req.Config.IsUnknown(path), Before: lookup(req.Prior.Config, path), After: lookup(req.Config, path),
			})
		}
		res.Outputs = promised(cfg, req)
		if len(res.Changes) == 0 {
			return res, nil
		}
	}
	var missing fault.List
	if f := d.attacher.ready(cfg.Attach); f != nil {
		missing = append(missing, f)
	}
	for _, r := range cfg.Registries {
		e, err := d.entry(r.Name)
		if err != nil {
			return nil, err
		}
		var f *fault.Error
		if err := e.Ready(); errors.As(err, &f) && !e.Spec.Optional {
			missing = append(missing, f)
		}
	}
	if err := missing.Err(); err != nil {
		return nil, &sdk.Error{Code: sdk.CodeInvalid, Message: "the image cannot be pushed", Hint: missing[0].Hint, Path: "/registries", Err: err}
	}
	return res, nil
}

// promised are the outputs where the same image stays in the same registries.
func promised(cfg pushConfig, req *sdk.DiffRequest) sdk.Outputs {
	refs := priorRefs(req.Prior.Outputs)
	if req.Config.IsUnknown("/digest") || cfg.Digest != outputString(req.Prior.Outputs, "digest") || len(refs) != len(cfg.Registries) {
		return nil
	}
	before, err := pushConfigOf(req.Prior.Config)
	if err != nil || string(lookup(req.Prior.Config, "/registries")) != string(lookup(req.Config, "/registries")) || len(before.Registries) != len(cfg.Registries) {
		return nil
	}
	return sdk.Outputs{"digest": req.Prior.Outputs["digest"], "refs": req.Prior.Outputs["refs"]}
}

// priorRefs are what an earlier push called the image in each registry.
func priorRefs(outputs sdk.Outputs) map[string]string {
	refs := map[string]string{}
	_ = json.Unmarshal(plainOutput(outputs, "refs"), &refs) // absent: there are none
	return refs
}

func (d *delivery) create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	outputs, err := d.push(ctx, req.Name, req.Config, nil, report)
	if err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: outputs}, nil
}

func (d *delivery) update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	outputs, err := d.push(ctx, req.Name, req.Config, req.Prior, report)
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: req.ID, Outputs: outputs}, nil
}

// push brings the image to its registries. Doing it again sends nothing that
// is there, so an interrupted one needs no more than that.
func (d *delivery) push(ctx context.Context, name string, c sdk.Config, prior *sdk.Prior, report sdk.Reporter) (sdk.Outputs, error) {
	cfg, err := pushConfigOf(c)
	if err != nil {
		return nil, err
	}
	digest, err := v1.NewHash(cfg.Digest)
	if err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "%q is not the digest of an image", cfg.Digest)
	}
	job := push.Job{Tags: cfg.Tags, Progress: telling{report}.tell}
	for _, r := range cfg.Registries {
		target, err := d.target(ctx, r.Name, name)
		if err != nil {
			return nil, settled(err)
		}
		job.Targets = append(job.Targets, target)
	}
	job.Content = &push.Content{Digest: digest, Sources: d.sources(name, job.Targets)}
	if !attached(prior, c, cfg) {
		if job.Referrers, err = d.attacher.attach(ctx, name, c, cfg, report); err != nil {
			return nil, settled(err)
		}
	}
	receipts, err := d.pusher.Push(ctx, job)
	for _, r := range receipts {
		if r.Digest != "" || r.Failure != "" {
			report.Log(r.Summary())
		}
		if err == nil && r.Failure != "" {
			report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Message: "the image is not in the optional registry " + r.Registry + ": " + r.Failure, Hint: "the next up tries again"})
		}
	}
	if err != nil {
		return nil, settled(err)
	}
	return pushOutputs(cfg.Digest, receipts), nil
}

// settled keeps the host from trying again what has been tried for long.
func settled(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Code == fault.Interrupted {
		return err
	}
	return &sdk.Error{Code: sdk.CodeInternal, Message: f.Error(), Hint: f.Hint}
}

func pushOutputs(digest string, receipts []push.Receipt) sdk.Outputs {
	refs := map[string]string{}
	for _, r := range receipts {
		if r.Digest != "" {
			refs[r.Registry] = r.Reference()
		}
	}
	return sdk.Outputs{"digest": sdk.Out(digest), "refs": sdk.Out(refs), "receipts": sdk.Out(receipts)}
}

// target is where an image goes in a registry. Other images of the project may
// have brought the same layers there.
func (d *delivery) target(ctx context.Context, name, image string) (push.Target, error) {
	e, err := d.entry(name)
	if err != nil {
		return push.Target{}, err
	}
	prefix, err := e.Repository(ctx)
	if err != nil {
		return push.Target{}, err
	}
	t := push.Target{Registry: name, Repository: registry.Join(prefix, image), Optional: e.Spec.Optional, Access: e}
	for _, other := range d.store.Names() {
		if other != image {
			t.Siblings = append(t.Siblings, registry.Join(prefix, other))
		}
	}
	return t, nil
}

// sources are this machine's layout, and the registries: an image that was
// built elsewhere can get another tag or go to another registry from there.
func (d *delivery) sources(image string, targets []push.Target) []push.Source {
	sources := []push.Source{push.Layout(d.store.Path(image))}
	for _, t := range targets {
		sources = append(sources, d.pusher.Source(t))
	}
	return sources
}

// askTimeout bounds how long a plan waits for a registry.
const askTimeout = 5 * time.Second

// read asks the registries whether they still have the image. One that cannot
// be asked has what is recorded.
func (d *delivery) read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if !recorded(req) {
		return nil, sdk.Errorf(sdk.CodeNotFound, "nothing is recorded of the push of %q", req.Name)
	}
	res := &sdk.ReadResponse{ID: req.Prior.ID, Name: req.Name, Outputs: req.Prior.Outputs, Healthy: true}
	var receipts []push.Receipt
	if json.Unmarshal(plainOutput(req.Prior.Outputs, "receipts"), &receipts) != nil {
		return res, nil
	}
	digest := outputString(req.Prior.Outputs, "digest")
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, r := range receipts {
		e, err := d.entry(r.Registry)
		switch {
		case err != nil: // it is no longer declared, or not as it should be: validate says so
			continue
		case r.Digest == "":
			res.Healthy, res.Reason = false, "registry "+r.Registry+" does not have it yet"
			return res, nil
		case e.Ready() != nil:
			continue
		}
		target := push.Target{Registry: r.Registry, Repository: r.Repository, Access: e}
		held, astray, err := d.pusher.Holds(ctx, target, digest, r.Tags...)
		switch {
		case err != nil:
			continue
		case !held:
			res.Healthy, res.Reason = false, "registry "+r.Registry+" no longer has it"
		case astray != "":
			res.Healthy, res.Reason = false, "in registry "+r.Registry+" the tag "+astray+" leads elsewhere"
		default:
			continue
		}
		return res, nil
	}
	return res, nil
}

func (*delivery) remove(context.Context, *sdk.DeleteRequest) error { return nil }

// telling makes words of the progress of many blobs.
type telling struct{ report sdk.Reporter }

func (t telling) tell(p push.Progress) {
	short := p.Digest
	if len(short) > 19 {
		short = short[7:19]
	}
	switch p.How {
	case push.Sending:
		t.report.Progress(fmt.Sprintf("%s: layer %s, %s of %s", p.Registry, short, bytesOf(p.Sent), bytesOf(p.Size)), float64(p.Sent)/float64(max(p.Size, 1)))
	case push.Sent:
		t.report.Log(fmt.Sprintf("%s: layer %s sent (%s)", p.Registry, short, bytesOf(p.Size)))
	case push.Mounted:
		t.report.Log(fmt.Sprintf("%s: layer %s taken from another image (%s)", p.Registry, short, bytesOf(p.Size)))
	}
}

// bytesOf shows a size.
func bytesOf(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
