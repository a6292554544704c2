package wire

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/gocodealone/wfctl/sdk"
)

// lacks is the error for an optional part that the provider does not have.
func (c *Conn) lacks(capability sdk.Capability, method string) error {
	if slices.Contains(c.caps, capability) {
		return nil
	}
	return sdk.Errorf(sdk.CodeUnsupported, "the provider has no %s", method)
}

// List implements sdk.Lister.
func (c *Conn) List(ctx context.Context, req *sdk.ListRequest) (*sdk.ListResponse, error) {
	if err := c.lacks(sdk.CapList, "List"); err != nil {
		return nil, err
	}
	return ask(ctx, c, "List", req, (*encoder).listRequest, c.client.List, toListResponse)
}

// Import implements sdk.Importer.
func (c *Conn) Import(ctx context.Context, req *sdk.ImportRequest) (*sdk.ImportResponse, error) {
	if err := c.lacks(sdk.CapImport, "Import"); err != nil {
		return nil, err
	}
	return ask(ctx, c, "Import", req, (*encoder).importRequest, c.client.Import, toImportResponse)
}

// Health implements sdk.HealthChecker.
func (c *Conn) Health(ctx context.Context, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	if err := c.lacks(sdk.CapHealth, "Health"); err != nil {
		return nil, err
	}
	return ask(ctx, c, "Health", req, (*encoder).healthRequest, c.client.Health, toHealthResponse)
}

// Sizes implements sdk.Sizer.
func (c *Conn) Sizes(ctx context.Context, req *sdk.SizesRequest) (*sdk.SizesResponse, error) {
	if err := c.lacks(sdk.CapSizes, "Sizes"); err != nil {
		return nil, err
	}
	return ask(ctx, c, "Sizes", req, (*encoder).sizesRequest, c.client.Sizes, toSizesResponse)
}

// EnsureRegistry implements sdk.RegistryProvider.
func (c *Conn) EnsureRegistry(ctx context.Context, req *sdk.EnsureRegistryRequest, report sdk.Reporter) (*sdk.EnsureRegistryResponse, error) {
	if err := c.lacks(sdk.CapRegistry, "EnsureRegistry"); err != nil {
		return nil, err
	}
	return perform(ctx, c, ensureRegistryShape(), c.client.EnsureRegistry, req, report)
}

// RegistryCredential implements sdk.RegistryProvider.
func (c *Conn) RegistryCredential(ctx context.Context, req *sdk.RegistryCredentialRequest) (*sdk.RegistryCredentialResponse, error) {
	if err := c.lacks(sdk.CapRegistry, "RegistryCredential"); err != nil {
		return nil, err
	}
	return ask(ctx, c, "RegistryCredential", req, (*encoder).registryCredentialRequest, c.client.RegistryCredential, toRegistryCredentialResponse)
}

// WriteSecret implements sdk.SecretWriter.
func (c *Conn) WriteSecret(ctx context.Context, req *sdk.WriteSecretRequest) (*sdk.WriteSecretResponse, error) {
	if err := c.lacks(sdk.CapSecretWriter, "WriteSecret"); err != nil {
		return nil, err
	}
	return ask(ctx, c, "WriteSecret", req, (*encoder).writeSecretRequest, c.client.WriteSecret, toWriteSecretResponse)
}

// BootstrapState implements sdk.StateBootstrapper.
func (c *Conn) BootstrapState(ctx context.Context, req *sdk.BootstrapStateRequest, report sdk.Reporter) (*sdk.BootstrapStateResponse, error) {
	if err := c.lacks(sdk.CapStateBootstrap, "BootstrapState"); err != nil {
		return nil, err
	}
	return perform(ctx, c, bootstrapStateShape(), c.client.BootstrapState, req, report)
}

// Diagnose implements sdk.Diagnoser.
func (c *Conn) Diagnose(ctx context.Context, req *sdk.DiagnoseRequest) (*sdk.DiagnoseResponse, error) {
	if err := c.lacks(sdk.CapDiagnose, "Diagnose"); err != nil {
		return nil, err
	}
	return ask(ctx, c, "Diagnose", req, (*encoder).diagnoseRequest, c.client.Diagnose, toDiagnoseResponse)
}

// Logs implements sdk.LogReader.
func (c *Conn) Logs(ctx context.Context, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	if err := c.lacks(sdk.CapLogs, "Logs"); err != nil {
		return err
	}
	in, err := request(c, "Logs", req, (*encoder).logsRequest)
	if err != nil {
		return err
	}
	ctx2, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.client.Logs(ctx2, in)
	if err != nil {
		return c.fault(ctx, "Logs", err)
	}
	for {
		out, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.fault(ctx, "Logs", err)
		}
		if err := c.strict.check("Logs", out); err != nil {
			return c.broken("Logs", "the plugin's line: "+err.Error())
		}
		if err := line(*toLogLine(out)); err != nil {
			return err
		}
	}
}
