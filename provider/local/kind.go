package local

import (
	"context"
	"fmt"
	"strings"

	"github.com/gocodealone/wfctl/sdk"
)

// kind is what the provider knows of one resource type.
type kind interface {
	schema() (sdk.ResourceSchema, error)
	// folder is where such resources are kept, and the start of their IDs.
	folder() string
	// check judges a configuration; it must cope with unknown values.
	check(cfg sdk.Config) []sdk.Diagnostic
	// ensure makes the resource what cfg says, whatever is there already.
	ensure(ctx context.Context, j *job) error
	// look tells the truth of the machine.
	look(ctx context.Context, t *thing) (condition, error)
	outputs(ctx context.Context, t *thing) (sdk.Outputs, error)
	// remove ends and deletes what lies outside the resource's folder.
	remove(ctx context.Context, t *thing) error
}

// job is one create or update.
type job struct {
	thing  *thing
	config sdk.Config
	report sdk.Reporter
}

func (j *job) progress(format string, args ...any) {
	j.report.Progress(fmt.Sprintf(format, args...), -1)
}

func (j *job) warn(path sdk.Path, message string) {
	j.report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Path: path, Message: message})
}

// condition is what was found of a resource.
type condition struct {
	gone bool
	// status and reason say whether it works.
	status sdk.HealthStatus
	reason string
	// config is the part of the configuration that was read back: a JSON
	// object, or nil.
	config []byte
}

var well = condition{status: sdk.Healthy}

func sick(format string, args ...any) condition {
	return condition{status: sdk.Unhealthy, reason: fmt.Sprintf(format, args...)}
}

// typed is a kind whose configuration decodes to C.
type typed[C any] struct {
	name, dir   string
	description string
	out         []sdk.OutputSchema
	// ignored are the keys that cannot be honoured here, and why.
	ignored map[string]string
	dynamic bool
	slow    int // seconds that a create or update may take; 0: the host's own

	validate func(cfg sdk.Config, c C) []sdk.Diagnostic
	make     func(ctx context.Context, j *job, c C) error
	find     func(ctx context.Context, t *thing) (condition, error)
	report   func(ctx context.Context, t *thing) (sdk.Outputs, error)
	clear    func(ctx context.Context, t *thing) error
}

func (k *typed[C]) folder() string { return k.dir }

func (k *typed[C]) schema() (sdk.ResourceSchema, error) {
	config, err := sdk.SchemaFor[C]()
	return sdk.ResourceSchema{
		Name: k.name, Description: k.description, Config: config, Outputs: k.out, DynamicOutputs: k.dynamic, Volatile: true,
		IDFormat:   "^" + k.dir + "/[A-Za-z0-9][A-Za-z0-9._-]*$",
		NameFormat: "^[A-Za-z0-9][A-Za-z0-9._-]*$", NameMax: 63,
		CreateTimeout: k.slow, UpdateTimeout: k.slow,
	}, err
}

func (k *typed[C]) check(cfg sdk.Config) []sdk.Diagnostic {
	if len(cfg.Unknown) > 0 || len(cfg.Opaque) > 0 {
		return k.checkPartly(cfg)
	}
	c, err := sdk.Decode[C](cfg)
	if err != nil {
		return []sdk.Diagnostic{diagnose(err)}
	}
	if k.validate == nil {
		return nil
	}
	return k.validate(cfg, c)
}

// checkPartly judges what is known. A configuration that does not decode for
// want of what is not known is not to blame.
func (k *typed[C]) checkPartly(cfg sdk.Config) []sdk.Diagnostic {
	c, err := sdk.Decode[C](cfg)
	if err != nil || k.validate == nil {
		return nil
	}
	var known []sdk.Diagnostic
	for _, d := range k.validate(cfg, c) {
		if !cfg.IsUnknown(d.Path) && !cfg.IsOpaque(d.Path) {
			known = append(known, d)
		}
	}
	return known
}

func diagnose(err error) sdk.Diagnostic {
	d := sdk.Diagnostic{Severity: sdk.SeverityError, Message: err.Error()}
	if e := asError(err); e != nil {
		d.Path, d.Hint = e.Path, e.Hint
	}
	return d
}

func (k *typed[C]) ensure(ctx context.Context, j *job) error {
	c, err := sdk.Decode[C](j.config)
	if err != nil {
		return err
	}
	if k.make == nil {
		return nil
	}
	return k.make(ctx, j, c)
}

func (k *typed[C]) look(ctx context.Context, t *thing) (condition, error) {
	if k.find == nil {
		return well, nil
	}
	return k.find(ctx, t)
}

func (k *typed[C]) outputs(ctx context.Context, t *thing) (sdk.Outputs, error) {
	if k.report == nil {
		return sdk.Outputs{"id": sdk.Out(t.ID)}, nil
	}
	return k.report(ctx, t)
}

func (k *typed[C]) remove(ctx context.Context, t *thing) error {
	if k.clear == nil {
		return nil
	}
	return k.clear(ctx, t)
}

// notes lists the keys of a configuration that have no effect on this
// machine.
func (k *typed[C]) notes(cfg sdk.Config) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	for _, key := range topKeys(cfg) {
		if why, ok := k.ignored[key]; ok {
			list = append(list, sdk.Diagnostic{
				Severity: sdk.SeverityNote, Path: sdk.Path("").Child(key),
				Message: fmt.Sprintf("%s has no effect with provider local: %s", key, why),
			})
		}
	}
	return list
}

// output describes an output; "!" after the name makes it sensitive.
func output(name, typ, description string) sdk.OutputSchema {
	plain, sensitive := strings.CutSuffix(name, "!")
	return sdk.OutputSchema{Name: plain, Type: typ, Description: description, Sensitive: sensitive, Stable: true}
}

func wrong(path sdk.Path, hint, format string, args ...any) sdk.Diagnostic {
	return sdk.Diagnostic{Severity: sdk.SeverityError, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint}
}
