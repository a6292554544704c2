// Plugin hello keeps greetings: each is a file in a folder. It is the smallest
// whole plugin, and the start of yours.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/wire"
)

func main() { wire.Serve(&provider{}) }

const (
	providerName = "hello"
	greetingType = providerName + ".greeting"
	boxStore     = providerName + "_box"
)

// settings are the configuration of the iac.provider module.
type settings struct {
	Folder string `json:"folder,omitempty" doc:"where greetings are kept; relative to the application file"`
}

// greeting is the configuration of a resource.
type greeting struct {
	To       string `json:"to" wfctl:"required" doc:"whom to greet" example:"world"`
	Language string `json:"language,omitempty" wfctl:"immutable" enum:"en,de,fr" default:"en"`
	Secret   string `json:"secret,omitempty" wfctl:"sensitive,writeonly" doc:"is kept, and never shown" example:"open sesame"`
}

func (g greeting) text() string {
	return map[string]string{"en": "Hello, ", "de": "Hallo, ", "fr": "Bonjour, "}[g.Language] + g.To + "!"
}

// record is what is in a greeting's file: the platform of this plugin.
type record struct {
	ID, Key, Token string
	Owner          sdk.Ownership
	Greeting       greeting
}

func (r record) outputs() sdk.Outputs {
	return sdk.Outputs{"text": sdk.Out(r.Greeting.text()), "token": sdk.SecretOut(r.Token)}
}

type provider struct{ folder string }

// Schema says what the plugin has. wfctl checks configurations against it
// before it asks the plugin anything.
func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	return &sdk.Schema{
		Name: providerName, Version: "v0.1.0", Config: sdk.MustSchema[settings](),
		SecretStores: []string{boxStore},
		Types: []sdk.ResourceSchema{{
			Name: greetingType, Description: "A greeting, kept in a file.", Config: sdk.MustSchema[greeting](),
			IDFormat: "^[0-9a-f]{16}$",
			Outputs: []sdk.OutputSchema{
				{Name: "text", Type: "string", Description: "the greeting"},
				{Name: "token", Type: "string", Description: "what proves who greets", Sensitive: true, Stable: true},
			},
		}},
	}, nil
}

// Configure is called once, before the methods below.
func (p *provider) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	if req == nil {
		return nil, errRequest
	}
	s, err := sdk.Decode[settings](req.Config)
	if err != nil {
		return nil, err
	}
	if p.folder = cmp.Or(s.Folder, req.WorkDir, os.TempDir()); !filepath.IsAbs(p.folder) {
		p.folder = filepath.Join(req.BaseDir, p.folder)
	}
	return &sdk.ConfigureResponse{}, sdk.Wrap(sdk.CodeInvalid, os.MkdirAll(p.folder, 0o700), "make the folder")
}

var errRequest = sdk.Errorf(sdk.CodeInvalid, "the request is for no "+greetingType)

// Validate finds what the JSON Schema cannot say. It asks no platform.
func (p *provider) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	if req == nil || req.Type != greetingType {
		return nil, errRequest
	}
	res := &sdk.ValidateResponse{}
	g, err := sdk.Decode[greeting](req.Config)
	if err == nil && g.To == "nobody" {
		res.Diagnostics = []sdk.Diagnostic{{Severity: sdk.SeverityError, Path: "/to", Message: "there is nobody to greet"}}
	}
	return res, err
}

// Diff leaves the judgement to wfctl: fields that the schema marks as
// immutable replace, others update.
func (p *provider) Diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req == nil || req.Type != greetingType {
		return nil, errRequest
	}
	_, err := sdk.Decode[greeting](req.Config)
	return &sdk.DiffResponse{}, err
}

