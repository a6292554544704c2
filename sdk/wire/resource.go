package wire

import (
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

func (e *encoder) configureRequest(r *sdk.ConfigureRequest) *pb.ConfigureRequest {
	return &pb.ConfigureRequest{
		Config: e.config(r.Config), Project: r.Project, Environment: r.Environment, WorkDir: r.WorkDir, BaseDir: r.BaseDir,
	}
}

func toConfigureRequest(r *pb.ConfigureRequest) *sdk.ConfigureRequest {
	return &sdk.ConfigureRequest{
		Config: toConfig(r.Config), Project: r.Project, Environment: r.Environment, WorkDir: r.WorkDir, BaseDir: r.BaseDir,
	}
}

func (e *encoder) configureResponse(r *sdk.ConfigureResponse) *pb.ConfigureResponse {
	return &pb.ConfigureResponse{Diagnostics: e.diagnostics(r.Diagnostics)}
}

func toConfigureResponse(r *pb.ConfigureResponse) *sdk.ConfigureResponse {
	return &sdk.ConfigureResponse{Diagnostics: toDiagnostics(r.Diagnostics)}
}

func (e *encoder) validateRequest(r *sdk.ValidateRequest) *pb.ValidateRequest {
	return &pb.ValidateRequest{Type: r.Type, Name: r.Name, Config: e.config(r.Config)}
}

func toValidateRequest(r *pb.ValidateRequest) *sdk.ValidateRequest {
	return &sdk.ValidateRequest{Type: r.Type, Name: r.Name, Config: toConfig(r.Config)}
}

func (e *encoder) validateResponse(r *sdk.ValidateResponse) *pb.ValidateResponse {
	return &pb.ValidateResponse{Diagnostics: e.diagnostics(r.Diagnostics)}
}

func toValidateResponse(r *pb.ValidateResponse) *sdk.ValidateResponse {
	return &sdk.ValidateResponse{Diagnostics: toDiagnostics(r.Diagnostics)}
}

func (e *encoder) diffRequest(r *sdk.DiffRequest) *pb.DiffRequest {
	return &pb.DiffRequest{
		Type: r.Type, Name: r.Name, Ownership: e.ownership(r.Ownership), Prior: e.prior(r.Prior),
		Config: e.config(r.Config), Changed: paths(r.Changed),
	}
}

func toDiffRequest(r *pb.DiffRequest) *sdk.DiffRequest {
	return &sdk.DiffRequest{
		Type: r.Type, Name: r.Name, Ownership: toOwnership(r.Ownership), Prior: toPrior(r.Prior),
		Config: toConfig(r.Config), Changed: toPaths(r.Changed),
	}
}

func (e *encoder) diffResponse(r *sdk.DiffResponse) *pb.DiffResponse {
	return &pb.DiffResponse{Changes: e.changes(r.Changes), Outputs: e.outputs(r.Outputs), Notes: e.diagnostics(r.Notes)}
}

func toDiffResponse(r *pb.DiffResponse) *sdk.DiffResponse {
	return &sdk.DiffResponse{Changes: toChanges(r.Changes), Outputs: toOutputs(r.Outputs), Notes: toDiagnostics(r.Notes)}
}

func (e *encoder) createRequest(r *sdk.CreateRequest) *pb.CreateCall {
	return &pb.CreateCall{
		Type: r.Type, Name: r.Name, Ownership: e.ownership(r.Ownership), Config: e.config(r.Config),
		IdempotencyKey: r.IdempotencyKey, Deadline: fromTime(r.Deadline), Except: r.Except,
	}
}

func toCreateRequest(r *pb.CreateCall) *sdk.CreateRequest {
	return &sdk.CreateRequest{
		Type: r.Type, Name: r.Name, Ownership: toOwnership(r.Ownership), Config: toConfig(r.Config),
		IdempotencyKey: r.IdempotencyKey, Deadline: toTime(r.Deadline), Except: r.Except,
	}
}

func (e *encoder) createResponse(r *sdk.CreateResponse) *pb.CreateResult {
	return &pb.CreateResult{Id: r.ID, Outputs: e.outputs(r.Outputs)}
}

func toCreateResponse(r *pb.CreateResult) *sdk.CreateResponse {
	return &sdk.CreateResponse{ID: r.Id, Outputs: toOutputs(r.Outputs)}
}

func (e *encoder) readRequest(r *sdk.ReadRequest) *pb.ReadRequest {
	return &pb.ReadRequest{
		Type: r.Type, Id: r.ID, Name: r.Name, Ownership: e.ownership(r.Ownership), IdempotencyKey: r.IdempotencyKey,
		Except: r.Except, Prior: e.prior(r.Prior), Config: e.config(r.Config),
	}
}

func toReadRequest(r *pb.ReadRequest) *sdk.ReadRequest {
	return &sdk.ReadRequest{
		Type: r.Type, ID: r.Id, Name: r.Name, Ownership: toOwnership(r.Ownership), IdempotencyKey: r.IdempotencyKey,
		Except: r.Except, Prior: toPrior(r.Prior), Config: toConfig(r.Config),
	}
}

func (e *encoder) readResponse(r *sdk.ReadResponse) *pb.ReadResponse {
	return &pb.ReadResponse{
		Id: r.ID, Name: r.Name, Outputs: e.outputs(r.Outputs), Config: e.config(r.Config), Owner: e.owner(r.Owner),
		Healthy: r.Healthy, Reason: text(r.Reason),
	}
}

func toReadResponse(r *pb.ReadResponse) *sdk.ReadResponse {
	return &sdk.ReadResponse{
		ID: r.Id, Name: r.Name, Outputs: toOutputs(r.Outputs), Config: toConfig(r.Config), Owner: toOwner(r.Owner),
		Healthy: r.Healthy, Reason: r.Reason,
	}
}

func (e *encoder) updateRequest(r *sdk.UpdateRequest) *pb.UpdateCall {
	return &pb.UpdateCall{
		Type: r.Type, Id: r.ID, Name: r.Name, Ownership: e.ownership(r.Ownership), Prior: e.prior(r.Prior),
		Config: e.config(r.Config), Changes: e.changes(r.Changes), IdempotencyKey: r.IdempotencyKey, Deadline: fromTime(r.Deadline),
	}
}

func toUpdateRequest(r *pb.UpdateCall) *sdk.UpdateRequest {
	return &sdk.UpdateRequest{
		Type: r.Type, ID: r.Id, Name: r.Name, Ownership: toOwnership(r.Ownership), Prior: toPrior(r.Prior),
		Config: toConfig(r.Config), Changes: toChanges(r.Changes), IdempotencyKey: r.IdempotencyKey, Deadline: toTime(r.Deadline),
	}
}

func (e *encoder) updateResponse(r *sdk.UpdateResponse) *pb.UpdateResult {
	return &pb.UpdateResult{Id: r.ID, Outputs: e.outputs(r.Outputs)}
}

func toUpdateResponse(r *pb.UpdateResult) *sdk.UpdateResponse {
	return &sdk.UpdateResponse{ID: r.Id, Outputs: toOutputs(r.Outputs)}
}

func (e *encoder) deleteRequest(r *sdk.DeleteRequest) *pb.DeleteCall {
	return &pb.DeleteCall{
		Type: r.Type, Id: r.ID, Name: r.Name, Ownership: e.ownership(r.Ownership), Prior: e.prior(r.Prior),
		Config: e.config(r.Config), IdempotencyKey: r.IdempotencyKey, Deadline: fromTime(r.Deadline),
	}
}

func toDeleteRequest(r *pb.DeleteCall) *sdk.DeleteRequest {
	return &sdk.DeleteRequest{
		Type: r.Type, ID: r.Id, Name: r.Name, Ownership: toOwnership(r.Ownership), Prior: toPrior(r.Prior),
		Config: toConfig(r.Config), IdempotencyKey: r.IdempotencyKey, Deadline: toTime(r.Deadline),
	}
}

func (e *encoder) deleteResponse(*sdk.DeleteResponse) *pb.DeleteResult { return &pb.DeleteResult{} }

func toDeleteResponse(*pb.DeleteResult) *sdk.DeleteResponse { return &sdk.DeleteResponse{} }
