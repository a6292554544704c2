// Package project holds the steps that are parts of wfctl itself: images,
// migrations, infrastructure, its outputs, sinks. What they need of the
// engine are the interfaces here.
package project

import (
	"context"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/step"
)

// Applier brings a part of the graph to what the configuration says. It
// returns how many changes were made by action.
type Applier interface {
	ApplyModules(ctx context.Context, s step.Scope, to event.Sink) (map[string]int, error)
	// BuildImages also brings them to their registries: nil where the
	// environment does that, false never.
	BuildImages(ctx context.Context, s step.Scope, push *bool, to event.Sink) (map[string]int, error)
	Migrate(ctx context.Context, s step.Scope, to event.Sink) (map[string]int, error)
}

// Reader reads the outputs of what is there; images tells which of the two
// kinds. A value that is sensitive is read only when reveal is set.
type Reader interface {
	Read(ctx context.Context, module string, images, reveal bool) ([]step.Output, error)
}

// Syncer writes sinks again and returns how many were written.
type Syncer interface {
	SyncSecrets(ctx context.Context, modules []string, force bool, to event.Sink) (int, error)
}

const applySchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {
    "targets": {"type": "array", "items": {"type": "string"}, "description": "Only these and what they depend on."},
    "excludes": {"type": "array", "items": {"type": "string"}, "description": "All but these and what depends on them."},
    "approve": {"type": "boolean", "default": false, "description": "Allow what replaces or deletes."}
  }
}`

type applyOptions struct {
	Targets  []string `json:"targets"`
	Excludes []string `json:"excludes"`
	Approve  bool     `json:"approve"`
}

type applyFunc func(context.Context, step.Scope, event.Sink) (map[string]int, error)

func (o applyOptions) step(do applyFunc) step.Step {
	return step.Func(func(ctx context.Context, c *step.Context) (step.Result, error) {
		counts, err := do(ctx, step.Scope(o), c.Events)
		out := map[string]any{}
		total := 0
		for action, n := range counts {
			out[action] = n
			total += n
		}
		return step.Result{Outputs: map[string]any{"changes": out, "changed": total > 0}}, err
	})
}

// InfraApply brings the modules to what the configuration says.
func InfraApply(a Applier) step.Kind {
	return step.Define("apply the infrastructure", applySchema, func(o applyOptions) (step.Step, error) { return o.step(a.ApplyModules), nil })
}

const buildSchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {
    "images": {"type": "array", "items": {"type": "string"}, "description": "Only these; all by default."},
    "push": {"type": "boolean", "description": "false only builds; by default the images go to their registries where the environment pushes."}
  }
}`

// ContainerBuild builds the images and brings them to their registries; its
// outputs are their references.
func ContainerBuild(a Applier, r Reader) step.Kind {
	type options struct {
		Images []string `json:"images"`
		Push   *bool    `json:"push"`
	}
	return step.Define("build the images", buildSchema, func(o options) (step.Step, error) {
		return step.Func(func(ctx context.Context, c *step.Context) (step.Result, error) {
			if _, err := a.BuildImages(ctx, step.Scope{Targets: o.Images}, o.Push, c.Events); err != nil {
				return step.Result{}, err
			}
			return read(ctx, r, "", true, false)
		}), nil
	})
}

const migrateSchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {"migrations": {"type": "array", "items": {"type": "string"}, "description": "Only these entries; all by default."}}
}`

// Migrate brings the databases to the newest migration.
func Migrate(a Applier) step.Kind {
	type options struct {
		Migrations []string `json:"migrations"`
	}
	return step.Define("migrate the databases", migrateSchema, func(o options) (step.Step, error) {
		return applyOptions{Targets: o.Migrations}.step(a.Migrate), nil
	})
}

const outputsSchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {
    "module": {"type": "string", "description": "Only this module's; by default those of all."},
    "sensitive": {"type": "boolean", "default": false, "description": "Read sensitive outputs too, for steps behind; they are never shown or stored."}
  }
}`

// InfraOutputs reads outputs: by module and field, or, of one module, by
// field.
func InfraOutputs(r Reader) step.Kind {
	type options struct {
		Module    string `json:"module"`
		Sensitive bool   `json:"sensitive"`
	}
	return step.Define("read the outputs of the infrastructure", outputsSchema, func(o options) (step.Step, error) {
		return step.Func(func(ctx context.Context, _ *step.Context) (step.Result, error) {
			return read(ctx, r, o.Module, false, o.Sensitive)
		}), nil
	}).AsPure()
}

func read(ctx context.Context, r Reader, module string, images, reveal bool) (step.Result, error) {
	outputs, err := r.Read(ctx, module, images, reveal)
	if err != nil {
		return step.Result{}, err
	}
	res := step.Result{Outputs: map[string]any{}}
	secret := map[string]bool{}
	for _, o := range outputs {
		if o.Sensitive && !reveal {
			continue
		}
		if module != "" {
			res.Outputs[o.Field] = o.Value
			secret[o.Field] = secret[o.Field] || o.Sensitive
			continue
		}
		fields, ok := res.Outputs[o.Module].(map[string]any)
		if !ok {
			fields = map[string]any{}
			res.Outputs[o.Module] = fields
		}
		fields[o.Field] = o.Value
		secret[o.Module] = secret[o.Module] || o.Sensitive
	}
	for name, is := range secret {
		if is {
			res.Sensitive = append(res.Sensitive, name)
		}
	}
	return res, nil
}

const syncSchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {
    "modules": {"type": "array", "items": {"type": "string"}, "description": "Only the sinks of these; all by default."},
    "force": {"type": "boolean", "default": false, "description": "Write also what has not changed."}
  }
}`

// SecretsSync writes the sinks again.
func SecretsSync(s Syncer) step.Kind {
	type options struct {
		Modules []string `json:"modules"`
		Force   bool     `json:"force"`
	}
	return step.Define("write the sinks of sensitive outputs", syncSchema, func(o options) (step.Step, error) {
		return step.Func(func(ctx context.Context, c *step.Context) (step.Result, error) {
			n, err := s.SyncSecrets(ctx, o.Modules, o.Force, c.Events)
			return step.Result{Outputs: map[string]any{"written": n}}, err
		}), nil
	})
}
