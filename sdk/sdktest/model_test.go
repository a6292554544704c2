package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// model is a provider that keeps to the contract, in memory. Its faults are
// the mistakes that real ones make.
type model struct {
	fault string

	mu     sync.Mutex
	number int
	things map[string]*kept
}

type kept struct {
	id, key string
	config  modelConfig
	owner   sdk.Ownership
}

type modelConfig struct {
	Text   string `json:"text" wfctl:"required" example:"hello there"`
	Secret string `json:"secret,omitempty" wfctl:"sensitive" example:"open sesame"`
	Size   int    `json:"size,omitempty" default:"1"`
}

var errNil = sdk.Errorf(sdk.CodeInvalid, "no request")

func newModel(fault string) *model { return &model{fault: fault, things: map[string]*kept{}} }

func (m *model) is(fault string) bool { return m.fault == fault }

func (m *model) Schema(context.Context) (*sdk.Schema, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	typ := sdk.ResourceSchema{
		Name: "model.thing", Config: sdk.MustSchema[modelConfig](), IDFormat: "^id-[0-9]+$",
		Outputs: []sdk.OutputSchema{{Name: "url", Type: "string"}, {Name: "token", Type: "string", Sensitive: true}},
	}
	s := &sdk.Schema{Name: "model", Config: json.RawMessage(`{"type":"object","additionalProperties":false}`), Types: []sdk.ResourceSchema{typ}}
	switch m.fault {
	case "unsorted types":
		typ.Name = "model.aaa"
		s.Types = append(s.Types, typ)
	case "no schema of the configuration":
		s.Config = nil
	case "an odd output type":
		s.Types[0].Outputs[0].Type = "url"
	case "a schema that changes":
		m.number++
		s.Version = fmt.Sprint(m.number)
	case "an identifier of another format":
		s.Types[0].IDFormat = "^[0-9a-f-]{36}$"
	}
	return s, nil
}

func (m *model) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	if req == nil {
		return nil, errNil
	}
	return &sdk.ConfigureResponse{}, nil
}

func ours(typ string) error {
	if typ != "model.thing" {
		return sdk.Errorf(sdk.CodeInvalid, "there is no type %q", typ)
	}
	return nil
}

func (m *model) decode(c sdk.Config) (modelConfig, error) {
	if m.is("lenient") {
		var loose modelConfig
		err := json.Unmarshal(c.Bytes(), &loose)
		return loose, err
	}
	if m.is("trips over unknown values") {
		c.Unknown = nil
	}
	return sdk.Decode[modelConfig](c)
}

func (m *model) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	if req == nil && !m.is("panics at nil") {
		return nil, errNil
	}
	if err := ours(req.Type); err != nil {
		return nil, err
	}
	_, err := m.decode(req.Config)
	if m.is("fails at large configurations") && len(req.Config.JSON) > 4<<20 {
		err = errors.New("message larger than max")
	}
	return &sdk.ValidateResponse{}, err
}

func (m *model) Diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req == nil {
		return nil, errNil
	}
	if err := ours(req.Type); err != nil {
		return nil, err
	}
	c, err := m.decode(req.Config)
	res := &sdk.DiffResponse{}
	if m.is("always differs") {
		res.Changes = []sdk.FieldChange{{Path: "/text", Action: sdk.ActionUpdate}}
	}
	if m.is("shows a secret in a note") {
		res.Notes = []sdk.Diagnostic{{Severity: sdk.SeverityNote, Message: "the secret is " + c.Secret}}
	}
	return res, err
}

func (m *model) outputs(k *kept) sdk.Outputs {
	out := sdk.Outputs{"url": sdk.Out("model://" + k.id), "token": sdk.SecretOut("token of " + k.id)}
	switch m.fault {
	case "an output that is not sensitive":
		out["token"] = out["token"].WithSensitive(false)
	case "an output that is missing":
		delete(out, "url")
	case "an output of another type":
		out["url"] = sdk.Out(1)
	case "an output that is not declared":
		out["extra"] = sdk.Out(1)
	}
	return out
}

