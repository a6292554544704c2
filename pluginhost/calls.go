package pluginhost

import (
	"context"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/wire"
)

// Validate implements sdk.Provider.
func (p *provider) Validate(ctx context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	return quick(ctx, p, "Validate", func(ctx context.Context, c *wire.Conn) (*sdk.ValidateResponse, error) { return c.Validate(ctx, req) })
}

// Diff implements sdk.Provider.
func (p *provider) Diff(ctx context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return quick(ctx, p, "Diff", func(ctx context.Context, c *wire.Conn) (*sdk.DiffResponse, error) { return c.Diff(ctx, req) })
}

// Read implements sdk.Provider.
func (p *provider) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	return quick(ctx, p, "Read", func(ctx context.Context, c *wire.Conn) (*sdk.ReadResponse, error) { return c.Read(ctx, req) })
}

// Create implements sdk.Provider.
func (p *provider) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	return use(ctx, p, func(ctx context.Context, pr *process) (*sdk.CreateResponse, error) {
		return pr.conn.Create(ctx, req, report)
	})
}

// Update implements sdk.Provider.
func (p *provider) Update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	return use(ctx, p, func(ctx context.Context, pr *process) (*sdk.UpdateResponse, error) {
		return pr.conn.Update(ctx, req, report)
	})
}

// Delete implements sdk.Provider.
func (p *provider) Delete(ctx context.Context, req *sdk.DeleteRequest, report sdk.Reporter) (*sdk.DeleteResponse, error) {
	return use(ctx, p, func(ctx context.Context, pr *process) (*sdk.DeleteResponse, error) {
		return pr.conn.Delete(ctx, req, report)
	})
}

// List implements sdk.Lister.
func (p *provider) List(ctx context.Context, req *sdk.ListRequest) (*sdk.ListResponse, error) {
	return quick(ctx, p, "List", func(ctx context.Context, c *wire.Conn) (*sdk.ListResponse, error) { return c.List(ctx, req) })
}

// Import implements sdk.Importer.
func (p *provider) Import(ctx context.Context, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	return quick(ctx, p, "Import", func(ctx context.Context, c *wire.Conn) (*sdk.ImportResponse, error) { return c.Import(ctx, req) })
}

// Health implements sdk.HealthChecker.
func (p *provider) Health(ctx context.Context, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	return quick(ctx, p, "Health", func(ctx context.Context, c *wire.Conn) (*sdk.HealthResponse, error) { return c.Health(ctx, req) })
}

// Sizes implements sdk.Sizer.
func (p *provider) Sizes(ctx context.Context, req *sdk.SizesRequest) (*sdk.SizesResponse, error) {
	return quick(ctx, p, "Sizes", func(ctx context.Context, c *wire.Conn) (*sdk.SizesResponse, error) { return c.Sizes(ctx, req) })
}

// EnsureRegistry implements sdk.RegistryProvider.
func (p *provider) EnsureRegistry(ctx context.Context, req *sdk.EnsureRegistryRequest, report sdk.Reporter) (*sdk.EnsureRegistryResponse, error) {
	return use(ctx, p, func(ctx context.Context, pr *process) (*sdk.EnsureRegistryResponse, error) {
		return pr.conn.EnsureRegistry(ctx, req, report)
	})
}

// RegistryCredential implements sdk.RegistryProvider.
func (p *provider) RegistryCredential(ctx context.Context, req *sdk.RegistryCredentialRequest) (*sdk.RegistryCredentialResponse, error) {
	return quick(ctx, p, "RegistryCredential", func(ctx context.Context, c *wire.Conn) (*sdk.RegistryCredentialResponse, error) {
		return c.RegistryCredential(ctx, req)
	})
}

// WriteSecret implements sdk.SecretWriter.
func (p *provider) WriteSecret(ctx context.Context, req *sdk.WriteSecretRequest) (*sdk.WriteSecretResponse, error) {
	return quick(ctx, p, "WriteSecret", func(ctx context.Context, c *wire.Conn) (*sdk.WriteSecretResponse, error) {
		return c.WriteSecret(ctx, req)
	})
}

// BootstrapState implements sdk.StateBootstrapper.
func (p *provider) BootstrapState(ctx context.Context, req *sdk.BootstrapStateRequest, report sdk.Reporter) (*sdk.BootstrapStateResponse, error) {
	return use(ctx, p, func(ctx context.Context, pr *process) (*sdk.BootstrapStateResponse, error) {
		return pr.conn.BootstrapState(ctx, req, report)
	})
}

// Diagnose implements sdk.Diagnoser.
func (p *provider) Diagnose(ctx context.Context, req *sdk.DiagnoseRequest) (*sdk.DiagnoseResponse, error) {
	return quick(ctx, p, "Diagnose", func(ctx context.Context, c *wire.Conn) (*sdk.DiagnoseResponse, error) { return c.Diagnose(ctx, req) })
}

// Logs implements sdk.LogReader. It goes on for as long as the caller wants,
// and is not begun again: the caller has had lines.
func (p *provider) Logs(ctx context.Context, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	_, _, err := once(ctx, p, func(ctx context.Context, pr *process) (struct{}, error) {
		return struct{}{}, pr.conn.Logs(ctx, req, line)
	})
	return err
}
