// Program nastyplugin is a provider plugin that misbehaves as its resources
// ask for: it panics, hangs, dies, prints where it should not. The tests of the
// command line install and run it as any other plugin.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/wire"
)

func main() { wire.Serve(&provider{}) }

// thing says what is to go wrong, and when.
type thing struct {
	// Do is done by Create; the thing itself is a file, so that a later
	// process knows of it.
	Do    string `json:"do,omitempty" enum:"panic,hang,die,die late,print" doc:"what goes wrong"`
	Token string `json:"token,omitempty" wfctl:"sensitive"`
	After string `json:"after,omitempty"`
}

type provider struct{ dir string }

// Schema implements sdk.Provider.
func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	config, err := sdk.SchemaFor[thing]()
	if err != nil {
		return nil, err
	}
	return &sdk.Schema{Name: "nasty", Version: "v0.1.0", Types: []sdk.ResourceSchema{{
		Name: "nasty.thing", Config: config, Outputs: []sdk.OutputSchema{{Name: "path"}},
	}}}, nil
}

// Configure implements sdk.Provider.
func (p *provider) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	p.dir = req.WorkDir
	return &sdk.ConfigureResponse{}, os.MkdirAll(p.dir, 0o700)
}

// Validate implements sdk.Provider.
func (p *provider) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	_, err := sdk.Decode[thing](req.Config)
	return &sdk.ValidateResponse{}, err
}

// Diff implements sdk.Provider.
func (p *provider) Diff(context.Context, *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return &sdk.DiffResponse{}, nil
}

// Create implements sdk.Provider.
func (p *provider) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	t, err := sdk.Decode[thing](req.Config)
	if err != nil {
		return nil, err
	}
	if err := report.Assigned("nasty-" + req.Name); err != nil {
		return nil, err
	}
	tries := p.path(req.Name) + ".tries"
	earlier, _ := os.ReadFile(tries)
	if err := os.WriteFile(tries, append(earlier, '.'), 0o600); err != nil {
		return nil, err
	}
	if err := p.misbehave(ctx, t.Do); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.path(req.Name), []byte(req.IdempotencyKey), 0o600); err != nil {
		return nil, err
	}
	if t.Do == "die late" && len(earlier) == 0 {
		fmt.Fprintln(os.Stderr, "the disk went away")
		os.Exit(3)
	}
	return &sdk.CreateResponse{ID: "nasty-" + req.Name, Outputs: p.outputs(req.Name)}, nil
}

func (p *provider) misbehave(ctx context.Context, how string) error {
	switch how {
	case "panic":
		panic("the plugin lost its head")
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "die":
		fmt.Fprintln(os.Stderr, "the disk is on fire")
		os.Exit(3)
	case "print":
		fmt.Println("noise on standard output")
	}
	return nil
}

func (p *provider) path(name string) string { return filepath.Join(p.dir, name) }

func (p *provider) outputs(name string) sdk.Outputs {
	return sdk.Outputs{"path": sdk.Out(p.path(name))}
}

// Read implements sdk.Provider.
func (p *provider) Read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if _, err := os.Stat(p.path(req.Name)); err != nil {
		return nil, sdk.Errorf(sdk.CodeNotFound, "there is no thing %q", req.Name)
	}
	return &sdk.ReadResponse{ID: "nasty-" + req.Name, Name: req.Name, Outputs: p.outputs(req.Name)}, nil
}

// Update implements sdk.Provider.
func (p *provider) Update(_ context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	return &sdk.UpdateResponse{Outputs: p.outputs(req.Name)}, nil
}

// Delete implements sdk.Provider.
func (p *provider) Delete(_ context.Context, req *sdk.DeleteRequest, _ sdk.Reporter) (*sdk.DeleteResponse, error) {
	if err := os.Remove(p.path(req.Name)); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return &sdk.DeleteResponse{}, nil
}
