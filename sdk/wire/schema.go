package wire

import (
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

func (e *encoder) schema(s *sdk.Schema) *pb.SchemaResponse {
	return &pb.SchemaResponse{
		Name: s.Name, Version: s.Version, Config: s.Config, Environment: s.Environment,
		Types: each(s.Types, e.resourceSchema), Unsupported: prose(s.Unsupported),
		Capabilities: e.caps(s.Capabilities), SecretStores: s.SecretStores,
	}
}

func toSchema(s *pb.SchemaResponse) *sdk.Schema {
	return &sdk.Schema{
		Name: s.Name, Version: s.Version, Config: s.Config, Environment: s.Environment,
		Types: each(s.Types, toResourceSchema), Unsupported: nonEmpty(s.Unsupported),
		Capabilities: toCaps(s.Capabilities), SecretStores: s.SecretStores,
	}
}

func (e *encoder) resourceSchema(r sdk.ResourceSchema) *pb.ResourceSchema {
	return &pb.ResourceSchema{
		Name: r.Name, Description: text(r.Description), Config: r.Config, Outputs: each(r.Outputs, e.outputSchema),
		DynamicOutputs: r.DynamicOutputs, Volatile: r.Volatile, Pure: r.Pure, Triggered: r.Triggered,
		IdFormat: r.IDFormat, NameFormat: r.NameFormat, NameMax: int64(r.NameMax), DependsOn: r.DependsOn,
		CreateTimeout: int64(r.CreateTimeout), UpdateTimeout: int64(r.UpdateTimeout), DeleteTimeout: int64(r.DeleteTimeout),
		SchemaVersion: int64(r.SchemaVersion),
	}
}

func toResourceSchema(r *pb.ResourceSchema) sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name: r.Name, Description: r.Description, Config: r.Config, Outputs: each(r.Outputs, toOutputSchema),
		DynamicOutputs: r.DynamicOutputs, Volatile: r.Volatile, Pure: r.Pure, Triggered: r.Triggered,
		IDFormat: r.IdFormat, NameFormat: r.NameFormat, NameMax: int(r.NameMax), DependsOn: r.DependsOn,
		CreateTimeout: int(r.CreateTimeout), UpdateTimeout: int(r.UpdateTimeout), DeleteTimeout: int(r.DeleteTimeout),
		SchemaVersion: int(r.SchemaVersion),
	}
}

func (e *encoder) outputSchema(o sdk.OutputSchema) *pb.OutputSchema {
	return &pb.OutputSchema{
		Name: o.Name, Description: text(o.Description), Type: o.Type, Sensitive: o.Sensitive, Stable: o.Stable, Once: o.Once,
	}
}

func toOutputSchema(o *pb.OutputSchema) sdk.OutputSchema {
	return sdk.OutputSchema{
		Name: o.Name, Description: o.Description, Type: o.Type, Sensitive: o.Sensitive, Stable: o.Stable, Once: o.Once,
	}
}