func (m *model) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	if err := ours(req.Type); err != nil {
		return nil, err
	}
	c, err := m.decode(req.Config)
	if err != nil {
		return nil, err
	}
	if err := m.interrupted(ctx); err != nil {
		return nil, err
	}
	if m.is("answers with nothing") {
		return nil, nil
	}
	if m.is("logs a secret") {
		report.Log("connecting with " + c.Secret)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, err := m.claim(req, c)
	if err != nil {
		return nil, err
	}
	if err := report.Assigned(k.id); err != nil {
		return nil, err
	}
	if m.is("another identifier than was assigned") {
		return &sdk.CreateResponse{ID: "id-99", Outputs: m.outputs(k)}, nil
	}
	return &sdk.CreateResponse{ID: k.id, Outputs: m.outputs(k)}, nil
}

func (m *model) interrupted(ctx context.Context) error {
	if m.is("deaf to cancellation") && ctx.Err() != nil {
		<-time.After(prompt + 200*time.Millisecond)
	}
	if m.is("calls a cancellation internal") && ctx.Err() != nil {
		return errors.New("stopped")
	}
	return ctx.Err()
}

func (m *model) claim(req *sdk.CreateRequest, c modelConfig) (*kept, error) {
	k, ok := m.things[req.Name]
	switch {
	case ok && m.is("takes the old one for the new"):
		return k, nil
	case ok && k.key != req.IdempotencyKey:
		return nil, sdk.Errorf(sdk.CodeAlreadyExists, "there is one already")
	case ok && !m.is("makes it twice"):
		return k, nil
	}
	m.number++
	k = &kept{id: fmt.Sprintf("id-%d", m.number), key: req.IdempotencyKey, config: c, owner: req.Ownership}
	if m.is("the same identifier for all") {
		k.id = "id-1"
	}
	m.things[req.Name] = k
	return k, nil
}

func (m *model) find(name, id string, except []string) (*kept, error) {
	k, ok := m.things[name]
	switch {
	case m.is("has its own not found") && !ok:
		return nil, errors.New("404")
	case !ok, id != "" && k.id != id, slices.Contains(except, k.id) && !m.is("ignores exceptions"):
		return nil, sdk.Errorf(sdk.CodeNotFound, "it is not there")
	case id == "" && m.is("needs an identifier"):
		return nil, sdk.Errorf(sdk.CodeInvalid, "the identifier is missing")
	}
	return k, nil
}

func (m *model) Read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req == nil {
		return nil, errNil
	}
	if err := ours(req.Type); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, err := m.find(req.Name, req.ID, req.Except)
	if err != nil {
		return nil, err
	}
	text := k.config.Text
	if m.is("reads back something else") {
		text += "."
	}
	raw, err := json.Marshal(map[string]any{"text": text})
	return &sdk.ReadResponse{ID: k.id, Name: req.Name, Outputs: m.outputs(k), Config: sdk.Config{JSON: raw}, Owner: &k.owner, Healthy: true}, err
}

func (m *model) Update(_ context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	if err := ours(req.Type); err != nil {
		return nil, err
	}
	c, err := m.decode(req.Config)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, err := m.find(req.Name, req.ID, nil)
	if err != nil {
		return nil, err
	}
	k.config = c
	if m.is("another identifier after update") {
		return &sdk.UpdateResponse{ID: "id-98", Outputs: m.outputs(k)}, nil
	}
	return &sdk.UpdateResponse{ID: k.id, Outputs: m.outputs(k)}, nil
}

func (m *model) Delete(_ context.Context, req *sdk.DeleteRequest, _ sdk.Reporter) (*sdk.DeleteResponse, error) {
	if req == nil {
		return nil, errNil
	}
	if err := ours(req.Type); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.things[req.Name]; m.is("fails to delete what is gone") && !ok {
		return nil, sdk.Errorf(sdk.CodeNotFound, "it is not there")
	}
	if !m.is("does not delete") {
		delete(m.things, req.Name)
	}
	return &sdk.DeleteResponse{}, nil
}

func (m *model) List(_ context.Context, req *sdk.ListRequest) (*sdk.ListResponse, error) {
	if req == nil {
		return nil, errNil
	}
	if err := ours(req.Type); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	res := &sdk.ListResponse{}
	for name, k := range m.things {
		if !m.is("lists nothing") {
			res.Resources = append(res.Resources, sdk.ListedResource{Type: req.Type, ID: k.id, Name: name, Owner: k.owner})
		}
	}
	return res, nil
}