// Create makes a greeting. The same key a second time is the same greeting.
func (p *provider) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if req == nil || req.Type != greetingType {
		return nil, errRequest
	}
	g, err := sdk.Decode[greeting](req.Config)
	if err != nil {
		return nil, err
	}
	r, err := p.load(req.Name)
	switch {
	case sdk.IsNotFound(err):
		r = record{ID: random(8), Key: req.IdempotencyKey, Token: random(16), Owner: req.Ownership, Greeting: g}
		if err := p.save(ctx, req.Name, r); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case r.Key != req.IdempotencyKey:
		return nil, sdk.Errorf(sdk.CodeAlreadyExists, "there is a greeting %q already", req.Name).WithHint("wfctl infra import takes it over")
	}
	// wfctl has made the identifier durable when this returns: from here on
	// nothing is lost, whatever happens to the call.
	if err := report.Assigned(r.ID); err != nil {
		return nil, err
	}
	report.Progress("the greeting is kept", 1)
	return &sdk.CreateResponse{ID: r.ID, Outputs: r.outputs()}, nil
}

// Read finds a greeting by name; the identifier, where there is one, must be
// its own. What it returns as Config is compared with what was asked for.
func (p *provider) Read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req == nil || req.Type != greetingType {
		return nil, errRequest
	}
	r, err := p.find(req.Name, req.ID, req.Except...)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]string{"to": r.Greeting.To, "language": r.Greeting.Language})
	return &sdk.ReadResponse{
		ID: r.ID, Name: req.Name, Outputs: r.outputs(), Config: sdk.Config{JSON: config}, Owner: &r.Owner, Healthy: true,
	}, err
}

// Update changes a greeting in place.
func (p *provider) Update(ctx context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	if req == nil || req.Type != greetingType {
		return nil, errRequest
	}
	g, err := sdk.Decode[greeting](req.Config)
	if err != nil {
		return nil, err
	}
	r, err := p.find(req.Name, req.ID)
	if err != nil {
		return nil, err
	}
	r.Greeting = g
	return &sdk.UpdateResponse{ID: r.ID, Outputs: r.outputs()}, p.save(ctx, req.Name, r)
}

// Delete removes a greeting. One that is gone already is a success.
func (p *provider) Delete(_ context.Context, req *sdk.DeleteRequest, _ sdk.Reporter) (*sdk.DeleteResponse, error) {
	if req == nil || req.Type != greetingType {
		return nil, errRequest
	}
	switch _, err := p.find(req.Name, req.ID); {
	case sdk.IsNotFound(err):
		return &sdk.DeleteResponse{}, nil
	case err != nil:
		return nil, err
	}
	return &sdk.DeleteResponse{}, os.Remove(p.path(req.Name))
}

// WriteSecret keeps a secret of another module: a sink of the type hello_box.
// This and other optional methods are found by wfctl where a plugin has them.
func (p *provider) WriteSecret(_ context.Context, req *sdk.WriteSecretRequest) (*sdk.WriteSecretResponse, error) {
	if req == nil || req.Store != boxStore {
		return nil, errRequest
	}
	file := filepath.Join(p.folder, hex.EncodeToString([]byte(req.Name))+".secret")
	return &sdk.WriteSecretResponse{Version: random(4)}, os.WriteFile(file, []byte(req.Value.Reveal()), 0o600)
}

func (p *provider) path(name string) string {
	return filepath.Join(p.folder, hex.EncodeToString([]byte(name))+".json")
}

func (p *provider) load(name string) (record, error) {
	var r record
	raw, err := os.ReadFile(p.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return r, sdk.Errorf(sdk.CodeNotFound, "there is no greeting %q", name)
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(raw, &r)
}

// find loads a greeting that has the identifier, where one is given, and none
// of those that are known to be others.
func (p *provider) find(name, id string, except ...string) (record, error) {
	r, err := p.load(name)
	if err != nil {
		return r, err
	}
	for _, other := range except {
		if r.ID == other {
			id = "another"
		}
	}
	if id != "" && id != r.ID {
		return r, sdk.Errorf(sdk.CodeNotFound, "there is no greeting %q with the identifier %s", name, id)
	}
	return r, nil
}

// save writes the file whole or not at all. Its mode keeps the secret.
func (p *provider) save(ctx context.Context, name string, r record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temporary := p.path(name) + "." + random(4)
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, p.path(name))
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}
