package wire

import (
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

func (e *encoder) listRequest(r *sdk.ListRequest) *pb.ListRequest {
	return &pb.ListRequest{Type: r.Type, Project: r.Project, Environment: r.Environment}
}

func toListRequest(r *pb.ListRequest) *sdk.ListRequest {
	return &sdk.ListRequest{Type: r.Type, Project: r.Project, Environment: r.Environment}
}

func (e *encoder) listResponse(r *sdk.ListResponse) *pb.ListResponse {
	return &pb.ListResponse{Resources: each(r.Resources, func(l sdk.ListedResource) *pb.ListedResource {
		return &pb.ListedResource{Type: l.Type, Id: l.ID, Name: l.Name, Owner: e.ownership(l.Owner), Protected: l.Protected}
	})}
}

func toListResponse(r *pb.ListResponse) *sdk.ListResponse {
	return &sdk.ListResponse{Resources: each(r.Resources, func(l *pb.ListedResource) sdk.ListedResource {
		return sdk.ListedResource{Type: l.Type, ID: l.Id, Name: l.Name, Owner: toOwnership(l.Owner), Protected: l.Protected}
	})}
}

func (e *encoder) importRequest(r *sdk.ImportRequest) *pb.ImportRequest {
	return &pb.ImportRequest{Type: r.Type, Id: r.ID, Ownership: e.ownership(r.Ownership)}
}

func toImportRequest(r *pb.ImportRequest) *sdk.ImportRequest {
	return &sdk.ImportRequest{Type: r.Type, ID: r.Id, Ownership: toOwnership(r.Ownership)}
}

func (e *encoder) importResponse(r *sdk.ImportResponse) *pb.ImportResponse {
	return &pb.ImportResponse{Id: r.ID, Name: r.Name, Config: e.config(r.Config), Outputs: e.outputs(r.Outputs)}
}

func toImportResponse(r *pb.ImportResponse) *sdk.ImportResponse {
	return &sdk.ImportResponse{ID: r.Id, Name: r.Name, Config: toConfig(r.Config), Outputs: toOutputs(r.Outputs)}
}

func (e *encoder) healthRequest(r *sdk.HealthRequest) *pb.HealthRequest {
	return &pb.HealthRequest{Type: r.Type, Id: r.ID, Name: r.Name}
}

func toHealthRequest(r *pb.HealthRequest) *sdk.HealthRequest {
	return &sdk.HealthRequest{Type: r.Type, ID: r.Id, Name: r.Name}
}

func (e *encoder) healthResponse(r *sdk.HealthResponse) *pb.HealthResponse {
	return &pb.HealthResponse{Status: enum[pb.HealthStatus](e, healthNames(), r.Status, "health status"), Reason: text(r.Reason)}
}

func toHealthResponse(r *pb.HealthResponse) *sdk.HealthResponse {
	return &sdk.HealthResponse{Status: named(healthNames(), r.Status), Reason: r.Reason}
}

func (e *encoder) sizesRequest(r *sdk.SizesRequest) *pb.SizesRequest {
	return &pb.SizesRequest{Type: r.Type}
}

func toSizesRequest(r *pb.SizesRequest) *sdk.SizesRequest { return &sdk.SizesRequest{Type: r.Type} }

func (e *encoder) sizesResponse(r *sdk.SizesResponse) *pb.SizesResponse {
	return &pb.SizesResponse{Sizes: nonEmpty(r.Sizes)}
}

func toSizesResponse(r *pb.SizesResponse) *sdk.SizesResponse {
	return &sdk.SizesResponse{Sizes: nonEmpty(r.Sizes)}
}

func (e *encoder) ensureRegistryRequest(r *sdk.EnsureRegistryRequest) *pb.EnsureRegistryCall {
	return &pb.EnsureRegistryCall{Host: r.Host, Namespace: r.Namespace, Options: e.config(r.Options)}
}

func toEnsureRegistryRequest(r *pb.EnsureRegistryCall) *sdk.EnsureRegistryRequest {
	return &sdk.EnsureRegistryRequest{Host: r.Host, Namespace: r.Namespace, Options: toConfig(r.Options)}
}

func (e *encoder) ensureRegistryResponse(r *sdk.EnsureRegistryResponse) *pb.EnsureRegistryResult {
	return &pb.EnsureRegistryResult{Repository: r.Repository, Created: r.Created}
}

func toEnsureRegistryResponse(r *pb.EnsureRegistryResult) *sdk.EnsureRegistryResponse {
	return &sdk.EnsureRegistryResponse{Repository: r.Repository, Created: r.Created}
}

func (e *encoder) registryCredentialRequest(r *sdk.RegistryCredentialRequest) *pb.RegistryCredentialRequest {
	return &pb.RegistryCredentialRequest{Host: r.Host, Namespace: r.Namespace, Write: r.Write, Lifetime: fromDuration(r.Lifetime)}
}

func toRegistryCredentialRequest(r *pb.RegistryCredentialRequest) *sdk.RegistryCredentialRequest {
	return &sdk.RegistryCredentialRequest{Host: r.Host, Namespace: r.Namespace, Write: r.Write, Lifetime: toDuration(r.Lifetime)}
}

func (e *encoder) registryCredentialResponse(r *sdk.RegistryCredentialResponse) *pb.RegistryCredentialResponse {
	return &pb.RegistryCredentialResponse{Username: r.Username, Password: []byte(r.Password.Reveal()), Expires: fromTime(r.Expires)}
}

func toRegistryCredentialResponse(r *pb.RegistryCredentialResponse) *sdk.RegistryCredentialResponse {
	return &sdk.RegistryCredentialResponse{Username: r.Username, Password: sdk.NewSensitive(string(r.Password)), Expires: toTime(r.Expires)}
}

func (e *encoder) writeSecretRequest(r *sdk.WriteSecretRequest) *pb.WriteSecretRequest {
	return &pb.WriteSecretRequest{Store: r.Store, Name: r.Name, Options: e.config(r.Options), Value: []byte(r.Value.Reveal())}
}

func toWriteSecretRequest(r *pb.WriteSecretRequest) *sdk.WriteSecretRequest {
	return &sdk.WriteSecretRequest{Store: r.Store, Name: r.Name, Options: toConfig(r.Options), Value: sdk.NewSensitive(string(r.Value))}
}

func (e *encoder) writeSecretResponse(r *sdk.WriteSecretResponse) *pb.WriteSecretResponse {
	return &pb.WriteSecretResponse{Version: r.Version}
}

func toWriteSecretResponse(r *pb.WriteSecretResponse) *sdk.WriteSecretResponse {
	return &sdk.WriteSecretResponse{Version: r.Version}
}

func (e *encoder) bootstrapStateRequest(r *sdk.BootstrapStateRequest) *pb.BootstrapStateCall {
	return &pb.BootstrapStateCall{Backend: r.Backend, Config: e.config(r.Config)}
}

func toBootstrapStateRequest(r *pb.BootstrapStateCall) *sdk.BootstrapStateRequest {
	return &sdk.BootstrapStateRequest{Backend: r.Backend, Config: toConfig(r.Config)}
}

func (e *encoder) bootstrapStateResponse(r *sdk.BootstrapStateResponse) *pb.BootstrapStateResult {
	return &pb.BootstrapStateResult{Created: r.Created, Outputs: e.outputs(r.Outputs)}
}

func toBootstrapStateResponse(r *pb.BootstrapStateResult) *sdk.BootstrapStateResponse {
	return &sdk.BootstrapStateResponse{Created: r.Created, Outputs: toOutputs(r.Outputs)}
}

func (e *encoder) logsRequest(r *sdk.LogsRequest) *pb.LogsRequest {
	return &pb.LogsRequest{Type: r.Type, Id: r.ID, Name: r.Name, Follow: r.Follow, Tail: int64(r.Tail), Since: fromTime(r.Since)}
}

func toLogsRequest(r *pb.LogsRequest) *sdk.LogsRequest {
	return &sdk.LogsRequest{Type: r.Type, ID: r.Id, Name: r.Name, Follow: r.Follow, Tail: int(r.Tail), Since: toTime(r.Since)}
}

func (e *encoder) logLine(l *sdk.LogLine) *pb.LogsResponse {
	return &pb.LogsResponse{Time: fromTime(l.Time), Source: text(l.Source), Text: text(l.Text)}
}

func toLogLine(l *pb.LogsResponse) *sdk.LogLine {
	return &sdk.LogLine{Time: toTime(l.Time), Source: l.Source, Text: l.Text}
}

func (e *encoder) diagnoseRequest(r *sdk.DiagnoseRequest) *pb.DiagnoseRequest {
	return &pb.DiagnoseRequest{Type: r.Type, Id: r.ID, Name: r.Name, Operation: r.Operation}
}

func toDiagnoseRequest(r *pb.DiagnoseRequest) *sdk.DiagnoseRequest {
	return &sdk.DiagnoseRequest{Type: r.Type, ID: r.Id, Name: r.Name, Operation: r.Operation}
}

func (e *encoder) diagnoseResponse(r *sdk.DiagnoseResponse) *pb.DiagnoseResponse {
	return &pb.DiagnoseResponse{Diagnostics: e.diagnostics(r.Diagnostics)}
}

func toDiagnoseResponse(r *pb.DiagnoseResponse) *sdk.DiagnoseResponse {
	return &sdk.DiagnoseResponse{Diagnostics: toDiagnostics(r.Diagnostics)}
}
