package wire

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

func (e *encoder) config(c sdk.Config) *pb.Config {
	if c.JSON == nil && len(c.Sensitive)+len(c.Unknown)+len(c.Opaque) == 0 {
		return nil
	}
	return &pb.Config{Json: c.JSON, Sensitive: paths(c.Sensitive), Unknown: paths(c.Unknown), Opaque: paths(c.Opaque)}
}

func toConfig(c *pb.Config) sdk.Config {
	if c == nil {
		return sdk.Config{}
	}
	return sdk.Config{JSON: c.Json, Sensitive: toPaths(c.Sensitive), Unknown: toPaths(c.Unknown), Opaque: toPaths(c.Opaque)}
}

// outputs are sorted, so that equal outputs are equal bytes.
func (e *encoder) outputs(o sdk.Outputs) *pb.Outputs {
	if o == nil {
		return nil
	}
	out := &pb.Outputs{Outputs: make([]*pb.Output, 0, len(o))}
	for name, v := range o {
		out.Outputs = append(out.Outputs, &pb.Output{Name: name, Json: v.Reveal(), Sensitive: v.Sensitive()})
	}
	slices.SortFunc(out.Outputs, func(a, b *pb.Output) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func toOutputs(o *pb.Outputs) sdk.Outputs {
	if o == nil {
		return nil
	}
	out := make(sdk.Outputs, len(o.Outputs))
	for _, v := range o.Outputs {
		out[v.Name] = sdk.RawOutput(json.RawMessage(v.Json), v.Sensitive)
	}
	return out
}

func (e *encoder) ownership(o sdk.Ownership) *pb.Ownership {
	if o == (sdk.Ownership{}) {
		return nil
	}
	return &pb.Ownership{Project: o.Project, Environment: o.Environment, Module: o.Module}
}

func toOwnership(o *pb.Ownership) sdk.Ownership {
	return sdk.Ownership{Project: o.GetProject(), Environment: o.GetEnvironment(), Module: o.GetModule()}
}

// owner is ownership that may be absent: an owner without a name is an owner.
func (e *encoder) owner(o *sdk.Ownership) *pb.Ownership {
	if o == nil {
		return nil
	}
	return &pb.Ownership{Project: o.Project, Environment: o.Environment, Module: o.Module}
}

func toOwner(o *pb.Ownership) *sdk.Ownership {
	if o == nil {
		return nil
	}
	owner := toOwnership(o)
	return &owner
}

func (e *encoder) prior(p *sdk.Prior) *pb.Prior {
	if p == nil {
		return nil
	}
	return &pb.Prior{Id: p.ID, Name: p.Name, Config: e.config(p.Config), Outputs: e.outputs(p.Outputs)}
}

func toPrior(p *pb.Prior) *sdk.Prior {
	if p == nil {
		return nil
	}
	return &sdk.Prior{ID: p.Id, Name: p.Name, Config: toConfig(p.Config), Outputs: toOutputs(p.Outputs)}
}

// changes keeps nil and empty apart: nil leaves the judgement to the host.
func (e *encoder) changes(list []sdk.FieldChange) *pb.FieldChanges {
	if list == nil {
		return nil
	}
	return &pb.FieldChanges{Changes: each(list, func(c sdk.FieldChange) *pb.FieldChange {
		return &pb.FieldChange{
			Path: string(c.Path), Action: enum[pb.Action](e, actionNames(), c.Action, "the action at "+c.Path.Dotted()),
			Before: c.Before, After: c.After, Sensitive: c.Sensitive, Unknown: c.Unknown, Reason: text(c.Reason),
		}
	})}
}

func toChanges(list *pb.FieldChanges) []sdk.FieldChange {
	if list == nil {
		return nil
	}
	out := make([]sdk.FieldChange, len(list.Changes))
	for i, c := range list.Changes {
		out[i] = sdk.FieldChange{
			Path: sdk.Path(c.Path), Action: named(actionNames(), c.Action), Before: c.Before, After: c.After,
			Sensitive: c.Sensitive, Unknown: c.Unknown, Reason: c.Reason,
		}
	}
	return out
}

func (e *encoder) diagnostic(d sdk.Diagnostic) *pb.Diagnostic {
	return &pb.Diagnostic{
		Severity: enum[pb.Severity](e, severityNames(), d.Severity, "severity"), Path: string(d.Path), Message: text(d.Message), Hint: text(d.Hint),
	}
}

func toDiagnostic(d *pb.Diagnostic) sdk.Diagnostic {
	return sdk.Diagnostic{Severity: named(severityNames(), d.Severity), Path: sdk.Path(d.Path), Message: d.Message, Hint: d.Hint}
}

func (e *encoder) diagnostics(list []sdk.Diagnostic) []*pb.Diagnostic {
	return each(list, e.diagnostic)
}

func toDiagnostics(list []*pb.Diagnostic) []sdk.Diagnostic { return each(list, toDiagnostic) }
